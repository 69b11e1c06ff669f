// An RSA key with a certificate: what signs messages that others verify with what is published at an address.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/crypto.h"

namespace virga {

class SigningKey {
 public:
  // A new 2048-bit key. `name` is what the certificate is for; it is valid from an hour ago for `days`.
  static SigningKey make(const std::string& name, int days);
  // As private_pem and certificate_pem gave them; throws std::runtime_error on damage.
  static SigningKey load(std::string_view private_pem, std::string_view certificate_pem);
  ~SigningKey();
  SigningKey(SigningKey&&) noexcept;
  SigningKey& operator=(SigningKey&&) noexcept;

  std::string private_pem() const;
  const std::string& certificate_pem() const { return certificate_; }
  // PKCS #1 v1.5 over the hash of `text`; raw bytes. Safe from any thread.
  std::string sign(HashKind hash, std::string_view text) const;
  bool verify(HashKind hash, std::string_view text, std::string_view signature) const;

 private:
  SigningKey(void* key, std::string certificate) : key_(key), certificate_(std::move(certificate)) {}
  void* key_;
  std::string certificate_;
};

}  // namespace virga
