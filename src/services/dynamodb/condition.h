// Comparing values, as expressions and the older condition parameters both do.
#pragma once

#include "services/dynamodb/attribute_value.h"

namespace virga::dynamodb {

// Absent values compare as DynamoDB has it: equal to nothing, not even to each other.
bool values_equal(View a, View b);
bool begins_with(View value, View prefix);
// Substring, member of a set, or element of a list.
bool contains(View value, View part);
// What size() gives, or nothing where it does not apply.
std::optional<size_t> size_of(View value);

}  // namespace virga::dynamodb
