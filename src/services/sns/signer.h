// The key that messages are signed with: made when the first subscriber needs it, kept in the store, published at
// SigningCertURL.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/signing_key.h"
#include "base/worker_pool.h"
#include "kv/db.h"
#include "services/sns/envelope.h"

namespace virga::sns {

class Signer {
 public:
  explicit Signer(kv::Db& db) : db_(db) {}

  // The signature of `message` saying `body`, by its signature version. None for messages of FIFO topics.
  Task<Signed> sign(const Message& message, const std::string& body, std::string_view base_url);
  // The certificate published as `file`, or nothing.
  Task<std::optional<std::string>> certificate(std::string file);

 private:
  // Reads the key, or makes it when there is none, which takes a while.
  Task<void> prepare();
  struct Held {
    std::string id;
    SigningKey key;
  };
  std::shared_ptr<const Held> held();

  kv::Db& db_;
  WorkerPool pool_{1};
  std::optional<KeyRecord> made_;  // by the pool's one thread: all who came before the key was there take this one
  std::mutex mutex_;
  std::shared_ptr<const Held> held_;
  std::unordered_map<std::string, std::string> recent_;  // hash of what was signed -> signature
};

}  // namespace virga::sns
