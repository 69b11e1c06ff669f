#include "blob/folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "base/fault.h"
#include "base/str.h"

namespace virga::blob {

namespace {
// Blobs leave this much, more than the store needs for its commits: what filled a disk can then still be deleted.
constexpr uint64_t kReserve = 64 << 20;

[[noreturn]] void fail_at(const char* what, const std::string& path, int error) {
  throw std::runtime_error(cat("blob: ", what, " ", path, ": ", strerror(error)));
}
}  // namespace

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) close(fd_);
    fd_ = std::exchange(other.fd_, -1);
    path_ = std::move(other.path_);
  }
  return *this;
}

File::~File() {
  if (fd_ >= 0) close(fd_);
}

void File::fail(const char* what, int error) const { fail_at(what, path_, error); }

void File::write(std::string_view bytes) {
  if (FAULT("blob.write_fails")) fail("cannot write", ENOSPC);
  struct statvfs info;
  if (::fstatvfs(fd_, &info) == 0 && uint64_t{info.f_bavail} * info.f_frsize < kReserve + bytes.size())
    fail("cannot write", ENOSPC);
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno != EINTR) fail("cannot write", errno);
    if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
  }
}

std::string File::read(uint64_t offset, uint64_t size) const {
  std::string out(size, '\0');
  size_t got = 0;
  while (got < size) {
    const ssize_t n = pread(fd_, out.data() + got, size - got, static_cast<off_t>(offset + got));
    if (n < 0 && errno != EINTR) fail("cannot read", errno);
    if (n == 0) break;
    if (n > 0) got += static_cast<size_t>(n);
  }
  out.resize(got);
  return out;
}

bool File::read_cached(uint64_t offset, uint64_t size, std::string& out) const {
  out.resize(size);
  const iovec whole{out.data(), size};
  return preadv2(fd_, &whole, 1, static_cast<off_t>(offset), RWF_NOWAIT) == static_cast<ssize_t>(size);
}

void File::append_from(const File& from, uint64_t size) {
  off_t offset = 0;
  while (static_cast<uint64_t>(offset) < size) {
    const ssize_t n = copy_file_range(from.fd_, &offset, fd_, nullptr, size - static_cast<uint64_t>(offset), 0);
    if (n > 0) continue;
    if (n < 0 && errno == EINTR) continue;
    const bool unable = n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP);
    if (n < 0 && !unable) fail("cannot copy into", errno);
    // The file system can't, or the source is shorter than promised.
    const std::string bytes =
        from.read(static_cast<uint64_t>(offset), std::min<uint64_t>(size - static_cast<uint64_t>(offset), 1 << 20));
    if (bytes.empty()) from.fail("a blob is shorter than its record says:", EIO);
    write(bytes);
    offset += static_cast<off_t>(bytes.size());
  }
}

void File::start_writeback(uint64_t offset, uint64_t size) const {
  (void)sync_file_range(fd_, static_cast<off_t>(offset), static_cast<off_t>(size), SYNC_FILE_RANGE_WRITE);
}

void File::sync() {
  if (FAULT("blob.sync_fails")) fail("cannot sync", EIO);
  if (fdatasync(fd_) != 0) fail("cannot sync", errno);
}

Folder::Folder(std::string path) : path_(std::move(path)) {
  std::error_code error;
  std::filesystem::create_directories(path_, error);
  if (error) throw std::runtime_error(cat("The folder for blobs ", path_, " can't be made: ", error.message(), "."));
}

std::string Folder::shard_of(const std::string& id) const { return cat(path_, "/", std::string_view(id).substr(0, 2)); }
std::string Folder::path_of(const std::string& id) const { return cat(shard_of(id), "/", id); }

File Folder::create(const std::string& id) const {
  const std::string path = path_of(id);
  // Readable by others, so that a sandbox of another user can map it; the data folder above decides who gets there.
  const auto open_new = [&] { return ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644); };
  int fd = open_new();
  if (fd < 0 && errno == ENOENT) {
    const std::string shard = shard_of(id);
    if (mkdir(shard.c_str(), 0755) != 0 && errno != EEXIST) fail_at("cannot make", shard, errno);
    sync_directory(path_);
    fd = open_new();
  }
  if (fd < 0) fail_at("cannot create", path, errno);
  return File(fd, path);
}

File Folder::open(const std::string& path) const {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_at("cannot open", path, errno);
  return File(fd, path);
}

bool Folder::exists(const std::string& id) const { return access(path_of(id).c_str(), F_OK) == 0; }

void Folder::seal(const std::string& id, File& file, const BlockSums& sums) const {
  KILL_POINT("blob.before_sync");
  if (sums.size() > kBlock) {
    const std::string path = sums_path_of(id);
    File beside(::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644), path);
    if (!beside) fail_at("cannot create", path, errno);
    beside.write(encode_sums(sums.blocks()));
    beside.sync();
  }
  file.sync();
  sync_directory(shard_of(id));
  KILL_POINT("blob.after_sync");
}

void Folder::sync_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail_at("cannot open", path, errno);
  const int result = fsync(fd), error = errno;
  close(fd);
  if (result != 0) fail_at("cannot sync", path, error);
}

void Folder::remove(const std::string& id) const {
  KILL_POINT("blob.before_remove");
  for (const std::string& path : {sums_path_of(id), path_of(id)}) {
    if (unlink(path.c_str()) != 0 && errno != ENOENT) fail_at("cannot remove", path, errno);
  }
}

std::vector<std::string> Folder::list() const {
  std::vector<std::string> ids;
  std::error_code error;
  for (const auto& shard : std::filesystem::directory_iterator(path_, error)) {
    std::error_code unreadable;
    for (const auto& file : std::filesystem::directory_iterator(shard.path(), unreadable)) {
      std::string name = file.path().filename().string();
      if (name.ends_with(".crc")) name.resize(name.size() - 4);
      if (ids.empty() || ids.back() != name) ids.push_back(std::move(name));
    }
  }
  return ids;
}

std::vector<uint32_t> Folder::read_sums(const Ref& ref, uint64_t first, uint64_t count) const {
  if (ref.size <= kBlock) return {ref.crc32c};
  const uint64_t last = std::min(blocks_of(ref.size), first + count);
  auto sums = decode_sums(open(sums_path_of(ref.id)).read(first * 4, (last - first) * 4));
  if (sums.size() != last - first) {
    throw std::runtime_error(
        cat("blob: ", ref.id, " is damaged: the checksums beside it are cut short. Restore it from a snapshot."));
  }
  return sums;
}

}  // namespace virga::blob
