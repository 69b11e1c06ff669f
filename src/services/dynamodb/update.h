// Applying updates to an item.
#pragma once

#include <vector>

#include "services/dynamodb/attribute_value.h"
#include "services/dynamodb/expression.h"

namespace virga::dynamodb {

// The item after all `actions`, which read `item` as it was before any of them.
// Throws ValidationException when an operand has the wrong type or a path leads nowhere.
Item updated_item(const std::vector<UpdateAction>& actions, View item);

// a + b of N, union or difference of sets of one type: for ADD and DELETE. Nothing left of a set is an empty optional.
// The types fit.
AttributeValue add_values(View a, View b);
std::optional<AttributeValue> subtract_set(View from, View what);

}  // namespace virga::dynamodb
