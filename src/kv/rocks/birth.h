// The making of an empty store. RocksDB syncs a dozen times while it writes its first files, one after the other; none
// of it matters before something is acknowledged. Here they are synced once, at the end. Until then a mark lies in the
// folder: a store that was cut off in its making holds nothing, and is made anew.
#pragma once

#include <rocksdb/env.h>

#include <atomic>
#include <memory>
#include <string>

namespace virga::kv {

class Birth {
 public:
  // The caller keeps other processes out of the folder. Removes what an unfinished making left. Null when `directory`
  // holds a store: that one is opened as ever. Throws std::system_error.
  static std::unique_ptr<Birth> of(const std::string& directory);
  // What RocksDB writes through; lives as long as the store.
  rocksdb::Env* env() const { return env_.get(); }
  // Makes durable what was written, and everything from here on as RocksDB asks. Throws std::system_error.
  void finish();

 private:
  explicit Birth(std::string directory);
  std::string directory_;
  std::shared_ptr<std::atomic<bool>> syncing_ = std::make_shared<std::atomic<bool>>(false);
  std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace virga::kv
