#pragma once

#include <aws/application-autoscaling/ops.h>
#include <aws/application-autoscaling/types.h>

#include "kernel/context.h"
#include "kernel/delivery.h"
#include "kernel/deps.h"
#include "kernel/service.h"
#include "kernel/time_zone.h"
#include "kernel/timers.h"
#include "services/application-autoscaling/api.h"
#include "services/application-autoscaling/store.h"

namespace virga::applicationautoscaling {

using kernel::Ctx;

class ApplicationAutoscalingService final : public kernel::Service {
 public:
  ApplicationAutoscalingService(kernel::Deps& deps, ProvisionedUse use);
  const wire::ServiceModel& model() const override;
  void operations(kernel::OpTable& table) override;

 private:
  // ops_target.cc
  Task<RegisterScalableTargetResponse> register_scalable_target(Ctx& ctx, const RegisterScalableTargetRequest& in);
  Task<DescribeScalableTargetsResponse> describe_scalable_targets(Ctx& ctx, const DescribeScalableTargetsRequest& in);
  Task<DeregisterScalableTargetResponse> deregister_scalable_target(Ctx& ctx,
                                                                    const DeregisterScalableTargetRequest& in);
  Task<DescribeScalingActivitiesResponse> describe_scaling_activities(Ctx& ctx,
                                                                      const DescribeScalingActivitiesRequest& in);
  Task<TagResourceResponse> tag_resource(Ctx& ctx, const TagResourceRequest& in);
  Task<UntagResourceResponse> untag_resource(Ctx& ctx, const UntagResourceRequest& in);
  Task<ListTagsForResourceResponse> list_tags_for_resource(Ctx& ctx, const ListTagsForResourceRequest& in);

  // ops_action.cc
  Task<PutScheduledActionResponse> put_scheduled_action(Ctx& ctx, const PutScheduledActionRequest& in);
  Task<DescribeScheduledActionsResponse> describe_scheduled_actions(Ctx& ctx,
                                                                    const DescribeScheduledActionsRequest& in);
  Task<DeleteScheduledActionResponse> delete_scheduled_action(Ctx& ctx, const DeleteScheduledActionRequest& in);

  // ops_policy.cc
  Task<PutScalingPolicyResponse> put_scaling_policy(Ctx& ctx, const PutScalingPolicyRequest& in);
  Task<DescribeScalingPoliciesResponse> describe_scaling_policies(Ctx& ctx, const DescribeScalingPoliciesRequest& in);
  Task<DeleteScalingPolicyResponse> delete_scaling_policy(Ctx& ctx, const DeleteScalingPolicyRequest& in);

  // scale.cc
  // Keeps the action, and when it runs next.
  Task<void> arm(kv::Txn& tx, const Home& home, ActionRecord action, Time after);
  Task<void> disarm(kv::Txn& tx, const Home& home, const ActionRecord& action);
  Task<void> run_action(kernel::Timer timer);
  Task<void> watch(kv::Txn& tx, const Home& home, const PolicyRecord& policy, Time next);
  Task<void> unwatch(kv::Txn& tx, const Home& home, const PolicyRecord& policy);
  Task<void> look(kernel::Timer timer);
  // Brings the capacity within its bounds, or to `wanted`, once the transaction is committed.
  void scale(kv::Txn& tx, const Home& home, const Scalable& what, std::optional<int32_t> wanted, std::string cause);
  Task<kernel::Verdict> run_scaling(kernel::Attempt attempt);

  kernel::Deps& deps_;
  const ProvisionedUse use_;
  kernel::TimeZones zones_;
};

// What the ARNs of a target's actions and policies have in common.
std::string id_in_arns(const TargetRecord& target);
std::string target_arn(const Home& home, const std::string& id);
std::string action_arn(const Home& home, const ActionRecord& action);
std::string policy_arn(const Home& home, const PolicyRecord& policy);

// "No scalable target registered for service namespace: …"
Error not_there(std::string_view what, const Scalable& of, std::string_view name = {});
Error bounds_crossed(int32_t min, int32_t max);
Error bad_token();

}  // namespace virga::applicationautoscaling
