// JSON: a value (Json), a pull reader for table-driven decoding, and a writer that appends to a string.
// Strict RFC 8259: UTF-8 checked, no trailing bytes, nesting at most kMaxJsonDepth, duplicate keys keep the last.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace virga {

inline constexpr int kMaxJsonDepth = 128;

// Malformed text: what was found, and where (a byte offset).
struct JsonError : std::runtime_error {
  size_t offset;
  JsonError(const std::string& what, size_t at) : std::runtime_error(what), offset(at) {}
};

// A value. Objects keep the order of their keys. Integers stay exact within int64; any other number is a double.
class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;
  enum class Type { kNull, kBool, kInt, kDouble, kString, kArray, kObject };

  Json() = default;
  Json(std::nullptr_t) {}
  Json(bool b) : value_(b) {}
  Json(int i) : value_(int64_t{i}) {}
  Json(unsigned i) : value_(int64_t{i}) {}
  Json(long i) : value_(int64_t{i}) {}
  Json(long long i) : value_(int64_t{i}) {}
  Json(unsigned long i) : value_(static_cast<int64_t>(i)) {}
  Json(double d) : value_(d) {}
  Json(std::string s) : value_(std::move(s)) {}
  Json(std::string_view s) : value_(std::string(s)) {}
  Json(const char* s) : value_(std::string(s)) {}
  Json(Array a) : value_(std::move(a)) {}
  Json(Object o) : value_(std::move(o)) {}
  static Json array() { return Json(Array{}); }
  static Json object() { return Json(Object{}); }
  static Json object(std::initializer_list<Member> members) { return Json(Object(members)); }

  Type type() const { return static_cast<Type>(value_.index()); }
  bool is_null() const { return type() == Type::kNull; }
  bool is_bool() const { return type() == Type::kBool; }
  bool is_int() const { return type() == Type::kInt; }
  bool is_number() const { return is_int() || type() == Type::kDouble; }
  bool is_string() const { return type() == Type::kString; }
  bool is_array() const { return type() == Type::kArray; }
  bool is_object() const { return type() == Type::kObject; }

  // The value as the type asked for; throws std::bad_variant_access when it is another.
  bool as_bool() const { return std::get<bool>(value_); }
  int64_t as_int() const { return std::get<int64_t>(value_); }
  double as_double() const { return is_int() ? static_cast<double>(as_int()) : std::get<double>(value_); }
  const std::string& as_string() const { return std::get<std::string>(value_); }
  const Array& as_array() const { return std::get<Array>(value_); }
  Array& as_array() { return std::get<Array>(value_); }
  const Object& as_object() const { return std::get<Object>(value_); }
  Object& as_object() { return std::get<Object>(value_); }

  // Object members. find: null when absent or when this is no object. operator[] on a null value makes an object.
  const Json* find(std::string_view key) const;
  Json* find(std::string_view key);
  Json& operator[](std::string_view key);
  bool erase(std::string_view key);
  // The string member `key`, or `otherwise` when it is absent or no string.
  std::string string_or(std::string_view key, std::string_view otherwise = "") const;
  void push_back(Json value);  // on an array, or on null, which becomes one

  bool operator==(const Json& other) const;  // objects compare without regard to order

  static Json parse(std::string_view text);  // throws JsonError
  std::string dump() const;                  // compact

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

// Pulls one document, token by token. Every function throws JsonError on malformed or mismatched input.
//   JsonReader r(text); r.begin_object(); std::string key; while (r.next_key(key)) … ; r.end();
class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}
  enum class Token { kNull, kBool, kNumber, kString, kArray, kObject };
  Token peek();  // what the next value is, without consuming it
  void read_null();
  bool read_bool();
  std::string_view read_number();  // its text, unparsed
  void read_string(std::string& out);
  void begin_object();
  bool next_key(std::string& key);  // false at the closing brace, which it consumes
  void begin_array();
  bool next_element();  // false at the closing bracket, which it consumes
  Json read_value();
  void skip_value();
  void end();  // nothing but white space may be left
  size_t offset() const { return at_; }

 private:
  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  bool first_ = false;  // just inside a bracket, before its first element
  [[noreturn]] void error(std::string_view what) const;
  void skip_space();
  char need();
  void expect(std::string_view literal);
  void enter();
};

// Appends compact JSON. Commas are its business; balance is the caller's.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}
  void begin_object();
  void end_object();
  void begin_array();
  void end_array();
  void key(std::string_view name);
  void null();
  void boolean(bool b);
  void integer(int64_t i);
  void real(double d);  // NaN and infinities as the strings AWS uses: "NaN", "Infinity", "-Infinity"
  void string(std::string_view s);
  void raw(std::string_view json);  // a value that is JSON already
  void value(const Json& v);

 private:
  std::string& out_;
  bool comma_ = false;
  void separate();
};

// `s` with quotes and escapes, as a JSON string.
void append_json_string(std::string& out, std::string_view s);

}  // namespace virga
