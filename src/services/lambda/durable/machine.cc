#include "services/lambda/durable/machine.h"

#include <aws/lambda/errors.h>

#include <algorithm>
#include <array>

#include "base/str.h"

namespace virga::lambda::durable {
namespace {

constexpr std::array<std::string_view, 6> kTypes = {"EXECUTION", "CONTEXT",  "STEP",
                                                    "WAIT",      "CALLBACK", "CHAINED_INVOKE"};
constexpr std::array<std::string_view, 8> kStatuses = {"STARTED", "PENDING",   "READY",     "SUCCEEDED",
                                                       "FAILED",  "CANCELLED", "TIMED_OUT", "STOPPED"};
constexpr std::array<std::string_view, 5> kExecutionStatuses = {"RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT",
                                                                "STOPPED"};

[[noreturn]] void refuse(std::string message) { throw err::InvalidParameterValueException(std::move(message)); }

std::chrono::seconds seconds(int32_t count) { return std::chrono::seconds(count); }

bool may(Type type, Action action) {
  switch (type) {
    case Type::kExecution:
      return action == Action::kSucceed || action == Action::kFail;
    case Type::kContext:
      return action == Action::kStart || action == Action::kSucceed || action == Action::kFail;
    case Type::kStep:
      return action != Action::kCancel;
    default:
      return action == Action::kStart || action == Action::kCancel;
  }
}

// A result belongs to a success and an error to a failure.
void check_ending(const Update& update) {
  if (update.action == Action::kFail && update.payload) refuse("Cannot provide a Payload for FAIL action.");
  if (update.action == Action::kSucceed && update.error) refuse("Cannot provide an Error for SUCCEED action.");
}

ErrorObject error_of(std::string message, std::string type) {
  ErrorObject error;
  error.message = std::move(message);
  error.type = std::move(type);
  return error;
}

}  // namespace

std::string_view name_of(Type type) { return kTypes[static_cast<size_t>(type)]; }
std::string_view name_of(Status status) { return kStatuses[static_cast<size_t>(status)]; }
std::string_view name_of(ExecutionStatus status) { return kExecutionStatuses[static_cast<size_t>(status)]; }

size_t ErrorObject::size() const {
  size_t bytes = message.value_or("").size() + type.value_or("").size() + data.value_or("").size();
  if (trace) {
    for (const std::string& line : *trace) bytes += line.size();
  }
  return bytes;
}

bool Operation::waiting() const {
  if (type == Type::kStep) return status == Status::kPending || status == Status::kReady;
  return status == Status::kStarted && (type == Type::kWait || type == Type::kCallback || type == Type::kChainedInvoke);
}

std::optional<Time> Operation::next_due() const {
  if (!waiting() || status == Status::kReady) return std::nullopt;
  return silent_from && (!due || *silent_from < *due) ? silent_from : due;
}

void Machine::know(Operation operation) {
  const std::string id = operation.id;
  operations_.emplace(id, std::move(operation));
}

const Operation* Machine::find(const std::string& id) const {
  const auto found = operations_.find(id);
  return found == operations_.end() ? nullptr : &found->second;
}

Operation& Machine::change(const std::string& id) {
  if (std::ranges::find(changed_, id) == changed_.end()) changed_.push_back(id);
  return operations_.at(id);
}

Operation& Machine::begin(const Update& update) {
  if (++progress_.operations > kMostOperations) {
    refuse(cat("A durable execution can have at most ", kMostOperations, " operations."));
  }
  Operation operation;
  operation.id = update.id;
  operation.parent = update.parent;
  operation.name = update.name;
  operation.sub_type = update.sub_type;
  operation.type = update.type;
  operation.sequence = progress_.next_sequence++;
  operation.start = now_;
  know(std::move(operation));
  Operation& begun = change(update.id);
  if (begun.waiting()) ++progress_.waiting;
  return begun;
}

void Machine::set_status(Operation& operation, Status status) {
  const bool waited = operation.waiting();
  operation.status = status;
  progress_.waiting += static_cast<int64_t>(operation.waiting()) - static_cast<int64_t>(waited);
  if (!operation.over()) return;
  operation.end = now_;
  operation.due.reset();
  operation.silent_from.reset();
}

void Machine::count(const std::optional<std::string>& payload, const std::optional<ErrorObject>& error) {
  progress_.written += static_cast<int64_t>((payload ? payload->size() : 0) + (error ? error->size() : 0));
}

HistoryEvent& Machine::record(EventType type) {
  HistoryEvent& event = events_.emplace_back();
  event.id = progress_.next_event++;
  event.type = type;
  event.time = now_;
  return event;
}

HistoryEvent& Machine::record(EventType type, const Operation& operation) {
  HistoryEvent& event = record(type);
  event.operation = operation.id;
  event.name = operation.name;
  event.parent = operation.parent;
  event.sub_type = operation.sub_type;
  return event;
}

// What is wrong with a batch whatever is kept: the execution's end is one and last, and an operation is changed once,
// but for one that begins and ends.
void Machine::check_batch(const std::vector<Update>& updates) const {
  const auto of_execution = [](const Update& update) { return update.type == Type::kExecution; };
  const auto ends = std::ranges::count_if(updates, of_execution);
  if (ends > 1) refuse("Cannot checkpoint multiple EXECUTION updates.");
  if (ends == 1 && !of_execution(updates.back())) refuse("EXECUTION checkpoint must be the last update.");
  std::map<std::string_view, const Update*> seen, begun;
  for (const Update& update : updates) {
    if (const auto before = seen.find(update.id); before != seen.end()) {
      const Update& first = *before->second;
      const bool ended = (first.type == Type::kStep || first.type == Type::kContext) &&
                         first.action == Action::kStart && update.action != Action::kStart;
      if (!ended) refuse("Cannot update the same operation twice in a single request.");
    }
    if (!update.parent.empty()) {
      const auto parent = begun.find(update.parent);
      const Operation* kept = find(update.parent);
      const bool context =
          parent != begun.end() ? parent->second->type == Type::kContext : kept && kept->type == Type::kContext;
      if (!context) refuse("Invalid parent operation id.");
    }
    if (update.action == Action::kStart) begun.insert_or_assign(update.id, &update);
    seen.insert_or_assign(update.id, &update);
  }
}

void Machine::check_sizes(const Update& update, size_t most_result) const {
  if (update.error && update.error->size() >= kMostError) {
    refuse(cat("Error object size must be less than ", kMostError, " bytes."));
  }
  if (!update.payload) return;
  const size_t size = update.payload->size();
  if (update.type == Type::kExecution) {
    if (size > most_result)
      refuse(cat("Execution output payload size must be less than or equal to ", most_result, " bytes."));
  } else if (update.type == Type::kChainedInvoke) {
    if (size > kMostChained)
      refuse(cat("CHAINED_INVOKE input payload size must be less than or equal to ", kMostChained, " bytes."));
  } else if (size > kMostPayload) {
    refuse(cat(name_of(update.type), " payload size must be less than or equal to ", kMostPayload, " bytes."));
  }
}

void Machine::check_same(const Update& update, const Operation& operation) const {
  if (update.type != operation.type) refuse("Inconsistent operation type.");
  if (!update.sub_type.empty() && update.sub_type != operation.sub_type) refuse("Inconsistent operation subtype.");
  if (!update.name.empty() && update.name != operation.name) refuse("Inconsistent operation name.");
  if (!update.parent.empty() && update.parent != operation.parent) refuse("Inconsistent parent operation id.");
}

void Machine::apply(const std::vector<Update>& updates, size_t most_result,
                    const std::function<std::string(const std::string&)>& callback_id, const Targets& targets) {
  check_batch(updates);
  for (const Update& update : updates) {
    check_sizes(update, most_result);
    if (!may(update.type, update.action)) refuse("Invalid action for the given operation type.");
    const Operation* existing = find(update.id);
    if (existing && update.type != Type::kExecution) check_same(update, *existing);
    switch (update.type) {
      case Type::kExecution:
        apply_execution(update);
        break;
      case Type::kContext:
        apply_context(update, existing);
        break;
      case Type::kStep:
        apply_step(update, existing);
        break;
      case Type::kWait:
        apply_wait(update, existing);
        break;
      case Type::kCallback:
        apply_callback(update, existing, callback_id);
        break;
      case Type::kChainedInvoke:
        apply_chained(update, existing, targets);
        break;
    }
    count(update.payload, update.error);
  }
  if (progress_.written > kMostWritten) {
    refuse(cat("A durable execution can write at most ", kMostWritten, " bytes of data."));
  }
}

void Machine::apply_execution(const Update& update) {
  check_ending(update);
  closing_ = Closing{update.action == Action::kSucceed ? ExecutionStatus::kSucceeded : ExecutionStatus::kFailed,
                     update.payload, update.error};
}

void Machine::apply_context(const Update& update, const Operation* existing) {
  if (update.action == Action::kStart) {
    if (existing) refuse("Cannot start a CONTEXT that already exists.");
    Operation& operation = begin(update);
    operation.replay_children = update.replay_children;
    record(EventType::kContextStarted, operation);
    return;
  }
  if (existing && existing->status != Status::kStarted) refuse("Invalid current CONTEXT state to close.");
  check_ending(update);
  Operation& operation = existing ? change(update.id) : begin(update);
  const bool good = update.action == Action::kSucceed;
  set_status(operation, good ? Status::kSucceeded : Status::kFailed);
  operation.result = update.payload;
  operation.error = update.error;
  if (update.replay_children) operation.replay_children = update.replay_children;
  HistoryEvent& event = record(good ? EventType::kContextSucceeded : EventType::kContextFailed, operation);
  event.payload = update.payload;
  event.error = update.error;
}

void Machine::apply_step(const Update& update, const Operation* existing) {
  if ((update.action == Action::kRetry) != update.retry_after.has_value()) {
    refuse("Invalid StepOptions for the given action.");
  }
  if (update.action == Action::kStart) {
    if (existing && existing->status != Status::kReady) refuse("Invalid current STEP state to start.");
    Operation& operation = existing ? change(update.id) : begin(update);
    set_status(operation, Status::kStarted);
    record(EventType::kStepStarted, operation);
    return;
  }
  const bool again = update.action == Action::kRetry;
  if (existing && existing->status != Status::kStarted && existing->status != Status::kReady) {
    refuse(again ? "Invalid current STEP state to re-attempt." : "Invalid current STEP state to close.");
  }
  check_ending(update);
  if (again && update.payload && update.error) refuse("Cannot provide both error and payload to RETRY a STEP.");
  Operation& operation = existing ? change(update.id) : begin(update);
  ++operation.attempt;
  operation.result = update.payload;
  operation.error = update.error;
  if (again) {
    set_status(operation, Status::kPending);
    operation.due = now_ + seconds(*update.retry_after);
  } else {
    set_status(operation, update.action == Action::kSucceed ? Status::kSucceeded : Status::kFailed);
  }
  const bool failed = update.action == Action::kFail || (again && update.error);
  HistoryEvent& event = record(failed ? EventType::kStepFailed : EventType::kStepSucceeded, operation);
  event.payload = update.payload;
  event.error = update.error;
  event.attempt = operation.attempt;
  event.seconds = update.retry_after;
}

void Machine::apply_wait(const Update& update, const Operation* existing) {
  if (update.action == Action::kCancel) {
    if (!existing || existing->status != Status::kStarted) {
      refuse("Cannot cancel a WAIT that does not exist or has already completed.");
    }
    Operation& operation = change(update.id);
    set_status(operation, Status::kCancelled);
    record(EventType::kWaitCancelled, operation).error = update.error;
    return;
  }
  if (existing) refuse("Cannot start a WAIT that already exists.");
  if (!update.wait) refuse("Update for WAIT operation requires WaitOptions.");
  Operation& operation = begin(update);
  operation.seconds = *update.wait;
  operation.due = now_ + seconds(*update.wait);
  HistoryEvent& event = record(EventType::kWaitStarted, operation);
  event.seconds = operation.seconds;
  event.begin = operation.due;
}

void Machine::apply_callback(const Update& update, const Operation* existing,
                             const std::function<std::string(const std::string&)>& callback_id) {
  if (update.action == Action::kCancel) {
    if (!existing || existing->status != Status::kStarted) {
      refuse("Cannot cancel a CALLBACK that does not exist or has already completed.");
    }
    set_status(change(update.id), Status::kCancelled);  // the history has no event for it
    return;
  }
  if (existing) refuse("Cannot start a CALLBACK that already exists.");
  Operation& operation = begin(update);
  operation.callback_id = callback_id(update.id);
  HistoryEvent& event = record(EventType::kCallbackStarted, operation);
  event.callback_id = operation.callback_id;
  if (update.timeout.value_or(0) > 0) {
    operation.due = now_ + seconds(*update.timeout);
    event.timeout = update.timeout;
  }
  if (update.heartbeat.value_or(0) > 0) {
    operation.heartbeat = *update.heartbeat;
    operation.silent_from = now_ + seconds(*update.heartbeat);
    event.heartbeat = update.heartbeat;
  }
}

void Machine::apply_chained(const Update& update, const Operation* existing, const Targets& targets) {
  if (update.action == Action::kCancel) {
    if (!existing || existing->status != Status::kStarted) {
      refuse("Cannot cancel a CHAINED_INVOKE that does not exist or has already completed.");
    }
    set_status(change(update.id), Status::kCancelled);
    return;
  }
  if (existing) refuse("Cannot start a CHAINED_INVOKE that already exists.");
  if (update.function.empty()) refuse("Update for CHAINED_INVOKE operation requires ChainedInvokeOptions.");
  const ChainTarget& target = targets.at(update.id);
  const Operation& operation = begin(update);
  HistoryEvent& event = record(EventType::kChainedInvokeStarted, operation);
  event.function = update.function;
  event.tenant = update.tenant;
  if (target.refused) return finish(update.id, Status::kFailed, {}, target.refused);
  event.payload = update.payload;
  event.version = target.version;
  event.execution_arn = target.execution_arn;
}

void Machine::expire(const std::string& id) {
  const Operation* known = find(id);
  const std::optional<Time> due = known ? known->next_due() : std::nullopt;
  if (!due || *due > now_) return;
  if (known->type == Type::kCallback) {
    const bool silent = known->silent_from == due;
    return finish(id, Status::kTimedOut, {},
                  silent ? error_of("Callback timed out on heartbeat", "Callback.Heartbeat")
                         : error_of("Callback timed out", "Callback.Timeout"));
  }
  Operation& operation = change(id);
  if (operation.type == Type::kStep) {
    set_status(operation, Status::kReady);
    operation.due.reset();
    return;
  }
  set_status(operation, Status::kSucceeded);
  record(EventType::kWaitSucceeded, operation).seconds = operation.seconds;
}

void Machine::finish(const std::string& id, Status status, std::optional<std::string> result,
                     std::optional<ErrorObject> error) {
  const Operation* known = find(id);
  if (!known || known->status != Status::kStarted) return;
  Operation& operation = change(id);
  set_status(operation, status);
  operation.result = std::move(result);
  operation.error = std::move(error);
  const bool callback = operation.type == Type::kCallback;
  EventType type = callback ? EventType::kCallbackSucceeded : EventType::kChainedInvokeSucceeded;
  if (status == Status::kFailed) type = callback ? EventType::kCallbackFailed : EventType::kChainedInvokeFailed;
  if (status == Status::kTimedOut) type = callback ? EventType::kCallbackTimedOut : EventType::kChainedInvokeTimedOut;
  if (status == Status::kStopped) type = EventType::kChainedInvokeStopped;
  HistoryEvent& event = record(type, operation);
  event.payload = operation.result;
  event.error = operation.error;
  count(operation.result, operation.error);
}

void Machine::heartbeat(const std::string& id) {
  const Operation* known = find(id);
  if (!known || known->status != Status::kStarted || known->heartbeat == 0) return;
  change(id).silent_from = now_ + seconds(known->heartbeat);
}

}  // namespace virga::lambda::durable
