#include "services/dynamodb/turns.h"

#include <aws/dynamodb/errors.h>

#include <algorithm>
#include <functional>

namespace virga::dynamodb {

namespace {
constexpr size_t kMostWaiting = 10'000;
}

Turns::~Turns() {
  for (auto& semaphore : semaphores_) delete semaphore.load();
}

uint32_t Turns::turn_of(std::string_view row) {
  return static_cast<uint32_t>(std::hash<std::string_view>{}(row) % kTurns);
}

Semaphore& Turns::at(uint32_t turn) {
  std::atomic<Semaphore*>& slot = semaphores_[turn];
  if (Semaphore* made = slot.load(std::memory_order_acquire)) return *made;
  auto fresh = std::make_unique<Semaphore>(1, kMostWaiting);
  Semaphore* none = nullptr;
  if (slot.compare_exchange_strong(none, fresh.get(), std::memory_order_acq_rel)) return *fresh.release();
  return *none;
}

Task<Turns::Held> Turns::take(std::vector<uint32_t> turns) {
  std::sort(turns.begin(), turns.end());
  turns.erase(std::unique(turns.begin(), turns.end()), turns.end());
  Held held;
  for (const uint32_t turn : turns) {
    Semaphore& semaphore = at(turn);
    if (auto permit = semaphore.try_acquire()) {
      held.push_back(std::move(*permit));
    } else {
      held.push_back(
          co_await semaphore.acquire(err::TransactionConflictException("Transaction is ongoing for the item")));
    }
  }
  co_return held;
}

}  // namespace virga::dynamodb
