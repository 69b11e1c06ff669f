#include <aws/sns/errors.h>

#include <algorithm>
#include <set>

#include "base/json.h"
#include "base/str.h"
#include "kernel/page.h"
#include "kernel/tokens.h"
#include "services/sns/limits.h"
#include "services/sns/service.h"

namespace virga::sns {
namespace {

// Of an attribute that has a default: whether what is asked for is what is there.
bool same_attribute(const TopicRecord& there, const std::string& name, const std::string& wanted) {
  const auto found = there.attributes.find(name);
  return found != there.attributes.end() && found->second == wanted;
}

TopicId tagged(const Ctx& ctx, const std::string& arn) { return topic_id(ctx, arn, "ResourceArn"); }

Error no_resource() { return err::ResourceNotFoundException("Resource does not exist"); }

// The actions that a topic's policy can be about.
bool is_topic_action(const std::string& action) {
  static const std::set<std::string, std::less<>> kActions = {
      "Publish",     "SetTopicAttributes", "GetTopicAttributes",       "AddPermission", "RemovePermission",
      "DeleteTopic", "Subscribe",          "ListSubscriptionsByTopic", "Receive"};
  return kActions.contains(action);
}

}  // namespace

template <class F>
Task<void> SnsService::edit_topic(TopicId id, F change) {
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx);
    auto topic = co_await store.find_topic(id);
    if (!topic) co_await fail(no_topic());
    const bool had_archive = topic->archive_began.micros != 0;
    change(*topic);
    store.put_topic(id, *topic);
    if (!had_archive && topic->archive_began.micros != 0)
      co_await deps_.timers.set(tx, {"sns.archive", id.arn(), deps_.clock.now() + std::chrono::hours(1), ""});
  });
}

Task<CreateTopicResponse> SnsService::create_topic(Ctx& ctx, const CreateTopicInput& in) {
  const TopicId id{ctx.account, ctx.region, in.name};
  const Attributes given = in.attributes.value_or(Attributes{});
  const Attributes tags = tags_of(in.tags);
  const auto fifo = given.find("FifoTopic");
  check_topic_name(in.name, fifo != given.end() && equals_ignoring_case(fifo->second, "true"));
  TopicRecord topic;
  topic.name = in.name;
  topic.created = ctx.now();
  topic.tags = tags;
  topic.data_protection = in.data_protection_policy.value_or("");
  set_first_attributes(topic, id, given, ctx.now());

  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx);
    const auto there = co_await store.find_topic(id);
    if (!there) {
      store.put_topic(id, topic);
      if (topic.archive_began.micros != 0)
        co_await deps_.timers.set(tx, {"sns.archive", id.arn(), ctx.now() + std::chrono::hours(1), ""});
      co_return;
    }
    for (const auto& [name, value] : given) {
      if (name == "FifoTopic" && equals_ignoring_case(value, "false")) continue;
      const auto kept = topic.attributes.find(name);
      const std::string wanted = kept == topic.attributes.end() ? "" : kept->second;
      if (!same_attribute(*there, name, wanted) && !(wanted.empty() && !there->attributes.contains(name)))
        co_await fail(invalid("Attributes", "Topic already exists with different attributes"));
    }
    for (const auto& [key, value] : tags) {
      const auto has = there->tags.find(key);
      if (has == there->tags.end() || has->second != value)
        co_await fail(invalid("Tags", "Topic already exists with different tags"));
    }
  });
  co_return CreateTopicResponse{.topic_arn = id.arn()};
}

Task<op::DeleteTopic::Output> SnsService::delete_topic(Ctx& ctx, const DeleteTopicInput& in) {
  const TopicId id = topic_id(ctx, in.topic_arn);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::DeleteTopic::Output> {
    WriteStore store(tx);
    if (!co_await store.find_topic(id)) co_return op::DeleteTopic::Output{};
    for (const auto& subscription : co_await store.list_subscriptions(id, "", SIZE_MAX))
      store.erase_owned(id, subscription);
    store.erase_topic(id);
    co_await deps_.timers.clear(tx, "sns.archive", id.arn());
    co_return op::DeleteTopic::Output{};
  });
}

