#include "base/async.h"

#include <algorithm>

namespace virga {

// Woken by the event or by its timer, whichever is first.
struct Event::Waiter {
  Resume resume;
  std::atomic<bool> woken = false;
  bool by_event = false;

  explicit Waiter(Resume r) : resume(r) {}
  bool claim() { return !woken.exchange(true, std::memory_order_acq_rel); }
};

void Event::set() {
  std::vector<std::shared_ptr<Waiter>> woken;
  {
    std::lock_guard lock(mutex_);
    set_ = true;
    woken.swap(waiters_);
  }
  for (const auto& waiter : woken) {
    if (!waiter->claim()) continue;
    waiter->by_event = true;
    // Later, not in place: a waiter may destroy this event or what the setter stands on.
    waiter->resume.later();
  }
}

void Event::reset() {
  std::lock_guard lock(mutex_);
  set_ = false;
}

bool Event::is_set() const {
  std::lock_guard lock(mutex_);
  return set_;
}

Task<void> Event::wait() {
  co_await suspend_until([this](Resume resume) {
    std::lock_guard lock(mutex_);
    if (set_) return false;
    waiters_.push_back(std::make_shared<Waiter>(resume));
    return true;
  });
}

Task<bool> Event::wait_for(Micros limit) {
  std::shared_ptr<Waiter> waiter;
  co_await suspend_until([this, limit, &waiter](Resume resume) {
    std::lock_guard lock(mutex_);
    if (set_) return false;
    auto mine = std::make_shared<Waiter>(resume);
    waiter = mine;
    waiters_.push_back(mine);
    Executor::current()->post_after(limit, [mine] {
      if (mine->claim()) mine->resume();
    });
    return true;
  });
  if (!waiter || waiter->by_event) co_return true;
  std::lock_guard lock(mutex_);
  std::erase(waiters_, waiter);
  co_return false;
}

Task<Semaphore::Permit> Semaphore::acquire(Error refusal, uint64_t units) {
  if (units > units_) co_return refusal;
  bool refused = false;
  co_await suspend_until([this, units, &refused](Resume resume) {
    std::lock_guard lock(mutex_);
    if (waiters_.empty() && free_ >= units) {
      free_ -= units;
      return false;
    }
    refused = waiters_.size() >= most_waiters_;
    if (!refused) waiters_.push_back({resume, units});
    return !refused;
  });
  if (refused) co_return refusal;
  co_return Permit(this, units);
}

std::optional<Semaphore::Permit> Semaphore::try_acquire(uint64_t units) {
  std::lock_guard lock(mutex_);
  if (!waiters_.empty() || free_ < units) return std::nullopt;
  free_ -= units;
  return Permit(this, units);
}

void Semaphore::give_back(uint64_t units) {
  std::vector<Resume> woken;
  {
    std::lock_guard lock(mutex_);
    free_ += units;
    // The units are handed over here, so that nobody who comes later can take them first.
    while (!waiters_.empty() && waiters_.front().units <= free_) {
      free_ -= waiters_.front().units;
      woken.push_back(waiters_.front().resume);
      waiters_.pop_front();
    }
  }
  for (const Resume& resume : woken) resume.later();
}

uint64_t Semaphore::free_units() const {
  std::lock_guard lock(mutex_);
  return free_;
}

size_t Semaphore::waiting() const {
  std::lock_guard lock(mutex_);
  return waiters_.size();
}

Task<void> when_all(std::vector<Task<void>> tasks) {
  std::vector<Result<void>> results = co_await when_all_results(std::move(tasks));
  for (Result<void>& result : results) {
    if (!result) co_await fail_with(std::move(result.error()));
  }
}

}  // namespace virga
