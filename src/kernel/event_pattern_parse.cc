// The pattern's own tokenizer: messages name the place where AWS's parser stood, which is not where a value ends (a
// string counts as begun, not as read; a field name brings the first character of its value with it).
#include <algorithm>

#include "base/encoding.h"
#include "base/str.h"
#include "kernel/event_pattern_rule.h"

namespace virga::kernel::pattern {
namespace {

constexpr size_t kMostConditions = 10'000;  // over all combinations of a pattern
constexpr size_t kMostWildcards = 50;       // in one field
constexpr int kMostLevels = 100;
constexpr size_t kSourceShown = 500;

constexpr std::string_view kTooComplex =
    "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a wildcard "
    "character";

// Names that mean something else than a field inside $or.
constexpr std::string_view kReserved[] = {"exactly",
                                          "equals-ignore-case",
                                          "prefix",
                                          "suffix",
                                          "anything-but",
                                          "exists",
                                          "wildcard",
                                          "numeric",
                                          "cidr",
                                          "=",
                                          "<",
                                          "<=",
                                          ">",
                                          ">=",
                                          "regex",
                                          "not-wildcard",
                                          "not-equals-ignore-case",
                                          "date-after",
                                          "date-on-or-after",
                                          "date-before",
                                          "date-on-or-before",
                                          "in-date-range",
                                          "ip-address-in-range",
                                          "ip-address-not-in-range"};

enum class Token { kObject, kObjectEnd, kArray, kArrayEnd, kName, kString, kNumber, kLiteral };

class Tokens {
 public:
  explicit Tokens(std::string_view text) : text_(text) {
    // Everything is checked here once, so that what follows only has to walk.
    try {
      JsonReader reader(text);
      reader.skip_value();
      reader.end();
    } catch (const JsonError&) {
      throw PatternError("Invalid JSON");
    }
  }

  Token next() {
    space();
    if (text_[at_] == ',' || text_[at_] == ':') {
      ++at_;
      space();
    }
    const char c = text_[at_];
    if (c == '{' || c == '[') {
      kinds_.push_back(c);
      names_ = c == '{';
      value_ = c;
      where_ = ++at_;
      return c == '{' ? Token::kObject : Token::kArray;
    }
    if (c == '}' || c == ']') {
      kinds_.pop_back();
      names_ = !kinds_.empty() && kinds_.back() == '{';
      value_ = c;
      where_ = ++at_;
      return c == '}' ? Token::kObjectEnd : Token::kArrayEnd;
    }
    if (c == '"') {
      where_ = at_ + 1;
      const size_t from = at_++;
      while (text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
      ++at_;
      JsonReader(text_.substr(from, at_ - from)).read_string(value_);
      if (names_) {
        names_ = false;
        where_ = start_of_value();
        return Token::kName;
      }
      names_ = !kinds_.empty() && kinds_.back() == '{';
      read_ = at_;
      return Token::kString;
    }
    const size_t from = at_;
    while (at_ < text_.size() && std::string_view(" \t\r\n,]}").find(text_[at_]) == std::string_view::npos) ++at_;
    value_ = text_.substr(from, at_ - from);
    names_ = !kinds_.empty() && kinds_.back() == '{';
    where_ = at_;
    return c == '-' || (c >= '0' && c <= '9') ? Token::kNumber : Token::kLiteral;
  }
  // The text of the token just returned: a string unescaped, anything else as written.
  const std::string& value() {
    if (read_ > where_) where_ = std::exchange(read_, 0);
    return value_;
  }
  size_t where() const { return where_; }
  std::string_view text() const { return text_; }

 private:
  std::string_view text_;
  size_t at_ = 0, where_ = 0, read_ = 0;
  bool names_ = false;
  std::string kinds_;
  std::string value_;

  void space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  size_t start_of_value() {
    const size_t keep = at_;
    space();
    ++at_;  // the colon
    space();
    size_t end = at_ + 1;
    if (std::string_view("{[\"").find(text_[at_]) == std::string_view::npos) {
      while (end < text_.size() && std::string_view(" \t\r\n,]}").find(text_[end]) == std::string_view::npos) ++end;
    }
    at_ = keep;
    return end;
  }
};

class Parser {
 public:
  Parser(std::string_view text, const PatternOptions& options) : tokens_(text), options_(options) {}

  Rule parse() {
    if (tokens_.next() != Token::kObject) refuse("Filter is not an object");
    Rule rule;
    object(rule.alternatives, false);
    return rule;
  }

