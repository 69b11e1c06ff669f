#include "base/json.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <type_traits>

#include "base/str.h"
#include "base/utf8.h"

namespace virga {

const Json* Json::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const Member& member : as_object()) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

Json* Json::find(std::string_view key) { return const_cast<Json*>(std::as_const(*this).find(key)); }

Json& Json::operator[](std::string_view key) {
  if (is_null()) value_ = Object{};
  if (Json* found = find(key)) return *found;
  return as_object().emplace_back(std::string(key), Json()).second;
}

bool Json::erase(std::string_view key) {
  if (!is_object()) return false;
  Object& members = as_object();
  const auto at = std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.first == key; });
  if (at == members.end()) return false;
  members.erase(at);
  return true;
}

std::string Json::string_or(std::string_view key, std::string_view otherwise) const {
  const Json* found = find(key);
  return found && found->is_string() ? found->as_string() : std::string(otherwise);
}

void Json::push_back(Json value) {
  if (is_null()) value_ = Array{};
  as_array().push_back(std::move(value));
}

bool Json::operator==(const Json& other) const {
  if (is_number() && other.is_number()) {
    return is_int() && other.is_int() ? as_int() == other.as_int() : as_double() == other.as_double();
  }
  if (type() != other.type()) return false;
  switch (type()) {
    case Type::kNull:
      return true;
    case Type::kBool:
      return as_bool() == other.as_bool();
    case Type::kInt:
    case Type::kDouble:
      return false;
    case Type::kString:
      return as_string() == other.as_string();
    case Type::kArray:
      return as_array() == other.as_array();
    case Type::kObject:
      break;
  }
  if (as_object().size() != other.as_object().size()) return false;
  return std::all_of(as_object().begin(), as_object().end(), [&](const Member& member) {
    const Json* found = other.find(member.first);
    return found && *found == member.second;
  });
}

Json Json::parse(std::string_view text) {
  JsonReader in(text);
  Json value = in.read_value();
  in.end();
  return value;
}

std::string Json::dump() const {
  std::string out;
  JsonWriter(out).value(*this);
  return out;
}

namespace {

// The last of each group of members with the same key takes the place of the first.
void drop_duplicates(Json::Object& members) {
  constexpr size_t kFew = 16;
  if (members.size() <= kFew) {
    for (size_t i = 1; i < members.size(); ++i) {
      for (size_t k = 0; k < i; ++k) {
        if (members[k].first != members[i].first) continue;
        members[k].second = std::move(members[i].second);
        members.erase(members.begin() + static_cast<std::ptrdiff_t>(i--));
        break;
      }
    }
    return;
  }
  std::vector<size_t> order(members.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const int difference = members[a].first.compare(members[b].first);
    return difference != 0 ? difference < 0 : a < b;
  });
  std::vector<bool> dropped(members.size());
  size_t first = 0;
  bool any = false;
  for (size_t i = 1; i < order.size(); ++i) {
    if (members[order[i]].first != members[order[first]].first) {
      first = i;
      continue;
    }
    members[order[first]].second = std::move(members[order[i]].second);
    dropped[order[i]] = any = true;
  }
  if (!any) return;
  size_t kept = 0;
  for (size_t i = 0; i < members.size(); ++i) {
    if (dropped[i]) continue;
    if (kept != i) members[kept] = std::move(members[i]);
    ++kept;
  }
  members.resize(kept);
}

}  // namespace

void JsonReader::error(std::string_view what) const { throw JsonError(std::string(what), at_); }

void JsonReader::skip_space() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
    ++at_;
  }
}

// The next character that is no white space, unconsumed.
char JsonReader::need() {
  if (at_ < text_.size() && text_[at_] > ' ') return text_[at_];
  skip_space();
  if (at_ >= text_.size()) error("unexpected end of JSON");
  return text_[at_];
}

void JsonReader::expect(std::string_view literal) {
  need();
  if (text_.substr(at_, literal.size()) != literal) error(cat("expected ", literal));
  at_ += literal.size();
}

