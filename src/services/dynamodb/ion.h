// Items in Amazon Ion's text form, as exports write and imports read it: numbers are decimals, binary values blobs, and
// sets lists with the annotation $dynamodb_SS, $dynamodb_NS or $dynamodb_BS.
#pragma once

#include <string>
#include <string_view>

#include "services/dynamodb/attribute_value.h"

namespace virga::dynamodb {

void append_ion(std::string& out, View value);
// A map's content: {name:value,…}, of an item or a value of type M.
void append_ion_struct(std::string& out, View map);

// The item of a line `$ion_1_0 {Item:{…}}`. Throws ValidationException with what is wrong with it.
Item read_ion_item(std::string_view line);

}  // namespace virga::dynamodb
