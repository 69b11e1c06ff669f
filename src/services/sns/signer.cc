#include "services/sns/signer.h"

#include "base/encoding.h"
#include "base/id.h"
#include "base/str.h"
#include "services/sns/limits.h"

namespace virga::sns {
namespace {

constexpr int kCertificateDays = 3650;

std::string file_of(std::string_view id) { return cat("SimpleNotificationService-", id, ".pem"); }

}  // namespace

std::shared_ptr<const Signer::Held> Signer::held() {
  std::lock_guard lock(mutex_);
  return held_;
}

Task<void> Signer::prepare() {
  if (held()) co_return;
  auto record = co_await Store(*db_.snapshot()).signing_key();
  if (!record) {
    const KeyRecord made = co_await pool_.run([this] {
      if (!made_) {
        const SigningKey key = SigningKey::make("sns.amazonaws.com", kCertificateDays);
        made_ = KeyRecord{hex_encode(random_bytes(16)), key.private_pem(), key.certificate_pem()};
      }
      return *made_;
    });
    // Whoever is first decides.
    record = co_await db_.transact([&](kv::Txn& tx) -> Task<KeyRecord> {
      WriteStore store(tx);
      if (const auto there = co_await store.signing_key()) co_return *there;
      store.put_signing_key(made);
      co_return made;
    });
  }
  auto held =
      std::make_shared<const Held>(Held{record->id, SigningKey::load(record->private_pem, record->certificate_pem)});
  std::lock_guard lock(mutex_);
  held_ = std::move(held);
}

Task<Signed> Signer::sign(const Message& message, const std::string& body, std::string_view base_url) {
  if (!message.sequence.empty()) co_return Signed{};
  co_await prepare();
  const auto key = held();
  const std::string text = string_to_sign(message, body);
  const bool sha256_wanted = message.signature_version == "2";
  const std::string name = cat(message.signature_version, sha256(text));
  Signed out;
  out.certificate = cat(base_url, "/_aws/sns-certificate/", file_of(key->id));
  {
    // Every subscriber of a message gets the same signature, and the key's arithmetic is what costs most.
    std::lock_guard lock(mutex_);
    if (const auto found = recent_.find(name); found != recent_.end()) out.signature = found->second;
  }
  if (!out.signature.empty()) co_return out;
  out.signature = base64_encode(key->key.sign(sha256_wanted ? HashKind::kSha256 : HashKind::kSha1, text));
  std::lock_guard lock(mutex_);
  if (recent_.size() >= kKnownSignatures) recent_.clear();
  recent_.emplace(name, out.signature);
  co_return out;
}

Task<std::optional<std::string>> Signer::certificate(std::string file) {
  const auto record = co_await Store(*db_.snapshot()).signing_key();
  if (!record || file != file_of(record->id)) co_return std::nullopt;
  co_return record->certificate_pem;
}

}  // namespace virga::sns
