// Counters, gauges and histograms, cheap enough for the request path, and the registry that names and renders them.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace virga {

class Counter {
 public:
  void add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_ = 0;
};

class Gauge {
 public:
  void set(int64_t v) { value_.store(v, std::memory_order_relaxed); }
  void add(int64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_ = 0;
};

// Counts of observations at most each bound, and of all of them; the sum is kept in thousandths.
class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds);
  void observe(double v);
  uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  double sum() const { return static_cast<double>(sum_.load(std::memory_order_relaxed)) / 1000; }
  std::span<const double> bounds() const { return bounds_; }
  uint64_t bucket(size_t i) const { return buckets_[i].load(std::memory_order_relaxed); }  // not cumulative
  // The value below which about `quantile` (0 to 1) of the observations lie, interpolated within its bucket.
  double quantile(double quantile) const;

 private:
  std::vector<double> bounds_;
  std::vector<std::atomic<uint64_t>> buckets_;  // one more than bounds: the rest
  std::atomic<uint64_t> count_ = 0;
  std::atomic<int64_t> sum_ = 0;
};

inline constexpr double kLatencyBounds[] = {0.1, 0.25, 0.5, 1,    2.5,  5,    10,    25,   50,
                                            100, 250,  500, 1000, 2500, 5000, 10000, 60000};  // milliseconds

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

// Hands out metrics by name and labels: the same for the same, alive as long as the registry. Finding one takes a
// lock, so keep the reference. Beyond kMostSeries, new series of a name share one labelled overflow="true".
class MetricRegistry {
 public:
  static constexpr size_t kMostSeries = 20'000;
  Counter& counter(std::string_view name, std::string_view help, MetricLabels labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, MetricLabels labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, MetricLabels labels = {},
                       std::span<const double> bounds = kLatencyBounds);
  // All metrics in Prometheus's text format.
  std::string render() const;

 private:
  struct Series {
    std::string labels;  // rendered, without braces
    std::unique_ptr<Counter> counter;
    std::unique_ptr<Gauge> gauge;
    std::unique_ptr<Histogram> histogram;
  };
  struct Family {
    std::string help;
    std::string_view type;
    std::map<std::string, Series, std::less<>> series;
  };
  Series& find(std::string_view name, std::string_view help, std::string_view type, const MetricLabels& labels);

  mutable std::mutex mutex_;
  std::map<std::string, Family, std::less<>> families_;
  size_t count_ = 0;
};

}  // namespace virga
