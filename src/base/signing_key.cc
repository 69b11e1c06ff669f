#include "base/signing_key.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <stdexcept>
#include <utility>

#include "base/encoding.h"

namespace virga {
namespace {

template <class T, void (*F)(T*)>
struct Free {
  void operator()(T* p) const { F(p); }
};
void free_bio(BIO* bio) { BIO_free(bio); }
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY, EVP_PKEY_free>>;
using Context = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX, EVP_MD_CTX_free>>;
using Cert = std::unique_ptr<X509, Free<X509, X509_free>>;
using Memory = std::unique_ptr<BIO, Free<BIO, free_bio>>;

void require(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(what);
}

const EVP_MD* digest(HashKind kind) {
  switch (kind) {
    case HashKind::kMd5:
      return EVP_md5();
    case HashKind::kSha1:
      return EVP_sha1();
    case HashKind::kSha256:
      return EVP_sha256();
    case HashKind::kSha512:
      return EVP_sha512();
  }
  return nullptr;
}

std::string text_in(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return std::string(data, static_cast<size_t>(size));
}

EVP_PKEY* key_of(void* key) { return static_cast<EVP_PKEY*>(key); }

}  // namespace

SigningKey SigningKey::make(const std::string& name, int days) {
  Key key(EVP_RSA_gen(2048));
  Cert x(X509_new());
  require(key && x, "cannot make an RSA key");
  X509_set_version(x.get(), X509_VERSION_3);
  const std::string serial = random_bytes(8);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(x.get()), read_be64(serial.data()) >> 1);
  X509_gmtime_adj(X509_getm_notBefore(x.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(x.get()), 86400L * days);
  X509_set_pubkey(x.get(), key.get());
  X509_NAME* subject = X509_get_subject_name(x.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1,
                             0);
  X509_set_issuer_name(x.get(), subject);
  require(X509_sign(x.get(), key.get(), EVP_sha256()) != 0, "cannot sign a certificate");
  Memory out(BIO_new(BIO_s_mem()));
  require(out && PEM_write_bio_X509(out.get(), x.get()) == 1, "cannot write a certificate");
  return SigningKey(key.release(), text_in(out.get()));
}

SigningKey SigningKey::load(std::string_view private_pem, std::string_view certificate_pem) {
  Memory in(BIO_new_mem_buf(private_pem.data(), static_cast<int>(private_pem.size())));
  Key key(in ? PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr) : nullptr);
  require(key != nullptr, "a kept signing key cannot be read");
  return SigningKey(key.release(), std::string(certificate_pem));
}

SigningKey::~SigningKey() { EVP_PKEY_free(key_of(key_)); }
SigningKey::SigningKey(SigningKey&& other) noexcept
    : key_(std::exchange(other.key_, nullptr)), certificate_(std::move(other.certificate_)) {}
SigningKey& SigningKey::operator=(SigningKey&& other) noexcept {
  std::swap(key_, other.key_);
  std::swap(certificate_, other.certificate_);
  return *this;
}

std::string SigningKey::private_pem() const {
  Memory out(BIO_new(BIO_s_mem()));
  require(out && PEM_write_bio_PKCS8PrivateKey(out.get(), key_of(key_), nullptr, nullptr, 0, nullptr, nullptr) == 1,
          "cannot write a key");
  return text_in(out.get());
}

std::string SigningKey::sign(HashKind hash, std::string_view text) const {
  Context context(EVP_MD_CTX_new());
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  size_t size = 0;
  require(context && EVP_DigestSignInit(context.get(), nullptr, digest(hash), nullptr, key_of(key_)) == 1 &&
              EVP_DigestSign(context.get(), nullptr, &size, bytes, text.size()) == 1,
          "signing failed");
  std::string out(size, '\0');
  require(EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, bytes, text.size()) == 1,
          "signing failed");
  out.resize(size);
  return out;
}

bool SigningKey::verify(HashKind hash, std::string_view text, std::string_view signature) const {
  Context context(EVP_MD_CTX_new());
  return context && EVP_DigestVerifyInit(context.get(), nullptr, digest(hash), nullptr, key_of(key_)) == 1 &&
         EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                          reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1;
}

}  // namespace virga
