#include <algorithm>

#include "base/json.h"
#include "base/str.h"
#include "kv/record.h"
#include "services/sns/envelope.h"
#include "services/sns/limits.h"
#include "services/sns/service.h"

namespace virga::sns {

// Part of the transaction that accepts the message, so that it is on its way to everybody or was never published. A
// topic with more subscriptions than one transaction should look at goes on page by page.
Task<void> SnsService::fan_out(kv::Txn& tx, TopicId topic, TopicRecord record, Message message, std::string after) {
  const bool fifo = record.fifo(), together = !fifo && !reports_queues(record);
  const auto page = co_await Store(tx).list_subscriptions(topic, after, kFanOutPage);
  std::optional<std::string> attributes;
  std::vector<Job::Queue> queues;
  for (const SubscriptionRecord& subscription : page) {
    // What is published during a replay is in the archive too, and comes in its turn.
    if (!subscription.confirmed || subscription.replaying()) continue;
    if (const FilterPtr filter = filters_.of(subscription)) {
      if (!attributes) attributes = attributes_event(message);
      if (!filter->matches(message.for_protocol(subscription.protocol), *attributes)) continue;
    }
    if (together && subscription.protocol == "sqs") {
      queues.push_back(
          {subscription.id, subscription.endpoint, subscription.base_url, subscription.is("RawMessageDelivery")});
    } else {
      enqueue(tx, topic, subscription.id, message, fifo);
    }
  }
  enqueue_queues(tx, topic, std::move(queues), message, after);
  if (page.size() < kFanOutPage) co_return;
  kernel::Delivery rest;
  rest.kind = kFanOut;
  rest.lane = topic.arn();
  if (fifo) rest.group = message.group;
  rest.payload = kv::encode(Job{std::move(message), {}, {}, page.back().id, {}});
  deps_.deliveries.enqueue(tx, std::move(rest));
}

// A few queues have a delivery each. Many are written to by the hundred in one commit; a queue that refuses gets its
// own delivery then. A hundred's deliveries run one after the other, since they would write the same queues' counts.
void SnsService::enqueue_queues(kv::Txn& tx, const TopicId& topic, std::vector<Job::Queue> queues,
                                const Message& message, const std::string& page) {
  if (queues.size() < kTogether) {
    for (const Job::Queue& queue : queues) enqueue(tx, topic, queue.id, message, false);
    return;
  }
  const size_t chunk = std::clamp<size_t>(kChunkBytes / (size_of(message) + 1024), 1, kChunk);
  for (size_t from = 0; from < queues.size(); from += chunk) {
    Job job{message, {}, {}, {}, {}};
    for (size_t i = from; i < std::min(from + chunk, queues.size()); ++i) job.queues.push_back(std::move(queues[i]));
    kernel::Delivery delivery;
    delivery.kind = kQueues;
    delivery.lane = cat(topic.arn(), "#", page, "#", from / chunk);
    delivery.group = "queues";
    delivery.payload = kv::encode(job);
    deps_.deliveries.enqueue(tx, std::move(delivery));
  }
}

void SnsService::enqueue(kv::Txn& tx, const TopicId& topic, const std::string& subscription, const Message& message,
                         bool fifo) {
  kernel::Delivery delivery;
  delivery.kind = kDeliver;
  delivery.lane = subscription_arn(topic, subscription);
  if (fifo) delivery.group = message.group;
  delivery.payload = kv::encode(Job{message, {subscription}, {}, {}, {}});
  deps_.deliveries.enqueue(tx, std::move(delivery));
}

Task<kernel::Verdict> SnsService::go_on(kernel::Attempt attempt) {
  Job job = kv::decode<Job>(attempt.payload);
  const TopicId topic = *topic_of(job.message.topic_arn);
  co_return kernel::Verdict::done().with([this, topic, job = std::move(job)](kv::Txn& tx) -> Task<void> {
    const auto record = co_await Store(tx).find_topic(topic);
    if (record) co_await fan_out(tx, topic, *record, job.message, job.after);
  });
}

// From here on the subscription gets archived messages, or none of them any more when it has no policy.
void SnsService::begin_replay(kv::Txn& tx, const TopicId& topic, SubscriptionRecord& subscription, Time now) {
  const std::string policy = subscription.attribute("ReplayPolicy");
  if (policy.empty()) {
    subscription.replay = Replay::kNone;
    subscription.replayed_to.clear();
    return;
  }
  const Time start = parse_iso8601(Json::parse(policy).string_or("StartingPoint")).value_or(now);
  subscription.replay = Replay::kPending;
  subscription.replayed_to = archive_position(start);
  kernel::Delivery delivery;
  delivery.kind = kReplay;
  delivery.lane = subscription_arn(topic, subscription.id);
  delivery.payload = kv::encode(std::pair{topic.arn(), subscription.id});
  deps_.deliveries.enqueue(tx, std::move(delivery));
}

// One page of a subscription's archived messages. The transaction that finds the archive's end also ends the replay, so
// nothing that is published meanwhile is left out.
Task<kernel::Verdict> SnsService::replay(kernel::Attempt attempt) {
  const auto [arn, id] = kv::decode<std::pair<std::string, std::string>>(attempt.payload);
  const TopicId topic = *topic_of(arn);
  co_return kernel::Verdict::done().with(
      [this, topic, id, payload = attempt.payload, lane = attempt.lane](kv::Txn& tx) -> Task<void> {
        WriteStore store(tx);
        auto subscription = co_await store.find_subscription(topic, id);
        if (!subscription || !subscription->replaying()) co_return;
        const Json policy = Json::parse(subscription->attribute("ReplayPolicy"));
        const auto end = parse_iso8601(policy.string_or("EndingPoint"));
        const ArchivePosition until = end ? archive_position(*end + std::chrono::microseconds(1)) : ArchivePosition();
        const auto page = co_await store.read_archive(topic, subscription->replayed_to, until, kReplayPage);
        subscription->replay = page.size() < kReplayPage ? Replay::kCompleted : Replay::kRunning;
        for (const Store::Archived& archived : page) {
          Message message = archived.message;
          message.replayed = true;
          subscription->replayed_to = archived.position;
          const FilterPtr filter = filters_.of(*subscription);
          if (filter && !filter->matches(message.for_protocol(subscription->protocol), attributes_event(message)))
            continue;
          enqueue(tx, topic, subscription->id, message, true);
        }
        store.put_subscription(topic, *subscription);
        if (subscription->replay != Replay::kRunning) co_return;
        kernel::Delivery next;
        next.kind = kReplay;
        next.lane = lane;
        next.payload = payload;
        deps_.deliveries.enqueue(tx, std::move(next));
      });
}

}  // namespace virga::sns