 private:
  using Alternatives = std::vector<Conjunction>;
  Tokens tokens_;
  const PatternOptions& options_;
  std::vector<std::string> path_;

  [[noreturn]] void refuse(std::string_view why) { throw PatternError(located(why)); }
  // What AWS says of a list inside anything-but names its place twice.
  [[noreturn]] void refuse_in_list(std::string_view why) { throw PatternError(located(located(why))); }
  std::string located(std::string_view why) {
    if (!options_.locations) return std::string(why);
    const std::string_view text = tokens_.text();
    const size_t at = std::min(tokens_.where(), text.size());
    const size_t line = 1 + static_cast<size_t>(std::count(text.begin(), text.begin() + static_cast<long>(at), '\n'));
    const size_t begin = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;  // npos + 1 is 0
    const std::string more =
        text.size() > kSourceShown ? cat("[truncated ", text.size() - kSourceShown, " chars]") : "";
    return cat(why, "\n at [Source: (String)\"", text.substr(0, kSourceShown), "\"", more, "; line: ", line,
               ", column: ", at - begin + 1, "]");
  }
  void only_one() {
    if (tokens_.next() != Token::kObjectEnd) refuse("Only one key allowed in match expression");
  }
  bool allowed(uint32_t operation) const { return (options_.operators & operation) == operation; }
  bool digits(Token token) const { return token == Token::kNumber; }

  void object(Alternatives& rules, bool inside_or) {
    if (path_.size() > kMostLevels) refuse("Too many nested levels");
    bool any = false;
    Token token;
    while ((token = tokens_.next()) != Token::kObjectEnd) {
      any = true;
      const std::string name = tokens_.value();
      if (name == "$or" && allowed(kOr)) {
        or_relationship(rules);
        continue;
      }
      if (inside_or && std::find(std::begin(kReserved), std::end(kReserved), name) != std::end(kReserved)) {
        refuse(cat(name, " is Ruler reserved fieldName which cannot be used inside $or."));
      }
      token = tokens_.next();
      path_.push_back(name);
      if (token == Token::kObject) {
        object(rules, inside_or);
      } else if (token == Token::kArray) {
        field(rules);
      } else {
        refuse(cat("\"", name, "\" must be an object or an array"));
      }
      path_.pop_back();
    }
    if (!any) refuse("Empty objects are not allowed");
  }

  void or_relationship(Alternatives& rules) {
    const Alternatives before = std::move(rules);
    rules.clear();
    if (tokens_.next() != Token::kArray) refuse("It must be an Array followed with $or.");
    size_t count = 0;
    Token token;
    while ((token = tokens_.next()) != Token::kArrayEnd) {
      ++count;
      if (token != Token::kObject) refuse("Only JSON object is allowed in array of $or relationship.");
      Alternatives here = before;
      if (here.empty()) here.emplace_back();
      object(here, true);
      rules.insert(rules.end(), std::make_move_iterator(here.begin()), std::make_move_iterator(here.end()));
      bound(rules);
    }
    if (count < 2) refuse("There must have at least 2 Objects in $or relationship.");
  }

  void bound(const Alternatives& rules) {
    size_t conditions = 0;
    for (const Conjunction& c : rules) conditions += c.size();
    if (rules.size() > options_.most_combinations || conditions > kMostConditions) {
      refuse("Rule is too complex - try using fewer $or combinations");
    }
  }

  void field(Alternatives& rules) {
    auto condition = std::make_shared<Condition>();
    for (const std::string& step : path_) {
      append(condition->name, condition->name.empty() && &step == &path_.front() ? "" : ".", step);
      for (std::string_view part : split(step, '.')) condition->path.emplace_back(part);
    }
    Token token;
    while ((token = tokens_.next()) != Token::kArrayEnd) {
      switch (token) {
        case Token::kObject:
          expression(*condition);
          break;
        case Token::kString:
          condition->tests.push_back(string_test(Test::Kind::kString, tokens_.value()));
          break;
        case Token::kNumber: {
          Test test = string_test(Test::Kind::kNumber, tokens_.value());
          test.number = comparable_number(test.text);
          condition->tests.push_back(std::move(test));
          break;
        }
        case Token::kLiteral:
          condition->tests.push_back(string_test(Test::Kind::kLiteral, tokens_.value()));
          break;
        default:
          refuse("Match value must be String, number, true, false, or null");
      }
    }
    if (condition->tests.empty() && !condition->may_be_absent) refuse("Empty arrays are not allowed");
    check_wildcards(*condition);
    finish(*condition);
    add(rules, std::move(condition));
  }

