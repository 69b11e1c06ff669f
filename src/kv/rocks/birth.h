// The making of an empty store. RocksDB syncs a dozen times while it writes its first files, one after the other; none
// of it matters before something is acknowledged. Here they are synced once, at the end. Until then a mark lies in the
// folder: a store that was cut off in its making holds nothing, and is made anew.
#pragma once

#include <rocksdb/file_system.h>

#include <atomic>
#include <memory>
#include <string>

namespace virga::kv {

class Birth {
 public:
  // The caller keeps other processes out of the folder. Removes what an unfinished making left. Null when `directory`
  // holds a store: that one is opened as ever. Throws std::system_error.
  static std::unique_ptr<Birth> of(const std::string& directory);
  // What RocksDB writes through.
  std::shared_ptr<rocksdb::FileSystem> files() const { return files_; }
  // Makes durable what was written, and everything from here on as RocksDB asks. Throws std::system_error.
  void finish();

 private:
  explicit Birth(std::string directory);
  std::string directory_;
  std::shared_ptr<std::atomic<bool>> syncing_ = std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<rocksdb::FileSystem> files_;
};

}  // namespace virga::kv
