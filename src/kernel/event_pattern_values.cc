// Values as patterns compare them: numbers, addresses, folded case, wildcards.
#include <arpa/inet.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/str.h"
#include "kernel/event_pattern_rule.h"

namespace virga::kernel::pattern {
namespace {

// A decimal number as its digits without zeros at either end, and the power of ten of the last one.
struct Decimal {
  std::string digits;
  int64_t exponent = 0;
  bool operator==(const Decimal&) const = default;
};

Decimal decimal(std::string_view text) {
  Decimal out;
  if (!text.empty() && text[0] == '-') text.remove_prefix(1);
  bool fraction = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.') {
      fraction = true;
    } else if (c == 'e' || c == 'E') {
      std::string_view rest = text.substr(i + 1);
      if (!rest.empty() && rest[0] == '+') rest.remove_prefix(1);
      int64_t exponent = 0;
      std::from_chars(rest.data(), rest.data() + rest.size(), exponent);
      out.exponent += exponent;
      break;
    } else {
      out.digits += c;
      if (fraction) --out.exponent;
    }
  }
  const size_t first = out.digits.find_first_not_of('0');
  if (first == std::string::npos) return {};
  out.digits.erase(0, first);
  const size_t last = out.digits.find_last_not_of('0');
  out.exponent += static_cast<int64_t>(out.digits.size() - 1 - last);
  out.digits.resize(last + 1);
  return out;
}

// Code points whose capital and small letters are neighbours or lie a fixed distance apart.
uint32_t fold(uint32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  if (c >= 0xC0 && c <= 0xDE && c != 0xD7) return c + 32;
  if ((c >= 0x100 && c <= 0x12F) || (c >= 0x132 && c <= 0x137) || (c >= 0x14A && c <= 0x177)) return c | 1;
  if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E)) return c % 2 ? c + 1 : c;
  if (c == 0x178) return 0xFF;
  if (c >= 0x391 && c <= 0x3AB && c != 0x3A2) return c + 32;
  if (c == 0x3C2) return 0x3C3;  // the sigma that ends a word
  if (c >= 0x410 && c <= 0x42F) return c + 32;
  if (c >= 0x400 && c <= 0x40F) return c + 80;
  if (c >= 0x460 && c <= 0x481) return c | 1;
  if (c >= 0x531 && c <= 0x556) return c + 48;
  if (c >= 0x1E00 && c <= 0x1EFF && (c < 0x1E96 || c > 0x1E9F)) return c | 1;
  if (c >= 0xFF21 && c <= 0xFF3A) return c + 32;
  return c;
}

}  // namespace

std::optional<double> comparable_number(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number)) return std::nullopt;
  // Up to 15 digits survive the way into a double and back.
  if (text.size() <= 15 && number != 0) return number;
  char shortest[32];
  const auto written = std::to_chars(shortest, shortest + sizeof shortest, number);
  if (!(decimal(text) == decimal({shortest, static_cast<size_t>(written.ptr - shortest)}))) return std::nullopt;
  return number + 0.0;  // no negative zero
}

Key order_key(double number) {
  const uint64_t bits = std::bit_cast<uint64_t>(number + 0.0);
  const uint64_t ordered = bits >> 63 ? ~bits : bits | (uint64_t{1} << 63);
  return Key{ordered};
}

std::optional<Address> parse_address(std::string_view text) {
  char terminated[64];
  if (text.size() < 2 || text.size() > 45) return std::nullopt;
  for (char c : text) {
    const bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (!digit && c != '.' && c != ':') return std::nullopt;
  }
  std::memcpy(terminated, text.data(), text.size());
  terminated[text.size()] = 0;
  unsigned char bytes[16];
  Address out;
  size_t size = 4;
  if (inet_pton(AF_INET6, terminated, bytes) == 1) {
    out.v6 = true;
    size = 16;
  } else if (inet_pton(AF_INET, terminated, bytes) != 1) {
    return std::nullopt;
  }
  for (size_t i = 0; i < size; ++i) out.key = out.key << 8 | bytes[i];
  return out;
}

std::string fold_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      out += static_cast<char>(fold(c));
      ++i;
      continue;
    }
    const size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (length == 4 || i + length > text.size()) {
      out += text[i++];
      continue;
    }
    uint32_t point = c & (length == 2 ? 0x1F : 0x0F);
    for (size_t k = 1; k < length; ++k) point = point << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3F);
    const uint32_t folded = fold(point);
    if (folded == point) {
      out.append(text.substr(i, length));
    } else if (folded < 0x800) {
      out += static_cast<char>(0xC0 | folded >> 6);
      out += static_cast<char>(0x80 | (folded & 0x3F));
    } else {
      out += static_cast<char>(0xE0 | folded >> 12);
      out += static_cast<char>(0x80 | (folded >> 6 & 0x3F));
      out += static_cast<char>(0x80 | (folded & 0x3F));
    }
    i += length;
  }
  return out;
}

bool Wildcard::matches(std::string_view text) const {
  const std::string& first = pieces.front();
  if (pieces.size() == 1) return text == first;
  const std::string& last = pieces.back();
  if (text.size() < first.size() + last.size() || !text.starts_with(first) || !text.ends_with(last)) return false;
  text = text.substr(first.size(), text.size() - first.size() - last.size());
  // Taking each piece where it first occurs leaves the most for the rest. memmem's time is linear whatever the piece.
  for (size_t i = 1; i + 1 < pieces.size(); ++i) {
    const std::string& piece = pieces[i];
    if (piece.empty()) continue;
    const void* found = memmem(text.data(), text.size(), piece.data(), piece.size());
    if (!found) return false;
    text.remove_prefix(static_cast<size_t>(static_cast<const char*>(found) - text.data()) + piece.size());
  }
  return true;
}

}  // namespace virga::kernel::pattern