  // Of a field that is named several times the last counts.
  void add(Alternatives& rules, std::shared_ptr<Condition> condition) {
    if (rules.empty()) rules.emplace_back();
    for (Conjunction& rule : rules) {
      std::erase_if(rule, [&](const ConditionPtr& other) { return other->name == condition->name; });
      rule.push_back(condition);
    }
    bound(rules);
  }

  static void finish(Condition& condition) {
    for (Test& test : condition.tests) {
      std::string& out = test.canonical;
      append(out, static_cast<int>(test.kind), "/", test.text.size(), ":", test.text);
      append(out, "/", static_cast<uint64_t>(test.from >> 64), ".", static_cast<uint64_t>(test.from), "-",
             static_cast<uint64_t>(test.to >> 64), ".", static_cast<uint64_t>(test.to), test.v6);
      for (const std::string& text : test.texts) append(out, "/", text.size(), ":", text);
      for (const Wildcard& wildcard : test.wildcards) {
        out += "/*";
        for (const std::string& piece : wildcard.pieces) append(out, "/", piece.size(), ":", piece);
      }
    }
    const auto less = [](const Test& a, const Test& b) { return a.canonical < b.canonical; };
    const auto same = [](const Test& a, const Test& b) { return a.canonical == b.canonical; };
    std::sort(condition.tests.begin(), condition.tests.end(), less);
    condition.tests.erase(std::unique(condition.tests.begin(), condition.tests.end(), same), condition.tests.end());
    condition.canonical = condition.may_be_absent ? "-" : "+";
    for (const Test& test : condition.tests) append(condition.canonical, test.canonical.size(), "=", test.canonical);
  }

  void check_wildcards(const Condition& condition) {
    size_t count = 0;
    for (const Test& test : condition.tests) {
      for (const Wildcard& wildcard : test.wildcards) count += wildcard.pieces.size() - 1;
    }
    if (count > kMostWildcards) refuse(kTooComplex);
  }

  static Test string_test(Test::Kind kind, std::string text) {
    Test test;
    test.kind = kind;
    test.text = std::move(text);
    return test;
  }

  void expression(Condition& condition) {
    if (tokens_.next() != Token::kName) refuse("Match expression name not found");
    const std::string name = tokens_.value();
    if (name == "exactly") {
      if (tokens_.next() != Token::kString) refuse("exact match pattern must be a string");
      condition.tests.push_back(string_test(Test::Kind::kString, tokens_.value()));
      only_one();
    } else if (name == "prefix" && allowed(kPrefix)) {
      condition.tests.push_back(affix(Test::Kind::kPrefix, "prefix", "Prefix"));
    } else if (name == "suffix" && allowed(kSuffix)) {
      condition.tests.push_back(affix(Test::Kind::kSuffix, "suffix", "Suffix"));
    } else if (name == "numeric" && allowed(kNumeric)) {
      if (tokens_.next() != Token::kArray) refuse("Value of numeric must be an array.");
      condition.tests.push_back(numeric());
      if (tokens_.next() != Token::kObjectEnd) too_many();
    } else if (name == "anything-but" && allowed(kAnythingBut)) {
      condition.tests.push_back(anything_but());
    } else if (name == "exists" && allowed(kExists)) {
      exists(condition);
    } else if (name == "cidr" && allowed(kCidr)) {
      // The words are AWS's, whose parser took them over from prefix.
      if (tokens_.next() != Token::kString) refuse("prefix match pattern must be a string");
      condition.tests.push_back(network(tokens_.value()));
      only_one();
    } else if (name == "equals-ignore-case" && allowed(kEqualsIgnoreCase)) {
      if (tokens_.next() != Token::kString) refuse("equals-ignore-case match pattern must be a string");
      condition.tests.push_back(string_test(Test::Kind::kFolded, fold_case(tokens_.value())));
      only_one();
    } else if (name == "wildcard" && allowed(kWildcard)) {
      if (tokens_.next() != Token::kString) refuse("wildcard match pattern must be a string");
      Test test = string_test(Test::Kind::kWildcard, "");
      test.wildcards.push_back(wildcard(tokens_.value()));
      condition.tests.push_back(std::move(test));
      only_one();
    } else {
      refuse(cat("Unrecognized match type ", name));
    }
  }

