#include "services/cloudformation/cidr.h"

#include "base/str.h"

namespace virga::cloudformation {

std::optional<std::vector<std::string>> cidr_blocks(std::string_view block, int64_t count, int64_t bits) {
  const auto [address, length_text] = split_once(block, '/');
  const auto length = parse_int(length_text);
  const auto octets = split(address, '.');
  if (!length || *length < 0 || *length > 32 || octets.size() != 4) return std::nullopt;
  if (count < 1 || count > 256 || bits < 1 || bits > 31 || 32 - bits < *length) return std::nullopt;
  uint64_t base = 0;
  for (const std::string_view octet : octets) {
    const auto n = parse_int(octet);
    if (!n || *n < 0 || *n > 255) return std::nullopt;
    base = base << 8 | static_cast<uint64_t>(*n);
  }
  const uint64_t size = uint64_t{1} << bits, room = uint64_t{1} << (32 - *length);
  base &= ~(room - 1);
  if (size * static_cast<uint64_t>(count) > room) return std::nullopt;
  std::vector<std::string> out;
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t at = base + size * static_cast<uint64_t>(i);
    out.push_back(cat(at >> 24, ".", at >> 16 & 255, ".", at >> 8 & 255, ".", at & 255, "/", 32 - bits));
  }
  return out;
}

}  // namespace virga::cloudformation
