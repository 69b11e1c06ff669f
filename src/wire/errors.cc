#include "wire/errors.h"

#include <array>

#include "base/encoding.h"
#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "base/xml.h"
#include "wire/cbor_shape.h"
#include "wire/dynamodb.h"
#include "wire/protocol.h"

namespace virga::wire {

namespace {

constexpr ErrorShape kSerialization = {"SerializationException", 400};
constexpr ErrorShape kMalformedInput = {"MalformedInput", 400};
constexpr ErrorShape kMalformedXml = {"MalformedXML", 400};
constexpr ErrorShape kInvalidRequestContent = {"InvalidRequestContentException", 400};
constexpr ErrorShape kUnknownOperation = {"UnknownOperationException", 400};
constexpr ErrorShape kUnknownPath = {"UnknownOperationException", 404};
constexpr ErrorShape kInvalidAction = {"InvalidAction", 400};
constexpr ErrorShape kMethodNotAllowed = {"MethodNotAllowed", 405};
constexpr ErrorShape kNotImplemented = {"NotImplemented", 501, Fault::kReceiver};
constexpr ErrorShape kInternalFailure = {"InternalFailure", 500, Fault::kReceiver};
constexpr ErrorShape kAccessDeniedJson = {"AccessDeniedException", 400, Fault::kSender, "AccessDenied"};
constexpr ErrorShape kAccessDeniedRest = {"AccessDeniedException", 403};
constexpr ErrorShape kAccessDenied = {"AccessDenied", 403};
constexpr ErrorShape kTooLarge = {"RequestEntityTooLargeException", 413};
constexpr ErrorShape kRequestTooLarge = {"RequestEntityTooLargeException", 413};
constexpr ErrorShape kEntityTooLarge = {"EntityTooLarge", 400};
constexpr ErrorShape kUnavailable = {"ServiceUnavailable", 503, Fault::kReceiver};

constexpr ErrorShape kValidation = {"ValidationException", 400, Fault::kSender, "ValidationError"};
constexpr ErrorShape kValidationError = {"ValidationError", 400};
Error refusal(const ErrorShape& shape, std::string message) { return Error{&shape, std::move(message), nullptr, {}}; }

bool speaks_xml(Protocol protocol) {
  return protocol == Protocol::kQuery || protocol == Protocol::kEc2Query || protocol == Protocol::kRestXml;
}

Protocol first_protocol(const ServiceModel& service) {
  return service.protocols.empty() ? Protocol::kJson11 : service.protocols.front();
}

// What stands before the code in __type. Errors of the common framework have namespaces of their own.
std::string type_of(const ServiceModel* service, std::string_view code) {
  if (!service || service->error_namespace.empty()) return std::string(code);
  if (code == "ValidationException") return cat("com.amazon.coral.validate#", code);
  constexpr std::array<std::string_view, 12> kCommon = {"SerializationException",
                                                        "UnknownOperationException",
                                                        "AccessDeniedException",
                                                        "InternalFailure",
                                                        "UnrecognizedClientException",
                                                        "IncompleteSignatureException",
                                                        "InvalidSignatureException",
                                                        "MissingAuthenticationTokenException",
                                                        "ThrottlingException",
                                                        "ServiceUnavailable",
                                                        "NotImplemented",
                                                        "ExpiredTokenException"};
  for (const std::string_view common : kCommon) {
    if (code == common) return cat("com.amazon.coral.service#", code);
  }
  return cat(service->error_namespace, '#', code);
}

std::string_view message_name(const ErrorShape& shape) {
  // The framework's own refusal of a body has its message in upper case, whatever the service's errors do.
  if (shape.code == kSerialization.code) return "Message";
  return shape.message_name;
}

void write_json_body(JsonWriter& out, const ServiceModel* service, const Error& error, bool with_type) {
  out.begin_object();
  if (with_type) {
    out.key("__type");
    out.string(type_of(service, error.shape->code));
  }
  const bool says_fault = service && service->tells_fault && !with_type;
  if (says_fault && !(error.members && error.members->find("Type"))) {
    out.key("Type");
    out.string(error.shape->fault == Fault::kSender ? "User" : "Service");
  }
  const std::string_view name = message_name(*error.shape);
  const bool empty_serialization = error.message.empty() && error.shape->code == kSerialization.code;
  if (!empty_serialization && !(error.members && error.members->find(name))) {
    out.key(name);
    out.string(error.message);
  }
  if (error.members && error.members->is_object()) {
    for (const auto& [key, value] : error.members->as_object()) {
      out.key(key);
      out.value(value);
    }
  }
  out.end_object();
}

std::string text_of(const Json& value) { return value.is_string() ? value.as_string() : value.dump(); }

void write_xml_members(XmlWriter& out, const Error& error) {
  if (!error.members || !error.members->is_object()) return;
  for (const auto& [key, value] : error.members->as_object()) {
    if (!value.is_null()) out.element(key, text_of(value));
  }
}

// S3's own spelling of what the door says to everybody.
Error for_s3(const Error& error) {
  static constexpr ErrorShape kInternalError = {"InternalError", 500, Fault::kReceiver};
  if (error.shape->code == kInternalFailure.code)
    return Error{&kInternalError, "We encountered an internal error. Please try again.", error.members, error.internal};
  return error;
}

void write_s3_body(std::string& body, const Error& error, std::string_view request_id, std::string_view host_id,
                   std::string_view resource) {
  XmlWriter out(body);
  out.declaration();
  out.begin("Error");
  out.element("Code", error.shape->code);
  out.element("Message", error.message);
  write_xml_members(out, error);
  if (!resource.empty() && !(error.members && error.members->find("Resource"))) out.element("Resource", resource);
  out.element("RequestId", request_id);
  out.element("HostId", host_id);
  out.end("Error");
}

// What S3 says in headers too, for answers that have no body.
void add_s3_headers(HttpResponse& response, const Error& error) {
  if (!error.members) return;
  constexpr std::pair<std::string_view, std::string_view> kHeaders[] = {
      {"ETag", "ETag"}, {"Last-Modified", "Last-Modified"}, {"Region", "x-amz-bucket-region"}};
  for (const auto& [member, header] : kHeaders) {
    if (member != "Region" && response.status != 304) continue;
    const std::string value = error.members->string_or(member);
    if (!value.empty()) response.headers.add(header, value);
  }
}

// SQS has kept one sentence of its own for the older protocol.
std::string_view message_of(const Error& error, std::string_view code) {
  if (code == "AWS.SimpleQueueService.NonExistentQueue")
    return "The specified queue does not exist for this wsdl version.";
  return error.message;
}

void write_wrapped_body(std::string& body, const ServiceModel* service, const Error& error, std::string_view code,
                        std::string_view request_id) {
  XmlWriter out(body);
  out.begin("ErrorResponse");
  if (service) out.attribute("xmlns", xml_namespace_of(*service));
  out.begin("Error");
  out.element("Type", error.shape->fault == Fault::kSender ? "Sender" : "Receiver");
  out.element("Code", code);
  out.element("Message", message_of(error, code));
  write_xml_members(out, error);
  if (service && service->query_compatible) out.element("Detail", "");  // as SQS was recorded
  out.end("Error");
  out.element("RequestId", request_id);
  out.end("ErrorResponse");
}

void write_ec2_body(std::string& body, const Error& error, std::string_view request_id) {
  XmlWriter out(body);
  out.declaration();
  out.begin("Response");
  out.begin("Errors");
  out.begin("Error");
  out.element("Code", error.shape->code);
  out.element("Message", error.message);
  out.end("Error");
  out.end("Errors");
  out.element("RequestID", request_id);
  out.end("Response");
}

std::string_view query_code(const ErrorShape& shape) {
  return shape.query_code.empty() ? shape.code : shape.query_code;
}

}  // namespace

std::string xml_namespace_of(const ServiceModel& service) {
  if (!service.xml_namespace.empty()) return std::string(service.xml_namespace);
  return cat("http://", service.endpoint_prefix, ".amazonaws.com/doc/", service.api_version, "/");
}

bool is_s3(const ServiceModel* service) { return service && service->id == "s3"; }

void add_checksum(HttpResponse& response, const ServiceModel* service) {
  if (service && service->packs) response.headers.add("x-amz-crc32", cat(crc32(response.body)));
}

void add_request_id(HttpResponse& response, const ServiceModel* service, std::string_view request_id) {
  if (is_s3(service)) {
    response.headers.add("x-amz-request-id", request_id);
    response.headers.add("x-amz-id-2", request_id);
  } else {
    response.headers.add("x-amzn-RequestId", request_id);
  }
}

Error validation_error(const OperationModel& op, std::string message) {
  const ServiceModel& service = *op.service;
  const ErrorShape* shape = speaks_xml(first_protocol(service)) ? &kValidationError : &kValidation;
  if (service.validation_error) shape = service.validation_error;
  for (const ErrorShape* declared : op.errors) {
    if (declared->code == shape->code) return refusal(*declared, std::move(message));
  }
  return refusal(*shape, std::move(message));
}

std::optional<Error> missing_parameter(const OperationModel& op, std::string_view place) {
  static constexpr ErrorShape kMissing = {"MissingRequiredParameterException", 400, Fault::kSender, "MissingParameter"};
  if (is_on_table(op) && place == "tableName") {
    return validation_error(op, cat("The parameter '", kTableName, "' is required but was not present in the request"));
  }
  if (!op.service->tells_missing) return std::nullopt;
  std::string name(place.substr(place.rfind('.') + 1));
  name[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(name[0])));
  return refusal(kMissing, cat("The request must contain the parameter ", name, "."));
}