  void exists(Condition& condition) {
    const Token token = tokens_.next();
    if (token != Token::kLiteral || tokens_.value() == "null") {
      refuse("exists match pattern must be either true or false.");
    }
    if (tokens_.value() == "true") {
      condition.tests.push_back(string_test(Test::Kind::kExists, ""));
    } else {
      condition.may_be_absent = true;
    }
    only_one();
  }

  Test affix(Test::Kind kind, std::string_view lower, std::string_view upper) {
    const Token token = tokens_.next();
    if (token == Token::kObject && allowed(kAffixIgnoreCase)) {
      if (tokens_.next() != Token::kName) refuse(cat(upper, " expression name not found"));
      const std::string name = tokens_.value();
      if (name != "equals-ignore-case") refuse(cat("Unsupported ", lower, " pattern: ", name));
      if (tokens_.next() != Token::kString) refuse("equals-ignore-case match pattern must be a string");
      const auto folded = kind == Test::Kind::kPrefix ? Test::Kind::kFoldedPrefix : Test::Kind::kFoldedSuffix;
      Test test = string_test(folded, fold_case(tokens_.value()));
      only_one();
      only_one();
      return test;
    }
    if (token != Token::kString) refuse(cat(lower, " match pattern must be a string"));
    Test test = string_test(kind, tokens_.value());
    only_one();
    return test;
  }

  Wildcard wildcard(std::string_view text) {
    Wildcard out;
    out.pieces.emplace_back();
    for (size_t i = 0; i < text.size(); ++i) {
      // Positions count the opening quote, as AWS's do.
      if (text[i] == '*') {
        if (i + 1 < text.size() && text[i + 1] == '*') refuse(cat("Consecutive wildcard characters at pos ", i + 1));
        out.pieces.emplace_back();
      } else if (text[i] == '\\') {
        if (i + 1 >= text.size() || (text[i + 1] != '*' && text[i + 1] != '\\')) {
          refuse(cat("Invalid escape character at pos ", i + 1));
        }
        out.pieces.back() += text[++i];
      } else {
        out.pieces.back() += text[i];
      }
    }
    return out;
  }

  [[noreturn]] void too_many() { refuse("Too many elements in numeric expression"); }

  double number_of(const std::string& text) {
    const auto number = comparable_number(text);
    if (!number) refuse(cat("Cannot compare number : ", text));
    return *number;
  }

  static Test range(Key from, Key to) {
    Test test = string_test(Test::Kind::kRange, "");
    test.from = from;
    test.to = to;
    return test;
  }

  Test numeric() {
    if (tokens_.next() != Token::kString) refuse(cat("Invalid member in numeric match: ", tokens_.value()));
    const std::string op = tokens_.value();
    static const Key lowest = 0, highest = ~Key{0};
    const Token token = tokens_.next();
    if (op == "=" || op == "<" || op == "<=") {
      if (!digits(token)) refuse(cat("Value of ", op == "=" ? "equals" : op, " must be numeric"));
      const std::string text = tokens_.value();
      if (tokens_.next() != Token::kArrayEnd) too_many();
      const Key key = order_key(number_of(text));
      if (op == "=") return range(key, key);
      return range(lowest, op == "<" ? key - 1 : key);
    }
    if (op != ">" && op != ">=") refuse(cat("Unrecognized numeric range operator: ", op));
    if (!digits(token)) refuse(cat("Value of ", op, " must be numeric"));
    const std::string bottom = tokens_.value();
    const Key from = order_key(number_of(bottom)) + (op == ">" ? 1 : 0);
    const Token then = tokens_.next();
    if (then == Token::kArrayEnd) return range(from, highest);
    if (then != Token::kString) refuse(cat("Bad value in numeric range: ", tokens_.value()));
    const std::string second = tokens_.value();
    if (second != "<" && second != "<=") refuse(cat("Bad numeric range operator: ", second));
    if (!digits(tokens_.next())) refuse(cat("Value of ", second, " must be numeric"));
    const std::string top = tokens_.value();
    if (tokens_.next() != Token::kArrayEnd) refuse("Too many terms in numeric range expression");
    const Key to = order_key(number_of(top)) - (second == "<" ? 1 : 0);
    if (number_of(bottom) >= number_of(top)) refuse("Bottom must be less than top");
    return range(from, to);
  }

