#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "kernel/target_delivery.h"
#include "kv/record.h"
#include "services/sns/envelope.h"
#include "services/sns/limits.h"
#include "services/sns/service.h"

namespace virga::sns {

// One message on its way to one subscription.
struct SnsService::Target {
  Message message;
  TopicId topic;
  TopicRecord record;
  SubscriptionRecord subscription;
  std::string arn;   // the subscription's
  std::string body;  // what the message says to its protocol
  HttpDelivery http;
  RetrySchedule schedule;
  std::optional<kernel::OutboxItem> item;  // of what people get
};

namespace {

constexpr ErrorShape kEndpointFailed{"EndpointFailed", 502, Fault::kReceiver, {}};
constexpr ErrorShape kEndpointRefused{"EndpointRefused", 400, Fault::kSender, {}};
constexpr std::string_view kService = "sns.amazonaws.com";

bool is_http(const std::string& protocol) { return protocol == "http" || protocol == "https"; }

std::map<std::string, kernel::TargetInput::Attribute> queue_attributes(const Message& message) {
  std::map<std::string, kernel::TargetInput::Attribute> out;
  for (const auto& [name, attribute] : message.attributes) out[name] = {attribute.value, attribute.type};
  return out;
}

bool is_raw(const Message& message, const SubscriptionRecord& subscription) {
  return message.type == "Notification" && subscription.is("RawMessageDelivery");
}

// A message as it is, for a queue.
kernel::TargetInput raw_input(const Message& message, const std::string& body) {
  kernel::TargetInput input;
  input.trace = message.trace;
  input.body = body;
  input.attributes = queue_attributes(message);
  if (message.replayed) input.attributes["Replayed"] = {"true", "String"};
  return input;
}

std::string email_subject(const Message& message) {
  if (message.type == "SubscriptionConfirmation") return "AWS Notification - Subscription Confirmation";
  if (message.type == "UnsubscribeConfirmation") return "AWS Notification - Unsubscribe Confirmation";
  return message.subject.value_or("AWS Notification Message");
}

// A FIFO topic's message keeps its group and its deduplication id in a FIFO queue; a standard topic's group makes a
// queue fair.
void set_group(kernel::TargetInput& input, const Message& message, std::string_view queue) {
  const bool fifo_queue = queue.ends_with(".fifo");
  if (fifo_queue) input.deduplication = message.deduplication;
  if (fifo_queue || message.sequence.empty()) input.group = message.group;
}

// As much of an endpoint's answer as a status log tells.
std::string clipped(std::string body) {
  if (body.size() > kMostResponse) body.resize(kMostResponse);
  while (!body.empty() && !is_utf8(body)) body.pop_back();
  return body;
}

Answer answer_of(const std::string& protocol, const Failure& failure) {
  const Error* error = error_of(failure);
  if (!error) return {.success = false, .response = "The delivery failed unexpectedly."};
  if (error->members && error->members->find("body")) {
    return {.success = false,
            .status = error->members->find("status")->as_int(),
            .response = error->members->string_or("body")};
  }
  if (protocol != "sqs" && protocol != "lambda") return {.success = false, .response = error->message};
  // SNS speaks to queues in the query protocol, which has names and statuses of its own.
  const std::string_view code =
      protocol == "sqs" && !error->shape->query_code.empty() ? error->shape->query_code : error->shape->code;
  const int64_t status = code == "AccessDenied" ? 403 : error->shape->status;
  const Json response = Json::object({{"ErrorCode", std::string(code)},
                                      {"ErrorMessage", error->message},
                                      {cat(protocol, "RequestId"), "Unrecoverable"}});
  return {.success = false, .status = status, .response = response.dump()};
}

}  // namespace

Task<kernel::Verdict> SnsService::deliver(kernel::Attempt attempt) {
  Job job = kv::decode<Job>(attempt.payload);
  Target target;
  target.topic = *topic_of(job.message.topic_arn);
  {
    const auto snapshot = deps_.db.snapshot();
    const Store store(*snapshot);
    auto subscription =
        job.ended ? std::move(job.ended) : co_await store.find_subscription(target.topic, job.subscriptions[0]);
    // Ended since the message was published.
    if (!subscription) co_return kernel::Verdict::done();
    target.subscription = std::move(*subscription);
    target.record = (co_await store.find_topic(target.topic)).value_or(TopicRecord{});
    if (is_http(target.subscription.protocol))
      target.http =
          http_delivery(target.record.attribute("DeliveryPolicy"), target.subscription.attribute("DeliveryPolicy"));
  }
  target.message = std::move(job.message);
  target.arn = subscription_arn(target.topic, target.subscription.id);
  target.body = target.message.for_protocol(target.subscription.protocol);
  const std::string& protocol = target.subscription.protocol;
  target.schedule = is_http(protocol)                           ? target.http.retry
                    : protocol == "sqs" || protocol == "lambda" ? managed_schedule()
                                                                : person_schedule();
  if (const Micros wait = throttled(target.arn, target.http.per_second); wait.count() > 0)
    co_return kernel::Verdict::later(wait);

  auto done = co_await as_result(hand_over(target, attempt.id));
  if (!done) co_return co_await after_failure(attempt, target, done.error());
  co_return kernel::Verdict::done().with(
      [this, target = std::move(target), attempt, answer = std::move(*done)](kv::Txn& tx) -> Task<void> {
        if (target.item) put_out(tx, *target.item);
        co_await report(tx, target.record, target.topic, target.message, target.subscription, attempt, answer);
      });
}

// The queues' writes and the end of the delivery are one commit: each gets the message exactly once.
Task<kernel::Verdict> SnsService::to_queues(kernel::Attempt attempt) {
  struct Letters {
    Job job;
    TopicId topic;
    sqs::Opening raw;
    struct Enveloped {
      Envelope envelope;
      sqs::Opening opening;
    };
    std::map<std::string, Enveloped> by_address;  // that their URLs begin with
  };
  if (!executors_.empty()) co_await move_to(*executors_[next_executor_++ % executors_.size()]);
  Job decoded = kv::decode<Job>(attempt.payload);
  const TopicId of = *topic_of(decoded.message.topic_arn);
  const std::string body = decoded.message.for_protocol("sqs");
  const auto letters = std::make_shared<Letters>(Letters{std::move(decoded), of, sqs::Opening(body), {}});
  for (const Job::Queue& queue : letters->job.queues) {
    if (queue.raw || letters->by_address.contains(queue.base_url)) continue;
    const Message& message = letters->job.message;
    Envelope envelope(message, body, co_await signer_.sign(message, body, queue.base_url));
    sqs::Opening opening(envelope.opening());
    letters->by_address.emplace(queue.base_url, Letters::Enveloped{std::move(envelope), std::move(opening)});
  }
  co_return kernel::Verdict::done().with([this, letters](kv::Txn& tx) -> Task<void> {
    const auto& [job, topic, raw, by_address] = *letters;
    Ctx ctx =
        deps_.cloud.internal_context(kernel::service_principal(kService, topic.account), topic.account, topic.region);
    ctx.source_arn = topic.arn();
    ctx.source_account = topic.account;
    for (const Job::Queue& queue : job.queues) {
      KILL_POINT("sns.to_queues");
      const sqs::Opening* opening = &raw;
      kernel::TargetInput input = raw_input(job.message, {});
      if (!queue.raw) {
        const Letters::Enveloped& enveloped = by_address.at(queue.base_url);
        opening = &enveloped.opening;
        input.body = enveloped.envelope.rest(unsubscribe_url(queue.base_url, subscription_arn(topic, queue.id)));
        input.attributes.clear();
      }
      set_group(input, job.message, queue.endpoint);
      const auto sent = co_await as_result(post_.post(ctx, tx, queue.endpoint, *opening, std::move(input)));
      if (!sent) enqueue(tx, topic, queue.id, job.message, false);
    }
    // Ids alone are of an earlier version's row.
    for (const std::string& id : job.subscriptions) enqueue(tx, topic, id, job.message, false);
  });
}

Task<Answer> SnsService::hand_over(Target& target, std::string attempt_id) {
  const std::string& protocol = target.subscription.protocol;
  if (is_http(protocol)) co_return co_await post(target);
  if (protocol == "sqs" || protocol == "lambda") {
    kernel::TargetDelivery delivery;
    delivery.target = target.subscription.endpoint;
    delivery.account = target.topic.account;
    delivery.region = target.topic.region;
    delivery.service = kService;
    delivery.source_arn = target.topic.arn();
    delivery.input = co_await input_for(target, protocol == "sqs");
    if (protocol == "sqs") set_group(delivery.input, target.message, delivery.target);
    const bool queue = protocol == "sqs";
    const std::string id = co_await deps_.targets.call(std::move(delivery), attempt_id);
    Json response = Json::object({{queue ? "sqsRequestId" : "lambdaRequestId", attempt_id}});
    if (queue) response["sqsMessageId"] = id;
    co_return Answer{.status = queue ? 200 : 202, .response = response.dump()};
  }
  kernel::OutboxItem item{.time = deps_.clock.now(),
                          .service = "sns",
                          .account = target.topic.account,
                          .region = target.topic.region,
                          .kind = "email",
                          .to = target.subscription.endpoint,
                          .subject = email_subject(target.message),
                          .body = {},
                          .details = {{"MessageId", target.message.id},
                                      {"TopicArn", target.message.topic_arn},
                                      {"SubscriptionArn", target.arn},
                                      {"Type", target.message.type}}};
  const std::string unsubscribe = unsubscribe_url(target.subscription.base_url, target.arn);
  if (protocol == "email") {
    item.body = email_text(target.message, target.body, target.subscription.endpoint, unsubscribe);
    if (!target.message.subscribe_url.empty()) item.details["SubscribeURL"] = target.message.subscribe_url;
  } else if (protocol == "email-json") {
    const Signed signed_by = co_await signer_.sign(target.message, target.body, target.subscription.base_url);
    item.body = envelope(target.message, target.body, signed_by, unsubscribe);
  } else if (protocol == "sms") {
    const std::string number = number_of(target.subscription.endpoint);
    if (co_await Store(*deps_.db.snapshot()).is_opted_out({target.topic.account, target.topic.region}, number)) {
      co_await fail(Error{&kEndpointRefused, std::string(kOptedOut), nullptr, {}});
    }
    item.kind = "sms";
    item.to = number;
    item.subject = target.message.subject.value_or("");
    item.body = target.body;
  } else {  // application
    item.kind = "push";
    item.subject = target.message.subject.value_or("");
    const auto arn = kernel::parse_arn(target.subscription.endpoint);
    const auto parts = split(arn->resource, '/');
    const std::string platform(parts[1]);
    const auto endpoint =
        co_await Store(*deps_.db.snapshot())
            .find_endpoint({arn->account, arn->region}, platform, std::string(parts[2]), std::string(parts[3]));
    if (!endpoint || endpoint->attributes.at("Enabled") != "true")
      co_await fail(Error{&kEndpointRefused, "The endpoint is disabled or does not exist.", nullptr, {}});
    item.to = endpoint->attributes.at("Token");
    item.body = target.message.for_protocol(platform);
    if (!target.message.by_protocol.contains(platform)) item.body = target.body;
    item.details["EndpointArn"] = target.subscription.endpoint;
    item.details["Platform"] = platform;
  }
  target.item = std::move(item);
  co_return Answer{};
}

// What the target, or the queue for dead letters, is given.
Task<kernel::TargetInput> SnsService::input_for(Target& target, bool to_queue) {
  const Message& message = target.message;
  if (to_queue && is_raw(message, target.subscription)) co_return raw_input(message, target.body);
  const Signed signed_by = co_await signer_.sign(message, target.body, target.subscription.base_url);
  const std::string unsubscribe = unsubscribe_url(target.subscription.base_url, target.arn);
  kernel::TargetInput input;
  input.trace = message.trace;
  input.body = to_queue ? envelope(message, target.body, signed_by, unsubscribe)
                        : lambda_event(message, target.body, signed_by, unsubscribe, target.arn);
  co_return input;
}

Task<Answer> SnsService::post(Target& target) {
  const Message& message = target.message;
  const bool raw = is_raw(message, target.subscription);
  kernel::OutboundRequest request;
  request.url = target.subscription.endpoint;
  request.headers = {{"x-amz-sns-message-type", message.type},
                     {"x-amz-sns-message-id", message.id},
                     {"x-amz-sns-topic-arn", message.topic_arn}};
  if (message.type != "SubscriptionConfirmation")
    request.headers.emplace_back("x-amz-sns-subscription-arn", target.arn);
  if (raw) request.headers.emplace_back("x-amz-sns-rawdelivery", "true");
  const bool confirmation = message.type != "Notification";
  request.headers.emplace_back("Content-Type", confirmation ? HttpDelivery().content_type : target.http.content_type);
  request.headers.emplace_back("User-Agent", "Amazon Simple Notification Service Agent");
  request.headers.emplace_back("Accept-Encoding", "gzip,deflate");
  if (raw) {
    request.body = target.body;
  } else {
    const Signed signed_by = co_await signer_.sign(message, target.body, target.subscription.base_url);
    request.body = envelope(message, target.body, signed_by, unsubscribe_url(target.subscription.base_url, target.arn));
  }
  const kernel::OutboundAnswer answer = co_await outbound_.send(std::move(request));
  Answer told{.status = answer.status, .response = clipped(answer.body)};
  if (answer.status >= 200 && answer.status < 300) co_return told;
  const bool passing = answer.status >= 500 || answer.status == 429;
  co_await fail(Error{passing ? &kEndpointFailed : &kEndpointRefused,
                      cat("The endpoint answered with status ", answer.status, "."),
                      std::make_shared<const Json>(Json::object({{"status", answer.status}, {"body", told.response}})),
                      {}});
}

Micros SnsService::throttled(const std::string& subscription, int64_t per_second) {
  if (per_second <= 0) return Micros(0);
  const Time now = deps_.clock.now();
  std::lock_guard lock(throttle_mutex_);
  if (next_turn_.size() >= kThrottles)
    std::erase_if(next_turn_, [now](const auto& turn) { return turn.second <= now; });
  Time& next = next_turn_[subscription];
  // A turn further off than any can be was given before the clock was moved back.
  if (next > now && next < now + std::chrono::seconds(2)) return std::chrono::duration_cast<Micros>(next - now);
  next = now + std::chrono::microseconds(1'000'000 / per_second);
  return Micros(0);
}

// What will pass is tried again as the endpoint's kind or its delivery policy says; then, or when it will not, the
// message goes to the subscription's dead-letter queue.
Task<kernel::Verdict> SnsService::after_failure(const kernel::Attempt& attempt, Target& target,
                                                const Failure& failure) {
  const auto wait = target.schedule.wait_after(attempt.attempts + 1);
  if (wait && !kernel::is_permanent(failure)) co_return kernel::Verdict::again(*wait);
  log_warning("sns", "a message could not be delivered",
              {{"subscription", target.arn},
               {"message", target.message.id},
               {"attempts", cat(attempt.attempts + 1)},
               {"why", describe(failure)}});
  const std::string policy = target.subscription.attribute("RedrivePolicy");
  std::optional<kernel::TargetDelivery> letter_of_it;
  if (!policy.empty() && target.message.type == "Notification")
    letter_of_it = co_await dead_letter(target, Json::parse(policy).string_or("deadLetterTargetArn"));
  co_return kernel::Verdict::give_up().with(
      [this, target, attempt, letter = std::move(letter_of_it),
       answer = answer_of(target.subscription.protocol, failure)](kv::Txn& tx) -> Task<void> {
        if (letter) deps_.targets.enqueue(tx, *letter);
        co_await report(tx, target.record, target.topic, target.message, target.subscription, attempt, answer);
      });
}

Task<kernel::TargetDelivery> SnsService::dead_letter(Target& target, std::string queue) {
  kernel::TargetDelivery letter;
  letter.target = std::move(queue);
  letter.account = target.topic.account;
  letter.region = target.topic.region;
  letter.service = kService;
  letter.source_arn = target.topic.arn();
  letter.input = co_await input_for(target, true);
  set_group(letter.input, target.message, letter.target);
  if (!target.message.sequence.empty()) letter.group = target.message.group;
  co_return letter;
}

}  // namespace virga::sns
