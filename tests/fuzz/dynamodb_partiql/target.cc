// Any text as a PartiQL statement: nothing but an Error may come out, in bounded time and memory; what parses is
// evaluated over a fixed item.
#include <cstdint>
#include <string_view>

#include "base/json.h"
#include "services/dynamodb/attribute_codec.h"
#include "services/dynamodb/partiql.h"
#include "services/dynamodb/update.h"

using namespace virga;
using namespace virga::dynamodb;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Item item = [] {
    JsonReader in(R"({"p":{"S":"x"},"s":{"N":"1"},"a":{"L":[{"N":"1"}]},"m":{"M":{"b":{"SS":["y"]}}}})");
    return read_json_item(in);
  }();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (size > 8192) return 0;  // the model refuses it before
  std::vector<AttributeValue> parameters;
  for (const char c : text) {
    if (c == '?' && parameters.size() < 8) parameters.push_back(AttributeValue::string("x"));
  }
  try {
    const Statement statement = parse_statement(text, parameters);
    (void)key_in(statement, "p", "s");
    if (statement.where) (void)holds(*statement.where, item);
    if (const auto rest = rest_of(statement, "p", "s")) (void)holds(*rest, item);
    if (!statement.actions.empty()) (void)updated_item(statement.actions, item);
    PathSet set;
    for (const Path& path : statement.projection) set.add(path);
    (void)set.project(item);
  } catch (const Error&) {
  }
  return 0;
}
