#include <aws/sns/errors.h>

#include <algorithm>
#include <set>

#include "base/id.h"
#include "base/str.h"
#include "services/sns/envelope.h"
#include "services/sns/limits.h"
#include "services/sns/service.h"

namespace virga::sns {
namespace {

// The ids of a batch's entries and how many there are.
void check_entries(const PublishBatchInput& in) {
  const auto& entries = in.publish_batch_request_entries;
  if (entries.empty()) throw err::EmptyBatchRequestException("The batch request doesn't contain any entries.");
  if (entries.size() > kMaxBatch)
    throw err::TooManyEntriesInBatchRequestException("The batch request contains more entries than permissible.");
  std::set<std::string> ids;
  for (const PublishBatchRequestEntry& entry : entries) {
    if (entry.id.size() > kMaxBatchId)
      throw err::InvalidBatchEntryIdException(
          cat("The Id of a batch entry in the batch request is too long: ", entry.id));
    const bool plain = !entry.id.empty() && std::ranges::all_of(entry.id, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
    if (!plain)
      throw err::InvalidBatchEntryIdException(
          cat("The Id of a batch entry in the batch request contains an impermissible character: ", entry.id));
    if (!ids.insert(entry.id).second)
      throw err::BatchEntryIdsNotDistinctException("Two or more batch entries in the request have the same Id.");
  }
}

// What the request carries counts, whatever a message structure makes of it.
template <class Request>
size_t request_size(const Request& in) {
  size_t size = in.message.size();
  if (in.message_attributes) {
    for (const auto& [name, value] : *in.message_attributes)
      size += name.size() + value.data_type.size() + value.string_value.value_or("").size() +
              value.binary_value.value_or("").size();
  }
  return size;
}

}  // namespace

Task<std::vector<Message>> SnsService::publish_all(Ctx& ctx, TopicId id, std::vector<Message> drafts) {
  for (Message& draft : drafts) {
    draft.id = uuid();
    draft.topic_arn = id.arn();
    draft.trace = ctx.trace;
  }
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<std::vector<Message>> {
    WriteStore store(tx);
    const auto topic = co_await store.find_topic(id);
    if (!topic) co_return no_topic();
    const bool fifo = topic->fifo();
    std::vector<Message> messages = drafts;
    for (Message& message : messages) check_for_topic(message, *topic);
    if (fifo) co_await store.forget_expired(id, ctx.now(), kExpiredAtOnce);
    for (Message& message : messages) {
      if (fifo) {
        const std::string scope = topic->attribute("FifoThroughputScope") == "MessageGroup" ? message.group : "";
        const auto first = co_await store.find_duplicate(id, scope, message.deduplication);
        if (first && first->expires > ctx.now()) {
          // Within five minutes a repetition gets the first one's answer and goes nowhere.
          message.id = first->message_id;
          message.sequence = first->sequence;
          continue;
        }
        message.sequence = sequence_number(co_await store.next_sequence(id));
        store.remember(id, scope, message.deduplication, {message.id, message.sequence, ctx.now() + kDeduplicated});
        if (topic->archive_began.micros != 0) store.archive(id, message);
      }
      co_await fan_out(tx, id, *topic, message, "");
    }
    co_return messages;
  });
}

Task<PublishResponse> SnsService::publish(Ctx& ctx, const PublishInput& in) {
  if (in.phone_number && !in.topic_arn && !in.target_arn) co_return co_await publish_to_phone(ctx, in);
  if (in.phone_number || (in.topic_arn && in.target_arn))
    co_return invalid("Only one of TopicArn, TargetArn and PhoneNumber can be given");
  if (!in.topic_arn && !in.target_arn) co_return invalid("TopicArn or TargetArn", "no value for required parameter");
  const std::string& arn = in.topic_arn ? *in.topic_arn : *in.target_arn;
  const char* parameter = in.topic_arn ? "TopicArn" : "TargetArn";
  if (require_arn(arn, parameter).resource.starts_with("endpoint/")) co_return co_await publish_to_endpoint(ctx, in);
  const TopicId id = topic_id(ctx, arn, parameter);
  if (request_size(in) > kMaxMessage) co_return invalid("Message too long");
  std::vector<Message> one;
  one.push_back(message_of(in, ctx.now()));
  const std::vector<Message> sent = co_await publish_all(ctx, id, std::move(one));
  PublishResponse out;
  out.message_id = sent[0].id;
  if (!sent[0].sequence.empty()) out.sequence_number = sent[0].sequence;
  co_return out;
}

// All of a batch or, when an entry is not as it must be, nothing of it: as AWS does.
Task<PublishBatchResponse> SnsService::publish_batch(Ctx& ctx, const PublishBatchInput& in) {
  const TopicId id = topic_id(ctx, in.topic_arn);
  check_entries(in);
  size_t size = 0;
  std::vector<Message> drafts;
  for (const PublishBatchRequestEntry& entry : in.publish_batch_request_entries) {
    size += request_size(entry);
    if (size > kMaxMessage)
      co_return err::BatchRequestTooLongException(
          "The length of all the messages put together is more than the limit.");
    drafts.push_back(message_of(entry, ctx.now()));
  }
  const std::vector<Message> sent = co_await publish_all(ctx, id, std::move(drafts));
  PublishBatchResponse out;
  out.successful.emplace();
  out.failed.emplace();
  for (size_t i = 0; i < sent.size(); ++i) {
    PublishBatchResultEntry entry;
    entry.id = in.publish_batch_request_entries[i].id;
    entry.message_id = sent[i].id;
    if (!sent[i].sequence.empty()) entry.sequence_number = sent[i].sequence;
    out.successful->push_back(std::move(entry));
  }
  co_return out;
}

Task<PublishResponse> SnsService::publish_to_endpoint(Ctx& ctx, const PublishInput& in) {
  const std::string& arn = in.topic_arn ? *in.topic_arn : *in.target_arn;
  const auto parsed = require_arn(arn, "TargetArn");
  const auto parts = split(parsed.resource, '/');
  if (request_size(in) > kMaxMessage) co_return invalid("Message too long");
  Message message = message_of(in, ctx.now());
  message.id = uuid();
  if (parts.size() != 4 || parsed.account != ctx.account || parsed.region != ctx.region)
    co_return invalid("TargetArn", "No endpoint found for the target arn specified");
  const std::string platform(parts[1]), application(parts[2]), id(parts[3]);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<PublishResponse> {
    const Store store(tx);
    const auto app = co_await store.find_application(home_of(ctx), platform, application);
    const auto endpoint = co_await store.find_endpoint(home_of(ctx), platform, application, id);
    if (!app || !endpoint) co_return invalid("TargetArn", "No endpoint found for the target arn specified");
    if (endpoint->attributes.at("Enabled") != "true") co_return err::EndpointDisabledException("Endpoint is disabled");
    if (const auto on = app->attributes.find("Enabled"); on != app->attributes.end() && on->second == "false")
      co_return err::PlatformApplicationDisabledException("Platform application is disabled");
    put_out(tx, {.time = ctx.now(),
                 .service = "sns",
                 .account = ctx.account,
                 .region = ctx.region,
                 .kind = "push",
                 .to = endpoint->attributes.at("Token"),
                 .subject = message.subject.value_or(""),
                 .body = message.for_protocol(platform),
                 .details = {{"MessageId", message.id}, {"EndpointArn", arn}, {"Platform", platform}}});
    co_return PublishResponse{.message_id = message.id, .sequence_number = std::nullopt};
  });
}

