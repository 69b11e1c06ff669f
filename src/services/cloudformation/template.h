// Reading templates: YAML 1.1 or JSON text to a Json value, and the checks that need the text alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace virga::cloudformation {

// The template as a value; the order of keys is kept. YAML's short tags become the functions they stand for
// (!GetAtt a.b → {"Fn::GetAtt": ["a", "b"]}). Throws format_error on text that is neither, and beyond the limits.
// Scalars become booleans and numbers only when nothing is lost: 012345678901 and 1.10 stay text.
Json parse_template(std::string_view text);

// Throws what AWS answers for a template whose structure is wrong: sections, resources and their properties,
// parameters, outputs, references to nothing, cycles.
void check_template(const Json& root);

// The names in Transform, in order.
std::vector<std::string> transforms_of(const Json& root);

// The section as an object, or an empty object.
const Json::Object& section(const Json& root, std::string_view name);

}  // namespace virga::cloudformation
