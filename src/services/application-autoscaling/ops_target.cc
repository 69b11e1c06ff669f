#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "services/application-autoscaling/request.h"

namespace virga::applicationautoscaling {
namespace {

void check_bounds(const TargetRecord& target) {
  if (target.min < least_capacity(target.what)) {
    throw err::ValidationException(
        cat("Minimum capacity cannot be less than ", least_capacity(target.what), ", but was ", target.min));
  }
  if (target.max < target.min) throw bounds_crossed(target.min, target.max);
}

std::string id_of(const Ctx& ctx, const std::string& arn) {
  const auto parsed = kernel::parse_arn(arn);
  const bool ours = parsed && parsed->account == ctx.account && parsed->region == ctx.region &&
                    parsed->resource.starts_with("scalable-target/");
  return ours ? parsed->resource.substr(16) : "";
}

Error no_resource(const std::string& arn) {
  return err::ResourceNotFoundException(cat("The specified resource doesn't exist: ", arn),
                                        Json::object({{"ResourceName", arn}}));
}

void suspend(TargetRecord& target, const SuspendedState& in) {
  target.in_suspended = in.dynamic_scaling_in_suspended.value_or(target.in_suspended);
  target.out_suspended = in.dynamic_scaling_out_suspended.value_or(target.out_suspended);
  target.schedule_suspended = in.scheduled_scaling_suspended.value_or(target.schedule_suspended);
}

}  // namespace

Task<RegisterScalableTargetResponse> ApplicationAutoscalingService::register_scalable_target(
    Ctx& ctx, const RegisterScalableTargetRequest& in) {
  const Scalable what = scalable(in);
  const Home home = home_of(ctx);
  const auto there = co_await as_result(read_capacity(deps_.cloud, home, what));
  if (!there) {
    if (const Error* error = error_of(there)) co_return err::ValidationException(error->message);
    co_await fail_with(there.error());
  }
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<RegisterScalableTargetResponse> {
    WriteStore store(tx, home);
    auto target = co_await store.find_target(what);
    if (!target) {
      if (!in.min_capacity || !in.max_capacity) {
        co_return err::ValidationException(
            "MinCapacity and MaxCapacity are required when a scalable target is registered for the first time.");
      }
      if ((co_await store.list_targets(what.space, "", kMostTargets)).size() >= kMostTargets) {
        co_return err::LimitExceededException(cat("An account has at most ", kMostTargets, " scalable targets."));
      }
      target.emplace().what = what;
      target->id = random_id(36, "0123456789abcdef");
      target->created = ctx.now();
      if (in.tags) target->tags = *in.tags;
    } else if (in.tags && !in.tags->empty()) {
      co_return err::ValidationException(
          "The scalable target that you tried to tag already exists. To update tags on an existing scalable target, "
          "use "
          "the TagResource API.");
    }
    target->min = in.min_capacity.value_or(target->min);
    target->max = in.max_capacity.value_or(target->max);
    if (in.suspended_state) suspend(*target, *in.suspended_state);
    check_bounds(*target);
    store.put(*target);
    scale(tx, home, what, std::nullopt, {});
    RegisterScalableTargetResponse out;
    out.scalable_target_arn = target_arn(home, target->id);
    co_return out;
  });
}

Task<DescribeScalableTargetsResponse> ApplicationAutoscalingService::describe_scalable_targets(
    Ctx& ctx, const DescribeScalableTargetsRequest& in) {
  const Home home = home_of(ctx);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, home);
  const std::string space(to_string(in.service_namespace));
  DescribeScalableTargetsResponse out;
  auto& all = out.scalable_targets.emplace();
  co_await list_page(
      deps_.tokens, ctx, "aas:targets", kListPage, in, out,
      [&](std::string after, size_t limit) { return store.list_targets(space, std::move(after), limit); },
      [&](const TargetRecord& target) { return !in.resource_ids || contains(*in.resource_ids, target.what.resource); },
      [&](const TargetRecord& target) {
        ScalableTarget& one = all.emplace_back();
        name_in(one, target.what);
        from_string(target.what.dimension, one.scalable_dimension);
        one.min_capacity = target.min;
        one.max_capacity = target.max;
        one.role_arn = role_arn(home, target.what);
        one.creation_time = target.created;
        one.suspended_state = {target.in_suspended, target.out_suspended, target.schedule_suspended};
        one.scalable_target_arn = target_arn(home, target.id);
      });
  co_return out;
}

