#include "services/lambda/image/rootfs.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/str.h"
#include "services/lambda/image/manifest.h"

namespace virga::lambda::image {
namespace {

constexpr size_t kLongestPath = 4095;  // PATH_MAX
constexpr size_t kDeepest = 255;

[[noreturn]] void fail(std::string_view what, std::string_view path) {
  const int error = errno;
  const std::string shown(path.substr(0, 200));
  // What the archive's own names cause is the archive's fault; a full disk is not.
  if (error == ENOSPC || error == EDQUOT || error == EIO || error == EMFILE || error == ENFILE || error == EROFS)
    throw std::system_error(error, std::generic_category(), cat(what, " ", shown, " of an image"));
  throw ImageError(cat(what, " '", shown, "': ", lower(std::strerror(error))));
}

std::string joined(const std::vector<std::string>& parts, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) append(out, i ? "/" : "", parts[i]);
  return out;
}

}  // namespace

std::vector<std::string> parts_of(std::string_view path) {
  if (path.size() > kLongestPath || path.find('\0') != path.npos) throw ImageError("a name in it is too long");
  std::vector<std::string> out;
  for (const std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") throw ImageError(cat("the name '", path.substr(0, 200), "' leaves the image"));
    out.emplace_back(part);
  }
  if (out.size() > kDeepest) throw ImageError("a name in it goes too deep");
  return out;
}

Rootfs::Rootfs(std::string directory) : directory_(std::move(directory)) {
  if (::mkdir(directory_.c_str(), 0755) != 0) fail("make", directory_);
  root_ = ::open(directory_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root_ < 0) fail("open", directory_);
}

Rootfs::~Rootfs() {
  for (const int fd : {file_, parent_, root_}) {
    if (fd >= 0) ::close(fd);
  }
}

int Rootfs::open_folder(const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  // A link that leads upwards makes the kernel ask again when anything of the host is renamed meanwhile.
  for (int i = 0;; ++i) {
    const auto fd =
        static_cast<int>(::syscall(SYS_openat2, root_, path.empty() ? "." : path.c_str(), &how, sizeof how));
    if (fd >= 0 || errno != EAGAIN || i == 1000) return fd;
  }
}

Rootfs::Place Rootfs::place(std::string_view path, bool existing) {
  const auto parts = parts_of(path);
  if (parts.empty()) return {};
  const std::string folder = joined(parts, parts.size() - 1);
  if (parent_ < 0 || folder != parent_path_) {
    int found = open_folder(folder);
    if (found < 0 && errno == ENOENT && !existing) {
      // From the first that is missing: links on the way lead where they lead inside the image.
      for (size_t i = 1; i < parts.size(); ++i) {
        const std::string part = joined(parts, i);
        if (const int there = open_folder(part); there >= 0) {
          ::close(there);
          continue;
        }
        const int above = open_folder(joined(parts, i - 1));
        if (above < 0) fail("open the folder of", path);
        const bool made = ::mkdirat(above, parts[i - 1].c_str(), 0755) == 0;
        const int error = errno;
        ::close(above);
        errno = error;
        if (!made) fail("make the folder of", path);
      }
      found = open_folder(folder);
    }
    if (found < 0 && existing) return {};
    if (found < 0) fail("open the folder of", path);
    if (parent_ >= 0) ::close(parent_);
    parent_ = found;
    parent_path_ = folder;
  }
  return {parent_, parts.back()};
}

// The folder that is kept open may be below what was removed, or have been found through it.
void Rootfs::forget_parent() {
  if (parent_ >= 0) ::close(std::exchange(parent_, -1));
}

void Rootfs::remove_at(const Place& at) {
  if (::unlinkat(at.parent, at.name.c_str(), 0) == 0) return forget_parent();
  if (errno == ENOENT) return;
  if (errno != EISDIR && errno != EPERM) fail("remove", at.name);
  std::error_code error;
  std::filesystem::remove_all(cat("/proc/self/fd/", at.parent, "/", at.name), error);
  if (error) throw std::system_error(error, cat("removing ", at.name, " of an image"));
  forget_parent();
}

