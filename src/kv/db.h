// The store's contract: one ordered, transactional keyspace. Engines live below (kv/mem, kv/rocks).
//
// * Keys and values are bytes, compared as unsigned bytes. Keys are at most kMaxKey, values at most kMaxValue.
// * A transaction reads one instant and buffers its writes; reads see its own writes. Commit succeeds only if nothing
//   it read (keys, and every key a scan passed over) was changed since that instant: serialisable. On conflict the
//   body runs again, up to kMaxAttempts; then the transaction fails with `TransactionConflict` (conflict_error()).
// * A commit is durable when transact returns. Commits of all threads share one disk sync.
// * A body may run several times: it changes the world only through tx and on_commit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/task.h"
#include "base/time.h"

namespace virga::kv {

inline constexpr size_t kMaxKey = 8 * 1024;
inline constexpr size_t kMaxValue = 64 * 1024 * 1024;
inline constexpr int kMaxAttempts = 64;

// Commits are numbered; a transaction that reads at version v sees exactly the commits up to v.
using Version = uint64_t;

struct Range {  // [begin, end); an empty end is the end of the keyspace
  std::string begin, end;
};
Range prefix_range(std::string_view prefix);
// The first key after every key that starts with `prefix`; empty when there is none.
std::string prefix_end(std::string_view prefix);

struct Entry {
  std::string key, value;
};

struct ScanOptions {
  size_t limit = SIZE_MAX;       // entries
  size_t byte_limit = SIZE_MAX;  // stop after the entry with which keys + values reach this
  bool reverse = false;
};

// Where a log's reader stands: all records up to and including it are behind. Empty: before the first.
using LogPosition = std::string;

struct LogRecord {
  LogPosition position;  // grows with commit order; 10 bytes: commit version, then order within the commit
  std::string value;
};

// Reads at one instant.
class Reader {
 public:
  virtual ~Reader() = default;
  virtual Version version() const = 0;
  virtual Task<std::optional<std::string>> get(std::string key) = 0;
  virtual Task<std::vector<Entry>> scan(Range range, ScanOptions options = {}) = 0;
  // Records of `log` after `after`, oldest first.
  Task<std::vector<LogRecord>> read_log(std::string_view log, LogPosition after, size_t limit);
};

class Txn : public Reader {
 public:
  // Reads without the promise that the key is unchanged at commit: for hints and hot counters.
  virtual Task<std::optional<std::string>> get_relaxed(std::string key) = 0;
  virtual void put(std::string key, std::string value) = 0;
  virtual void erase(std::string key) = 0;
  virtual void erase_range(Range range) = 0;
  // Appends to the named durable log in the same commit; readers waiting on the log wake when it is durable. This
  // transaction's own reads do not see it.
  virtual void append(std::string_view log, std::string value) = 0;
  // Writes `value` under key_prefix + the commit's 10-byte position: unique, in commit order, never in conflict.
  virtual void put_ordered(std::string key_prefix, std::string value) = 0;
  // Forgets the records of `log` up to and including `position`.
  void trim_log(std::string_view log, const LogPosition& position);
  // Runs after the commit is durable, on the executor of the caller; not at all when the transaction fails.
  virtual void on_commit(std::function<void()> effect) = 0;
};

class Db {
 public:
  virtual ~Db() = default;

  // Runs `body(Txn&)`, a Task<R>, in a transaction and commits it; retries on conflict. A failure of the body
  // rolls back and passes on. A body that wrote nothing commits without touching the disk.
  template <class F>
  auto transact(F&& body) -> decltype(body(std::declval<Txn&>()));

  // A consistent view for reading only. Cheap. Holds back garbage collection while it lives: keep it short.
  virtual std::unique_ptr<Reader> snapshot() = 0;

  // Completes with true once a commit after `since` has written or erased a key that starts with `prefix`, with false
  // after `timeout` of real time. Never misses a change: read at a snapshot, then wait since its version. True also
  // when `since` is too long ago to tell, so look again before acting. Needs a current executor.
  virtual Task<bool> wait_change(std::string prefix, Version since, Micros timeout) = 0;
  Task<bool> wait_log(std::string_view log, Version since, Micros timeout);
  // Ends the waits for exactly `prefix` as though something had changed.
  virtual void wake(std::string_view prefix) = 0;

  // A copy of the whole store at this instant, in `directory`, which must not exist: hard links where possible.
  virtual Task<void> checkpoint(std::string directory) = 0;

  struct Stats {
    uint64_t commits = 0, conflicts = 0, syncs = 0, bytes_written = 0;
    uint64_t memory_bytes = 0, disk_bytes = 0;
  };
  virtual Stats stats() const = 0;

 protected:
  virtual std::unique_ptr<Txn> begin() = 0;
  // True: committed and durable. False: conflict. Fails when the disk refuses (the error says why; nothing is kept).
  virtual Task<bool> commit(Txn& txn) = 0;
  // The effects a committed transaction asked for.
  virtual std::vector<std::function<void()>> take_effects(Txn& txn) = 0;
  // Waits a little, longer with each attempt; fails with conflict_error() after kMaxAttempts.
  Task<void> back_off(int attempt);
};

// What a transaction fails with when it never got through: code "TransactionConflict", status 409.
Error conflict_error();
bool is_conflict(const Failure& failure);

// The key prefix under which `log` lives.
std::string log_prefix(std::string_view log);

template <class F>
auto Db::transact(F&& body) -> decltype(body(std::declval<Txn&>())) {
  using T = typename decltype(body(std::declval<Txn&>()))::promise_type;
  // `body` lives in the caller's full expression, which awaits this task.
  for (int attempt = 0;; ++attempt) {
    std::unique_ptr<Txn> txn = begin();
    if constexpr (std::is_same_v<T, virga::detail::Promise<void>>) {
      co_await body(*txn);
      if (co_await commit(*txn)) {
        for (auto& effect : take_effects(*txn)) effect();
        co_return;
      }
    } else {
      auto value = co_await body(*txn);
      if (co_await commit(*txn)) {
        for (auto& effect : take_effects(*txn)) effect();
        co_return std::move(value);
      }
    }
    co_await back_off(attempt);
  }
}

// A store in memory: the reference that tests run on. Deterministic; `conflicts` makes the next n commits conflict.
struct MemOptions {
  int inject_conflicts = 0;
};
std::unique_ptr<Db> open_mem(MemOptions options = {});
void inject_conflicts(Db& mem, int count);

// RocksDB in `directory`. Throws std::runtime_error with a sentence for people: directory in use, newer format, damage.
struct RocksOptions {
  std::string directory;
  size_t cache_bytes = 8 << 20;      // half for rows, half for blocks
  size_t memtable_bytes = 16 << 20;  // taken as it fills
  size_t gap_worth = 64;             // erased keys that a read walks over before it remembers to skip them
};
std::unique_ptr<Db> open_rocks(RocksOptions options);

}  // namespace virga::kv
