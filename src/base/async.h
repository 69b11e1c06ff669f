// Waiting on each other: an event, a semaphore, and awaiting many tasks. All may be used from several executors at
// once; a waiter goes on upon the executor it waited on. What is waited on must outlive its waiters.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/task.h"

namespace virga {

// Set once or again and again; everyone who waits goes on when it is set.
class Event {
 public:
  void set();  // wakes all waiters; stays set until reset
  void reset();
  bool is_set() const;
  Task<void> wait();
  // True when set within `limit` of real time; needs a current executor.
  Task<bool> wait_for(Micros limit);

 private:
  struct Waiter;
  mutable std::mutex mutex_;
  bool set_ = false;
  std::vector<std::shared_ptr<Waiter>> waiters_;
};

// A number of units that holders take and give back. Waiters are served strictly in order, and only so many may wait.
class Semaphore {
 public:
  Semaphore(uint64_t units, size_t most_waiters) : free_(units), units_(units), most_waiters_(most_waiters) {}

  // Units held; given back when it is destroyed.
  class [[nodiscard]] Permit {
   public:
    Permit() = default;
    Permit(Semaphore* owner, uint64_t units) : owner_(owner), units_(units) {}
    Permit(Permit&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), units_(other.units_) {}
    Permit& operator=(Permit&& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(units_, other.units_);
      return *this;
    }
    ~Permit() { release(); }
    void release() {
      if (Semaphore* owner = std::exchange(owner_, nullptr)) owner->give_back(units_);
    }
    explicit operator bool() const { return owner_ != nullptr; }

   private:
    Semaphore* owner_ = nullptr;
    uint64_t units_ = 0;
  };

  // Fails with `refusal` when too many wait already, or when `units` is more than there are in all.
  Task<Permit> acquire(Error refusal, uint64_t units = 1);
  std::optional<Permit> try_acquire(uint64_t units = 1);
  uint64_t free_units() const;
  size_t waiting() const;

 private:
  struct Waiter {
    Resume resume;
    uint64_t units;
  };
  void give_back(uint64_t units);

  mutable std::mutex mutex_;
  uint64_t free_;
  const uint64_t units_;
  const size_t most_waiters_;
  std::deque<Waiter> waiters_;
};

// Starts all tasks on this thread and waits until every one has ended, failed ones too; results in their order.
template <class T>
Task<std::vector<Result<T>>> when_all_results(std::vector<Task<T>> tasks) {
  std::vector<std::optional<Result<T>>> slots(tasks.size());
  std::atomic<size_t> left = tasks.size() + 1;
  co_await suspend_until([&](Resume resume) {
    // The extra count keeps the frame, and so these references, alive until every task has been started.
    for (size_t i = 0; i < tasks.size(); ++i) {
      start(std::move(tasks[i]), [&slots, &left, i, resume](Result<T> result) {
        slots[i] = std::move(result);
        if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) resume();
      });
    }
    return left.fetch_sub(1, std::memory_order_acq_rel) != 1;
  });
  std::vector<Result<T>> results;
  results.reserve(slots.size());
  for (auto& slot : slots) results.push_back(std::move(*slot));
  co_return results;
}

// The same, failing with the first failure in order once all have ended.
template <class T>
Task<std::vector<T>> when_all(std::vector<Task<T>> tasks) {
  std::vector<Result<T>> results = co_await when_all_results(std::move(tasks));
  std::vector<T> values;
  values.reserve(results.size());
  for (Result<T>& result : results) {
    if (!result) co_await fail_with(std::move(result.error()));
    values.push_back(std::move(*result));
  }
  co_return values;
}

Task<void> when_all(std::vector<Task<void>> tasks);

}  // namespace virga
