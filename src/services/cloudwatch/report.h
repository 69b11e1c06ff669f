// A report of contributor insights, made of what a rule counted minute by minute. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "kernel/contributors.h"

namespace virga::cloudwatch {

// The beginning of the period that `at` is in.
Time period_of(Time at, int64_t seconds);

class Report {
 public:
  explicit Report(int64_t period) : period_(period) {}

  struct Point {
    Time at;
    double unique = 0, most = 0;  // contributors; what one of them contributed at the most
    double samples = 0, sum = 0, smallest = 0, largest = 0;
  };
  struct Series {
    std::string key;
    std::map<Time, double> values;
    double sum = 0, maximum = 0;
  };

  // Minutes come in order.
  void add(Time minute, const kernel::Contributors& counted);
  void finish() { end_period(); }

  const std::vector<Point>& points() const { return points_; }
  const kernel::Contributors& total() const { return total_; }
  // The most important first.
  std::vector<Series> top(size_t most, bool by_maximum) const;

 private:
  void end_period();
  void drop_least();

  int64_t period_;
  std::optional<Time> at_;        // the period that is not over
  kernel::Contributors counted_;  // in it
  kernel::Contributors total_;
  std::vector<Point> points_;
  std::map<std::string, Series> series_;
};

}  // namespace virga::cloudwatch
