// The forms that durable executions take on the wire: the API's shapes, the event a function is invoked with, and the
// answer it gives. Pure.
#pragma once

#include <aws/lambda/types.h>

#include <string>
#include <vector>

#include "services/lambda/durable/store.h"

namespace virga::lambda::durable {

std::vector<Update> updates_of(const std::vector<lambda::OperationUpdate>& in);
std::optional<ErrorObject> error_of(const std::optional<lambda::ErrorObject>& in);

std::optional<lambda::ErrorObject> describe(const std::optional<ErrorObject>& error);
lambda::Operation describe(const Operation& operation);
// The operation that an execution itself is: the first of its state.
lambda::Operation root_of(const Execution& execution, const std::optional<std::string>& input);
// `data`: with the payloads; `whole` is the input or result where the event is about one.
lambda::Event describe(const HistoryEvent& event, bool data, const std::optional<std::string>& whole);

// What the function is invoked with.
std::string invocation_event(const Execution& execution, std::string_view token,
                             const std::vector<lambda::Operation>& operations, std::string_view next_marker,
                             const std::vector<std::string>& changed);

// What it answered.
struct Response {
  enum class Kind : uint8_t { kSucceeded, kFailed, kPending, kInvalid };
  Kind kind = Kind::kInvalid;
  std::optional<std::string> result;
  std::optional<ErrorObject> error;  // of kInvalid: why
};
Response response_of(const std::string& payload, size_t most_result);

// The error in a function's error document: {"errorMessage", "errorType", "stackTrace"}.
ErrorObject function_error_of(const std::string& payload);
// And back: what who waits for an execution gets of its failure.
std::string error_document(const ErrorObject& error);

// How `status` ended, told to whoever listens to the default event bus.
std::string status_change(const Execution& execution);

}  // namespace virga::lambda::durable
