#include "services/lambda/snapshots.h"

#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "services/lambda/limits.h"

namespace virga::lambda {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostSnapshots = 32;               // of all versions
constexpr size_t kMostOfOne = 4;                    // of a version that is called in bursts
constexpr auto kBurst = std::chrono::seconds(2);    // calls that need one within this time are a burst
constexpr auto kUnusedFor = std::chrono::hours(6);  // then a version's snapshots are let go
constexpr Micros kAfterCall =
    std::chrono::milliseconds(40);  // a call that has just taken one has the machine to itself

// Of all snapshots: a quarter of the machine's memory.
uint64_t most_memory_mb() {
  const long pages = ::sysconf(_SC_PHYS_PAGES), size = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(size) / 4 >> 20 : 1024;
}

}  // namespace

Snapshots::Version& Snapshots::version(const Of& of) {
  const auto [found, fresh] = versions_.try_emplace(of.key);
  if (fresh) {
    found->second.of = of;
    found->second.used = Clock::now();
  }
  return found->second;
}

void Snapshots::order(Version& version) {
  if (stopped_) return;
  while (waiting_.count(version.of.key) + version.coming < version.wanted) {
    ++version.coming;
    orders_.push_back(version.of.key);
  }
  if (filling_ || orders_.empty()) return;
  filling_ = true;
  start_background("snapshots", fill());
}

WarmPtr Snapshots::take(const Of& of, const Executor* here) {
  std::lock_guard lock(mutex_);
  Version& mine = version(of);
  const auto now = Clock::now();
  mine.wanted = now - mine.used < kBurst ? std::min(mine.wanted + 1, kMostOfOne) : 1;
  mine.used = now;
  WarmPtr snapshot = waiting_.take(of.key, here);
  order(mine);
  return snapshot;
}

void Snapshots::put(const Of& of, WarmPtr snapshot) {
  std::vector<WarmPtr> ended;
  std::lock_guard lock(mutex_);
  if (stopped_) return;
  version(of);
  keep(std::move(snapshot), ended);
}

void Snapshots::expect(const Of& of) {
  std::lock_guard lock(mutex_);
  order(version(of));
}

// The ended end once the lock is gone.
void Snapshots::keep(WarmPtr snapshot, std::vector<WarmPtr>& ended) {
  static const uint64_t kMostMemory = most_memory_mb();
  snapshot->used = Clock::now();
  waiting_.put(std::move(snapshot));
  while (waiting_.size() > kMostSnapshots || (waiting_.size() > 1 && waiting_.memory_mb() > kMostMemory))
    ended.push_back(waiting_.take_oldest());
}

Task<void> Snapshots::fill() {
  const std::weak_ptr<bool> alive = alive_;
  while (true) {
    co_await sleep_for(kAfterCall);
    if (alive.expired()) co_return;
    Of of;
    {
      std::lock_guard lock(mutex_);
      while (!orders_.empty() && !versions_.contains(orders_.front())) orders_.pop_front();
      if (orders_.empty() || stopped_) {
        filling_ = false;
        co_return;
      }
      of = versions_.at(orders_.front()).of;
      orders_.pop_front();
    }
    Result<WarmPtr> made = co_await as_result(make_(of));
    if (alive.expired()) co_return;
    if (!made) {
      log_warning(
          "lambda", "a snapshot could not be made",
          {{"function", of.id.name}, {"version", version_name(of.version->version)}, {"why", describe(made.error())}});
    }
    std::vector<WarmPtr> ended;
    std::lock_guard lock(mutex_);
    const auto found = versions_.find(of.key);
    if (found == versions_.end() || stopped_) continue;
    --found->second.coming;
    if (made) keep(std::move(*made), ended);
  }
}

void Snapshots::forget(const std::string& prefix) {
  std::vector<WarmPtr> ended;
  std::lock_guard lock(mutex_);
  for (auto at = versions_.lower_bound(prefix); at != versions_.end() && at->first.starts_with(prefix);) {
    while (WarmPtr snapshot = waiting_.take(at->first, nullptr)) ended.push_back(std::move(snapshot));
    at = versions_.erase(at);
  }
}

void Snapshots::sweep(Steady since) {
  std::vector<WarmPtr> ended;
  std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  for (auto& [key, mine] : versions_) {
    if (now - mine.used >= kUnusedFor) mine.wanted = 0;
    if (now - mine.used >= kBurst) mine.wanted = std::min<size_t>(mine.wanted, 1);
  }
  for (WarmPtr& snapshot : waiting_.take_all()) {
    const auto found = versions_.find(snapshot->key);
    const bool good = snapshot->instance->alive() && snapshot->started >= since;
    if (good && found != versions_.end() && waiting_.count(snapshot->key) < found->second.wanted) {
      waiting_.put(std::move(snapshot));
    } else {
      ended.push_back(std::move(snapshot));
    }
  }
  std::erase_if(versions_, [](const auto& each) { return each.second.wanted == 0 && each.second.coming == 0; });
  // What gave way to others stays away until it is called: only what ended by itself is made again.
  for (const WarmPtr& snapshot : ended) {
    if (const auto found = versions_.find(snapshot->key); found != versions_.end()) order(found->second);
  }
}

bool Snapshots::give_way() {
  const WarmPtr oldest = waiting_.take_oldest();
  return oldest != nullptr;
}

void Snapshots::stop() {
  std::vector<WarmPtr> ended;
  std::lock_guard lock(mutex_);
  stopped_ = true;
  orders_.clear();
  ended = waiting_.take_all();
}

bool Snapshots::empty() const {
  std::lock_guard lock(mutex_);
  return versions_.empty();
}

}  // namespace virga::lambda
