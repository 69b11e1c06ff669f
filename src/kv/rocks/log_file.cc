#include "kv/rocks/log_file.h"

#include <algorithm>
#include <string>

namespace virga::kv {

namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

// Multiples of the blocks that a log consists of. A store that is hardly written to keeps a small file.
constexpr uint64_t kLeastFill = 64 << 10, kMostFill = 1 << 20;

class LogFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  using FSWritableFileOwnerWrapper::FSWritableFileOwnerWrapper;

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    fill(data.size(), options, debug);
    return count(data, FSWritableFileOwnerWrapper::Append(data, options, debug));
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo& info,
                  IODebugContext* debug) override {
    fill(data.size(), options, debug);
    return count(data, FSWritableFileOwnerWrapper::Append(data, options, info, debug));
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* debug) override {
    written_ = filled_ = size;
    return FSWritableFileOwnerWrapper::Truncate(size, options, debug);
  }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    const IOStatus cut = filled_ > written_ ? Truncate(written_, options, debug) : IOStatus::OK();
    const IOStatus closed = FSWritableFileOwnerWrapper::Close(options, debug);
    return cut.ok() ? closed : cut;
  }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return written_; }
  // Space that is reserved but not filled would need the journal when it is written.
  IOStatus Allocate(uint64_t, uint64_t, const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  void PrepareWrite(size_t, size_t, const IOOptions&, IODebugContext*) override {}

 private:
  void fill(uint64_t bytes, const IOOptions& options, IODebugContext* debug) {
    if (written_ + bytes <= filled_ || !filling_) return;
    const uint64_t from = std::max(written_, filled_);
    const uint64_t most = std::clamp(from, kLeastFill, kMostFill);
    const uint64_t to = (written_ + bytes + most) / kLeastFill * kLeastFill;
    static const std::string kZeros(kMostFill, '\0');
    for (uint64_t at = from; at < to && filling_;) {
      const Slice zeros(kZeros.data(), std::min<uint64_t>(to - at, kZeros.size()));
      // A file system that refuses gets a log that grows with each write.
      filling_ = FSWritableFileOwnerWrapper::PositionedAppend(zeros, at, options, debug).ok();
      at += zeros.size();
      filled_ = at;
    }
  }
  IOStatus count(const Slice& data, IOStatus status) {
    if (status.ok()) written_ += data.size();
    return status;
  }

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
    if (status.ok() && name.ends_with(".log")) *result = std::make_unique<LogFile>(std::move(*result));
    return status;
  }
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> with_filled_logs(std::shared_ptr<rocksdb::FileSystem> base) {
  return std::make_shared<Files>(std::move(base));
}

}  // namespace virga::kv
