#include "services/dynamodb/ion.h"

#include <algorithm>
#include <cstdint>

#include "base/encoding.h"
#include "base/str.h"
#include "base/utf8.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/limits.h"

namespace virga::dynamodb {

namespace {

bool starts_identifier(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool in_identifier(char c) { return starts_identifier(c) || is_digit(c); }

// Names that need no quotes. Those that begin with a dollar could be the format's own.
bool is_plain(std::string_view name) {
  return !name.empty() && starts_identifier(name[0]) && name[0] != '$' &&
         std::all_of(name.begin(), name.end(), in_identifier) && name != "null" && name != "true" && name != "false" &&
         name != "nan";
}

void append_quoted(std::string& out, std::string_view text, char quote) {
  out += quote;
  for (const char c : text) {
    if (c == quote || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      append(out, "\\x", hex_encode(std::string_view(&c, 1)));
    } else {
      out += c;
    }
  }
  out += quote;
}

void append_decimal(std::string& out, const Number& number) {
  const size_t at = out.size();
  number.append_text(out);
  if (out.find('.', at) == std::string::npos) out += '.';
}

void append_blob(std::string& out, std::string_view bytes) { append(out, "{{", base64_encode(bytes), "}}"); }

template <class Each>
void append_list(std::string& out, size_t size, Each each) {
  out += '[';
  for (size_t i = 0; i < size; ++i) {
    if (i) out += ',';
    each(i);
  }
  out += ']';
}

// Reads values in place. Every fault is a ValidationException.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Item item() {
    skip_blanks();
    if (text_.substr(at_).starts_with("$ion_1_0")) at_ += 8;
    std::optional<std::string> found;
    expect('{');
    members([&](const std::string& name) {
      std::string ignored;
      if (name == "Item") {
        found.emplace();
        skip_blanks();
        if (peek() != '{' || at(1) == '{') refuse("Item is no struct");
        ++at_;
        map(*found, 0);
      } else {
        value(ignored, 1);
      }
    });
    skip_blanks();
    if (at_ != text_.size()) refuse("something follows the struct");
    if (!found) refuse("it has no Item");
    return Item::of_bytes(std::move(*found));
  }

 private:
  [[noreturn]] static void refuse(std::string_view what) {
    throw validation(cat("The Ion record is malformed: ", what));
  }

  char at(size_t ahead) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  char peek() const { return at(0); }
  char next() {
    if (at_ >= text_.size()) refuse("it ends too early");
    return text_[at_++];
  }
  void skip_blanks() {
    while (at_ < text_.size()) {
      if (is_space(peek())) {
        ++at_;
      } else if (peek() == '/' && at(1) == '*') {
        const size_t end = text_.find("*/", at_ + 2);
        if (end == std::string_view::npos) refuse("a comment does not end");
        at_ = end + 2;
      } else if (peek() == '/' && at(1) == '/') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else {
        return;
      }
    }
  }
  static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
  void expect(char c) {
    skip_blanks();
    if (next() != c) refuse(cat("'", std::string(1, c), "' was expected"));
  }
  bool take(char c) {
    skip_blanks();
    if (peek() != c) return false;
    ++at_;
    return true;
  }

