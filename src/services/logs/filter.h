// Filter patterns of terms: every plain term must be in the message, no -term may be, one of the ?terms must be.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace virga::logs {

struct Filter {
  std::vector<std::string> all, none, any;
  bool matches(std::string_view message) const;
};

// Throws std::invalid_argument whose text says which kind of pattern is not served, or what is unbalanced.
Filter parse_filter(std::string_view pattern);

}  // namespace virga::logs
