#include "services/cloudwatch/summary.h"

#include <algorithm>
#include <cmath>

#include "base/str.h"

namespace virga::cloudwatch {

namespace {

constexpr double kStep = 1.02;
constexpr int64_t kZero = INT64_MIN;
constexpr size_t kMostBuckets = 2000;

int64_t bucket_of(double value) {
  return value == 0 ? kZero : static_cast<int64_t>(std::floor(std::log(value) / std::log(kStep)));
}
double middle_of(int64_t bucket) { return bucket == kZero ? 0 : std::pow(kStep, static_cast<double>(bucket) + 0.5); }

}  // namespace

void Summary::add(double value, double times) {
  Summary one{times, value * times, value, value, value >= 0, {}};
  if (one.distributed) one.buckets = {{bucket_of(value), times}};
  merge(one);
}

void Summary::add_statistics(double n, double total, double least, double most) {
  if (least == most) return add(least, n);
  merge(Summary{n, total, least, most, false, {}});
}

void Summary::merge(const Summary& other) {
  if (other.count <= 0) return;
  smallest = count > 0 ? std::min(smallest, other.smallest) : other.smallest;
  largest = count > 0 ? std::max(largest, other.largest) : other.largest;
  count += other.count;
  sum += other.sum;
  distributed = distributed && other.distributed;
  if (distributed) {
    std::vector<std::pair<int64_t, double>> both;
    auto mine = buckets.begin();
    for (const auto& theirs : other.buckets) {
      while (mine != buckets.end() && mine->first < theirs.first) both.push_back(*mine++);
      both.push_back(theirs);
      if (mine != buckets.end() && mine->first == theirs.first) both.back().second += (mine++)->second;
    }
    both.insert(both.end(), mine, buckets.end());
    buckets = std::move(both);
    distributed = buckets.size() <= kMostBuckets;
  }
  if (!distributed) buckets.clear();
}

std::optional<Stat> stat_named(std::string_view name) {
  using enum Stat::Kind;
  constexpr std::pair<std::string_view, Stat::Kind> kNames[] = {{"SampleCount", kSampleCount},
                                                                {"Average", kAverage},
                                                                {"Sum", kSum},
                                                                {"Minimum", kMinimum},
                                                                {"Maximum", kMaximum}};
  for (const auto& [known, kind] : kNames) {
    if (name == known) return Stat{kind, 0};
  }
  if (name.size() < 2 || (name[0] != 'p' && name[0] != 'P')) return std::nullopt;
  const auto [whole, fraction] = split_once(name.substr(1), '.');
  const auto digits = [](std::string_view text) {
    return text.find_first_not_of("0123456789") == std::string_view::npos;
  };
  if (whole.empty() || whole.size() > 3 || fraction.size() > 10 || !digits(whole) || !digits(fraction))
    return std::nullopt;
  const double percent = std::strtod(std::string(name.substr(1)).c_str(), nullptr);
  if (percent > 100) return std::nullopt;
  return Stat{kPercentile, percent};
}

std::optional<double> value_of(const Stat& stat, const Summary& summary) {
  switch (stat.kind) {
    case Stat::Kind::kSampleCount:
      return summary.count;
    case Stat::Kind::kAverage:
      return summary.sum / summary.count;
    case Stat::Kind::kSum:
      return summary.sum;
    case Stat::Kind::kMinimum:
      return summary.smallest;
    case Stat::Kind::kMaximum:
      return summary.largest;
    case Stat::Kind::kPercentile:
      break;
  }
  if (!summary.distributed) return std::nullopt;
  if (stat.percent == 0) return summary.smallest;
  if (stat.percent == 100) return summary.largest;
  const double wanted = stat.percent / 100 * summary.count;
  double passed = 0;
  for (const auto& [bucket, times] : summary.buckets) {
    passed += times;
    if (passed > wanted || passed == summary.count)
      return std::clamp(middle_of(bucket), summary.smallest, summary.largest);
  }
  return summary.largest;
}

}  // namespace virga::cloudwatch
