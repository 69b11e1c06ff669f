#pragma once

#include <aws/sns/ops.h>
#include <aws/sns/types.h>

#include <atomic>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernel/cloud.h"
#include "kernel/context.h"
#include "kernel/delivery.h"
#include "kernel/deps.h"
#include "kernel/outbound.h"
#include "kernel/outbox.h"
#include "kernel/service.h"
#include "kernel/target_delivery.h"
#include "kernel/timers.h"
#include "services/sns/delivery_policy.h"
#include "services/sns/filter.h"
#include "services/sns/model.h"
#include "services/sns/signer.h"
#include "services/sns/store.h"
#include "services/sqs/api.h"

namespace virga::sns {

// What waits in a lane: a message and the subscription it is for, or some of them.
struct Job {
  // A queue's subscription, as far as a message for it depends on it.
  struct Queue {
    std::string id, endpoint, base_url;
    bool raw = false;
    template <class A>
    void fields(A& a) {
      a(1, id), a(2, endpoint), a(3, base_url), a(4, raw);
    }
  };
  Message message;
  std::vector<std::string> subscriptions;   // ids
  std::optional<SubscriptionRecord> ended;  // the subscription, where it is not in the store any more
  std::string after;                        // of a fan-out that goes on: the last subscription looked at
  std::vector<Queue> queues;                // that are written to together
  template <class A>
  void fields(A& a) {
    a(1, message), a(2, subscriptions), a(3, ended), a(4, after), a(5, queues);
  }
};

// What came of a delivery, as status logs tell it.
struct Answer {
  bool success = true;
  std::optional<int64_t> status;  // of HTTP, when the other side answered
  std::string response;           // what the other side said
};

class SnsService final : public kernel::Service {
 public:
  SnsService(kernel::Deps& deps, sqs::Post& post, std::vector<Executor*> executors);
  const wire::ServiceModel& model() const override;
  void operations(kernel::OpTable& table) override;
  std::vector<kernel::Endpoint> endpoints() override;
  Task<void> stop() override;
  Task<std::optional<std::string>> resource_policy(Ctx& ctx, std::string resource) override;

 private:
  // ops_topic.cc
  Task<CreateTopicResponse> create_topic(Ctx& ctx, const CreateTopicInput& in);
  Task<op::DeleteTopic::Output> delete_topic(Ctx& ctx, const DeleteTopicInput& in);
  Task<ListTopicsResponse> list_topics(Ctx& ctx, const ListTopicsInput& in);
  Task<GetTopicAttributesResponse> get_topic_attributes(Ctx& ctx, const GetTopicAttributesInput& in);
  Task<op::SetTopicAttributes::Output> set_topic_attributes(Ctx& ctx, const SetTopicAttributesInput& in);
  Task<op::AddPermission::Output> add_permission(Ctx& ctx, const AddPermissionInput& in);
  Task<op::RemovePermission::Output> remove_permission(Ctx& ctx, const RemovePermissionInput& in);
  Task<op::TagResource::Output> tag_resource(Ctx& ctx, const TagResourceRequest& in);
  Task<op::UntagResource::Output> untag_resource(Ctx& ctx, const UntagResourceRequest& in);
  Task<ListTagsForResourceResponse> list_tags_for_resource(Ctx& ctx, const ListTagsForResourceRequest& in);
  Task<op::PutDataProtectionPolicy::Output> put_data_protection_policy(Ctx& ctx,
                                                                       const PutDataProtectionPolicyInput& in);
  Task<GetDataProtectionPolicyResponse> get_data_protection_policy(Ctx& ctx, const GetDataProtectionPolicyInput& in);
  // The topic changed by `change` in one transaction.
  template <class F>
  Task<void> edit_topic(TopicId id, F change);
  Task<void> expire_archive(kernel::Timer timer);

