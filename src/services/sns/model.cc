#include "services/sns/model.h"

#include <aws/sns/errors.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/str.h"
#include "kernel/policy.h"
#include "services/sns/delivery_policy.h"
#include "services/sns/envelope.h"
#include "services/sns/filter.h"
#include "services/sns/limits.h"

namespace virga::sns {
namespace {

bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool is_boolean(const std::string& value) {
  return equals_ignoring_case(value, "true") || equals_ignoring_case(value, "false");
}

// Names of the delivery-status attributes: for each kind of endpoint two roles and a rate.
bool is_feedback(std::string_view name) {
  for (const std::string_view kind : {"HTTP", "Firehose", "Lambda", "Application", "SQS"}) {
    if (!name.starts_with(kind)) continue;
    const std::string_view rest = name.substr(kind.size());
    return rest == "SuccessFeedbackRoleArn" || rest == "FailureFeedbackRoleArn" || rest == "SuccessFeedbackSampleRate";
  }
  return false;
}

void check_feedback(const std::string& name, const std::string& value) {
  if (value.empty()) return;
  if (name.ends_with("Rate")) {
    const auto rate = parse_int(value);
    if (!rate || *rate < 0 || *rate > 100)
      throw invalid(cat("Attributes Reason: ", name, ": Invalid value [", value, "]. Must be between 0 and 100"));
  } else if (const auto arn = kernel::parse_arn(value); !arn || arn->service != "iam") {
    throw invalid(cat(name, ": must be a valid IAM role ARN"));
  }
}

Json json_of(std::string_view name, const std::string& text) {
  try {
    return Json::parse(text);
  } catch (const JsonError& e) {
    throw invalid(cat(name, ": failed to parse JSON. ", e.what()));
  }
}

std::string checked_archive_policy(const TopicRecord& topic, const std::string& value) {
  if (!topic.fifo()) throw invalid("ArchivePolicy: not supported for a standard topic");
  const Json policy = json_of("ArchivePolicy", value);
  if (!policy.is_object()) throw invalid("ArchivePolicy: must be a JSON object");
  if (policy.as_object().empty()) return {};  // ends the archive
  const Json* period = policy.find("MessageRetentionPeriod");
  std::optional<int64_t> days;
  if (period && period->is_int()) days = period->as_int();
  if (period && period->is_string()) days = parse_int(period->as_string());
  if (!days || policy.as_object().size() != 1 || *days < 1 || *days > kMaxRetentionDays)
    throw invalid(cat("ArchivePolicy: MessageRetentionPeriod must be between 1 and ", kMaxRetentionDays, " days"));
  return Json::object({{"MessageRetentionPeriod", cat(*days)}}).dump();
}

void check_policy(const std::string& value) {
  if (value.size() > kMaxPolicy) throw invalid("Policy: too long");
  try {
    kernel::policy::parse(value, kernel::policy::Type::kResource);
  } catch (const std::invalid_argument& e) {
    throw invalid(cat("Policy Error: ", e.what()));
  }
}

void check_redrive(const TopicRecord& topic, const SubscriptionRecord& subscription, const std::string& value) {
  if (value.empty()) return;
  const Json policy = json_of("RedrivePolicy", value);
  if (!policy.is_object() || policy.as_object().empty()) throw invalid("RedrivePolicy: must be a JSON object");
  const auto arn = kernel::parse_arn(policy.string_or("deadLetterTargetArn"));
  if (!arn || arn->service != "sqs" || arn->account.size() != 12)
    throw invalid("RedrivePolicy: deadLetterTargetArn is an invalid arn");
  const bool to_fifo = topic.fifo() && subscription.protocol == "sqs" && subscription.endpoint.ends_with(".fifo");
  if (to_fifo && !arn->resource.ends_with(".fifo"))
    throw invalid("RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic.");
  if (!to_fifo && arn->resource.ends_with(".fifo"))
    throw invalid("RedrivePolicy: must use a standard queue as DLQ for this subscription.");
}

void check_replay(const TopicRecord& topic, const std::string& value) {
  if (value.empty()) return;
  if (topic.attribute("ArchivePolicy").empty())
    throw invalid("ReplayPolicy: the topic does not have an archive policy");
  const Json policy = json_of("ReplayPolicy", value);
  if (!policy.is_object()) throw invalid("ReplayPolicy: must be a JSON object");
  if (policy.as_object().empty()) return;
  if (policy.string_or("PointType") != "Timestamp") throw invalid("ReplayPolicy: PointType must be Timestamp");
  const auto start = parse_iso8601(policy.string_or("StartingPoint"));
  if (!start) throw invalid("ReplayPolicy: StartingPoint must be a timestamp");
  if (const Json* end = policy.find("EndingPoint")) {
    const auto at = end->is_string() ? parse_iso8601(end->as_string()) : std::nullopt;
    if (!at || *at < *start) throw invalid("ReplayPolicy: EndingPoint must be a timestamp after StartingPoint");
  }
}

// Attributes of `given` changed and checked together, as a scope may come with its policy.
void check_filter(const SubscriptionRecord& subscription) {
  const std::string policy = subscription.attribute("FilterPolicy");
  if (policy.empty()) return;
  const bool body = subscription.attribute("FilterPolicyScope") == "MessageBody";
  try {
    Filter::check(policy, body ? Filter::Scope::kBody : Filter::Scope::kAttributes);
  } catch (const std::invalid_argument& e) {
    throw invalid(e.what());
  }
}

void check_attribute_name(std::string_view name) {
  const auto refuse = [](std::string what) { throw err::InvalidParameterValueException(std::move(what)); };
  if (name.size() > kMaxAttributeName) refuse("Length of message attribute name must be less than 256 bytes.");
  for (const char c : name) {
    if (is_alnum(c) || c == '-' || c == '_' || c == '.') continue;
    refuse(cat("Invalid non-alphanumeric character '#x", upper(hex_encode(std::string_view(&c, 1))),
               "' was found in the message attribute name. Can only include alphanumeric characters, hyphens, "
               "underscores, or dots."));
  }
  if (name.starts_with('.')) refuse("Invalid message attribute name starting with character '.' was found.");
  if (name.ends_with('.')) refuse("Invalid message attribute name ending with character '.' was found.");
  if (name.find("..") != name.npos) refuse("Message attribute name can not have successive '.' character.");
}

MessageAttribute checked_attribute(const std::string& name, const MessageAttributeValue& value) {
  check_attribute_name(name);
  const std::string base(split_once(value.data_type, '.').first);
  if ((base != "String" && base != "Number" && base != "Binary") || value.data_type == cat(base, "."))
    throw err::InvalidParameterValueException(
        cat("The message attribute '", name,
            "' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and "
            "String."));
  const bool binary = base == "Binary";
  const auto& own = binary ? value.binary_value : value.string_value;
  const auto& other = binary ? value.string_value : value.binary_value;
  if (other && !other->empty() && (!own || own->empty()))
    throw err::InvalidParameterValueException(cat("The message attribute '", name, "' with type '", value.data_type,
                                                  "' must use field '", binary ? "Binary" : "String", "'."));
  if (!own || own->empty())
    throw err::InvalidParameterValueException(
        cat("The message attribute '", name,
            "' must contain non-empty message attribute value for message attribute "
            "type '",
            value.data_type, "'."));
  if (base == "Number" && !parse_double(*own))
    throw err::InvalidParameterValueException(cat("Could not cast message attribute '", name, "' value to number."));
  return {value.data_type, *own};
}

bool is_subject(const std::string& subject) {
  if (subject.empty() || count_characters(subject) > kMaxSubject) return false;
  return !std::ranges::any_of(subject, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }) &&
         subject.front() != ' ';
}

void take_structure(Message& message, const std::string& structure) {
  if (structure != "json") throw invalid("MessageStructure", cat("Invalid message structure: ", structure));
  Json entries;
  try {
    entries = Json::parse(message.body);
  } catch (const JsonError&) {
    throw invalid("Message Structure - JSON message body failed to parse");
  }
  const Json* otherwise = entries.find("default");
  if (!otherwise || !otherwise->is_string()) throw invalid("Message Structure - No default entry in JSON message body");
  message.body = otherwise->as_string();
  for (const auto& [protocol, text] : entries.as_object()) {
    if (protocol != "default" && text.is_string()) message.by_protocol[protocol] = text.as_string();
  }
}

}  // namespace

