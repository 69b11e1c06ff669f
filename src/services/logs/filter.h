// Filter patterns of terms: every plain term must be in the message, no -term may be, one of the ?terms must be. Or of
// conditions on messages that are JSON.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "services/logs/json_pattern.h"

namespace virga::logs {

struct Filter {
  std::vector<std::string> all, none, any;
  std::optional<JsonPattern> json;
  bool matches(std::string_view message) const;
};

// Throws std::invalid_argument whose text says which kind of pattern is not served, or what is unbalanced.
Filter parse_filter(std::string_view pattern);

}  // namespace virga::logs
