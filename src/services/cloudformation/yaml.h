// YAML text to a value; parse_template decides when text is YAML.
#pragma once

#include <string_view>

#include "base/json.h"

namespace virga::cloudformation {

Json parse_yaml(std::string_view text);

}  // namespace virga::cloudformation
