// The wire forms of values and items: JSON and CBOR straight to and from the encoding of attribute_value.h. A value
// that AWS would refuse is kept as malformed with AWS's message, because parameters are judged in AWS's order, later.
#pragma once

#include <string>

#include "base/json.h"
#include "services/dynamodb/attribute_value.h"
#include "wire/shape.h"

namespace virga::dynamodb {

extern const wire::CustomInfo kAttributeValueInfo;  // of an AttributeValue
extern const wire::CustomInfo kItemInfo;            // of an Item

void write_json(JsonWriter& out, View value);      // {"S":"…"}
void write_json_item(JsonWriter& out, View item);  // {"name":{"S":"…"},…}
// Throws JsonError on what is no JSON, and SerializationException on a value of the wrong JSON type.
Item read_json_item(JsonReader& in);

}  // namespace virga::dynamodb
