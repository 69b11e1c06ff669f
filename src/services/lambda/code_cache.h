// Unpacked code on disk, by the hash of its archive. A cache: anything missing is unpacked again from its blob.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "base/task.h"
#include "base/worker_pool.h"
#include "blob/blob.h"

namespace virga::lambda {

class CodeCache {
 public:
  CodeCache(std::string directory, blob::Store& blobs);

  // The folder with the content of the archive `code` whose hash is `sha256` (hex). Throws ZipError for a bad archive.
  Task<std::string> ensure(std::string sha256, blob::Ref code);
  // The same for an archive in memory: checks it and unpacks it at once.
  Task<std::string> unpack(std::string sha256, std::shared_ptr<const std::string> archive);
  // Removes what is not in `used` and was not asked for within `grace`: an instance may still run it.
  Task<void> keep_only(std::set<std::string> used, std::chrono::seconds grace);

 private:
  std::string path_of(std::string_view sha256) const;
  void touch(const std::string& sha256);

  std::string directory_;
  blob::Store& blobs_;
  WorkerPool pool_;
  std::mutex mutex_;
  std::map<std::string, std::chrono::steady_clock::time_point> touched_;  // when a folder was last asked for
};

}  // namespace virga::lambda
