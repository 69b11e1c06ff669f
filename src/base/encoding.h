// Base64, hex, percent-encoding and checksums that are no secrets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace virga {

std::string base64_encode(std::string_view bytes);
std::optional<std::string> base64_decode(std::string_view text);  // standard alphabet, padding required
std::string base64url_encode(std::string_view bytes);             // no padding
std::optional<std::string> base64url_decode(std::string_view text);
std::string hex_encode(std::string_view bytes);  // lower case
void append_hex(std::string& out, std::string_view bytes);
std::optional<std::string> hex_decode(std::string_view text);
// RFC 3986: everything but A-Z a-z 0-9 - . _ ~ becomes %XX; '/' too unless kept.
std::string percent_encode(std::string_view text, bool keep_slash = false);
// %XX decoded; a malformed escape gives nothing. `plus_is_space` for form bodies and query strings.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

// All checksums can be continued: pass the former result as `seed`.
uint32_t crc32(std::string_view bytes, uint32_t seed = 0);
uint32_t crc32c(std::string_view bytes, uint32_t seed = 0);
uint64_t crc64nvme(std::string_view bytes, uint64_t seed = 0);

// Big-endian integers: keys and binary formats.
void append_be16(std::string& out, uint16_t v);
void append_be32(std::string& out, uint32_t v);
void append_be64(std::string& out, uint64_t v);
uint16_t read_be16(const char* p);
uint32_t read_be32(const char* p);
uint64_t read_be64(const char* p);

}  // namespace virga
