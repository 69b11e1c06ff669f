// The tables that describe a service's API: what the generator (gen/) emits and what every protocol walks.
// A shape says how a C++ value looks on the wire; nothing here knows a protocol, a socket or a service.
//
// C++ types of the generated structures, by kind:
//   Boolean bool · Integer int32_t · Long int64_t · Float float · Double double · String std::string ·
//   Enum a generated `enum class` (values in the order of the model, spelled as AWS spells them) ·
//   Blob Bytes · Timestamp Time · Structure/Union a generated struct · List std::vector<T> (of bool: std::deque) ·
//   Map std::map<std::string, T> · Document Json · streaming Blob Body · event stream std::shared_ptr<Source<Union>>
// A member that is required in the model is a plain T; any other is std::optional<T>, or Box<T> where a structure
// would contain itself; Body and event streams are plain shared pointers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "base/source.h"
#include "base/time.h"

namespace virga {
class CborReader;
class CborWriter;
}  // namespace virga

namespace virga::wire {

enum class Kind : uint8_t {
  kBoolean,
  kInteger,
  kLong,
  kFloat,
  kDouble,
  kString,
  kEnum,
  kBlob,
  kTimestamp,
  kStructure,
  kUnion,
  kList,
  kMap,
  kDocument,
  kStreamingBlob,
  kEventStream,
  kCustom,
};

enum class TimestampFormat : uint8_t { kDefault, kEpochSeconds, kIso8601, kHttpDate };

// Where a member travels. kBody is the protocol's ordinary place.
enum class Location : uint8_t {
  kBody,
  kHeader,
  kPrefixHeaders,
  kUri,
  kQuery,
  kQueryParams,
  kStatusCode,
  kPayload,
  kEventHeader,
  kEventPayload
};

struct Constraints {  // -1: none. Length for strings (characters), blobs (bytes), lists and maps; value for numbers.
  int64_t min = -1, max = -1;
  bool has_range = false;  // min and max are a numeric range (then -1 is a real bound)
  bool has_min = false, has_max = false;
  std::string_view pattern;  // empty: none. AWS's (Java's) regular expression syntax; must match as a whole.
};

struct StructInfo;
struct ListInfo;
struct MapInfo;
struct EnumInfo;
struct CustomInfo;
struct EventStreamInfo;

struct Shape {
  Kind kind;
  std::string_view name;  // the model's shape name
  const Constraints* constraints = nullptr;
  TimestampFormat timestamp = TimestampFormat::kDefault;
  union {
    const void* none = nullptr;
    const StructInfo* structure;
    const ListInfo* list;
    const MapInfo* map;
    const EnumInfo* enumeration;
    const CustomInfo* custom;
    const EventStreamInfo* events;
  };
  std::string_view media_type;  // e.g. application/json for jsonvalue headers; usually empty
};

// How a struct field holds its value: plain T, std::optional<T> or Box<T>.
struct Access {
  bool (*has)(const void* field);
  const void* (*get)(const void* field);  // the T inside; only when has()
  void* (*emplace)(void* field);          // engages a default T and returns it
};

struct Member {
  std::string_view name;       // as the model spells it; validation messages use it with a lower-case initial
  std::string_view wire_name;  // locationName where the model gives one, else name
  const Shape* shape;
  uint32_t offset;  // of the field within the struct
  const Access* access;
  Location location = Location::kBody;
  bool required = false;
  bool xml_attribute = false;
  bool flattened = false;  // of a list or map, in XML and query
  bool sensitive = false;
  TimestampFormat timestamp = TimestampFormat::kDefault;
  std::string_view query_name;  // name in the query protocols where it is not wire_name; empty: none
};

struct StructInfo {
  std::span<const Member> members;
  size_t size;
  void (*construct)(void* at);
  void (*destroy)(void* at);
  const Member* payload = nullptr;  // the member at Location::kPayload
  std::string_view xml_name;        // locationName of the structure as a root element; empty: the shape's name
  std::string_view xml_namespace;
  bool has_locations = false;   // some member is outside the body
  std::string_view xml_prefix;  // of xml_namespace where it is not the default namespace ("xsi")
  bool xml_unwrapped = false;   // as a root element: the only member's text is the element's own text
};

struct ListInfo {
  const Shape* element;
  std::string_view xml_element = "member";
  bool flattened = false;
  size_t (*size)(const void* list);
  const void* (*at)(const void* list, size_t index);
  void* (*append)(void* list);  // a new default element
  bool sparse = false;
  bool not_null = false;  // what an element must satisfy is told with its not being null
};

struct MapInfo {
  const Shape* key;  // kString or kEnum (kept as std::string in the map)
  const Shape* value;
  std::string_view xml_key = "key", xml_value = "value";
  bool flattened = false;
  bool not_null = false;  // as of a list, of values
  size_t (*size)(const void* map);
  void* (*emplace)(void* map, std::string key);  // the default value under key (the existing one if there)
  // Calls `visit(context, key, value)` for each entry in key order.
  void (*each)(const void* map, void* context, void (*visit)(void* context, const std::string& key, const void* value));
};

struct EnumInfo {
  std::span<const std::string_view> values;  // wire spelling, index == enumerator value
  int (*get)(const void* field);
  void (*set)(void* field, int index);
};

// One event: a union over the event shapes. next(): the union's active member is the event; false at the end.
struct EventStreamInfo {
  const Shape* events;  // the union
  Task<bool> (*next)(const void* stream, void* union_out);
  std::shared_ptr<const void> (*keep)(const void* stream);  // a copy of the pointer that is the stream, for next
};

// A shape with its own codec (DynamoDB's AttributeValue). JSON and CBOR only; the type is named in
// models/<svc>/overrides.json. Readers throw JsonError, CborError or an Error. `path`: the member's name or the map's
// key the value stands under.
struct CustomInfo {
  void (*read_json)(JsonReader& in, void* out, std::string_view path);
  void (*write_json)(JsonWriter& out, const void* value);
  void (*read_cbor)(CborReader& in, void* out, std::string_view path);
  void (*write_cbor)(CborWriter& out, const void* value);
};

enum class Protocol : uint8_t { kJson10, kJson11, kQuery, kEc2Query, kRestJson, kRestXml, kCbor };

struct ServiceModel;

struct OperationModel {
  std::string_view name;
  const ServiceModel* service;
  std::string_view method = "POST";
  std::string_view uri = "/";    // the model's pattern: /2015-03-31/functions/{FunctionName}/invocations?x=y
  uint16_t status = 200;         // of a success
  bool served = false;           // false: known to AWS, not served here; input, output and errors are then null
  const Shape* input = nullptr;  // kStructure
  const Shape* output = nullptr;
  std::span<const ErrorShape* const> errors;
  bool streams_input = false;       // the input's payload is Body
  bool anonymous = false;           // the model says it needs no signature (authtype none)
  std::string_view output_wrapper;  // query: <resultWrapper>; empty: none
  std::string_view input_root;      // restXml: root element of the request body, where the model names one
  std::string_view input_root_namespace;
};

struct ServiceModel {
  std::string_view id;          // our folder's name: "dynamodb", "apigatewayv2"
  std::string_view service_id;  // the model's serviceId: "DynamoDB", "ApiGatewayV2"
  std::string_view full_name;
  std::string_view api_version;
  std::string_view signing_name;     // in the signature's scope
  std::string_view endpoint_prefix;  // the host's first label
  std::string_view target_prefix;    // of X-Amz-Target; empty: none
  std::string_view xml_namespace;
  std::string_view
      error_namespace;  // the prefix of __type (json 1.0: "com.amazonaws.dynamodb.v20120810"); may be empty
  std::span<const Protocol> protocols;         // first: the one clients prefer
  bool query_compatible = false;               // awsQueryCompatible trait
  std::span<const OperationModel> operations;  // all of the model, by name
  // Where the service differs from its protocol; null: it does not.
  const ErrorShape* validation_error = nullptr;  // of a violated constraint
  const ErrorShape* denied_error = nullptr;      // of a caller whom the policies do not allow it
  bool packs = false;          // bodies may be packed both ways, and x-amz-crc32 has the sum of what is sent
  bool tells_fault = false;    // errors say in Type whose fault they are, and refused bodies have errors of their own
  bool tells_missing = false;  // the first member that is missing is told of alone
};

}  // namespace virga::wire
