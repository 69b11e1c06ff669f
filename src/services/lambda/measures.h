// What CloudWatch is told of a function's invocations, minute by minute. Thread-safe.
#pragma once

#include <mutex>
#include <vector>

#include "kernel/metric_source.h"

namespace virga::lambda {

class Measures {
 public:
  void begun(Time now, double concurrent);
  void ended(Time now, double milliseconds, bool failed);
  void failed(Time now);  // without having run to an end
  void throttled(Time now);
  // Adds what was measured since the last time, of the function and of all functions of its account and region.
  void take(const kernel::Home& home, const std::string& function, std::vector<kernel::Measured>& out);

 private:
  static constexpr size_t kMostMinutes = 15;
  struct Minute {
    Time at;
    kernel::Summary invocations, errors, throttles, duration, concurrent;
  };
  Minute& at(Time now);  // the lock is held

  std::mutex mutex_;
  std::vector<Minute> minutes_;
};

}  // namespace virga::lambda
