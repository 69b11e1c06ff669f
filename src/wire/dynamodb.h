// Where DynamoDB differs from the other services of its protocol.
#pragma once

#include <algorithm>
#include <string_view>

#include "wire/shape.h"

namespace virga::wire {

// Bodies are read in its own words (wire/dynamodb_json.h).
inline bool is_dynamodb(const ServiceModel* service) { return service && service->id == "dynamodb"; }

// The member whose faults hide those of all others.
inline constexpr std::string_view kTableName = "TableName";

// Operations on a table itself say in other words than those on items that its name is missing or wrong.
inline bool is_on_table(const OperationModel& op) {
  constexpr std::string_view kOperations[] = {"CreateTable", "DeleteTable", "DescribeTable", "DescribeTimeToLive",
                                              "UpdateTable"};
  return is_dynamodb(op.service) && std::ranges::find(kOperations, op.name) != std::end(kOperations);
}

}  // namespace virga::wire
