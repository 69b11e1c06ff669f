// The codecs behind protocol.h, one set of functions a protocol. Readers throw BadInput, JsonError, XmlError or
// CborError for input they cannot read; protocol.cc turns those into the service's error and checks constraints.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wire/findings.h"
#include "wire/http.h"
#include "wire/shape.h"

namespace virga::wire {

using Labels = std::vector<std::pair<std::string, std::string>>;

void read_json_input(const OperationModel& op, std::string_view body, void* input, Findings& findings);
HttpResponse write_json_output(Protocol protocol, const OperationModel& op, const void* output);
HttpRequest write_json_request(Protocol protocol, const OperationModel& op, const void* input);
void read_json_output(const OperationModel& op, std::string_view body, void* output);

void read_query_input(Protocol protocol, const OperationModel& op, const HttpRequest& request, std::string_view body,
                      void* input, Findings& findings);
HttpResponse write_query_output(Protocol protocol, const OperationModel& op, const void* output,
                                std::string_view request_id);
HttpRequest write_query_request(Protocol protocol, const OperationModel& op, const void* input);
void read_query_output(Protocol protocol, const OperationModel& op, std::string_view body, void* output);

void read_rest_input(Protocol protocol, const OperationModel& op, const HttpRequest& request, std::string_view body,
                     const Labels& labels, void* input, Findings& findings);
HttpResponse write_rest_output(Protocol protocol, const OperationModel& op, const void* output);
HttpRequest write_rest_request(Protocol protocol, const OperationModel& op, const void* input);
void read_rest_output(Protocol protocol, const OperationModel& op, const HttpResponse& response, std::string_view body,
                      void* output);

void read_cbor_input(const OperationModel& op, std::string_view body, void* input, Findings& findings);
HttpResponse write_cbor_output(const OperationModel& op, const void* output);
HttpRequest write_cbor_request(const OperationModel& op, const void* input);
void read_cbor_output(const OperationModel& op, std::string_view body, void* output);

// The member that is an event stream, or null.
const Member* event_stream_of(const Shape* structure);

}  // namespace virga::wire
