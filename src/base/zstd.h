// Zstandard streams, in memory and piece by piece.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace virga {

struct ZstdError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Throws ZstdError when it is damaged or more than `most` bytes come out.
std::string unzstd(std::string_view bytes, uint64_t most);

// The same in pieces; the limit is the sink's business.
class Unzstd {
 public:
  Unzstd();
  ~Unzstd();
  // Throws ZstdError when it is damaged, or asks for a window of more than 128 MB.
  void feed(std::string_view bytes, const std::function<void(std::string_view)>& sink);
  // All has been fed: throws when it stopped in the middle.
  void finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace virga
