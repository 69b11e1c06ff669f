// The aws-chunked coding of S3 uploads: a body in chunks, each perhaps signed, with checksums in trailer fields.
// Decoding checks as it goes and fails at the first thing that is wrong. Bytes are handed on before the
// signature that covers them was seen, so what was read counts only once the body has ended without a failure.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "wire/http.h"

namespace virga::wire {

enum class ChecksumKind : uint8_t { kCrc32, kCrc32c, kCrc64Nvme, kSha1, kSha256 };

// "x-amz-checksum-crc32" and so on. Nothing for other names.
std::optional<ChecksumKind> checksum_of_header(std::string_view header);

// A running checksum in the form its header carries: base64 of the big-endian bytes.
class Checksum {
 public:
  explicit Checksum(ChecksumKind kind);
  void update(std::string_view bytes);
  std::string finish();  // once

 private:
  ChecksumKind kind_;
  uint64_t crc_ = 0;
  std::optional<Hasher> hasher_;
};

struct AwsChunkedOptions {
  bool is_signed = false;                  // STREAMING-AWS4-…: every chunk has a signature
  bool has_trailer = false;                // …-TRAILER: fields follow the last chunk
  std::optional<uint64_t> decoded_length;  // from x-amz-decoded-content-length; checked when given
  uint64_t least_chunk = 0;                // bytes of every chunk but the last
  // Names announced by x-amz-trailer. Each must come; a checksum among them is verified.
  std::vector<std::string> trailer_names;
  // Checks the signature of the next chunk in turn, the empty last one included, given the hex SHA-256 of its bytes.
  // Required for signed bodies.
  std::function<bool(std::string_view sha256_hex, std::string_view signature)> verify_chunk;
  // Checks x-amz-trailer-signature over the canonical trailer. Required for signed bodies with a trailer.
  std::function<bool(std::string_view canonical, std::string_view signature)> verify_trailer;
};

// Incremental and without I/O: what AwsChunkedSource reads through.
class AwsChunkedDecoder {
 public:
  explicit AwsChunkedDecoder(AwsChunkedOptions options);
  // Takes all of `in` and appends what it decodes to `out`. Throws Error.
  void feed(std::string_view in, std::string& out);
  // At the end of the bytes; checks trailer fields and checksums. Throws Error unless everything was right.
  void finish();
  // Lower-case names. Filled by finish().
  const Headers& trailers() const { return trailers_; }

 private:
  enum class State : uint8_t { kSize, kData, kDataEnd, kTail };
  void take_size_line();
  [[noreturn]] void refuse_small_chunk() const;
  void end_chunk();
  void take_data(std::string_view data, std::string& out);
  void check_checksums();

  const AwsChunkedOptions options_;
  State state_ = State::kSize;
  std::string line_;       // a size line under way, then the bytes after the last chunk
  std::string signature_;  // of the chunk under way
  std::optional<Hasher> chunk_hash_;
  uint64_t left_ = 0, total_ = 0;
  uint64_t chunks_ = 0, chunk_size_ = 0;  // how many there were, and the size of the one under way
  Headers trailers_;
  std::vector<std::pair<ChecksumKind, Checksum>> sums_;
};

// The decoded body. `trailers()` is filled once it has ended.
class AwsChunkedSource final : public ByteSource {
 public:
  AwsChunkedSource(Body coded, AwsChunkedOptions options);
  Task<std::optional<std::string>> next() override;
  std::optional<uint64_t> size() const override { return size_; }
  const Headers& trailers() const { return decoder_.trailers(); }

 private:
  Body coded_;
  const std::optional<uint64_t> size_;
  AwsChunkedDecoder decoder_;
  bool over_ = false;
};

}  // namespace virga::wire