  // Of a struct whose brace is read.
  template <class Each>
  void members(Each each) {
    while (!take('}')) {
      const std::string name = field_name();
      expect(':');
      each(name);
      if (!take(',') && peek() != '}') refuse("a struct's fields need commas between them");
    }
  }
  std::string field_name() {
    skip_blanks();
    if (peek() == '"' || peek() == '\'') return quoted();
    return word();
  }
  std::string word() {
    const size_t begin = at_;
    if (!starts_identifier(peek())) refuse("a name was expected");
    while (in_identifier(peek())) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  uint32_t hex(size_t digits) {
    uint32_t code = 0;
    for (size_t i = 0; i < digits; ++i) {
      const char c = next(), small = static_cast<char>(c | 32);
      if (!is_digit(c) && (small < 'a' || small > 'f')) refuse("an escape has other than hexadecimal digits");
      code = code << 4 | static_cast<uint32_t>(is_digit(c) ? c - '0' : small - 'a' + 10);
    }
    return code;
  }
  void append_escaped(std::string& out, size_t digits) {
    uint32_t code = hex(digits);
    // Two units of UTF-16 make one character.
    if (digits == 4 && code >> 10 == 0x36 && peek() == '\\' && at(1) == 'u') {
      at_ += 2;
      code = 0x10000 + ((code & 0x3FF) << 10) + (hex(4) & 0x3FF);
    }
    if (code > 0x10FFFF) refuse("an escape is no character");
    append_utf8(out, code);
  }
  void escape(std::string& out) {
    const char c = next();
    constexpr std::string_view kFrom = "abtnfrv0\"'/\\?", kTo{"\a\b\t\n\f\r\v\0\"'/\\?", 13};
    if (const size_t i = kFrom.find(c); i != std::string_view::npos) {
      out += kTo[i];
    } else if (c == 'x') {
      append_escaped(out, 2);
    } else if (c == 'u') {
      append_escaped(out, 4);
    } else if (c == 'U') {
      append_escaped(out, 8);
    } else if (c != '\n') {  // a line that goes on
      refuse("an escape is unknown");
    }
  }
  std::string quoted() {
    const char quote = next();
    std::string out;
    for (char c = next(); c != quote; c = next()) {
      if (c == '\\') {
        escape(out);
      } else {
        out += c;
      }
    }
    if (!is_utf8(out)) refuse("a text is not UTF-8");
    return out;
  }

  void blob(std::string& out) {
    const size_t end = text_.find("}}", at_);
    if (end == std::string_view::npos) refuse("a blob does not end");
    std::string digits(text_.substr(at_, end - at_));
    std::erase_if(digits, is_space);
    const auto bytes = base64_decode(digits);
    if (!bytes) refuse("a blob is not base64");
    at_ = end + 2;
    out += *bytes;
  }

  Number number() {
    const size_t begin = at_;
    if (peek() == '-') ++at_;
    if (!is_digit(peek())) refuse("a value was expected");
    std::string text(text_.substr(begin, at_ - begin));
    while (is_digit(peek()) || peek() == '_' || peek() == '.') {
      if (peek() != '_') text += peek();
      ++at_;
    }
    if ((peek() | 32) == 'd' || (peek() | 32) == 'e') {
      text += 'E';
      ++at_;
      if (peek() == '-' || peek() == '+') text += next();
      while (is_digit(peek())) text += next();
    }
    // Dates and numbers of other bases go on otherwise.
    if (in_identifier(peek()) || peek() == '-' || peek() == ':')
      refuse("a value is neither number, text, blob nor container");
    if (text.ends_with('.')) text.pop_back();
    if (const size_t dot = text.find(".E"); dot != std::string::npos) text.erase(dot, 1);
    const auto parsed = Number::parse(text);
    if (!parsed) throw validation(message_of(parsed.error(), text));
    return *parsed;
  }

  void map(std::string& out, int depth) {
    std::vector<std::pair<std::string, std::string>> entries;
    members([&](const std::string& name) {
      if (name.size() > kMaxAttributeName) refuse("an attribute's name is too long");
      std::string bytes;
      value(bytes, depth + 1);
      entries.emplace_back(name, std::move(bytes));
    });
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    ContainerBuilder builder;
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i + 1 < entries.size() && entries[i].first == entries[i + 1].first) refuse("an attribute is there twice");
      builder.add_entry(entries[i].first, entries[i].second);
    }
    builder.finish('M', out);
  }