Error invalid(std::string_view what) { return err::InvalidParameterException(cat("Invalid parameter: ", what)); }
Error invalid(std::string_view parameter, std::string_view why) {
  return err::InvalidParameterException(cat("Invalid parameter: ", parameter, " Reason: ", why));
}
Error no_topic() { return err::NotFoundException("Topic does not exist"); }
Error no_subscription() { return err::NotFoundException("Subscription does not exist"); }

kernel::Arn require_arn(std::string_view text, std::string_view parameter) {
  const auto arn = kernel::parse_arn(text);
  const size_t parts = split(text, ':').size();
  if (!arn && parts < 6) throw invalid(parameter, cat("An ARN must have at least 6 elements, not ", parts));
  if (!arn) throw invalid(parameter, "Not an ARN");
  return *arn;
}

TopicId topic_id(const Ctx& ctx, std::string_view text, std::string_view parameter) {
  const kernel::Arn arn = require_arn(text, parameter);
  const bool here = ctx.region.empty() || arn.region == ctx.region;
  if (arn.service != "sns" || !here || arn.account.size() != 12 || arn.resource.empty() ||
      arn.resource.find_first_of(":/") != std::string::npos)
    throw invalid(parameter);
  return {arn.account, arn.region, arn.resource};
}

SubscriptionId subscription_id(const Ctx& ctx, std::string_view text) {
  const kernel::Arn arn = require_arn(text, "SubscriptionArn");
  const auto [name, id] = split_once(arn.resource, ':');
  if (id.empty()) throw invalid("SubscriptionId");
  if (arn.service != "sns" || (!ctx.region.empty() && arn.region != ctx.region)) throw invalid("SubscriptionArn");
  return {{arn.account, arn.region, std::string(name)}, std::string(id)};
}

