// Queues: receives as the execution role by long polls, calls the function for each batch beside the next receive, and
// deletes what succeeded. What failed stays in flight until its visibility time-out ends, as on AWS; so does what a
// crash left. The order of FIFO groups is the queue's: it gives out nothing more of a group that is in flight.
#include <aws/sqs/ops.h>

#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "services/lambda/esm/batch.h"
#include "services/lambda/esm/engine.h"
#include "services/lambda/esm/filter.h"
#include "services/lambda/esm/queue.h"
#include "services/sqs/api.h"

namespace virga::lambda::esm {
namespace {

using Steady = std::chrono::steady_clock;

constexpr int32_t kReceive = 10;  // messages of a call
constexpr int32_t kLongPoll = 20;
constexpr auto kAtOnce = std::chrono::seconds(1);  // a long poll that ends empty sooner was cut off
constexpr auto kPause = std::chrono::milliseconds(100);
constexpr size_t kEnvelope = 4096;
// docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html: five at a time at first, 300 more each minute.
constexpr double kFirstConcurrency = 5, kMostConcurrency = 1250, kGrowthPerSecond = 5;
constexpr auto kFirstBackOff = std::chrono::milliseconds(100);
constexpr auto kLongestBackOff = std::chrono::seconds(5);

struct Received {
  std::string id, handle, trace;
  std::string event;
};

std::string filter_view(const std::string& event, const sqs::Message& message) {
  // A body that is a JSON object is matched as one.
  try {
    Json body = Json::parse(message.body.value_or(""));
    if (!body.is_object()) return event;
    Json record = Json::parse(event);
    record["body"] = std::move(body);
    return record.dump();
  } catch (const JsonError&) {
    return event;
  }
}

class QueuePoller final : public Poller {
 public:
  explicit QueuePoller(Work& work)
      : work_(work), url_(queue_url_of(work.mapping.source)), role_(work), filters_(work.mapping.filters) {}

  Task<void> run() override {
    Micros trouble = kFirstBackOff;
    while (!stopped()) {
      const Result<void> turned = co_await as_result(turn());
      if (turned) {
        trouble = kFirstBackOff;
        continue;
      }
      role_.forget();
      log_warning("lambda", "a queue could not be read for a function",
                  {{"queue", work_.mapping.source}, {"failure", virga::describe(turned.error())}});
      co_await work_.stop->sleep(trouble);
      trouble = std::min<Micros>(trouble * 2, kLongestBackOff);
    }
    while (running_ > 0) {
      ended_.reset();
      if (running_ > 0) co_await ended_.wait();
    }
  }

  Task<void> wake() override {
    if (!receiving_.empty()) sqs::end_waiting(*work_.deps.cloud.find_service("sqs"), mapping().source, receiving_);
    ended_.set();
    co_return;
  }

 private:
  bool stopped() const { return work_.stop->asked(); }
  const Mapping& mapping() const { return work_.mapping; }

  // Gathers one batch and sends it on its way, once another call may run.
  Task<void> turn() {
    if (visibility_.count() == 0) co_await learn_visibility();
    co_await room();
    if (stopped()) co_return;
    std::vector<Received> batch;
    size_t bytes = kEnvelope;
    const Micros window = std::chrono::seconds(mapping().window);
    Steady::time_point until{};
    while (!stopped()) {
      const auto missing = static_cast<int32_t>(static_cast<size_t>(mapping().batch_size) - batch.size());
      int32_t wait = kLongPoll;
      if (!batch.empty()) {
        const auto left = std::chrono::duration_cast<std::chrono::seconds>(until - Steady::now()).count();
        wait = static_cast<int32_t>(std::clamp<int64_t>(left, 0, kLongPoll));
      }
      const Steady::time_point asked = Steady::now();
      std::vector<sqs::Message> messages = co_await receive(std::min(missing, kReceive), wait);
      if (batch.empty() && !messages.empty()) until = Steady::now() + window;
      const bool none = messages.empty();
      co_await take(std::move(messages), batch, bytes);
      if (stopped()) break;
      if (none && Steady::now() - asked < kAtOnce) co_await work_.stop->sleep(kPause);
      if (batch.empty()) continue;
      if (batch.size() >= static_cast<size_t>(mapping().batch_size) || bytes >= kMostPayload) break;
      if (Steady::now() >= until) break;
    }
    if (batch.empty()) co_return;
    ++running_;
    virga::start(process(std::move(batch)), [this](Result<void> result) {
      if (!result)
        log_error("lambda", "a batch of messages was not finished", {{"failure", virga::describe(result.error())}});
      --running_;
      ended_.set();
    });
  }

