// What a service measures of its resources, for CloudWatch to keep. A service that measures implements MetricSource
// beside Service.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/async.h"
#include "base/time.h"
#include "kernel/context.h"
#include "kernel/summary.h"

namespace virga::kernel {

class Cloud;

struct Measured {
  Home home;
  std::string name_space, name, unit;
  std::vector<std::pair<std::string, std::string>> dimensions;
  Time minute;
  Summary values;
};

using KeepMeasured = std::function<Task<void>(std::vector<Measured> some)>;  // throws nothing

class MetricSource {
 public:
  virtual ~MetricSource() = default;
  // Hands over what was measured since it was last asked, some at a time, so that it takes little memory. Thread-safe.
  virtual Task<void> give_measured(KeepMeasured keep) = 0;
};

std::vector<MetricSource*> metric_sources(const Cloud& cloud);

}  // namespace virga::kernel
