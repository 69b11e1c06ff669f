// What a durable execution is made of, as values: its operations, what a function asks to be changed, and what the
// history tells. They are records (kv/record.h) too.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace virga::lambda::durable {

enum class Type : uint8_t { kExecution, kContext, kStep, kWait, kCallback, kChainedInvoke };
enum class Status : uint8_t { kStarted, kPending, kReady, kSucceeded, kFailed, kCancelled, kTimedOut, kStopped };
enum class Action : uint8_t { kStart, kSucceed, kFail, kRetry, kCancel };
enum class ExecutionStatus : uint8_t { kRunning, kSucceeded, kFailed, kTimedOut, kStopped };

// As AWS spells them: "CHAINED_INVOKE", "TIMED_OUT".
std::string_view name_of(Type type);
std::string_view name_of(Status status);
std::string_view name_of(ExecutionStatus status);

struct ErrorObject {
  std::optional<std::string> message, type, data;
  std::optional<std::vector<std::string>> trace;
  template <class A>
  void fields(A& a) {
    a(1, message), a(2, type), a(3, data), a(4, trace);
  }
  // Bytes of its texts.
  size_t size() const;
};

struct Operation {
  std::string id, parent, name, sub_type;  // empty: none
  Type type = Type::kStep;
  Status status = Status::kStarted;
  uint64_t sequence = 0;  // the order in which operations started
  Time start;
  std::optional<Time> end;
  std::optional<std::string> result;
  std::optional<ErrorObject> error;
  std::optional<bool> replay_children;
  int32_t attempt = 0;              // of a step: attempts that ended
  int32_t seconds = 0;              // of a wait
  std::optional<Time> due;          // a wait's end, a step's next attempt, a callback's time-out
  std::string callback_id;          // of a callback
  int32_t heartbeat = 0;            // seconds; 0: none
  std::optional<Time> silent_from;  // when a callback's heartbeat is missed
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, parent), a(3, name), a(4, sub_type), a(5, type), a(6, status), a(7, sequence), a(8, start),
        a(9, end);
    a(10, result), a(11, error), a(12, replay_children), a(13, attempt), a(14, seconds), a(15, due), a(16, callback_id);
    a(17, heartbeat), a(18, silent_from);
  }
  bool over() const { return status >= Status::kSucceeded; }
  // Something other than the function moves it on, and then the function is to be invoked.
  bool waiting() const;
  // When time alone changes it next.
  std::optional<Time> next_due() const;
};

struct Update {
  std::string id, parent, name, sub_type;  // empty: none
  Type type = Type::kStep;
  Action action = Action::kStart;
  std::optional<std::string> payload;
  std::optional<ErrorObject> error;
  std::optional<bool> replay_children;
  std::optional<int32_t> retry_after;         // StepOptions
  std::optional<int32_t> wait;                // WaitOptions
  std::optional<int32_t> timeout, heartbeat;  // CallbackOptions
  std::string function, tenant;               // ChainedInvokeOptions
};

enum class EventType : uint8_t {
  kExecutionStarted,
  kExecutionSucceeded,
  kExecutionFailed,
  kExecutionTimedOut,
  kExecutionStopped,
  kContextStarted,
  kContextSucceeded,
  kContextFailed,
  kWaitStarted,
  kWaitSucceeded,
  kWaitCancelled,
  kStepStarted,
  kStepSucceeded,
  kStepFailed,
  kChainedInvokeStarted,
  kChainedInvokeSucceeded,
  kChainedInvokeFailed,
  kChainedInvokeTimedOut,
  kChainedInvokeStopped,
  kCallbackStarted,
  kCallbackSucceeded,
  kCallbackFailed,
  kCallbackTimedOut,
  kInvocationCompleted,
};

struct HistoryEvent {
  uint64_t id = 0;
  EventType type = EventType::kExecutionStarted;
  Time time;
  std::string operation, name, parent, sub_type;  // empty: none
  // An execution's input and result are kept with the execution, not here.
  std::optional<std::string> payload;
  std::optional<ErrorObject> error;
  std::optional<int32_t> seconds;  // an execution's time-out, a wait's duration, the delay before a step's next attempt
  std::optional<int32_t> attempt;  // of a step
  std::optional<int32_t> timeout, heartbeat;  // of a callback
  std::string callback_id;
  std::string function, tenant, version, execution_arn;  // of a chained invoke
  std::string request_id;                                // of an invocation
  std::optional<Time> begin;                             // an invocation's start, a wait's end
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, type), a(3, time), a(4, operation), a(5, name), a(6, parent), a(7, sub_type), a(8, payload);
    a(9, error), a(10, seconds), a(11, attempt), a(12, timeout), a(13, heartbeat), a(14, callback_id), a(15, function);
    a(16, tenant), a(17, version), a(18, execution_arn), a(19, request_id), a(20, begin);
  }
};

}  // namespace virga::lambda::durable
