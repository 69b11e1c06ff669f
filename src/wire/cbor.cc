// Smithy RPC v2 CBOR: POST /service/<name>/operation/<operation>, CBOR each way.
#include "base/source.h"
#include "base/str.h"
#include "wire/cbor_shape.h"
#include "wire/codec.h"
#include "wire/event_stream.h"

namespace virga::wire {

namespace {

constexpr std::string_view kCborType = "application/cbor";

std::string cbor_document(const Shape* shape, const void* value) {
  std::string out;
  CborWriter writer(out);
  if (shape && value) {
    write_cbor(writer, *shape, value);
  } else {
    writer.map(0);
  }
  return out;
}

void read_cbor_document(const Shape& shape, std::string_view body, void* value, Findings& findings) {
  CborReader in(body);
  read_cbor(in, shape, value, Path(), findings);
  in.end();
}

}  // namespace

void read_cbor_input(const OperationModel& op, std::string_view body, void* input, Findings& findings) {
  // An operation without members may come without a body.
  if (body.empty() && op.input->structure->members.empty()) return;
  read_cbor_document(*op.input, body, input, findings);
}

HttpResponse write_cbor_output(const OperationModel& op, const void* output) {
  HttpResponse response;
  response.status = op.status;
  response.headers.add("smithy-protocol", "rpc-v2-cbor");
  if (const Member* events = event_stream_of(op.output)) {
    response.headers.add("Content-Type", kEventStreamType);
    response.stream =
        encode_events(*events->shape, field_of(output, *events), Protocol::kCbor, cbor_document(op.output, output));
    return response;
  }
  response.headers.add("Content-Type", kCborType);
  response.body = cbor_document(op.output, output);
  return response;
}

HttpRequest write_cbor_request(const OperationModel& op, const void* input) {
  HttpRequest request;
  request.method = "POST";
  // The service's name of its model's early days, which the target prefix has kept.
  const std::string_view name = op.service->target_prefix.empty() ? op.service->service_id : op.service->target_prefix;
  request.target = request.path = cat("/service/", name, "/operation/", op.name);
  request.headers.add("smithy-protocol", "rpc-v2-cbor");
  request.headers.add("Accept", kCborType);
  request.headers.add("Content-Type", kCborType);
  std::string body = cbor_document(op.input, input);
  request.content_length = body.size();
  request.body = body_of(std::move(body));
  return request;
}

void read_cbor_output(const OperationModel& op, std::string_view body, void* output) {
  if (!op.output || !output || body.empty()) return;
  Findings ignored;
  read_cbor_document(*op.output, body, output, ignored);
}

}  // namespace virga::wire
