#include "services/lambda/durable/form.h"

#include "base/json.h"
#include "base/str.h"
#include "services/lambda/model.h"

namespace virga::lambda::durable {
namespace {

// The enumerations are the model's, in its order.
template <class To, class From>
To same(From value) {
  return static_cast<To>(value);
}

void put(JsonWriter& w, std::string_view name, const std::optional<std::string>& text) {
  if (text) w.key(name), w.string(*text);
}
void put(JsonWriter& w, std::string_view name, const std::optional<Time>& time) {
  if (time) w.key(name), w.string(iso8601_millis(*time));
}

void put(JsonWriter& w, const std::optional<lambda::ErrorObject>& error) {
  if (!error) return;
  w.key("Error"), w.begin_object();
  put(w, "ErrorMessage", error->error_message);
  put(w, "ErrorType", error->error_type);
  put(w, "ErrorData", error->error_data);
  if (error->stack_trace) {
    w.key("StackTrace"), w.begin_array();
    for (const std::string& line : *error->stack_trace) w.string(line);
    w.end_array();
  }
  w.end_object();
}

// The details that have a result and an error, with what `more` writes.
template <class Details, class More>
void put_details(JsonWriter& w, std::string_view name, const std::optional<Details>& details, More more) {
  if (!details) return;
  w.key(name), w.begin_object();
  more(*details);
  put(w, "Result", details->result);
  put(w, details->error);
  w.end_object();
}

void put(JsonWriter& w, const lambda::Operation& o) {
  w.begin_object();
  w.key("Id"), w.string(o.id);
  put(w, "ParentId", o.parent_id);
  put(w, "Name", o.name);
  w.key("Type"), w.string(to_string(o.type));
  put(w, "SubType", o.sub_type);
  w.key("Status"), w.string(to_string(o.status));
  put(w, "StartTimestamp", std::optional(o.start_timestamp));
  put(w, "EndTimestamp", o.end_timestamp);
  if (o.execution_details) {
    w.key("ExecutionDetails"), w.begin_object();
    put(w, "InputPayload", o.execution_details->input_payload);
    w.end_object();
  }
  if (o.wait_details) {
    w.key("WaitDetails"), w.begin_object();
    put(w, "ScheduledEndTimestamp", o.wait_details->scheduled_end_timestamp);
    w.end_object();
  }
  put_details(w, "StepDetails", o.step_details, [&](const lambda::StepDetails& details) {
    if (details.attempt) w.key("Attempt"), w.integer(*details.attempt);
    put(w, "NextAttemptTimestamp", details.next_attempt_timestamp);
  });
  put_details(w, "ContextDetails", o.context_details, [&](const lambda::ContextDetails& details) {
    if (details.replay_children) w.key("ReplayChildren"), w.boolean(*details.replay_children);
  });
  put_details(w, "CallbackDetails", o.callback_details,
              [&](const lambda::CallbackDetails& details) { put(w, "CallbackId", details.callback_id); });
  put_details(w, "ChainedInvokeDetails", o.chained_invoke_details, [](const lambda::ChainedInvokeDetails&) {});
  w.end_object();
}

std::optional<std::string> text_in(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value && value->is_string() ? std::optional(value->as_string()) : std::nullopt;
}

// An error whose members have these names.
ErrorObject error_in(const Json& object, std::string_view message, std::string_view type, std::string_view data,
                     std::string_view trace) {
  ErrorObject error;
  error.message = text_in(object, message);
  error.type = text_in(object, type);
  error.data = text_in(object, data);
  if (const Json* lines = object.find(trace); lines && lines->is_array()) {
    error.trace.emplace();
    for (const Json& line : lines->as_array())
      error.trace->push_back(line.is_string() ? line.as_string() : line.dump());
  }
  return error;
}

// Cut to what an execution's error may be: its data and trace go first.
ErrorObject bounded(ErrorObject error) {
  if (error.size() > kMostExecutionError) error.trace.reset(), error.data.reset();
  for (std::optional<std::string>* text : {&error.message, &error.type}) {
    if (*text && (*text)->size() > kMostExecutionError / 2) (*text)->resize(kMostExecutionError / 2);
  }
  return error;
}

Response invalid(std::string why) {
  Response response;
  response.error.emplace();
  response.error->message = std::move(why);
  response.error->type = "InvalidParameterValueException";
  return response;
}

}  // namespace

std::optional<ErrorObject> error_of(const std::optional<lambda::ErrorObject>& in) {
  if (!in) return std::nullopt;
  return ErrorObject{in->error_message, in->error_type, in->error_data, in->stack_trace};
}

std::optional<lambda::ErrorObject> describe(const std::optional<ErrorObject>& error) {
  if (!error) return std::nullopt;
  return lambda::ErrorObject{error->message, error->type, error->data, error->trace};
}

std::vector<Update> updates_of(const std::vector<lambda::OperationUpdate>& in) {
  std::vector<Update> out;
  for (const lambda::OperationUpdate& each : in) {
    Update& update = out.emplace_back();
    update.id = each.id;
    update.parent = each.parent_id.value_or("");
    update.name = each.name.value_or("");
    update.sub_type = each.sub_type.value_or("");
    update.type = same<Type>(each.type);
    update.action = same<Action>(each.action);
    update.payload = each.payload;
    update.error = error_of(each.error);
    if (each.context_options) update.replay_children = each.context_options->replay_children;
    if (each.step_options) update.retry_after = each.step_options->next_attempt_delay_seconds;
    if (each.wait_options) update.wait = each.wait_options->wait_seconds;
    if (each.callback_options) {
      update.timeout = each.callback_options->timeout_seconds;
      update.heartbeat = each.callback_options->heartbeat_timeout_seconds;
    }
    if (each.chained_invoke_options) {
      update.function = each.chained_invoke_options->function_name;
      update.tenant = each.chained_invoke_options->tenant_id.value_or("");
    }
  }
  return out;
}

lambda::Operation describe(const Operation& o) {
  lambda::Operation out;
  out.id = o.id;
  out.parent_id = unless_empty(o.parent);
  out.name = unless_empty(o.name);
  out.type = same<lambda::OperationType>(o.type);
  out.sub_type = unless_empty(o.sub_type);
  out.start_timestamp = o.start;
  out.end_timestamp = o.end;
  out.status = same<lambda::OperationStatus>(o.status);
  const std::optional<lambda::ErrorObject> error = describe(o.error);
  switch (o.type) {
    case Type::kExecution:
      break;
    case Type::kContext:
      out.context_details = lambda::ContextDetails{o.replay_children, o.result, error};
      break;
    case Type::kStep:
      out.step_details = lambda::StepDetails{o.attempt, o.due, o.result, error};
      break;
    case Type::kWait:
      out.wait_details = lambda::WaitDetails{o.due ? *o.due : o.start + std::chrono::seconds(o.seconds)};
      break;
    case Type::kCallback:
      out.callback_details = lambda::CallbackDetails{o.callback_id, o.result, error};
      break;
    case Type::kChainedInvoke:
      out.chained_invoke_details = lambda::ChainedInvokeDetails{o.result, error};
      break;
  }
  return out;
}

lambda::Operation root_of(const Execution& x, const std::optional<std::string>& input) {
  lambda::Operation out;
  out.id = x.id;
  out.name = x.name;
  out.type = lambda::OperationType::EXECUTION;
  out.status = lambda::OperationStatus::STARTED;
  out.start_timestamp = x.start;
  out.execution_details = lambda::ExecutionDetails{input};
  return out;
}

lambda::Event describe(const HistoryEvent& e, bool data, const std::optional<std::string>& whole) {
  lambda::Event out;
  out.event_type = same<lambda::EventType>(e.type);
  out.event_id = static_cast<int32_t>(e.id);
  out.event_timestamp = e.time;
  out.id = unless_empty(e.operation);
  out.name = unless_empty(e.name);
  out.parent_id = unless_empty(e.parent);
  out.sub_type = unless_empty(e.sub_type);
  const auto result_of = [&](const std::optional<std::string>& payload) {
    return data ? lambda::EventResult{payload, false} : lambda::EventResult{{}, true};
  };
  const auto input_of = [&](const std::optional<std::string>& payload) {
    return data ? lambda::EventInput{payload, false} : lambda::EventInput{{}, true};
  };
  const lambda::EventError error = data ? lambda::EventError{describe(e.error), false} : lambda::EventError{{}, true};
  const lambda::RetryDetails retry{e.attempt, e.seconds};
  switch (e.type) {
    case EventType::kExecutionStarted:
      out.execution_started_details = {input_of(whole), e.seconds.value_or(0)};
      break;
    case EventType::kExecutionSucceeded:
      out.execution_succeeded_details = {result_of(whole)};
      break;
    case EventType::kExecutionFailed:
      out.execution_failed_details = {error};
      break;
    case EventType::kExecutionTimedOut:
      out.execution_timed_out_details = {error};
      break;
    case EventType::kExecutionStopped:
      out.execution_stopped_details = {error};
      break;
    case EventType::kContextStarted:
      out.context_started_details.emplace();
      break;
    case EventType::kContextSucceeded:
      out.context_succeeded_details = {result_of(e.payload)};
      break;
    case EventType::kContextFailed:
      out.context_failed_details = {error};
      break;
    case EventType::kWaitStarted:
      out.wait_started_details = {e.seconds.value_or(0), e.begin.value_or(e.time)};
      break;
    case EventType::kWaitSucceeded:
      out.wait_succeeded_details = {e.seconds};
      break;
    case EventType::kWaitCancelled:
      out.wait_cancelled_details.emplace();
      if (e.error) out.wait_cancelled_details->error = error;
      break;
    case EventType::kStepStarted:
      out.step_started_details.emplace();
      break;
    case EventType::kStepSucceeded:
      out.step_succeeded_details = {result_of(e.payload), retry};
      break;
    case EventType::kStepFailed:
      out.step_failed_details = {error, retry};
      break;
    case EventType::kChainedInvokeStarted: {
      lambda::ChainedInvokeStartedDetails& details = out.chained_invoke_started_details.emplace();
      details.function_name = e.function;
      details.tenant_id = unless_empty(e.tenant);
      details.input = input_of(e.payload);
      details.executed_version = unless_empty(e.version);
      details.durable_execution_arn = unless_empty(e.execution_arn);
      break;
    }
    case EventType::kChainedInvokeSucceeded:
      out.chained_invoke_succeeded_details = {result_of(e.payload)};
      break;
    case EventType::kChainedInvokeFailed:
      out.chained_invoke_failed_details = {error};
      break;
    case EventType::kChainedInvokeTimedOut:
      out.chained_invoke_timed_out_details = {error};
      break;
    case EventType::kChainedInvokeStopped:
      out.chained_invoke_stopped_details = {error};
      break;
    case EventType::kCallbackStarted:
      out.callback_started_details = {e.callback_id, e.heartbeat, e.timeout};
      break;
    case EventType::kCallbackSucceeded:
      out.callback_succeeded_details = {result_of(e.payload)};
      break;
    case EventType::kCallbackFailed:
      out.callback_failed_details = {error};
      break;
    case EventType::kCallbackTimedOut:
      out.callback_timed_out_details = {error};
      break;
    case EventType::kInvocationCompleted:
      out.invocation_completed_details = {e.begin.value_or(e.time), e.time, e.request_id, {}};
      if (e.error) out.invocation_completed_details->error = error;
      break;
  }
  return out;
}

std::string invocation_event(const Execution& x, std::string_view token,
                             const std::vector<lambda::Operation>& operations, std::string_view next_marker,
                             const std::vector<std::string>& changed) {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.key("DurableExecutionArn"), w.string(x.arn());
  w.key("CheckpointToken"), w.string(token);
  w.key("InitialExecutionState"), w.begin_object();
  w.key("Operations"), w.begin_array();
  for (const lambda::Operation& operation : operations) put(w, operation);
  w.end_array();
  w.key("NextMarker"), w.string(next_marker);
  w.end_object();
  w.key("UpdatedOperationIds"), w.begin_array();
  for (const std::string& id : changed) w.string(id);
  w.end_array();
  w.end_object();
  return out;
}

Response response_of(const std::string& payload, size_t most_result) {
  Json json;
  try {
    json = Json::parse(payload);
  } catch (const JsonError&) {
    return invalid("Invalid Status in invocation output.");
  }
  const std::string status = json.string_or("Status");
  Response response;
  response.result = text_in(json, "Result");
  if (const Json* error = json.find("Error"); error && error->is_object()) {
    response.error = bounded(error_in(*error, "ErrorMessage", "ErrorType", "ErrorData", "StackTrace"));
  }
  if (status == "PENDING") {
    response.kind = Response::Kind::kPending;
  } else if (status == "SUCCEEDED") {
    if (response.error) return invalid("Cannot provide an Error for SUCCEEDED status.");
    if (response.result && response.result->size() > most_result) {
      return invalid(cat("Execution output payload size must be less than or equal to ", most_result, " bytes."));
    }
    response.kind = Response::Kind::kSucceeded;
  } else if (status == "FAILED") {
    if (response.result) return invalid("Cannot provide a Result for FAILED status.");
    if (!response.error) response.error.emplace();
    response.kind = Response::Kind::kFailed;
  } else {
    return invalid("Invalid Status in invocation output.");
  }
  return response;
}

ErrorObject function_error_of(const std::string& payload) {
  try {
    const Json json = Json::parse(payload);
    if (json.find("errorMessage") || json.find("errorType")) {
      return bounded(error_in(json, "errorMessage", "errorType", "errorData", "stackTrace"));
    }
  } catch (const JsonError&) {
    // A runtime may answer anything: it is the message then.
  }
  ErrorObject error;
  error.message = payload;
  return bounded(std::move(error));
}

std::string error_document(const ErrorObject& error) {
  Json out = Json::object();
  out["errorMessage"] = error.message.value_or("");
  if (error.type) out["errorType"] = *error.type;
  if (error.data) out["errorData"] = *error.data;
  if (error.trace) {
    Json lines = Json::array();
    for (const std::string& line : *error.trace) lines.push_back(line);
    out["stackTrace"] = std::move(lines);
  }
  return out.dump();
}

std::string status_change(const Execution& x) {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.key("durableExecutionArn"), w.string(x.arn());
  w.key("durableExecutionName"), w.string(x.name);
  w.key("functionArn"), w.string(x.function_arn());
  w.key("status"), w.string(name_of(x.status));
  put(w, "startTimestamp", std::optional(x.start));
  put(w, "endTimestamp", x.end);
  w.end_object();
  return out;
}

}  // namespace virga::lambda::durable
