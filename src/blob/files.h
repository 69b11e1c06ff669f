// The store of blobs in local files: who writes, who refers, what may be removed.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/worker_pool.h"
#include "blob/blob.h"
#include "blob/folder.h"

namespace virga::blob {

class FileStore final : public Store, public std::enable_shared_from_this<FileStore> {
 public:
  FileStore(std::string directory, kv::Db& db, FileOptions options);

  std::unique_ptr<Writer> create() override;
  Body read(const Ref& ref, uint64_t offset, uint64_t length) override;
  Task<Ref> concat(std::vector<Ref> parts) override;
  Task<void> keep(kv::Txn& tx, const Ref& ref) override;
  Task<void> drop(kv::Txn& tx, const Ref& ref) override;
  std::string path(const Ref& ref) const override;
  Task<size_t> sweep() override;

  Folder& folder() { return folder_; }
  WorkerPool& pool() { return pool_; }
  std::string begin_blob();                    // a new id, under protection until finished or abandoned
  void finished_blob(const std::string& id);   // durable; now it must be kept before the grace ends
  void abandoned_blob(const std::string& id);  // its files are gone

 private:
  using Instant = std::chrono::steady_clock::time_point;
  struct Timer {
    Instant at;
  };
  Task<size_t> remove(std::vector<std::string> ids);
  Task<std::vector<std::string>> dropped_long_ago();
  Task<std::vector<std::string>> leftovers();
  Task<Ref> concat_aligned(const std::vector<Ref>& parts);
  void sweep_within(Micros delay);

  Folder folder_;
  kv::Db& db_;
  const FileOptions options_;
  std::mutex mutex_;
  std::set<std::string> writing_;
  std::map<std::string, Instant> unkept_;   // finished by this process, in no committed transaction yet
  std::map<std::string, Instant> dropped_;  // when this process first saw them without references
  bool sweeping_ = false, swept_leftovers_ = false;
  std::weak_ptr<Timer> timer_;  // owned by the closure that waits in an executor
  WorkerPool pool_{8};          // last, because its work uses the rest
};

}  // namespace virga::blob