Task<ListTopicsResponse> SnsService::list_topics(Ctx& ctx, const ListTopicsInput& in) {
  const auto after =
      kernel::open_page<std::string>(deps_.tokens, ctx, "sns:ListTopics", in.next_token, invalid("NextToken"));
  const auto snapshot = deps_.db.snapshot();
  auto topics = co_await Store(*snapshot).list_topics(home_of(ctx), after.value_or(""), kPage + 1);
  ListTopicsResponse out;
  if (topics.size() > kPage) {
    topics.pop_back();
    out.next_token = kernel::seal_page(deps_.tokens, ctx, "sns:ListTopics", topics.back().name);
  }
  out.topics.emplace();
  for (const TopicRecord& topic : topics)
    out.topics->push_back({.topic_arn = TopicId{ctx.account, ctx.region, topic.name}.arn()});
  co_return out;
}

Task<GetTopicAttributesResponse> SnsService::get_topic_attributes(Ctx& ctx, const GetTopicAttributesInput& in) {
  const TopicId id = topic_id(ctx, in.topic_arn);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot);
  const auto topic = co_await store.find_topic(id);
  if (!topic) co_return no_topic();
  std::optional<Time> oldest;
  if (topic->archive_began.micros != 0) oldest = topic->archive_began;
  co_return GetTopicAttributesResponse{.attributes = shown_attributes(*topic, id, co_await store.counts(id), oldest)};
}

Task<op::SetTopicAttributes::Output> SnsService::set_topic_attributes(Ctx& ctx, const SetTopicAttributesInput& in) {
  const TopicId id = topic_id(ctx, in.topic_arn);
  co_await edit_topic(id, [&](TopicRecord& topic) {
    set_topic_attribute(topic, id, in.attribute_name, in.attribute_value.value_or(""), ctx.now());
  });
  co_return op::SetTopicAttributes::Output{};
}

Task<op::AddPermission::Output> SnsService::add_permission(Ctx& ctx, const AddPermissionInput& in) {
  const TopicId id = topic_id(ctx, in.topic_arn);
  Json actions = Json::array(), principals = Json::array();
  for (const std::string& action : in.action_name) {
    if (!is_topic_action(action)) co_return invalid("Policy statement action out of service scope!");
    actions.push_back(cat("SNS:", action));
  }
  for (const std::string& account : in.aws_account_id) {
    if (account.size() != 12 || !parse_int(account)) co_return invalid("Policy Error: invalid account id");
    principals.push_back(cat("arn:aws:iam::", account, ":root"));
  }
  if (actions.is_null() || actions.as_array().empty()) co_return invalid("ActionName");
  if (principals.as_array().empty()) co_return invalid("AWSAccountId");
  const auto single = [](Json list) { return list.as_array().size() == 1 ? list.as_array()[0] : list; };
  const Json statement = Json::object({{"Sid", in.label},
                                       {"Effect", "Allow"},
                                       {"Principal", Json::object({{"AWS", single(principals)}})},
                                       {"Action", single(actions)},
                                       {"Resource", id.arn()}});
  co_await edit_topic(id, [&](TopicRecord& topic) {
    const std::string former = topic.attribute("Policy");
    Json policy = Json::parse(former.empty() ? default_policy(id) : former);
    Json& statements = policy["Statement"];
    if (!statements.is_array()) statements = Json(Json::Array{statements});
    if (std::ranges::any_of(statements.as_array(), [&](const Json& s) { return s.string_or("Sid") == in.label; }))
      throw invalid("Statement already exists");
    statements.push_back(statement);
    const std::string text = policy.dump();
    if (text.size() > kMaxPolicy) throw invalid("Policy: too long");
    topic.attributes["Policy"] = text;
  });
  co_return op::AddPermission::Output{};
}

Task<op::RemovePermission::Output> SnsService::remove_permission(Ctx& ctx, const RemovePermissionInput& in) {
  const TopicId id = topic_id(ctx, in.topic_arn);
  co_await edit_topic(id, [&](TopicRecord& topic) {
    const std::string former = topic.attribute("Policy");
    Json policy = Json::parse(former.empty() ? default_policy(id) : former);
    Json& statements = policy["Statement"];
    if (!statements.is_array()) statements = Json(Json::Array{statements});
    std::erase_if(statements.as_array(), [&](const Json& s) { return s.string_or("Sid") == in.label; });
    topic.attributes["Policy"] = policy.dump();
  });
  co_return op::RemovePermission::Output{};
}

