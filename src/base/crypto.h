// Hashes, signatures, sealing and randomness. The home of OpenSSL's libcrypto; results are raw bytes.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace virga {

std::string sha256(std::string_view bytes);
std::string sha1(std::string_view bytes);
std::string md5(std::string_view bytes);
std::string hmac_sha256(std::string_view key, std::string_view bytes);
std::string hmac_sha1(std::string_view key, std::string_view bytes);
// The same without memory of their own.
using Digest = std::array<char, 32>;
inline std::string_view text_of(const Digest& digest) { return {digest.data(), digest.size()}; }
Digest sha256_digest(std::string_view bytes);
Digest hmac_sha256_digest(std::string_view key, std::string_view bytes);
// Equal, in time that depends on the lengths only.
bool equal_constant_time(std::string_view a, std::string_view b);
std::string random_bytes(size_t count);

enum class HashKind : uint8_t { kMd5, kSha1, kSha256, kSha512 };
// A running hash.
class Hasher {
 public:
  explicit Hasher(HashKind kind);
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  void update(std::string_view bytes);
  std::string finish();  // once

 private:
  void* context_;
};

// Authenticated encryption (AES-256-GCM) under a 32-byte key; `context` must be the same to open.
std::string seal(std::string_view key, std::string_view plain, std::string_view context);
std::optional<std::string> open_sealed(std::string_view key, std::string_view sealed, std::string_view context);

}  // namespace virga
