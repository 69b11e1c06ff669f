#include <aws/logs/errors.h>

#include <algorithm>
#include <array>

#include "base/str.h"
#include "kernel/page.h"
#include "services/logs/limits.h"
#include "services/logs/service.h"

namespace virga::logs {
namespace {

// The values PutRetentionPolicy takes.
constexpr std::array<int32_t, 22> kRetentions = {1,   3,   5,   7,   14,   30,   60,   90,   120,  150,  180,
                                                 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653};
constexpr auto kFirstExpiry = std::chrono::hours(1);

std::string group_of_tag_arn(const std::string& arn) { return group_named(std::nullopt, arn); }

LogGroup describe(const Ctx& ctx, const Group& group) {
  LogGroup out;
  out.log_group_name = group.name;
  out.creation_time = group.created.millis();
  out.retention_in_days = group.retention_days;
  out.metric_filter_count = 0;
  out.arn = cat(group_arn(ctx, group.name), ":*");
  out.log_group_arn = group_arn(ctx, group.name);
  out.log_group_class = LogGroupClass::STANDARD;
  return out;
}

}  // namespace

Task<op::CreateLogGroup::Output> LogsService::create_log_group(Ctx& ctx, const CreateLogGroupRequest& in) {
  if (in.kms_key_id)
    co_return err::InvalidParameterException("kmsKeyId is not served: log groups are not encrypted with KMS keys.");
  if (in.log_group_class && *in.log_group_class != LogGroupClass::STANDARD) {
    co_return err::InvalidParameterException("Only the log group class STANDARD is served.");
  }
  if (in.deletion_protection_enabled.value_or(false)) {
    co_return err::InvalidParameterException("deletionProtectionEnabled is not served by Virga.");
  }
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::CreateLogGroup::Output> {
    WriteStore store(tx, home_of(ctx));
    if (co_await store.find_group(in.log_group_name)) {
      co_return err::ResourceAlreadyExistsException("The specified log group already exists");
    }
    Group group;
    group.name = in.log_group_name;
    group.created = ctx.now();
    if (in.tags) group.tags = *in.tags;
    store.put_group(group);
    co_return op::CreateLogGroup::Output{};
  });
}

Task<op::DeleteLogGroup::Output> LogsService::delete_log_group(Ctx& ctx, const DeleteLogGroupRequest& in) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::DeleteLogGroup::Output> {
    WriteStore store(tx, home_of(ctx));
    if (!co_await store.find_group(in.log_group_name)) co_return no_group();
    store.erase_group(in.log_group_name);
    co_await deps_.timers.clear(tx, "logs.retention", group_arn(ctx, in.log_group_name));
    co_return op::DeleteLogGroup::Output{};
  });
}

// A group's row can't have the sum: all who write to its streams would meet there.
Task<int64_t> LogsService::stored_bytes(Ctx& ctx, const Store& store, const Group& group) {
  const std::string key = cat(group_arn(ctx, group.name), " ", group.created.micros);
  {
    const std::lock_guard lock(counted_mutex_);
    std::erase_if(counted_, [&](const auto& entry) { return entry.second.first + kCountedFor <= ctx.now(); });
    if (const auto known = counted_.find(key); known != counted_.end()) co_return known->second.second;
  }
  const Store::Sum sum = co_await store.sum_bytes(group.name);
  if (sum.streams > kManyStreams) {
    const std::lock_guard lock(counted_mutex_);
    counted_[key] = {ctx.now(), sum.bytes};
  }
  co_return sum.bytes;
}

Task<DescribeLogGroupsResponse> LogsService::describe_log_groups(Ctx& ctx, const DescribeLogGroupsRequest& in) {
  if (in.log_group_name_prefix && in.log_group_name_pattern) {
    co_return err::InvalidParameterException(
        "logGroupNamePrefix and logGroupNamePattern are mutually exclusive parameters.");
  }
  std::string after =
      kernel::open_page<std::string>(deps_.tokens, ctx, "logs:DescribeLogGroups", in.next_token, bad_token())
          .value_or("");
  const size_t limit = in.limit ? static_cast<size_t>(*in.limit) : kDefaultList;
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, home_of(ctx));
  DescribeLogGroupsResponse out;
  out.log_groups.emplace();
  while (true) {
    const auto page = co_await store.list_groups(in.log_group_name_prefix.value_or(""), after, limit + 1);
    for (const Group& group : page) {
      if (out.log_groups->size() == limit) {
        out.next_token = kernel::seal_page(deps_.tokens, ctx, "logs:DescribeLogGroups", after);
        co_return out;
      }
      after = group.name;
      if (!in.log_group_name_pattern ||
          lower(group.name).find(lower(*in.log_group_name_pattern)) != std::string::npos) {
        out.log_groups->push_back(describe(ctx, group));
        out.log_groups->back().stored_bytes = co_await stored_bytes(ctx, store, group);
      }
    }
    if (page.size() <= limit) co_return out;
  }
}

