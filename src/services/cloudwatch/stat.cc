#include "services/cloudwatch/stat.h"

#include <cstdlib>
#include <string>

#include "base/str.h"

namespace virga::cloudwatch {

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
      return summary.percentile(stat.percent);
  }
  return std::nullopt;
}

}  // namespace virga::cloudwatch
