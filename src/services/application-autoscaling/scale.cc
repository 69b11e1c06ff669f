// When capacities change: scheduled actions that are due, policies that look, and the changes themselves.
#include <algorithm>

#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "kernel/target_delivery.h"
#include "kv/record.h"
#include "services/application-autoscaling/request.h"
#include "services/application-autoscaling/schedule.h"

namespace virga::applicationautoscaling {
namespace {

// What a timer is about: an action or a policy.
struct Named {
  Home home;
  Scalable what;
  std::string name;
  template <class A>
  void fields(A& a) {
    a(1, home), a(2, what), a(3, name);
  }
};

// A capacity to be brought within its bounds, or to `wanted`; with an activity, a change that is on its way.
struct Scaling {
  Home home;
  Scalable what;
  std::optional<int32_t> wanted;
  std::string cause;
  std::optional<ActivityRecord> activity;
  int32_t asked = 0, before = 0;  // what the activity sets, and what it found
  template <class A>
  void fields(A& a) {
    a(1, home), a(2, what), a(3, wanted), a(4, cause), a(5, activity), a(6, asked), a(7, before);
  }
};

// What EventBridge is told when a target has reached its maximum.
kernel::TargetDelivery scaled_to_max(const Home& home, const TargetRecord& target, const ActivityRecord& activity,
                                     int32_t before) {
  const auto seconds = [](Time t) { return iso8601(Time::from_seconds(t.seconds())); };
  kernel::TargetDelivery out;
  out.account = home.account;
  out.region = home.region;
  out.service = "application-autoscaling.amazonaws.com";
  out.target = cat("arn:aws:events:", home.region, ":", home.account, ":event-bus/default");
  out.input.body = Json::object({{"startTime", seconds(activity.start)},
                                 {"endTime", seconds(activity.end.value_or(activity.start))},
                                 {"newDesiredCapacity", target.max},
                                 {"oldDesiredCapacity", before},
                                 {"minCapacity", target.min},
                                 {"maxCapacity", target.max},
                                 {"resourceId", target.what.resource},
                                 {"scalableDimension", target.what.dimension},
                                 {"serviceNamespace", target.what.space},
                                 {"statusCode", activity.status},
                                 {"scaledToMax", true},
                                 {"direction", "scale-out"}})
                       .dump();
  out.input.parameters = {{"Source", "aws.application-autoscaling"},
                          {"DetailType", "Application Auto Scaling Scaling Activity State Change"},
                          {"Resources", "[]"}};
  return out;
}

constexpr auto kSettleEvery = Millis(200);

std::optional<Time> next_time(const ActionRecord& action, kernel::TimeZones& zones, Time after) {
  const auto schedule = Schedule::parse(action.schedule);
  const auto zone = zones.find(action.zone.empty() ? "UTC" : action.zone);
  if (!schedule || !zone) return std::nullopt;
  return schedule->next(after, *zone, {action.start, action.end, action.from});
}

// That an action was triggered, which is an activity of its own. What it says of the target's bounds becomes true, or
// nothing does: one bound alone may not pass the other.
ActivityRecord trigger(const ActionRecord& action, TargetRecord& target, std::string id, Time now) {
  std::vector<std::string> changes;
  if (action.min) changes.push_back(cat("min capacity to ", *action.min));
  if (action.max) changes.push_back(cat("max capacity to ", *action.max));
  const std::string change = join(changes, " and ");
  ActivityRecord out;
  out.what = action.what;
  out.id = std::move(id);
  out.description = cat("Setting ", change);
  out.cause = cat("scheduled action name ", action.name, " was triggered");
  out.start = now;
  const int32_t min = action.min.value_or(target.min), max = action.max.value_or(target.max);
  if (min > max) {
    out.status = "Failed";
    out.message = cat("Failed to set ", change, ". Reason: ", bounds_crossed(min, max).message);
    return out;
  }
  target.min = min;
  target.max = max;
  out.status = "Successful";
  out.message = cat("Successfully set ", change);
  return out;
}

}  // namespace

Task<void> ApplicationAutoscalingService::arm(kv::Txn& tx, const Home& home, ActionRecord action, Time after) {
  const auto next = next_time(action, zones_, after);
  action.next = next.value_or(ActionRecord::kNever);
  WriteStore(tx, home).put(action);
  if (next) {
    co_await deps_.timers.set(
        tx, {"aas.action", action_arn(home, action), *next, kv::encode(Named{home, action.what, action.name})});
  } else {
    co_await disarm(tx, home, action);
  }
}
Task<void> ApplicationAutoscalingService::disarm(kv::Txn& tx, const Home& home, const ActionRecord& action) {
  co_await deps_.timers.clear(tx, "aas.action", action_arn(home, action));
}

// The actions of one target run in the order of their times, whichever of their timers is heard first. Times that
// passed while nothing ran happen once.
Task<void> ApplicationAutoscalingService::run_action(kernel::Timer timer) {
  const auto of = kv::decode<Named>(timer.payload);
  const Time now = deps_.clock.now();
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, of.home);
    auto target = co_await store.find_target(of.what);
    if (!target || !co_await store.find_action(of.what, of.name)) {
      co_await deps_.timers.clear(tx, timer.kind, timer.id);
      co_return;
    }
    std::vector<ActionRecord> due;
    for (auto& [position, action] : co_await store.actions_of(of.what)) {
      const bool heard = action.name == of.name;
      if (action.next == Time{} && heard) action.next = timer.due;
      if (action.next > Time{} && action.next <= now) {
        due.push_back(std::move(action));
      } else if (heard) {
        co_await arm(tx, of.home, action, now);  // not due: the clock was put back
      }
    }
    std::ranges::sort(due, {}, [](const ActionRecord& action) { return std::pair(action.next, action.created); });
    Time then = now;  // a little later for each, so that their activities keep their order
    for (const ActionRecord& action : due) {
      co_await arm(tx, of.home, action, now);
      if (target->schedule_suspended) continue;
      store.put(trigger(action, *target, uuid(), then));
      store.put(*target);
      then = then + Micros(1);
    }
    if (!due.empty()) co_await store.forget_activities(of.what.space, now - kActivityLife);
    if (!due.empty() && !target->schedule_suspended) scale(tx, of.home, of.what, std::nullopt, {});
  });
}

