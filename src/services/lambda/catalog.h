// What a call needs of the store, decoded once and kept: functions, versions, aliases and their policies.
//
// Read-your-writes: every WriteStore that changes such a record forgets its function here on commit, before the writer
// is answered; what was read before that is never kept afterwards. A transaction that was committed by another node is
// not seen that way: an engine that serves several nodes has to tell of it.
#pragma once

#include <coroutine>
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

// What is known at once, or has to be read: awaited like a Task, of which only the latter makes one.
template <class T>
class [[nodiscard]] Lookup {
 public:
  static Lookup known(T value) { return Lookup(std::move(value), std::nullopt); }
  static Lookup reading(Task<T> task) { return Lookup(std::nullopt, std::move(task)); }
  bool await_ready() const noexcept { return known_.has_value(); }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) noexcept {
    return awaiter().await_suspend(waiter);
  }
  T await_resume() { return known_ ? std::move(*known_) : awaiter().await_resume(); }

 private:
  Lookup(std::optional<T> known, std::optional<Task<T>> task) : known_(std::move(known)), task_(std::move(task)) {}
  typename Task<T>::Awaiter awaiter() { return task_->operator co_await(); }

  std::optional<T> known_;
  std::optional<Task<T>> task_;
};

class Catalog {
 public:
  explicit Catalog(kv::Db& db) : db_(db) {}

  // Null when there is none. What comes back never changes.
  Lookup<std::shared_ptr<const FunctionRecord>> function(const Home& home, const std::string& name);
  Lookup<std::shared_ptr<const VersionRecord>> version(const Home& home, const std::string& function, uint64_t version);
  Lookup<std::shared_ptr<const AliasRecord>> alias(const Home& home, const std::string& function,
                                                   const std::string& alias);
  // The policy document of a function (empty qualifier), version or alias.
  Lookup<std::optional<std::string>> policy(const Home& home, const std::string& function,
                                            const std::string& qualifier);

  // What reservations and provisioned instances take of the account's concurrency.
  Lookup<int32_t> set_aside(const Home& home);

  void forget_set_aside(const Home& home);
  void forget(const Home& home, const std::string& function);

 private:
  // A null pointer: known not to be there.
  struct Known {
    std::optional<std::shared_ptr<const FunctionRecord>> record;
    std::map<uint64_t, std::shared_ptr<const VersionRecord>> versions;
    std::map<std::string, std::shared_ptr<const AliasRecord>, std::less<>> aliases;
    std::map<std::string, std::optional<std::string>, std::less<>> policies;
  };
  static std::string key_of(const Home& home, std::string_view function);
  template <class T, class Part, class Find, class Read, class Keep>
  Lookup<T> get(const Home& home, const std::string& function, const Part& part, Find find, Read read, Keep keep);
  template <class T, class Part, class Read, class Keep>
  Task<T> read(Home home, std::string function, Part part, uint64_t generation, Read read, Keep keep);
  Task<int32_t> read_set_aside(Home home, uint64_t generation);
  void make_room();

  kv::Db& db_;
  std::mutex mutex_;
  uint64_t generation_ = 0;  // grows with each forget: what was read before it may be old
  std::unordered_map<std::string, Known> known_;
  std::map<std::string, int32_t, std::less<>> set_aside_;  // by account and region
  size_t parts_ = 0;                                       // records kept, all functions together
};

}  // namespace virga::lambda
