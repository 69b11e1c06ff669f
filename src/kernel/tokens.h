// Tokens that clients hand back and can't forge or read: page tokens, session tokens. Sealed under a key of this store.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/task.h"
#include "kv/db.h"

namespace virga::kernel {

class Tokens {
 public:
  explicit Tokens(std::string key) : key_(std::move(key)) {}
  // The store's secret key, made on first use.
  static Task<std::string> load_key(kv::Db& db);

  // `purpose` binds the token to what it is for ("dynamodb:ListTables:000000000000:us-east-1"): elsewhere it opens to
  // nothing.
  std::string seal(std::string_view purpose, std::string_view payload) const;
  std::optional<std::string> open(std::string_view purpose, std::string_view token) const;

 private:
  std::string key_;
};

}  // namespace virga::kernel
