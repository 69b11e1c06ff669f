// The private channel to a managed runtime's bootstrap: a little-endian length, a type byte and a body; the length
// counts type and body. runtimes/*/bootstrap speaks the same.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace virga::sandbox {

enum class ToRuntime : uint8_t {
  kInit = 1,         // what the instance is
  kInvoke = 2,       // may come before the program is ready for it
  kMounted = 3,      // the function's files are in place; of the launcher, before or after kInit
  kEnvironment = 4,  // the rest of it, where kInit says that there is more
  kRouse = 5,        // a function is on its way: what its beginning needs is to be warm by then
  kRestore = 20
};
enum class FromRuntime : uint8_t {
  kReady = 1,
  kInitError,    // an error document
  kResponse,     // the answer
  kError,        // an error document
  kStreamBegin,  // the content type
  kStreamChunk,
  kStreamEnd,
  kStreamError,  // an error document
  kFatal,        // an error document, the runtime's last word: the instance takes no other invocation
  kOf,           // of one of several invocations: a request id's length (one byte), the id, a frame's type and body
  kRestored = 20,
  kRestoreError,  // an error document
};

std::string frame(ToRuntime type, std::string_view body);

// Cuts a byte stream into frames. A body above the limit is skipped and reported as too large.
class FrameReader {
 public:
  explicit FrameReader(size_t most) : most_(most) {}
  struct Frame {
    FromRuntime type;
    std::string body;
    bool too_large = false;
  };
  void feed(std::string_view bytes) { buffer_.append(bytes); }
  // The next whole frame into `out`; false when more bytes are needed.
  bool next(Frame& out);
  size_t buffered() const { return buffer_.size() - at_; }

 private:
  size_t most_;
  std::string buffer_;
  size_t at_ = 0;
  uint64_t skip_ = 0;  // bytes of an oversized frame that are still to come
  FromRuntime skipped_{};
};

}  // namespace virga::sandbox
