// What is known of the values of a metric in a while: their statistics, and about how they are distributed. Pure. A
// record.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace virga::cloudwatch {

struct Summary {
  double count = 0, sum = 0, smallest = 0, largest = 0;
  // How often values were in each bucket, of which the next is two per cent above; ascending. Not known when statistics
  // came without their values, or values were below zero.
  bool distributed = true;
  std::vector<std::pair<int64_t, double>> buckets;
  template <class A>
  void fields(A& a) {
    a(1, count), a(2, sum), a(3, smallest), a(4, largest), a(5, distributed), a(6, buckets);
  }

  void add(double value, double times);
  // Of values that aren't known one by one.
  void add_statistics(double count, double sum, double smallest, double largest);
  void merge(const Summary& other);
};

// SampleCount, Average, Sum, Minimum, Maximum, or a percentile ("p99.9").
struct Stat {
  enum class Kind : uint8_t { kSampleCount, kAverage, kSum, kMinimum, kMaximum, kPercentile };
  Kind kind = Kind::kSum;
  double percent = 0;
};
std::optional<Stat> stat_named(std::string_view name);
// Nothing when the summary can't tell.
std::optional<double> value_of(const Stat& stat, const Summary& summary);

}  // namespace virga::cloudwatch
