#include "services/s3/checksum.h"

#include <algorithm>
#include <stdexcept>

#include "base/encoding.h"
#include "base/str.h"

namespace virga::s3 {
namespace {

std::string crc_bytes(Sum sum, uint64_t crc) {
  std::string out;
  if (sum == Sum::kCrc64Nvme) {
    append_be64(out, crc);
  } else {
    append_be32(out, static_cast<uint32_t>(crc));
  }
  return out;
}

uint64_t crc_value(Sum sum, const std::string& bytes) {
  return sum == Sum::kCrc64Nvme ? read_be64(bytes.data()) : read_be32(bytes.data());
}

uint64_t crc_of(Sum sum, std::string_view bytes, uint64_t seed) {
  switch (sum) {
    case Sum::kCrc32:
      return crc32(bytes, static_cast<uint32_t>(seed));
    case Sum::kCrc32c:
      return crc32c(bytes, static_cast<uint32_t>(seed));
    default:
      return crc64nvme(bytes, seed);
  }
}

uint64_t polynomial_of(Sum sum) {
  switch (sum) {
    case Sum::kCrc32:
      return 0xEDB88320u;
    case Sum::kCrc32c:
      return 0x82F63B78u;
    default:
      return 0x9A6C9329AC4BC9B5u;
  }
}

// Arithmetic on polynomials over GF(2) modulo a CRC's, in the bit-reversed form: the highest bit is x^0.
struct Field {
  uint64_t polynomial;
  uint64_t one;
  uint64_t multiply(uint64_t a, uint64_t b) const {
    uint64_t product = 0;
    for (uint64_t bit = one; bit != 0; bit >>= 1) {
      if (a & bit) product ^= b;
      b = (b & 1) ? b >> 1 ^ polynomial : b >> 1;
    }
    return product;
  }
  // x^(8 * bytes): what `bytes` more bytes multiply a CRC by.
  uint64_t shift(uint64_t bytes) const {
    uint64_t out = one, square = one >> 8;
    for (; bytes != 0; bytes >>= 1) {
      if (bytes & 1) out = multiply(out, square);
      square = multiply(square, square);
    }
    return out;
  }
};

}  // namespace

std::string_view name_of(Sum sum) {
  switch (sum) {
    case Sum::kCrc32:
      return "CRC32";
    case Sum::kCrc32c:
      return "CRC32C";
    case Sum::kCrc64Nvme:
      return "CRC64NVME";
    case Sum::kSha1:
      return "SHA1";
    case Sum::kSha256:
      return "SHA256";
  }
  return {};
}

std::string_view header_of(Sum sum) {
  switch (sum) {
    case Sum::kCrc32:
      return "x-amz-checksum-crc32";
    case Sum::kCrc32c:
      return "x-amz-checksum-crc32c";
    case Sum::kCrc64Nvme:
      return "x-amz-checksum-crc64nvme";
    case Sum::kSha1:
      return "x-amz-checksum-sha1";
    case Sum::kSha256:
      return "x-amz-checksum-sha256";
  }
  return {};
}

size_t size_of(Sum sum) {
  switch (sum) {
    case Sum::kCrc32:
    case Sum::kCrc32c:
      return 4;
    case Sum::kCrc64Nvme:
      return 8;
    case Sum::kSha1:
      return 20;
    case Sum::kSha256:
      return 32;
  }
  return 0;
}

bool is_crc(Sum sum) { return sum == Sum::kCrc32 || sum == Sum::kCrc32c || sum == Sum::kCrc64Nvme; }

std::string text_of(const Checksum& checksum) {
  std::string text = base64_encode(checksum.bytes);
  if (checksum.composite_of) append(text, '-', checksum.composite_of);
  return text;
}

std::optional<std::string> parse_checksum(Sum sum, std::string_view text) {
  auto bytes = base64_decode(text);
  if (!bytes || bytes->size() != size_of(sum)) return std::nullopt;
  return bytes;
}

Digest::Digest(std::vector<Sum> sums) : md5_(HashKind::kMd5) {
  for (const Sum sum : sums) {
    if (std::ranges::any_of(running_, [&](const Running& r) { return r.sum == sum; })) continue;
    Running& running = running_.emplace_back(Running{.sum = sum, .crc = 0, .hasher = {}, .bytes = {}});
    if (sum == Sum::kSha1) running.hasher.emplace(HashKind::kSha1);
    if (sum == Sum::kSha256) running.hasher.emplace(HashKind::kSha256);
  }
}

void Digest::update(std::string_view bytes) {
  size_ += bytes.size();
  md5_.update(bytes);
  for (Running& running : running_) {
    if (running.hasher) {
      running.hasher->update(bytes);
    } else {
      running.crc = crc_of(running.sum, bytes, running.crc);
    }
  }
}

void Digest::finish() {
  md5_bytes_ = md5_.finish();
  for (Running& running : running_) {
    running.bytes = running.hasher ? running.hasher->finish() : crc_bytes(running.sum, running.crc);
  }
}

Checksum Digest::checksum(Sum sum) const {
  for (const Running& running : running_) {
    if (running.sum == sum) return {sum, running.bytes, 0};
  }
  throw std::logic_error("s3: a checksum that was not asked for");
}

Checksum combine(Sum sum, const std::vector<PartSum>& parts) {
  const Field field{polynomial_of(sum), uint64_t{1} << (size_of(sum) * 8 - 1)};
  uint64_t crc = 0;
  for (const PartSum& part : parts) {
    if (part.size == 0) continue;
    crc = field.multiply(field.shift(part.size), crc) ^ crc_value(sum, part.bytes);
  }
  return {sum, crc_bytes(sum, crc), 0};
}

Checksum compose(Sum sum, const std::vector<PartSum>& parts) {
  Digest digest({sum});
  for (const PartSum& part : parts) digest.update(part.bytes);
  digest.finish();
  Checksum out = digest.checksum(sum);
  out.composite_of = static_cast<uint32_t>(parts.size());
  return out;
}

}  // namespace virga::s3