HttpResponse write_error(Protocol protocol, const ServiceModel* service, const OperationModel* op, const Error& error,
                         std::string_view request_id, std::string_view resource_path) {
  HttpResponse response;
  response.status = error.shape->status;
  add_request_id(response, service, request_id);
  const bool head = op && op->method == "HEAD";
  if (service && service->query_compatible && !speaks_xml(protocol)) {
    response.headers.add("x-amzn-query-error",
                         cat(query_code(*error.shape), error.shape->fault == Fault::kSender ? ";Sender" : ";Receiver"));
  }
  if (error.members) {
    const std::string retry_after = error.members->string_or("Retry-After");
    if (!retry_after.empty()) response.headers.add("Retry-After", retry_after);
  }
  switch (protocol) {
    case Protocol::kJson10:
    case Protocol::kJson11: {
      response.headers.add("Content-Type",
                           protocol == Protocol::kJson10 ? "application/x-amz-json-1.0" : "application/x-amz-json-1.1");
      JsonWriter out(response.body);
      write_json_body(out, service, error, true);
      add_checksum(response, service);
      break;
    }
    case Protocol::kRestJson: {
      response.headers.add("Content-Type", "application/json");
      response.headers.add("x-amzn-ErrorType", error.shape->code);
      if (head) break;
      JsonWriter out(response.body);
      write_json_body(out, service, error, false);
      break;
    }
    case Protocol::kCbor: {
      response.headers.add("Content-Type", "application/cbor");
      response.headers.add("smithy-protocol", "rpc-v2-cbor");
      CborWriter out(response.body);
      out.begin_map();
      out.key("__type");
      out.string(type_of(service, error.shape->code));
      const std::string_view name = message_name(*error.shape);
      if (!(error.members && error.members->find(name))) {
        out.key(name);
        out.string(error.message);
      }
      if (error.members && error.members->is_object()) {
        for (const auto& [key, value] : error.members->as_object()) {
          out.key(key);
          write_cbor_document(out, value);
        }
      }
      out.end();
      break;
    }
    case Protocol::kQuery:
      response.headers.add("Content-Type", "text/xml");
      if (error.shape == &kUnknownPath) {
        response.body = "<UnknownOperationException/>\n";
        break;
      }
      write_wrapped_body(response.body, service, error,
                         service && service->query_compatible ? query_code(*error.shape) : error.shape->code,
                         request_id);
      break;
    case Protocol::kEc2Query:
      response.headers.add("Content-Type", "text/xml;charset=UTF-8");
      write_ec2_body(response.body, error, request_id);
      break;
    case Protocol::kRestXml:
      response.headers.add("Content-Type", is_s3(service) ? "application/xml" : "text/xml");
      if (is_s3(service)) {
        const Error spelled = for_s3(error);
        response.status = spelled.shape->status;
        add_s3_headers(response, spelled);
        // 304 and HEAD have headers alone.
        if (!head && response.status != 304)
          write_s3_body(response.body, spelled, request_id, request_id, resource_path);
      } else if (!head) {
        write_wrapped_body(response.body, service, error, error.shape->code, request_id);
      }
      break;
  }
  return response;
}

