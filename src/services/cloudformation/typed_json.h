// Typed values from and to a template's JSON (kernel/typed_json.h), with CloudFormation's error for what doesn't fit.
#pragma once

#include <string>

#include "kernel/typed_json.h"
#include "services/cloudformation/refusal.h"

namespace virga::cloudformation {

using kernel::find_member;
using kernel::read;
using kernel::TypedValue;

// Fills the default-constructed `out` (of `shape`). Throws validation_error.
inline void fill(const wire::Shape& shape, const Json& value, void* out, const std::string& path = "#") {
  try {
    kernel::fill(shape, value, out, path);
  } catch (const kernel::TypedJsonError& e) {
    throw validation_error(e.what());
  }
}

}  // namespace virga::cloudformation
