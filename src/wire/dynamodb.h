// Where DynamoDB differs from the other services of its protocol.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include "wire/shape.h"

namespace virga::wire {

// Bodies are read in its own words (wire/dynamodb_json.h).
inline bool is_dynamodb(const ServiceModel* service) { return service && service->id == "dynamodb"; }

inline constexpr std::string_view kTableName = "TableName";

// Operations on a table itself say in other words than those on items that its name is missing or wrong.
inline bool is_on_table(const OperationModel& op) {
  constexpr std::string_view kOperations[] = {"CreateTable", "DeleteTable", "DescribeTable", "DescribeTimeToLive",
                                              "UpdateTable"};
  return is_dynamodb(op.service) && std::ranges::find(kOperations, op.name) != std::end(kOperations);
}

// Members whose faults hide those of all others, the first of them first.
inline std::vector<std::string_view> hides_others(const OperationModel& op) {
  if (op.name == "UpdateItem") return {kTableName, "ReturnValues"};
  if (op.name == "Query") return {kTableName, "ConditionalOperator"};
  return {kTableName};
}

// What is said of a wrong enumerator where it is not what all services say; else empty. Operations on one item and
// Query say so where no required member is missing.
inline std::string_view own_words(const OperationModel& op, std::string_view place) {
  constexpr std::string_view kOfOneItem[] = {"DeleteItem", "PutItem", "UpdateItem"};
  const bool of_one_item = std::ranges::find(kOfOneItem, op.name) != std::end(kOfOneItem);
  if (place == "conditionalOperator" && (of_one_item || op.name == "Query"))
    return "Failed to satisfy constraint: Member must satisfy enum value set: [ALL, OR]";
  if (place == "returnValues" && of_one_item)
    return "Failed to satisfy constraint: Member must satisfy enum value set: "
           "[ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]";
  if (place == "returnItemCollectionMetrics" && of_one_item)
    return "ReturnItemCollectionMetrics can only be SIZE or NONE";
  return {};
}

}  // namespace virga::wire
