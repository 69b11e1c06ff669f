// Any text as any kind of expression, over a fixed item: nothing but a ValidationException may come out. The first byte
// chooses the kind; also, any bytes read as an encoded value give an answer or a std::runtime_error.
#include <cstdint>
#include <stdexcept>
#include <string_view>

#include "base/json.h"
#include "services/dynamodb/attribute_codec.h"
#include "services/dynamodb/expression.h"
#include "services/dynamodb/update.h"

using namespace virga;
using namespace virga::dynamodb;

namespace {
Item item_of(std::string_view json) {
  JsonReader in(json);
  return read_json_item(in);
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::map<std::string, std::string> names = {{"#a", "a"}, {"#b", "a.b"}};
  static const Item values =
      item_of(R"({":n":{"N":"1.5"},":s":{"S":"x"},":l":{"L":[{"S":"y"}]},":ss":{"SS":["a","b"]}})");
  static const Item item =
      item_of(R"({"a":{"M":{"b":{"L":[{"N":"1"},{"S":"z"}]}}},"n":{"N":"3"},"s":{"SS":["b"]},"x":{"B":"AAA="}})");
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    Placeholders placeholders(&names, &values);
    switch (data[0] % 4) {
      case 0:
        (void)holds(parse_condition(text, ExpressionKind::kCondition, placeholders), item);
        break;
      case 1:
        (void)updated_item(parse_update(text, placeholders), item);
        break;
      case 2: {
        PathSet set;
        for (const Path& path : parse_projection(text, placeholders)) set.add(path);
        (void)set.project(item);
        break;
      }
      default: {
        std::string out;
        JsonWriter writer(out);
        write_json(writer, View(text));
      }
    }
  } catch (const Error&) {
  } catch (const std::runtime_error&) {
    if (data[0] % 4 != 3) throw;
  }
  return 0;
}
