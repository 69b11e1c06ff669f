// Filter patterns for messages that are JSON: { $.level = "ERROR" && ($.latency > 100 || $.user IS NULL) }.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"

namespace virga::logs {

class JsonPattern {
 public:
  // Throws std::invalid_argument whose text says what is wrong.
  explicit JsonPattern(std::string_view text);
  // A message that is no JSON object matches nothing.
  bool matches(std::string_view message) const;

 private:
  struct Condition {
    enum class Kind { kAll, kAny, kEqual, kUnequal, kLess, kAtMost, kMore, kAtLeast, kTrue, kFalse, kNull, kMissing };
    Kind kind = Kind::kAll;
    std::vector<Condition> parts;                         // of kAll and kAny
    std::vector<std::variant<std::string, size_t>> path;  // members and elements, from the top
    std::string word;                                     // that it is compared with; * stands for any run
    std::optional<double> number;                         // the same, when it is one without quotes
    bool holds(const Json& message) const;
  };
  class Parser;
  Condition whole_;
};

}  // namespace virga::logs
