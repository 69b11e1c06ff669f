// AWS::SQS::Queue, AWS::SQS::QueuePolicy and AWS::SQS::QueueInlinePolicy.
#include <algorithm>
#include <array>

#include "base/str.h"
#include "services/cloudformation/resources/provider.h"

namespace virga::cloudformation {

namespace {

struct Attribute {
  std::string_view name;
  std::string_view otherwise;  // what a queue has without the property
};
constexpr std::array<Attribute, 13> kAttributes = {{{"VisibilityTimeout", "30"},
                                                    {"DelaySeconds", "0"},
                                                    {"MaximumMessageSize", "1048576"},
                                                    {"MessageRetentionPeriod", "345600"},
                                                    {"ReceiveMessageWaitTimeSeconds", "0"},
                                                    {"RedrivePolicy", ""},
                                                    {"RedriveAllowPolicy", ""},
                                                    {"KmsMasterKeyId", ""},
                                                    {"KmsDataKeyReusePeriodSeconds", "300"},
                                                    {"SqsManagedSseEnabled", "true"},
                                                    {"ContentBasedDeduplication", "false"},
                                                    {"DeduplicationScope", "queue"},
                                                    {"FifoThroughputLimit", "perQueue"}}};

constexpr std::string_view kGone = "QueueDoesNotExist AWS.SimpleQueueService.NonExistentQueue";

std::string text_of(const Json& value) { return value.is_string() ? value.as_string() : value.dump(); }

std::string name_of_url(std::string_view url) { return std::string(url.substr(url.rfind('/') + 1)); }

Made made_of(const Call& call, const std::string& url) {
  const std::string name = name_of_url(url);
  return {url, Json::object({{"Arn", kernel::arn(call.ctx, "sqs", name)}, {"QueueName", name}, {"QueueUrl", url}})};
}

Task<Made> create_queue(Call& call) {
  Json attributes = Json::object();
  for (const Attribute& attribute : kAttributes) {
    if (const Json* value = call.find(attribute.name)) attributes[attribute.name] = text_of(*value);
  }
  std::string name = call.physical_id;
  const Json* fifo = call.find("FifoQueue");
  if (fifo && text_of(*fifo) == "true") {
    attributes["FifoQueue"] = "true";
    if (!call.find("QueueName")) name += ".fifo";
  }
  Json input = Json::object({{"QueueName", name}});
  if (!attributes.as_object().empty()) input["Attributes"] = std::move(attributes);
  if (Json tags = call.tag_map(); !tags.as_object().empty()) input["tags"] = std::move(tags);
  // Making a queue again that is as it should be answers its URL.
  const Json made = co_await call.api("sqs", "CreateQueue", std::move(input));
  call.created = made.string_or("QueueUrl");
  co_return made_of(call, call.created);
}

Task<Made> update_queue(Call& call) {
  Json attributes = Json::object();
  for (const Attribute& attribute : kAttributes) {
    if (!call.changed(attribute.name)) continue;
    const Json* value = call.find(attribute.name);
    attributes[attribute.name] = value ? text_of(*value) : std::string(attribute.otherwise);
  }
  if (!attributes.as_object().empty()) {
    co_await call.api("sqs", "SetQueueAttributes",
                      Json::object({{"QueueUrl", call.physical_id}, {"Attributes", std::move(attributes)}}));
  }
  const Json tags = call.tag_map();
  const Json has = co_await call.api("sqs", "ListQueueTags", Json::object({{"QueueUrl", call.physical_id}}));
  Json stale = Json::array();
  if (const Json* old = has.find("Tags")) {
    for (const auto& [key, value] : old->as_object()) {
      if (!tags.find(key)) stale.push_back(key);
    }
  }
  if (!stale.as_array().empty()) {
    co_await call.api("sqs", "UntagQueue",
                      Json::object({{"QueueUrl", call.physical_id}, {"TagKeys", std::move(stale)}}));
  }
  if (!tags.as_object().empty()) {
    co_await call.api("sqs", "TagQueue", Json::object({{"QueueUrl", call.physical_id}, {"Tags", tags}}));
  }
  co_return made_of(call, call.physical_id);
}

Task<void> remove_queue(Call& call) {
  co_await call.api_unless(std::string(kGone), "sqs", "DeleteQueue", Json::object({{"QueueUrl", call.physical_id}}));
}

// The queues a policy resource is about, as `properties` say.
Json::Array queues_of(const Json& properties) {
  if (const Json* one = properties.find("Queue")) return {*one};
  const Json* many = properties.find("Queues");
  return many && many->is_array() ? many->as_array() : Json::Array{};
}

Task<void> set_policy(Call& call, Json queue, std::string policy) {
  Json input = Json::object({{"QueueUrl", std::move(queue)}});
  input["Attributes"] = Json::object({{"Policy", policy}});
  if (policy.empty()) {
    co_await call.api_unless(std::string(kGone), "sqs", "SetQueueAttributes", std::move(input));
  } else {
    co_await call.api("sqs", "SetQueueAttributes", std::move(input));
  }
}

Task<Made> put_policy(Call& call) {
  const std::string policy = document_text(need(call.properties, "PolicyDocument"));
  const Json::Array queues = queues_of(call.properties);
  for (const Json& queue : queues_of(call.former)) {
    if (std::ranges::find(queues, queue) == queues.end()) co_await set_policy(call, queue, "");
  }
  for (const Json& queue : queues) co_await set_policy(call, queue, policy);
  call.created = call.physical_id;
  co_return Made{call.physical_id, Json::object({{"Id", call.physical_id}})};
}

Task<void> remove_policy(Call& call) {
  for (const Json& queue : queues_of(call.properties)) co_await set_policy(call, queue, "");
}

constexpr Provider kProviders[] = {
    {.type = "AWS::SQS::Queue",
     .name_property = "QueueName",
     .name_most = 75,  // room for ".fifo"
     .properties = "ContentBasedDeduplication DeduplicationScope DelaySeconds FifoQueue FifoThroughputLimit "
                   "KmsDataKeyReusePeriodSeconds KmsMasterKeyId MaximumMessageSize MessageRetentionPeriod QueueName "
                   "ReceiveMessageWaitTimeSeconds RedriveAllowPolicy RedrivePolicy SqsManagedSseEnabled Tags "
                   "VisibilityTimeout",
     .replace_on = "QueueName FifoQueue",
     .create = create_queue,
     .update = update_queue,
     .remove = remove_queue},
    {.type = "AWS::SQS::QueuePolicy",
     .name_property = "",
     .replace_on = "",
     .create = put_policy,
     .update = put_policy,
     .remove = remove_policy},
    {.type = "AWS::SQS::QueueInlinePolicy",
     .name_property = "",
     .replace_on = "Queue",
     .create = put_policy,
     .update = put_policy,
     .remove = remove_policy},
};

}  // namespace

std::span<const Provider> sqs_providers() { return kProviders; }

}  // namespace virga::cloudformation
