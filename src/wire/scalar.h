// Simple values as bare text: in headers, paths, query strings, forms and XML.
#pragma once

#include <string>
#include <string_view>

#include "wire/findings.h"
#include "wire/shape.h"

namespace virga::wire {

bool is_scalar(const Shape& shape);
// `format`: of a timestamp that says nothing itself.
std::string scalar_text(const Shape& shape, const void* value, TimestampFormat format);
// Throws BadInput when `text` is no such value; an unknown enumerator is a finding. A timestamp may have any format:
// clients send all of them, whatever the model says.
void read_scalar(const Shape& shape, std::string_view text, void* value, const Path& at, Findings& findings);

}  // namespace virga::wire
