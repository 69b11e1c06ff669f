// A pattern taken apart: what event_pattern_parse.cc makes and event_pattern_compile.cc indexes. Internal to
// event_pattern.*.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/event_pattern.h"

namespace virga::kernel::pattern {

// Something that can be ordered and compared exactly: a finite double, or an IP address.
using Key = unsigned __int128;

// A number of a pattern or an event. Those that a double can't hold exactly compare by their text alone.
std::optional<double> comparable_number(std::string_view text);
Key order_key(double number);

struct Address {
  bool v6 = false;
  Key key = 0;
};
std::optional<Address> parse_address(std::string_view text);

// Simple case folding, one code point to one; malformed UTF-8 stays as it is.
std::string fold_case(std::string_view text);

// A wildcard pattern: its literal pieces, between each two of which anything may stand.
struct Wildcard {
  std::vector<std::string> pieces;
  bool matches(std::string_view text) const;
};

struct Test {
  enum class Kind : uint8_t {
    kString,   // text
    kNumber,   // text, number
    kLiteral,  // text: null, true, false
    kPrefix,   // text
    kSuffix,   // text
    kFolded,   // text, folded
    kFoldedPrefix,
    kFoldedSuffix,
    kWildcard,  // wildcards[0]
    kRange,     // from..to, inclusive, of numbers
    kNetwork,   // from..to of addresses
    kExists,
    kButStrings,   // texts
    kButNumbers,   // numbers
    kButFolded,    // texts, folded
    kButPrefix,    // texts
    kButSuffix,    // texts
    kButWildcard,  // wildcards
  };
  Kind kind;
  std::string text;
  std::optional<double> number;
  Key from = 0, to = 0;
  bool v6 = false;
  std::vector<std::string> texts;
  std::vector<Wildcard> wildcards;
  std::string canonical;  // equal for equal tests only
};

struct Condition {
  std::vector<std::string> path;  // steps; a field name with dots is several
  std::string name;               // the steps joined by dots
  std::vector<Test> tests;
  bool may_be_absent = false;  // {"exists": false} is among the alternatives
  std::string canonical;       // of all tests
};
using ConditionPtr = std::shared_ptr<const Condition>;
// All must hold.
using Conjunction = std::vector<ConditionPtr>;

struct Rule {
  std::vector<Conjunction> alternatives;  // one unless there is $or
};
Rule parse_rule(std::string_view text, const PatternOptions& options);  // throws PatternError

}  // namespace virga::kernel::pattern
