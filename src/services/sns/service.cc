#include "services/sns/service.h"

#include <aws/sns/errors.h>
#include <aws/sns/model.h>

#include "base/str.h"
#include "services/sns/api.h"
#include "services/sns/limits.h"

namespace virga::sns {

std::string base_url_of(const Ctx& ctx) {
  return ctx.base_url.empty() ? cat("https://sns.", ctx.region, ".amazonaws.com") : ctx.base_url;
}

std::string unsubscribe_url(std::string_view base_url, std::string_view subscription_arn) {
  return cat(base_url, "/?Action=Unsubscribe&SubscriptionArn=", subscription_arn);
}

namespace {

// AWS:SourceOwner, which default policies ask for, is on whose behalf a service calls.
std::vector<kernel::Access> access(const Ctx& ctx, std::string_view action, std::string resource) {
  kernel::Access one{cat("sns:", action), std::move(resource), {}};
  if (!ctx.source_account.empty()) one.conditions.push_back({"aws:SourceOwner", {ctx.source_account}});
  return {std::move(one)};
}

template <class Op, class In, std::string In::* Member>
auto on(std::string_view action) {
  return [action](const Ctx& ctx, const In& in) { return access(ctx, action, in.*Member); };
}

std::string topic_resource(const Ctx& ctx, const CreateTopicInput& in) { return kernel::arn(ctx, "sns", in.name); }

// A subscription's permissions are asked of its topic.
std::string topic_of_subscription(const std::string& arn) {
  const auto parsed = kernel::parse_arn(arn);
  const size_t colon = parsed ? parsed->resource.find(':') : std::string::npos;
  return colon == std::string::npos ? "*" : arn.substr(0, arn.size() - (parsed->resource.size() - colon));
}
template <class In>
std::string by_subscription(const Ctx&, const In& in) {
  return topic_of_subscription(in.subscription_arn);
}

std::vector<kernel::Access> publish_access(const Ctx& ctx, const PublishInput& in) {
  return access(ctx, "Publish", in.topic_arn ? *in.topic_arn : in.target_arn ? *in.target_arn : "*");
}

// The policies of a subscription's protocol and endpoint: sns:Protocol and sns:Endpoint.
std::vector<kernel::Access> subscribe_access(const Ctx& ctx, const SubscribeInput& in) {
  auto all = access(ctx, "Subscribe", in.topic_arn);
  all[0].conditions.push_back({"sns:Protocol", {in.protocol}});
  if (in.endpoint) all[0].conditions.push_back({"sns:Endpoint", {*in.endpoint}});
  return all;
}

}  // namespace

SnsService::SnsService(kernel::Deps& deps, sqs::Post& post, std::vector<Executor*> executors)
    : deps_(deps), post_(post), executors_(std::move(executors)), signer_(deps.db) {
  deps_.deliveries.on(std::string(kQueues), [this](kernel::Attempt attempt) { return to_queues(std::move(attempt)); });
  deps_.deliveries.on(std::string(kDeliver), [this](kernel::Attempt attempt) { return deliver(std::move(attempt)); });
  deps_.deliveries.on(std::string(kStatus),
                      [this](kernel::Attempt attempt) { return write_status(std::move(attempt)); });
  deps_.deliveries.on(kernel::reply_kind("sns"),
                      [this](kernel::Attempt attempt) { return take_reply(std::move(attempt)); });
  deps_.deliveries.on(std::string(kFanOut), [this](kernel::Attempt attempt) { return go_on(std::move(attempt)); });
  deps_.deliveries.on(std::string(kReplay), [this](kernel::Attempt attempt) { return replay(std::move(attempt)); });
  deps_.timers.on("sns.forget", [this](kernel::Timer timer) { return forget_subscription(std::move(timer)); });
  deps_.timers.on("sns.archive", [this](kernel::Timer timer) { return expire_archive(std::move(timer)); });
  // An event for a topic's ARN is published, by whoever delivers it.
  deps_.cloud.accept(
      "sns", [this](Ctx& ctx, const kernel::Arn& target, kernel::TargetInput input) -> Task<std::string> {
        PublishInput request;
        request.topic_arn =
            cat("arn:", target.partition, ":sns:", target.region, ":", target.account, ":", target.resource);
        request.message = std::move(input.body);
        if (!input.group.empty()) request.message_group_id = input.group;
        if (!input.deduplication.empty()) request.message_deduplication_id = input.deduplication;
        if (const auto subject = input.parameters.find("Subject"); subject != input.parameters.end())
          request.subject = subject->second;
        for (auto& [name, attribute] : input.attributes) {
          MessageAttributeValue value;
          value.data_type = attribute.type;
          (attribute.type.starts_with("Binary") ? value.binary_value : value.string_value) = attribute.value;
          if (!request.message_attributes) request.message_attributes.emplace();
          request.message_attributes->emplace(name, std::move(value));
        }
        ctx.region = target.region;
        const PublishResponse response = co_await deps_.cloud.call<op::Publish>(ctx, std::move(request));
        co_return response.message_id.value_or("");
      });
}

const wire::ServiceModel& SnsService::model() const { return kModel; }

std::vector<kernel::Endpoint> SnsService::endpoints() {
  return {{"sns-certificate", [this](Ctx&, kernel::EndpointRequest& request) -> Task<wire::HttpResponse> {
             const auto pem = co_await signer_.certificate(request.id);
             wire::HttpResponse response;
             response.status = pem ? 200 : 404;
             response.headers.set("content-type", pem ? "application/x-pem-file" : "text/plain");
             response.body = pem ? *pem : "No such certificate\n";
             co_return response;
           }}};
}

void SnsService::put_out(kv::Txn& tx, const kernel::OutboxItem& item) {
  kernel::put_in_outbox(tx, item);
  if (++put_out_ % kTrimAfter == 0) tx.on_commit([this] { start_background("outbox", kernel::trim_outbox(deps_.db)); });
}

Task<void> SnsService::stop() { co_await outbound_.stop(); }

// The policy of the topic that an ARN names.
Task<std::optional<std::string>> SnsService::resource_policy(Ctx& ctx, std::string resource) {
  const auto id = topic_of(resource);
  if (!id) co_return std::nullopt;
  const auto topic = co_await Store(*deps_.db.snapshot()).find_topic(*id);
  if (!topic) co_return std::nullopt;
  const std::string policy = topic->attribute("Policy");
  co_return policy.empty() ? default_policy(*id) : policy;
}

void SnsService::operations(kernel::OpTable& t) {
  using S = SnsService;
  t.add<op::CreateTopic>(this, &S::create_topic).resource(topic_resource);
  t.add<op::DeleteTopic>(this, &S::delete_topic)
      .access(on<op::DeleteTopic, DeleteTopicInput, &DeleteTopicInput::topic_arn>("DeleteTopic"))
      .guarded();
  t.add<op::ListTopics>(this, &S::list_topics);
  t.add<op::GetTopicAttributes>(this, &S::get_topic_attributes)
      .access(on<op::GetTopicAttributes, GetTopicAttributesInput, &GetTopicAttributesInput::topic_arn>(
          "GetTopicAttributes"))
      .guarded();
  t.add<op::SetTopicAttributes>(this, &S::set_topic_attributes)
      .access(on<op::SetTopicAttributes, SetTopicAttributesInput, &SetTopicAttributesInput::topic_arn>(
          "SetTopicAttributes"))
      .guarded();
  t.add<op::AddPermission>(this, &S::add_permission)
      .access(on<op::AddPermission, AddPermissionInput, &AddPermissionInput::topic_arn>("AddPermission"))
      .guarded();
  t.add<op::RemovePermission>(this, &S::remove_permission)
      .access(on<op::RemovePermission, RemovePermissionInput, &RemovePermissionInput::topic_arn>("RemovePermission"))
      .guarded();
  t.add<op::TagResource>(this, &S::tag_resource).resource([](const Ctx&, const TagResourceRequest& in) {
    return in.resource_arn;
  });
  t.add<op::UntagResource>(this, &S::untag_resource).resource([](const Ctx&, const UntagResourceRequest& in) {
    return in.resource_arn;
  });
  t.add<op::ListTagsForResource>(this, &S::list_tags_for_resource)
      .resource([](const Ctx&, const ListTagsForResourceRequest& in) { return in.resource_arn; });
  t.add<op::PutDataProtectionPolicy>(this, &S::put_data_protection_policy)
      .resource([](const Ctx&, const PutDataProtectionPolicyInput& in) { return in.resource_arn; });
  t.add<op::GetDataProtectionPolicy>(this, &S::get_data_protection_policy)
      .resource([](const Ctx&, const GetDataProtectionPolicyInput& in) { return in.resource_arn; });

  t.add<op::Subscribe>(this, &S::subscribe).access(subscribe_access).guarded();
  // What a token or an unsubscribe link allows, no signature is needed for; who signs is asked for in the handler.
  t.add<op::Unsubscribe>(this, &S::unsubscribe).open();
  t.add<op::ConfirmSubscription>(this, &S::confirm_subscription).open();
  t.add<op::ListSubscriptions>(this, &S::list_subscriptions);
  t.add<op::ListSubscriptionsByTopic>(this, &S::list_subscriptions_by_topic)
      .access(
          on<op::ListSubscriptionsByTopic, ListSubscriptionsByTopicInput, &ListSubscriptionsByTopicInput::topic_arn>(
              "ListSubscriptionsByTopic"))
      .guarded();
  t.add<op::GetSubscriptionAttributes>(this, &S::get_subscription_attributes)
      .resource(by_subscription<GetSubscriptionAttributesInput>);
  t.add<op::SetSubscriptionAttributes>(this, &S::set_subscription_attributes)
      .resource(by_subscription<SetSubscriptionAttributesInput>);

  t.add<op::Publish>(this, &S::publish).access(publish_access).guarded().data_plane();
  t.add<op::PublishBatch>(this, &S::publish_batch)
      .access(on<op::PublishBatch, PublishBatchInput, &PublishBatchInput::topic_arn>("Publish"))
      .guarded()
      .data_plane();

  t.add<op::CreatePlatformApplication>(this, &S::create_platform_application);
  t.add<op::DeletePlatformApplication>(this, &S::delete_platform_application);
  t.add<op::GetPlatformApplicationAttributes>(this, &S::get_platform_application_attributes);
  t.add<op::SetPlatformApplicationAttributes>(this, &S::set_platform_application_attributes);
  t.add<op::ListPlatformApplications>(this, &S::list_platform_applications);
  t.add<op::CreatePlatformEndpoint>(this, &S::create_platform_endpoint);
  t.add<op::DeleteEndpoint>(this, &S::delete_endpoint);
  t.add<op::GetEndpointAttributes>(this, &S::get_endpoint_attributes);
  t.add<op::SetEndpointAttributes>(this, &S::set_endpoint_attributes);
  t.add<op::ListEndpointsByPlatformApplication>(this, &S::list_endpoints_by_platform_application);

  t.add<op::GetSMSAttributes>(this, &S::get_sms_attributes);
  t.add<op::SetSMSAttributes>(this, &S::set_sms_attributes);
  t.add<op::CheckIfPhoneNumberIsOptedOut>(this, &S::check_if_phone_number_is_opted_out);
  t.add<op::ListPhoneNumbersOptedOut>(this, &S::list_phone_numbers_opted_out);
  t.add<op::OptInPhoneNumber>(this, &S::opt_in_phone_number);
  t.add<op::CreateSMSSandboxPhoneNumber>(this, &S::create_sms_sandbox_phone_number);
  t.add<op::DeleteSMSSandboxPhoneNumber>(this, &S::delete_sms_sandbox_phone_number);
  t.add<op::VerifySMSSandboxPhoneNumber>(this, &S::verify_sms_sandbox_phone_number);
  t.add<op::ListSMSSandboxPhoneNumbers>(this, &S::list_sms_sandbox_phone_numbers);
  t.add<op::GetSMSSandboxAccountStatus>(this, &S::get_sms_sandbox_account_status);
  t.add<op::ListOriginationNumbers>(this, &S::list_origination_numbers);
}

std::unique_ptr<kernel::Service> make_sns(kernel::Deps& deps, sqs::Post& post, std::vector<Executor*> executors) {
  return std::make_unique<SnsService>(deps, post, std::move(executors));
}

}  // namespace virga::sns