std::string subscription_arn(const TopicId& topic, std::string_view id) { return cat(topic.arn(), ":", id); }

std::optional<TopicId> topic_of(std::string_view text) {
  const auto arn = kernel::parse_arn(text);
  if (!arn || arn->service != "sns" || arn->resource.find_first_of(":/") != std::string::npos) return std::nullopt;
  return TopicId{arn->account, arn->region, arn->resource};
}

void check_topic_name(const std::string& name, bool fifo) {
  std::string_view plain = name;
  const bool ends = plain.ends_with(".fifo");
  if (ends) plain.remove_suffix(5);
  const bool good = !plain.empty() && name.size() <= kMaxName && ends == fifo &&
                    std::ranges::all_of(plain, [](char c) { return is_alnum(c) || c == '-' || c == '_'; });
  if (!good) throw invalid("Topic Name");
}

void set_topic_attribute(TopicRecord& topic, const TopicId& id, const std::string& name, const std::string& value,
                         Time now) {
  std::string kept = value;
  if (name == "DisplayName") {
    if (count_characters(value) > 100) throw invalid("DisplayName");
  } else if (name == "Policy") {
    if (!value.empty()) check_policy(value);
  } else if (name == "DeliveryPolicy") {
    try {
      kept = normal_topic_policy(value);
    } catch (const std::invalid_argument& e) {
      throw invalid(cat("DeliveryPolicy: ", e.what()));
    }
  } else if (name == "ContentBasedDeduplication") {
    if (!topic.fifo()) throw invalid("Content-based deduplication can only be set for FIFO topics");
    if (!is_boolean(value))
      throw invalid(cat("ContentBasedDeduplication: Invalid value [", value, "]. Must be true or false."));
    kept = lower(value);
  } else if (name == "FifoThroughputScope") {
    if (!topic.fifo()) throw invalid("FifoThroughputScope can only be set for FIFO topics");
    if (value != "Topic" && value != "MessageGroup")
      throw invalid(cat("FifoThroughputScope: Invalid value [", value, "]. Must be Topic or MessageGroup."));
  } else if (name == "ArchivePolicy") {
    if (!value.empty()) kept = checked_archive_policy(topic, value);
    if (kept.empty()) {
      topic.archive_began = {};
    } else if (topic.archive_began.micros == 0) {
      topic.archive_began = now;
    }
  } else if (name == "SignatureVersion") {
    if (value != "1" && value != "2")
      throw invalid(cat("SignatureVersion: Invalid value [", value, "]. Must be 1 or 2."));
  } else if (name == "TracingConfig") {
    if (!value.empty() && value != "PassThrough")
      throw invalid(cat("TracingConfig: ", value, " is not served here; PassThrough is"));
  } else if (name == "KmsMasterKeyId") {
    if (!value.empty()) throw invalid("KmsMasterKeyId: encryption with a KMS key is not served here");
  } else if (is_feedback(name)) {
    check_feedback(name, value);
  } else {
    throw invalid("AttributeName");
  }
  if (kept.empty()) {
    topic.attributes.erase(name);
  } else {
    topic.attributes[name] = kept;
  }
}

