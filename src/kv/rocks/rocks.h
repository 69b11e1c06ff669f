// The RocksDB engine. One thread commits for everyone: it takes all transactions that wait, checks each against the
// writes since its snapshot, and makes those that stand durable with one write and one sync.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/env.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/worker_pool.h"
#include "kv/engine.h"
#include "kv/rocks/gaps.h"
#include "kv/rocks/memory_table.h"
#include "kv/rocks/row_cache.h"
#include "kv/rocks/watermark.h"

namespace virga::kv {

class RocksDb final : public Engine {
 public:
  explicit RocksDb(RocksOptions options);
  ~RocksDb() override;

  Task<bool> commit(Txn& txn) override;
  Task<void> checkpoint(std::string directory) override;
  Stats stats() const override;

 protected:
  std::shared_ptr<const View> newest(Purpose purpose) override;

 private:
  struct RocksView;
  struct RocksCursor;
  // A transaction that waits for its commit; lives in the frame of the coroutine that waits.
  struct Pending {
    BufferedTxn* txn;
    std::coroutine_handle<> handle = nullptr;
    Executor* executor = nullptr;
    Pending* next = nullptr;
    bool committed = false;
    std::exception_ptr error = nullptr;
  };
  struct Chain {
    Pending *head = nullptr, *tail = nullptr;
    void add(Pending& pending) {
      pending.next = nullptr;
      (head ? tail->next : head) = &pending;
      tail = &pending;
    }
    void add(const Chain& chain) {
      if (!chain.head) return;
      (head ? tail->next : head) = chain.head;
      tail = chain.tail;
    }
    Pending* take() { return std::exchange(head, head->next); }
  };
  struct Turn;
  struct Enqueue;
  // A batch on its way to the disk.
  struct Batch {
    rocksdb::WriteBatch writes;
    std::vector<Change> changes;         // of keys in members' write sets and in `keys`
    std::vector<std::string_view> puts;  // of those, too
    std::deque<std::string> keys;        // that hold a version, or were in an erased range
    std::vector<Pending*> members;       // all, in order
    std::vector<Pending*> accepted;
    Version last = 0;

    void clear();  // for the next one, in the same memory
  };

  void read_state();
  void commit_loop();
  void enqueue(Chain commits);
  void take(Batch& batch);
  void add(Batch& batch, Pending& pending);
  void erase_range(Batch& batch, const std::string& begin, const std::string& end, Version version);
  void write(Batch& batch);
  void seek(rocksdb::Iterator& rows, std::string_view from, std::string_view end, Version version);
  void publish(Version version);
  static void complete(const std::vector<Pending*>& members);

  RocksOptions options_;
  std::unique_ptr<rocksdb::Env> env_;  // before db_, which uses it to its end
  std::unique_ptr<rocksdb::DB> db_;
  std::shared_ptr<rocksdb::Cache> cache_;
  std::shared_ptr<MemoryTables> tables_;
  std::optional<Watermark> watermark_;
  LiveViews live_;
  Gaps gaps_;
  RowCache rows_;

  std::mutex newest_mutex_;
  std::shared_ptr<const View> newest_;

  std::mutex queue_mutex_;
  std::condition_variable queue_wake_;
  Chain queue_;
  bool stopping_ = false;

  // The commit thread's own.
  ConflictWindow window_;
  Version last_version_ = 0;  // given out
  Version published_ = 0;     // what newest_ shows
  int folder_ = -1;           // whose file system is asked for room
  std::chrono::steady_clock::time_point last_resume_{};
  bool failing_ = false;

  std::atomic<uint64_t> commits_ = 0, conflicts_ = 0, syncs_ = 0, bytes_written_ = 0;
  WorkerPool workers_{1};
  std::thread thread_;
};

}  // namespace virga::kv