void Rootfs::remove(std::string_view path) {
  const Place at = place(path, true);
  if (!at.name.empty()) remove_at(at);
}

void Rootfs::clear(std::string_view directory) {
  const int folder = open_folder(joined(parts_of(directory), parts_of(directory).size()));
  if (folder < 0) return;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(cat("/proc/self/fd/", folder), error))
    std::filesystem::remove_all(entry.path(), error);
  ::close(folder);
  if (error) throw std::system_error(error, "emptying a folder of an image");
  forget_parent();
}

void Rootfs::make_folder(std::string_view path) {
  Place at = place(path);
  struct stat found;
  if (::fstatat(at.parent, at.name.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISDIR(found.st_mode)) return;
    remove_at(at);
    at = place(path);
  }
  if (::mkdirat(at.parent, at.name.c_str(), 0755) != 0) fail("make", path);
}

void Rootfs::add(const TarEntry& entry) {
  close_file();
  const auto parts = parts_of(entry.name);
  if (parts.empty() || parts.back().starts_with(".wh.") || entry.type == TarEntry::Type::kOther) return;
  if (entry.type == TarEntry::Type::kHardLink) {
    const auto linked = parts_of(entry.link);
    if (linked == parts) return;
    if (linked.empty()) throw ImageError(cat("'", entry.name.substr(0, 200), "' is a link to the image itself"));
  }
  if (entry.type == TarEntry::Type::kDirectory) return make_folder(entry.name);
  remove_at(place(entry.name));
  const Place at = place(entry.name);
  switch (entry.type) {
    case TarEntry::Type::kFile:
      file_ = ::openat(at.parent, at.name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
      if (file_ < 0) fail("make", entry.name);
      entry_ = entry;
      if (entry.size == 0) close_file();
      return;
    case TarEntry::Type::kSymlink:
      if (entry.link.empty() || entry.link.size() > kLongestPath || entry.link.find('\0') != entry.link.npos)
        throw ImageError(cat("the symbolic link '", entry.name.substr(0, 200), "' leads nowhere"));
      if (::symlinkat(entry.link.c_str(), at.parent, at.name.c_str()) != 0) fail("make", entry.name);
      return;
    default: {
      const int here = ::fcntl(at.parent, F_DUPFD_CLOEXEC, 0);
      const Place there = place(entry.link, true);
      const bool linked =
          !there.name.empty() && ::linkat(there.parent, there.name.c_str(), here, at.name.c_str(), 0) == 0;
      const int error = there.name.empty() ? ENOENT : errno;
      ::close(here);
      errno = error;
      if (!linked) fail("link", entry.name);
    }
  }
}

void Rootfs::write(std::string_view bytes) {
  while (file_ >= 0 && !bytes.empty()) {
    const ssize_t n = ::write(file_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("write", entry_.name);
    bytes.remove_prefix(static_cast<size_t>(n));
    entry_.size -= static_cast<uint64_t>(n);
  }
  if (file_ >= 0 && entry_.size == 0) close_file();
}

void Rootfs::close_file() {
  if (file_ < 0) return;
  ::fchmod(file_, (entry_.mode & 0111) ? 0755 : 0644);
  // Interpreters compare it with what their compiled files remember.
  const timespec times[] = {{0, UTIME_OMIT}, {entry_.modified, 0}};
  ::futimens(file_, times);
  ::close(std::exchange(file_, -1));
}

void Rootfs::finish() {
  close_file();
  // `etc` itself may be a link to somewhere else in the image; its files must not be found through one.
  for (const char* folder : {"proc", "dev", "tmp", "etc"}) make_folder(folder);
  for (const char* file : {"etc/hosts", "etc/resolv.conf"}) {
    const Place at = place(file);
    struct stat found;
    if (::fstatat(at.parent, at.name.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(found.st_mode)) continue;
    TarEntry empty;
    empty.name = file;
    add(empty);
  }
}

}  // namespace virga::lambda::image
