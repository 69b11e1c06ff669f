// A request's body that is in memory already, as short ones are when their head has been read.
#pragma once

#include <string>
#include <utility>

#include "base/source.h"

namespace virga::front {

class WholeBody final : public ByteSource {
 public:
  explicit WholeBody(std::string bytes) : bytes_(std::move(bytes)), size_(bytes_.size()) {}
  Task<std::optional<std::string>> next() override {
    if (bytes_.empty()) co_return std::nullopt;
    co_return take();
  }
  std::optional<uint64_t> size() const override { return size_; }
  // What next() would give, without waiting; empty at the end.
  std::string take() { return std::exchange(bytes_, {}); }

 private:
  std::string bytes_;
  uint64_t size_;
};

}  // namespace virga::front
