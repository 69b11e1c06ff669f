// Checksums of a blob's content: CRC-32C of each 64 KiB block, so that any range can be verified by itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace virga::blob {

inline constexpr uint64_t kBlock = 64 << 10;

inline uint64_t blocks_of(uint64_t size) { return (size + kBlock - 1) / kBlock; }

// The checksum of a ‖ b from those of a and b and the length of b.
uint32_t combine_crc32c(uint32_t a, uint32_t b, uint64_t b_size);

class BlockSums {
 public:
  void update(std::string_view bytes);
  // Content whose sums are known and that begins on a block's border; only the last such piece may end inside a block.
  void append(const std::vector<uint32_t>& blocks, uint64_t size);
  uint64_t size() const { return size_; }
  // Whether the content so far ends on a block's border.
  bool aligned() const { return size_ % kBlock == 0; }
  std::vector<uint32_t> blocks() const;
  uint32_t whole() const;

 private:
  std::vector<uint32_t> full_;
  uint32_t open_ = 0;  // of the last, unfinished block
  uint64_t size_ = 0;
};

// How sums lie beside a blob: big-endian, one after the other.
std::string encode_sums(const std::vector<uint32_t>& blocks);
std::vector<uint32_t> decode_sums(std::string_view bytes);

}  // namespace virga::blob
