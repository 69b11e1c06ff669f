#include "kv/rocks/birth.h"

#include <fcntl.h>
#include <rocksdb/file_system.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "base/str.h"

namespace virga::kv {

namespace {

namespace fs = std::filesystem;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using Syncing = std::shared_ptr<std::atomic<bool>>;

constexpr const char* kMark = "UNFINISHED";

class File final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  File(std::unique_ptr<rocksdb::FSWritableFile> file, Syncing syncing)
      : FSWritableFileOwnerWrapper(std::move(file)), syncing_(std::move(syncing)) {}
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return *syncing_ ? FSWritableFileOwnerWrapper::Sync(options, debug) : IOStatus::OK();
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return *syncing_ ? FSWritableFileOwnerWrapper::Fsync(options, debug) : IOStatus::OK();
  }

 private:
  const Syncing syncing_;
};

class Directory final : public rocksdb::FSDirectoryWrapper {
 public:
  Directory(std::unique_ptr<rocksdb::FSDirectory> directory, Syncing syncing)
      : FSDirectoryWrapper(std::move(directory)), syncing_(std::move(syncing)) {}
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return *syncing_ ? FSDirectoryWrapper::Fsync(options, debug) : IOStatus::OK();
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions& how) override {
    return *syncing_ ? FSDirectoryWrapper::FsyncWithDirOptions(options, debug, how) : IOStatus::OK();
  }

 private:
  const Syncing syncing_;
};

class Files final : public rocksdb::FileSystemWrapper {
 public:
  explicit Files(Syncing syncing) : FileSystemWrapper(rocksdb::FileSystem::Default()), syncing_(std::move(syncing)) {}
  const char* Name() const override { return "virga"; }
  IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext* debug) override {
    const IOStatus status = FileSystemWrapper::NewWritableFile(name, options, result, debug);
    if (status.ok() && !*syncing_) *result = std::make_unique<File>(std::move(*result), syncing_);
    return status;
  }
  IOStatus NewDirectory(const std::string& name, const IOOptions& options,
                        std::unique_ptr<rocksdb::FSDirectory>* result, IODebugContext* debug) override {
    const IOStatus status = FileSystemWrapper::NewDirectory(name, options, result, debug);
    if (status.ok() && !*syncing_) *result = std::make_unique<Directory>(std::move(*result), syncing_);
    return status;
  }

 private:
  const Syncing syncing_;
};

void sync(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (!synced) throw std::system_error(error, std::generic_category(), path);
}

}  // namespace

std::unique_ptr<Birth> Birth::of(const std::string& directory) {
  const fs::path mark = fs::path(directory) / kMark;
  if (fs::exists(mark)) {
    // The mark goes last: until then the folder is known to hold nothing.
    for (const auto& entry : fs::directory_iterator(directory)) {
      if (entry.path() != mark) fs::remove_all(entry.path());
    }
  } else if (fs::exists(fs::path(directory) / "CURRENT")) {
    return nullptr;
  }
  const int fd = ::open(mark.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), mark.string());
  ::close(fd);
  return std::unique_ptr<Birth>(new Birth(directory));
}

Birth::Birth(std::string directory) : directory_(std::move(directory)), files_(std::make_shared<Files>(syncing_)) {}

void Birth::finish() {
  *syncing_ = true;
  for (const auto& entry : fs::directory_iterator(directory_)) {
    const std::string name = entry.path().filename().string();
    // The others are rebuilt, or empty.
    if (name == "CURRENT" || name.starts_with("MANIFEST-")) sync(entry.path().string());
  }
  fs::remove(fs::path(directory_) / kMark);
  sync(directory_);  // before anything is acknowledged: a mark that came back would take it along
}

}  // namespace virga::kv
