// Turns at an item: writes that read it first go one after the other, in the order they came, instead of conflicting
// until one gives up. Correctness is the store's business; this is for fairness and speed under a hot key.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string_view>
#include <vector>

#include "base/async.h"

namespace virga::dynamodb {

class Turns {
 public:
  Turns() = default;
  ~Turns();
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;

  using Held = std::vector<Semaphore::Permit>;
  // Which turn an item's is: some items share one.
  static uint32_t turn_of(std::string_view row);
  // Waits for all of `turns`; in ascending order, so that nobody waits in a circle.
  Task<Held> take(std::vector<uint32_t> turns);

 private:
  static constexpr size_t kTurns = 2048;
  Semaphore& at(uint32_t turn);
  std::array<std::atomic<Semaphore*>, kTurns> semaphores_{};  // each made when it is first used
};

}  // namespace virga::dynamodb
