#include <aws/sns/errors.h>

#include "base/encoding.h"
#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "kernel/page.h"
#include "kernel/tokens.h"
#include "kv/record.h"
#include "services/sns/limits.h"
#include "services/sns/service.h"

namespace virga::sns {
namespace {

// What a confirmation's token says.
struct Token {
  std::string topic, id;
  Time expires;
  template <class A>
  void fields(A& a) {
    a(1, topic), a(2, id), a(3, expires);
  }
};
constexpr std::string_view kTokenPurpose = "sns:confirm";

// Whether the endpoint must agree before it is sent anything: it may be somebody else's.
bool must_confirm(const Ctx& ctx, const std::string& protocol, const std::string& endpoint) {
  if (protocol == "sqs") return kernel::parse_arn(endpoint)->account != ctx.account;
  return protocol == "http" || protocol == "https" || protocol == "email" || protocol == "email-json";
}

// Whether `there` has all of `wanted`, defaults counted.
bool has_all(const SubscriptionRecord& there, const Attributes& wanted) {
  for (const auto& [name, value] : wanted) {
    const auto found = there.attributes.find(name);
    std::string kept = found == there.attributes.end() ? "" : found->second;
    if (kept.empty() && name == "RawMessageDelivery") kept = "false";
    if (kept.empty() && name == "FilterPolicyScope") kept = "MessageAttributes";
    if (kept != value) return false;
  }
  return true;
}

Subscription listed(const TopicId& topic, const SubscriptionRecord& subscription) {
  Subscription out;
  out.subscription_arn =
      subscription.confirmed ? subscription_arn(topic, subscription.id) : std::string("PendingConfirmation");
  out.owner = subscription.owner;
  out.protocol = subscription.protocol;
  out.endpoint = subscription.endpoint;
  out.topic_arn = topic.arn();
  return out;
}

bool has_filter(const SubscriptionRecord& subscription) { return subscription.attributes.contains("FilterPolicy"); }

void count(TopicCounts& counts, const SubscriptionRecord& subscription, int64_t by) {
  (subscription.confirmed ? counts.confirmed : counts.pending) += by;
  if (has_filter(subscription)) counts.filters += by;
}

Error too_many_filters() {
  return err::FilterPolicyLimitExceededException(
      cat("Filter policy limit exceeded: a topic has at most ", kMaxFilterPolicies));
}

std::string confirmation_text(const TopicId& topic, const std::string& subscription, bool ended) {
  if (ended)
    return cat("You have chosen to deactivate subscription ", subscription,
               ".\nTo cancel this operation and restore the subscription, visit the SubscribeURL included in this "
               "message.");
  return cat("You have chosen to subscribe to the topic ", topic.arn(),
             ".\nTo confirm the subscription, visit the SubscribeURL included in this message.");
}

}  // namespace

void SnsService::ask_to_confirm(kv::Txn& tx, const TopicId& topic, const TopicRecord& record,
                                const SubscriptionRecord& subscription, Time now, bool ended) {
  const std::string arn = subscription_arn(topic, subscription.id);
  Message message;
  message.type = ended ? "UnsubscribeConfirmation" : "SubscriptionConfirmation";
  message.id = uuid();
  message.topic_arn = topic.arn();
  message.body = confirmation_text(topic, arn, ended);
  message.time = Time::from_millis(now.millis());
  message.signature_version = record.attribute("SignatureVersion") == "2" ? "2" : "1";
  message.token =
      hex_encode(deps_.tokens.seal(kTokenPurpose, kv::encode(Token{topic.arn(), subscription.id, now + kTokenLife})));
  message.subscribe_url =
      cat(subscription.base_url, "/?Action=ConfirmSubscription&TopicArn=", topic.arn(), "&Token=", message.token);
  Job job{std::move(message), {subscription.id}, {}, {}};
  if (ended) job.ended = subscription;
  kernel::Delivery delivery;
  delivery.kind = kDeliver;
  delivery.lane = arn;
  delivery.payload = kv::encode(job);
  deps_.deliveries.enqueue(tx, std::move(delivery));
}

Task<SubscribeResponse> SnsService::subscribe(Ctx& ctx, const SubscribeInput& in) {
  const TopicId id = topic_id(ctx, in.topic_arn);
  if (!in.endpoint || in.endpoint->empty()) co_return invalid("Endpoint");
  const Attributes given = in.attributes.value_or(Attributes{});
  SubscriptionRecord draft;
  draft.id = uuid();
  draft.protocol = in.protocol;
  draft.endpoint = *in.endpoint;
  draft.owner = ctx.principal.account.empty() ? ctx.account : ctx.principal.account;
  draft.principal = ctx.principal.arn;
  draft.created = ctx.now();
  draft.base_url = base_url_of(ctx);

  const SubscriptionRecord made = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<SubscriptionRecord> {
    WriteStore store(tx);
    const auto topic = co_await store.find_topic(id);
    if (!topic) co_return no_topic();
    check_endpoint(ctx, *topic, in.protocol, *in.endpoint);
    const Attributes attributes = checked_subscription_attributes(*topic, draft, given);
    if (const auto same = co_await store.find_same(id, in.protocol, *in.endpoint)) {
      auto there = co_await store.find_subscription(id, *same);
      if (!has_all(*there, attributes))
        co_return invalid("Attributes", "Subscription already exists with different attributes");
      if (!there->confirmed) ask_to_confirm(tx, id, *topic, *there, ctx.now(), false);
      co_return std::move(*there);
    }
    TopicCounts counts = co_await store.counts(id);
    SubscriptionRecord subscription = draft;
    subscription.attributes = attributes;
    subscription.confirmed = !must_confirm(ctx, in.protocol, *in.endpoint);
    subscription.authenticated = subscription.confirmed;
    const auto most = static_cast<int64_t>(topic->fifo() ? kMaxFifoSubscriptions : kMaxSubscriptions);
    if (counts.pending + counts.confirmed >= most)
      co_return err::SubscriptionLimitExceededException("The topic already has the most subscriptions it can have");
    count(counts, subscription, 1);
    if (counts.filters > static_cast<int64_t>(kMaxFilterPolicies)) co_return too_many_filters();
    store.put_counts(id, counts);
    if (subscription.attributes.contains("ReplayPolicy")) begin_replay(tx, id, subscription, ctx.now());
    store.put_subscription(id, subscription);
    if (!subscription.confirmed) {
      ask_to_confirm(tx, id, *topic, subscription, ctx.now(), false);
      co_await deps_.timers.set(tx, {"sns.forget", subscription_arn(id, subscription.id), ctx.now() + kTokenLife, ""});
    }
    co_return subscription;
  });
  SubscribeResponse out;
  const bool tell = made.confirmed || in.return_subscription_arn.value_or(false);
  out.subscription_arn = tell ? subscription_arn(id, made.id) : std::string("pending confirmation");
  co_return out;
}

