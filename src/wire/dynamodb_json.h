// How DynamoDB reads JSON values: what it says of one that has the wrong type (a SerializationException that names
// Java's types), and what it takes for a boolean. The other services' words are in json_shape.cc.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace virga::wire::dynamodb_json {

[[noreturn]] void refuse(std::string message);
// The next value is none of Java's `type`: "String".
[[noreturn]] void refuse_scalar(JsonReader& in, std::string_view type);
// Before the brackets of a container. `type`: as Java calls a map or structure, "class x.y.Z"; `nested`: it is an
// element or a map's value.
void expect_list(JsonReader& in, bool nested);
void expect_map(JsonReader& in, std::string_view type, bool nested);
void expect_structure(JsonReader& in, std::string_view type, bool nested);
bool read_boolean(JsonReader& in);
void read_blob(JsonReader& in, std::string& out);

}  // namespace virga::wire::dynamodb_json
