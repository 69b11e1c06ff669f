// Blobs as files: `<folder>/<two letters>/<id>` holds exactly the content, `<id>.crc` beside it the sums of its blocks
// when there is more than one. Everything here blocks and throws std::runtime_error with the reason.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "blob/blob.h"
#include "blob/sums.h"

namespace virga::blob {

class File {
 public:
  File() = default;
  explicit File(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  File& operator=(File&& other) noexcept;
  ~File();
  explicit operator bool() const { return fd_ >= 0; }
  int fd() const { return fd_; }

  void write(std::string_view bytes);  // at the end
  // Up to `size` bytes from `offset`; fewer at the end of the file.
  std::string read(uint64_t offset, uint64_t size) const;
  // The same if nothing has to be waited for, else false.
  bool read_cached(uint64_t offset, uint64_t size, std::string& out) const;
  // Appends all of `from` without the bytes passing through this process where the file system can.
  void append_from(const File& from, uint64_t size);
  void start_writeback(uint64_t offset, uint64_t size) const;
  void sync();

 private:
  [[noreturn]] void fail(const char* what, int error) const;
  int fd_ = -1;
  std::string path_;
};

class Folder {
 public:
  explicit Folder(std::string path);  // makes it

  std::string path_of(const std::string& id) const;
  std::string sums_path_of(const std::string& id) const { return path_of(id) + ".crc"; }
  File create(const std::string& id) const;
  File open(const std::string& path) const;  // for reading
  bool exists(const std::string& id) const;
  // Makes the content in `file` and `sums` durable under `id`.
  void seal(const std::string& id, File& file, const BlockSums& sums) const;
  void remove(const std::string& id) const;
  // Every blob there is.
  std::vector<std::string> list() const;
  // The sums of the blocks of `ref` from block `first` on, at most `count`.
  std::vector<uint32_t> read_sums(const Ref& ref, uint64_t first, uint64_t count) const;

 private:
  std::string shard_of(const std::string& id) const;
  static void sync_directory(const std::string& path);
  std::string path_;
};

}  // namespace virga::blob
