// What requests about metrics have in common.
#pragma once

#include <aws/cloudwatch/types.h>

#include <optional>
#include <string>
#include <vector>

#include "services/cloudwatch/store.h"

namespace virga::cloudwatch {

// Dimensions in the order of their names. Throws for a name that stands twice.
MetricRecord metric_of(const std::string& name_space, const std::string& name,
                       const std::optional<std::vector<Dimension>>& dimensions);
// Throws for a period that isn't one.
void check_period(int64_t seconds);
// Where the first period of a report begins.
Time start_of(Time start, int64_t period);
// The summaries of a metric by period, those of all units or of one.
struct Period {
  Time at;
  std::string unit;
  Summary summary;
};
Task<std::vector<Period>> periods_of(kv::Reader& reader, std::string key, Time start, Time end, int64_t period,
                                     std::optional<StandardUnit> unit, bool by_unit);

}  // namespace virga::cloudwatch