void set_first_attributes(TopicRecord& topic, const TopicId& id, const Attributes& given, Time now) {
  const auto fifo = given.find("FifoTopic");
  if (fifo != given.end()) {
    if (!is_boolean(fifo->second))
      throw invalid("Attributes", cat("FifoTopic: Invalid value [", fifo->second, "]. Must be true or false."));
    if (equals_ignoring_case(fifo->second, "true")) {
      topic.attributes["FifoTopic"] = "true";
      topic.attributes["ContentBasedDeduplication"] = "false";
    }
  }
  for (const auto& [name, value] : given) {
    if (name == "FifoTopic") continue;
    try {
      set_topic_attribute(topic, id, name, value, now);
    } catch (Error& error) {
      // The same words, but for what is wrong: here it is the map of attributes.
      constexpr std::string_view kStart = "Invalid parameter: ";
      if (error.message == "Invalid parameter: AttributeName")
        throw invalid("Attributes", cat("Unknown attribute ", name));
      throw invalid("Attributes", std::string_view(error.message).substr(kStart.size()));
    }
  }
}

std::string default_policy(const TopicId& id) {
  Json actions = Json::array();
  for (const char* action :
       {"SNS:GetTopicAttributes", "SNS:SetTopicAttributes", "SNS:AddPermission", "SNS:RemovePermission",
        "SNS:DeleteTopic", "SNS:Subscribe", "SNS:ListSubscriptionsByTopic", "SNS:Publish"})
    actions.push_back(action);
  Json statement =
      Json::object({{"Sid", "__default_statement_ID"},
                    {"Effect", "Allow"},
                    {"Principal", Json::object({{"AWS", "*"}})},
                    {"Action", std::move(actions)},
                    {"Resource", id.arn()},
                    {"Condition", Json::object({{"StringEquals", Json::object({{"AWS:SourceOwner", id.account}})}})}});
  Json statements = Json::array();
  statements.push_back(std::move(statement));
  return Json::object({{"Version", "2008-10-17"}, {"Id", "__default_policy_ID"}, {"Statement", std::move(statements)}})
      .dump();
}

Attributes shown_attributes(const TopicRecord& topic, const TopicId& id, const TopicCounts& counts,
                            std::optional<Time> oldest_archived) {
  Attributes out = topic.attributes;
  out.emplace("DisplayName", "");
  out.emplace("Policy", default_policy(id));
  out["TopicArn"] = id.arn();
  out["Owner"] = id.account;
  out["SubscriptionsPending"] = cat(counts.pending);
  out["SubscriptionsConfirmed"] = cat(counts.confirmed);
  out["SubscriptionsDeleted"] = cat(counts.deleted);
  out["EffectiveDeliveryPolicy"] = effective_topic_policy(topic.attribute("DeliveryPolicy"));
  if (oldest_archived) out["BeginningArchiveTime"] = iso8601_millis(*oldest_archived);
  return out;
}

void set_subscription_attribute(const TopicRecord& topic, SubscriptionRecord& subscription, const std::string& name,
                                const std::string& value) {
  std::string kept = value;
  if (name == "RawMessageDelivery") {
    if (!is_boolean(value))
      throw invalid(cat("RawMessageDelivery: Invalid value [", value, "]. Must be true or false."));
    kept = lower(value);
    const std::string& p = subscription.protocol;
    if (kept == "true" && p != "sqs" && p != "http" && p != "https" && p != "firehose")
      throw invalid("Delivery protocol [" + p + "] does not support raw message delivery.");
  } else if (name == "FilterPolicyScope") {
    if (value != "MessageBody" && value != "MessageAttributes")
      throw invalid(
          cat("FilterPolicyScope: Invalid value [", value, "]. Please use either MessageBody or MessageAttributes"));
  } else if (name == "FilterPolicy") {
    if (value.size() > kMaxFilterBytes) throw invalid("FilterPolicy: Filter policy is too long");
    if (value == "{}") kept.clear();
  } else if (name == "RedrivePolicy") {
    check_redrive(topic, subscription, value);
  } else if (name == "DeliveryPolicy") {
    if (subscription.protocol != "http" && subscription.protocol != "https" && !value.empty())
      throw invalid("DeliveryPolicy: only http and https subscriptions have one");
    try {
      kept = normal_subscription_policy(value);
    } catch (const std::invalid_argument& e) {
      throw invalid(cat("DeliveryPolicy: ", e.what()));
    }
  } else if (name == "ReplayPolicy") {
    check_replay(topic, value);
    if (value == "{}") kept.clear();
  } else if (name == "SubscriptionRoleArn") {
    throw invalid("SubscriptionRoleArn: only firehose subscriptions have one, which are not served here");
  } else {
    throw invalid("AttributeName");
  }
  if (kept.empty()) {
    subscription.attributes.erase(name);
  } else {
    subscription.attributes[name] = kept;
  }
  if (name == "FilterPolicy" || name == "FilterPolicyScope") check_filter(subscription);
}

