// Who waits for which keys to change. Unrelated commits pay one hash lookup for each distinct length among the awaited
// prefixes, however many wait. Thread-safe.
#pragma once

#include <chrono>
#include <coroutine>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/executor.h"
#include "kv/db.h"
#include "kv/recent.h"

namespace virga::kv {

class WatchRegistry : public std::enable_shared_from_this<WatchRegistry> {
 public:
  using Waker = std::vector<Resume>;

  // Completes with true once a change after `since` touched `prefix`, with false after `timeout` of real time. True
  // also when `since` is too long ago to tell.
  Task<bool> wait(std::string prefix, Version since, Micros timeout);

  // Tells of changes, in version order; returns who must be resumed once readers can see them.
  Waker publish(std::span<const Change> changes);
  // Resumes those who wait for exactly `prefix`, as though something had changed.
  void wake(std::string_view prefix);
  // Commits up to `version` happened before this registry watched.
  void start_at(Version version);

  size_t waiting() const;

 private:
  using Instant = std::chrono::steady_clock::time_point;
  struct Waiter;
  struct Timer {
    Instant at;
  };
  // Each executor keeps at most one pending timer for all its waiters. The timer's closure owns the Timer, so one
  // that died with its executor is seen to be gone.
  struct Deadlines {
    std::multimap<Instant, Waiter*> waiters;
    std::weak_ptr<Timer> timer;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
  };
  using Waiters = std::unordered_multimap<std::string, Waiter*, Hash, std::equal_to<>>;

  bool changed_since(std::string_view prefix, Version since) const;
  void insert(Waiter& waiter);
  void remove(Waiter& waiter);
  void take(std::string_view prefix, Waker& out);
  void arm(Executor& executor, Instant at);
  void expire(Executor& executor, const std::shared_ptr<Timer>& timer);

  mutable std::mutex mutex_;
  Waiters waiters_;
  std::map<size_t, size_t> lengths_;  // prefix length → waiters with it
  std::map<Executor*, Deadlines> deadlines_;
  RecentChanges recent_;
};

}  // namespace virga::kv
