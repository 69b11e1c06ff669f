// Short ways to write items in tests.
#pragma once

#include <string>
#include <string_view>

#include "services/dynamodb/attribute_codec.h"
#include "services/dynamodb/attribute_value.h"

namespace virga::dynamodb {

// An item from its wire form, with ' for " to keep tests readable.
inline Item item_of(std::string json) {
  for (char& c : json) c = c == '\'' ? '"' : c;
  JsonReader in(json);
  Item item = read_json_item(in);
  in.end();
  return item;
}
inline std::string json_of(View item) {
  std::string out;
  JsonWriter writer(out);
  write_json_item(writer, item);
  for (char& c : out) c = c == '"' ? '\'' : c;
  return out;
}
// The message of the Error that `f` throws; "no error" when it throws none.
template <class F>
std::string refusal(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error.message;
  }
  return "no error";
}

}  // namespace virga::dynamodb
