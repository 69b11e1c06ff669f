// Composing keys whose byte order is the order of their parts. Every service's keys start with its own tag, so no two
// services share a key: KeyWriter("ddb").text(account).text(region).text(table).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"

namespace virga::kv {

class KeyWriter {
 public:
  explicit KeyWriter(std::string_view tag) { text(tag); }
  // Text or bytes of any content: 0x00 becomes 0x00 0xFF, and 0x00 0x01 ends it, so that no part is a prefix of
  // another.
  KeyWriter& text(std::string_view part);
  KeyWriter& u8(uint8_t v);
  KeyWriter& u32(uint32_t v);
  KeyWriter& u64(uint64_t v);
  KeyWriter& time(Time t) { return u64(static_cast<uint64_t>(t.micros) ^ (1ull << 63)); }
  KeyWriter& raw(std::string_view bytes);  // the last part: not delimited
  std::string take() { return std::move(key_); }
  const std::string& view() const { return key_; }
  operator std::string() const { return key_; }

 private:
  std::string key_;
};

// Takes a key apart in the same order. Throws std::runtime_error on a key that does not fit: damage.
class KeyReader {
 public:
  explicit KeyReader(std::string_view key) : rest_(key) {}
  std::string text();
  uint8_t u8();
  uint32_t u32();
  uint64_t u64();
  Time time() { return {static_cast<int64_t>(u64() ^ (1ull << 63))}; }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

}  // namespace virga::kv
