// Zstandard streams in memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace virga {

// Throws std::runtime_error when it is damaged or more than `most` bytes come out.
std::string unzstd(std::string_view bytes, uint64_t most);

}  // namespace virga
