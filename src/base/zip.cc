#include "base/zip.h"

#include <zlib.h>

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "base/str.h"

namespace virga {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50, kEndOfDirectory = 0x06054b50;
constexpr size_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22;

uint16_t le16(std::string_view b, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(b[at]) | static_cast<uint8_t>(b[at + 1]) << 8);
}
uint32_t le32(std::string_view b, size_t at) { return le16(b, at) | static_cast<uint32_t>(le16(b, at + 2)) << 16; }
void put16(std::string& out, uint32_t v) {
  out += static_cast<char>(v & 0xff);
  out += static_cast<char>(v >> 8 & 0xff);
}
void put32(std::string& out, uint32_t v) {
  put16(out, v & 0xffff);
  put16(out, v >> 16);
}

void check_name(std::string_view name) {
  const bool absolute = name.starts_with('/') || name.find('\\') != name.npos || name.find('\0') != name.npos;
  const auto parts = split(name, '/');
  if (name.empty() || absolute || std::ranges::find(parts, "..") != parts.end()) {
    throw ZipError(cat("the archive has an entry whose name leaves the folder: '", name.substr(0, 200), "'"));
  }
}

size_t find_end(std::string_view archive) {
  if (archive.size() < kEndSize) throw ZipError("not a zip archive: too short");
  const size_t lowest = archive.size() > kEndSize + 65'535 ? archive.size() - kEndSize - 65'535 : 0;
  for (size_t at = archive.size() - kEndSize;; --at) {
    if (le32(archive, at) == kEndOfDirectory) return at;
    if (at == lowest) throw ZipError("not a zip archive: no end-of-directory record");
  }
}

class Inflater {
 public:
  Inflater() {
    if (inflateInit2(&stream_, -MAX_WBITS) != Z_OK) throw ZipError("zlib could not start");
  }
  ~Inflater() { inflateEnd(&stream_); }
  z_stream& stream() { return stream_; }

 private:
  z_stream stream_{};
};

}  // namespace

ZipReader::ZipReader(std::string_view archive, uint64_t most_bytes, size_t most_entries) : archive_(archive) {
  const size_t end = find_end(archive);
  const size_t count = le16(archive, end + 10);
  size_t at = le32(archive, end + 16);
  if (count == 0xffff || at == 0xffffffff) throw ZipError("zip64 archives are not accepted");
  if (count > most_entries) throw ZipError(cat("the archive has ", count, " entries, more than ", most_entries));
  for (size_t i = 0; i < count; ++i) {
    if (at + kCentralSize > archive.size() || le32(archive, at) != kCentralHeader)
      throw ZipError("damaged zip directory");
    const size_t name_size = le16(archive, at + 28), extra = le16(archive, at + 30), comment = le16(archive, at + 32);
    if (at + kCentralSize + name_size + extra + comment > archive.size()) throw ZipError("damaged zip directory");
    ZipEntry entry;
    entry.name = archive.substr(at + kCentralSize, name_size);
    check_name(entry.name);
    if (le16(archive, at + 8) & 1) throw ZipError(cat("encrypted entry '", entry.name, "'"));
    entry.method = le16(archive, at + 10);
    entry.crc32 = le32(archive, at + 16);
    entry.compressed_size = le32(archive, at + 20);
    entry.size = le32(archive, at + 24);
    const bool unix_made = static_cast<uint8_t>(archive[at + 5]) == 3;
    entry.mode = unix_made ? le32(archive, at + 38) >> 16 : 0;
    if (!(entry.mode & 0777)) entry.mode = entry.is_directory() ? 040755 : 0100644;
    const size_t local = le32(archive, at + 42);
    if (local + kLocalSize > archive.size() || le32(archive, local) != kLocalHeader)
      throw ZipError("damaged zip entry");
    entry.data_offset = local + kLocalSize + le16(archive, local + 26) + le16(archive, local + 28);
    if (entry.data_offset + entry.compressed_size > archive.size())
      throw ZipError(cat("truncated entry '", entry.name, "'"));
    total_size_ += entry.size;
    if (total_size_ > most_bytes) throw ZipError(cat("unpacked, the archive is larger than ", most_bytes, " bytes"));
    entries_.push_back(std::move(entry));
    at += kCentralSize + name_size + extra + comment;
  }
}

