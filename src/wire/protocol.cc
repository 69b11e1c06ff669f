#include "wire/protocol.h"

#include "base/cbor.h"
#include "base/str.h"
#include "base/xml.h"
#include "wire/codec.h"
#include "wire/errors.h"
#include "wire/json_shape.h"
#include "wire/packing.h"

namespace virga::wire {

namespace {

void read_by_protocol(Protocol protocol, const OperationModel& op, const HttpRequest& request, std::string_view body,
                      const Labels& labels, void* input, Findings& findings) {
  switch (protocol) {
    case Protocol::kJson10:
    case Protocol::kJson11:
      return read_json_input(op, body, input, findings);
    case Protocol::kQuery:
    case Protocol::kEc2Query:
      return read_query_input(protocol, op, request, body, input, findings);
    case Protocol::kRestJson:
    case Protocol::kRestXml:
      return read_rest_input(protocol, op, request, body, labels, input, findings);
    case Protocol::kCbor:
      return read_cbor_input(op, body, input, findings);
  }
}

}  // namespace

const Member* event_stream_of(const Shape* structure) {
  if (!structure) return nullptr;
  for (const Member& member : structure->structure->members) {
    if (member.shape->kind == Kind::kEventStream) return &member;
  }
  return nullptr;
}

void read_input(Protocol protocol, const OperationModel& op, const HttpRequest& request, std::string_view body,
                const Labels& uri_labels, void* input) {
  if (!op.input) return;
  Findings findings;
  try {
    const std::optional<std::string> whole = unpacked(protocol, *op.service, request, body);
    if (whole) body = *whole;
    read_by_protocol(protocol, op, request, body, uri_labels, input, findings);
  } catch (const BadInput& bad) {
    throw door::malformed(*op.service, protocol, bad.message);
  } catch (const GzipError& error) {
    throw not_unpacked(protocol, *op.service, error.what());
  } catch (const JsonError& error) {
    // The json protocols say nothing about a body that is no JSON.
    const bool silent = protocol == Protocol::kJson10 || protocol == Protocol::kJson11;
    Error refusal = door::malformed(*op.service, protocol, silent ? "" : cat(error.what(), " at byte ", error.offset));
    refusal.internal = cat(error.what(), " at byte ", error.offset);
    throw refusal;
  } catch (const XmlError& error) {
    Error refusal = door::malformed(*op.service, protocol, error.what());
    refusal.internal = error.what();
    throw refusal;
  } catch (const CborError& error) {
    throw door::malformed(*op.service, protocol, cat(error.what(), " at byte ", error.offset));
  }
  check(op, input, findings);
}

HttpResponse write_output(Protocol protocol, const OperationModel& op, const void* output,
                          std::string_view request_id) {
  HttpResponse response;
  switch (protocol) {
    case Protocol::kJson10:
    case Protocol::kJson11:
      response = write_json_output(protocol, op, output);
      add_checksum(response, op.service);
      break;
    case Protocol::kQuery:
    case Protocol::kEc2Query:
      response = write_query_output(protocol, op, output, request_id);
      break;
    case Protocol::kRestJson:
    case Protocol::kRestXml:
      response = write_rest_output(protocol, op, output);
      break;
    case Protocol::kCbor:
      response = write_cbor_output(op, output);
      break;
  }
  add_request_id(response, op.service, request_id);
  return response;
}

HttpRequest write_request(Protocol protocol, const OperationModel& op, const void* input) {
  switch (protocol) {
    case Protocol::kJson10:
    case Protocol::kJson11:
      return write_json_request(protocol, op, input);
    case Protocol::kQuery:
    case Protocol::kEc2Query:
      return write_query_request(protocol, op, input);
    case Protocol::kRestJson:
    case Protocol::kRestXml:
      return write_rest_request(protocol, op, input);
    case Protocol::kCbor:
      return write_cbor_request(op, input);
  }
  return {};
}

void read_output(Protocol protocol, const OperationModel& op, const HttpResponse& response, std::string_view body,
                 void* output) {
  try {
    switch (protocol) {
      case Protocol::kJson10:
      case Protocol::kJson11:
        return read_json_output(op, body, output);
      case Protocol::kQuery:
      case Protocol::kEc2Query:
        return read_query_output(protocol, op, body, output);
      case Protocol::kRestJson:
      case Protocol::kRestXml:
        return read_rest_output(protocol, op, response, body, output);
      case Protocol::kCbor:
        return read_cbor_output(op, body, output);
    }
  } catch (const BadInput& bad) {
    throw door::malformed(*op.service, protocol, bad.message);
  } catch (const std::runtime_error& error) {
    throw door::malformed(*op.service, protocol, error.what());
  }
}

Json to_json(const Shape& shape, const void* value) {
  std::string text;
  JsonWriter out(text);
  write_json(out, shape, value);
  return Json::parse(text);
}

}  // namespace virga::wire
