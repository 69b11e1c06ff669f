#include "services/lambda/warm.h"

#include <algorithm>

namespace virga::lambda {

void StartLine::write() {
  if (text.empty()) return;
  *tail += text;
  log->add(std::exchange(text, {}));
}

Warm::~Warm() {
  // A channel ends on the executor it lives on.
  if (instance && home && home != Executor::current()) home->post([ending = std::move(instance)] {});
}

// With the lock held.
WarmPtr WarmSet::remove(Order::iterator at) {
  const auto found = by_key_.find((*at)->key);
  std::erase(found->second, at);
  if (found->second.empty()) by_key_.erase(found);
  WarmPtr warm = std::move(*at);
  order_.erase(at);
  return warm;
}

WarmPtr WarmSet::take(const std::string& key, const Executor* here) {
  std::vector<WarmPtr> dead;  // they end after the lock is gone
  std::lock_guard lock(mutex_);
  for (auto found = by_key_.find(key); found != by_key_.end(); found = by_key_.find(key)) {
    const auto& stack = found->second;
    const auto near = std::find_if(stack.rbegin(), stack.rend(), [&](const auto& at) { return (*at)->home == here; });
    WarmPtr warm = remove(near == stack.rend() ? stack.back() : *near);
    if (warm->instance->alive()) return warm;
    dead.push_back(std::move(warm));
  }
  return nullptr;
}

void WarmSet::put(WarmPtr warm) {
  std::lock_guard lock(mutex_);
  const std::string& key = warm->key;
  order_.push_back(std::move(warm));
  by_key_[key].push_back(std::prev(order_.end()));
}

WarmPtr WarmSet::take_oldest() {
  std::lock_guard lock(mutex_);
  return order_.empty() ? nullptr : remove(order_.begin());
}

std::vector<WarmPtr> WarmSet::take_function(const std::string& function) {
  std::vector<WarmPtr> out;
  std::lock_guard lock(mutex_);
  for (auto at = order_.begin(); at != order_.end();) {
    const auto next = std::next(at);
    if ((*at)->function == function) out.push_back(remove(at));
    at = next;
  }
  return out;
}

std::vector<WarmPtr> WarmSet::take_stale(std::chrono::steady_clock::time_point since) {
  std::vector<WarmPtr> out;
  std::lock_guard lock(mutex_);
  for (auto at = order_.begin(); at != order_.end();) {
    const auto next = std::next(at);
    if ((*at)->used < since || !(*at)->instance->alive()) out.push_back(remove(at));
    at = next;
  }
  return out;
}

std::vector<WarmPtr> WarmSet::take_all() {
  std::vector<WarmPtr> out;
  std::lock_guard lock(mutex_);
  for (WarmPtr& warm : order_) out.push_back(std::move(warm));
  order_.clear();
  by_key_.clear();
  return out;
}

size_t WarmSet::size() const {
  std::lock_guard lock(mutex_);
  return order_.size();
}

uint64_t WarmSet::memory_mb() const {
  std::lock_guard lock(mutex_);
  uint64_t sum = 0;
  for (const WarmPtr& warm : order_) sum += warm->memory_mb;
  return sum;
}

size_t WarmSet::count(const std::string& key) const {
  std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? 0 : found->second.size();
}

}  // namespace virga::lambda
