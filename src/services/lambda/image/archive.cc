#include "services/lambda/image/archive.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>
#include <system_error>
#include <utility>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/str.h"
#include "base/zstd.h"
#include "services/lambda/image/rootfs.h"

namespace virga::lambda::image {
namespace {

constexpr size_t kMostFiles = 10'000;  // of an archive: layers, and a few documents of each image
constexpr size_t kPiece = 256 << 10;
constexpr std::string_view kGzipMagic = "\x1f\x8b";
constexpr std::string_view kZstdMagic = "\x28\xb5\x2f\xfd";
constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr uint64_t kMostHiddenBytes = 64 << 20;  // of all their names

// What the archive's own bytes cause, in words about the image.
template <class F>
void blame(std::string_view what, F f) {
  try {
    f();
  } catch (const TarError& e) {
    throw ImageError(cat(what, e.what()));
  } catch (const GzipError& e) {
    throw ImageError(cat(what, e.what()));
  } catch (const ZstdError& e) {
    throw ImageError(cat(what, e.what()));
  }
}

std::system_error failure(std::string_view what) { return {errno, std::generic_category(), std::string(what)}; }

// A file in pieces, from the page cache or the disk.
void read_file(const std::string& path, const std::function<void(std::string_view)>& sink) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw failure("reading an image");
  const std::unique_ptr<const int, void (*)(const int*)> closer(&fd, [](const int* open) { ::close(*open); });
  const auto piece = std::make_unique<char[]>(kPiece);
  while (true) {
    const ssize_t n = ::read(fd, piece.get(), kPiece);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw failure("reading an image");
    if (n == 0) return;
    sink({piece.get(), static_cast<size_t>(n)});
  }
}

// The tar archive in a layer's file; `raw` sees the file itself.
void read_layer(const std::string& path, const std::function<void(std::string_view)>& raw,
                const std::function<void(std::string_view)>& tar) {
  std::unique_ptr<Gunzip> gunzip;
  std::unique_ptr<Unzstd> unzstd;
  bool first = true;
  read_file(path, [&](std::string_view piece) {
    if (std::exchange(first, false)) {
      if (piece.starts_with(kGzipMagic)) gunzip = std::make_unique<Gunzip>();
      if (piece.starts_with(kZstdMagic)) unzstd = std::make_unique<Unzstd>();
    }
    if (raw) raw(piece);
    if (gunzip) {
      gunzip->feed(piece, tar);
    } else if (unzstd) {
      unzstd->feed(piece, tar);
    } else {
      tar(piece);
    }
  });
  if (gunzip) gunzip->finish();
  if (unzstd) unzstd->finish();
}

}  // namespace

