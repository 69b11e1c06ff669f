#include "services/cloudwatch/request.h"

#include <aws/cloudwatch/errors.h>

#include <algorithm>

#include "base/str.h"

namespace virga::cloudwatch {

MetricRecord metric_of(const std::string& name_space, const std::string& name,
                       const std::optional<std::vector<Dimension>>& dimensions) {
  MetricRecord out{name_space, name, {}, {}};
  if (!dimensions) return out;
  for (const Dimension& dimension : *dimensions) out.dimensions.emplace_back(dimension.name, dimension.value);
  std::sort(out.dimensions.begin(), out.dimensions.end());
  for (size_t i = 1; i < out.dimensions.size(); ++i) {
    if (out.dimensions[i].first == out.dimensions[i - 1].first) {
      throw err::InvalidParameterValueException(
          cat("The dimension ", out.dimensions[i].first, " of metric ", name, " is given more than once."));
    }
  }
  return out;
}

void check_period(int64_t seconds) {
  constexpr int64_t kFine[] = {1, 5, 10, 20, 30};
  if (seconds % 60 == 0 || std::find(std::begin(kFine), std::end(kFine), seconds) != std::end(kFine)) return;
  throw err::InvalidParameterValueException(
      "The parameter Period must be a value in the set [1, 5, 10, 20, 30] or a multiple of 60.");
}

Time start_of(Time start, int64_t period) {
  const int64_t grain = period < 60 ? period : 60;
  return Time::from_seconds(start.seconds() - start.seconds() % grain);
}

Task<std::vector<Period>> periods_of(kv::Reader& reader, std::string key, Time start, Time end, int64_t period,
                                     std::optional<StandardUnit> unit, bool by_unit) {
  const Time first = start_of(start, period);
  std::map<std::pair<Time, std::string>, Summary> found;
  const Grain grain = period < 60 ? Grain::kSecond : Grain::kMinute;
  co_await read_metric(reader, std::move(key), grain, first, end,
                       [&](Time at, const std::string& of, const Summary& summary) {
                         if (unit && of != to_string(*unit)) return;
                         const int64_t passed = (at.seconds() - first.seconds()) / period * period;
                         found[{first + std::chrono::seconds(passed), by_unit ? of : std::string()}].merge(summary);
                       });
  std::vector<Period> out;
  for (auto& [at, summary] : found) out.push_back({at.first, at.second, std::move(summary)});
  co_return out;
}

}  // namespace virga::cloudwatch
