#include "base/str.h"
#include "services/application-autoscaling/request.h"

namespace virga::applicationautoscaling {
namespace {

Tracking rule_of(const PutScalingPolicyRequest& in) {
  const PolicyType type = in.policy_type.value_or(PolicyType::StepScaling);
  if (type != PolicyType::TargetTrackingScaling) {
    throw err::ValidationException(cat("Policies of the type ", to_string(type), " are not served by Virga."));
  }
  if (!in.target_tracking_scaling_policy_configuration) {
    throw err::ValidationException("TargetTrackingScalingPolicyConfiguration is required for target tracking.");
  }
  const auto& config = *in.target_tracking_scaling_policy_configuration;
  if (config.customized_metric_specification) {
    throw err::ValidationException("CustomizedMetricSpecification is not served by Virga.");
  }
  if (!config.predefined_metric_specification) {
    throw err::ValidationException("A target tracking policy must have a metric specification.");
  }
  const MetricType metric = config.predefined_metric_specification->predefined_metric_type;
  if (metric != MetricType::LambdaProvisionedConcurrencyUtilization) {
    throw err::ValidationException(cat("The metric ", to_string(metric), " is not served by Virga."));
  }
  if (in.service_namespace != ServiceNamespace::lambda) {
    throw err::ValidationException(
        cat("The metric ", to_string(metric), " is not of the namespace ", to_string(in.service_namespace), "."));
  }
  if (!(config.target_value > 0 && config.target_value <= 1)) {
    throw err::ValidationException("TargetValue must be above 0 and at most 1 for this metric.");
  }
  if (config.scale_in_cooldown.value_or(0) < 0 || config.scale_out_cooldown.value_or(0) < 0) {
    throw err::ValidationException("A cooldown can't be negative.");
  }
  return {config.target_value, config.scale_out_cooldown, config.scale_in_cooldown, config.disable_scale_in};
}

}  // namespace

Task<PutScalingPolicyResponse> ApplicationAutoscalingService::put_scaling_policy(Ctx& ctx,
                                                                                 const PutScalingPolicyRequest& in) {
  const Scalable what = scalable(in);
  const Tracking rule = rule_of(in);
  const Home home = home_of(ctx);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<PutScalingPolicyResponse> {
    WriteStore store(tx, home);
    const auto target = co_await store.find_target(what);
    if (!target) co_return not_there("scalable target registered", what);
    auto policy = co_await store.find_policy(what, in.policy_name);
    if (!policy) {
      const auto others = co_await store.policies_of(what);
      if (others.size() >= kMostPolicies) {
        co_return err::LimitExceededException(cat("A scalable target has at most ", kMostPolicies, " policies."));
      }
      if (!others.empty()) {
        co_return err::ValidationException(
            "Only one TargetTrackingScaling policy for a given metric specification is allowed.");
      }
      policy.emplace().what = what;
      policy->name = in.policy_name;
      policy->id = id_in_arns(*target);
      policy->created = ctx.now();
    }
    policy->rule = rule;
    store.put(*policy);
    co_await watch(tx, home, *policy, ctx.now());
    PutScalingPolicyResponse out;
    out.policy_arn = policy_arn(home, *policy);
    out.alarms.emplace();
    co_return out;
  });
}

Task<DescribeScalingPoliciesResponse> ApplicationAutoscalingService::describe_scaling_policies(
    Ctx& ctx, const DescribeScalingPoliciesRequest& in) {
  const Home home = home_of(ctx);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, home);
  const std::string space(to_string(in.service_namespace));
  DescribeScalingPoliciesResponse out;
  auto& all = out.scaling_policies.emplace();
  co_await list_page(
      deps_.tokens, ctx, "aas:policies", kPoliciesPage, in, out,
      [&](std::string after, size_t limit) { return store.list_policies(space, std::move(after), limit); },
      [&](const PolicyRecord& policy) {
        return (!in.resource_id || policy.what.resource == *in.resource_id) &&
               (!in.policy_names || contains(*in.policy_names, policy.name));
      },
      [&](const PolicyRecord& policy) {
        ScalingPolicy& one = all.emplace_back();
        one.policy_arn = policy_arn(home, policy);
        one.policy_name = policy.name;
        name_in(one, policy.what);
        from_string(policy.what.dimension, one.scalable_dimension);
        one.policy_type = PolicyType::TargetTrackingScaling;
        auto& config = one.target_tracking_scaling_policy_configuration.emplace();
        config.target_value = policy.rule.target;
        config.predefined_metric_specification.emplace().predefined_metric_type =
            MetricType::LambdaProvisionedConcurrencyUtilization;
        config.scale_out_cooldown = policy.rule.out_cooldown;
        config.scale_in_cooldown = policy.rule.in_cooldown;
        config.disable_scale_in = policy.rule.only_out;
        one.alarms.emplace();
        one.creation_time = policy.created;
      });
  co_return out;
}

Task<DeleteScalingPolicyResponse> ApplicationAutoscalingService::delete_scaling_policy(
    Ctx& ctx, const DeleteScalingPolicyRequest& in) {
  const Scalable what = scalable(in);
  const Home home = home_of(ctx);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<DeleteScalingPolicyResponse> {
    WriteStore store(tx, home);
    const auto policy = co_await store.find_policy(what, in.policy_name);
    if (!policy) co_return not_there("scaling policy found", what, cat(", policy name: ", in.policy_name));
    store.erase(*policy);
    co_await unwatch(tx, home, *policy);
    co_return DeleteScalingPolicyResponse{};
  });
}

}  // namespace virga::applicationautoscaling
