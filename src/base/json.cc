#include "base/json.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

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
  switch (need()) {
    case 'n':
      return Token::kNull;
    case 't':
    case 'f':
      return Token::kBool;
    case '"':
      return Token::kString;
    case '[':
      return Token::kArray;
    case '{':
      return Token::kObject;
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
      return Token::kNumber;
    default:
      error("unexpected character in JSON");
  }
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
Run plain_run(std::string_view text) {
  using Block = unsigned char __attribute__((vector_size(32)));
  Block seen{};
  Run run;
  for (; run.size + sizeof(Block) <= text.size(); run.size += sizeof(Block)) {
    Block block;
    std::memcpy(&block, text.data() + run.size, sizeof block);
    const auto found = (block == '"') | (block == '\\') | (block < 0x20);
    if (__builtin_reduce_or(found)) break;
    seen |= block;
  }
  constexpr uint64_t kEach = 0x0101010101010101, kHighest = kEach * 0x80;
  uint64_t high = 0;
  for (uint64_t word; run.size + sizeof word <= text.size(); run.size += sizeof word) {
    std::memcpy(&word, text.data() + run.size, sizeof word);
    const auto zeros = [](uint64_t w) { return (w - kEach) & ~w; };  // the lowest byte that is zero, in its highest bit
    const uint64_t found =
        (zeros(word ^ kEach * '"') | zeros(word ^ kEach * '\\') | ((word - kEach * 0x20) & ~word)) & kHighest;
    if (found == 0) {
      high |= word;
      continue;
    }
    const int before = std::countr_zero(found) / 8;
    run.size += static_cast<size_t>(before);
    high |= word & ~(~uint64_t{0} << 8 * before);
    run.ascii = __builtin_reduce_or(seen) < 0x80 && (high & kHighest) == 0;
    return run;
  }
  for (; run.size < text.size(); ++run.size) {
    const auto c = static_cast<unsigned char>(text[run.size]);
    if (c == '"' || c == '\\' || c < 0x20) break;
    high |= c;
  }
  run.ascii = __builtin_reduce_or(seen) < 0x80 && (high & kHighest) == 0;
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

}  // namespace

void JsonReader::read_string(std::string& out) {
  if (need() != '"') error("expected a string");
  ++at_;
  out.clear();
  while (true) {
    const size_t begin = at_;
    const Run plain = plain_run(text_.substr(at_));
    at_ += plain.size;
    if (at_ >= text_.size()) error("unterminated string");
    const std::string_view run = text_.substr(begin, plain.size);
    if (!plain.ascii && !is_utf8(run)) error("string is not valid UTF-8");
    out.append(run);
    const char c = text_[at_];
    if (c == '"') {
      ++at_;
      return;
    }
    if (c != '\\') error("control character in a string");
    if (at_ + 1 >= text_.size()) error("unterminated string");
    const char escape = text_[at_ + 1];
    at_ += 2;
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
        const std::optional<uint32_t> unit = hex4(text_.substr(at_));
        if (!unit) error("malformed \\u escape");
        at_ += 4;
        uint32_t character = *unit;
        if (character >= 0xD800 && character <= 0xDFFF) {
          // Half a surrogate pair is grammatical JSON but no character: it becomes U+FFFD.
          std::optional<uint32_t> second;
          if (character < 0xDC00 && text_.substr(at_, 2) == "\\u") second = hex4(text_.substr(at_ + 2));
          if (second && *second >= 0xDC00 && *second <= 0xDFFF) {
            character = 0x10000 + ((character - 0xD800) << 10) + (*second - 0xDC00);
            at_ += 6;
          } else {
            character = kReplacement;
          }
        }
        append_utf8(out, character);
        break;
      }
      default:
        error("unknown escape in a string");
    }
  }
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
  switch (peek()) {
    case Token::kNull:
      read_null();
      return;
    case Token::kBool:
      read_bool();
      return;
    case Token::kNumber:
      read_number();
      return;
    case Token::kString: {
      std::string ignored;
      read_string(ignored);
      return;
    }
    case Token::kArray:
      begin_array();
      while (next_element()) skip_value();
      return;
    case Token::kObject: {
      std::string ignored;
      begin_object();
      while (next_key(ignored)) skip_value();
      return;
    }
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
