#include "kv/rocks/log_file.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "base/fault.h"

namespace virga::kv {

namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

// Multiples of the blocks that a log consists of. A store that is hardly written to keeps a small file.
constexpr uint64_t kLeastFill = 64 << 10, kMostFill = 1 << 20;
// Direct writes are of whole pages, from memory that begins with one: what every file system is content with.
constexpr uint64_t kPage = 4096;
constexpr uint64_t kMostHeld = 256 << 10;  // bytes on their way to the disk

alignas(kPage) char zeros[kLeastFill];  // nobody writes to it, so it takes no memory

struct Freed {
  void operator()(char* memory) const { std::free(memory); }
};

// A file written past the page cache.
class DirectFile {
 public:
  explicit DirectFile(const std::string& name)
      : fd_(FAULT("kv.rocks.no_direct_log") ? -1 : ::open(name.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC)) {
    if (fd_ >= 0) pages_.reset(static_cast<char*>(std::aligned_alloc(kPage, kMostHeld)));
  }
  DirectFile(const DirectFile&) = delete;
  ~DirectFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  bool usable() const { return pages_ != nullptr; }

  IOStatus append(Slice data) {
    while (!data.empty()) {
      const size_t part = std::min(data.size(), kMostHeld - held_);
      std::memcpy(pages_.get() + held_, data.data(), part);
      held_ += part;
      data.remove_prefix(part);
      if (held_ == kMostHeld) {
        if (IOStatus status = write(0); !status.ok()) return status;
        parted_ = true;
      }
    }
    return IOStatus::OK();
  }
  // Everything appended is on the disk.
  IOStatus sync() {
    if (IOStatus status = write(RWF_DSYNC); !status.ok()) return status;
    return std::exchange(parted_, false) && ::fdatasync(fd_) != 0 ? failed() : IOStatus::OK();
  }
  // Writes what is held, and goes on holding the last page if it isn't full.
  IOStatus write(int flags) {
    const size_t full = held_ / kPage * kPage, all = (held_ + kPage - 1) / kPage * kPage;
    std::memset(pages_.get() + held_, 0, all - held_);
    const iovec piece{pages_.get(), all};
    if (IOStatus status = write_at(at_, {&piece, 1}, all, flags); !status.ok()) return status;
    std::memmove(pages_.get(), pages_.get() + full, held_ - full);
    at_ += full;
    held_ -= full;
    return IOStatus::OK();
  }
  // Zeros from a multiple of kLeastFill to another.
  IOStatus fill(uint64_t from, uint64_t to) {
    std::array<iovec, kMostFill / kLeastFill> pieces;
    pieces.fill({zeros, sizeof zeros});
    for (uint64_t bytes; from < to; from += bytes) {
      bytes = std::min(to - from, kMostFill);
      if (IOStatus status = write_at(from, {pieces.data(), bytes / sizeof zeros}, bytes, 0); !status.ok())
        return status;
    }
    return IOStatus::OK();
  }

 private:
  static IOStatus failed(int error = errno) {
    const char* why = strerror(error);
    return error == ENOSPC ? IOStatus::NoSpace("the log", why) : IOStatus::IOError("the log", why);
  }
  IOStatus write_at(uint64_t at, std::span<const iovec> pieces, size_t bytes, int flags) const {
    ssize_t written = 0;
    do {
      written = ::pwritev2(fd_, pieces.data(), static_cast<int>(pieces.size()), static_cast<off_t>(at), flags);
    } while (written < 0 && errno == EINTR);
    if (written < 0) return failed();
    // Less is written when there is no more room.
    return static_cast<size_t>(written) == bytes ? IOStatus::OK() : failed(ENOSPC);
  }

  const int fd_;
  std::unique_ptr<char, Freed> pages_;
  uint64_t at_ = 0;      // where in the file they belong
  size_t held_ = 0;      // bytes of them that are appended
  bool parted_ = false;  // something before `at_` may not be on the disk
};

class LogFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  LogFile(std::unique_ptr<rocksdb::FSWritableFile> file, const std::string& name)
      : FSWritableFileOwnerWrapper(std::move(file)), direct_(std::make_unique<DirectFile>(name)) {
    if (!direct_->usable()) direct_.reset();
  }

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    fill(data.size(), options, debug);
    return count(data, direct_ ? direct_->append(data) : FSWritableFileOwnerWrapper::Append(data, options, debug));
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Flush(const IOOptions& options, IODebugContext* debug) override {
    return direct_ ? IOStatus::OK() : FSWritableFileOwnerWrapper::Flush(options, debug);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return direct_ ? direct_->sync() : FSWritableFileOwnerWrapper::Sync(options, debug);
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override { return Sync(options, debug); }
  bool IsSyncThreadSafe() const override { return !direct_ && FSWritableFileOwnerWrapper::IsSyncThreadSafe(); }
  IOStatus RangeSync(uint64_t offset, uint64_t bytes, const IOOptions& options, IODebugContext* debug) override {
    return direct_ ? Sync(options, debug) : FSWritableFileOwnerWrapper::RangeSync(offset, bytes, options, debug);
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* debug) override {
    written_ = filled_ = size;
    return FSWritableFileOwnerWrapper::Truncate(size, options, debug);
  }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    const IOStatus held = direct_ ? direct_->write(0) : IOStatus::OK();
    const IOStatus cut = direct_ || filled_ > written_ ? Truncate(written_, options, debug) : IOStatus::OK();
    const IOStatus closed = FSWritableFileOwnerWrapper::Close(options, debug);
    return !held.ok() ? held : cut.ok() ? closed : cut;
  }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return written_; }
  // Space that is reserved but not filled would need the journal when it is written.
  IOStatus Allocate(uint64_t, uint64_t, const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  void PrepareWrite(size_t, size_t, const IOOptions&, IODebugContext*) override {}

 private:
  void fill(uint64_t bytes, const IOOptions& options, IODebugContext* debug) {
    if (written_ + bytes <= filled_ || !filling_) return;
    const uint64_t from = filled_;
    const uint64_t most = std::clamp(from, kLeastFill, kMostFill);
    filled_ = (written_ + bytes + most) / kLeastFill * kLeastFill;
    if (direct_) {
      if (direct_->fill(from, filled_).ok()) return;
      // Some file systems let files be opened for what they can't do.
      if (from == 0) direct_.reset();
    }
    for (uint64_t at = from; at < filled_ && filling_ && !direct_; at += sizeof zeros) {
      filling_ = PositionedAppend({zeros, sizeof zeros}, at, options, debug).ok();
    }
    // A file system that refuses gets a log that grows with each write.
  }
  IOStatus count(const Slice& data, IOStatus status) {
    if (status.ok()) written_ += data.size();
    return status;
  }

  std::unique_ptr<DirectFile> direct_;  // null: through the page cache
  uint64_t written_ = 0, filled_ = 0;
  bool filling_ = true;
};

class Files final : public rocksdb::FileSystemWrapper {
 public:
  using FileSystemWrapper::FileSystemWrapper;
  const char* Name() const override { return "virga"; }
  IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext* debug) override {
    const IOStatus status = FileSystemWrapper::NewWritableFile(name, options, result, debug);
    if (status.ok() && name.ends_with(".log")) *result = std::make_unique<LogFile>(std::move(*result), name);
    return status;
  }
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> with_filled_logs(std::shared_ptr<rocksdb::FileSystem> base) {
  return std::make_shared<Files>(std::move(base));
}

}  // namespace virga::kv
