// What a call needs of the store, decoded once and kept: functions, versions, aliases and their policies.
//
// Read-your-writes: every WriteStore that changes such a record forgets its function here on commit, before the writer
// is answered; what was read before that is never kept afterwards. A transaction that was committed by another node is
// not seen that way: the engine that serves several nodes must call forget_all from a wait_change over the four
// prefixes of key_prefixes(), so that a node is behind by a notification at the most, as AWS's own regions are.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "kv/db.h"
#include "services/lambda/store.h"

namespace virga::lambda {

class Catalog {
 public:
  explicit Catalog(kv::Db& db) : db_(db) {}

  // Null when there is none. What comes back never changes.
  Task<std::shared_ptr<const FunctionRecord>> function(Home home, std::string name);
  Task<std::shared_ptr<const VersionRecord>> version(Home home, std::string function, uint64_t version);
  Task<std::shared_ptr<const AliasRecord>> alias(Home home, std::string function, std::string alias);
  // The policy document of a function (empty qualifier), version or alias.
  Task<std::optional<std::string>> policy(Home home, std::string function, std::string qualifier);

  // What reservations and provisioned instances take of the account's concurrency.
  Task<int32_t> set_aside(Home home);

  void forget_set_aside(const Home& home);
  void forget(const Home& home, const std::string& function);
  void forget_all();
  static std::vector<std::string> key_prefixes();

 private:
  // A null pointer: known not to be there.
  struct Known {
    std::optional<std::shared_ptr<const FunctionRecord>> record;
    std::map<uint64_t, std::shared_ptr<const VersionRecord>> versions;
    std::map<std::string, std::shared_ptr<const AliasRecord>, std::less<>> aliases;
    std::map<std::string, std::optional<std::string>, std::less<>> policies;
  };
  static std::string key_of(const Home& home, std::string_view function);
  template <class T, class Find, class Read, class Keep>
  Task<T> get(Home home, std::string function, Find find, Read read, Keep keep);
  void make_room();

  kv::Db& db_;
  std::mutex mutex_;
  uint64_t generation_ = 0;  // grows with each forget: what was read before it may be old
  std::unordered_map<std::string, Known> known_;
  std::map<std::string, int32_t, std::less<>> set_aside_;  // by account and region
  size_t parts_ = 0;                                       // records kept, all functions together
};

}  // namespace virga::lambda