Task<void> ApplicationAutoscalingService::watch(kv::Txn& tx, const Home& home, const PolicyRecord& policy, Time next) {
  co_await deps_.timers.set(
      tx, {"aas.policy", policy_arn(home, policy), next, kv::encode(Named{home, policy.what, policy.name})});
}
Task<void> ApplicationAutoscalingService::unwatch(kv::Txn& tx, const Home& home, const PolicyRecord& policy) {
  co_await deps_.timers.clear(tx, "aas.policy", policy_arn(home, policy));
}

Task<void> ApplicationAutoscalingService::look(kernel::Timer timer) {
  const auto of = kv::decode<Named>(timer.payload);
  const auto parts = split(of.what.resource, ':');  // function:<name>:<qualifier>
  const auto capacity = co_await as_result(read_capacity(deps_.cloud, of.home, of.what));
  const auto use = co_await use_(of.home.account, of.home.region, std::string(parts[1]), std::string(parts[2]));
  const Time now = deps_.clock.now();
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, of.home);
    auto policy = co_await store.find_policy(of.what, of.name);
    const auto target = co_await store.find_target(of.what);
    if (!policy || !target) {
      co_await deps_.timers.clear(tx, timer.kind, timer.id);
      co_return;
    }
    co_await watch(tx, of.home, *policy, now + kSampleEvery);
    if (!capacity || !use) co_return;
    const auto wanted = track(policy->rule, policy->state, now, *use, capacity->now);
    store.put(*policy);
    if (!wanted) co_return;
    const bool out = *wanted > capacity->now;
    if (out ? target->out_suspended : target->in_suspended) co_return;
    const int32_t within = std::clamp(*wanted, target->min, target->max);
    if (out ? within <= capacity->now : within >= capacity->now) co_return;
    scale(tx, of.home, of.what, within,
          cat("the use of the provisioned concurrency is ", out ? "above" : "below", " the target ",
              policy->rule.target, " of the policy ", policy->name));
  });
}

