#include "services/lambda/async.h"

#include <algorithm>

#include "base/json.h"
#include "base/str.h"
#include "services/lambda/esm/failure.h"

namespace virga::lambda {
namespace {

using How = Attempted::How;

constexpr size_t kMostRecord = 262'144;       // bytes that topics and event buses take
constexpr size_t kMostQueueRecord = 1 << 20;  // and queues
constexpr size_t kMostErrorMessage = 1024;    // of a dead letter's attribute

std::string_view condition_of(How how) {
  switch (how) {
    case How::kSuccess:
      return "Success";
    case How::kSwitchedOff:
      return "ZeroReservedConcurrency";
    case How::kRecursive:
      return "RecursiveInvocation";
    default:
      return "EventAgeExceeded";
  }
}

int status_of(How how) {
  switch (how) {
    case How::kSuccess:
    case How::kFunctionError:
      return 200;
    case How::kRecursive:
      return 400;
    case How::kSystemError:
      return 500;
    default:
      return 429;
  }
}

// What went wrong, in a line.
std::string message_of(const Attempted& attempted) {
  if (attempted.how != How::kFunctionError) return attempted.payload;
  try {
    return Json::parse(attempted.payload).string_or("errorMessage", attempted.payload);
  } catch (const JsonError&) {
    return attempted.payload;
  }
}

// `text` cut to at most `most` bytes, not in the middle of a character.
std::string cut(std::string text, size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<uint8_t>(text[most]) & 0xC0) == 0x80) --most;
  text.resize(most);
  return text;
}

// JSON as it is, or a string of what is none.
void put_payload(JsonWriter& w, const std::string& payload) {
  try {
    JsonReader reader(payload);
    reader.skip_value();
    reader.end();
    w.raw(payload);
  } catch (const JsonError&) {
    w.string(payload);
  }
}

}  // namespace

Next next_step(const Attempted& attempted, int64_t failures, Micros age, const EventInvokeRecord& config) {
  const Micros left = std::chrono::seconds(config.max_age.value_or(kDefaultMaxAge)) - age;
  Next next;
  if (attempted.how == How::kFunctionError) {
    if (failures >= config.retries.value_or(kDefaultRetries)) return {{}, true, "RetriesExhausted"};
    next.wait = std::chrono::minutes(failures + 1);
  } else if (attempted.how == How::kThrottled || attempted.how == How::kSystemError) {
    next.wait = std::chrono::seconds(std::clamp<int64_t>(age.count() / 1'000'000, 1, 300));
    next.counted = false;
  } else {
    return {{}, true, condition_of(attempted.how)};
  }
  // There is no use in waiting for a moment at which the event is too old.
  if (*next.wait > left) return {{}, true, "EventAgeExceeded"};
  return next;
}

std::string destination_record(const AsyncEvent& event, const Attempted& attempted, std::string_view condition,
                               std::string_view request_id, std::string_view qualified_arn, Time now, bool payloads) {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.key("version"), w.string("1.0");
  w.key("timestamp"), w.string(iso8601_millis(now));
  w.key("requestContext"), w.begin_object();
  w.key("requestId"), w.string(request_id);
  w.key("functionArn"), w.string(qualified_arn);
  w.key("condition"), w.string(condition);
  w.key("approximateInvokeCount"), w.integer(event.invokes);
  w.end_object();
  if (payloads) w.key("requestPayload"), put_payload(w, event.payload);
  const bool ran = attempted.how == How::kSuccess || attempted.how == How::kFunctionError;
  if (ran || attempted.how == How::kThrottled || attempted.how == How::kSystemError) {
    w.key("responseContext"), w.begin_object();
    w.key("statusCode"), w.integer(status_of(attempted.how));
    w.key("executedVersion"), w.string(attempted.executed_version);
    if (!attempted.function_error.empty()) w.key("functionError"), w.string(attempted.function_error);
    w.end_object();
  }
  if (ran && payloads) w.key("responsePayload"), put_payload(w, attempted.payload.empty() ? "null" : attempted.payload);
  w.end_object();
  return out;
}

kernel::TargetInput destination_input(const std::string& destination, const AsyncEvent& event,
                                      const Attempted& attempted, std::string_view condition,
                                      const std::string& request_id, std::string_view qualified_arn, Time now) {
  kernel::TargetInput input;
  const auto record = [&](bool payloads) {
    return destination_record(event, attempted, condition, request_id, qualified_arn, now, payloads);
  };
  input.body = record(true);
  input.trace = event.trace;
  const auto arn = kernel::parse_arn(destination);
  const std::string service = arn ? arn->service : "";
  const size_t most = service == "sqs" ? kMostQueueRecord : kMostRecord;
  if ((service == "sqs" || service == "sns" || service == "events") && input.body.size() > most)
    input.body = record(false);
  if (service == "events") {
    input.parameters["Source"] = "lambda";
    input.parameters["DetailType"] =
        cat("Lambda Function Invocation Result - ", attempted.how == How::kSuccess ? "Success" : "Failure");
    Json resources = Json::array();
    resources.push_back(destination);
    resources.push_back(qualified_arn);
    input.parameters["Resources"] = resources.dump();
  } else if (service == "s3") {
    input.parameters["Key"] = cat("aws/lambda/async/", event.function, "/", esm::name_of_record(now));
    input.parameters["ContentType"] = "application/json";
  }
  return input;
}

kernel::TargetInput dead_letter_input(const AsyncEvent& event, const Attempted& attempted,
                                      const std::string& request_id) {
  kernel::TargetInput input;
  input.body = event.payload;
  input.trace = event.trace;
  input.attributes["RequestID"] = {request_id, "String"};
  input.attributes["ErrorCode"] = {cat(status_of(attempted.how)), "Number"};
  std::string message = cut(message_of(attempted), kMostErrorMessage);
  input.attributes["ErrorMessage"] = {message.empty() ? "The function failed." : std::move(message), "String"};
  return input;
}

}  // namespace virga::lambda
