#include "base/encoding.h"

#include <zlib.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <array>
#include <cstring>

namespace virga {

namespace {

constexpr std::string_view kStandard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode64(std::string_view bytes, std::string_view alphabet, bool pad) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  size_t i = 0;
  const auto at = [&](size_t k) { return static_cast<uint32_t>(static_cast<unsigned char>(bytes[k])); };
  for (; i + 3 <= bytes.size(); i += 3) {
    const uint32_t v = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    const char four[4] = {alphabet[v >> 18], alphabet[v >> 12 & 63], alphabet[v >> 6 & 63], alphabet[v & 63]};
    out.append(four, 4);
  }
  if (const size_t left = bytes.size() - i; left > 0) {
    const uint32_t v = at(i) << 16 | (left == 2 ? at(i + 1) << 8 : 0);
    out += alphabet[v >> 18];
    out += alphabet[v >> 12 & 63];
    if (left == 2) out += alphabet[v >> 6 & 63];
    if (pad) out.append(3 - left, '=');
  }
  return out;
}

constexpr std::array<int8_t, 256> inverse_of(std::string_view alphabet) {
  std::array<int8_t, 256> table{};
  for (auto& entry : table) entry = -1;
  for (size_t i = 0; i < alphabet.size(); ++i) table[static_cast<unsigned char>(alphabet[i])] = static_cast<int8_t>(i);
  return table;
}
constexpr auto kStandardInverse = inverse_of(kStandard);
constexpr auto kUrlInverse = inverse_of(kUrl);

constexpr auto kHexPairs = [] {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<std::array<char, 2>, 256> table{};
  for (size_t i = 0; i < table.size(); ++i) table[i] = {kDigits[i >> 4], kDigits[i & 15]};
  return table;
}();

// `text` without padding.
std::optional<std::string> decode64(std::string_view text, const std::array<int8_t, 256>& inverse) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int v = inverse[static_cast<unsigned char>(c)];
    if (v < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(v);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count);
    }
  }
  return out;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

template <class Word, size_t Tables>
constexpr std::array<std::array<Word, 256>, Tables> crc_tables(Word polynomial) {
  std::array<std::array<Word, 256>, Tables> tables{};
  for (size_t i = 0; i < 256; ++i) {
    Word crc = static_cast<Word>(i);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) ? crc >> 1 ^ polynomial : crc >> 1;
    tables[0][i] = crc;
  }
  for (size_t k = 1; k < Tables; ++k) {
    for (size_t i = 0; i < 256; ++i) tables[k][i] = tables[k - 1][i] >> 8 ^ tables[0][tables[k - 1][i] & 0xFF];
  }
  return tables;
}

// Eight bytes a step.
template <class Word>
Word crc_sliced(const std::array<std::array<Word, 256>, 8>& t, std::string_view bytes, Word crc) {
  const char* p = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; left -= 8, p += 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    word ^= crc;
    crc = t[7][word & 0xFF] ^ t[6][word >> 8 & 0xFF] ^ t[5][word >> 16 & 0xFF] ^ t[4][word >> 24 & 0xFF] ^
          t[3][word >> 32 & 0xFF] ^ t[2][word >> 40 & 0xFF] ^ t[1][word >> 48 & 0xFF] ^ t[0][word >> 56];
  }
  for (; left > 0; --left, ++p) crc = crc >> 8 ^ t[0][(crc ^ static_cast<unsigned char>(*p)) & 0xFF];
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t crc32c_hardware(std::string_view bytes, uint32_t crc) {
  const char* p = bytes.data();
  size_t left = bytes.size();
  uint64_t wide = crc;
  for (; left >= 8; left -= 8, p += 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  crc = static_cast<uint32_t>(wide);
  for (; left > 0; --left, ++p) crc = _mm_crc32_u8(crc, static_cast<unsigned char>(*p));
  return crc;
}

// Sixteen bytes at a time, in four rows, by multiplications without carries; the constants are powers of x modulo the
// polynomial. After Intel's "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ". At least 64 bytes, and
// whole sixteens.
__attribute__((target("pclmul,sse4.1"))) uint32_t crc32_folded(std::string_view bytes, uint32_t crc) {
  const auto load = [&](size_t at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes.data() + at)); };
  const auto fold = [](__m128i row, __m128i by, __m128i next) __attribute__((target("pclmul,sse4.1"))) {
    const __m128i low = _mm_clmulepi64_si128(row, by, 0x00), high = _mm_clmulepi64_si128(row, by, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
  };
  __m128i rows[4] = {load(0), load(16), load(32), load(48)};
  rows[0] = _mm_xor_si128(rows[0], _mm_cvtsi32_si128(static_cast<int>(crc)));
  size_t at = 64;
  const __m128i by_four = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
  for (; at + 64 <= bytes.size(); at += 64) {
    for (size_t i = 0; i < 4; ++i) rows[i] = fold(rows[i], by_four, load(at + 16 * i));
  }
  const __m128i by_one = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
  __m128i row = rows[0];
  for (size_t i = 1; i < 4; ++i) row = fold(row, by_one, rows[i]);
  for (; at < bytes.size(); at += 16) row = fold(row, by_one, load(at));
  // To eight bytes, and those to four.
  const __m128i half = _mm_set_epi32(0, -1, 0, -1);
  row = _mm_xor_si128(_mm_srli_si128(row, 8), _mm_clmulepi64_si128(row, by_one, 0x10));
  row = _mm_xor_si128(_mm_srli_si128(row, 4),
                      _mm_clmulepi64_si128(_mm_and_si128(row, half), _mm_set_epi64x(0, 0x0163cd6124), 0x00));
  const __m128i polynomial = _mm_set_epi64x(0x01f7011641, 0x01db710641);
  const __m128i quotient = _mm_and_si128(_mm_clmulepi64_si128(_mm_and_si128(row, half), polynomial, 0x10), half);
  row = _mm_xor_si128(row, _mm_clmulepi64_si128(quotient, polynomial, 0x00));
  return static_cast<uint32_t>(_mm_extract_epi32(row, 1));
}
#endif

}  // namespace