Attributes checked_subscription_attributes(const TopicRecord& topic, const SubscriptionRecord& subscription,
                                           const Attributes& given) {
  SubscriptionRecord draft = subscription;
  draft.attributes.clear();
  try {
    // The scope first, as it decides what a filter policy may be.
    if (const auto scope = given.find("FilterPolicyScope"); scope != given.end())
      set_subscription_attribute(topic, draft, scope->first, scope->second);
    for (const auto& [name, value] : given) set_subscription_attribute(topic, draft, name, value);
  } catch (Error& error) {
    constexpr std::string_view kStart = "Invalid parameter: ";
    if (error.message == "Invalid parameter: AttributeName") throw invalid("Attributes", "Unknown attribute");
    throw invalid("Attributes", std::string_view(error.message).substr(kStart.size()));
  }
  return draft.attributes;
}

Attributes shown_attributes(const TopicRecord& topic, const TopicId& id, const SubscriptionRecord& subscription) {
  Attributes out = subscription.attributes;
  out.emplace("RawMessageDelivery", "false");
  if (out.contains("FilterPolicy")) {
    out.emplace("FilterPolicyScope", "MessageAttributes");
  } else {
    out.erase("FilterPolicyScope");
  }
  out["SubscriptionArn"] = subscription_arn(id, subscription.id);
  out["TopicArn"] = id.arn();
  out["Protocol"] = subscription.protocol;
  out["Endpoint"] = subscription.endpoint;
  out["Owner"] = subscription.owner;
  out["SubscriptionPrincipal"] = subscription.principal;
  out["PendingConfirmation"] = subscription.confirmed ? "false" : "true";
  out["ConfirmationWasAuthenticated"] = subscription.authenticated ? "true" : "false";
  if (subscription.protocol == "http" || subscription.protocol == "https")
    out["EffectiveDeliveryPolicy"] =
        effective_subscription_policy(topic.attribute("DeliveryPolicy"), subscription.attribute("DeliveryPolicy"));
  static constexpr std::array<const char*, 5> kStates = {"", "Pending", "In progress", "Completed", "Failed"};
  if (subscription.replay != Replay::kNone) out["ReplayStatus"] = kStates[static_cast<size_t>(subscription.replay)];
  return out;
}

bool is_phone_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  return text.size() >= 8 && text.size() <= 15 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::string number_of(std::string_view endpoint) {
  std::string out = "+";
  std::ranges::copy_if(endpoint, std::back_inserter(out), [](char c) { return c >= '0' && c <= '9'; });
  return out;
}

