#include <aws/scheduler/errors.h>

#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "kernel/sdk_call.h"
#include "services/scheduler/schedule.h"
#include "services/scheduler/service.h"

namespace virga::scheduler {

Task<void> SchedulerService::arm(kv::Txn& tx, const Home& home, const ScheduleRecord& schedule, Time after) {
  const std::string id = schedule_arn(home, schedule.group, schedule.name);
  if (const auto next = next_time(schedule, zones_, after)) {
    co_await deps_.timers.set(tx, {"scheduler.schedule", id, *next, ""});
  } else {
    co_await deps_.timers.clear(tx, "scheduler.schedule", id);
  }
}

// The invocation is on its way in the transaction that sets the next time, or ends the schedule.
Task<void> SchedulerService::fire(kernel::Timer timer) {
  const auto arn = kernel::parse_arn(timer.id);
  if (!arn) co_return;
  const Home home{arn->account, arn->region};
  const auto parts = split(arn->resource, '/');  // schedule/<group>/<name>
  const std::string group(parts.size() == 3 ? parts[1] : ""), name(parts.size() == 3 ? parts[2] : "");
  const Time now = deps_.clock.now();
  const std::string execution = uuid();
  const uint64_t chance = random_u64();
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, home);
    const auto schedule = co_await store.find(group, name);
    if (!schedule || !schedule->enabled) {
      co_await deps_.timers.clear(tx, timer.kind, timer.id);
      co_return;
    }
    if (timer.due > now) co_return co_await arm(tx, home, *schedule, now);  // the clock was put back
    Time not_before;
    if (schedule->window > 0) {
      const auto window = static_cast<uint64_t>(schedule->window) * 60'000'000;
      not_before = timer.due + Micros(static_cast<int64_t>(chance % window));
    }
    deps_.targets.enqueue(tx, delivery_of(home, *schedule, timer.due, execution), not_before, execution);
    // Times that passed while nothing ran are not made up for, but the one that was due.
    if (!next_time(*schedule, zones_, now) && schedule->delete_after) {
      store.erase(*schedule);
      co_await deps_.timers.clear(tx, timer.kind, timer.id);
    } else {
      co_await arm(tx, home, *schedule, now);
    }
  });
}

Task<std::string> SchedulerService::call(Ctx& ctx, const kernel::Arn& target, kernel::TargetInput input) {
  const auto parts = split(target.resource, ':');  // aws-sdk:<service>:<action>
  const kernel::Operation* operation = parts.size() == 3 && parts[0] == "aws-sdk"
                                           ? kernel::find_sdk_operation(deps_.cloud, parts[1], parts[2])
                                           : nullptr;
  if (!operation) co_return err::ValidationException(cat("The universal target ", target.resource, " is not served."));
  Json json;
  try {
    json = input.body.empty() ? Json::object() : Json::parse(input.body);
  } catch (const JsonError& e) {
    co_return err::ValidationException(cat("The input of the universal target is no JSON: ", e.what()));
  }
  const Json answer = co_await kernel::sdk_call(deps_.cloud, ctx, *operation, std::move(json));
  co_return answer.dump();
}

}  // namespace virga::scheduler