Task<ConfirmSubscriptionResponse> SnsService::confirm_subscription(Ctx& ctx, const ConfirmSubscriptionInput& in) {
  const bool signed_call = ctx.principal.kind != kernel::Principal::Kind::kAnonymous;
  const auto sealed = hex_decode(in.token);
  if (!sealed || sealed->empty()) co_return err::InvalidParameterException("Invalid token");
  const auto opened = deps_.tokens.open(kTokenPurpose, *sealed);
  if (!opened) co_return invalid("Token");
  const Token token = kv::decode<Token>(*opened);
  const TopicId id = *topic_of(token.topic);
  // The token says which topic is meant: of the name beside it AWS reads no more than where it is.
  const auto named = topic_of(in.topic_arn);
  if (!named || named->account != id.account || named->region != id.region) co_return invalid("Topic");
  if (token.expires < ctx.now()) co_return invalid("Token");
  const bool authenticate =
      in.authenticate_on_unsubscribe && equals_ignoring_case(*in.authenticate_on_unsubscribe, "true");
  if (authenticate && !signed_call)
    co_return err::AuthorizationErrorException("A signature is needed with AuthenticateOnUnsubscribe");

  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx);
    if (!co_await store.find_topic(id)) co_await fail(no_topic());
    auto subscription = co_await store.find_subscription(id, token.id);
    TopicCounts counts = co_await store.counts(id);
    if (subscription && subscription->confirmed) co_return;
    if (subscription) {
      count(counts, *subscription, -1);
    } else {
      // One that was ended, restored by who did not want that, unless the endpoint has subscribed anew since.
      subscription = co_await store.find_ended(id, token.id);
      if (!subscription || co_await store.find_same(id, subscription->protocol, subscription->endpoint))
        co_await fail(no_subscription());
      store.erase_ended(id, token.id);
      counts.deleted = std::max<int64_t>(counts.deleted - 1, 0);
    }
    subscription->confirmed = true;
    subscription->authenticated = signed_call;
    subscription->authenticate_on_unsubscribe = authenticate;
    count(counts, *subscription, 1);
    store.put_counts(id, counts);
    store.put_subscription(id, *subscription);
    co_await deps_.timers.clear(tx, "sns.forget", subscription_arn(id, token.id));
  });
  co_return ConfirmSubscriptionResponse{.subscription_arn = subscription_arn(id, token.id)};
}

