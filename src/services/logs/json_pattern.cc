#include "services/logs/json_pattern.h"

#include <algorithm>
#include <stdexcept>

#include "base/str.h"

namespace virga::logs {
namespace {

// A * stands for any run, everything else for itself.
bool matches_stars(std::string_view pattern, std::string_view text) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return text == pattern;
  if (!text.starts_with(pattern.substr(0, star))) return false;
  text.remove_prefix(star);
  pattern.remove_prefix(star + 1);
  for (size_t next; (next = pattern.find('*')) != std::string_view::npos; pattern.remove_prefix(next + 1)) {
    const size_t at = text.find(pattern.substr(0, next));
    if (at == std::string_view::npos) return false;
    text.remove_prefix(at + next);
  }
  return text.ends_with(pattern);
}

}  // namespace

class JsonPattern::Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  Condition whole() {
    if (!takes("{")) fail("it does not begin with {");
    Condition out = any();
    if (!takes("}") || !rest_.empty()) fail("something follows its last condition");
    return out;
  }

 private:
  using Kind = Condition::Kind;

  [[noreturn]] static void fail(std::string_view why) {
    throw std::invalid_argument(cat("the JSON pattern is wrong: ", why));
  }

  // The next thing is this one, which is then passed.
  bool takes(std::string_view token) {
    rest_ = trim(rest_);
    if (!rest_.starts_with(token)) return false;
    rest_ = trim(rest_.substr(token.size()));
    return true;
  }

  Condition any() {
    return sequence(Kind::kAny, "||", [this] { return sequence(Kind::kAll, "&&", [this] { return one(); }); });
  }

  template <class Part>
  Condition sequence(Kind kind, std::string_view between, Part part) {
    Condition out;
    out.kind = kind;
    do {
      out.parts.push_back(part());
    } while (takes(between));
    return out.parts.size() == 1 ? std::move(out.parts[0]) : std::move(out);
  }

  Condition one() {
    if (takes("(")) {
      if (++depth_ > kMostDepth) fail("its parentheses are nested too deeply");
      Condition out = any();
      --depth_;
      if (!takes(")")) fail("a parenthesis is not closed");
      return out;
    }
    Condition out;
    out.path = path();
    static constexpr std::pair<std::string_view, Kind> kTests[] = {
        {"IS NULL", Kind::kNull}, {"IS TRUE", Kind::kTrue}, {"IS FALSE", Kind::kFalse}, {"NOT EXISTS", Kind::kMissing}};
    for (const auto& [name, kind] : kTests) {
      const auto [first, second] = split_once(name, ' ');
      const std::string_view before = rest_;
      if (takes(first) && takes(second)) return out.kind = kind, out;
      rest_ = before;
    }
    static constexpr std::pair<std::string_view, Kind> kComparisons[] = {{"!=", Kind::kUnequal}, {"<=", Kind::kAtMost},
                                                                         {">=", Kind::kAtLeast}, {"=", Kind::kEqual},
                                                                         {"<", Kind::kLess},     {">", Kind::kMore}};
    const auto found = std::ranges::find_if(kComparisons, [&](const auto& each) { return takes(each.first); });
    if (found == std::end(kComparisons)) fail("a selector has no comparison");
    out.kind = found->second;
    value(out);
    if (out.kind != Kind::kEqual && out.kind != Kind::kUnequal && !out.number)
      fail("only numbers are compared by size");
    return out;
  }

  std::vector<std::variant<std::string, size_t>> path() {
    std::vector<std::variant<std::string, size_t>> out;
    if (!takes("$")) fail("a condition does not begin with $");
    while (rest_.starts_with('.') || rest_.starts_with('[')) {
      if (rest_.starts_with('.')) {
        const size_t end = std::min(rest_.find_first_of(" \t.[]()=!<>&|{}\"", 1), rest_.size());
        if (end == 1) fail("a selector has an empty name");
        out.emplace_back(std::string(rest_.substr(1, end - 1)));
        rest_.remove_prefix(end);
      } else {
        const size_t end = rest_.find(']');
        const auto index = end == std::string_view::npos ? std::nullopt : parse_int(rest_.substr(1, end - 1));
        if (!index || *index < 0) fail("a selector has an index that is no number");
        out.emplace_back(static_cast<size_t>(*index));
        rest_.remove_prefix(end + 1);
      }
    }
    if (out.empty()) fail("a selector names no property");
    rest_ = trim(rest_);
    return out;
  }

  void value(Condition& out) {
    if (rest_.starts_with('%'))
      throw std::invalid_argument("regular expression filter patterns (% … %) are not served");
    if (rest_.starts_with('"')) {
      size_t at = 1;
      for (; at < rest_.size() && rest_[at] != '"'; ++at) {
        if (rest_[at] == '\\' && at + 1 < rest_.size()) ++at;
        out.word += rest_[at];
      }
      if (at == rest_.size()) fail("a quotation mark is unbalanced");
      rest_ = trim(rest_.substr(at + 1));
      return;
    }
    const size_t end = std::min(rest_.find_first_of(" \t()&|{}\""), rest_.size());
    if (end == 0) fail("a comparison has no value");
    out.word = rest_.substr(0, end);
    out.number = parse_double(out.word);
    rest_ = trim(rest_.substr(end));
  }

  static constexpr int kMostDepth = 32;
  std::string_view rest_;
  int depth_ = 0;
};

JsonPattern::JsonPattern(std::string_view text) : whole_(Parser(trim(text)).whole()) {}

bool JsonPattern::matches(std::string_view message) const {
  message = trim(message);
  if (!message.starts_with('{')) return false;
  try {
    return whole_.holds(Json::parse(message));
  } catch (const JsonError&) {
    return false;
  }
}

bool JsonPattern::Condition::holds(const Json& message) const {
  const auto part_holds = [&](const Condition& part) { return part.holds(message); };
  if (kind == Kind::kAll) return std::ranges::all_of(parts, part_holds);
  if (kind == Kind::kAny) return std::ranges::any_of(parts, part_holds);
  const Json* at = &message;
  for (const auto& step : path) {
    if (const auto* name = std::get_if<std::string>(&step)) {
      at = at->find(*name);
    } else {
      const size_t index = std::get<size_t>(step);
      at = at->is_array() && index < at->as_array().size() ? &at->as_array()[index] : nullptr;
    }
    if (!at) return kind == Kind::kMissing;
  }
  const bool numbers = at->is_number() && number;
  switch (kind) {
    case Kind::kAll:
    case Kind::kAny:
    case Kind::kMissing:
      return false;
    case Kind::kNull:
      return at->is_null();
    case Kind::kTrue:
    case Kind::kFalse:
      return at->is_bool() && at->as_bool() == (kind == Kind::kTrue);
    case Kind::kLess:
      return numbers && at->as_double() < *number;
    case Kind::kAtMost:
      return numbers && at->as_double() <= *number;
    case Kind::kMore:
      return numbers && at->as_double() > *number;
    case Kind::kAtLeast:
      return numbers && at->as_double() >= *number;
    case Kind::kEqual:
    case Kind::kUnequal:
      break;
  }
  if (at->is_array() || at->is_object() || at->is_null()) return false;
  const bool equal =
      numbers ? at->as_double() == *number : matches_stars(word, at->is_string() ? at->as_string() : at->dump());
  return equal == (kind == Kind::kEqual);
}

}  // namespace virga::logs
