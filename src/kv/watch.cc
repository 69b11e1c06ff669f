#include "kv/watch.h"

#include <optional>
#include <stdexcept>

namespace virga::kv {

namespace {
bool touches(const Change& change, std::string_view prefix) {
  if (!change.range) return change.key.starts_with(prefix);
  // [key, end) meets the keys that start with prefix.
  return (change.key < prefix || change.key.starts_with(prefix)) && prefix < change.end;
}
}  // namespace

// Lives in the awaiting coroutine's frame while registered.
struct WatchRegistry::Waiter {
  std::string_view prefix;
  Executor* executor;
  std::optional<Resume> resume;
  Waiters::iterator place;
  std::optional<std::multimap<Instant, Waiter*>::iterator> deadline;
  bool changed = false;
};

Task<bool> WatchRegistry::wait(std::string prefix, Version since, Micros timeout) {
  Executor* executor = Executor::current();
  if (!executor) throw std::logic_error("waiting for a change needs an executor");
  {
    std::lock_guard lock(mutex_);
    if (changed_since(prefix, since)) co_return true;
    if (timeout <= Micros::zero()) co_return false;
  }
  Waiter waiter{.prefix = prefix, .executor = executor, .resume = {}, .place = {}, .deadline = {}};
  co_await suspend_until([&, this](Resume resume) {
    // Far deadlines would overflow the clock's range.
    const Instant at = std::chrono::steady_clock::now() + std::min<Micros>(timeout, std::chrono::hours(24 * 365));
    std::unique_lock lock(mutex_);
    // Something may have been published since the look above.
    if (changed_since(prefix, since)) {
      waiter.changed = true;
      lock.unlock();
      resume.later();
      return;
    }
    waiter.resume.emplace(resume);
    insert(waiter);
    Deadlines& deadlines = deadlines_[executor];
    waiter.deadline = deadlines.waiters.emplace(at, &waiter);
    const auto timer = deadlines.timer.lock();
    if (!timer || timer->at > at) arm(*executor, at);
  });
  co_return waiter.changed;
}

bool WatchRegistry::changed_since(std::string_view prefix, Version since) const {
  return !recent_.knows(since) || recent_.any_after(since, [&](const Change& c) { return touches(c, prefix); });
}

void WatchRegistry::insert(Waiter& waiter) {
  waiter.place = waiters_.emplace(waiter.prefix, &waiter);
  ++lengths_[waiter.prefix.size()];
}

void WatchRegistry::remove(Waiter& waiter) {
  const auto length = lengths_.find(waiter.prefix.size());
  if (--length->second == 0) lengths_.erase(length);
  waiters_.erase(waiter.place);
  const auto deadlines = deadlines_.find(waiter.executor);
  deadlines->second.waiters.erase(*waiter.deadline);
  if (deadlines->second.waiters.empty() && deadlines->second.timer.expired()) deadlines_.erase(deadlines);
}

void WatchRegistry::take(std::string_view prefix, Waker& out) {
  while (true) {
    const auto found = waiters_.find(prefix);
    if (found == waiters_.end()) return;
    Waiter& waiter = *found->second;
    waiter.changed = true;
    out.push_back(*waiter.resume);
    remove(waiter);
  }
}

WatchRegistry::Waker WatchRegistry::publish(std::span<const Change> changes) {
  Waker out;
  std::lock_guard lock(mutex_);
  for (const Change& change : changes) {
    if (change.range) {
      std::vector<std::string> met;
      for (const auto& [prefix, waiter] : waiters_) {
        if (touches(change, prefix)) met.push_back(prefix);
      }
      for (const std::string& prefix : met) take(prefix, out);
    } else if (!waiters_.empty()) {
      // take() may drop a length, so the next one is looked up anew.
      for (auto length = lengths_.begin(); length != lengths_.end() && length->first <= change.key.size();) {
        const size_t size = length->first;
        take(change.key.substr(0, size), out);
        length = lengths_.upper_bound(size);
      }
    }
    recent_.add(change);
  }
  return out;
}

void WatchRegistry::wake(std::string_view prefix) {
  Waker out;
  {
    std::lock_guard lock(mutex_);
    take(prefix, out);
  }
  for (const Resume& resume : out) resume.later();
}

void WatchRegistry::start_at(Version version) {
  std::lock_guard lock(mutex_);
  recent_.start_at(version);
}

void WatchRegistry::arm(Executor& executor, Instant at) {
  auto timer = std::make_shared<Timer>(at);
  deadlines_[&executor].timer = timer;
  const auto delay =
      std::chrono::ceil<Micros>(std::max(at - std::chrono::steady_clock::now(), Instant::duration::zero()));
  executor.post_after(delay, [self = weak_from_this(), &executor, timer = std::move(timer)] {
    if (const auto registry = self.lock()) registry->expire(executor, timer);
  });
}

void WatchRegistry::expire(Executor& executor, const std::shared_ptr<Timer>& timer) {
  Waker due;
  {
    std::lock_guard lock(mutex_);
    const auto found = deadlines_.find(&executor);
    if (found == deadlines_.end()) return;
    auto& waiters = found->second.waiters;
    const Instant now = std::chrono::steady_clock::now();
    const bool current = found->second.timer.lock() == timer;
    if (current) found->second.timer.reset();
    std::vector<Waiter*> late;
    for (auto it = waiters.begin(); it != waiters.end() && it->first <= now; ++it) late.push_back(it->second);
    // remove() may drop the executor's entry with its last waiter, so the next deadline is read first.
    std::optional<Instant> next;
    if (late.size() < waiters.size()) next = std::next(waiters.begin(), late.size())->first;
    for (Waiter* waiter : late) {
      due.push_back(*waiter->resume);
      remove(*waiter);
    }
    if (current && next) arm(executor, *next);
    if (const auto left = deadlines_.find(&executor);
        left != deadlines_.end() && left->second.waiters.empty() && left->second.timer.expired()) {
      deadlines_.erase(left);
    }
  }
  for (const Resume& resume : due) resume.later();
}

size_t WatchRegistry::waiting() const {
  std::lock_guard lock(mutex_);
  return waiters_.size();
}

}  // namespace virga::kv
