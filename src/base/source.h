// Pulling a sequence: bodies that stream and event streams. The consumer asks, so back-pressure is built in.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/task.h"

namespace virga {

template <class T>
class Source {
 public:
  virtual ~Source() = default;
  // The next element; nothing at the end. A failure ends the sequence.
  virtual Task<std::optional<T>> next() = 0;
};

// A body: chunks of any non-zero size. One reader at a time.
class ByteSource : public Source<std::string> {
 public:
  // The whole length when it is known before reading.
  virtual std::optional<uint64_t> size() const { return std::nullopt; }
};
using Body = std::shared_ptr<ByteSource>;

Body body_of(std::string bytes);
// The whole body; fails with `too_large` once it exceeds `most` bytes.
Task<std::string> read_all(ByteSource& source, uint64_t most, Error too_large);

}  // namespace virga