std::string base64_encode(std::string_view bytes) { return encode64(bytes, kStandard, true); }
std::string base64url_encode(std::string_view bytes) { return encode64(bytes, kUrl, false); }

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  if (text.ends_with("==")) {
    text.remove_suffix(2);
  } else if (text.ends_with('=')) {
    text.remove_suffix(1);
  }
  return decode64(text, kStandardInverse);
}

std::optional<std::string> base64url_decode(std::string_view text) {
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  return decode64(text, kUrlInverse);
}

void append_hex(std::string& out, std::string_view bytes) {
  const size_t before = out.size(), after = before + bytes.size() * 2;
  out.resize_and_overwrite(after, [&](char* text, size_t) {
    char* at = text + before;
    for (const char c : bytes) {
      memcpy(at, kHexPairs[static_cast<unsigned char>(c)].data(), 2);
      at += 2;
    }
    return after;
  });
}

std::string hex_encode(std::string_view bytes) {
  std::string out;
  append_hex(out, bytes);
  return out;
}

std::optional<std::string> hex_decode(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]), low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high << 4 | low);
  }
  return out;
}

std::string percent_encode(std::string_view text, bool keep_slash) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  for (const char c : text) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash);
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kDigits[static_cast<unsigned char>(c) >> 4];
      out += kDigits[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  if (text.find('%') == text.npos && (!plus_is_space || text.find('+') == text.npos)) return std::string(text);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out += static_cast<char>(high << 4 | low);
      i += 2;
    } else {
      out += text[i] == '+' && plus_is_space ? ' ' : text[i];
    }
  }
  return out;
}

uint32_t crc32(std::string_view bytes, uint32_t seed) {
#if defined(__x86_64__)
  static const bool hardware = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
  if (hardware && bytes.size() >= 64) {
    const size_t whole = bytes.size() / 16 * 16;
    seed = ~crc32_folded(bytes.substr(0, whole), ~seed);
    bytes.remove_prefix(whole);
  }
#endif
  return static_cast<uint32_t>(::crc32_z(seed, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

uint32_t crc32c(std::string_view bytes, uint32_t seed) {
#if defined(__x86_64__)
  static const bool hardware = __builtin_cpu_supports("sse4.2");
  if (hardware) return ~crc32c_hardware(bytes, ~seed);
#endif
  static constexpr auto kTables = crc_tables<uint32_t, 8>(0x82F63B78u);
  return ~crc_sliced<uint32_t>(kTables, bytes, ~seed);
}

uint64_t crc64nvme(std::string_view bytes, uint64_t seed) {
  static constexpr auto kTables = crc_tables<uint64_t, 8>(0x9A6C9329AC4BC9B5u);
  return ~crc_sliced<uint64_t>(kTables, bytes, ~seed);
}

void append_be16(std::string& out, uint16_t v) {
  v = __builtin_bswap16(v);
  out.append(reinterpret_cast<const char*>(&v), sizeof v);
}
void append_be32(std::string& out, uint32_t v) {
  v = __builtin_bswap32(v);
  out.append(reinterpret_cast<const char*>(&v), sizeof v);
}
void append_be64(std::string& out, uint64_t v) {
  v = __builtin_bswap64(v);
  out.append(reinterpret_cast<const char*>(&v), sizeof v);
}
uint16_t read_be16(const char* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap16(v);
}
uint32_t read_be32(const char* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap32(v);
}
uint64_t read_be64(const char* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap64(v);
}

}  // namespace virga
