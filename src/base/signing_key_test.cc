#include "base/signing_key.h"

#include <gtest/gtest.h>

namespace virga {
namespace {

TEST(SigningKey, SignsWhatItsCertificatesKeyVerifies) {
  const SigningKey key = SigningKey::make("sns.amazonaws.com", 30);
  EXPECT_TRUE(key.certificate_pem().starts_with("-----BEGIN CERTIFICATE-----"));
  for (const HashKind hash : {HashKind::kSha1, HashKind::kSha256}) {
    const std::string signature = key.sign(hash, "what is signed");
    EXPECT_EQ(signature.size(), 256u);
    EXPECT_TRUE(key.verify(hash, "what is signed", signature));
    EXPECT_FALSE(key.verify(hash, "what is signef", signature));
  }
}

TEST(SigningKey, IsTheSameAfterItWasKept) {
  const SigningKey key = SigningKey::make("a", 30);
  const SigningKey kept = SigningKey::load(key.private_pem(), key.certificate_pem());
  EXPECT_EQ(kept.certificate_pem(), key.certificate_pem());
  EXPECT_TRUE(kept.verify(HashKind::kSha256, "x", key.sign(HashKind::kSha256, "x")));
  EXPECT_THROW(SigningKey::load("nonsense", ""), std::runtime_error);
}

}  // namespace
}  // namespace virga
