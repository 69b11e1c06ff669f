#include "kv/key.h"

#include <stdexcept>

#include "base/encoding.h"

namespace virga::kv {

KeyWriter& KeyWriter::text(std::string_view part) {
  for (size_t zero; (zero = part.find('\0')) != std::string_view::npos; part.remove_prefix(zero + 1)) {
    key_.append(part.substr(0, zero));
    key_.append("\0\xff", 2);
  }
  key_.append(part);
  key_.append("\0\1", 2);
  return *this;
}

KeyWriter& KeyWriter::u8(uint8_t v) {
  key_ += static_cast<char>(v);
  return *this;
}

KeyWriter& KeyWriter::u32(uint32_t v) {
  append_be32(key_, v);
  return *this;
}

KeyWriter& KeyWriter::u64(uint64_t v) {
  append_be64(key_, v);
  return *this;
}

KeyWriter& KeyWriter::raw(std::string_view bytes) {
  key_.append(bytes);
  return *this;
}

namespace {
std::string_view take(std::string_view& rest, size_t count) {
  if (rest.size() < count) throw std::runtime_error("damaged key: it ends early");
  const std::string_view taken = rest.substr(0, count);
  rest.remove_prefix(count);
  return taken;
}
}  // namespace

std::string KeyReader::text() {
  std::string out;
  while (true) {
    const size_t zero = rest_.find('\0');
    if (zero == std::string_view::npos || zero + 1 == rest_.size()) {
      throw std::runtime_error("damaged key: a text has no end");
    }
    const char next = rest_[zero + 1];
    out.append(rest_.substr(0, zero));
    rest_.remove_prefix(zero + 2);
    if (next == '\1') return out;
    if (next != '\xff') throw std::runtime_error("damaged key: an unknown escape");
    out += '\0';
  }
}

uint8_t KeyReader::u8() { return static_cast<uint8_t>(take(rest_, 1)[0]); }
uint32_t KeyReader::u32() { return read_be32(take(rest_, 4).data()); }
uint64_t KeyReader::u64() { return read_be64(take(rest_, 8).data()); }

}  // namespace virga::kv
