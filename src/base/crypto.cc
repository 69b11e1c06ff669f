// SHA-256 of short texts is on the way of every signed call, MD5 on that of every item, and OpenSSL 3 spends more on
// finding the algorithm and its context than on hashing: so its older interface, which it calls deprecated.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "base/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <array>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "base/md5.h"

namespace virga {

namespace {

void require(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(what);
}

// Fetched once: OpenSSL 3 looks an algorithm up by name under a lock each time it is asked for implicitly.
const EVP_MD* digest_of(HashKind kind) {
  static const std::array<const EVP_MD*, 4> digests = {
      EVP_MD_fetch(nullptr, "MD5", nullptr), EVP_MD_fetch(nullptr, "SHA1", nullptr),
      EVP_MD_fetch(nullptr, "SHA256", nullptr), EVP_MD_fetch(nullptr, "SHA512", nullptr)};
  const EVP_MD* digest = digests[static_cast<size_t>(kind)];
  require(digest != nullptr, "libcrypto offers no such hash");
  return digest;
}

struct ContextHolder {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~ContextHolder() { EVP_MD_CTX_free(context); }
};

std::string hash(HashKind kind, std::string_view first, std::string_view second = {}) {
  thread_local ContextHolder holder;
  std::array<unsigned char, EVP_MAX_MD_SIZE> out;
  unsigned size = 0;
  require(EVP_DigestInit_ex2(holder.context, digest_of(kind), nullptr) == 1 &&
              EVP_DigestUpdate(holder.context, first.data(), first.size()) == 1 &&
              EVP_DigestUpdate(holder.context, second.data(), second.size()) == 1 &&
              EVP_DigestFinal_ex(holder.context, out.data(), &size) == 1,
          "hashing failed");
  return std::string(reinterpret_cast<char*>(out.data()), size);
}

// RFC 2104 over two plain hashes: a fifth of the cost of OpenSSL 3's own one-shot HMAC for short messages.
// `hash` takes two texts and hashes them as one.
template <class Hash>
auto hmac(Hash hash, std::string_view key, std::string_view bytes) {
  constexpr size_t kBlock = 64;  // of MD5, SHA-1 and SHA-256
  std::array<char, kBlock> inner, outer;
  decltype(hash(key, bytes)) hashed;
  if (key.size() > kBlock) {
    hashed = hash(key, {});
    key = {hashed.data(), hashed.size()};
  }
  for (size_t i = 0; i < kBlock; ++i) {
    const char k = i < key.size() ? key[i] : 0;
    inner[i] = static_cast<char>(k ^ 0x36);
    outer[i] = static_cast<char>(k ^ 0x5C);
  }
  const auto first = hash({inner.data(), kBlock}, bytes);
  return hash({outer.data(), kBlock}, {first.data(), first.size()});
}

Digest sha256_of(std::string_view first, std::string_view second = {}) {
  SHA256_CTX context;
  Digest out;
  require(SHA256_Init(&context) == 1 && SHA256_Update(&context, first.data(), first.size()) == 1 &&
              SHA256_Update(&context, second.data(), second.size()) == 1 &&
              SHA256_Final(reinterpret_cast<unsigned char*>(out.data()), &context) == 1,
          "hashing failed");
  return out;
}

constexpr size_t kNonceSize = 12, kTagSize = 16, kKeySize = 32;

const unsigned char* bytes_of(std::string_view s) { return reinterpret_cast<const unsigned char*>(s.data()); }
unsigned char* bytes_of(std::string& s) { return reinterpret_cast<unsigned char*>(s.data()); }

struct CipherContext {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  CipherContext() { require(context != nullptr, "no memory for a cipher"); }
  ~CipherContext() { EVP_CIPHER_CTX_free(context); }
  CipherContext(const CipherContext&) = delete;
  CipherContext& operator=(const CipherContext&) = delete;
};

}  // namespace

Digest sha256_digest(std::string_view bytes) { return sha256_of(bytes); }
Digest hmac_sha256_digest(std::string_view key, std::string_view bytes) {
  return hmac([](std::string_view a, std::string_view b) { return sha256_of(a, b); }, key, bytes);
}

std::string sha256(std::string_view bytes) { return std::string(text_of(sha256_of(bytes))); }
std::string sha1(std::string_view bytes) { return hash(HashKind::kSha1, bytes); }
std::string md5(std::string_view bytes) {
  std::string out(MD5_DIGEST_LENGTH, '\0');
  MD5_CTX context;
  require(MD5_Init(&context) == 1 && MD5_Update(&context, bytes.data(), bytes.size()) == 1 &&
              MD5_Final(bytes_of(out), &context) == 1,
          "hashing failed");
  return out;
}
std::string hmac_sha256(std::string_view key, std::string_view bytes) {
  return std::string(text_of(hmac_sha256_digest(key, bytes)));
}
std::string hmac_sha1(std::string_view key, std::string_view bytes) {
  return hmac([](std::string_view a, std::string_view b) { return hash(HashKind::kSha1, a, b); }, key, bytes);
}

bool equal_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string random_bytes(size_t count) {
  std::string out(count, '\0');
  // Small amounts come out of a reserve of this thread: a call of the generator costs a microsecond whatever its size.
  // What is given out is wiped, so that nobody finds it in memory later.
  constexpr size_t kSmall = 64;
  struct Reserve {
    std::array<unsigned char, 16 * kSmall> bytes;
    size_t left = 0;
  };
  thread_local Reserve reserve;
  if (count <= kSmall) {
    if (reserve.left < count) {
      require(RAND_bytes(reserve.bytes.data(), static_cast<int>(reserve.bytes.size())) == 1,
              "the system's random source failed");
      reserve.left = reserve.bytes.size();
    }
    reserve.left -= count;
    std::memcpy(out.data(), reserve.bytes.data() + reserve.left, count);
    OPENSSL_cleanse(reserve.bytes.data() + reserve.left, count);
    return out;
  }
  require(RAND_bytes(bytes_of(out), static_cast<int>(count)) == 1, "the system's random source failed");
  return out;
}

namespace {
static_assert(sizeof(MD5_CTX) == sizeof(Md5));
MD5_CTX* context_of(std::array<uint32_t, 23>& state) { return reinterpret_cast<MD5_CTX*>(state.data()); }
}  // namespace
Md5::Md5() { require(MD5_Init(context_of(state_)) == 1, "hashing failed"); }
void Md5::update(std::string_view bytes) {
  require(MD5_Update(context_of(state_), bytes.data(), bytes.size()) == 1, "hashing failed");
}
std::string Md5::finish() {
  std::string out(MD5_DIGEST_LENGTH, '\0');
  require(MD5_Final(bytes_of(out), context_of(state_)) == 1, "hashing failed");
  return out;
}

Hasher::Hasher(HashKind kind) : context_(EVP_MD_CTX_new()) {
  require(EVP_DigestInit_ex2(static_cast<EVP_MD_CTX*>(context_), digest_of(kind), nullptr) == 1, "hashing failed");
}
Hasher::~Hasher() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }
Hasher::Hasher(Hasher&& other) noexcept : context_(std::exchange(other.context_, nullptr)) {}
Hasher& Hasher::operator=(Hasher&& other) noexcept {
  std::swap(context_, other.context_);
  return *this;
}
void Hasher::update(std::string_view bytes) {
  require(EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), bytes.data(), bytes.size()) == 1, "hashing failed");
}
std::string Hasher::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out;
  unsigned size = 0;
  require(EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), out.data(), &size) == 1, "hashing failed");
  return std::string(reinterpret_cast<char*>(out.data()), size);
}