  Task<void> learn_visibility() {
    sqs::GetQueueAttributesRequest request;
    request.queue_url = url_;
    request.attribute_names = std::vector<std::string>{"VisibilityTimeout"};
    Ctx ctx = co_await role_.context();
    const auto out = co_await work_.deps.cloud.call<sqs::op::GetQueueAttributes>(ctx, std::move(request));
    const bool known = out.attributes && out.attributes->contains("VisibilityTimeout");
    visibility_ = std::chrono::seconds(known ? parse_int(out.attributes->at("VisibilityTimeout")).value_or(30) : 30);
    visibility_ = std::max<Micros>(visibility_, std::chrono::seconds(1));
  }

  // Waits until one more call may run; the number grows while it is used up.
  Task<void> room() {
    const double most = mapping().concurrency ? *mapping().concurrency : kMostConcurrency;
    while (!stopped() && running_ >= static_cast<int>(std::min(allowed_, most))) {
      const auto now = Steady::now();
      if (grown_ == Steady::time_point{}) grown_ = now;
      allowed_ = std::min(most, allowed_ + kGrowthPerSecond * std::chrono::duration<double>(now - grown_).count());
      grown_ = now;
      ended_.reset();
      co_await ended_.wait_for(kPause);
    }
    grown_ = {};
  }

  Task<std::vector<sqs::Message>> receive(int32_t most, int32_t wait) {
    sqs::ReceiveMessageRequest request;
    request.queue_url = url_;
    request.max_number_of_messages = most;
    request.wait_time_seconds = wait;
    request.attribute_names = std::vector<std::string>{"All"};
    request.message_attribute_names = std::vector<std::string>{"All"};
    Ctx ctx = co_await role_.context();
    receiving_ = ctx.request_id;
    auto out = co_await as_result(work_.deps.cloud.call<sqs::op::ReceiveMessage>(ctx, std::move(request)));
    receiving_.clear();
    if (!out) co_await fail_with(std::move(out.error()));
    std::vector<sqs::Message> messages = std::move(out->messages).value_or(std::vector<sqs::Message>());
    if (stopped() && !messages.empty()) co_await give_back(ctx, std::exchange(messages, {}));
    co_return messages;
  }

  // What came although nobody wants it any more.
  Task<void> give_back(Ctx& ctx, std::vector<sqs::Message> messages) {
    sqs::ChangeMessageVisibilityBatchRequest request;
    request.queue_url = url_;
    for (size_t i = 0; i < messages.size(); ++i) {
      auto& entry = request.entries.emplace_back();
      entry.id = cat(i);
      entry.receipt_handle = messages[i].receipt_handle.value_or("");
      entry.visibility_timeout = 0;
    }
    co_await as_result(work_.deps.cloud.call<sqs::op::ChangeMessageVisibilityBatch>(ctx, std::move(request)));
  }

  // Those that pass the filters join the batch; the others are deleted.
  Task<void> take(std::vector<sqs::Message> messages, std::vector<Received>& batch, size_t& bytes) {
    std::vector<std::string> unwanted;
    for (const sqs::Message& message : messages) {
      std::string event = event_of(mapping(), message);
      if (!mapping().filters.empty() && !filters_.passes(filter_view(event, message))) {
        unwanted.push_back(message.receipt_handle.value_or(""));
        continue;
      }
      bytes += event.size() + 1;
      std::string trace;
      if (message.attributes && message.attributes->contains("AWSTraceHeader")) {
        trace = message.attributes->at("AWSTraceHeader");
      }
      batch.push_back(
          {message.message_id.value_or(""), message.receipt_handle.value_or(""), std::move(trace), std::move(event)});
    }
    if (!unwanted.empty()) co_await remove(std::move(unwanted));
  }

