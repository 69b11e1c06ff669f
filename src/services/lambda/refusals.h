// Errors in forms that the model has no constructor for.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace virga::lambda {

inline constexpr size_t kMaxSyncRequest = 6'291'456;  // bytes of an invocation's payload

[[noreturn]] void not_served(std::string_view what);
Error entity_too_large(std::string message);  // which the model does not list
Error untyped(Error error);                   // with null for the Type that AWS leaves out of some

}  // namespace virga::lambda
