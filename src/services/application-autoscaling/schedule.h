// When a scheduled action runs. Pure.
// docs.aws.amazon.com/autoscaling/application/userguide/scheduled-scaling-using-cron-expressions.html
#pragma once

#include <optional>
#include <string_view>

#include "base/time.h"
#include "kernel/schedule_expression.h"
#include "kernel/time_zone.h"

namespace virga::applicationautoscaling {

class Schedule {
 public:
  // at(…), rate(…) or cron(…), whose fields may begin with one of seconds; nothing when it is none of these.
  static std::optional<Schedule> parse(std::string_view text);

  // What is known of it besides the expression.
  struct Bounds {
    std::optional<Time> start, end;
    Time from;  // a rate's times count from here when there is no start
  };
  // The first time after `after`. What recurs runs at its start, whatever its expression says, and then as that says;
  // what runs once knows neither start nor end.
  std::optional<Time> next(Time after, const kernel::TimeZone& zone, const Bounds& bounds) const;

 private:
  kernel::ScheduleExpression expression_;
  std::chrono::seconds second_{0};  // of the minute, for cron
};

}  // namespace virga::applicationautoscaling
