// Unpacked code on disk, by the hash of its archive. A cache: anything missing is unpacked again from its blob.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "base/async.h"
#include "base/source.h"
#include "base/task.h"
#include "base/worker_pool.h"
#include "blob/blob.h"
#include "services/lambda/image/archive.h"

namespace virga::lambda {

inline constexpr size_t kMostImagesWaiting = 32;

class CodeCache {
 public:
  CodeCache(std::string directory, blob::Store& blobs, uint64_t image_bytes);

  // The folder with the content of the archive `code` whose hash is `sha256` (hex). Throws ZipError for a bad archive.
  Task<std::string> ensure(std::string sha256, blob::Ref code);
  // The same for an archive in memory: checks it and unpacks it at once.
  Task<std::string> unpack(std::string sha256, std::shared_ptr<const std::string> archive);
  // The folder with the file system of the image in the archive `code`, by its digest (hex).
  Task<std::string> ensure_image(std::string digest, blob::Ref code);
  // The same for an archive as it comes, which is copied to `copy`. Throws ImageError for a bad one.
  Task<image::Manifest> unpack_image(Body archive, blob::Writer* copy);
  // Removes what is not in `used` and was not asked for within `grace`: an instance may still run it.
  Task<void> keep_only(std::set<std::string> used, std::chrono::seconds grace);

 private:
  Task<image::Manifest> unpack_image_alone(Body archive, blob::Writer* copy);
  std::string path_of(std::string_view sha256) const;
  void touch(const std::string& sha256);

  std::string directory_;
  blob::Store& blobs_;
  const uint64_t image_bytes_;
  WorkerPool pool_;
  Semaphore images_{1, kMostImagesWaiting};  // one is taken apart at a time, for its size
  std::mutex mutex_;
  std::map<std::string, std::chrono::steady_clock::time_point> touched_;  // when a folder was last asked for
};

}  // namespace virga::lambda
