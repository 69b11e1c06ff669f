// Rules of contributor insights that a service keeps for its resources, and what they counted, for CloudWatch to show.
// A service that has some implements InsightSource beside Service.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/task.h"
#include "base/time.h"
#include "kernel/context.h"
#include "kernel/contributors.h"

namespace virga::kernel {

class Cloud;

struct InsightRule {
  std::string name;
  std::string definition;           // JSON
  std::vector<std::string> labels;  // of the parts of a contributor's key
  size_t most_contributors = 100;   // that a report may be asked for
};

class InsightSource {
 public:
  virtual ~InsightSource() = default;
  virtual Task<std::vector<InsightRule>> insight_rules(Home home) = 0;
  // Calls `each` with what was counted in each minute of [from, to) in which there was something, by its beginning and
  // in order. Never when the rule is not this source's.
  using Each = std::function<void(Time minute, const Contributors& counted)>;
  virtual Task<void> read_insights(Home home, std::string rule, Time from, Time to, Each each) = 0;
};

std::vector<InsightSource*> insight_sources(const Cloud& cloud);

}  // namespace virga::kernel
