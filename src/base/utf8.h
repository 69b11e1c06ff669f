// Characters as UTF-8.
#pragma once

#include <cstdint>
#include <string>

namespace virga {

void append_utf8(std::string& out, uint32_t character);

}  // namespace virga
