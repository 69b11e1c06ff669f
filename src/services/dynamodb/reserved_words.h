// The words that an expression may not use as an attribute name (developer guide, "Reserved words in DynamoDB").
#pragma once

#include <string_view>

namespace virga::dynamodb {

bool is_reserved_word(std::string_view name);  // without regard to case

}  // namespace virga::dynamodb
