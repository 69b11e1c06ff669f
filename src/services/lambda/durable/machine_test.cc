#include "services/lambda/durable/machine.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "services/lambda/durable/form.h"

namespace virga::lambda::durable {
namespace {

using std::chrono::seconds;

constexpr Time kNow{1'700'000'000'000'000};

std::string callback_of(const std::string& id) { return "callback-" + id; }

Update update(std::string id, Type type, Action action, std::optional<std::string> payload = {}) {
  Update out;
  out.id = std::move(id);
  out.type = type;
  out.action = action;
  out.payload = std::move(payload);
  return out;
}
Update failing(std::string id, Type type, Action action) {
  Update out = update(std::move(id), type, action);
  out.error.emplace().message = "no";
  return out;
}
Update within(std::string parent, Update out) {
  out.parent = std::move(parent);
  return out;
}
Update waiting(std::string id, int32_t time) {
  Update out = update(std::move(id), Type::kWait, Action::kStart);
  out.wait = time;
  return out;
}
Update again(Update out, int32_t after) {
  out.retry_after = after;
  return out;
}
Update calling(std::string id, std::string function) {
  Update out = update(std::move(id), Type::kChainedInvoke, Action::kStart);
  out.function = std::move(function);
  return out;
}
const Update kStep = update("s", Type::kStep, Action::kStart);

// An execution whose operations live on from machine to machine, as in the store.
class Play {
 public:
  Machine machine() {
    Machine out(progress_, now_);
    for (const auto& [id, operation] : operations_) out.know(operation);
    return out;
  }
  void keep(const Machine& machine) {
    for (const std::string& id : machine.changed()) operations_[id] = *machine.find(id);
    for (const HistoryEvent& event : machine.events()) events_.push_back(event);
    progress_ = machine.progress();
  }
  void apply(const std::vector<Update>& updates, std::map<std::string, ChainTarget> targets = {}) {
    Machine m = machine();
    m.apply(updates, kMostAsyncResult, callback_of, targets);
    keep(m);
    closing_ = m.closing();
  }
  // The refusal's message; empty: it was taken.
  std::string refused(const std::vector<Update>& updates) {
    Machine m = machine();
    try {
      m.apply(updates, kMostAsyncResult, callback_of, {});
    } catch (const Error& error) {
      EXPECT_EQ(error.shape->code, "InvalidParameterValueException");
      return error.message;
    }
    return {};
  }
  void expire(const std::string& id) {
    Machine m = machine();
    m.expire(id);
    keep(m);
  }
  void pass(seconds time) { now_ = now_ + time; }
  const Operation& operator[](const std::string& id) { return operations_.at(id); }

  Time now_ = kNow;
  Progress progress_;
  std::map<std::string, Operation> operations_;
  std::vector<HistoryEvent> events_;
  std::optional<Closing> closing_;
};

TEST(DurableMachine, AStepBeginsAndEndsInOneBatch) {
  Play run;
  run.apply({kStep, update("s", Type::kStep, Action::kSucceed, "1")});
  EXPECT_EQ(run["s"].status, Status::kSucceeded);
  EXPECT_EQ(run["s"].attempt, 1);
  EXPECT_EQ(run["s"].result, "1");
  ASSERT_EQ(run.events_.size(), 2u);
  EXPECT_EQ(run.events_[0].type, EventType::kStepStarted);
  EXPECT_EQ(run.events_[1].type, EventType::kStepSucceeded);
  EXPECT_EQ(run.events_[1].id, 2u);
  EXPECT_EQ(run.refused({update("s", Type::kStep, Action::kSucceed)}), "Invalid current STEP state to close.");
}

TEST(DurableMachine, ARetriedStepWaitsAndIsReadyWhenItsTimeCame) {
  Play run;
  run.apply({kStep, again(failing("s", Type::kStep, Action::kRetry), 5)});
  EXPECT_EQ(run["s"].status, Status::kPending);
  EXPECT_EQ(run["s"].next_due(), kNow + seconds(5));
  EXPECT_EQ(run.progress_.waiting, 1);
  EXPECT_EQ(run.events_.back().type, EventType::kStepFailed);
  run.pass(seconds(4));
  run.expire("s");
  EXPECT_EQ(run["s"].status, Status::kPending);
  run.pass(seconds(1));
  run.expire("s");
  EXPECT_EQ(run["s"].status, Status::kReady);
  EXPECT_EQ(run["s"].next_due(), std::nullopt);
  EXPECT_EQ(run.progress_.waiting, 1);  // the function has to come back for it
  run.apply({kStep});
  EXPECT_EQ(run["s"].status, Status::kStarted);
  run.apply({update("s", Type::kStep, Action::kFail)});
  EXPECT_EQ(run["s"].attempt, 2);
  EXPECT_EQ(run.progress_.waiting, 0);
}

TEST(DurableMachine, AConditionIsKeptFromAttemptToAttempt) {
  Play run;
  run.apply({kStep, again(update("s", Type::kStep, Action::kRetry, "{\"n\":1}"), 1)});
  EXPECT_EQ(run["s"].result, "{\"n\":1}");
  EXPECT_EQ(run.events_.back().type, EventType::kStepSucceeded);
  EXPECT_EQ(run.events_.back().seconds, 1);
}

TEST(DurableMachine, AWaitOfAYearEndsWithTheYear) {
  Play run;
  run.apply({waiting("w", 31'622'400)});
  EXPECT_EQ(run["w"].next_due(), kNow + std::chrono::days(366));
  run.pass(std::chrono::days(366) - seconds(1));
  run.expire("w");
  EXPECT_EQ(run["w"].status, Status::kStarted);
  run.pass(seconds(1));
  run.expire("w");
  EXPECT_EQ(run["w"].status, Status::kSucceeded);
  EXPECT_EQ(run.events_.back().type, EventType::kWaitSucceeded);
  EXPECT_EQ(run.events_.back().seconds, 31'622'400);
  run.apply({waiting("x", 10)});
  run.apply({update("x", Type::kWait, Action::kCancel)});
  EXPECT_EQ(run["x"].status, Status::kCancelled);
  EXPECT_EQ(run["x"].next_due(), std::nullopt);
}

TEST(DurableMachine, ACallbackTimesOutOnWhatItMissesFirst) {
  Play run;
  Update slow = update("slow", Type::kCallback, Action::kStart),
         silent = update("silent", Type::kCallback, Action::kStart);
  slow.timeout = 5;
  silent.timeout = 60;
  silent.heartbeat = 3;
  run.apply({slow, silent});
  EXPECT_EQ(run["slow"].callback_id, "callback-slow");
  run.pass(seconds(2));
  Machine m = run.machine();
  m.heartbeat("silent");
  m.heartbeat("slow");  // it has none: nothing to put off
  run.keep(m);
  EXPECT_EQ(run["silent"].next_due(), kNow + seconds(5));
  run.pass(seconds(3));
  run.expire("silent");
  run.expire("slow");
  EXPECT_EQ(run["silent"].status, Status::kTimedOut);
  EXPECT_EQ(run["silent"].error->message, "Callback timed out on heartbeat");
  EXPECT_EQ(run["slow"].error->message, "Callback timed out");
  Machine late = run.machine();
  late.finish("slow", Status::kSucceeded, "late", {});
  EXPECT_TRUE(late.changed().empty());
}

TEST(DurableMachine, ContextsHoldOperations) {
  Play run;
  EXPECT_EQ(run.refused({within("c", kStep)}), "Invalid parent operation id.");
  run.apply({update("c", Type::kContext, Action::kStart), within("c", kStep)});
  EXPECT_EQ(run.refused({within("s", waiting("w", 1))}), "Invalid parent operation id.");
  EXPECT_EQ(run.refused({update("c", Type::kContext, Action::kStart)}), "Cannot start a CONTEXT that already exists.");
  Update end = update("c", Type::kContext, Action::kSucceed, "summary");
  end.replay_children = true;
  run.apply({end});
  EXPECT_EQ(run["c"].replay_children, true);
  EXPECT_EQ(run.refused({end}), "Invalid current CONTEXT state to close.");
  run.apply({update("d", Type::kContext, Action::kSucceed, "at once")});
  EXPECT_EQ(run["d"].status, Status::kSucceeded);
}

TEST(DurableMachine, ChainedInvokesBeginWithWhatWasFound) {
  Play run;
  ChainTarget gone;
  gone.refused.emplace().type = "ResourceNotFoundException";
  ChainTarget durable;
  durable.version = "3";
  durable.execution_arn = "arn";
  run.apply({calling("a", "gone"), calling("b", "there:3")}, {{"a", gone}, {"b", durable}});
  EXPECT_EQ(run["a"].status, Status::kFailed);
  EXPECT_EQ(run["b"].status, Status::kStarted);
  EXPECT_EQ(run.progress_.waiting, 1);
  ASSERT_EQ(run.events_.size(), 3u);
  EXPECT_EQ(run.events_[1].type, EventType::kChainedInvokeFailed);
  EXPECT_EQ(run.events_[2].execution_arn, "arn");
  for (const auto& [status, type] : {std::pair(Status::kSucceeded, EventType::kChainedInvokeSucceeded),
                                     std::pair(Status::kFailed, EventType::kChainedInvokeFailed),
                                     std::pair(Status::kTimedOut, EventType::kChainedInvokeTimedOut),
                                     std::pair(Status::kStopped, EventType::kChainedInvokeStopped)}) {
    Machine m = run.machine();
    m.finish("b", status, {}, {});
    EXPECT_EQ(m.events().back().type, type);
    EXPECT_EQ(m.find("b")->end, kNow);
    EXPECT_EQ(m.progress().waiting, 0);
  }
}

TEST(DurableMachine, TheExecutionsEndIsOneAndLast) {
  Play run;
  const Update end = update("e", Type::kExecution, Action::kSucceed, "r");
  EXPECT_EQ(run.refused({end, end}), "Cannot checkpoint multiple EXECUTION updates.");
  EXPECT_EQ(run.refused({end, kStep}), "EXECUTION checkpoint must be the last update.");
  EXPECT_EQ(run.refused({update("e", Type::kExecution, Action::kStart)}),
            "Invalid action for the given operation type.");
  run.apply({kStep, end});
  EXPECT_EQ(run.closing_->result, "r");
  EXPECT_EQ(run.closing_->status, ExecutionStatus::kSucceeded);
  run.apply({failing("e", Type::kExecution, Action::kFail)});
  EXPECT_EQ(run.closing_->status, ExecutionStatus::kFailed);
}

TEST(DurableMachine, WhatAnUpdateMayNotSay) {
  Play run;
  EXPECT_EQ(run.refused({kStep, kStep}), "Cannot update the same operation twice in a single request.");
  EXPECT_EQ(run.refused({waiting("w", 1), update("w", Type::kWait, Action::kCancel)}),
            "Cannot update the same operation twice in a single request.");
  EXPECT_EQ(run.refused({failing("s", Type::kStep, Action::kSucceed)}), "Cannot provide an Error for SUCCEED action.");
  EXPECT_EQ(run.refused({update("s", Type::kStep, Action::kFail, "p")}), "Cannot provide a Payload for FAIL action.");
  EXPECT_EQ(run.refused({update("s", Type::kStep, Action::kRetry)}), "Invalid StepOptions for the given action.");
  Update both = again(failing("s", Type::kStep, Action::kRetry), 1);
  both.payload = "p";
  EXPECT_EQ(run.refused({both}), "Cannot provide both error and payload to RETRY a STEP.");
  EXPECT_EQ(run.refused({update("w", Type::kWait, Action::kStart)}), "Update for WAIT operation requires WaitOptions.");
  EXPECT_EQ(run.refused({update("w", Type::kWait, Action::kSucceed)}), "Invalid action for the given operation type.");
  EXPECT_EQ(run.refused({update("w", Type::kWait, Action::kCancel)}),
            "Cannot cancel a WAIT that does not exist or has already completed.");
  EXPECT_EQ(run.refused({update("c", Type::kCallback, Action::kCancel)}),
            "Cannot cancel a CALLBACK that does not exist or has already completed.");
  EXPECT_EQ(run.refused({update("i", Type::kChainedInvoke, Action::kStart)}),
            "Update for CHAINED_INVOKE operation requires ChainedInvokeOptions.");
  EXPECT_EQ(run.refused({update("s", Type::kStep, Action::kSucceed, std::string(kMostPayload + 1, 'x'))}),
            "STEP payload size must be less than or equal to 262144 bytes.");
  Update large = failing("s", Type::kStep, Action::kFail);
  large.error->data = std::string(kMostError, 'x');
  EXPECT_EQ(run.refused({large}), "Error object size must be less than 32768 bytes.");
  run.apply({kStep});
  EXPECT_EQ(run.refused({waiting("s", 1)}), "Inconsistent operation type.");
  EXPECT_EQ(run.refused({kStep}), "Invalid current STEP state to start.");
}

TEST(DurableMachine, AnExecutionIsBounded) {
  Play run;
  run.progress_.operations = kMostOperations - 1;
  run.apply({kStep});
  EXPECT_EQ(run.refused({update("t", Type::kStep, Action::kStart)}),
            "A durable execution can have at most 3000 operations.");
  run.progress_.written = kMostWritten - 1;
  EXPECT_EQ(run.refused({update("s", Type::kStep, Action::kSucceed, "22")}),
            "A durable execution can write at most 104857600 bytes of data.");
}

TEST(DurableForm, AnswersOfFunctions) {
  EXPECT_EQ(response_of(R"({"Status":"PENDING"})", 10).kind, Response::Kind::kPending);
  const Response good = response_of(R"({"Status":"SUCCEEDED","Result":"\"x\""})", 10);
  EXPECT_EQ(good.kind, Response::Kind::kSucceeded);
  EXPECT_EQ(good.result, "\"x\"");
  const Response bad =
      response_of(R"({"Status":"FAILED","Error":{"ErrorMessage":"m","ErrorType":"T","StackTrace":["a"]}})", 10);
  EXPECT_EQ(bad.kind, Response::Kind::kFailed);
  EXPECT_EQ(bad.error->type, "T");
  EXPECT_EQ(error_document(*bad.error), R"({"errorMessage":"m","errorType":"T","stackTrace":["a"]})");
  for (const char* text : {"{\"statusCode\":200}", "null", "[]", "\"SUCCEEDED\"", "{\"Status\":1}"}) {
    const Response invalid = response_of(text, 10);
    EXPECT_EQ(invalid.kind, Response::Kind::kInvalid) << text;
    EXPECT_EQ(invalid.error->message, "Invalid Status in invocation output.");
  }
  EXPECT_EQ(response_of(R"({"Status":"SUCCEEDED","Result":"12345678901"})", 10).error->message,
            "Execution output payload size must be less than or equal to 10 bytes.");
  EXPECT_EQ(function_error_of(R"({"errorMessage":"m","errorType":"T"})").message, "m");
  EXPECT_EQ(function_error_of("gone").message, "gone");
}

// The enumerations here are the model's, in its order.
TEST(DurableForm, NamesAreTheModels) {
  for (int i = 0; i < 8; ++i) EXPECT_EQ(name_of(Status(i)), to_string(lambda::OperationStatus(i)));
  for (int i = 0; i < 6; ++i) EXPECT_EQ(name_of(Type(i)), to_string(lambda::OperationType(i)));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(name_of(ExecutionStatus(i)), to_string(lambda::ExecutionStatus(i)));
  EXPECT_EQ(to_string(static_cast<lambda::OperationAction>(Action::kCancel)), "CANCEL");
  EXPECT_EQ(to_string(static_cast<lambda::EventType>(EventType::kInvocationCompleted)), "InvocationCompleted");
  EXPECT_EQ(to_string(static_cast<lambda::EventType>(EventType::kChainedInvokeStopped)), "ChainedInvokeStopped");
}

}  // namespace
}  // namespace virga::lambda::durable