void ZipReader::extract(const ZipEntry& entry, const std::function<void(std::string_view)>& sink) const {
  const std::string_view data = archive_.substr(entry.data_offset, entry.compressed_size);
  uint32_t crc = 0;
  uint64_t size = 0;
  const auto emit = [&](std::string_view piece) {
    size += piece.size();
    if (size > entry.size) throw ZipError(cat("entry '", entry.name, "' is longer than it says"));
    crc = crc32(piece, crc);
    sink(piece);
  };
  if (entry.method == 0) {
    emit(data);
  } else if (entry.method == 8) {
    Inflater inflater;
    z_stream& z = inflater.stream();
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
    z.avail_in = static_cast<uInt>(data.size());
    std::array<char, 65'536> buffer;
    int result = Z_OK;
    while (result != Z_STREAM_END) {
      z.next_out = reinterpret_cast<Bytef*>(buffer.data());
      z.avail_out = buffer.size();
      result = inflate(&z, Z_NO_FLUSH);
      const size_t made = buffer.size() - z.avail_out;
      if ((result != Z_OK && result != Z_STREAM_END) || (made == 0 && result != Z_STREAM_END)) {
        throw ZipError(cat("entry '", entry.name, "' is damaged"));
      }
      if (made) emit({buffer.data(), made});
    }
  } else {
    throw ZipError(
        cat("entry '", entry.name, "' uses compression method ", entry.method, "; only stored and deflate are read"));
  }
  if (size != entry.size || crc != entry.crc32) throw ZipError(cat("entry '", entry.name, "' fails its checksum"));
}

std::string ZipReader::read(const ZipEntry& entry) const {
  std::string out;
  out.reserve(std::min<uint64_t>(entry.size, 64 << 20));
  extract(entry, [&](std::string_view piece) { out += piece; });
  return out;
}

void ZipWriter::add(std::string_view name, std::string_view content, uint32_t mode) {
  check_name(name);
  std::string packed(compressBound(content.size()) + 16, '\0');
  z_stream z{};
  if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw ZipError("zlib could not start");
  }
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  z.avail_in = static_cast<uInt>(content.size());
  z.next_out = reinterpret_cast<Bytef*>(packed.data());
  z.avail_out = static_cast<uInt>(packed.size());
  deflate(&z, Z_FINISH);
  packed.resize(z.total_out);
  deflateEnd(&z);

  const bool deflated = packed.size() < content.size();
  const std::string_view data = deflated ? std::string_view(packed) : content;
  const uint32_t offset = static_cast<uint32_t>(out_.size());
  std::string common;  // what the local and the central header share
  put16(common, 20);
  put16(common, 0x0800);  // names are UTF-8
  put16(common, deflated ? 8 : 0);
  put32(common, 0x00210000);  // 1980-01-01: the content alone decides the bytes
  put32(common, crc32(content));
  put32(common, static_cast<uint32_t>(data.size()));
  put32(common, static_cast<uint32_t>(content.size()));
  put16(common, static_cast<uint32_t>(name.size()));
  put16(common, 0);
  put32(out_, kLocalHeader);
  out_ += common;
  out_ += name;
  out_ += data;
  put32(directory_, kCentralHeader);
  put16(directory_, 3 << 8 | 20);  // made on Unix
  directory_ += common;
  put16(directory_, 0);
  put16(directory_, 0);
  put16(directory_, 0);
  put32(directory_, mode << 16);
  put32(directory_, offset);
  directory_ += name;
  ++count_;
}

std::string ZipWriter::finish() {
  const uint32_t offset = static_cast<uint32_t>(out_.size());
  out_ += directory_;
  put32(out_, kEndOfDirectory);
  put32(out_, 0);
  put16(out_, count_);
  put16(out_, count_);
  put32(out_, static_cast<uint32_t>(directory_.size()));
  put32(out_, offset);
  put16(out_, 0);
  return std::move(out_);
}

}  // namespace virga
