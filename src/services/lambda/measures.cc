#include "services/lambda/measures.h"

#include <algorithm>
#include <utility>

namespace virga::lambda {

namespace {

constexpr size_t kAtOnce = 50;

// Of values that are one or zero.
kernel::Summary share(double ones, double zeros) {
  kernel::Summary out;
  out.add(1, ones);
  out.add(0, zeros);
  return out;
}

}  // namespace

void MeasuredFunctions::add(Measures& one) {
  const std::lock_guard lock(mutex_);
  all_.push_back(&one);
}

Task<void> MeasuredFunctions::give(kernel::KeepMeasured keep) {
  std::vector<Measures*> all;
  {
    const std::lock_guard lock(mutex_);
    all = std::exchange(all_, {});
  }
  for (size_t i = 0; i < all.size();) {
    std::vector<kernel::Measured> some;
    for (const size_t end = std::min(i + kAtOnce, all.size()); i < end; ++i) all[i]->take(some);
    co_await keep(std::move(some));
  }
}

void Measures::note(Time now, std::function<void(Minute&)> what) {
  if (function_.empty()) return;
  const Time minute = Time::from_seconds(now.seconds() - now.seconds() % 60);
  const std::lock_guard lock(mutex_);
  if (minutes_.empty()) all_.add(*this);
  auto found = std::find_if(minutes_.begin(), minutes_.end(), [&](const Minute& one) { return one.at == minute; });
  if (found == minutes_.end()) {
    // Nobody has asked for a long while.
    if (minutes_.size() == kMostMinutes) minutes_.erase(minutes_.begin());
    found = minutes_.insert(minutes_.end(), Minute{.at = minute});
  }
  what(*found);
}

void Measures::begun(Time now, double concurrent) {
  note(now, [&](Minute& minute) {
    ++minute.begun;
    minute.concurrent.add(concurrent, 1);
  });
}

void Measures::ended(Time now, double milliseconds, bool failed) {
  note(now, [&](Minute& minute) {
    ++(failed ? minute.failed : minute.succeeded);
    minute.duration.add(milliseconds, 1);
  });
}

void Measures::failed(Time now) {
  note(now, [](Minute& minute) { ++minute.failed; });
}

void Measures::throttled(Time now) {
  note(now, [](Minute& minute) { ++minute.throttled; });
}

void Measures::take(std::vector<kernel::Measured>& out) {
  std::vector<Minute> minutes;
  {
    const std::lock_guard lock(mutex_);
    minutes = std::exchange(minutes_, {});
  }
  for (const Minute& minute : minutes) {
    const auto tell = [&](const char* name, const char* unit, const kernel::Summary& values) {
      if (values.count == 0) return;
      out.push_back({home_, "AWS/Lambda", name, unit, {{"FunctionName", function_}}, minute.at, values});
      out.push_back({home_, "AWS/Lambda", name, unit, {}, minute.at, values});
    };
    tell("Invocations", "Count", share(minute.begun, 0));
    tell("Errors", "Count", share(minute.failed, minute.succeeded));
    tell("Throttles", "Count", share(minute.throttled, minute.begun));
    tell("Duration", "Milliseconds", minute.duration);
    tell("ConcurrentExecutions", "Count", minute.concurrent);
  }
}

}  // namespace virga::lambda
