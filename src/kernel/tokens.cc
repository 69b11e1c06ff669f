#include "kernel/tokens.h"

#include "base/crypto.h"
#include "base/encoding.h"
#include "kv/key.h"

namespace virga::kernel {

Task<std::string> Tokens::load_key(kv::Db& db) {
  const std::string name = std::move(kv::KeyWriter("kernel").text("token key")).take();
  co_return co_await db.transact([&](kv::Txn& tx) -> Task<std::string> {
    if (auto key = co_await tx.get(name)) co_return *key;
    std::string key = random_bytes(32);
    tx.put(name, key);
    co_return key;
  });
}

std::string Tokens::seal(std::string_view purpose, std::string_view payload) const {
  return base64url_encode(virga::seal(key_, payload, purpose));
}

std::optional<std::string> Tokens::open(std::string_view purpose, std::string_view token) const {
  const auto sealed = base64url_decode(token);
  if (!sealed) return std::nullopt;
  return open_sealed(key_, *sealed, purpose);
}

}  // namespace virga::kernel
