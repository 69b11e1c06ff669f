#include "services/lambda/measures.h"

#include <algorithm>
#include <utility>

namespace virga::lambda {

Measures::Minute& Measures::at(Time now) {
  const Time minute = Time::from_seconds(now.seconds() - now.seconds() % 60);
  const auto found =
      std::find_if(minutes_.rbegin(), minutes_.rend(), [&](const Minute& one) { return one.at == minute; });
  if (found != minutes_.rend()) return *found;
  // Nobody has asked for a long while.
  if (minutes_.size() == kMostMinutes) minutes_.erase(minutes_.begin());
  Minute& fresh = minutes_.emplace_back();
  fresh.at = minute;
  return fresh;
}

void Measures::begun(Time now, double concurrent) {
  const std::lock_guard lock(mutex_);
  Minute& minute = at(now);
  minute.invocations.add(1, 1);
  minute.throttles.add(0, 1);
  minute.concurrent.add(concurrent, 1);
}

void Measures::ended(Time now, double milliseconds, bool failed) {
  const std::lock_guard lock(mutex_);
  Minute& minute = at(now);
  minute.duration.add(milliseconds, 1);
  minute.errors.add(failed ? 1 : 0, 1);
}

void Measures::failed(Time now) {
  const std::lock_guard lock(mutex_);
  at(now).errors.add(1, 1);
}

void Measures::throttled(Time now) {
  const std::lock_guard lock(mutex_);
  at(now).throttles.add(1, 1);
}

void Measures::take(const kernel::Home& home, const std::string& function, std::vector<kernel::Measured>& out) {
  std::vector<Minute> minutes;
  {
    const std::lock_guard lock(mutex_);
    minutes = std::exchange(minutes_, {});
  }
  for (const Minute& minute : minutes) {
    const auto tell = [&](const char* name, const char* unit, const kernel::Summary& values) {
      if (values.count == 0) return;
      out.push_back({home, "AWS/Lambda", name, unit, {{"FunctionName", function}}, minute.at, values});
      out.push_back({home, "AWS/Lambda", name, unit, {}, minute.at, values});
    };
    tell("Invocations", "Count", minute.invocations);
    tell("Errors", "Count", minute.errors);
    tell("Throttles", "Count", minute.throttles);
    tell("Duration", "Milliseconds", minute.duration);
    tell("ConcurrentExecutions", "Count", minute.concurrent);
  }
}

}  // namespace virga::lambda
