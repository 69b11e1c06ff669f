// The checksums S3 keeps with an object: computed while the content passes, compared with what the client said,
// combined when parts become one. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"

namespace virga::s3 {

enum class Sum : uint8_t { kCrc32, kCrc32c, kCrc64Nvme, kSha1, kSha256 };

std::string_view name_of(Sum sum);    // "CRC32"
std::string_view header_of(Sum sum);  // "x-amz-checksum-crc32"
size_t size_of(Sum sum);              // bytes
bool is_crc(Sum sum);

// A checksum as it is kept: its bytes, and over what it was made.
struct Checksum {
  Sum sum = Sum::kCrc64Nvme;
  std::string bytes;
  uint32_t composite_of = 0;  // 0: of the whole content; else of the checksums of so many parts
  template <class A>
  void fields(A& a) {
    a(1, sum), a(2, bytes), a(3, composite_of);
  }
  bool operator==(const Checksum&) const = default;
};

// As the header carries it: base64, and "-<parts>" when composite.
std::string text_of(const Checksum& checksum);
// The bytes of a header's value; nothing when it is not base64 of the right length.
std::optional<std::string> parse_checksum(Sum sum, std::string_view text);

// Everything asked for about one content, in one pass. MD5 is always among it.
class Digest {
 public:
  explicit Digest(std::vector<Sum> sums);
  void update(std::string_view bytes);
  // Once, before md5() and checksum().
  void finish();
  const std::string& md5() const { return md5_bytes_; }  // raw
  // Of a kind that the constructor named.
  Checksum checksum(Sum sum) const;
  uint64_t size() const { return size_; }

 private:
  struct Running {
    Sum sum;
    uint64_t crc = 0;
    std::optional<Hasher> hasher;
    std::string bytes;
  };
  Hasher md5_;
  std::string md5_bytes_;
  std::vector<Running> running_;
  uint64_t size_ = 0;
};

struct PartSum {
  std::string bytes;  // of the checksum
  uint64_t size = 0;  // of the part
};
// Of the parts' contents put together: what a CRC allows without reading them again.
Checksum combine(Sum crc, const std::vector<PartSum>& parts);
// The checksum of the parts' checksums.
Checksum compose(Sum sum, const std::vector<PartSum>& parts);

}  // namespace virga::s3
