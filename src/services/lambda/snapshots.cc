#include "services/lambda/snapshots.h"

#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "services/lambda/limits.h"

namespace virga::lambda {
namespace {

constexpr size_t kMostSnapshots = 64;               // of all versions
constexpr size_t kMostOfOne = 32;                   // of a version that is called in bursts
constexpr auto kBurst = std::chrono::seconds(5);    // calls that need one within this time are a burst
constexpr auto kHour = std::chrono::hours(1);       // for which a burst is remembered, and the rest of the next
constexpr auto kUnusedFor = std::chrono::hours(6);  // then a version's snapshots are let go
constexpr Micros kAfterCall =
    std::chrono::milliseconds(40);  // a call that has just taken one has the machine to itself

// Of all snapshots: a quarter of the machine's memory.
uint64_t most_memory_mb() {
  static const long pages = ::sysconf(_SC_PHYS_PAGES), size = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(size) / 4 >> 20 : 1024;
}

}  // namespace

Snapshots::Version& Snapshots::version(const Of& of) {
  const auto [found, fresh] = versions_.try_emplace(of.key);
  if (fresh) {
    found->second.of = of;
    found->second.used = found->second.hour = now_();
  }
  return found->second;
}

void Snapshots::order(Version& version) {
  if (stopped_) return;
  while (true) {
    const size_t own = waiting_.count(version.of.key) + version.coming;
    if (own >= version.wanted || (own > 0 && full())) break;
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
  const auto now = now_();
  mine.burst = now - mine.used < kBurst ? std::min(mine.burst + 1, kMostOfOne) : 1;
  mine.largest = std::max(mine.largest, mine.burst);
  mine.wanted = std::max(mine.wanted, mine.burst);
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

void Snapshots::know(const Of& of) {
  std::lock_guard lock(mutex_);
  if (!versions_.contains(of.key)) version(of).wanted = 0;
}

std::vector<Snapshots::Of> Snapshots::take_unused(Steady since) {
  std::vector<Of> out;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [key, mine] : versions_) {
      if (mine.used < since) out.push_back(mine.of);
    }
  }
  for (const Of& of : out) forget(of.key);
  return out;
}

void Snapshots::expect(const Of& of) {
  std::lock_guard lock(mutex_);
  order(version(of));
}

// The ended end once the lock is gone.
void Snapshots::keep(WarmPtr snapshot, std::vector<WarmPtr>& ended) {
  snapshot->used = now_();
  waiting_.put(std::move(snapshot));
  while (waiting_.size() > kMostSnapshots || (waiting_.size() > 1 && waiting_.memory_mb() > most_memory_mb()))
    ended.push_back(least_missed());
}

bool Snapshots::full() const {
  return waiting_.size() + orders_.size() >= kMostSnapshots || waiting_.memory_mb() >= most_memory_mb();
}

WarmPtr Snapshots::least_missed() {
  size_t most = 1;
  const std::string* key = nullptr;
  for (const auto& [each, version] : versions_) {
    if (const size_t count = waiting_.count(each); count > most) most = count, key = &each;
  }
  WarmPtr one = key ? waiting_.take(*key, nullptr) : nullptr;
  return one ? std::move(one) : waiting_.take_oldest();
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
      making_ = true;
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
    making_ = false;
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
  const auto now = now_();
  for (auto& [key, mine] : versions_) {
    if (now - mine.hour >= kHour) {
      if (mine.wanted > 0) mine.wanted = std::max<size_t>(mine.largest, 1);
      mine.largest = 0;
      mine.hour = now;
    }
    if (now - mine.used >= kUnusedFor) mine.wanted = 0;
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
  // What gave way to others stays away until it is called: only what ended by itself is made again.
  for (const WarmPtr& snapshot : ended) {
    if (const auto found = versions_.find(snapshot->key); found != versions_.end()) order(found->second);
  }
}

bool Snapshots::give_way() {
  WarmPtr ended;
  std::lock_guard lock(mutex_);
  ended = least_missed();
  return ended != nullptr;
}

void Snapshots::stop() {
  std::vector<WarmPtr> ended;
  std::lock_guard lock(mutex_);
  stopped_ = true;
  orders_.clear();
  ended = waiting_.take_all();
}

Task<void> Snapshots::settle() {
  const auto waits = [this] {
    std::lock_guard lock(mutex_);
    return filling_ && !making_;
  };
  while (waits()) co_await sleep_for(kAfterCall / 4);
}

bool Snapshots::empty() const {
  std::lock_guard lock(mutex_);
  return std::ranges::all_of(versions_, [](const auto& each) { return each.second.wanted == 0; });
}

}  // namespace virga::lambda
