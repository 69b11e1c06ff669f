// RocksDB's checksum of its logs. Debian's library is built for machines without the processor's instruction for it and
// takes half a microsecond for a kilobyte; these definitions stand in for its own (util/crc32c.h), which the linker
// then leaves out.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/encoding.h"

namespace rocksdb::crc32c {

uint32_t Extend(uint32_t crc, const char* data, size_t size) { return virga::crc32c({data, size}, crc); }

std::string IsFastCrc32Supported() { return "Supported"; }

// The checksum of two texts after each other: what as many zeros do to the first one's, and the second text to its own.
uint32_t Crc32cCombine(uint32_t first, uint32_t second, size_t size) {
  static constexpr char kZeros[4096] = {};
  uint32_t moved = ~first;
  for (; size > 0; size -= std::min(size, sizeof kZeros)) {
    moved = virga::crc32c({kZeros, std::min(size, sizeof kZeros)}, moved);
  }
  return ~moved ^ second;
}

}  // namespace rocksdb::crc32c