Task<op::Unsubscribe::Output> SnsService::unsubscribe(Ctx& ctx, const UnsubscribeInput& in) {
  const bool signed_call = ctx.principal.kind != kernel::Principal::Kind::kAnonymous;
  Ctx anywhere = ctx;
  if (!signed_call) anywhere.region.clear();  // a link is followed from wherever
  if (!in.subscription_arn) co_return invalid("SubscriptionArn", "no value for required parameter");
  const SubscriptionId id = subscription_id(anywhere, *in.subscription_arn);
  const auto there = co_await Store(*deps_.db.snapshot()).find_subscription(id.topic, id.id);
  if (!there) co_return op::Unsubscribe::Output{};
  if (!signed_call && there->authenticate_on_unsubscribe)
    co_return err::AuthorizationErrorException("The subscription can only be ended with a signature");
  if (signed_call) {
    const bool topic_owner = ctx.principal.account == id.topic.account;
    if (!topic_owner && ctx.principal.account != there->owner)
      co_return err::AuthorizationErrorException(
          "Not authorized to unsubscribe: neither owner of topic nor subscription");
    const auto why = co_await deps_.cloud.authorizer().why_denied(
        ctx, {"sns:Unsubscribe", topic_owner ? id.topic.arn() : std::string("*"), {}}, std::nullopt);
    if (why) co_return err::AuthorizationErrorException(*why);
  }
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::Unsubscribe::Output> {
    WriteStore store(tx);
    const auto subscription = co_await store.find_subscription(id.topic, id.id);
    const auto topic = co_await store.find_topic(id.topic);
    if (!subscription || !topic) co_return op::Unsubscribe::Output{};
    TopicCounts counts = co_await store.counts(id.topic);
    count(counts, *subscription, -1);
    ++counts.deleted;
    store.put_counts(id.topic, counts);
    store.erase_subscription(id.topic, *subscription);
    // Whoever follows a link may not be the owner, so the owner can have it back.
    const bool tells = subscription->protocol.starts_with("http") || subscription->protocol.starts_with("email");
    if (tells && subscription->confirmed) {
      store.put_ended(id.topic, *subscription);
      ask_to_confirm(tx, id.topic, *topic, *subscription, ctx.now(), true);
      co_await deps_.timers.set(tx, {"sns.forget", subscription_arn(id.topic, id.id), ctx.now() + kTokenLife, ""});
    }
    co_return op::Unsubscribe::Output{};
  });
}

// Once their tokens have expired, what was ended is gone for good, and what was never confirmed too.
Task<void> SnsService::forget_subscription(kernel::Timer timer) {
  const auto arn = kernel::parse_arn(timer.id);
  const auto [name, id] = split_once(arn->resource, ':');
  const TopicId topic{arn->account, arn->region, std::string(name)};
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx);
    const auto subscription = co_await store.find_subscription(topic, std::string(id));
    if (subscription && !subscription->confirmed) {
      TopicCounts counts = co_await store.counts(topic);
      count(counts, *subscription, -1);
      store.put_counts(topic, counts);
      store.erase_subscription(topic, *subscription);
    }
    store.erase_ended(topic, std::string(id));
    co_await deps_.timers.clear(tx, timer.kind, timer.id);
  });
}

