#include "wire/aws_chunked.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/str.h"
#include "wire/sigv4.h"

namespace virga::wire {
namespace {

constexpr size_t kMostLine = 1024;
constexpr size_t kMostTail = 16 * 1024;

constexpr ErrorShape kIncompleteBody{"IncompleteBody", 400, Fault::kSender, {}};
constexpr ErrorShape kInvalidRequest{"InvalidRequest", 400, Fault::kSender, {}};
constexpr ErrorShape kMalformedTrailer{"MalformedTrailerError", 400, Fault::kSender, {}};
constexpr ErrorShape kInvalidChunkSize{"InvalidChunkSizeError", 403, Fault::kSender, {}};
constexpr ErrorShape kBadDigest{"BadDigest", 400, Fault::kSender, {}};

[[noreturn]] void refuse(const ErrorShape& shape, std::string message, std::string internal = {}) {
  throw Error{&shape, std::move(message), nullptr, std::move(internal)};
}
[[noreturn]] void malformed(std::string internal) {
  refuse(kInvalidRequest, "The request body is not in the aws-chunked coding that its headers announce.",
         std::move(internal));
}

struct KindName {
  ChecksumKind kind;
  std::string_view header, algorithm;
  size_t size;
};
constexpr KindName kKinds[] = {{ChecksumKind::kCrc32, "x-amz-checksum-crc32", "CRC32", 4},
                               {ChecksumKind::kCrc32c, "x-amz-checksum-crc32c", "CRC32C", 4},
                               {ChecksumKind::kCrc64Nvme, "x-amz-checksum-crc64nvme", "CRC64NVME", 8},
                               {ChecksumKind::kSha1, "x-amz-checksum-sha1", "SHA1", 20},
                               {ChecksumKind::kSha256, "x-amz-checksum-sha256", "SHA256", 32}};

const KindName& name_of(ChecksumKind kind) {
  return *std::find_if(std::begin(kKinds), std::end(kKinds), [&](const KindName& k) { return k.kind == kind; });
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::optional<ChecksumKind> checksum_of_header(std::string_view header) {
  for (const KindName& k : kKinds) {
    if (equals_ignoring_case(k.header, header)) return k.kind;
  }
  return std::nullopt;
}

Checksum::Checksum(ChecksumKind kind) : kind_(kind) {
  if (kind == ChecksumKind::kSha1) hasher_.emplace(HashKind::kSha1);
  if (kind == ChecksumKind::kSha256) hasher_.emplace(HashKind::kSha256);
}

void Checksum::update(std::string_view bytes) {
  switch (kind_) {
    case ChecksumKind::kCrc32:
      crc_ = crc32(bytes, static_cast<uint32_t>(crc_));
      break;
    case ChecksumKind::kCrc32c:
      crc_ = crc32c(bytes, static_cast<uint32_t>(crc_));
      break;
    case ChecksumKind::kCrc64Nvme:
      crc_ = crc64nvme(bytes, crc_);
      break;
    case ChecksumKind::kSha1:
    case ChecksumKind::kSha256:
      hasher_->update(bytes);
      break;
  }
}

std::string Checksum::finish() {
  std::string raw;
  switch (kind_) {
    case ChecksumKind::kCrc32:
    case ChecksumKind::kCrc32c:
      append_be32(raw, static_cast<uint32_t>(crc_));
      break;
    case ChecksumKind::kCrc64Nvme:
      append_be64(raw, crc_);
      break;
    case ChecksumKind::kSha1:
    case ChecksumKind::kSha256:
      raw = hasher_->finish();
      break;
  }
  return base64_encode(raw);
}

AwsChunkedDecoder::AwsChunkedDecoder(AwsChunkedOptions options) : options_(std::move(options)) {
  if (!options_.has_trailer) return;
  for (const std::string& name : options_.trailer_names) {
    if (const auto kind = checksum_of_header(trim(name))) sums_.emplace_back(*kind, Checksum(*kind));
  }
}

void AwsChunkedDecoder::feed(std::string_view in, std::string& out) {
  while (!in.empty()) {
    switch (state_) {
      case State::kSize: {
        const size_t end = in.find('\n');
        line_ += in.substr(0, end);
        if (line_.size() > kMostLine) malformed("a chunk's size line is too long");
        if (end == std::string_view::npos) return;
        in.remove_prefix(end + 1);
        take_size_line();
        line_.clear();
        break;
      }
      case State::kData: {
        const std::string_view data = in.substr(0, left_);
        in.remove_prefix(data.size());
        left_ -= data.size();
        take_data(data, out);
        if (left_ == 0) {
          end_chunk();
          state_ = State::kDataEnd;
        }
        break;
      }
      case State::kDataEnd: {
        line_.push_back(in.front());
        in.remove_prefix(1);
        if (!std::string_view("\r\n").starts_with(line_)) malformed("a chunk is longer than its size");
        if (line_.size() == 2) {
          line_.clear();
          state_ = State::kSize;
        }
        break;
      }
      case State::kTail:
        line_ += in;
        if (line_.size() > kMostTail) refuse(kMalformedTrailer, "The trailer of the request is too large.");
        return;
    }
  }
}

// "<hex size>" or "<hex size>;chunk-signature=<64 hex digits>", then CR.
void AwsChunkedDecoder::take_size_line() {
  if (line_.empty() || line_.back() != '\r') malformed("a chunk's size line ends without a carriage return");
  line_.pop_back();
  const auto [size, extension] = split_once(line_, ';');
  if (size.empty() || size.size() > 12) malformed("a chunk's size is malformed");
  left_ = 0;
  for (const char c : size) {
    const int digit = hex_digit(c);
    if (digit < 0) malformed("a chunk's size is malformed");
    left_ = left_ << 4 | static_cast<uint64_t>(digit);
  }
  if (options_.is_signed) {
    constexpr std::string_view kName = "chunk-signature=";
    if (!extension.starts_with(kName) || extension.size() != kName.size() + 64) malformed("a chunk has no signature");
    signature_ = extension.substr(kName.size());
    chunk_hash_.emplace(HashKind::kSha256);
  }
  total_ += left_;
  if (options_.decoded_length && total_ > *options_.decoded_length) {
    refuse(kIncompleteBody, "The request body is longer than x-amz-decoded-content-length says.");
  }
  if (left_ > 0) {
    ++chunks_;
    if (chunks_ > 1 && chunk_size_ < options_.least_chunk) refuse_small_chunk();
    chunk_size_ = left_;
    state_ = State::kData;
  } else {
    end_chunk();
    state_ = State::kTail;
  }
}

void AwsChunkedDecoder::refuse_small_chunk() const {
  throw Error{&kInvalidChunkSize,
              cat("Only the last chunk is allowed to have a size less than ", options_.least_chunk, " bytes"),
              std::make_shared<const Json>(Json::object(
                  {{"Chunk", static_cast<int64_t>(chunks_)}, {"BadChunkSize", static_cast<int64_t>(chunk_size_)}})),
              {}};
}

void AwsChunkedDecoder::take_data(std::string_view data, std::string& out) {
  if (chunk_hash_) chunk_hash_->update(data);
  for (auto& [kind, sum] : sums_) sum.update(data);
  out += data;
}

void AwsChunkedDecoder::end_chunk() {
  if (!options_.is_signed) return;
  if (!options_.verify_chunk || !options_.verify_chunk(hex_encode(chunk_hash_->finish()), signature_))
    throw sigv4::chunk_mismatch();
  chunk_hash_.reset();
}

void AwsChunkedDecoder::finish() {
  if (state_ != State::kTail) refuse(kIncompleteBody, "The request body terminated unexpectedly.");
  if (options_.decoded_length && total_ != *options_.decoded_length) {
    refuse(kIncompleteBody,
           "You did not provide the number of bytes specified by the x-amz-decoded-content-length header.");
  }
  // Clients disagree about line ends and empty lines here; nothing can hide in them, since the body ends here.
  std::vector<std::string> canonical;
  std::string signature;
  for (std::string_view line : split(line_, '\n')) {
    line = trim(line);
    if (line.empty()) continue;
    if (!options_.has_trailer) malformed("bytes follow the last chunk");
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) {
      refuse(kMalformedTrailer, "The request contained trailing data that was not well-formed.");
    }
    const std::string name = lower(trim(line.substr(0, colon)));
    const std::string_view value = trim(line.substr(colon + 1));
    if (name == "x-amz-trailer-signature") {
      signature = value;
      continue;
    }
    const bool announced = std::any_of(options_.trailer_names.begin(), options_.trailer_names.end(),
                                       [&](const std::string& n) { return equals_ignoring_case(trim(n), name); });
    if (!announced || trailers_.has(name)) {
      refuse(kMalformedTrailer, cat("The trailing header ", name, " was not announced by x-amz-trailer."));
    }
    trailers_.add(name, value);
    canonical.push_back(cat(name, ":", value, "\n"));
  }
  for (const std::string& name : options_.trailer_names) {
    if (options_.has_trailer && !trailers_.has(trim(name))) {
      refuse(kMalformedTrailer, cat("The trailing header ", trim(name), " is missing."));
    }
  }
  if (options_.is_signed && options_.has_trailer) {
    std::sort(canonical.begin(), canonical.end());
    if (!options_.verify_trailer || !options_.verify_trailer(join(canonical, ""), signature))
      throw sigv4::chunk_mismatch();
  }
  check_checksums();
}

void AwsChunkedDecoder::check_checksums() {
  for (auto& [kind, sum] : sums_) {
    const KindName& name = name_of(kind);
    const std::string_view given = trailers_.get(name.header);
    const auto raw = base64_decode(given);
    if (!raw || raw->size() != name.size) {
      refuse(kInvalidRequest, cat("Value for ", name.header, " trailing header is invalid."));
    }
    if (sum.finish() != given) {
      refuse(kBadDigest, cat("The ", name.algorithm, " you specified did not match the calculated checksum."));
    }
  }
}

AwsChunkedSource::AwsChunkedSource(Body coded, AwsChunkedOptions options)
    : coded_(std::move(coded)), size_(options.decoded_length), decoder_(std::move(options)) {}

Task<std::optional<std::string>> AwsChunkedSource::next() {
  std::string out;
  while (!over_ && out.empty()) {
    const auto part = co_await coded_->next();
    if (part) {
      decoder_.feed(*part, out);
    } else {
      over_ = true;
      decoder_.finish();
    }
  }
  if (out.empty()) co_return std::nullopt;
  co_return out;
}

}  // namespace virga::wire
