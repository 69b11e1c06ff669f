// Request bodies in memory.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "base/source.h"

namespace virga::front {

// One that is there already, as short ones are when their head has been read.
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

// What all bodies that are being read whole may take together, so that many clients that send much and never finish
// don't take all memory. Short bodies always pass: the number of connections bounds them.
class BodyBudget {
 public:
  explicit BodyBudget(uint64_t most) : most_(most) {}
  // `body`, whose bytes count for as long as it exists; reading fails with 503 when that is too much.
  Body hold(Body body);
  uint64_t held() const { return *held_; }

 private:
  class Held;
  const uint64_t most_;
  // Shared, because a connection may drop its request after the door has gone.
  std::shared_ptr<std::atomic<uint64_t>> held_ = std::make_shared<std::atomic<uint64_t>>(0);
};

}  // namespace virga::front