Task<PublishResponse> SnsService::publish_to_phone(Ctx& ctx, const PublishInput& in) {
  if (!in.phone_number->starts_with('+') || !is_phone_number(*in.phone_number))
    co_return invalid("PhoneNumber", cat(*in.phone_number, " is not valid to publish to"));
  const std::string number = number_of(*in.phone_number);
  Message message = message_of(in, ctx.now());
  message.id = uuid();
  const std::string& text = message.for_protocol("sms");
  if (count_characters(text) > kMaxSms) co_return invalid("Message too long");
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<PublishResponse> {
    const Store store(tx);
    const Attributes settings = co_await store.sms_attributes(home_of(ctx));
    kernel::OutboxItem item{.time = ctx.now(),
                            .service = "sns",
                            .account = ctx.account,
                            .region = ctx.region,
                            .kind = "sms",
                            .to = number,
                            .subject = message.subject.value_or(""),
                            .body = text,
                            .details = {{"MessageId", message.id}}};
    if (const auto sender = settings.find("DefaultSenderID"); sender != settings.end())
      item.details["SenderId"] = sender->second;
    for (const auto& [name, attribute] : message.attributes) {
      if (name == "AWS.SNS.SMS.SenderID") item.details["SenderId"] = attribute.value;
    }
    Answer answer;
    if (co_await store.is_opted_out(home_of(ctx), number)) {
      answer = {.success = false, .response = std::string(kOptedOut)};
    } else {
      put_out(tx, item);
    }
    const TopicId log{ctx.account, ctx.region, "DirectPublishToPhoneNumber"};
    co_await report_text(tx, log, message, number, Micros(0), std::move(answer));
    co_return PublishResponse{.message_id = message.id, .sequence_number = std::nullopt};
  });
}

}  // namespace virga::sns
