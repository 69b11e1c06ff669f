#include "services/lambda/code_cache.h"

#include <aws/lambda/errors.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "base/id.h"
#include "base/source.h"
#include "base/str.h"
#include "base/zip.h"
#include "services/lambda/limits.h"

namespace virga::lambda {
namespace fs = std::filesystem;
namespace {

void write_file(const fs::path& path, const ZipReader& zip, const ZipEntry& entry) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), cat("unpacking ", path.string()));
  try {
    zip.extract(entry, [&](std::string_view piece) {
      while (!piece.empty()) {
        const ssize_t n = ::write(fd, piece.data(), piece.size());
        if (n < 0) throw std::system_error(errno, std::generic_category(), cat("unpacking ", path.string()));
        piece.remove_prefix(static_cast<size_t>(n));
      }
    });
  } catch (...) {
    ::close(fd);
    throw;
  }
  // Readable by whoever the sandbox runs as; executable where the archive says so.
  ::fchmod(fd, (entry.mode & 0111) ? 0755 : 0644);
  ::close(fd);
}

// A link may point anywhere, for it is followed inside the sandbox only; but nothing is made through one here.
void refuse_links_above(const fs::path& folder, const fs::path& inside) {
  fs::path at = folder;
  for (const fs::path& part : inside.parent_path()) {
    at /= part;
    if (fs::is_symlink(fs::symlink_status(at))) {
      throw ZipError(cat("the archive has an entry below a symbolic link: '", inside.string().substr(0, 200), "'"));
    }
  }
}

constexpr uint64_t kLongestLink = 4095;  // PATH_MAX

// Symbolic links come last, so that no file is ever written through one.
void unpack_into(const fs::path& folder, std::string_view archive) {
  const ZipReader zip(archive, kMaxUnzippedBytes);
  fs::create_directories(folder);
  for (const ZipEntry& entry : zip.entries()) {
    const fs::path path = folder / entry.name;
    if (entry.is_directory()) {
      fs::create_directories(path);
    } else if (!entry.is_symlink()) {
      fs::create_directories(path.parent_path());
      write_file(path, zip, entry);
    }
  }
  for (const ZipEntry& entry : zip.entries()) {
    if (!entry.is_symlink()) continue;
    if (entry.size > kLongestLink) throw ZipError(cat("the symbolic link '", entry.name, "' is too long"));
    const fs::path path = folder / entry.name;
    refuse_links_above(folder, entry.name);
    fs::create_directories(path.parent_path());
    fs::create_symlink(zip.read(entry), path);
  }
}

}  // namespace

CodeCache::CodeCache(std::string directory, blob::Store& blobs, uint64_t image_bytes)
    : directory_(std::move(directory)), blobs_(blobs), image_bytes_(image_bytes) {
  fs::create_directories(directory_);
}

std::string CodeCache::path_of(std::string_view sha256) const { return cat(directory_, "/", sha256); }

Task<std::string> CodeCache::ensure(std::string sha256, blob::Ref code) {
  std::string path = path_of(sha256);
  touch(sha256);
  struct stat found;
  if (::stat(path.c_str(), &found) == 0) co_return path;
  const Body body = blobs_.read(code);
  static constexpr ErrorShape kTooLarge{"CodeStorageExceededException", 400, Fault::kSender, {}};
  auto archive =
      std::make_shared<const std::string>(co_await read_all(*body, code.size, Error{&kTooLarge, "", nullptr, {}}));
  co_return co_await unpack(sha256, archive);
}

Task<std::string> CodeCache::unpack(std::string sha256, std::shared_ptr<const std::string> archive) {
  std::string path = path_of(sha256);
  touch(sha256);
  co_await pool_.run([&] {
    if (fs::exists(path)) return;
    // Made elsewhere and renamed, so that a folder under its hash is always whole.
    const fs::path making = cat(path, ".", random_lower_alnum(8));
    try {
      try {
        unpack_into(making, *archive);
      } catch (const std::system_error& e) {
        // Names that contradict one another, or that no file can have, are the archive's fault.
        const int why = e.code().value();
        const bool theirs = why == EEXIST || why == ENOTDIR || why == EISDIR || why == ENAMETOOLONG || why == ELOOP;
        if (theirs) throw ZipError(cat("the archive's names can't stand beside one another: ", e.code().message()));
        throw;
      }
      std::error_code lost_race;
      fs::rename(making, path, lost_race);
      if (lost_race) fs::remove_all(making);
    } catch (...) {
      std::error_code ignored;
      fs::remove_all(making, ignored);
      throw;
    }
  });
  co_return path;
}

Task<std::string> CodeCache::ensure_image(std::string digest, blob::Ref code) {
  std::string path = path_of(digest);
  touch(digest);
  struct stat found;
  if (::stat(path.c_str(), &found) == 0) co_return path;
  const auto turn = co_await images_.acquire(err::TooManyRequestsException("Rate Exceeded."));
  if (::stat(path.c_str(), &found) != 0) co_await unpack_image_alone(blobs_.read(code), nullptr);
  co_return path;
}

Task<image::Manifest> CodeCache::unpack_image(Body archive, blob::Writer* copy) {
  const auto turn = co_await images_.acquire(err::TooManyRequestsException("Rate Exceeded."));
  co_return co_await unpack_image_alone(std::move(archive), copy);
}

Task<image::Manifest> CodeCache::unpack_image_alone(Body body, blob::Writer* copy) {
  const std::string making = cat(directory_, "/image.", random_lower_alnum(8));
  auto archive = std::make_unique<image::Archive>(cat(making, ".files"), image::Limits{.bytes = image_bytes_});
  while (auto piece = co_await body->next()) {
    co_await pool_.run([&] { archive->feed(*piece); });
    if (copy) co_await copy->write(*piece);
  }
  image::Manifest manifest;
  co_await pool_.run([&] {
    const auto files = std::move(archive);  // its files go here too
    manifest = files->check();
    const std::string path = path_of(manifest.digest);
    touch(manifest.digest);
    if (fs::exists(path)) return;
    std::error_code ignored;
    try {
      files->unpack(making);
      fs::rename(making, path);
    } catch (...) {
      fs::remove_all(making, ignored);
      throw;
    }
  });
  co_return manifest;
}

void CodeCache::touch(const std::string& sha256) {
  std::lock_guard lock(mutex_);
  touched_[sha256] = std::chrono::steady_clock::now();
}

Task<void> CodeCache::keep_only(std::set<std::string> used, std::chrono::seconds grace) {
  co_await pool_.run([&] {
    std::error_code ignored;
    std::vector<fs::path> gone;
    for (const auto& entry : fs::directory_iterator(directory_, ignored)) {
      const std::string name = entry.path().filename().string();
      if (used.contains(name)) continue;
      // Whoever asks from here on finds no folder and makes one; whoever asked before is told of by touched_.
      std::lock_guard lock(mutex_);
      const auto asked = touched_.find(name);
      if (asked != touched_.end() && std::chrono::steady_clock::now() - asked->second < grace) continue;
      if (name.find('.') != std::string::npos && grace.count() > 0) continue;  // being made
      if (asked != touched_.end()) touched_.erase(asked);
      const fs::path away = cat(entry.path().string(), ".gone");
      fs::rename(entry.path(), away, ignored);
      gone.push_back(away);
    }
    for (const fs::path& path : gone) fs::remove_all(path, ignored);
  });
}

}  // namespace virga::lambda
