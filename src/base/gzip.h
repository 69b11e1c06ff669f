// Gzip streams, and deflate ones as HTTP means them (RFC 1950), in memory and piece by piece.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace virga {

struct GzipError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Packing : uint8_t { kGzip, kDeflate };

// `level`: 1 (fast) to 9 (small); -1: zlib's middle way.
std::string gzip(std::string_view bytes, Packing packing = Packing::kGzip, int level = -1);
// Throws GzipError when it is damaged or more than `most` bytes come out.
std::string gunzip(std::string_view bytes, uint64_t most, Packing packing = Packing::kGzip);

// The same in pieces; the limit is the sink's business.
class Gunzip {
 public:
  explicit Gunzip(Packing packing = Packing::kGzip);
  ~Gunzip();
  // Throws GzipError when it is damaged.
  void feed(std::string_view bytes, const std::function<void(std::string_view)>& sink);
  // All has been fed: throws when it stopped in the middle.
  void finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace virga