  Task<void> process(std::vector<Received> batch) {
    std::vector<const std::string*> records;
    for (const Received& message : batch) records.push_back(&message.event);
    const std::string event = esm::event_of(records);
    Micros back_off = kFirstBackOff;
    const auto began = Steady::now();
    Ran ran;
    for (;;) {
      std::string copy = event;
      std::string trace = batch.front().trace;
      ran = co_await work_.functions.run_for_mapping(mapping(), std::move(copy), std::move(trace));
      if (ran.kind == Ran::Kind::kAnswered) break;
      if (ran.kind == Ran::Kind::kRecursive) co_return;  // for the dead-letter queue, when it has come often enough
      if (ran.kind == Ran::Kind::kThrottled) allowed_ = std::max(1.0, allowed_ / 2);
      // Tried again while the messages are surely still invisible; then they come back by themselves.
      if (Steady::now() - began + back_off > visibility_ / 2) co_return;
      if (!co_await work_.stop->sleep(back_off)) co_return;
      back_off = std::min<Micros>(back_off * 2, kLongestBackOff);
    }
    if (!ran.answer.function_error.empty()) co_return;
    std::vector<std::string> done;
    std::set<std::string> failed;
    if (mapping().reports_failures) {
      const Verdict verdict = judge(ran.answer.payload, [&](const std::string& id) {
        return std::ranges::any_of(batch, [&](const Received& m) { return m.id == id; });
      });
      if (verdict.all_failed) co_return;
      failed.insert(verdict.failed.begin(), verdict.failed.end());
    }
    for (Received& message : batch) {
      if (!failed.contains(message.id)) done.push_back(std::move(message.handle));
    }
    co_await remove(std::move(done));
  }

  Task<void> remove(std::vector<std::string> handles) {
    for (size_t from = 0; from < handles.size(); from += kReceive) {
      sqs::DeleteMessageBatchRequest request;
      request.queue_url = url_;
      for (size_t i = from; i < std::min<size_t>(handles.size(), from + kReceive); ++i) {
        auto& entry = request.entries.emplace_back();
        entry.id = cat(i);
        entry.receipt_handle = std::move(handles[i]);
      }
      Ctx ctx = co_await role_.context();
      co_await work_.deps.cloud.call<sqs::op::DeleteMessageBatch>(ctx, std::move(request));
    }
  }

  Work& work_;
  const std::string url_;
  RoleSession role_;
  const Filters filters_;
  std::string receiving_;  // the request of the receive that runs
  int running_ = 0;
  double allowed_ = kFirstConcurrency;
  Steady::time_point grown_;
  Micros visibility_{0};  // the queue's time-out when reading began; zero: not known yet
  virga::Event ended_;
};

}  // namespace

std::string queue_url_of(const std::string& arn) {
  const auto parsed = kernel::parse_arn(arn);
  return cat("http://localhost/", parsed->account, "/", parsed->resource);
}

std::string event_of(const Mapping& mapping, const sqs::Message& message) {
  std::string text;
  text.reserve(768 + message.body.value_or("").size());
  JsonWriter out(text);
  const auto member = [&](std::string_view name, std::string_view value) {
    out.key(name);
    out.string(value);
  };
  out.begin_object();
  member("messageId", message.message_id.value_or(""));
  member("receiptHandle", message.receipt_handle.value_or(""));
  member("body", message.body.value_or(""));
  out.key("attributes");
  out.begin_object();
  if (message.attributes) {
    for (const auto& [name, value] : *message.attributes) member(name, value);
  }
  out.end_object();
  out.key("messageAttributes");
  out.begin_object();
  if (message.message_attributes) {
    for (const auto& [name, value] : *message.message_attributes) {
      out.key(name);
      out.begin_object();
      if (value.string_value) member("stringValue", *value.string_value);
      if (value.binary_value) member("binaryValue", base64_encode(*value.binary_value));
      for (const char* list : {"stringListValues", "binaryListValues"}) {
        out.key(list);
        out.begin_array();
        out.end_array();
      }
      member("dataType", value.data_type);
      out.end_object();
    }
  }
  out.end_object();
  if (message.md5_of_message_attributes) {
    member("md5OfMessageAttributes", *message.md5_of_message_attributes);
  } else if (mapping.window > 0) {
    // Batches with a window come from other pollers of AWS's than those without.
    out.key("md5OfMessageAttributes");
    out.null();
  }
  member("md5OfBody", message.md5_of_body.value_or(""));
  member("eventSource", "aws:sqs");
  member("eventSourceARN", mapping.source);
  member("awsRegion", mapping.region);
  out.end_object();
  return text;
}

std::unique_ptr<Poller> make_queue_poller(Work& work) { return std::make_unique<QueuePoller>(work); }

}  // namespace virga::lambda::esm