  // ops_subscription.cc
  Task<SubscribeResponse> subscribe(Ctx& ctx, const SubscribeInput& in);
  Task<op::Unsubscribe::Output> unsubscribe(Ctx& ctx, const UnsubscribeInput& in);
  Task<ConfirmSubscriptionResponse> confirm_subscription(Ctx& ctx, const ConfirmSubscriptionInput& in);
  Task<ListSubscriptionsResponse> list_subscriptions(Ctx& ctx, const ListSubscriptionsInput& in);
  Task<ListSubscriptionsByTopicResponse> list_subscriptions_by_topic(Ctx& ctx, const ListSubscriptionsByTopicInput& in);
  Task<GetSubscriptionAttributesResponse> get_subscription_attributes(Ctx& ctx,
                                                                      const GetSubscriptionAttributesInput& in);
  Task<op::SetSubscriptionAttributes::Output> set_subscription_attributes(Ctx& ctx,
                                                                          const SetSubscriptionAttributesInput& in);
  void ask_to_confirm(kv::Txn& tx, const TopicId& topic, const TopicRecord& record,
                      const SubscriptionRecord& subscription, Time now, bool ended);
  Task<void> forget_subscription(kernel::Timer timer);

  // ops_publish.cc
  Task<PublishResponse> publish(Ctx& ctx, const PublishInput& in);
  Task<PublishBatchResponse> publish_batch(Ctx& ctx, const PublishBatchInput& in);
  // The messages as they were accepted, with their ids and sequence numbers.
  Task<std::vector<Message>> publish_all(Ctx& ctx, TopicId topic, std::vector<Message> messages);
  Task<PublishResponse> publish_to_endpoint(Ctx& ctx, const PublishInput& in);
  Task<PublishResponse> publish_to_phone(Ctx& ctx, const PublishInput& in);

  // ops_platform.cc
  Task<CreatePlatformApplicationResponse> create_platform_application(Ctx& ctx,
                                                                      const CreatePlatformApplicationInput& in);
  Task<op::DeletePlatformApplication::Output> delete_platform_application(Ctx& ctx,
                                                                          const DeletePlatformApplicationInput& in);
  Task<GetPlatformApplicationAttributesResponse> get_platform_application_attributes(
      Ctx& ctx, const GetPlatformApplicationAttributesInput& in);
  Task<op::SetPlatformApplicationAttributes::Output> set_platform_application_attributes(
      Ctx& ctx, const SetPlatformApplicationAttributesInput& in);
  Task<ListPlatformApplicationsResponse> list_platform_applications(Ctx& ctx, const ListPlatformApplicationsInput& in);
  Task<CreateEndpointResponse> create_platform_endpoint(Ctx& ctx, const CreatePlatformEndpointInput& in);
  Task<op::DeleteEndpoint::Output> delete_endpoint(Ctx& ctx, const DeleteEndpointInput& in);
  Task<GetEndpointAttributesResponse> get_endpoint_attributes(Ctx& ctx, const GetEndpointAttributesInput& in);
  Task<op::SetEndpointAttributes::Output> set_endpoint_attributes(Ctx& ctx, const SetEndpointAttributesInput& in);
  Task<ListEndpointsByPlatformApplicationResponse> list_endpoints_by_platform_application(
      Ctx& ctx, const ListEndpointsByPlatformApplicationInput& in);

  // ops_sms.cc
  Task<GetSMSAttributesResponse> get_sms_attributes(Ctx& ctx, const GetSMSAttributesInput& in);
  Task<op::SetSMSAttributes::Output> set_sms_attributes(Ctx& ctx, const SetSMSAttributesInput& in);
  Task<CheckIfPhoneNumberIsOptedOutResponse> check_if_phone_number_is_opted_out(
      Ctx& ctx, const CheckIfPhoneNumberIsOptedOutInput& in);
  Task<ListPhoneNumbersOptedOutResponse> list_phone_numbers_opted_out(Ctx& ctx,
                                                                      const ListPhoneNumbersOptedOutInput& in);
  Task<op::OptInPhoneNumber::Output> opt_in_phone_number(Ctx& ctx, const OptInPhoneNumberInput& in);
  Task<op::CreateSMSSandboxPhoneNumber::Output> create_sms_sandbox_phone_number(
      Ctx& ctx, const CreateSMSSandboxPhoneNumberInput& in);
  Task<op::DeleteSMSSandboxPhoneNumber::Output> delete_sms_sandbox_phone_number(
      Ctx& ctx, const DeleteSMSSandboxPhoneNumberInput& in);
  Task<op::VerifySMSSandboxPhoneNumber::Output> verify_sms_sandbox_phone_number(
      Ctx& ctx, const VerifySMSSandboxPhoneNumberInput& in);
  // What a person answered to a text message.
  Task<kernel::Verdict> take_reply(kernel::Attempt attempt);
  Task<ListSMSSandboxPhoneNumbersResult> list_sms_sandbox_phone_numbers(Ctx& ctx,
                                                                        const ListSMSSandboxPhoneNumbersInput& in);
  Task<GetSMSSandboxAccountStatusResult> get_sms_sandbox_account_status(Ctx& ctx,
                                                                        const GetSMSSandboxAccountStatusInput& in);
  Task<ListOriginationNumbersResult> list_origination_numbers(Ctx& ctx, const ListOriginationNumbersRequest& in);

