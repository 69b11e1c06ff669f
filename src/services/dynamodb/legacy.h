// The parameters that expressions replaced: Expected, AttributeUpdates, KeyConditions, QueryFilter, ScanFilter,
// AttributesToGet. They become the same trees, so that there is one evaluator.
#pragma once

#include <aws/dynamodb/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "services/dynamodb/expression.h"

namespace virga::dynamodb {

// The trees borrow the values. All throw ValidationException. Nothing when there is no condition.
std::optional<Node> condition_of(const std::map<std::string, ExpectedAttributeValue>& expected,
                                 std::optional<ConditionalOperator> combined);
std::optional<Node> condition_of(const std::map<std::string, Condition>& filter,
                                 std::optional<ConditionalOperator> combined);
std::vector<UpdateAction> actions_of(const std::map<std::string, AttributeValueUpdate>& updates);
std::vector<Path> paths_of(const std::vector<std::string>& attributes_to_get);

// What a query asks of one key attribute: kEq, kLt, kLe, kGt, kGe, kBetween, or kFunction for begins_with; kNot for
// what no index can answer, which is refused once the key is known.
struct KeyCondition {
  std::string attribute;
  NodeKind comparison = NodeKind::kEq;
  std::vector<View> values;
};
bool satisfies(View value, const KeyCondition& condition);
// At most as many as any index has keys; how many there may be is known with the index.
std::vector<KeyCondition> key_conditions_of(const Node& expression);
std::vector<KeyCondition> key_conditions_of(const std::map<std::string, Condition>& conditions);

// Refuses a request that mixes both kinds. `expressions` and `others` are the names of the parameters present.
void check_not_mixed(const std::vector<std::string_view>& expressions, const std::vector<std::string_view>& others);

}  // namespace virga::dynamodb
