// The statistics that requests name. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "kernel/summary.h"

namespace virga::cloudwatch {

using kernel::Summary;

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
