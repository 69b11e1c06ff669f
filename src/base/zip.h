// Zip archives in memory: reading what users upload, writing what the command line packages.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace virga {

// A malformed or refused archive; the text says what was found.
struct ZipError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct ZipEntry {
  std::string name;   // relative, '/'-separated, without "..", never empty; directories end with '/'
  uint32_t mode = 0;  // Unix mode with type bits; 0644 (directories 0755) when the archive gives none
  uint64_t size = 0;  // uncompressed
  uint64_t compressed_size = 0;
  uint32_t crc32 = 0;
  uint16_t method = 0;       // 0 stored, 8 deflated
  uint64_t data_offset = 0;  // of the compressed bytes
  bool is_directory() const { return name.ends_with('/'); }
  bool is_symlink() const { return (mode & 0170000) == 0120000; }
};

// Reads the directory of `archive`, which must outlive the reader. Throws ZipError: not a zip, names that leave the
// folder, encryption, zip64, more than `most_entries`, or more than `most_bytes` uncompressed in all.
class ZipReader {
 public:
  ZipReader(std::string_view archive, uint64_t most_bytes, size_t most_entries = 65'535);
  const std::vector<ZipEntry>& entries() const { return entries_; }
  uint64_t total_size() const { return total_size_; }
  // Calls `sink` with pieces of the entry's content. Throws ZipError when it is longer than declared or damaged.
  void extract(const ZipEntry& entry, const std::function<void(std::string_view)>& sink) const;
  std::string read(const ZipEntry& entry) const;

 private:
  std::string_view archive_;
  std::vector<ZipEntry> entries_;
  uint64_t total_size_ = 0;
};

// Builds an archive. The same files in the same order give the same bytes: times are fixed.
class ZipWriter {
 public:
  void add(std::string_view name, std::string_view content, uint32_t mode = 0100644);
  std::string finish();  // once

 private:
  std::string out_;
  std::string directory_;
  uint16_t count_ = 0;
};

}  // namespace virga
