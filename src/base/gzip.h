// Gzip streams in memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace virga {

std::string gzip(std::string_view bytes);
// Throws std::runtime_error when it is damaged or more than `most` bytes come out.
std::string gunzip(std::string_view bytes, uint64_t most);

}  // namespace virga
