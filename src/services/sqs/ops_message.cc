// Messages: sending, receiving, deleting, and changing how long they stay invisible; one or ten at a time.
#include <aws/sqs/errors.h>
#include <aws/sqs/model.h>

#include <algorithm>
#include <expected>
#include <set>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/id.h"
#include "base/str.h"
#include "kv/record.h"
#include "services/sqs/limits.h"
#include "services/sqs/service.h"
#include "services/sqs/settings.h"
#include "wire/protocol.h"

namespace virga::sqs {
namespace {

Error bad_value(std::string message) { return err::InvalidParameterValueException(std::move(message)); }

void check_range(std::string_view parameter, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return;
  throw bad_value(cat("Value ", value, " for parameter ", parameter, " is invalid. Reason: Must be between ", least,
                      " and ", most, ", if provided."));
}

// Group, deduplication and attempt ids: printable ASCII without the space.
void check_id(std::string_view parameter, const std::string& id) {
  const bool good =
      !id.empty() && id.size() <= kMaxIdLength && std::ranges::all_of(id, [](char c) { return c > 0x20 && c < 0x7f; });
  if (good) return;
  throw bad_value(cat("Value ", id, " for parameter ", parameter, " is invalid. Reason: ", parameter,
                      " can only include alphanumeric and punctuation characters. 1 to 128 in length."));
}

std::string text_of(const std::optional<std::string>& text) { return text.value_or(""); }

// A message that passed every rule, ready for its queue.
struct Draft {
  SendJob::Entry entry;
  std::string md5, md5_attributes, md5_system;
  size_t size = 0;
};

template <class In>
void check_deduplication(const QueueRecord& queue, const In& in) {
  if (in.message_deduplication_id || queue.content_deduplication) return;
  throw bad_value(
      "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly");
}

// `In`: SendMessageRequest or an entry of a batch. What it calls the body comes after `opening`, when there is one.
template <class In>
Draft draft_of(const Ctx& ctx, Time now, const QueueName& name, const QueueRecord& queue, const In& in,
               const Opening* opening = nullptr) {
  StoredMessage message;
  if (opening) message.body = opening->text();
  message.body += in.message_body;
  if (message.body.empty()) {
    throw err::MissingRequiredParameterException("The request must contain the parameter MessageBody.");
  }
  if ((opening && !opening->valid()) || !is_valid_body(in.message_body)) {
    throw err::InvalidMessageContents(
        "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | "
        "#x10000 to #x10FFFF");
  }
  if (in.message_attributes) message.attributes = message_attributes(*in.message_attributes);
  if (in.message_system_attributes) message.trace = trace_header(*in.message_system_attributes);
  Draft draft;
  draft.size = message_size(message.body, message.attributes);
  if (draft.size > static_cast<size_t>(queue.max_size)) {
    constexpr bool kAlone = std::is_same_v<In, SendMessageRequest>;
    throw bad_value(cat("One or more parameters ", kAlone ? "are invalid" : "cannot be validated",
                        ". Reason: Message must be shorter than ", queue.max_size, " bytes."));
  }
  if (in.delay_seconds) {
    if (name.fifo() && *in.delay_seconds != 0) {
      throw bad_value(cat("Value ", *in.delay_seconds, " for parameter DelaySeconds is invalid. Reason: The request ",
                          "include parameter that is not valid for this queue type."));
    }
    if (*in.delay_seconds < 0 || *in.delay_seconds > kMaxDelay) {
      throw bad_value(cat("Value ", *in.delay_seconds, " for parameter DelaySeconds is invalid. Reason: DelaySeconds ",
                          "must be >= 0 and <= 900."));
    }
  }
  if (in.message_group_id) check_id("MessageGroupId", *in.message_group_id);
  if (in.message_deduplication_id) check_id("MessageDeduplicationId", *in.message_deduplication_id);
  message.group = text_of(in.message_group_id);
  message.deduplication = text_of(in.message_deduplication_id);
  if (name.fifo()) {
    if (!in.message_group_id) {
      throw err::MissingRequiredParameterException("The request must contain the parameter MessageGroupId.");
    }
    check_deduplication(queue, in);
    if (!in.message_deduplication_id) message.deduplication = hex_encode(sha256(message.body));
  } else if (in.message_deduplication_id) {
    throw bad_value(cat("Value ", *in.message_deduplication_id, " for parameter MessageDeduplicationId is invalid. ",
                        "Reason: The request includes a parameter that is not valid for this queue type."));
  }
  const int32_t delay = name.fifo() ? queue.delay : in.delay_seconds.value_or(queue.delay);
  if (delay > 0) draft.entry.due = now + std::chrono::seconds(delay);
  message.due = draft.entry.due;
  message.id = uuid();
  message.sent = now;
  message.sender = ctx.principal.user_id.empty() ? ctx.source_ip : ctx.principal.user_id;
  message.body_md5 = draft.md5 = opening ? opening->md5_with(in.message_body) : hex_encode(md5(in.message_body));
  draft.md5_attributes = attributes_md5(message.attributes);
  draft.md5_system = trace_md5(message.trace);
  if (message.trace.empty()) message.trace = ctx.trace;  // the request's own, as its header has it
  draft.entry.id = message.id;
  draft.entry.group = message.group;
  draft.entry.deduplication = message.deduplication;
  draft.entry.bytes = kv::encode(message);
  return draft;
}

// `Out`: SendMessageResult or an entry of a batch's.
template <class Out>
void describe_sent(const QueueName& name, const Draft& draft, const SendJob::Entry& entry, Out& out) {
  out.message_id = entry.sent_id.empty() ? entry.id : entry.sent_id;
  out.md5_of_message_body = draft.md5;
  if (!draft.md5_attributes.empty()) out.md5_of_message_attributes = draft.md5_attributes;
  if (!draft.md5_system.empty()) out.md5_of_message_system_attributes = draft.md5_system;
  if (name.fifo()) out.sequence_number = sequence_number(entry.sequence);
}

// The rules of every batch. `what`: the entries' type, which AWS names in its sentence.
template <class Entry>
void check_batch(const std::vector<Entry>& entries, std::string_view what) {
  if (entries.empty()) {
    throw err::EmptyBatchRequest(cat("There should be at least one ", what, " in the request."));
  }
  if (entries.size() > kMaxBatch) {
    throw err::TooManyEntriesInBatchRequest(
        cat("Maximum number of entries per request are ", kMaxBatch, ". You have sent ", entries.size(), "."));
  }
  std::set<std::string_view> ids;
  for (const Entry& entry : entries) {
    const bool good = !entry.id.empty() && entry.id.size() <= kMaxEntryId && std::ranges::all_of(entry.id, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
    if (!good) {
      throw err::InvalidBatchEntryId(
          "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 "
          "letters long.");
    }
    if (!ids.insert(entry.id).second) throw err::BatchEntryIdsNotDistinct(cat("Id ", entry.id, " repeated."));
  }
}

BatchResultErrorEntry failed_entry(const std::string& id, const Error& error) {
  BatchResultErrorEntry out;
  out.id = id;
  out.sender_fault = error.shape->fault == Fault::kSender;
  // The code of the query protocol's days, in both protocols.
  out.code = error.shape->query_code.empty() ? error.shape->code : error.shape->query_code;
  out.message = error.message;
  return out;
}

// AWS leaves a batch's list out when it has no entries.
template <class T>
void add(std::optional<std::vector<T>>& list, std::type_identity_t<T> entry) {
  if (!list) list.emplace();
  list->push_back(std::move(entry));
}

// What pure code makes of one entry, or how it refuses.
template <class F>
auto attempt(F f) -> std::expected<decltype(f()), Error> {
  try {
    return f();
  } catch (const Error& error) {
    return std::unexpected(error);
  }
}

bool selects(const std::vector<std::string>& wanted, const std::string& name) {
  return std::ranges::any_of(wanted, [&](const std::string& w) {
    if (w == "All" || w == "*" || w == name) return true;
    return w.ends_with(".*") && name.starts_with(std::string_view(w).substr(0, w.size() - 2));
  });
}

const std::set<std::string_view> kSystemAttributes = {"All",
                                                      "SenderId",
                                                      "SentTimestamp",
                                                      "ApproximateReceiveCount",
                                                      "ApproximateFirstReceiveTimestamp",
                                                      "SequenceNumber",
                                                      "MessageDeduplicationId",
                                                      "MessageGroupId",
                                                      "AWSTraceHeader",
                                                      "DeadLetterQueueSourceArn"};

std::set<std::string> system_attributes(const ReceiveMessageRequest& in) {
  std::set<std::string> wanted;
  for (const auto* list : {&in.attribute_names, &in.message_system_attribute_names}) {
    if (!*list) continue;
    for (const std::string& name : **list) {
      // Clients of former days ask for attributes of queues here too; those select nothing.
      if (!kSystemAttributes.contains(name) && !is_attribute(name)) {
        throw err::InvalidAttributeName(cat("Unknown Attribute ", name, "."));
      }
      wanted.insert(name);
    }
  }
  return wanted;
}

Message describe_received(const QueueName& name, ReceiveJob::Item& item, const kernel::ElapsedClock& elapsed,
                          const std::set<std::string>& system, const std::vector<std::string>& attributes) {
  StoredMessage& stored = item.message;
  Message out;
  out.message_id = stored.id;
  out.receipt_handle = encode_handle(item.handle);
  out.md5_of_body = stored.body_md5;
  out.body = std::move(stored.body);
  std::map<std::string, std::string> shown;
  const auto show = [&](const std::string& attribute, std::string value) {
    if (!value.empty() && (system.contains("All") || system.contains(attribute))) shown[attribute] = std::move(value);
  };
  show("SenderId", stored.sender);
  show("SentTimestamp", cat(elapsed.on_wall(stored.sent).millis()));
  show("ApproximateReceiveCount", cat(item.count));
  show("ApproximateFirstReceiveTimestamp", cat(elapsed.on_wall(item.first_received).millis()));
  show("MessageGroupId", stored.group);
  show("AWSTraceHeader", stored.trace);
  show("DeadLetterQueueSourceArn", stored.dead_letter_from);
  if (name.fifo()) {
    show("SequenceNumber", sequence_number(item.sequence));
    show("MessageDeduplicationId", stored.deduplication);
  }
  if (!shown.empty()) out.attributes = std::move(shown);
  std::erase_if(stored.attributes, [&](const StoredAttribute& a) { return !selects(attributes, a.name); });
  if (!stored.attributes.empty()) {
    out.md5_of_message_attributes = attributes_md5(stored.attributes);
    auto& values = out.message_attributes.emplace();
    for (StoredAttribute& a : stored.attributes) {
      MessageAttributeValue value;
      value.data_type = std::move(a.type);
      (a.binary ? value.binary_value : value.string_value) = std::move(a.value);
      values.emplace(std::move(a.name), std::move(value));
    }
  }
  return out;
}

Handle handle_of(const QueueRecord& queue, const std::string& text) {
  auto handle = decode_handle(text);
  if (!handle || handle->queue != queue.id) {
    throw err::ReceiptHandleIsInvalid(cat("The input receipt handle \"", text, "\" is not a valid receipt handle."));
  }
  return std::move(*handle);
}

// What an edit's outcome is to the caller; nothing: success.
std::optional<Error> refusal(const QueueName& name, const EditJob::Edit& edit, const std::string& handle) {
  const auto bad_handle = [&](std::string_view reason) {
    return bad_value(cat("Value ", handle, " for parameter ReceiptHandle is invalid. Reason: ", reason));
  };
  switch (edit.outcome) {
    case EditJob::Outcome::kDone:
      return std::nullopt;
    case EditJob::Outcome::kGone:
      if (!edit.visibility) return std::nullopt;  // deleting again is no error
      return bad_handle("Message does not exist or is not available for visibility timeout change.");
    case EditJob::Outcome::kExpired:
      return bad_handle("The receipt handle has expired.");
    case EditJob::Outcome::kTooLong:
      return bad_value(cat("Value ", *edit.visibility, " for parameter VisibilityTimeout is invalid. Reason: Total ",
                           "VisibilityTimeout for the message is beyond the limit [", kMaxVisibility, " seconds]."));
  }
  return std::nullopt;
}

// The edits that `edit_of` makes of the entries, each of which may fail alone.
template <class Out, class In, class F>
Task<Out> edit_all(Desks& desks, const QueueName& name, const In& in, F edit_of) {
  Out out;
  EditJob job;
  std::vector<size_t> entries;  // by edit
  for (size_t i = 0; i < in.entries.size(); ++i) {
    auto edit = attempt([&] { return edit_of(in.entries[i]); });
    if (!edit) {
      add(out.failed, failed_entry(in.entries[i].id, edit.error()));
      continue;
    }
    job.edits.push_back(std::move(*edit));
    entries.push_back(i);
  }
  if (!entries.empty()) co_await desks.at(name)->run(job);
  for (size_t i = 0; i < entries.size(); ++i) {
    const auto& entry = in.entries[entries[i]];
    if (const auto error = refusal(name, job.edits[i], entry.receipt_handle)) {
      add(out.failed, failed_entry(entry.id, *error));
    } else {
      add(out.successful, {entry.id});
    }
  }
  co_return std::move(out);
}

}  // namespace

Task<SendMessageResult> SqsService::send_message(Ctx& ctx, const SendMessageRequest& in) {
  const QueueName name = queue_of_url(ctx, in.queue_url);
  const QueuePtr queue = co_await load(name);
  Draft draft = draft_of(ctx, elapsed_.now(), name, *queue, in);
  SendJob job;
  job.bytes = draft.entry.bytes.size();
  job.entries.push_back(std::move(draft.entry));
  co_await desks_.at(name)->run(job);
  SendMessageResult out;
  describe_sent(name, draft, job.entries.front(), out);
  co_return out;
}

Task<SendMessageBatchResult> SqsService::send_message_batch(Ctx& ctx, const SendMessageBatchRequest& in) {
  check_batch(in.entries, "SendMessageBatchRequestEntry");
  const QueueName name = queue_of_url(ctx, in.queue_url);
  const QueuePtr queue = co_await load(name);
  // What a FIFO queue needs of each message is asked of the whole batch.
  for (const SendMessageBatchRequestEntry& entry : in.entries) {
    if (!name.fifo()) break;
    if (!entry.message_group_id) throw bad_value("The request must contain the parameter MessageGroupId.");
    check_deduplication(*queue, entry);
  }
  SendMessageBatchResult out;
  SendJob job;
  std::vector<std::pair<const SendMessageBatchRequestEntry*, Draft>> drafts;
  size_t size = 0;
  for (const SendMessageBatchRequestEntry& entry : in.entries) {
    auto draft = attempt([&] { return draft_of(ctx, elapsed_.now(), name, *queue, entry); });
    if (!draft) {
      size += entry.message_body.size();
      add(out.failed, failed_entry(entry.id, draft.error()));
      continue;
    }
    size += draft->size;
    drafts.emplace_back(&entry, std::move(*draft));
  }
  if (size > kMaxMessageBytes) {
    co_return err::BatchRequestTooLong(
        cat("Batch requests cannot be longer than ", kMaxMessageBytes, " bytes. You have sent ", size, " bytes."));
  }
  if (drafts.empty()) co_return out;
  for (auto& [entry, draft] : drafts) {
    job.bytes += draft.entry.bytes.size();
    job.entries.push_back(std::move(draft.entry));
  }
  co_await desks_.at(name)->run(job);
  for (size_t i = 0; i < drafts.size(); ++i) {
    SendMessageBatchResultEntry sent;
    sent.id = drafts[i].first->id;
    describe_sent(name, drafts[i].second, job.entries[i], sent);
    add(out.successful, std::move(sent));
  }
  co_return out;
}

Task<ReceiveMessageResult> SqsService::receive_message(Ctx& ctx, const ReceiveMessageRequest& in) {
  const QueueName name = queue_of_url(ctx, in.queue_url);
  const auto system = system_attributes(in);
  if (in.max_number_of_messages) check_range("MaxNumberOfMessages", *in.max_number_of_messages, 1, kMaxReceive);
  if (in.visibility_timeout) check_range("VisibilityTimeout", *in.visibility_timeout, 0, kMaxVisibility);
  if (const int32_t wait = in.wait_time_seconds.value_or(0); wait < 0 || wait > kMaxWait) {
    co_return bad_value(cat("Value ", wait, " for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= ",
                            kMaxWait, ", if provided."));
  }
  if (in.receive_request_attempt_id) {
    if (!name.fifo()) {
      throw bad_value(cat("Value ", *in.receive_request_attempt_id, " for parameter ReceiveRequestAttemptId is ",
                          "invalid. Reason: The request includes a parameter that is not valid for this queue type."));
    }
    check_id("ReceiveRequestAttemptId", *in.receive_request_attempt_id);
  }
  const QueuePtr queue = co_await load(name);
  const int32_t wait = in.wait_time_seconds.value_or(queue->wait);
  ReceiveJob job;
  job.most = static_cast<size_t>(in.max_number_of_messages.value_or(1));
  job.visibility = in.visibility_timeout;
  job.attempt = text_of(in.receive_request_attempt_id);
  job.request = ctx.request_id;
  if (wait > 0) job.until = std::chrono::steady_clock::now() + std::chrono::seconds(wait);
  co_await desks_.at(name)->run(job);
  // A FIFO queue with too much in flight answers nothing instead.
  if (job.refused && wait == 0 && !name.fifo()) {
    co_return err::OverLimit(cat("Too many messages in flight, the maximum is ", kMaxInFlight, "."));
  }
  ReceiveMessageResult out;
  if (job.items.empty()) co_return out;
  const auto attributes = in.message_attribute_names.value_or(std::vector<std::string>{});
  out.messages.emplace();
  for (ReceiveJob::Item& item : job.items)
    out.messages->push_back(describe_received(name, item, elapsed_, system, attributes));
  co_return out;
}

Task<DeleteMessageOutput> SqsService::delete_message(Ctx& ctx, const DeleteMessageRequest& in) {
  const QueueName name = queue_of_url(ctx, in.queue_url);
  const QueuePtr queue = co_await load(name);
  EditJob job;
  job.edits.push_back({handle_of(*queue, in.receipt_handle), std::nullopt});
  co_await desks_.at(name)->run(job);
  if (auto error = refusal(name, job.edits.front(), in.receipt_handle)) co_return std::move(*error);
  co_return DeleteMessageOutput{};
}

Task<DeleteMessageBatchResult> SqsService::delete_message_batch(Ctx& ctx, const DeleteMessageBatchRequest& in) {
  check_batch(in.entries, "DeleteMessageBatchRequestEntry");
  const QueueName name = queue_of_url(ctx, in.queue_url);
  const QueuePtr queue = co_await load(name);
  co_return co_await edit_all<DeleteMessageBatchResult>(desks_, name, in, [&](const auto& entry) {
    return EditJob::Edit{handle_of(*queue, entry.receipt_handle), std::nullopt};
  });
}

Task<ChangeMessageVisibilityOutput> SqsService::change_message_visibility(Ctx& ctx,
                                                                          const ChangeMessageVisibilityRequest& in) {
  const QueueName name = queue_of_url(ctx, in.queue_url);
  check_range("VisibilityTimeout", in.visibility_timeout, 0, kMaxVisibility);
  const QueuePtr queue = co_await load(name);
  EditJob job;
  job.edits.push_back({handle_of(*queue, in.receipt_handle), in.visibility_timeout});
  co_await desks_.at(name)->run(job);
  if (auto error = refusal(name, job.edits.front(), in.receipt_handle)) co_return std::move(*error);
  co_return ChangeMessageVisibilityOutput{};
}

Task<ChangeMessageVisibilityBatchResult> SqsService::change_message_visibility_batch(
    Ctx& ctx, const ChangeMessageVisibilityBatchRequest& in) {
  check_batch(in.entries, "ChangeMessageVisibilityBatchRequestEntry");
  const QueueName name = queue_of_url(ctx, in.queue_url);
  const QueuePtr queue = co_await load(name);
  co_return co_await edit_all<ChangeMessageVisibilityBatchResult>(desks_, name, in, [&](const auto& entry) {
    if (!entry.visibility_timeout) {
      throw err::MissingRequiredParameterException("The request must contain the parameter VisibilityTimeout.");
    }
    check_range("VisibilityTimeout", *entry.visibility_timeout, 0, kMaxVisibility);
    return EditJob::Edit{handle_of(*queue, entry.receipt_handle), *entry.visibility_timeout};
  });
}

// Beside the desk, whose own sends count in another row, so that neither waits for the other.
Opening::Opening(std::string text) : text_(std::move(text)), valid_(is_valid_body(text_)) { md5_.update(text_); }

std::string Opening::md5_with(std::string_view rest) const {
  Md5 hash = md5_;
  hash.update(rest);
  return hex_encode(hash.finish());
}

Task<void> SqsService::post(Ctx& ctx, kv::Txn& tx, std::string queue_arn, const Opening& opening,
                            kernel::TargetInput input) {
  const auto name = queue_of_arn(queue_arn);
  if (!name || name->fifo()) co_await fail(no_queue());
  const auto queue = co_await find(tx, *name);
  if (!queue) co_await fail(no_queue());
  std::optional<std::string> policy;
  if (!queue->policy.empty()) policy = queue->policy;
  const auto why =
      co_await deps_.cloud.authorizer().why_denied(ctx, {"sqs:SendMessage", queue_arn, {}}, std::move(policy));
  if (why) co_await fail(wire::door::access_denied(kModel, *why));
  const Draft draft = draft_of(ctx, elapsed_.now(), *name, *queue, request_of(*name, std::move(input)), &opening);
  Tally tally = co_await read_tally(tx, queue->contents, "p");
  tally.messages += 1;
  const bool delayed = draft.entry.due.micros != 0;
  if (delayed) tally.delayed += 1;
  tx.put_ordered(delayed ? keys::delayed(queue->contents, draft.entry.due) : keys::fresh(queue->contents),
                 draft.entry.bytes);
  tx.put(keys::tally(queue->contents, "p"), kv::encode(tally));
  tx.on_commit([this, name = *name] { desks_.wake(name); });
}

}  // namespace virga::sqs
