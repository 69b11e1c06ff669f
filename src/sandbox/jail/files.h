// Small files of /proc and of the control groups.
#pragma once

#include <fcntl.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "sandbox/jail/fd.h"

namespace virga::sandbox::jail {

// The text of a small file, or nothing.
inline std::string read_text(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string out;
  char buffer[4096];
  ssize_t n;
  while (fd && (n = ::read(fd.get(), buffer, sizeof buffer)) > 0) out.append(buffer, static_cast<size_t>(n));
  return out;
}

// Writes in one call, as kernel interfaces want it. On failure errno says why.
inline bool write_text(const std::string& path, std::string_view text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t n = ::write(fd, text.data(), text.size());
  const int error = errno;
  ::close(fd);
  errno = error;
  return n == static_cast<ssize_t>(text.size());
}

// What files take in the file system at `path`; 0 where that can't be looked at.
inline uint64_t bytes_in(const std::string& path) {
  struct statfs info{};
  if (::statfs(path.c_str(), &info) != 0) return 0;
  return (info.f_blocks - info.f_bfree) * static_cast<uint64_t>(info.f_bsize);
}

}  // namespace virga::sandbox::jail