namespace {
// Looked up once: OpenSSL does so for each use otherwise, which takes longer than the use.
const EVP_CIPHER* sealing_cipher() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  return cipher;
}
}  // namespace

std::string seal(std::string_view key, std::string_view plain, std::string_view context) {
  require(key.size() == kKeySize, "sealing needs a key of 32 bytes");
  CipherContext cipher;
  std::string out = random_bytes(kNonceSize);
  out.resize(kNonceSize + plain.size() + kTagSize);
  int written = 0;
  unsigned char* const text = bytes_of(out) + kNonceSize;
  require(EVP_EncryptInit_ex(cipher.context, sealing_cipher(), nullptr, bytes_of(key), bytes_of(out)) == 1 &&
              EVP_EncryptUpdate(cipher.context, nullptr, &written, bytes_of(context),
                                static_cast<int>(context.size())) == 1 &&
              EVP_EncryptUpdate(cipher.context, text, &written, bytes_of(plain), static_cast<int>(plain.size())) == 1 &&
              EVP_EncryptFinal_ex(cipher.context, text + plain.size(), &written) == 1 &&
              EVP_CIPHER_CTX_ctrl(cipher.context, EVP_CTRL_GCM_GET_TAG, kTagSize, text + plain.size()) == 1,
          "sealing failed");
  return out;
}

std::optional<std::string> open_sealed(std::string_view key, std::string_view sealed, std::string_view context) {
  if (key.size() != kKeySize || sealed.size() < kNonceSize + kTagSize) return std::nullopt;
  CipherContext cipher;
  const std::string_view text = sealed.substr(kNonceSize, sealed.size() - kNonceSize - kTagSize);
  std::string tag(sealed.substr(sealed.size() - kTagSize));
  std::string out(text.size(), '\0');
  int written = 0;
  const bool good =
      EVP_DecryptInit_ex(cipher.context, sealing_cipher(), nullptr, bytes_of(key), bytes_of(sealed)) == 1 &&
      EVP_DecryptUpdate(cipher.context, nullptr, &written, bytes_of(context), static_cast<int>(context.size())) == 1 &&
      EVP_DecryptUpdate(cipher.context, bytes_of(out), &written, bytes_of(text), static_cast<int>(text.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.context, EVP_CTRL_GCM_SET_TAG, kTagSize, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(cipher.context, bytes_of(out) + out.size(), &written) == 1;
  if (!good) return std::nullopt;
  return out;
}

}  // namespace virga
