// restJson1 and restXml: what both do around the body, and the body in either form.
#include "base/source.h"
#include "base/str.h"
#include "wire/access.h"
#include "wire/codec.h"
#include "wire/errors.h"
#include "wire/event_stream.h"
#include "wire/json_shape.h"
#include "wire/rest_binding.h"
#include "wire/xml_shape.h"

namespace virga::wire {

namespace {

bool is_xml(Protocol protocol) { return protocol == Protocol::kRestXml; }

XmlStyle style_of(const OperationModel& op) { return {.millis = is_s3(op.service)}; }

struct RootName {
  std::string_view shape, element;
};
// S3's documents are not named after the model's shapes.
constexpr RootName kS3Roots[] = {
    {"CompleteMultipartUploadOutput", "CompleteMultipartUploadResult"},
    {"CreateMultipartUploadOutput", "InitiateMultipartUploadResult"},
    {"CreateSessionOutput", "CreateSessionResult"},
    {"DeleteObjectsOutput", "DeleteResult"},
    {"GetBucketAccelerateConfigurationOutput", "AccelerateConfiguration"},
    {"GetBucketAclOutput", "AccessControlPolicy"},
    {"GetBucketCorsOutput", "CORSConfiguration"},
    {"GetBucketLifecycleConfigurationOutput", "LifecycleConfiguration"},
    {"GetBucketLifecycleOutput", "LifecycleConfiguration"},
    {"GetBucketLocationOutput", "LocationConstraint"},
    {"GetBucketLoggingOutput", "BucketLoggingStatus"},
    {"GetBucketRequestPaymentOutput", "RequestPaymentConfiguration"},
    {"GetBucketTaggingOutput", "Tagging"},
    {"GetBucketVersioningOutput", "VersioningConfiguration"},
    {"GetBucketWebsiteOutput", "WebsiteConfiguration"},
    {"GetObjectAclOutput", "AccessControlPolicy"},
    {"GetObjectAttributesOutput", "GetObjectAttributesResponse"},
    {"GetObjectTaggingOutput", "Tagging"},
    {"ListBucketAnalyticsConfigurationsOutput", "ListBucketAnalyticsConfigurationResult"},
    {"ListBucketIntelligentTieringConfigurationsOutput", "ListBucketIntelligentTieringConfigurationsResult"},
    {"ListBucketInventoryConfigurationsOutput", "ListInventoryConfigurationsResult"},
    {"ListBucketMetricsConfigurationsOutput", "ListMetricsConfigurationsResult"},
    {"ListBucketsOutput", "ListAllMyBucketsResult"},
    {"ListDirectoryBucketsOutput", "ListAllMyDirectoryBucketsResult"},
    {"ListMultipartUploadsOutput", "ListMultipartUploadsResult"},
    {"ListObjectVersionsOutput", "ListVersionsResult"},
    {"ListObjectsOutput", "ListBucketResult"},
    {"ListObjectsV2Output", "ListBucketResult"},
    {"ListPartsOutput", "ListPartsResult"}};

std::string_view root_of(const OperationModel& op, const Shape& shape) {
  if (is_s3(op.service)) {
    for (const RootName& root : kS3Roots) {
      if (root.shape == shape.name) return root.element;
    }
  }
  return shape.structure->xml_name.empty() ? shape.name : shape.structure->xml_name;
}

void read_json_body(const StructInfo& info, std::string_view body, void* structure, bool body_only, const Path& at,
                    Findings& findings) {
  JsonReader in(body);
  JsonShapeReader(in, findings).read_structure(info, structure, at, body_only, true);
  in.end();
}

void read_payload(Protocol protocol, const Member& member, std::string_view body, const Body& stream, void* structure,
                  Findings& findings) {
  void* field = field_of(structure, member);
  const Path root;
  const Path at = root.member(member.name);
  const Shape& shape = *member.shape;
  switch (shape.kind) {
    case Kind::kStreamingBlob:
      *static_cast<Body*>(member.access->emplace(field)) = stream;
      return;
    case Kind::kBlob:
      *static_cast<std::string*>(member.access->emplace(field)) = body;
      return;
    case Kind::kString:
      if (!is_utf8(body)) throw BadInput{"The body is not valid UTF-8"};
      *static_cast<std::string*>(member.access->emplace(field)) = body;
      return;
    case Kind::kEnum:
      if (!enum_value(shape, body, member.access->emplace(field))) findings.no_such_value(at, shape, body);
      return;
    case Kind::kEventStream:
      throw BadInput{"Event streams from the client are not supported by this operation"};
    default:
      break;
  }
  if (is_xml(protocol)) {
    read_xml(parse_xml(body), shape, member.access->emplace(field), at, findings);
    return;
  }
  JsonReader in(body);
  JsonShapeReader(in, findings).read(shape, member.access->emplace(field), at);
  in.end();
}

// The body of `structure`, whose members at other places have been seen to.
void read_rest_body(Protocol protocol, const StructInfo& info, std::string_view body, const Body& stream,
                    void* structure, Seen& seen, Findings& findings) {
  if (info.payload) {
    const bool streaming = info.payload->shape->kind == Kind::kStreamingBlob;
    if (!streaming && body.empty()) return;
    read_payload(protocol, *info.payload, body, stream, structure, findings);
    seen.mark(static_cast<size_t>(info.payload - info.members.data()));
    return;
  }
  if (!has_body_members(info)) return;
  if (body.empty()) return;
  if (is_xml(protocol)) {
    const XmlNode root = parse_xml(body);
    if (info.xml_unwrapped && info.members.size() == 1) {
      read_xml(root, *info.members[0].shape, info.members[0].access->emplace(field_of(structure, info.members[0])),
               Path(nullptr, Path::Kind::kMember, info.members[0].name), findings);
    } else {
      read_xml_structure(root, info, structure, true, Path(), findings);
    }
  } else {
    read_json_body(info, body, structure, true, Path(), findings);
  }
  // The body's reader has reported what was missing there.
  for (size_t i = 0; i < info.members.size(); ++i) {
    if (info.members[i].location == Location::kBody) seen.mark(i);
  }
}

std::string xml_document(const OperationModel& op, std::string_view root, const Shape& shape, const void* value,
                         bool body_only, std::string_view xml_namespace) {
  std::string body;
  XmlWriter out(body);
  out.declaration();
  out.begin(root);
  if (!xml_namespace.empty()) out.attribute("xmlns", xml_namespace);
  const StructInfo& info = *shape.structure;
  if (info.xml_unwrapped && info.members.size() == 1) {
    const Member& only = info.members[0];
    const void* field = field_of(value, only);
    if (only.access->has(field) && only.shape->kind == Kind::kEnum) {
      out.text(enum_name(*only.shape, only.shape->enumeration->get(only.access->get(field))));
    } else if (only.access->has(field) && only.shape->kind == Kind::kString) {
      out.text(*static_cast<const std::string*>(only.access->get(field)));
    }
  } else {
    write_xml_members(out, info, value, body_only, style_of(op));
  }
  out.end(root);
  return body;
}

// The payload member as a body. `type` is set when it has one by itself.
std::string payload_document(Protocol protocol, const OperationModel& op, const Member& member, const void* value,
                             std::string_view& type) {
  const Shape& shape = *member.shape;
  switch (shape.kind) {
    case Kind::kBlob:
      type = "application/octet-stream";
      return *static_cast<const std::string*>(value);
    case Kind::kString:
      type = "text/plain";
      return *static_cast<const std::string*>(value);
    case Kind::kEnum:
      type = "text/plain";
      return std::string(enum_name(shape, shape.enumeration->get(value)));
    default:
      break;
  }
  if (is_xml(protocol)) {
    type = "application/xml";
    const std::string own = shape.structure->xml_namespace.empty() ? xml_namespace_of(*op.service)
                                                                   : std::string(shape.structure->xml_namespace);
    return xml_document(op, member.wire_name, shape, value, false, own);
  }
  type = "application/json";
  std::string body;
  JsonWriter out(body);
  write_json(out, shape, value);
  return body;
}

[[noreturn]] void refuse_parameter(const OperationModel& op, const std::string& message) {
  static constexpr ErrorShape kInvalidArgument = {"InvalidArgument", 400};
  if (is_s3(op.service)) throw Error{&kInvalidArgument, message, nullptr, {}};
  throw BadInput{message};
}

}  // namespace

void read_rest_input(Protocol protocol, const OperationModel& op, const HttpRequest& request, std::string_view body,
                     const Labels& labels, void* input, Findings& findings) {
  const StructInfo& info = *op.input->structure;
  Seen seen;
  if (info.has_locations) {
    try {
      read_bound_input(info, request, labels, input, seen, findings);
    } catch (const BadInput& bad) {
      refuse_parameter(op, bad.message);
    }
  }
  const size_t before = findings.by_place.size();
  read_rest_body(protocol, info, body, request.body, input, seen, findings);
  // S3 knows no constraints of a document's parts: one that lacks something is malformed.
  if (is_s3(op.service) && findings.by_place.size() > before) throw BadInput{findings.by_place.begin()->second};
  seen.report_missing(info, Path(), findings);
}

HttpResponse write_rest_output(Protocol protocol, const OperationModel& op, const void* output) {
  HttpResponse response;
  response.status = op.status;
  if (!op.output || !output) return response;
  const StructInfo& info = *op.output->structure;
  if (info.has_locations) write_bound_output(info, output, response);
  std::string_view type;
  if (const Member* events = event_stream_of(op.output)) {
    const void* field = field_of(output, *events);
    if (events->access->has(field)) response.stream = encode_events(*events->shape, field, protocol, {});
    type = kEventStreamType;
  } else if (info.payload) {
    const void* field = field_of(output, *info.payload);
    if (info.payload->shape->kind == Kind::kStreamingBlob) {
      response.stream = *static_cast<const Body*>(field);
      if (response.stream) type = "application/octet-stream";
    } else if (info.payload->access->has(field)) {
      response.body = payload_document(protocol, op, *info.payload, info.payload->access->get(field), type);
    }
  } else if (has_body_members(info)) {
    if (is_xml(protocol)) {
      type = "application/xml";
      response.body =
          xml_document(op, root_of(op, *op.output), *op.output, output, true,
                       info.xml_namespace.empty() ? xml_namespace_of(*op.service) : std::string(info.xml_namespace));
    } else {
      type = "application/json";
      JsonWriter out(response.body);
      out.begin_object();
      write_json_members(out, info, output, true);
      out.end_object();
    }
  } else if (!is_xml(protocol) && response.status != 204 && op.method != "HEAD") {
    type = "application/json";
    response.body = "{}";
  }
  if (!type.empty() && !response.headers.has("Content-Type")) response.headers.add("Content-Type", type);
  return response;
}

HttpRequest write_rest_request(Protocol protocol, const OperationModel& op, const void* input) {
  HttpRequest request;
  write_bound_request(op, input, request);
  std::string body;
  std::string_view type;
  if (op.input && input) {
    const StructInfo& info = *op.input->structure;
    if (info.payload) {
      const void* field = field_of(input, *info.payload);
      if (info.payload->shape->kind == Kind::kStreamingBlob) {
        request.body = *static_cast<const Body*>(field);
        if (request.body) request.content_length = request.body->size();
      } else if (info.payload->access->has(field)) {
        body = payload_document(protocol, op, *info.payload, info.payload->access->get(field), type);
      }
    } else if (has_body_members(info)) {
      if (is_xml(protocol)) {
        type = "application/xml";
        body = xml_document(
            op, op.input_root.empty() ? root_of(op, *op.input) : op.input_root, *op.input, input, true,
            op.input_root_namespace.empty() ? xml_namespace_of(*op.service) : std::string(op.input_root_namespace));
      } else {
        type = "application/json";
        JsonWriter out(body);
        out.begin_object();
        write_json_members(out, info, input, true);
        out.end_object();
      }
    }
  }
  if (!type.empty() && !request.headers.has("Content-Type")) request.headers.add("Content-Type", type);
  if (!request.body) {
    request.content_length = body.size();
    request.body = body_of(std::move(body));
  }
  return request;
}

void read_rest_output(Protocol protocol, const OperationModel& op, const HttpResponse& response, std::string_view body,
                      void* output) {
  if (!op.output || !output) return;
  const StructInfo& info = *op.output->structure;
  if (info.has_locations) read_bound_output(info, response, output);
  if (event_stream_of(op.output)) return;
  Seen seen;
  Findings ignored;
  read_rest_body(protocol, info, body, response.stream, output, seen, ignored);
}

}  // namespace virga::wire