Task<op::PutRetentionPolicy::Output> LogsService::put_retention_policy(Ctx& ctx, const PutRetentionPolicyRequest& in) {
  if (std::ranges::find(kRetentions, in.retention_in_days) == kRetentions.end()) {
    co_return err::InvalidParameterException("Invalid retentionInDays value: it is not one of the periods offered.");
  }
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::PutRetentionPolicy::Output> {
    WriteStore store(tx, home_of(ctx));
    auto group = co_await store.find_group(in.log_group_name);
    if (!group) co_return no_group();
    group->retention_days = in.retention_in_days;
    store.put_group(*group);
    const std::string id = group_arn(ctx, in.log_group_name);
    co_await deps_.timers.set(tx, {"logs.retention", id, ctx.now() + kFirstExpiry, in.log_group_name});
    co_return op::PutRetentionPolicy::Output{};
  });
}

Task<op::DeleteRetentionPolicy::Output> LogsService::delete_retention_policy(Ctx& ctx,
                                                                             const DeleteRetentionPolicyRequest& in) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::DeleteRetentionPolicy::Output> {
    WriteStore store(tx, home_of(ctx));
    auto group = co_await store.find_group(in.log_group_name);
    if (!group) co_return no_group();
    group->retention_days.reset();
    store.put_group(*group);
    co_await deps_.timers.clear(tx, "logs.retention", group_arn(ctx, in.log_group_name));
    co_return op::DeleteRetentionPolicy::Output{};
  });
}

Task<void> LogsService::change_tags(Ctx& ctx, std::string group, std::map<std::string, std::string> set,
                                    std::vector<std::string> removed) {
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, home_of(ctx));
    auto record = co_await store.find_group(group);
    if (!record) co_await fail(no_group());
    for (const auto& [key, value] : set) record->tags[key] = value;
    for (const std::string& key : removed) record->tags.erase(key);
    if (record->tags.size() > kMaxTags)
      co_await fail(err::TooManyTagsException(cat("A log group has at most ", kMaxTags, " tags.")));
    store.put_group(*record);
  });
}

Task<op::TagResource::Output> LogsService::tag_resource(Ctx& ctx, const TagResourceRequest& in) {
  co_await change_tags(ctx, group_of_tag_arn(in.resource_arn), in.tags, {});
  co_return op::TagResource::Output{};
}

Task<op::UntagResource::Output> LogsService::untag_resource(Ctx& ctx, const UntagResourceRequest& in) {
  co_await change_tags(ctx, group_of_tag_arn(in.resource_arn), {}, in.tag_keys);
  co_return op::UntagResource::Output{};
}

Task<ListTagsForResourceResponse> LogsService::list_tags_for_resource(Ctx& ctx, const ListTagsForResourceRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const auto group = co_await Store(*snapshot, home_of(ctx)).find_group(group_of_tag_arn(in.resource_arn));
  if (!group) co_return no_group();
  ListTagsForResourceResponse out;
  out.tags = group->tags;
  co_return out;
}

Task<op::TagLogGroup::Output> LogsService::tag_log_group(Ctx& ctx, const TagLogGroupRequest& in) {
  co_await change_tags(ctx, in.log_group_name, in.tags, {});
  co_return op::TagLogGroup::Output{};
}

Task<op::UntagLogGroup::Output> LogsService::untag_log_group(Ctx& ctx, const UntagLogGroupRequest& in) {
  co_await change_tags(ctx, in.log_group_name, {}, in.tags);
  co_return op::UntagLogGroup::Output{};
}

Task<ListTagsLogGroupResponse> LogsService::list_tags_log_group(Ctx& ctx, const ListTagsLogGroupRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const auto group = co_await Store(*snapshot, home_of(ctx)).find_group(in.log_group_name);
  if (!group) co_return no_group();
  ListTagsLogGroupResponse out;
  out.tags = group->tags;
  co_return out;
}

}  // namespace virga::logs
