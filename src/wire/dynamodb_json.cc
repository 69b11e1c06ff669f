#include "wire/dynamodb_json.h"

#include "base/encoding.h"
#include "base/error.h"
#include "base/str.h"

namespace virga::wire::dynamodb_json {

namespace {

using Token = JsonReader::Token;
constexpr ErrorShape kSerialization{"SerializationException"};
constexpr std::string_view kUnexpectedMap = "Start of structure or map found where not expected";
constexpr std::string_view kField = "Unexpected field type";
// What a cast of AWS's own says that fails.
constexpr std::string_view kCast =
    "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class "
    "(sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base of "
    "loader 'bootstrap')";

void expect_object(JsonReader& in, std::string_view type, std::string_view of_scalar) {
  const Token token = in.peek();
  if (token == Token::kObject) return;
  if (token == Token::kArray) refuse(cat("Unrecognized collection type ", type));
  refuse(std::string(of_scalar));
}

}  // namespace

void refuse(std::string message) { throw Error{&kSerialization, std::move(message), nullptr, {}}; }

void refuse_scalar(JsonReader& in, std::string_view type) {
  const auto cannot = [&](std::string_view what) { refuse(cat(what, "_VALUE cannot be converted to ", type)); };
  switch (in.peek()) {
    case Token::kArray:
      refuse(cat("Unrecognized collection type class java.", type == "ByteBuffer" ? "nio." : "lang.", type));
    case Token::kObject:
      refuse(std::string(kUnexpectedMap));
    case Token::kBool:
      if (type == "ByteBuffer") break;
      cannot(in.read_bool() ? "TRUE" : "FALSE");
      break;
    case Token::kNumber:
      if (type == "ByteBuffer") break;
      cannot(in.read_number().find_first_of(".eE") == std::string_view::npos ? "NUMBER" : "DECIMAL");
      break;
    case Token::kString:
    case Token::kNull:
      cannot("STRING");
  }
  refuse("only base-64-encoded strings are convertible to bytes");
}

void expect_list(JsonReader& in, bool nested) {
  const Token token = in.peek();
  if (token == Token::kArray) return;
  refuse(std::string(token == Token::kObject ? kUnexpectedMap : nested ? kCast : kField));
}

void expect_map(JsonReader& in, std::string_view type, bool nested) {
  expect_object(in, type, nested ? kCast : kField);
}

void expect_structure(JsonReader& in, std::string_view type, bool nested) {
  expect_object(in, type, nested ? "Unexpected value type in payload" : kField);
}

bool read_boolean(JsonReader& in) {
  if (in.peek() == Token::kBool) return in.read_bool();
  if (in.peek() != Token::kString) refuse_scalar(in, "Boolean");
  std::string text;
  in.read_string(text);
  text = upper(text);
  if (text == "TRUE" || text == "1" || text == "YES") return true;
  if (text == "FALSE" || text == "0" || text == "NO") return false;
  refuse("Unexpected token received from parser");
}

namespace {
// Whether the last character before the padding has no bits but those that belong to the last byte.
bool ends_well(std::string_view base64) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const size_t last = base64.find_last_not_of('=');
  if (last == std::string_view::npos) return base64.empty();
  const size_t spare = base64.size() - last == 3 ? 15 : base64.size() - last == 2 ? 3 : 0;
  return (kDigits.find(base64[last]) & spare) == 0;
}
}  // namespace

void read_blob(JsonReader& in, std::string& out) {
  if (in.peek() != Token::kString) refuse_scalar(in, "ByteBuffer");
  std::string text;
  in.read_string(text);
  auto bytes = base64_decode(text);
  if (bytes && ends_well(text)) {
    out = std::move(*bytes);
  } else if (text.size() % 4 != 0) {
    refuse(cat("Base64 encoded length is expected a multiple of 4 bytes but found: ", text.size()));
  } else {
    refuse("Invalid last non-pad Base64 character dectected");
  }
}

}  // namespace virga::wire::dynamodb_json
