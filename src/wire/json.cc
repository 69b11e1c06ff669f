// AWS JSON 1.0 and 1.1: one document each way, the operation in X-Amz-Target.
#include "base/str.h"
#include "wire/codec.h"
#include "wire/event_stream.h"
#include "wire/json_shape.h"

namespace virga::wire {

namespace {

std::string_view content_type(Protocol protocol) {
  return protocol == Protocol::kJson10 ? "application/x-amz-json-1.0" : "application/x-amz-json-1.1";
}

std::string body_of_structure(const Shape* shape, const void* structure) {
  std::string body;
  body.reserve(256);
  JsonWriter out(body);
  out.begin_object();
  if (shape && structure) write_json_members(out, *shape->structure, structure, false);
  out.end_object();
  return body;
}

void read_body(const Shape& shape, std::string_view body, void* structure, Findings& findings,
               const ServiceModel* service = nullptr) {
  JsonReader in(body);
  JsonShapeReader(in, findings, service).read_structure(*shape.structure, structure, Path(), false, true);
  in.end();
}

}  // namespace

void read_json_input(const OperationModel& op, std::string_view body, void* input, Findings& findings) {
  if (!op.input || (body.empty() && op.input->structure->members.empty())) return;
  read_body(*op.input, body, input, findings, op.service);
}

HttpResponse write_json_output(Protocol protocol, const OperationModel& op, const void* output) {
  HttpResponse response;
  response.status = op.status;
  if (const Member* events = event_stream_of(op.output)) {
    // The members beside the stream travel first, as an event of their own.
    response.headers.add("Content-Type", kEventStreamType);
    response.stream =
        encode_events(*events->shape, field_of(output, *events), protocol, body_of_structure(op.output, output));
    return response;
  }
  response.headers.add("Content-Type", content_type(protocol));
  // What has no output at all has no body either.
  if (op.output) response.body = body_of_structure(op.output, output);
  return response;
}

HttpRequest write_json_request(Protocol protocol, const OperationModel& op, const void* input) {
  HttpRequest request;
  request.method = "POST";
  request.target = request.path = "/";
  request.headers.add("Content-Type", content_type(protocol));
  request.headers.add("X-Amz-Target", cat(op.service->target_prefix, '.', op.name));
  std::string body = body_of_structure(op.input, input);
  request.content_length = body.size();
  request.body = body_of(std::move(body));
  return request;
}

void read_json_output(const OperationModel& op, std::string_view body, void* output) {
  if (!op.output || !output || body.empty()) return;
  Findings ignored;
  read_body(*op.output, body, output, ignored);
}

}  // namespace virga::wire
