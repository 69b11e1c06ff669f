#include "kernel/summary.h"

#include <algorithm>
#include <cmath>

namespace virga::kernel {

namespace {

constexpr double kStep = 1.02;
constexpr int64_t kZero = INT64_MIN;
constexpr size_t kMostBuckets = 2000;

int64_t bucket_of(double value) {
  return value == 0 ? kZero : static_cast<int64_t>(std::floor(std::log(value) / std::log(kStep)));
}
double middle_of(int64_t bucket) { return bucket == kZero ? 0 : std::pow(kStep, static_cast<double>(bucket) + 0.5); }

}  // namespace

void Summary::note(double n, double total, double least, double most) {
  smallest = count > 0 ? std::min(smallest, least) : least;
  largest = count > 0 ? std::max(largest, most) : most;
  count += n;
  sum += total;
}

void Summary::add(double value, double times) {
  if (times <= 0) return;
  note(times, value * times, value, value);
  distributed = distributed && value >= 0;
  if (!distributed) return buckets.clear();
  const int64_t bucket = bucket_of(value);
  const auto at = std::lower_bound(buckets.begin(), buckets.end(), bucket,
                                   [](const auto& one, int64_t wanted) { return one.first < wanted; });
  if (at != buckets.end() && at->first == bucket) {
    at->second += times;
  } else {
    buckets.insert(at, {bucket, times});
  }
  bound();
}

void Summary::bound() {
  distributed = distributed && buckets.size() <= kMostBuckets;
  if (!distributed) buckets.clear();
}

void Summary::add_statistics(double n, double total, double least, double most) {
  if (least == most) return add(least, n);
  merge(Summary{n, total, least, most, false, {}});
}

void Summary::merge(const Summary& other) {
  if (other.count <= 0) return;
  note(other.count, other.sum, other.smallest, other.largest);
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
  }
  bound();
}

std::optional<double> Summary::percentile(double percent) const {
  if (!distributed) return std::nullopt;
  if (percent == 0) return smallest;
  if (percent == 100) return largest;
  const double wanted = percent / 100 * count;
  double passed = 0;
  for (const auto& [bucket, times] : buckets) {
    passed += times;
    if (passed > wanted || passed == count) return std::clamp(middle_of(bucket), smallest, largest);
  }
  return largest;
}

}  // namespace virga::kernel
