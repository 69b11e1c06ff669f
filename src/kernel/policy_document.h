// A policy document taken apart: what the parser makes and the evaluator walks. Internal to kernel, but for services
// that look into documents they keep (the actions of a trust policy).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/time.h"
#include "kernel/policy.h"

namespace virga::kernel::policy {

// Text with wildcards and, from version 2012-10-17 on, variables. Wildcards are kept as control bytes so that what a
// variable stands for is always taken literally.
struct Pattern {
  static constexpr char kMany = '\x01', kOne = '\x02';
  std::string text;  // when there are no variables
  struct Variable {
    std::string key;  // lower case
    std::optional<std::string> otherwise;
  };
  std::vector<std::variant<std::string, Variable>> pieces;  // when there are

  static Pattern compile(std::string_view source, bool variables, bool wildcards);
  bool has_variables() const { return !pieces.empty(); }
};

enum class Operator : uint8_t {
  kStringEquals,
  kStringEqualsIgnoreCase,
  kStringLike,
  kNumericEquals,
  kNumericLess,
  kNumericLessEquals,
  kNumericGreater,
  kNumericGreaterEquals,
  kDateEquals,
  kDateLess,
  kDateLessEquals,
  kDateGreater,
  kDateGreaterEquals,
  kBool,
  kBinary,
  kIp,
  kArnLike,
  kNull,
};
enum class Quantifier : uint8_t { kNone, kAny, kAll };

struct Network {
  unsigned char bytes[16] = {};
  bool v6 = false;
  int bits = 0;
};
std::optional<Network> parse_network(std::string_view text);  // an address, or address/bits
bool contains(const Network& network, const Network& address);

struct Condition {
  Operator op;
  bool negated = false;
  bool if_exists = false;
  Quantifier quantifier = Quantifier::kNone;
  std::string key;                // lower case
  std::vector<Pattern> patterns;  // strings, ARNs, binary
  std::vector<double> numbers;    // numbers; dates as seconds
  std::vector<Network> networks;
  bool flag = false;  // of kBool and kNull when all values agree
  bool both = false;  // kBool and kNull with both values: true whenever the key's state is either
};

struct PrincipalName {
  enum class Kind : uint8_t { kEveryone, kAccount, kArn, kService, kFederated, kCanonical };
  Kind kind;
  std::string value;
};

struct Statement {
  std::string sid;
  bool allow = false;
  bool has_principal = false, not_principal = false;
  std::vector<PrincipalName> principals;
  bool not_action = false;
  std::vector<Pattern> actions;  // lower case
  bool not_resource = false;
  std::vector<Pattern> resources;  // empty: every resource (trust policies)
  std::vector<Condition> conditions;
};

class Document {
 public:
  std::string id;
  std::vector<Statement> statements;
  std::vector<std::string> keys;  // that conditions and variables name: sorted
};

// Whether the request satisfies one condition.
bool holds(const Condition& condition, const Request& request);
// The pattern with its variables filled in: a view of `pattern` or of `scratch`. Nothing when a variable has no value.
std::optional<std::string_view> expand(const Pattern& pattern, const Request& request, std::string& scratch);
// `pattern` is as Pattern keeps it.
bool matches(std::string_view pattern, std::string_view text, bool fold_case = false);
// Segment by segment, as ARNs are compared.
bool matches_arn(std::string_view pattern, std::string_view arn);

}  // namespace virga::kernel::policy
