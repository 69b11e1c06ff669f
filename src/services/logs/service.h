#pragma once

#include <aws/logs/ops.h>
#include <aws/logs/types.h>

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "kernel/cloud.h"
#include "kernel/context.h"
#include "kernel/deps.h"
#include "kernel/service.h"
#include "kernel/timers.h"
#include "services/logs/store.h"

namespace virga::logs {

using kernel::Ctx;

class LogsService final : public kernel::Service {
 public:
  explicit LogsService(kernel::Deps& deps);
  const wire::ServiceModel& model() const override;
  void operations(kernel::OpTable& table) override;

 private:
  // ops_group.cc
  Task<op::CreateLogGroup::Output> create_log_group(Ctx& ctx, const CreateLogGroupRequest& in);
  Task<op::DeleteLogGroup::Output> delete_log_group(Ctx& ctx, const DeleteLogGroupRequest& in);
  Task<DescribeLogGroupsResponse> describe_log_groups(Ctx& ctx, const DescribeLogGroupsRequest& in);
  Task<op::PutRetentionPolicy::Output> put_retention_policy(Ctx& ctx, const PutRetentionPolicyRequest& in);
  Task<op::DeleteRetentionPolicy::Output> delete_retention_policy(Ctx& ctx, const DeleteRetentionPolicyRequest& in);
  Task<op::TagResource::Output> tag_resource(Ctx& ctx, const TagResourceRequest& in);
  Task<op::UntagResource::Output> untag_resource(Ctx& ctx, const UntagResourceRequest& in);
  Task<ListTagsForResourceResponse> list_tags_for_resource(Ctx& ctx, const ListTagsForResourceRequest& in);
  Task<op::TagLogGroup::Output> tag_log_group(Ctx& ctx, const TagLogGroupRequest& in);
  Task<op::UntagLogGroup::Output> untag_log_group(Ctx& ctx, const UntagLogGroupRequest& in);
  Task<ListTagsLogGroupResponse> list_tags_log_group(Ctx& ctx, const ListTagsLogGroupRequest& in);
  Task<void> change_tags(Ctx& ctx, std::string group, std::map<std::string, std::string> set,
                         std::vector<std::string> removed);

  Task<int64_t> stored_bytes(Ctx& ctx, const Store& store, const Group& group);

  // ops_stream.cc
  Task<op::CreateLogStream::Output> create_log_stream(Ctx& ctx, const CreateLogStreamRequest& in);
  Task<op::DeleteLogStream::Output> delete_log_stream(Ctx& ctx, const DeleteLogStreamRequest& in);
  Task<DescribeLogStreamsResponse> describe_log_streams(Ctx& ctx, const DescribeLogStreamsRequest& in);

  // ops_event.cc
  Task<PutLogEventsResponse> put_log_events(Ctx& ctx, const PutLogEventsRequest& in);
  Task<GetLogEventsResponse> get_log_events(Ctx& ctx, const GetLogEventsRequest& in);
  Task<FilterLogEventsResponse> filter_log_events(Ctx& ctx, const FilterLogEventsRequest& in);

  // ops_subscription.cc
  Task<op::PutSubscriptionFilter::Output> put_subscription_filter(Ctx& ctx, const PutSubscriptionFilterRequest& in);
  Task<op::DeleteSubscriptionFilter::Output> delete_subscription_filter(Ctx& ctx,
                                                                        const DeleteSubscriptionFilterRequest& in);
  Task<DescribeSubscriptionFiltersResponse> describe_subscription_filters(Ctx& ctx,
                                                                          const DescribeSubscriptionFiltersRequest& in);
  // Part of the transaction that takes the events.
  void send_to_subscribers(kv::Txn& tx, const Ctx& ctx, const Group& group, const std::string& stream,
                           const std::vector<const InputLogEvent*>& events);

  // ops_policy.cc
  Task<std::optional<std::string>> resource_policy(Ctx& ctx, std::string resource) override;
  Task<PutResourcePolicyResponse> put_resource_policy(Ctx& ctx, const PutResourcePolicyRequest& in);
  Task<DescribeResourcePoliciesResponse> describe_resource_policies(Ctx& ctx,
                                                                    const DescribeResourcePoliciesRequest& in);
  Task<op::DeleteResourcePolicy::Output> delete_resource_policy(Ctx& ctx, const DeleteResourcePolicyRequest& in);

  // deliver.cc
  Task<std::string> take(Ctx& ctx, const kernel::Arn& target, kernel::TargetInput input);

  // loops.cc
  Task<void> expire(kernel::Timer timer);

  kernel::Deps& deps_;
  // Of groups with many streams, by ARN and creation: their bytes and when those were counted.
  std::mutex counted_mutex_;
  std::map<std::string, std::pair<Time, int64_t>> counted_;
};

std::string group_arn(const Ctx& ctx, std::string_view group);
// The group that an operation names by its name or its ARN; throws InvalidParameterException when it names none or
// both.
std::string group_named(const std::optional<std::string>& name, const std::optional<std::string>& identifier);
Error no_group();
Error no_stream();
Error bad_token();

}  // namespace virga::logs