  // fan_out.cc: from a published message to its subscriptions' lanes.
  Task<void> fan_out(kv::Txn& tx, TopicId id, TopicRecord topic, Message message, std::string after);
  void enqueue(kv::Txn& tx, const TopicId& topic, const std::string& subscription, const Message& message, bool fifo);
  void enqueue_queues(kv::Txn& tx, const TopicId& topic, std::vector<Job::Queue> queues, const Message& message,
                      const std::string& page);
  Task<kernel::Verdict> go_on(kernel::Attempt attempt);
  Task<kernel::Verdict> replay(kernel::Attempt attempt);
  void begin_replay(kv::Txn& tx, const TopicId& topic, SubscriptionRecord& subscription, Time now);

  // deliver.cc: one message to one subscription.
  Task<kernel::Verdict> deliver(kernel::Attempt attempt);
  Task<kernel::Verdict> to_queues(kernel::Attempt attempt);
  struct Target;
  Task<Answer> hand_over(Target& target, std::string attempt_id);
  Task<Answer> post(Target& target);
  Task<kernel::TargetInput> input_for(Target& target, bool to_queue);
  Task<kernel::TargetDelivery> dead_letter(Target& target, std::string queue);
  Task<kernel::Verdict> after_failure(const kernel::Attempt& attempt, Target& target, const Failure& failure);
  // status.cc: a line on what became of a delivery, where the topic, or the settings of text messages, ask for it.
  Task<void> report(kv::Txn& tx, const TopicRecord& topic, TopicId id, const Message& message,
                    const SubscriptionRecord& subscription, const kernel::Attempt& attempt, Answer answer);
  Task<void> report_text(kv::Txn& tx, TopicId id, const Message& message, std::string number, Micros dwell,
                         Answer answer);
  void enqueue_status(kv::Txn& tx, const TopicId& id, std::string role, Json notification, Json delivery, bool success);
  Task<kernel::Verdict> write_status(kernel::Attempt attempt);
  Task<void> write_line(TopicId topic, std::string role, std::string line, Time time, bool success);
  // How long an endpoint that is sent so many a second must wait; zero: it is its turn.
  Micros throttled(const std::string& subscription, int64_t per_second);

  // Into the outbox, which is trimmed now and then.
  void put_out(kv::Txn& tx, const kernel::OutboxItem& item);

  kernel::Deps& deps_;
  sqs::Post& post_;
  const std::vector<Executor*> executors_;
  std::atomic<size_t> next_executor_ = 0;
  std::atomic<uint64_t> put_out_ = 0;
  Filters filters_;
  Signer signer_;
  kernel::Outbound outbound_;
  std::mutex throttle_mutex_;
  std::unordered_map<std::string, Time> next_turn_;  // of throttled subscriptions
};

inline constexpr std::string_view kDeliver = "sns";         // one message to one subscription
inline constexpr std::string_view kQueues = "sns.queues";   // one message to many standard queues
inline constexpr std::string_view kStatus = "sns.status";   // a line for a topic's status log
inline constexpr std::string_view kFanOut = "sns.fan_out";  // a message to the next subscriptions of its topic
inline constexpr std::string_view kReplay = "sns.replay";   // a subscription's next archived messages

// Whether each queue's delivery has its line in a log.
bool reports_queues(const TopicRecord& topic);

// Where URLs for subscribers begin.
std::string base_url_of(const Ctx& ctx);
std::string unsubscribe_url(std::string_view base_url, std::string_view subscription_arn);

}  // namespace virga::sns
