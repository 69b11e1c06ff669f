// AWS::SNS::Topic, Subscription, TopicPolicy and TopicInlinePolicy.
#include <algorithm>
#include <array>

#include "base/str.h"
#include "services/cloudformation/resources/provider.h"

namespace virga::cloudformation {

namespace {

std::string text_of(const Json& value) { return value.is_string() ? value.as_string() : value.dump(); }

// A topic's properties that are attributes of the same name, with what a topic has without them.
struct Attribute {
  std::string_view name, otherwise;
};
constexpr std::array<Attribute, 8> kTopicAttributes = {{{"DisplayName", ""},
                                                        {"KmsMasterKeyId", ""},
                                                        {"ContentBasedDeduplication", "false"},
                                                        {"ArchivePolicy", "{}"},
                                                        {"SignatureVersion", "1"},
                                                        {"TracingConfig", "PassThrough"},
                                                        {"FifoThroughputScope", "Topic"},
                                                        {"DeliveryPolicy", ""}}};

Made topic_made(const Call& call, const std::string& arn) {
  return {arn, Json::object({{"TopicArn", arn}, {"TopicName", arn.substr(arn.rfind(':') + 1)}})};
}

// DeliveryStatusLogging as the attributes it stands for; those of `properties` only.
Json status_attributes(const Json& properties) {
  Json out = Json::object();
  const Json* all = properties.find("DeliveryStatusLogging");
  if (!all || !all->is_array()) return out;
  for (const Json& one : all->as_array()) {
    const std::string protocol = one.string_or("Protocol");
    std::string prefix = protocol == "http/s" || protocol == "http"
                             ? "HTTP"
                             : upper(protocol.substr(0, 1)) + protocol.substr(std::min<size_t>(1, protocol.size()));
    if (protocol == "sqs") prefix = "SQS";
    for (const char* name : {"SuccessFeedbackRoleArn", "FailureFeedbackRoleArn", "SuccessFeedbackSampleRate"}) {
      if (const Json* value = one.find(name)) out[cat(prefix, name)] = text_of(*value);
    }
  }
  return out;
}

Json subscription_key(const Json& one) {
  return Json::object({{"Protocol", need(one, "Protocol")}, {"Endpoint", need(one, "Endpoint")}});
}

Task<void> subscribe_all(Call& call, const std::string& arn) {
  const Json* wanted = call.find("Subscription");
  if (!wanted || !wanted->is_array()) co_return;
  for (const Json& one : wanted->as_array()) {
    Json input = subscription_key(one);
    input["TopicArn"] = arn;
    co_await call.api("sns", "Subscribe", std::move(input));
  }
}

// What the template subscribed before and does not any more.
Task<void> unsubscribe_former(Call& call, const std::string& arn) {
  const Json* former = call.former.find("Subscription");
  if (!former || !former->is_array()) co_return;
  const Json* wanted = call.find("Subscription");
  Json stale = Json::array();
  for (const Json& one : former->as_array()) {
    const bool stays = wanted && wanted->is_array() && std::ranges::any_of(wanted->as_array(), [&](const Json& other) {
                         return subscription_key(other) == subscription_key(one);
                       });
    if (!stays) stale.push_back(subscription_key(one));
  }
  Json input = Json::object({{"TopicArn", arn}});
  while (!stale.as_array().empty()) {
    const Json page = co_await call.api("sns", "ListSubscriptionsByTopic", input);
    const Json* there = page.find("Subscriptions");
    if (there && there->is_array()) {
      for (const Json& one : there->as_array()) {
        const std::string subscription = one.string_or("SubscriptionArn");
        const bool found = std::ranges::find(stale.as_array(), subscription_key(one)) != stale.as_array().end();
        if (found && subscription.starts_with("arn:"))
          co_await call.api("sns", "Unsubscribe", Json::object({{"SubscriptionArn", subscription}}));
      }
    }
    const std::string next = page.string_or("NextToken");
    if (next.empty()) break;
    input["NextToken"] = next;
  }
}

Task<Made> create_topic(Call& call) {
  Json attributes = status_attributes(call.properties);
  for (const Attribute& attribute : kTopicAttributes) {
    if (const Json* value = call.find(attribute.name)) attributes[attribute.name] = text_of(*value);
  }
  std::string name = call.physical_id;
  const Json* fifo = call.find("FifoTopic");
  if (fifo && text_of(*fifo) == "true") {
    attributes["FifoTopic"] = "true";
    if (!call.find("TopicName")) name += ".fifo";
  }
  Json input = Json::object({{"Name", name}});
  if (!attributes.as_object().empty()) input["Attributes"] = std::move(attributes);
  if (Json tags = call.tag_list(); !tags.as_array().empty()) input["Tags"] = std::move(tags);
  if (const Json* policy = call.find("DataProtectionPolicy")) input["DataProtectionPolicy"] = document_text(*policy);
  // Making a topic again that is as it should be answers its ARN.
  const Json made = co_await call.api("sns", "CreateTopic", std::move(input));
  call.created = made.string_or("TopicArn");
  co_await subscribe_all(call, call.created);
  co_return topic_made(call, call.created);
}

Task<void> set_attribute(Call& call, std::string arn, std::string name, std::string value) {
  co_await call.api("sns", "SetTopicAttributes",
                    Json::object({{"TopicArn", arn}, {"AttributeName", name}, {"AttributeValue", value}}));
}

Task<Made> update_topic(Call& call) {
  const std::string& arn = call.physical_id;
  for (const Attribute& attribute : kTopicAttributes) {
    if (!call.changed(attribute.name)) continue;
    const Json* value = call.find(attribute.name);
    co_await set_attribute(call, arn, std::string(attribute.name),
                           value ? text_of(*value) : std::string(attribute.otherwise));
  }
  if (call.changed("DeliveryStatusLogging")) {
    const Json before = status_attributes(call.former), after = status_attributes(call.properties);
    for (const auto& [name, value] : before.as_object()) {
      if (!after.find(name)) co_await set_attribute(call, arn, name, "");
    }
    for (const auto& [name, value] : after.as_object()) co_await set_attribute(call, arn, name, value.as_string());
  }
  if (call.changed("DataProtectionPolicy")) {
    const Json* policy = call.find("DataProtectionPolicy");
    co_await call.api("sns", "PutDataProtectionPolicy",
                      Json::object({{"ResourceArn", arn},
                                    {"DataProtectionPolicy", policy ? document_text(*policy) : std::string()}}));
  }
  const Json wanted = call.tag_list();
  const Json has = co_await call.api("sns", "ListTagsForResource", Json::object({{"ResourceArn", arn}}));
  Json stale = Json::array();
  if (const Json* old = has.find("Tags"); old && old->is_array()) {
    for (const Json& tag : old->as_array()) {
      const bool stays = std::ranges::any_of(wanted.as_array(),
                                             [&](const Json& t) { return t.string_or("Key") == tag.string_or("Key"); });
      if (!stays) stale.push_back(tag.string_or("Key"));
    }
  }
  if (!stale.as_array().empty())
    co_await call.api("sns", "UntagResource", Json::object({{"ResourceArn", arn}, {"TagKeys", std::move(stale)}}));
  if (!wanted.as_array().empty())
    co_await call.api("sns", "TagResource", Json::object({{"ResourceArn", arn}, {"Tags", wanted}}));
  co_await unsubscribe_former(call, arn);
  co_await subscribe_all(call, arn);
  co_return topic_made(call, arn);
}

Task<void> remove_topic(Call& call) {
  co_await call.api_unless("NotFound", "sns", "DeleteTopic", Json::object({{"TopicArn", call.physical_id}}));
}

constexpr std::array<std::string_view, 7> kSubscriptionAttributes = {
    "DeliveryPolicy", "FilterPolicyScope", "FilterPolicy",       "RawMessageDelivery",
    "RedrivePolicy",  "ReplayPolicy",      "SubscriptionRoleArn"};

// A subscription is in its topic's region, which needn't be the stack's.
void go_to_subscription(Call& call) {
  if (const auto arn = kernel::parse_arn(call.physical_id)) call.ctx.region = arn->region;
}

Task<Made> create_subscription(Call& call) {
  if (call.find("Region")) call.ctx.region = call.text("Region");
  Json input = Json::object({{"TopicArn", need(call.properties, "TopicArn")},
                             {"Protocol", need(call.properties, "Protocol")},
                             {"ReturnSubscriptionArn", true}});
  if (const Json* endpoint = call.find("Endpoint")) input["Endpoint"] = *endpoint;
  Json attributes = Json::object();
  for (const std::string_view name : kSubscriptionAttributes) {
    if (const Json* value = call.find(name)) attributes[name] = text_of(*value);
  }
  if (!attributes.as_object().empty()) input["Attributes"] = std::move(attributes);
  const Json made = co_await call.api("sns", "Subscribe", std::move(input));
  call.created = made.string_or("SubscriptionArn");
  co_return Made{call.created, Json::object({{"Arn", call.created}})};
}

Task<Made> update_subscription(Call& call) {
  go_to_subscription(call);
  for (const std::string_view name : kSubscriptionAttributes) {
    if (!call.changed(name)) continue;
    const Json* value = call.find(name);
    std::string text = value ? text_of(*value) : std::string();
    if (!value && name == "RawMessageDelivery") text = "false";
    if (!value && name == "FilterPolicyScope") text = "MessageAttributes";
    co_await call.api("sns", "SetSubscriptionAttributes",
                      Json::object({{"SubscriptionArn", call.physical_id},
                                    {"AttributeName", std::string(name)},
                                    {"AttributeValue", std::move(text)}}));
  }
  co_return Made{call.physical_id, Json::object({{"Arn", call.physical_id}})};
}

Task<void> remove_subscription(Call& call) {
  go_to_subscription(call);
  co_await call.api_unless("NotFound", "sns", "Unsubscribe", Json::object({{"SubscriptionArn", call.physical_id}}));
}

// The topics a policy resource is about.
Json::Array topics_of(const Json& properties) {
  if (const Json* one = properties.find("TopicArn")) return {*one};
  const Json* many = properties.find("Topics");
  return many && many->is_array() ? many->as_array() : Json::Array{};
}

Task<void> set_policy(Call& call, Json topic, std::string policy) {
  Json input = Json::object({{"TopicArn", std::move(topic)}, {"AttributeName", "Policy"}, {"AttributeValue", policy}});
  if (policy.empty()) {
    co_await call.api_unless("NotFound", "sns", "SetTopicAttributes", std::move(input));
  } else {
    co_await call.api("sns", "SetTopicAttributes", std::move(input));
  }
}

Task<Made> put_policy(Call& call) {
  const std::string policy = document_text(need(call.properties, "PolicyDocument"));
  const Json::Array topics = topics_of(call.properties);
  for (const Json& topic : topics_of(call.former)) {
    if (std::ranges::find(topics, topic) == topics.end()) co_await set_policy(call, topic, "");
  }
  for (const Json& topic : topics) co_await set_policy(call, topic, policy);
  call.created = call.physical_id;
  co_return Made{call.physical_id, Json::object({{"Id", call.physical_id}})};
}

// Topics without a policy of their own have the default one.
Task<void> remove_policy(Call& call) {
  for (const Json& topic : topics_of(call.properties)) co_await set_policy(call, topic, "");
}

constexpr Provider kProviders[] = {
    {.type = "AWS::SNS::Topic",
     .name_property = "TopicName",
     .name_most = 251,  // room for ".fifo"
     .properties = "ArchivePolicy ContentBasedDeduplication DataProtectionPolicy DeliveryPolicy DeliveryStatusLogging "
                   "DisplayName FifoThroughputScope FifoTopic KmsMasterKeyId SignatureVersion Subscription Tags "
                   "TopicName TracingConfig",
     .replace_on = "TopicName FifoTopic",
     .create = create_topic,
     .update = update_topic,
     .remove = remove_topic},
    {.type = "AWS::SNS::Subscription",
     .name_property = "",
     .properties = "DeliveryPolicy Endpoint FilterPolicy FilterPolicyScope Protocol RawMessageDelivery RedrivePolicy "
                   "Region ReplayPolicy SubscriptionRoleArn TopicArn",
     .replace_on = "TopicArn Protocol Endpoint Region",
     .create = create_subscription,
     .update = update_subscription,
     .remove = remove_subscription},
    {.type = "AWS::SNS::TopicPolicy",
     .name_property = "",
     .properties = "PolicyDocument Topics",
     .replace_on = "",
     .create = put_policy,
     .update = put_policy,
     .remove = remove_policy},
    {.type = "AWS::SNS::TopicInlinePolicy",
     .name_property = "",
     .properties = "PolicyDocument TopicArn",
     .replace_on = "TopicArn",
     .create = put_policy,
     .update = put_policy,
     .remove = remove_policy},
};

}  // namespace

std::span<const Provider> sns_providers() { return kProviders; }

}  // namespace virga::cloudformation