Task<op::TagResource::Output> SnsService::tag_resource(Ctx& ctx, const TagResourceRequest& in) {
  const TopicId id = tagged(ctx, in.resource_arn);
  const Attributes tags = tags_of(in.tags);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::TagResource::Output> {
    WriteStore store(tx);
    auto topic = co_await store.find_topic(id);
    if (!topic) co_return no_resource();
    for (const auto& [key, value] : tags) topic->tags[key] = value;
    if (topic->tags.size() > kMaxTags)
      co_return err::TagLimitExceededException("Could not complete request: tag quota of per resource exceeded");
    store.put_topic(id, *topic);
    co_return op::TagResource::Output{};
  });
}

Task<op::UntagResource::Output> SnsService::untag_resource(Ctx& ctx, const UntagResourceRequest& in) {
  const TopicId id = tagged(ctx, in.resource_arn);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::UntagResource::Output> {
    WriteStore store(tx);
    auto topic = co_await store.find_topic(id);
    if (!topic) co_return no_resource();
    for (const std::string& key : in.tag_keys) topic->tags.erase(key);
    store.put_topic(id, *topic);
    co_return op::UntagResource::Output{};
  });
}

Task<ListTagsForResourceResponse> SnsService::list_tags_for_resource(Ctx& ctx, const ListTagsForResourceRequest& in) {
  const TopicId id = tagged(ctx, in.resource_arn);
  const auto topic = co_await Store(*deps_.db.snapshot()).find_topic(id);
  if (!topic) co_return no_resource();
  ListTagsForResourceResponse out;
  out.tags.emplace();
  for (const auto& [key, value] : topic->tags) out.tags->push_back({.key = key, .value = value});
  co_return out;
}

// The record of it: what it says about personal data is not looked for in messages.
Task<op::PutDataProtectionPolicy::Output> SnsService::put_data_protection_policy(
    Ctx& ctx, const PutDataProtectionPolicyInput& in) {
  const TopicId id = topic_id(ctx, in.resource_arn, "ResourceArn");
  if (!in.data_protection_policy.empty()) {
    try {
      if (!Json::parse(in.data_protection_policy).is_object()) co_return invalid("DataProtectionPolicy");
    } catch (const JsonError&) {
      co_return invalid("DataProtectionPolicy", "failed to parse JSON");
    }
  }
  co_await edit_topic(id, [&](TopicRecord& topic) { topic.data_protection = in.data_protection_policy; });
  co_return op::PutDataProtectionPolicy::Output{};
}

Task<GetDataProtectionPolicyResponse> SnsService::get_data_protection_policy(Ctx& ctx,
                                                                             const GetDataProtectionPolicyInput& in) {
  const TopicId id = topic_id(ctx, in.resource_arn, "ResourceArn");
  const auto topic = co_await Store(*deps_.db.snapshot()).find_topic(id);
  if (!topic) co_return no_topic();
  GetDataProtectionPolicyResponse out;
  if (!topic->data_protection.empty()) out.data_protection_policy = topic->data_protection;
  co_return out;
}

// Forgets archived messages that the topic's retention has passed, once an hour; ends with the archive.
Task<void> SnsService::expire_archive(kernel::Timer timer) {
  const TopicId id = *topic_of(timer.id);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx);
    auto topic = co_await store.find_topic(id);
    if (!topic) {
      co_await deps_.timers.clear(tx, timer.kind, timer.id);
      co_return;
    }
    const Time now = deps_.clock.now();
    const std::string policy = topic->attribute("ArchivePolicy");
    if (policy.empty()) {
      store.erase_archive_before(id, now + std::chrono::hours(24));
      co_await deps_.timers.clear(tx, timer.kind, timer.id);
      co_return;
    }
    const int64_t days = parse_int(Json::parse(policy).string_or("MessageRetentionPeriod")).value_or(kMaxRetentionDays);
    const Time oldest = now - std::chrono::hours(24 * days);
    store.erase_archive_before(id, oldest);
    if (topic->archive_began < oldest) {
      topic->archive_began = oldest;
      store.put_topic(id, *topic);
    }
    co_await deps_.timers.set(tx, {timer.kind, timer.id, now + std::chrono::hours(1), ""});
  });
}

}  // namespace virga::sns
