#include "services/logs/service.h"

#include <aws/logs/errors.h>
#include <aws/logs/model.h>

#include "base/str.h"
#include "services/logs/api.h"

namespace virga::logs {

std::string group_arn(const Ctx& ctx, std::string_view group) {
  return kernel::arn(ctx, "logs", cat("log-group:", group));
}

std::string group_named(const std::optional<std::string>& name, const std::optional<std::string>& identifier) {
  if (name.has_value() == identifier.has_value()) {
    throw err::InvalidParameterException("Exactly one of logGroupName and logGroupIdentifier must be given.");
  }
  if (name) return *name;
  const auto arn = kernel::parse_arn(*identifier);
  if (!arn) return *identifier;
  std::string_view group = arn->resource;
  if (!group.starts_with("log-group:"))
    throw err::InvalidParameterException(cat("Not a log group's ARN: ", *identifier));
  group.remove_prefix(10);
  if (group.ends_with(":*")) group.remove_suffix(2);
  return std::string(group);
}

Error no_group() { return err::ResourceNotFoundException("The specified log group does not exist."); }
Error no_stream() { return err::ResourceNotFoundException("The specified log stream does not exist."); }

Error bad_token() { return err::InvalidParameterException("The specified nextToken is invalid."); }

namespace {

// Resources as the IAM reference of CloudWatch Logs lists them: groups end with ":*", streams with their name.
std::string group_resource(const Ctx& ctx, std::string_view group) { return cat(group_arn(ctx, group), ":*"); }
std::string stream_resource(const Ctx& ctx, std::string_view group, std::string_view stream) {
  return cat(group_arn(ctx, group), ":log-stream:", stream);
}

template <class In>
std::string by_group(const Ctx& ctx, const In& in) {
  return group_resource(ctx, in.log_group_name);
}
template <class In>
std::string by_stream(const Ctx& ctx, const In& in) {
  return stream_resource(ctx, in.log_group_name, in.log_stream_name);
}
template <class In>
std::string by_named_group(const Ctx& ctx, const In& in) {
  return group_resource(ctx, group_named(in.log_group_name, in.log_group_identifier));
}
template <class In>
std::string by_arn(const Ctx&, const In& in) {
  return in.resource_arn;
}

}  // namespace

LogsService::LogsService(kernel::Deps& deps) : deps_(deps) {
  deps_.cloud.accept("logs", [this](Ctx& ctx, const kernel::Arn& target, kernel::TargetInput input) {
    return take(ctx, target, std::move(input));
  });
  deps_.timers.on("logs.retention", [this](kernel::Timer timer) { return expire(std::move(timer)); });
}

const wire::ServiceModel& LogsService::model() const { return kModel; }

void LogsService::operations(kernel::OpTable& t) {
  t.add<op::CreateLogGroup>(this, &LogsService::create_log_group).resource(by_group<CreateLogGroupRequest>);
  t.add<op::DeleteLogGroup>(this, &LogsService::delete_log_group).resource(by_group<DeleteLogGroupRequest>);
  t.add<op::DescribeLogGroups>(this, &LogsService::describe_log_groups);
  t.add<op::PutRetentionPolicy>(this, &LogsService::put_retention_policy).resource(by_group<PutRetentionPolicyRequest>);
  t.add<op::DeleteRetentionPolicy>(this, &LogsService::delete_retention_policy)
      .resource(by_group<DeleteRetentionPolicyRequest>);
  t.add<op::TagResource>(this, &LogsService::tag_resource).resource(by_arn<TagResourceRequest>);
  t.add<op::UntagResource>(this, &LogsService::untag_resource).resource(by_arn<UntagResourceRequest>);
  t.add<op::ListTagsForResource>(this, &LogsService::list_tags_for_resource)
      .resource(by_arn<ListTagsForResourceRequest>);
  t.add<op::TagLogGroup>(this, &LogsService::tag_log_group).resource(by_group<TagLogGroupRequest>);
  t.add<op::UntagLogGroup>(this, &LogsService::untag_log_group).resource(by_group<UntagLogGroupRequest>);
  t.add<op::ListTagsLogGroup>(this, &LogsService::list_tags_log_group).resource(by_group<ListTagsLogGroupRequest>);
  t.add<op::PutSubscriptionFilter>(this, &LogsService::put_subscription_filter)
      .resource(by_group<PutSubscriptionFilterRequest>);
  t.add<op::DeleteSubscriptionFilter>(this, &LogsService::delete_subscription_filter)
      .resource(by_group<DeleteSubscriptionFilterRequest>);
  t.add<op::DescribeSubscriptionFilters>(this, &LogsService::describe_subscription_filters)
      .resource(by_group<DescribeSubscriptionFiltersRequest>);
  t.add<op::PutResourcePolicy>(this, &LogsService::put_resource_policy);
  t.add<op::DescribeResourcePolicies>(this, &LogsService::describe_resource_policies);
  t.add<op::DeleteResourcePolicy>(this, &LogsService::delete_resource_policy);
  t.add<op::CreateLogStream>(this, &LogsService::create_log_stream)
      .resource(by_stream<CreateLogStreamRequest>)
      .guarded()
      .data_plane();
  t.add<op::DeleteLogStream>(this, &LogsService::delete_log_stream).resource(by_stream<DeleteLogStreamRequest>);
  t.add<op::DescribeLogStreams>(this, &LogsService::describe_log_streams)
      .resource(by_named_group<DescribeLogStreamsRequest>);
  t.add<op::PutLogEvents>(this, &LogsService::put_log_events)
      .resource(by_stream<PutLogEventsRequest>)
      .guarded()
      .data_plane();
  t.add<op::GetLogEvents>(this, &LogsService::get_log_events)
      .resource([](const Ctx& ctx, const GetLogEventsRequest& in) {
        return stream_resource(ctx, group_named(in.log_group_name, in.log_group_identifier), in.log_stream_name);
      })
      .data_plane();
  t.add<op::FilterLogEvents>(this, &LogsService::filter_log_events)
      .resource(by_named_group<FilterLogEventsRequest>)
      .data_plane();
}

std::unique_ptr<kernel::Service> make_logs(kernel::Deps& deps) { return std::make_unique<LogsService>(deps); }

}  // namespace virga::logs
