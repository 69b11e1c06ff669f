// What a schedule does when its time has come. Pure.
#pragma once

#include <optional>
#include <string>

#include "kernel/schedule_expression.h"
#include "kernel/target_delivery.h"
#include "services/scheduler/store.h"

namespace virga::scheduler {

std::string schedule_arn(const Home& home, std::string_view group, std::string_view name);
std::string group_arn(const Home& home, std::string_view group);

// The first time after `after` at which the schedule invokes its target; nothing when it has done its last, or its
// expression or zone is none.
std::optional<Time> next_time(const ScheduleRecord& schedule, kernel::TimeZones& zones, Time after);

// The delivery of the invocation that was due at `due`; `execution` identifies it.
kernel::TargetDelivery delivery_of(const Home& home, const ScheduleRecord& schedule, Time due,
                                   const std::string& execution);

}  // namespace virga::scheduler