  void set(std::string& out, std::string_view annotation) {
    const Type type = annotation == "$dynamodb_SS"   ? Type::kSS
                      : annotation == "$dynamodb_NS" ? Type::kNS
                      : annotation == "$dynamodb_BS" ? Type::kBS
                                                     : (refuse("an annotation is unknown"), Type::kSS);
    expect('[');
    std::vector<std::string> elements;
    while (!take(']')) {
      skip_blanks();
      std::string& element = elements.emplace_back();
      if (type == Type::kSS && peek() == '"') {
        element = quoted();
      } else if (type == Type::kNS) {
        number().append_key(element);
      } else if (type == Type::kBS && peek() == '{' && at(1) == '{') {
        at_ += 2;
        blob(element);
      } else {
        refuse("a set holds something else than it says");
      }
      if (!take(',') && peek() != ']') refuse("a list's elements need commas between them");
    }
    std::vector<std::string_view> views(elements.begin(), elements.end());
    std::sort(views.begin(), views.end());
    if (views.empty() || std::adjacent_find(views.begin(), views.end()) != views.end())
      refuse("a set is empty or has an element twice");
    append_set(out, type, std::move(views));
  }

  void value(std::string& out, int depth) {
    if (depth > kMaxNesting) refuse("it is nested too deeply");
    skip_blanks();
    const char c = peek();
    if (c == '"') {
      append_string(out, quoted());
    } else if (c == '{' && at(1) == '{') {
      at_ += 2;
      std::string bytes;
      blob(bytes);
      append_binary(out, bytes);
    } else if (c == '{') {
      ++at_;
      map(out, depth);
    } else if (c == '[') {
      ++at_;
      ContainerBuilder builder;
      while (!take(']')) {
        value(builder.data(), depth + 1);
        builder.end_element();
        if (!take(',') && peek() != ']') refuse("a list's elements need commas between them");
      }
      builder.finish('L', out);
    } else if (c == '\'' || starts_identifier(c)) {
      const bool plain = c != '\'';
      const std::string text = plain ? word() : quoted();
      skip_blanks();
      if (peek() == ':' && at(1) == ':') {
        at_ += 2;
        set(out, text);
      } else if (plain && text == "null") {
        if (peek() == '.') {  // of whatever type
          ++at_;
          word();
        }
        append_null(out);
      } else if (plain && (text == "true" || text == "false")) {
        append_boolean(out, text == "true");
      } else {
        refuse("a symbol is no value");
      }
    } else {
      append_number(out, number());
    }
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

void append_ion(std::string& out, View value) {
  switch (value.type()) {
    case Type::kS:
      return append_quoted(out, value.content(), '"');
    case Type::kN:
      return append_decimal(out, value.number());
    case Type::kB:
      return append_blob(out, value.content());
    case Type::kBool:
      append(out, value.boolean() ? "true" : "false");
      return;
    case Type::kNull:
      append(out, "null");
      return;
    case Type::kSS:
      out += "$dynamodb_SS::";
      return append_list(out, value.size(), [&](size_t i) { append_quoted(out, value.element(i), '"'); });
    case Type::kNS:
      out += "$dynamodb_NS::";
      return append_list(out, value.size(), [&](size_t i) { append_decimal(out, Number::from_key(value.element(i))); });
    case Type::kBS:
      out += "$dynamodb_BS::";
      return append_list(out, value.size(), [&](size_t i) { append_blob(out, value.element(i)); });
    case Type::kL:
      return append_list(out, value.size(), [&](size_t i) { append_ion(out, value.at(i)); });
    case Type::kM:
      return append_ion_struct(out, value);
  }
}

void append_ion_struct(std::string& out, View map) {
  bool first = true;
  out += '{';
  map.for_each([&](std::string_view name, View value) {
    if (!std::exchange(first, false)) out += ',';
    if (is_plain(name)) {
      out += name;
    } else {
      append_quoted(out, name, '\'');
    }
    out += ':';
    append_ion(out, value);
  });
  out += '}';
}

Item read_ion_item(std::string_view line) { return Reader(line).item(); }

}  // namespace virga::dynamodb
