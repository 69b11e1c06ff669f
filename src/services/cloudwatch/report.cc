#include "services/cloudwatch/report.h"

#include <algorithm>

namespace virga::cloudwatch {

namespace {

constexpr size_t kMostSeries = 10'000;

// Of a contributor only what is certain: in a crowd without anybody who stands out, the most it can have been is large.
double value_of(const kernel::Contributor& one) { return one.least; }

}  // namespace

Time period_of(Time at, int64_t seconds) { return Time::from_seconds(at.seconds() - at.seconds() % seconds); }

void Report::add(Time minute, const kernel::Contributors& counted) {
  const Time at = period_of(minute, period_);
  if (at_ != at) end_period();
  at_ = at;
  counted_.merge(counted);
}

void Report::end_period() {
  if (!at_) return;
  Point point{*at_,
              counted_.unique(),
              0,
              static_cast<double>(counted_.samples()),
              counted_.sum(),
              counted_.smallest(),
              counted_.largest()};
  for (const kernel::Contributor& one : counted_.kept()) {
    Series& series = series_[one.key];
    series.key = one.key;
    series.values[*at_] = value_of(one);
    series.sum += value_of(one);
    series.maximum = std::max(series.maximum, value_of(one));
    point.most = std::max(point.most, value_of(one));
  }
  points_.push_back(point);
  total_.merge(counted_);
  counted_ = {};
  at_.reset();
  if (series_.size() > kMostSeries) drop_least();
}

void Report::drop_least() {
  std::vector<double> sums;
  for (const auto& [key, series] : series_) sums.push_back(series.sum);
  const auto middle = sums.begin() + static_cast<std::ptrdiff_t>(sums.size() / 2);
  std::nth_element(sums.begin(), middle, sums.end());
  std::erase_if(series_, [least = *middle](const auto& one) { return one.second.sum <= least; });
}

std::vector<Report::Series> Report::top(size_t most, bool by_maximum) const {
  std::vector<Series> out;
  for (const auto& [key, series] : series_) out.push_back(series);
  std::sort(out.begin(), out.end(), [&](const Series& a, const Series& b) {
    const double more = by_maximum ? a.maximum - b.maximum : a.sum - b.sum;
    return more > 0 || (more == 0 && a.key < b.key);
  });
  if (out.size() > most) out.resize(most);
  return out;
}

}  // namespace virga::cloudwatch