void check_endpoint(const Ctx& ctx, const TopicRecord& topic, const std::string& protocol,
                    const std::string& endpoint) {
  const bool arn_of_lambda = protocol == "lambda";
  if (protocol == "http" || protocol == "https") {
    if (!endpoint.starts_with(cat(protocol, "://"))) throw invalid("Endpoint must match the specified protocol");
    if (!kernel::parse_arn(endpoint) && endpoint.find_first_of(" \r\n\t") != std::string::npos)
      throw invalid("Endpoint");
  } else if (protocol == "email" || protocol == "email-json") {
    const auto [name, host] = split_once(endpoint, '@');
    if (name.empty() || host.empty() || host.find_first_of("@ ") != host.npos || endpoint.find(' ') != endpoint.npos)
      throw invalid("Email address");
  } else if (protocol == "sms") {
    std::string digits;
    bool good = true;
    for (const char c : endpoint) {
      // Separators between digits are passed over; two in a row, or one at either end, are no number.
      const bool separator = c == '-' || c == '.' || c == ' ' || c == '(' || c == ')' || c == '/';
      if (separator && (digits.empty() || digits.back() == '-')) good = false;
      digits += separator ? '-' : c;
    }
    if (digits.ends_with('-')) good = false;
    if (!good || !is_phone_number(replace_all(digits, "-", "")))
      throw err::InvalidParameterException(cat("Invalid SMS endpoint: ", endpoint));
  } else if (protocol == "sqs") {
    const auto arn = kernel::parse_arn(endpoint);
    if (!arn || arn->service != "sqs" || arn->account.size() != 12 || arn->resource.empty() ||
        arn->resource.find(':') != std::string::npos)
      throw invalid("SQS endpoint ARN");
    if (arn->resource.ends_with(".fifo") && !topic.fifo())
      throw invalid("Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics");
  } else if (arn_of_lambda) {
    const auto arn = kernel::parse_arn(endpoint);
    if (!arn || arn->service != "lambda" || !arn->resource.starts_with("function:"))
      throw invalid("Lambda endpoint ARN");
  } else if (protocol == "application") {
    const auto arn = kernel::parse_arn(endpoint);
    if (!arn || arn->service != "sns" || !arn->resource.starts_with("endpoint/") ||
        split(arn->resource, '/').size() != 4)
      throw invalid("Application endpoint arn invalid");
  } else if (protocol == "firehose") {
    throw invalid("Protocol", "firehose subscriptions are not served here");
  } else {
    throw invalid(cat("Amazon SNS does not support this protocol string: ", protocol));
  }
  if (topic.fifo() && protocol != "sqs")
    throw invalid(cat("Invalid protocol type: ", protocol, " for a FIFO topic: only sqs is supported"));
}

template <class Request>
Message message_of(const Request& in, Time now) {
  Message message;
  message.body = in.message;
  message.time = Time::from_millis(now.millis());
  if (message.body.empty()) throw invalid("Empty message");
  if (in.subject) {
    if (!is_subject(*in.subject)) throw invalid("Subject");
    message.subject = in.subject;
  }
  if (in.message_attributes) {
    for (const auto& [name, value] : *in.message_attributes) message.attributes[name] = checked_attribute(name, value);
  }
  message.group = in.message_group_id.value_or("");
  message.deduplication = in.message_deduplication_id.value_or("");
  if (in.message_structure && !in.message_structure->empty()) take_structure(message, *in.message_structure);
  return message;
}
template Message message_of(const PublishInput&, Time);
template Message message_of(const PublishBatchRequestEntry&, Time);

void check_for_topic(Message& message, const TopicRecord& topic) {
  const auto is_token = [](const std::string& text) {
    return text.size() <= kMaxDedupId && std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
  };
  if (!is_token(message.group)) throw invalid("MessageGroupId");
  if (!is_token(message.deduplication)) throw invalid("MessageDeduplicationId");
  message.signature_version = topic.attribute("SignatureVersion") == "2" ? "2" : "1";
  if (!topic.fifo()) {
    if (!message.deduplication.empty())
      throw invalid("MessageDeduplicationId",
                    "The request includes MessageDeduplicationId parameter that is not valid for this topic type");
    return;
  }
  if (message.group.empty()) throw invalid("The MessageGroupId parameter is required for FIFO topics");
  if (!message.deduplication.empty()) return;
  if (!topic.is("ContentBasedDeduplication"))
    throw invalid(
        "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
        "explicitly");
  message.deduplication = hex_encode(sha256(message.body));
}

std::string sequence_number(int64_t count) {
  const std::string digits = cat(count * 1000);
  return cat("1", std::string(digits.size() < 19 ? 19 - digits.size() : 0, '0'), digits);
}

Attributes tags_of(const std::optional<std::vector<Tag>>& tags) {
  Attributes out;
  for (const Tag& tag : tags.value_or(std::vector<Tag>{})) {
    if (!out.emplace(tag.key, tag.value).second) throw invalid("Duplicated keys are not allowed.");
  }
  if (out.size() > kMaxTags)
    throw err::TagLimitExceededException("Could not complete request: tag quota of per resource exceeded");
  return out;
}

}  // namespace virga::sns
