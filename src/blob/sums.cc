#include "blob/sums.h"

#include "base/encoding.h"

namespace virga::blob {

namespace {

// CRC-32C's polynomial, bits reversed. Polynomials over GF(2) are held with x^0 in the top bit.
constexpr uint32_t kPolynomial = 0x82F63B78u;
constexpr uint32_t kOne = 1u << 31;

constexpr uint32_t multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = kOne; bit != 0; bit >>= 1) {
    if (a & bit) product ^= b;
    b = b & 1 ? (b >> 1) ^ kPolynomial : b >> 1;
  }
  return product;
}

// x^(8 · bytes) modulo the polynomial: what appending that many zero bytes multiplies by.
uint32_t shift_by(uint64_t bytes) {
  uint32_t result = kOne, power = kOne >> 8;  // x^8
  for (; bytes != 0; bytes >>= 1) {
    if (bytes & 1) result = multiply(result, power);
    power = multiply(power, power);
  }
  return result;
}

}  // namespace

uint32_t combine_crc32c(uint32_t a, uint32_t b, uint64_t b_size) {
  if (b_size == kBlock) {
    static const uint32_t block = shift_by(kBlock);
    return multiply(block, a) ^ b;
  }
  return multiply(shift_by(b_size), a) ^ b;
}

void BlockSums::update(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto piece = bytes.substr(0, kBlock - size_ % kBlock);
    open_ = crc32c(piece, open_);
    size_ += piece.size();
    bytes.remove_prefix(piece.size());
    if (aligned()) {
      full_.push_back(open_);
      open_ = 0;
    }
  }
}

void BlockSums::append(const std::vector<uint32_t>& blocks, uint64_t size) {
  full_.insert(full_.end(), blocks.begin(), blocks.end());
  size_ += size;
  if (!aligned()) {
    open_ = full_.back();
    full_.pop_back();
  }
}

std::vector<uint32_t> BlockSums::blocks() const {
  auto all = full_;
  if (!aligned()) all.push_back(open_);
  return all;
}

uint32_t BlockSums::whole() const {
  uint32_t sum = 0;
  for (const uint32_t block : full_) sum = combine_crc32c(sum, block, kBlock);
  return aligned() ? sum : combine_crc32c(sum, open_, size_ % kBlock);
}

std::string encode_sums(const std::vector<uint32_t>& blocks) {
  std::string out;
  out.reserve(blocks.size() * 4);
  for (const uint32_t sum : blocks) append_be32(out, sum);
  return out;
}

std::vector<uint32_t> decode_sums(std::string_view bytes) {
  std::vector<uint32_t> blocks;
  for (; bytes.size() >= 4; bytes.remove_prefix(4)) blocks.push_back(read_be32(bytes.data()));
  return blocks;
}

}  // namespace virga::blob
