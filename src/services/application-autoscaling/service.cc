#include "services/application-autoscaling/service.h"

#include <aws/application-autoscaling/errors.h>
#include <aws/application-autoscaling/model.h>

#include "base/str.h"
#include "services/application-autoscaling/request.h"

namespace virga::applicationautoscaling {

std::string id_in_arns(const TargetRecord& target) {
  std::string id = target.id.substr(target.id.size() - 32);
  for (const size_t dash : {20, 16, 12, 8}) id.insert(dash, 1, '-');
  return id;
}
std::string target_arn(const Home& home, const std::string& id) {
  return cat("arn:aws:application-autoscaling:", home.region, ":", home.account, ":scalable-target/", id);
}
std::string action_arn(const Home& home, const ActionRecord& action) {
  return cat("arn:aws:autoscaling:", home.region, ":", home.account, ":scheduledAction:", action.id, ":resource/",
             action.what.space, "/", action.what.resource, ":scheduledActionName/", action.name);
}
std::string policy_arn(const Home& home, const PolicyRecord& policy) {
  return cat("arn:aws:autoscaling:", home.region, ":", home.account, ":scalingPolicy:", policy.id, ":resource/",
             policy.what.space, "/", policy.what.resource, ":policyName/", policy.name);
}

Error not_there(std::string_view what, const Scalable& of, std::string_view name) {
  return err::ObjectNotFoundException(cat("No ", what, " for service namespace: ", of.space, ", resource ID: ",
                                          of.resource, ", scalable dimension: ", of.dimension, name));
}
Error bounds_crossed(int32_t min, int32_t max) {
  return err::ValidationException(cat("Maximum capacity cannot be less than minimum capacity: ", max, " < ", min));
}
Error bad_token() { return err::InvalidNextTokenException("Invalid next token."); }

ApplicationAutoscalingService::ApplicationAutoscalingService(kernel::Deps& deps, ProvisionedUse use)
    : deps_(deps), use_(std::move(use)) {
  deps_.timers.on("aas.action", [this](kernel::Timer timer) { return run_action(std::move(timer)); }, kernel::Due::kAt);
  deps_.timers.on("aas.policy", [this](kernel::Timer timer) { return look(std::move(timer)); });
  deps_.deliveries.on("aas.scale", [this](kernel::Attempt attempt) { return run_scaling(std::move(attempt)); });
}

const wire::ServiceModel& ApplicationAutoscalingService::model() const { return kModel; }

void ApplicationAutoscalingService::operations(kernel::OpTable& t) {
  using S = ApplicationAutoscalingService;
  const auto by_arn = [](const Ctx&, const auto& in) { return in.resource_arn; };
  t.add<op::RegisterScalableTarget>(this, &S::register_scalable_target);
  t.add<op::DescribeScalableTargets>(this, &S::describe_scalable_targets);
  t.add<op::DeregisterScalableTarget>(this, &S::deregister_scalable_target);
  t.add<op::DescribeScalingActivities>(this, &S::describe_scaling_activities);
  t.add<op::TagResource>(this, &S::tag_resource).resource(by_arn);
  t.add<op::UntagResource>(this, &S::untag_resource).resource(by_arn);
  t.add<op::ListTagsForResource>(this, &S::list_tags_for_resource).resource(by_arn);
  t.add<op::PutScheduledAction>(this, &S::put_scheduled_action);
  t.add<op::DescribeScheduledActions>(this, &S::describe_scheduled_actions);
  t.add<op::DeleteScheduledAction>(this, &S::delete_scheduled_action);
  t.add<op::PutScalingPolicy>(this, &S::put_scaling_policy);
  t.add<op::DescribeScalingPolicies>(this, &S::describe_scaling_policies);
  t.add<op::DeleteScalingPolicy>(this, &S::delete_scaling_policy);
}

std::unique_ptr<kernel::Service> make_applicationautoscaling(kernel::Deps& deps, ProvisionedUse use) {
  return std::make_unique<ApplicationAutoscalingService>(deps, std::move(use));
}

}  // namespace virga::applicationautoscaling