// One thing's changes are made one after the other.
void ApplicationAutoscalingService::scale(kv::Txn& tx, const Home& home, const Scalable& what,
                                          std::optional<int32_t> wanted, std::string cause) {
  kernel::Delivery work;
  work.kind = "aas.scale";
  work.lane = cat(home.account, ":", home.region, ":", owner(what));
  work.group = "changes";
  work.payload = kv::encode(Scaling{home, what, wanted, std::move(cause), std::nullopt});
  deps_.deliveries.enqueue(tx, std::move(work));
}

Task<kernel::Verdict> ApplicationAutoscalingService::run_scaling(kernel::Attempt attempt) {
  auto job = kv::decode<Scaling>(attempt.payload);
  std::optional<TargetRecord> target;
  {
    const auto snapshot = deps_.db.snapshot();
    target = co_await Store(*snapshot, job.home).find_target(job.what);
  }
  const auto keep = [&](const ActivityRecord& activity) -> kernel::Verdict::Writes {
    std::optional<kernel::TargetDelivery> event;
    const bool to_max = target && job.asked == target->max && job.asked > job.before;
    if (activity.status == "Successful" && to_max) event = scaled_to_max(job.home, *target, activity, job.before);
    return [this, home = job.home, activity, event](kv::Txn& tx) -> Task<void> {
      WriteStore store(tx, home);
      store.put(activity);
      if (event) deps_.targets.enqueue(tx, *event);
      co_await store.forget_activities(activity.what.space, activity.start - kActivityLife);
    };
  };
  const auto end = [&](std::string_view status, std::string message) {
    job.activity->status = status;
    job.activity->message = std::move(message);
    job.activity->end = deps_.clock.now();
    return kernel::Verdict::done().with(keep(*job.activity));
  };
  const std::string done = cat("Successfully set ", quantity(job.what), " to ", job.asked, ".");
  const auto capacity = co_await as_result(read_capacity(deps_.cloud, job.home, job.what));
  if (!capacity && !kernel::is_permanent(capacity.error())) co_return kernel::Verdict::again();

  if (job.activity) {
    if (!capacity) co_return end("Failed", error_of(capacity)->message);
    if (!capacity->failure.empty()) co_return end("Failed", capacity->failure);
    // Somebody else may have set another one meanwhile.
    if (capacity->now == job.asked && !capacity->settled) co_return kernel::Verdict::later(kSettleEvery);
    co_return end("Successful", cat(done, " Change successfully fulfilled by ", job.what.space, "."));
  }
  if (!target) co_return kernel::Verdict::done();
  // What can't be read, since what the target names is gone, can't be set either; the target stays.
  job.before = capacity ? capacity->now : 0;
  job.asked = std::clamp(job.wanted.value_or(job.before), target->min, target->max);
  if (job.asked == job.before) co_return kernel::Verdict::done();
  if (job.cause.empty()) {
    job.cause = job.asked > job.before ? cat("minimum capacity was set to ", target->min)
                                       : cat("maximum capacity was set to ", target->max);
  }
  ActivityRecord& activity = job.activity.emplace();
  activity.what = job.what;
  activity.id = attempt.id;
  activity.description = cat("Setting ", quantity(job.what), " to ", job.asked, ".");
  activity.cause = job.cause;
  activity.start = deps_.clock.now();
  const auto set = co_await as_result(set_capacity(deps_.cloud, job.home, job.what, job.asked));
  if (!set) {
    if (!error_of(set)) co_await fail_with(set.error());
    co_return end("Failed",
                  cat("Failed to set ", quantity(job.what), " to ", job.asked, ". Reason: ", error_of(set)->message));
  }
  activity.status = "InProgress";
  activity.message = cat("Successfully set ", quantity(job.what), " to ", job.asked,
                         ". Waiting for change to be fulfilled by ", job.what.space, ".");
  co_return kernel::Verdict::later(Micros(0)).with(keep(activity)).instead(kv::encode(job));
}

}  // namespace virga::applicationautoscaling
