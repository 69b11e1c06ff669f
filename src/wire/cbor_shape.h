// Values by shape as CBOR.
#pragma once

#include <string>

#include "base/cbor.h"
#include "base/json.h"
#include "wire/findings.h"
#include "wire/shape.h"

namespace virga::wire {

void write_cbor_document(CborWriter& out, const Json& value);
void write_cbor(CborWriter& out, const Shape& shape, const void* value);
// `value` is default-constructed. Throws BadInput and CborError.
void read_cbor(CborReader& in, const Shape& shape, void* value, const Path& at, Findings& findings);

}  // namespace virga::wire
