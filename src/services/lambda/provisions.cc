#include "services/lambda/provisions.h"

#include <algorithm>

#include "services/lambda/limits.h"
#include "services/lambda/model.h"
#include "services/lambda/report.h"

namespace virga::lambda {

// Looked at with the lock held.
struct Provisions::Version {
  std::string key;
  Call call;
  Provision state;
  bool filling = false;

  bool to_fill() {
    if (filling || state.ready >= state.wanted) return false;
    filling = true;
    return true;
  }
  bool over() const { return state.wanted == 0 && state.ready == 0 && !filling; }
};

Provision Provisions::of(const std::string& key) const {
  std::lock_guard lock(mutex_);
  const auto found = versions_.find(key);
  return found == versions_.end() ? Provision{} : found->second->state;
}

int32_t Provisions::ready(const std::string& prefix) const {
  std::lock_guard lock(mutex_);
  int32_t sum = 0;
  for (auto at = versions_.lower_bound(prefix); at != versions_.end() && at->first.starts_with(prefix); ++at)
    sum += std::min(at->second->state.ready, at->second->state.wanted);
  return sum;
}

void Provisions::keep(const std::string& prefix, std::vector<std::tuple<std::string, Call, int32_t>> wanted) {
  std::map<std::string, Call> gone;
  {
    std::lock_guard lock(mutex_);
    for (auto at = versions_.lower_bound(prefix); at != versions_.end() && at->first.starts_with(prefix); ++at)
      gone.emplace(at->first, at->second->call);
  }
  for (auto& [key, call, count] : wanted) {
    gone.erase(key);
    keep_one(key, std::move(call), count);
  }
  for (auto& [key, call] : gone) keep_one(key, std::move(call), 0);
}

void Provisions::keep_one(const std::string& key, Call call, int32_t wanted) {
  std::vector<WarmPtr> ended;
  std::shared_ptr<Version> to_fill;
  {
    std::lock_guard lock(mutex_);
    auto& mine = versions_[key];
    if (!mine) mine = std::make_shared<Version>();
    mine->key = key;
    mine->call = std::move(call);
    mine->state.wanted = wanted;
    mine->state.failure.clear();
    while (mine->state.ready > wanted) {
      WarmPtr warm = idle_.take(key, nullptr);
      if (!warm) break;  // the others run: they end when they are given back
      --mine->state.ready;
      ended.push_back(std::move(warm));
    }
    if (mine->to_fill()) to_fill = mine;
    if (mine->over()) versions_.erase(key);
  }
  if (to_fill) start_background("provisioned concurrency", fill(std::move(to_fill)));
}

// One after the other: what provisioning takes of the machine is not taken from calls.
Task<void> Provisions::fill(std::shared_ptr<Version> of) {
  const std::weak_ptr<bool> alive = alive_;
  while (!alive.expired()) {
    Call call;
    {
      std::lock_guard lock(mutex_);
      if (stopped_ || of->state.ready >= of->state.wanted) break;
      call = of->call;
    }
    const auto version = call.version;
    Result<WarmPtr> warm = co_await as_result(start_(std::move(call)));
    bool good = false;
    if (warm) {
      const sandbox::Outcome outcome = co_await (*warm)->instance->initialised();
      good = outcome.status == sandbox::Status::kOk;
      if (!logs_json(*version))
        (*warm)->log->add(init_report_line(outcome, outcome.init_duration, sandbox::InitPhase::kInit));
    }
    if (alive.expired()) co_return;
    std::lock_guard lock(mutex_);
    if (!good) {
      of->state.failure = warm ? "FUNCTION_ERROR_INIT_FAILURE" : describe(warm.error());
      break;  // tried again by tend()
    }
    if (stopped_ || of->state.ready >= of->state.wanted) break;
    (*warm)->used = std::chrono::steady_clock::now();
    of->state.failure.clear();
    ++of->state.ready;
    idle_.put(std::move(*warm));
  }
  if (alive.expired()) co_return;
  std::lock_guard lock(mutex_);
  of->filling = false;
  if (of->over()) versions_.erase(of->key);
}

void Provisions::give_back(WarmPtr warm, bool reusable) {
  {
    std::lock_guard lock(mutex_);
    const auto found = versions_.find(warm->key);
    reusable = reusable && found != versions_.end() && found->second->state.ready <= found->second->state.wanted;
  }
  if (reusable) return idle_.put(std::move(warm));
  const std::string key = warm->key;
  warm.reset();
  lose(key);
}

// One of them ended: another takes its place.
void Provisions::lose(const std::string& key) {
  std::shared_ptr<Version> to_fill;
  {
    std::lock_guard lock(mutex_);
    const auto found = versions_.find(key);
    if (found == versions_.end()) return;
    Version& mine = *found->second;
    --mine.state.ready;
    if (!stopped_ && mine.to_fill()) {
      to_fill = found->second;
    } else if (mine.over()) {
      versions_.erase(found);
    }
  }
  if (to_fill) start_background("provisioned concurrency", fill(std::move(to_fill)));
}

void Provisions::tend() {
  std::vector<std::shared_ptr<Version>> to_fill;
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    for (const auto& [key, mine] : versions_) {
      if (mine->to_fill()) to_fill.push_back(mine);
    }
  }
  for (auto& each : to_fill) start_background("provisioned concurrency", fill(std::move(each)));
  // One is idle as long as it likes; but it may have died, or outlived its credentials.
  const auto now = std::chrono::steady_clock::now();
  for (WarmPtr& warm : idle_.take_stale(now)) {
    if (warm->instance->alive() && now - warm->started < kInstanceLife) {
      idle_.put(std::move(warm));
      continue;
    }
    const std::string key = warm->key;
    warm.reset();
    lose(key);
  }
}

bool Provisions::empty() const {
  std::lock_guard lock(mutex_);
  return versions_.empty();
}

std::vector<WarmPtr> Provisions::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  return idle_.take_all();
}

}  // namespace virga::lambda
