#include "base/id.h"

#include <bit>
#include <cstring>

#include "base/crypto.h"
#include "base/encoding.h"

namespace virga {

std::string uuid() {
  std::string bytes = random_bytes(16);
  bytes[6] = static_cast<char>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3F) | 0x80);
  std::string out;
  out.reserve(36);
  const std::string_view all = bytes;
  for (const auto& [from, count] : {std::pair{0, 4}, {4, 2}, {6, 2}, {8, 2}, {10, 6}}) {
    if (from > 0) out += '-';
    append_hex(out, all.substr(from, count));
  }
  return out;
}

std::string random_id(size_t length, std::string_view alphabet) {
  // Bytes past the largest power of two that covers the alphabet are masked off, those past its end rejected: no bias.
  const unsigned mask = std::bit_ceil(static_cast<unsigned>(alphabet.size())) - 1;
  std::string out;
  out.reserve(length);
  while (out.size() < length) {
    for (const char c : random_bytes(length + 8)) {
      const unsigned index = static_cast<unsigned char>(c) & mask;
      if (index < alphabet.size() && out.size() < length) out += alphabet[index];
    }
  }
  return out;
}

std::string random_lower_alnum(size_t length) { return random_id(length, "abcdefghijklmnopqrstuvwxyz0123456789"); }
std::string random_upper_alnum(size_t length) { return random_id(length, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"); }

uint64_t random_u64() {
  // splitmix64 from a random start, one for each thread.
  thread_local uint64_t state = [] {
    uint64_t seed;
    std::memcpy(&seed, random_bytes(sizeof seed).data(), sizeof seed);
    return seed;
  }();
  uint64_t z = state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace virga
