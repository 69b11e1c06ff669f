// The standard words for an HTTP status.
#pragma once

#include <string_view>

namespace virga {

std::string_view http_reason(int status);  // never empty

}  // namespace virga
