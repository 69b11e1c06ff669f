// What a service measures of its resources, for CloudWatch to keep. A service that measures implements MetricSource
// beside Service.
#pragma once

#include <string>
#include <utility>
#include <vector>

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

class MetricSource {
 public:
  virtual ~MetricSource() = default;
  // What was measured since it was last asked. Thread-safe.
  virtual std::vector<Measured> take_measured() = 0;
};

std::vector<MetricSource*> metric_sources(const Cloud& cloud);

}  // namespace virga::kernel
