#include "kv/rocks/watermark.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "base/encoding.h"
#include "base/str.h"

namespace virga::kv {

namespace {
// The number and its complement, so that a damaged file is not taken for a number.
std::string encode(Version version) {
  std::string out;
  append_be64(out, version);
  append_be64(out, ~version);
  return out;
}
}  // namespace

Watermark::Watermark(const std::string& directory, Version recovered) {
  const std::string path = cat(directory, "/ACKNOWLEDGED");
  fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0)
    throw std::runtime_error(cat("The data folder ", directory, " can't be written: ", strerror(errno), "."));
  char bytes[16];
  if (pread(fd_, bytes, sizeof bytes, 0) == sizeof bytes && read_be64(bytes) == ~read_be64(bytes + 8)) {
    const Version acknowledged = read_be64(bytes);
    if (acknowledged > recovered) {
      close(fd_);
      throw std::runtime_error(
          cat("The data in ", directory, " is damaged: the last ", acknowledged - recovered, " of ", acknowledged,
              " commits are missing. Restore the folder from a snapshot; or, to go on without them, remove ", path,
              " and start again."));
    }
  }
  acknowledge(recovered);
}

Watermark::~Watermark() {
  if (fd_ >= 0) close(fd_);
}

void Watermark::acknowledge(Version version) {
  const std::string bytes = encode(version);
  // A full disk leaves the old number, which is right too.
  (void)!pwrite(fd_, bytes.data(), bytes.size(), 0);
}

}  // namespace virga::kv