// Its policies and scheduled actions go with it; the capacity stays.
Task<DeregisterScalableTargetResponse> ApplicationAutoscalingService::deregister_scalable_target(
    Ctx& ctx, const DeregisterScalableTargetRequest& in) {
  const Scalable what = scalable(in);
  const Home home = home_of(ctx);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<DeregisterScalableTargetResponse> {
    WriteStore store(tx, home);
    const auto target = co_await store.find_target(what);
    if (!target) co_return not_there("scalable target found", what);
    for (const auto& [position, action] : co_await store.actions_of(what)) {
      store.erase(action);
      co_await disarm(tx, home, action);
    }
    for (const auto& [position, policy] : co_await store.policies_of(what)) {
      store.erase(policy);
      co_await unwatch(tx, home, policy);
    }
    store.erase(*target);
    co_return DeregisterScalableTargetResponse{};
  });
}

Task<DescribeScalingActivitiesResponse> ApplicationAutoscalingService::describe_scaling_activities(
    Ctx& ctx, const DescribeScalingActivitiesRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, home_of(ctx));
  const std::string space(to_string(in.service_namespace));
  const Time oldest = ctx.now() - kActivityLife;
  DescribeScalingActivitiesResponse out;
  auto& all = out.scaling_activities.emplace();
  co_await list_page(
      deps_.tokens, ctx, "aas:activities", kListPage, in, out,
      [&](std::string after, size_t limit) { return store.list_activities(space, std::move(after), limit); },
      [&](const ActivityRecord& a) {
        return a.start >= oldest && (!in.resource_id || a.what.resource == *in.resource_id);
      },
      [&](const ActivityRecord& activity) {
        ScalingActivity& one = all.emplace_back();
        one.activity_id = activity.id;
        name_in(one, activity.what);
        from_string(activity.what.dimension, one.scalable_dimension);
        one.description = activity.description;
        one.cause = activity.cause;
        one.start_time = activity.start;
        one.end_time = activity.end;
        from_string(activity.status, one.status_code);
        one.status_message = activity.message;
      });
  co_return out;
}

Task<TagResourceResponse> ApplicationAutoscalingService::tag_resource(Ctx& ctx, const TagResourceRequest& in) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<TagResourceResponse> {
    WriteStore store(tx, home_of(ctx));
    auto target = co_await store.find_target_by_id(id_of(ctx, in.resource_arn));
    if (!target) co_return no_resource(in.resource_arn);
    for (const auto& [key, value] : in.tags) target->tags[key] = value;
    if (target->tags.size() > kMostTags) {
      co_return err::TooManyTagsException(cat("A scalable target has at most ", kMostTags, " tags."),
                                          Json::object({{"ResourceName", in.resource_arn}}));
    }
    store.put(*target);
    co_return TagResourceResponse{};
  });
}

Task<UntagResourceResponse> ApplicationAutoscalingService::untag_resource(Ctx& ctx, const UntagResourceRequest& in) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<UntagResourceResponse> {
    WriteStore store(tx, home_of(ctx));
    auto target = co_await store.find_target_by_id(id_of(ctx, in.resource_arn));
    if (!target) co_return no_resource(in.resource_arn);
    for (const std::string& key : in.tag_keys) target->tags.erase(key);
    store.put(*target);
    co_return UntagResourceResponse{};
  });
}

Task<ListTagsForResourceResponse> ApplicationAutoscalingService::list_tags_for_resource(
    Ctx& ctx, const ListTagsForResourceRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  auto target = co_await Store(*snapshot, home_of(ctx)).find_target_by_id(id_of(ctx, in.resource_arn));
  if (!target) co_return no_resource(in.resource_arn);
  ListTagsForResourceResponse out;
  out.tags = std::move(target->tags);
  co_return out;
}

}  // namespace virga::applicationautoscaling
