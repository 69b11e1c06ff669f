#include "kv/record.h"

namespace virga::kv::detail {

void put_varint(std::string& out, uint64_t v) {
  while (v >= 0x80) {
    out += static_cast<char>(v | 0x80);
    v >>= 7;
  }
  out += static_cast<char>(v);
}

uint64_t get_varint(std::string_view& in) {
  uint64_t v = 0;
  for (int shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(in[0]);
    in.remove_prefix(1);
    v |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return v;
  }
  throw std::runtime_error("damaged record: a number has no end");
}

std::string_view get_bytes(std::string_view& in) {
  const uint64_t size = get_varint(in);
  if (size > in.size()) throw std::runtime_error("damaged record: a field ends early");
  const std::string_view bytes = in.substr(0, size);
  in.remove_prefix(size);
  return bytes;
}

}  // namespace virga::kv::detail
