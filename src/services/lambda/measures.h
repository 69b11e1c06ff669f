// What CloudWatch is told of a function's invocations, minute by minute. Thread-safe.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "base/async.h"
#include "kernel/metric_source.h"

namespace virga::lambda {

class Measures;

// The functions of which there is something to tell.
class MeasuredFunctions {
 public:
  void add(Measures& one);
  // Hands over what was measured until now, of some functions at a time.
  Task<void> give(kernel::KeepMeasured keep);

 private:
  std::mutex mutex_;
  std::vector<Measures*> all_;
};

class Measures {
 public:
  // Without a function's name nothing is kept.
  Measures(MeasuredFunctions& all, kernel::Home home, std::string function)
      : all_(all), home_(std::move(home)), function_(std::move(function)) {}

  void begun(Time now, double concurrent);
  void ended(Time now, double milliseconds, bool failed);
  void failed(Time now);  // without having run to an end
  void throttled(Time now);
  // Adds what was measured since the last time, of the function and of all functions of its account and region.
  void take(std::vector<kernel::Measured>& out);

 private:
  static constexpr size_t kMostMinutes = 15;
  struct Minute {
    Time at;
    double begun = 0, throttled = 0, succeeded = 0, failed = 0;
    kernel::Summary duration, concurrent;
  };
  void note(Time now, std::function<void(Minute&)> what);

  MeasuredFunctions& all_;
  const kernel::Home home_;
  const std::string function_;
  std::mutex mutex_;
  std::vector<Minute> minutes_;
};

}  // namespace virga::lambda
