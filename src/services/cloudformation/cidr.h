// Dividing an IPv4 block into equal parts, as Fn::Cidr does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace virga::cloudformation {

// The first `count` (1 to 256) blocks of 2^bits addresses in `block` ("10.0.0.0/16"); nothing when they don't fit.
std::optional<std::vector<std::string>> cidr_blocks(std::string_view block, int64_t count, int64_t bits);

}  // namespace virga::cloudformation
