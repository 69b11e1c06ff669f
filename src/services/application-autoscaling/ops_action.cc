#include "base/str.h"
#include "services/application-autoscaling/request.h"
#include "services/application-autoscaling/schedule.h"

namespace virga::applicationautoscaling {

// What an update doesn't say stays, but for the start and the end.
Task<PutScheduledActionResponse> ApplicationAutoscalingService::put_scheduled_action(
    Ctx& ctx, const PutScheduledActionRequest& in) {
  const Scalable what = scalable(in);
  const Home home = home_of(ctx);
  if (in.schedule && !Schedule::parse(*in.schedule)) {
    co_return err::ValidationException(cat("Invalid schedule expression: ", *in.schedule));
  }
  if (in.timezone && !zones_.find(*in.timezone)) {
    co_return err::ValidationException(cat("Invalid timezone: ", *in.timezone));
  }
  if (in.start_time && in.end_time && *in.end_time <= *in.start_time) {
    co_return err::ValidationException("The end time must be after the start time.");
  }
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<PutScheduledActionResponse> {
    WriteStore store(tx, home);
    const auto target = co_await store.find_target(what);
    if (!target) co_return not_there("scalable target registered", what);
    auto action = co_await store.find_action(what, in.scheduled_action_name);
    if (!action) {
      if (!in.schedule) co_return err::ValidationException("Schedule is required to create a scheduled action.");
      if ((co_await store.actions_of(what)).size() >= kMostActions) {
        co_return err::LimitExceededException(
            cat("A scalable target has at most ", kMostActions, " scheduled actions."));
      }
      action.emplace().what = what;
      action->name = in.scheduled_action_name;
      action->id = id_in_arns(*target);
      action->created = ctx.now();
    }
    if (in.schedule) {
      action->schedule = *in.schedule;
      action->from = ctx.now();
    }
    if (in.timezone) action->zone = *in.timezone;
    action->start = in.start_time;
    action->end = in.end_time;
    if (in.scalable_target_action) {
      action->min = in.scalable_target_action->min_capacity;
      action->max = in.scalable_target_action->max_capacity;
    }
    if (!action->min && !action->max) {
      co_return err::ValidationException("At least one of minimum capacity and maximum capacity should be provided");
    }
    if (action->min && *action->min < least_capacity(what)) {
      co_return err::ValidationException(cat("Minimum capacity cannot be less than ", least_capacity(what)));
    }
    if (action->max && *action->max < action->min.value_or(least_capacity(what))) {
      co_return err::ValidationException("Maximum capacity cannot be less than minimum capacity");
    }
    co_await arm(tx, home, *action, ctx.now());
    co_return PutScheduledActionResponse{};
  });
}

Task<DescribeScheduledActionsResponse> ApplicationAutoscalingService::describe_scheduled_actions(
    Ctx& ctx, const DescribeScheduledActionsRequest& in) {
  const Home home = home_of(ctx);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, home);
  const std::string space(to_string(in.service_namespace));
  DescribeScheduledActionsResponse out;
  auto& all = out.scheduled_actions.emplace();
  co_await list_page(
      deps_.tokens, ctx, "aas:actions", kListPage, in, out,
      [&](std::string after, size_t limit) { return store.list_actions(space, std::move(after), limit); },
      [&](const ActionRecord& action) {
        return (!in.resource_id || action.what.resource == *in.resource_id) &&
               (!in.scheduled_action_names || contains(*in.scheduled_action_names, action.name));
      },
      [&](const ActionRecord& action) {
        ScheduledAction& one = all.emplace_back();
        one.scheduled_action_name = action.name;
        one.scheduled_action_arn = action_arn(home, action);
        name_in(one, action.what);
        from_string(action.what.dimension, one.scalable_dimension.emplace());
        one.schedule = action.schedule;
        if (!action.zone.empty()) one.timezone = action.zone;
        one.start_time = action.start;
        one.end_time = action.end;
        one.scalable_target_action = {action.min, action.max};
        one.creation_time = action.created;
      });
  co_return out;
}

Task<DeleteScheduledActionResponse> ApplicationAutoscalingService::delete_scheduled_action(
    Ctx& ctx, const DeleteScheduledActionRequest& in) {
  const Scalable what = scalable(in);
  const Home home = home_of(ctx);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<DeleteScheduledActionResponse> {
    WriteStore store(tx, home);
    const auto action = co_await store.find_action(what, in.scheduled_action_name);
    if (!action) {
      co_return not_there("scheduled action found", what, cat(", scheduled action name: ", in.scheduled_action_name));
    }
    store.erase(*action);
    co_await disarm(tx, home, *action);
    co_return DeleteScheduledActionResponse{};
  });
}

}  // namespace virga::applicationautoscaling