Archive::Archive(std::string folder, Limits limits) : folder_(std::move(folder)), limits_(limits) {
  if (::mkdir(folder_.c_str(), 0700) != 0) throw failure("making a folder for an image");
  tar_.on_entry = [this](const TarEntry& entry) {
    if (file_ >= 0) ::close(std::exchange(file_, -1));
    if (files_.size() + links_.size() >= kMostFiles) throw ImageError("the archive has too many files");
    std::string name;
    for (const std::string& part : parts_of(entry.name)) append(name, name.empty() ? "" : "/", part);
    if (entry.type == TarEntry::Type::kSymlink || entry.type == TarEntry::Type::kHardLink) {
      // docker save of old links a layer to the same one of another image.
      std::filesystem::path to = entry.link;
      if (entry.type == TarEntry::Type::kSymlink) to = std::filesystem::path(name).parent_path() / to;
      links_[name] = to.lexically_normal().generic_string();
    }
    if (entry.type != TarEntry::Type::kFile) return;
    bytes_ += entry.size;
    if (bytes_ > limits_.bytes) throw ImageError(cat("it is larger than ", limits_.bytes, " bytes"));
    const std::string path = cat(folder_, "/", files_.size());
    file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file_ < 0) throw failure("storing an image");
    files_[name] = path;
  };
  tar_.on_data = [this](std::string_view bytes) {
    while (file_ >= 0 && !bytes.empty()) {
      const ssize_t n = ::write(file_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw failure("storing an image");
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  };
}

Archive::~Archive() {
  if (file_ >= 0) ::close(file_);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void Archive::feed(std::string_view bytes) {
  if (!known_) {
    begin_ += bytes;
    if (begin_.size() < kGzipMagic.size()) return;
    known_ = true;
    if (begin_.starts_with(kGzipMagic)) gunzip_ = std::make_unique<Gunzip>();
    const std::string first = std::exchange(begin_, {});
    return feed(first);
  }
  blame("", [&] {
    if (gunzip_) {
      gunzip_->feed(bytes, [this](std::string_view piece) { tar_.feed(piece); });
    } else {
      tar_.feed(bytes);
    }
  });
}

const std::string& Archive::find(const std::string& name) const {
  static const std::string kNone;
  const std::string* at = &name;
  for (int i = 0; i < 8; ++i) {
    if (const auto file = files_.find(*at); file != files_.end()) return file->second;
    const auto link = links_.find(*at);
    if (link == links_.end()) return kNone;
    at = &link->second;
  }
  return kNone;
}

std::optional<std::string> Archive::read_document(const std::string& name) const {
  const std::string& path = find(name);
  if (path.empty()) return std::nullopt;
  std::string out;
  read_file(path, [&](std::string_view piece) {
    if (out.size() + piece.size() > kMostDocument) throw ImageError(cat(name, " is too large"));
    out += piece;
  });
  return out;
}

const Manifest& Archive::check() {
  if (file_ >= 0) ::close(std::exchange(file_, -1));
  blame("", [&] {
    if (gunzip_) gunzip_->finish();
    tar_.finish();
  });
  manifest_ = read_manifest([this](const std::string& name) { return read_document(name); });
  for (const Layer& layer : manifest_.layers) hidden_.push_back(check_layer(layer));
  return manifest_;
}

Archive::Hidden Archive::check_layer(const Layer& layer) {
  const std::string& path = find(layer.file);
  if (path.empty()) throw ImageError(cat("its layer ", layer.file.substr(0, 200), " is missing"));
  Hasher raw(HashKind::kSha256), content(HashKind::kSha256);
  Hidden hidden;
  uint64_t hidden_bytes = 0;
  TarReader reader;
  reader.on_entry = [&](const TarEntry& entry) {
    content_bytes_ += entry.size;
    if (content_bytes_ > limits_.bytes) throw ImageError(cat("its content is larger than ", limits_.bytes, " bytes"));
    if (++content_entries_ > limits_.entries) throw ImageError(cat("it has more than ", limits_.entries, " files"));
    const auto slash = entry.name.rfind('/');
    const std::string folder = slash == entry.name.npos ? "" : entry.name.substr(0, slash);
    const std::string_view name = std::string_view(entry.name).substr(slash == entry.name.npos ? 0 : slash + 1);
    if (!name.starts_with(kWhiteout)) return;
    hidden_bytes += entry.name.size();
    if (hidden_bytes > kMostHiddenBytes) throw ImageError("a layer hides too much");
    if (name == kOpaque) {
      hidden.folders.push_back(folder);
    } else if (name == kWhiteout) {
      throw ImageError("a layer hides what has no name");
    } else if (!name.starts_with(".wh..wh.")) {  // others of these are notes of a file system to itself
      hidden.names.push_back(cat(folder, "/", name.substr(kWhiteout.size())));
    }
  };
  blame(cat("its layer ", layer.file.substr(0, 200), ": "), [&] {
    const auto take_raw = [&](std::string_view piece) { raw.update(piece); };
    read_layer(path, take_raw, [&](std::string_view piece) {
      content.update(piece);
      reader.feed(piece);
    });
    reader.finish();
  });
  const bool right =
      hex_encode(content.finish()) == layer.content_hex && (!layer.hex || hex_encode(raw.finish()) == *layer.hex);
  if (!right) throw ImageError(cat("its layer ", layer.file.substr(0, 200), " does not match its digest"));
  return hidden;
}

void Archive::unpack(const std::string& directory) {
  Rootfs root(directory);
  for (size_t i = 0; i < manifest_.layers.size(); ++i) {
    for (const std::string& folder : hidden_[i].folders) root.clear(folder);
    for (const std::string& name : hidden_[i].names) root.remove(name);
    TarReader reader;
    reader.on_entry = [&](const TarEntry& entry) { root.add(entry); };
    reader.on_data = [&](std::string_view bytes) { root.write(bytes); };
    read_layer(find(manifest_.layers[i].file), nullptr, [&](std::string_view piece) { reader.feed(piece); });
  }
  root.finish();
}

}  // namespace virga::lambda::image