void JsonReader::enter() {
  if (++depth_ > kMaxJsonDepth) error("JSON nested too deeply");
  ++at_;
  first_ = true;
}

JsonReader::Token JsonReader::peek() {
  static constexpr auto kTokens = [] {
    std::array<int8_t, 256> tokens;
    tokens.fill(-1);
    const auto begins = [&](std::string_view with, Token token) {
      for (const char c : with) tokens[static_cast<unsigned char>(c)] = static_cast<int8_t>(token);
    };
    begins("n", Token::kNull);
    begins("tf", Token::kBool);
    begins("\"", Token::kString);
    begins("[", Token::kArray);
    begins("{", Token::kObject);
    begins("-0123456789", Token::kNumber);
    return tokens;
  }();
  const int8_t token = kTokens[static_cast<unsigned char>(need())];
  if (token < 0) error("unexpected character in JSON");
  return static_cast<Token>(token);
}

void JsonReader::read_null() { expect("null"); }

bool JsonReader::read_bool() {
  const bool value = need() == 't';
  expect(value ? "true" : "false");
  return value;
}

std::string_view JsonReader::read_number() {
  need();
  const size_t begin = at_;
  const auto digit = [&] { return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; };
  const auto digits = [&] {
    if (!digit()) error("malformed number");
    while (digit()) ++at_;
  };
  if (text_[at_] == '-') ++at_;
  if (at_ < text_.size() && text_[at_] == '0') {
    ++at_;
    if (digit()) error("number with a leading zero");
  } else {
    digits();
  }
  if (at_ < text_.size() && text_[at_] == '.') {
    ++at_;
    digits();
  }
  if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
    ++at_;
    if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
    digits();
  }
  return text_.substr(begin, at_ - begin);
}

namespace {

// How many bytes at the front need no escape: up to the first quote, backslash or control character.
struct Run {
  size_t size = 0;
  bool ascii = true;  // whether none of them is part of a longer character
};
// Whole blocks; true when it ends in one.
template <size_t kSize>
bool run_through(std::string_view text, Run& run) {
  using Block = unsigned char __attribute__((vector_size(kSize)));
  using Each = bool __attribute__((ext_vector_type(kSize)));
  using Bits = std::conditional_t<kSize == 16, uint16_t, uint8_t>;
  const auto bits = [](auto which) { return std::bit_cast<Bits>(__builtin_convertvector(which, Each)); };
  for (; run.size + kSize <= text.size(); run.size += kSize) {
    Block block;
    std::memcpy(&block, text.data() + run.size, kSize);
    const Bits found = bits((block == '"') | (block == '\\') | (block < 0x20));
    const Bits high = bits(block >= 0x80);
    if (found != 0) {
      const int before = std::countr_zero(found);
      run.ascii = run.ascii && (high & ((1u << before) - 1)) == 0;
      run.size += static_cast<size_t>(before);
      return true;
    }
    run.ascii = run.ascii && high == 0;
  }
  return false;
}
Run plain_run(std::string_view text) {
  Run run;
  if (run_through<16>(text, run) || run_through<8>(text, run)) return run;
  for (; run.size < text.size(); ++run.size) {
    const auto c = static_cast<unsigned char>(text[run.size]);
    if (c == '"' || c == '\\' || c < 0x20) break;
    run.ascii = run.ascii && c < 0x80;
  }
  return run;
}

// Four hexadecimal digits, or nothing.
std::optional<uint32_t> hex4(std::string_view text) {
  if (text.size() < 4) return std::nullopt;
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + 4, value, 16);
  if (error != std::errc() || end != text.data() + 4 || text[0] == '-') return std::nullopt;
  return value;
}

constexpr uint32_t kReplacement = 0xFFFD;