namespace door {

Error unknown_operation(const ServiceModel* service, Protocol protocol, std::string_view name) {
  switch (protocol) {
    case Protocol::kJson10:
    case Protocol::kJson11:
      return refusal(kUnknownOperation, name.empty() ? std::string() : cat("The operation ", name, " is not known"));
    case Protocol::kCbor:
      return refusal(kUnknownPath, cat("The operation ", name, " is not known"));
    case Protocol::kRestJson:
      return refusal(kUnknownPath, cat("No operation answers to ", name));
    case Protocol::kQuery:
    case Protocol::kEc2Query:
      if (service && service->query_compatible) {
        if (name.empty()) return refusal(kUnknownPath, {});
        return refusal(kInvalidAction, cat("The action ", name, " is not valid for this endpoint."));
      }
      return refusal(kInvalidAction, service
                                         ? cat("Could not find operation ", name, " for version ", service->api_version)
                                         : cat("The action ", name, " is not valid for this web service."));
    case Protocol::kRestXml:
      if (is_s3(service))
        return refusal(kMethodNotAllowed, "The specified method is not allowed against this resource.");
      return refusal(kUnknownPath, cat("No operation answers to ", name));
  }
  return refusal(kUnknownOperation, {});
}

Error not_served(const ServiceModel& service, std::string_view operation) {
  return refusal(kNotImplemented, cat(service.service_id, " ", operation, " is not served by Virga"));
}

Error malformed(const ServiceModel& service, Protocol protocol, std::string message) {
  switch (protocol) {
    case Protocol::kJson10:
    case Protocol::kJson11:
    case Protocol::kCbor:
      return refusal(kSerialization, std::move(message));
    case Protocol::kRestJson:
      if (service.tells_fault)
        return refusal(kInvalidRequestContent, cat("Could not parse request body into json: ", message));
      return refusal(kSerialization, std::move(message));
    case Protocol::kQuery:
    case Protocol::kEc2Query:
      return refusal(kMalformedInput, std::move(message));
    case Protocol::kRestXml:
      break;
  }
  if (is_s3(&service)) {
    return refusal(kMalformedXml,
                   "The XML you provided was not well-formed or did not validate against our published schema");
  }
  return refusal(kMalformedInput, std::move(message));
}

Error internal_failure() {
  return refusal(kInternalFailure,
                 "The request processing has failed because of an unknown error, exception or failure.");
}

Error access_denied(const ServiceModel& service, std::string message) {
  if (is_s3(&service)) return refusal(kAccessDenied, message.empty() ? "Access Denied" : std::move(message));
  if (service.denied_error) return refusal(*service.denied_error, std::move(message));
  const Protocol protocol = first_protocol(service);
  if (speaks_xml(protocol)) return refusal(kAccessDenied, std::move(message));
  return refusal(protocol == Protocol::kRestJson ? kAccessDeniedRest : kAccessDeniedJson, std::move(message));
}

Error too_large(const ServiceModel* service, const OperationModel* operation, uint64_t limit) {
  if (is_s3(service)) return refusal(kEntityTooLarge, "Your proposed upload exceeds the maximum allowed size");
  if (service && service->tells_fault) {
    return refusal(kRequestTooLarge, cat("Request must be smaller than ", limit, " bytes for the ",
                                         operation ? cat(operation->name, " ") : "", "operation"));
  }
  return refusal(kTooLarge, cat("Request is larger than ", limit, " bytes"));
}

Error service_unavailable() {
  return refusal(kUnavailable, "The request has failed due to a temporary failure of the server.");
}

}  // namespace door

}  // namespace virga::wire
