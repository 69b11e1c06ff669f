// Tar archives piece by piece: reading what users upload, writing what the command line packages.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace virga {

// A malformed or refused archive; the text says what was found.
struct TarError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct TarEntry {
  enum class Type { kFile, kDirectory, kSymlink, kHardLink, kOther };  // kOther: devices and pipes
  Type type = Type::kFile;
  std::string name;  // as the archive has it: may be absolute, or lead out by ".."
  std::string link;  // of links: where they point, as the archive has it
  uint32_t mode = 0;
  uint64_t size = 0;
  int64_t modified = 0;  // seconds since 1970
};

// Takes an archive in pieces of any size: ustar, pax and GNU long names; GNU's sparse files are refused.
class TarReader {
 public:
  std::function<void(const TarEntry&)> on_entry;
  std::function<void(std::string_view)> on_data;  // of the last entry, in order

  void feed(std::string_view bytes);
  // All has been fed: throws TarError when it stopped in the middle of an entry.
  void finish() const;

 private:
  enum class Part { kHeader, kData, kExtension, kEnded };
  void take_header(std::string_view block);
  void take_extension();
  void take_pax(std::string_view records);

  Part part_ = Part::kHeader;
  std::string block_;  // of a header, not whole yet
  uint64_t left_ = 0;  // bytes of the content, then of the padding
  uint64_t padding_ = 0;
  char extension_type_ = 0;  // of the entry that describes the next one
  std::string extension_;
  // What extensions say of the next entry.
  std::string name_, link_;
  std::string pax_size_;
};

// The header of a file or a directory (whose name ends with '/') and, after its content, what fills the last block.
std::string tar_header(std::string_view name, uint64_t size, uint32_t mode = 0644);
std::string tar_padding(uint64_t size);
std::string tar_end();

}  // namespace virga