// Reads the pieces of a string from behind its opening quote to behind the closing one. Returns what is wrong.
[[gnu::noinline]] std::string_view read_pieces(std::string_view text, size_t& at, std::string& out) {
  out.clear();
  while (true) {
    const size_t begin = at;
    const Run plain = plain_run(text.substr(at));
    at += plain.size;
    if (at >= text.size()) return "unterminated string";
    const std::string_view run = text.substr(begin, plain.size);
    if (!plain.ascii && !is_utf8(run)) return "string is not valid UTF-8";
    out.append(run);
    const char c = text[at];
    if (c == '"') {
      ++at;
      return {};
    }
    if (c != '\\') return "control character in a string";
    if (at + 1 >= text.size()) return "unterminated string";
    const char escape = text[at + 1];
    at += 2;
    switch (escape) {
      case '"':
        out += '"';
        break;
      case '\\':
        out += '\\';
        break;
      case '/':
        out += '/';
        break;
      case 'b':
        out += '\b';
        break;
      case 'f':
        out += '\f';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case 't':
        out += '\t';
        break;
      case 'u': {
        const std::optional<uint32_t> unit = hex4(text.substr(at));
        if (!unit) return "malformed \\u escape";
        at += 4;
        uint32_t character = *unit;
        if (character >= 0xD800 && character <= 0xDFFF) {
          // Half a surrogate pair is grammatical JSON but no character: it becomes U+FFFD.
          std::optional<uint32_t> second;
          if (character < 0xDC00 && text.substr(at, 2) == "\\u") second = hex4(text.substr(at + 2));
          if (second && *second >= 0xDC00 && *second <= 0xDFFF) {
            character = 0x10000 + ((character - 0xD800) << 10) + (*second - 0xDC00);
            at += 6;
          } else {
            character = kReplacement;
          }
        }
        append_utf8(out, character);
        break;
      }
      default:
        return "unknown escape in a string";
    }
  }
}

}  // namespace

void JsonReader::read_string(std::string& out) {
  if (need() != '"') error("expected a string");
  ++at_;
  // Hardly any has something to see to.
  const std::string_view rest = text_.substr(at_);
  const Run plain = plain_run(rest);
  const std::string_view run = rest.substr(0, plain.size);
  if (plain.size < rest.size() && rest[plain.size] == '"' && (plain.ascii || is_utf8(run))) {
    out.assign(run);
    at_ += plain.size + 1;
    return;
  }
  if (const std::string_view wrong = read_pieces(text_, at_, out); !wrong.empty()) error(wrong);
}

void JsonReader::begin_object() {
  if (need() != '{') error("expected an object");
  enter();
}

bool JsonReader::next_key(std::string& key) {
  const char c = need();
  if (c == '}') {
    ++at_;
    --depth_;
    first_ = false;
    return false;
  }
  if (!first_) {
    if (c != ',') error("expected , or }");
    ++at_;
  }
  first_ = false;
  read_string(key);
  if (need() != ':') error("expected :");
  ++at_;
  return true;
}

void JsonReader::begin_array() {
  if (need() != '[') error("expected an array");
  enter();
}

bool JsonReader::next_element() {
  const char c = need();
  if (c == ']') {
    ++at_;
    --depth_;
    first_ = false;
    return false;
  }
  if (!first_) {
    if (c != ',') error("expected , or ]");
    ++at_;
  }
  first_ = false;
  return true;
}

Json JsonReader::read_value() {
  switch (peek()) {
    case Token::kNull:
      read_null();
      return Json();
    case Token::kBool:
      return Json(read_bool());
    case Token::kNumber: {
      const std::string_view text = read_number();
      if (text.find_first_of(".eE") == std::string_view::npos) {
        if (const std::optional<int64_t> integer = parse_int(text)) return Json(static_cast<long>(*integer));
      }
      double value = 0;
      const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
      // Out of range: from_chars leaves the value alone, JSON means the nearest thing there is.
      if (status == std::errc::result_out_of_range) value = std::strtod(std::string(text).c_str(), nullptr);
      return Json(value);
    }
    case Token::kString: {
      std::string text;
      read_string(text);
      return Json(std::move(text));
    }
    case Token::kArray: {
      Json::Array elements;
      begin_array();
      while (next_element()) elements.push_back(read_value());
      return Json(std::move(elements));
    }
    case Token::kObject:
      break;
  }
  Json::Object members;
  std::string key;
  begin_object();
  while (next_key(key)) {
    Json value = read_value();
    members.emplace_back(std::move(key), std::move(value));
  }
  drop_duplicates(members);
  return Json(std::move(members));
}

