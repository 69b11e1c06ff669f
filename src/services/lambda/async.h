// Asynchronous invocation as rules: what happens after an attempt, and the record that a destination gets.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "kernel/target_delivery.h"
#include "services/lambda/store.h"

namespace virga::lambda {

// An event that waits to run.
struct AsyncEvent {
  std::string account, region, function, qualifier, payload, client_context, trace, tenant;
  int64_t invokes = 0;  // attempts that were not throttled
  template <class A>
  void fields(A& a) {
    a(1, account), a(2, region), a(3, function), a(4, qualifier), a(5, payload), a(6, client_context), a(7, trace),
        a(8, invokes), a(9, tenant);
  }
};

// How an attempt ended.
struct Attempted {
  enum class How : uint8_t {
    kSuccess,
    kFunctionError,  // the function ran and failed
    kThrottled,
    kSystemError,  // it could not be run
    kSwitchedOff,  // its reserved concurrency is zero
    kRecursive,    // it is part of a loop
    kTooOld,       // it was not tried: its time is up
  };
  How how = How::kSuccess;
  std::string function_error;  // "Unhandled"
  std::string payload;         // the function's answer or error document; an error's message otherwise
  std::string executed_version;
};

// What an event invoke configuration leaves open.
inline constexpr int32_t kDefaultRetries = 2;
inline constexpr int32_t kDefaultMaxAge = 21'600;  // seconds

// After an attempt: another one after `wait`, or the end, for the reason that a record tells.
struct Next {
  std::optional<std::chrono::seconds> wait;
  bool counted = true;           // `wait` is for a function's error, of which there are only so many
  std::string_view condition{};  // "Success", "RetriesExhausted", "EventAgeExceeded", …
};
// `failures`: errors of the function before this attempt. `age`: since the event was accepted.
Next next_step(const Attempted& attempted, int64_t failures, Micros age, const EventInvokeRecord& config);

// The document a destination gets: without the payloads when `payloads` is false.
std::string destination_record(const AsyncEvent& event, const Attempted& attempted, std::string_view condition,
                               std::string_view request_id, std::string_view qualified_arn, Time now, bool payloads);
// That document made out for `destination`, an ARN of a queue, topic, function, event bus or bucket.
kernel::TargetInput destination_input(const std::string& destination, const AsyncEvent& event,
                                      const Attempted& attempted, std::string_view condition,
                                      const std::string& request_id, std::string_view qualified_arn, Time now);
// The event itself, with what became of it in three attributes: what a dead-letter queue gets.
kernel::TargetInput dead_letter_input(const AsyncEvent& event, const Attempted& attempted,
                                      const std::string& request_id);

}  // namespace virga::lambda
