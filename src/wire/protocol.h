// One codec per AWS protocol: bytes to typed input, typed output or Error to bytes. Pure but for pulling bodies.
#pragma once

#include <string>

#include "wire/http.h"
#include "wire/shape.h"

namespace virga::wire {

// Fills the default-constructed `input` (of op.input) from the request and its whole body (empty when the operation
// streams: then the struct's payload member gets request.body). Checks all constraints of the model.
// `uri_labels`: the decoded labels of the operation's URI pattern, by label name.
// Throws Error: the protocol's SerializationException / MalformedInput / ValidationException and kin.
void read_input(Protocol protocol, const OperationModel& op, const HttpRequest& request, std::string_view body,
                const std::vector<std::pair<std::string, std::string>>& uri_labels, void* input);

// The response of a success. `output` is of op.output; null when the operation has none.
HttpResponse write_output(Protocol protocol, const OperationModel& op, const void* output, std::string_view request_id);

// The response of a refusal. `op` may be null when the operation isn't known; `service` when not even that.
HttpResponse write_error(Protocol protocol, const ServiceModel* service, const OperationModel* op, const Error& error,
                         std::string_view request_id, std::string_view resource_path);

// The client's half, for the command line and for tests of the codecs.
HttpRequest write_request(Protocol protocol, const OperationModel& op, const void* input);
void read_output(Protocol protocol, const OperationModel& op, const HttpResponse& response, std::string_view body,
                 void* output);

// Throws Error ValidationException (or the service's own wording) listing every violation, as AWS does.
void check_constraints(const OperationModel& op, const void* input);

// A typed value as Json, in the json protocols' form.
Json to_json(const Shape& shape, const void* value);

// Errors that belong to the door, not to a service; each protocol and S3 have their own spelling of some.
namespace door {
Error unknown_operation(const ServiceModel* service, Protocol protocol, std::string_view name);
Error not_served(const ServiceModel& service, std::string_view operation);  // 501 NotImplemented, names the operation
Error malformed(const ServiceModel& service, Protocol protocol, std::string message);
Error internal_failure();
Error access_denied(const ServiceModel& service, std::string message);
Error too_large(const ServiceModel* service, const OperationModel* operation, uint64_t limit);
Error service_unavailable();
}  // namespace door

}  // namespace virga::wire