Task<ListSubscriptionsResponse> SnsService::list_subscriptions(Ctx& ctx, const ListSubscriptionsInput& in) {
  const auto after =
      kernel::open_page<std::string>(deps_.tokens, ctx, "sns:ListSubscriptions", in.next_token, invalid("NextToken"));
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot);
  auto owned = co_await store.list_owned(home_of(ctx), after.value_or(""), kPage + 1);
  ListSubscriptionsResponse out;
  if (owned.size() > kPage) {
    owned.pop_back();
    out.next_token = kernel::seal_page(deps_.tokens, ctx, "sns:ListSubscriptions", owned.back().key);
  }
  out.subscriptions.emplace();
  for (const Store::Owned& one : owned) {
    const auto subscription = co_await store.find_subscription(one.topic, one.id);
    if (subscription) out.subscriptions->push_back(listed(one.topic, *subscription));
  }
  co_return out;
}

Task<ListSubscriptionsByTopicResponse> SnsService::list_subscriptions_by_topic(
    Ctx& ctx, const ListSubscriptionsByTopicInput& in) {
  const TopicId id = topic_id(ctx, in.topic_arn);
  const std::string purpose = cat("sns:ListSubscriptionsByTopic:", id.name);
  const auto after = kernel::open_page<std::string>(deps_.tokens, ctx, purpose, in.next_token, invalid("NextToken"));
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot);
  if (!co_await store.find_topic(id)) co_return no_topic();
  auto page = co_await store.list_subscriptions(id, after.value_or(""), kPage + 1);
  ListSubscriptionsByTopicResponse out;
  if (page.size() > kPage) {
    page.pop_back();
    out.next_token = kernel::seal_page(deps_.tokens, ctx, purpose, page.back().id);
  }
  out.subscriptions.emplace();
  for (const SubscriptionRecord& subscription : page) out.subscriptions->push_back(listed(id, subscription));
  co_return out;
}

Task<GetSubscriptionAttributesResponse> SnsService::get_subscription_attributes(
    Ctx& ctx, const GetSubscriptionAttributesInput& in) {
  const SubscriptionId id = subscription_id(ctx, in.subscription_arn);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot);
  const auto topic = co_await store.find_topic(id.topic);
  const auto subscription = co_await store.find_subscription(id.topic, id.id);
  if (!topic || !subscription) co_return no_subscription();
  co_return GetSubscriptionAttributesResponse{.attributes = shown_attributes(*topic, id.topic, *subscription)};
}

Task<op::SetSubscriptionAttributes::Output> SnsService::set_subscription_attributes(
    Ctx& ctx, const SetSubscriptionAttributesInput& in) {
  const SubscriptionId id = subscription_id(ctx, in.subscription_arn);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::SetSubscriptionAttributes::Output> {
    WriteStore store(tx);
    const auto topic = co_await store.find_topic(id.topic);
    auto subscription = co_await store.find_subscription(id.topic, id.id);
    if (!topic || !subscription) co_return no_subscription();
    const bool filtered = has_filter(*subscription);
    set_subscription_attribute(*topic, *subscription, in.attribute_name, in.attribute_value.value_or(""));
    if (filtered != has_filter(*subscription)) {
      TopicCounts counts = co_await store.counts(id.topic);
      counts.filters += filtered ? -1 : 1;
      if (counts.filters > static_cast<int64_t>(kMaxFilterPolicies)) co_return too_many_filters();
      store.put_counts(id.topic, counts);
    }
    if (in.attribute_name == "ReplayPolicy") begin_replay(tx, id.topic, *subscription, ctx.now());
    store.put_subscription(id.topic, *subscription);
    co_return op::SetSubscriptionAttributes::Output{};
  });
}

}  // namespace virga::sns