void JsonReader::skip_value() {
  std::string ignored;
  std::vector<bool> within;  // the containers that are open: whether each is an object
  const int outside = depth_;
  for (;;) {
    switch (peek()) {
      case Token::kNull:
        read_null();
        break;
      case Token::kBool:
        read_bool();
        break;
      case Token::kNumber:
        read_number();
        break;
      case Token::kString:
        read_string(ignored);
        break;
      case Token::kArray:
        within.push_back(false);
        begin_array();
        break;
      case Token::kObject:
        within.push_back(true);
        begin_object();
        break;
    }
    while (!within.empty() && !(within.back() ? next_key(ignored) : next_element())) within.pop_back();
    depth_ = outside;  // what is skipped takes no stack, so any depth of it will do
    if (within.empty()) return;
  }
}

void JsonReader::end() {
  skip_space();
  if (at_ != text_.size()) error("text after the end of the JSON value");
}

void JsonWriter::separate() {
  if (comma_) out_ += ',';
  comma_ = true;
}

void JsonWriter::begin_object() {
  separate();
  out_ += '{';
  comma_ = false;
}
void JsonWriter::end_object() {
  out_ += '}';
  comma_ = true;
}
void JsonWriter::begin_array() {
  separate();
  out_ += '[';
  comma_ = false;
}
void JsonWriter::end_array() {
  out_ += ']';
  comma_ = true;
}
void JsonWriter::key(std::string_view name) {
  if (comma_) out_ += ',';
  append_json_string(out_, name);
  out_ += ':';
  comma_ = false;
}
void JsonWriter::null() { raw("null"); }
void JsonWriter::boolean(bool b) { raw(b ? "true" : "false"); }
void JsonWriter::integer(int64_t i) {
  std::array<char, 24> buffer;
  raw({buffer.data(), std::to_chars(buffer.data(), buffer.data() + buffer.size(), i).ptr});
}
void JsonWriter::real(double d) {
  if (std::isnan(d)) return string("NaN");
  if (std::isinf(d)) return string(d > 0 ? "Infinity" : "-Infinity");
  std::array<char, 32> buffer;
  const std::string_view text(buffer.data(), std::to_chars(buffer.data(), buffer.data() + buffer.size(), d).ptr);
  raw(text);
  // A whole double stays one when it is read again.
  if (text.find_first_of(".e") == std::string_view::npos) out_ += ".0";
}
void JsonWriter::string(std::string_view s) {
  separate();
  append_json_string(out_, s);
}
void JsonWriter::raw(std::string_view json) {
  separate();
  out_.append(json);
}
void JsonWriter::value(const Json& v) {
  switch (v.type()) {
    case Json::Type::kNull:
      return null();
    case Json::Type::kBool:
      return boolean(v.as_bool());
    case Json::Type::kInt:
      return integer(v.as_int());
    case Json::Type::kDouble:
      return real(v.as_double());
    case Json::Type::kString:
      return string(v.as_string());
    case Json::Type::kArray:
      begin_array();
      for (const Json& element : v.as_array()) value(element);
      return end_array();
    case Json::Type::kObject:
      begin_object();
      for (const Json::Member& member : v.as_object()) {
        key(member.first);
        value(member.second);
      }
      return end_object();
  }
}

void append_json_string(std::string& out, std::string_view s) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += '"';
  while (true) {
    const size_t plain = plain_run(s).size;
    out.append(s.substr(0, plain));
    if (plain == s.size()) break;
    const auto c = static_cast<unsigned char>(s[plain]);
    s.remove_prefix(plain + 1);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += "\\u00";
        out += kDigits[c >> 4];
        out += kDigits[c & 15];
    }
  }
  out += '"';
}

}  // namespace virga
