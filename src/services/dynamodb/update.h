// Applying updates to an item.
#pragma once

#include <vector>

#include "services/dynamodb/attribute_value.h"
#include "services/dynamodb/expression.h"

namespace virga::dynamodb {

// The item after all `actions`, which read `item` as it was before any of them.
// Throws ValidationException when an operand has the wrong type or a path leads nowhere.
Item updated_item(const std::vector<UpdateAction>& actions, View item);

// What AWS counts of an update expression against the limit of an item's size: what it writes, and a price for each
// action and operation. Numbers measured of AWS in October 2026.
size_t statement_size(const std::vector<UpdateAction>& actions);

// a + b of N, union or difference of sets of one type: for ADD and DELETE. Nothing left of a set is an empty optional.
// The types fit.
AttributeValue add_values(View a, View b);
std::optional<AttributeValue> subtract_set(View from, View what);

}  // namespace virga::dynamodb