  // What AWS says of networks has no location.
  static Test network(const std::string& text) {
    const auto parts = split(text, '/');
    if (parts.size() != 2) throw PatternError("Malformed CIDR, one '/' required");
    const auto bits = parse_int(parts[1]);
    if (!bits) throw PatternError("Malformed CIDR, mask bits must be an integer");
    if (*bits < 0) throw PatternError("Malformed CIDR, mask bits must not be negative");
    const auto address = parse_address(parts[0]);
    if (!address) throw PatternError(cat("Nonstandard IP address: ", parts[0]));
    const int width = address->v6 ? 128 : 32;
    if (*bits >= width)
      throw PatternError(address->v6 ? "IPv6 mask bits must be < 128" : "IPv4 mask bits must be < 32");
    const Key all = address->v6 ? ~Key{0} : Key{0xffffffff};
    const Key mask = all >> *bits;
    Test test = string_test(Test::Kind::kNetwork, "");
    test.v6 = address->v6;
    test.from = address->key & (all & ~mask);
    test.to = test.from | mask;
    return test;
  }

  Test anything_but() {
    Token token = tokens_.next();
    if (token != Token::kObject) {
      Test test = but_values(token);
      if (tokens_.next() != Token::kObjectEnd) too_many();
      return test;
    }
    if (tokens_.next() != Token::kName) refuse("Anything-But expression name not found");
    const std::string name = tokens_.value();
    Test test;
    if (name == "prefix" && allowed(kAnythingButPrefix)) {
      test.kind = Test::Kind::kButPrefix;
    } else if (name == "suffix" && allowed(kAnythingButSuffix)) {
      test.kind = Test::Kind::kButSuffix;
    } else if (name == "equals-ignore-case" && allowed(kAnythingButIgnoreCase)) {
      test.kind = Test::Kind::kButFolded;
    } else if (name == "wildcard" && allowed(kAnythingButWildcard)) {
      test.kind = Test::Kind::kButWildcard;
    } else {
      refuse(cat("Unsupported anything-but pattern: ", name));
    }
    token = tokens_.next();
    if (token == Token::kArray) {
      while ((token = tokens_.next()) != Token::kArrayEnd) {
        if (token != Token::kString) refuse_in_list(not_a_text(test.kind));
        but_text(test);
      }
    } else {
      if (token != Token::kString && token != Token::kNumber) not_a_value();
      if (token != Token::kString) refuse(not_a_text(test.kind));
      but_text(test);
    }
    if (test.texts.empty() && test.wildcards.empty()) refuse("Empty arrays are not allowed");
    std::sort(test.texts.begin(), test.texts.end());
    if (tokens_.next() != Token::kObjectEnd || tokens_.next() != Token::kObjectEnd) too_many();
    return test;
  }

  [[noreturn]] void not_a_value() { refuse("Value of anything-but must be an array or single string/number value."); }

  static std::string_view not_a_text(Test::Kind kind) {
    switch (kind) {
      case Test::Kind::kButFolded:
        return "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.";
      case Test::Kind::kButWildcard:
        return "wildcard match pattern must be a string";
      default:
        return "prefix/suffix match pattern must be a string";
    }
  }

  void but_text(Test& test) {
    const std::string& text = tokens_.value();
    if (test.kind == Test::Kind::kButWildcard) {
      test.wildcards.push_back(wildcard(text));
    } else if (test.kind == Test::Kind::kButFolded) {
      test.texts.push_back(fold_case(text));
    } else {
      if (text.empty()) refuse("Null prefix/suffix not allowed");
      test.texts.push_back(text);
    }
  }

  Test but_values(Token token) {
    Test test = string_test(Test::Kind::kButStrings, "");
    bool strings = false, numbers = false;
    const auto take = [&](Token t) {
      if (t == Token::kString) {
        strings = true;
        test.texts.push_back(tokens_.value());
      } else {
        numbers = true;
        // Kept as the number's own shortest text, so that 1, 1.0 and 1e0 are one.
        test.texts.push_back(cat(number_of(tokens_.value()) + 0.0));
      }
    };
    if (token == Token::kArray) {
      while ((token = tokens_.next()) != Token::kArrayEnd) {
        if (token != Token::kString && token != Token::kNumber) {
          refuse_in_list("Inside anything but list, start|null|boolean is not supported.");
        }
        take(token);
      }
      if (strings == numbers) {
        refuse("Inside anything but list, either all values are number or string, mixed type is not supported");
      }
    } else if (token == Token::kString || token == Token::kNumber) {
      take(token);
    } else {
      not_a_value();
    }
    if (numbers) test.kind = Test::Kind::kButNumbers;
    std::sort(test.texts.begin(), test.texts.end());
    return test;
  }
};

}  // namespace

Rule parse_rule(std::string_view text, const PatternOptions& options) { return Parser(text, options).parse(); }

}  // namespace virga::kernel::pattern
