// The rules of SNS that need no store: names, ARNs, attributes and what their values may be, message checks. Functions
// throw the service's errors.
#pragma once

#include <aws/sns/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "kernel/context.h"
#include "services/sns/store.h"

namespace virga::sns {

using kernel::Ctx;

Error invalid(std::string_view what);                             // "Invalid parameter: <what>"
Error invalid(std::string_view parameter, std::string_view why);  // "Invalid parameter: <parameter> Reason: <why>"
Error no_topic();
Error no_subscription();

// An ARN with six parts; `parameter` is what the caller calls it.
kernel::Arn require_arn(std::string_view text, std::string_view parameter);
// A topic's, in the region of the call.
TopicId topic_id(const Ctx& ctx, std::string_view arn, std::string_view parameter = "TopicArn");
struct SubscriptionId {
  TopicId topic;
  std::string id;
};
SubscriptionId subscription_id(const Ctx& ctx, std::string_view arn);
std::string subscription_arn(const TopicId& topic, std::string_view id);
// Nothing when `arn` is of no topic.
std::optional<TopicId> topic_of(std::string_view arn);

void check_topic_name(const std::string& name, bool fifo);
// Checks one attribute of a topic and stores it as it is kept; `value` empty: back to its default.
void set_topic_attribute(TopicRecord& topic, const TopicId& id, const std::string& name, const std::string& value,
                         Time now);
// Of CreateTopic: every attribute, those that can't be changed later too.
void set_first_attributes(TopicRecord& topic, const TopicId& id, const Attributes& given, Time now);
// All that GetTopicAttributes shows.
Attributes shown_attributes(const TopicRecord& topic, const TopicId& id, const TopicCounts& counts,
                            std::optional<Time> oldest_archived);
std::string default_policy(const TopicId& id);

// The attributes of a subscription. `check_filter` compiles a filter policy (it throws what is wrong with it).
Attributes checked_subscription_attributes(const TopicRecord& topic, const SubscriptionRecord& subscription,
                                           const Attributes& given);
void set_subscription_attribute(const TopicRecord& topic, SubscriptionRecord& subscription, const std::string& name,
                                const std::string& value);
Attributes shown_attributes(const TopicRecord& topic, const TopicId& id, const SubscriptionRecord& subscription);

// Protocol and endpoint of Subscribe.
void check_endpoint(const Ctx& ctx, const TopicRecord& topic, const std::string& protocol, const std::string& endpoint);
bool is_phone_number(std::string_view text);
// As numbers are kept: a plus and digits.
std::string number_of(std::string_view endpoint);
inline constexpr std::string_view kOptedOut = "Phone number is opted out";  // what the log says of its messages

// A message of a request, checked as far as it can be without its topic.
template <class Request>
Message message_of(const Request& in, Time now);
void check_for_topic(Message& message, const TopicRecord& topic);
std::string sequence_number(int64_t count);

Attributes tags_of(const std::optional<std::vector<Tag>>& tags);

}  // namespace virga::sns
