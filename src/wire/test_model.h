// A small service by hand, as the generator would write it: what the codecs' tests work on.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/box.h"
#include "base/str.h"
#include "wire/access.h"
#include "wire/shape.h"

#pragma clang diagnostic ignored "-Winvalid-offsetof"

namespace virga::wire::test {

enum class Colour { Red, Green };

struct Nested {
  std::string key;
  std::optional<std::string> value;
  Box<Nested> child;
};

struct Input {
  std::string name;
  std::optional<int32_t> count;
  std::optional<int64_t> big;
  std::optional<double> ratio;
  std::optional<bool> flag;
  std::optional<Bytes> blob;
  std::optional<Time> when;
  std::optional<Colour> colour;
  std::optional<std::vector<Nested>> tags;
  std::optional<std::vector<std::string>> names;
  std::optional<std::vector<Colour>> colours;
  std::optional<std::map<std::string, std::string>> attributes;
  std::optional<Json> document;
  std::optional<Nested> nested;
};

struct Empty {};

struct RestInput {
  std::string id;                                              // label
  std::optional<std::string> path;                             // greedy label
  std::optional<int32_t> limit;                                // query
  std::optional<std::vector<std::string>> filters;             // query list
  std::optional<std::string> token;                            // header
  std::optional<std::map<std::string, std::string>> metadata;  // prefix headers
  std::optional<Nested> body;                                  // an ordinary member
};

struct RestOutput {
  std::optional<int32_t> status;
  std::optional<std::string> etag;
  std::optional<Time> modified;
  std::optional<std::map<std::string, std::string>> metadata;
  std::optional<std::string> text;
};

struct StreamIo {
  std::optional<std::string> type;  // header
  Body content;
};

struct Chunk {
  std::optional<Bytes> payload;
};
struct Done {
  std::optional<std::string> code;
};
struct Events {
  std::optional<Chunk> chunk;
  std::optional<Done> done;
};
struct EventOutput {
  std::optional<std::string> session;
  std::shared_ptr<Source<Events>> events;
};

inline constexpr Shape kString{.kind = Kind::kString, .name = "String"};
inline constexpr Constraints kNameConstraints{.min = 2, .max = 5, .pattern = "[a-z\\u00e9]+"};
inline constexpr Shape kName{.kind = Kind::kString, .name = "Name", .constraints = &kNameConstraints};
inline constexpr Constraints kCountConstraints{
    .min = 1, .max = 10, .has_range = true, .has_min = true, .has_max = true};
inline constexpr Shape kCount{.kind = Kind::kInteger, .name = "Count", .constraints = &kCountConstraints};
inline constexpr Shape kInteger{.kind = Kind::kInteger, .name = "Integer"};
inline constexpr Shape kLong{.kind = Kind::kLong, .name = "Long"};
inline constexpr Shape kDouble{.kind = Kind::kDouble, .name = "Double"};
inline constexpr Shape kBoolean{.kind = Kind::kBoolean, .name = "Boolean"};
inline constexpr Shape kBlob{.kind = Kind::kBlob, .name = "Blob"};
inline constexpr Shape kTimestamp{.kind = Kind::kTimestamp, .name = "Timestamp"};
inline constexpr Shape kDocument{.kind = Kind::kDocument, .name = "Document"};
inline constexpr Shape kStream{.kind = Kind::kStreamingBlob, .name = "Stream"};

inline constexpr std::string_view kColourValues[] = {"RED", "GREEN"};
inline constexpr EnumInfo kColourInfo{kColourValues, &EnumOps<Colour>::get, &EnumOps<Colour>::set};
inline constexpr Shape kColour{.kind = Kind::kEnum, .name = "Colour", .enumeration = &kColourInfo};

extern const Shape kNested;
inline constexpr Member kNestedMembers[] = {{.name = "Key",
                                             .wire_name = "Key",
                                             .shape = &kName,
                                             .offset = offsetof(Nested, key),
                                             .access = &kAccess<std::string>,
                                             .required = true},
                                            {.name = "Value",
                                             .wire_name = "Value",
                                             .shape = &kString,
                                             .offset = offsetof(Nested, value),
                                             .access = &kAccess<std::optional<std::string>>},
                                            {.name = "Child",
                                             .wire_name = "Child",
                                             .shape = &kNested,
                                             .offset = offsetof(Nested, child),
                                             .access = &kAccess<Box<Nested>>}};
inline constexpr StructInfo kNestedInfo{
    .members = kNestedMembers, .size = sizeof(Nested), .construct = &construct<Nested>, .destroy = &destroy<Nested>};
inline constexpr Shape kNested{.kind = Kind::kStructure, .name = "Nested", .structure = &kNestedInfo};

template <class T>
constexpr ListInfo list_of(const Shape& element, bool flattened = false) {
  using L = std::vector<T>;
  return {.element = &element,
          .flattened = flattened,
          .size = &ListOps<L>::size,
          .at = &ListOps<L>::at,
          .append = &ListOps<L>::append};
}
inline constexpr Constraints kTagsConstraints{.max = 2};
inline constexpr ListInfo kTagsInfo = list_of<Nested>(kNested);
inline constexpr Shape kTags{.kind = Kind::kList, .name = "Tags", .constraints = &kTagsConstraints, .list = &kTagsInfo};
inline constexpr ListInfo kNamesInfo = list_of<std::string>(kName, true);
inline constexpr Shape kNames{.kind = Kind::kList, .name = "Names", .list = &kNamesInfo};
inline constexpr ListInfo kStringsInfo = list_of<std::string>(kString);
inline constexpr Shape kStrings{.kind = Kind::kList, .name = "Strings", .list = &kStringsInfo};
inline constexpr ListInfo kColoursInfo = list_of<Colour>(kColour);
inline constexpr Shape kColours{.kind = Kind::kList, .name = "Colours", .list = &kColoursInfo};
using StringMap = std::map<std::string, std::string>;
inline constexpr MapInfo kMapInfo{.key = &kName,
                                  .value = &kString,
                                  .size = &MapOps<StringMap>::size,
                                  .emplace = &MapOps<StringMap>::emplace,
                                  .each = &MapOps<StringMap>::each};
inline constexpr Shape kMap{.kind = Kind::kMap, .name = "Map", .map = &kMapInfo};
inline constexpr MapInfo kFreeMapInfo{.key = &kString,
                                      .value = &kString,
                                      .size = &MapOps<StringMap>::size,
                                      .emplace = &MapOps<StringMap>::emplace,
                                      .each = &MapOps<StringMap>::each};
inline constexpr Shape kFreeMap{.kind = Kind::kMap, .name = "FreeMap", .map = &kFreeMapInfo};

#define VIRGA_MEMBER(structure, field, wire, type, ...) \
  {.name = wire,                                        \
   .wire_name = wire,                                   \
   .shape = &type,                                      \
   .offset = offsetof(structure, field),                \
   .access = &kAccess<decltype(structure::field)>,      \
   ##__VA_ARGS__}
inline constexpr Member kInputMembers[] = {VIRGA_MEMBER(Input, name, "Name", kName, .required = true),
                                           VIRGA_MEMBER(Input, count, "Count", kCount),
                                           VIRGA_MEMBER(Input, big, "Big", kLong),
                                           VIRGA_MEMBER(Input, ratio, "Ratio", kDouble),
                                           VIRGA_MEMBER(Input, flag, "Flag", kBoolean),
                                           VIRGA_MEMBER(Input, blob, "Blob", kBlob),
                                           VIRGA_MEMBER(Input, when, "When", kTimestamp),
                                           VIRGA_MEMBER(Input, colour, "Colour", kColour),
                                           VIRGA_MEMBER(Input, tags, "Tags", kTags),
                                           VIRGA_MEMBER(Input, names, "Names", kNames),
                                           VIRGA_MEMBER(Input, colours, "Colours", kColours),
                                           VIRGA_MEMBER(Input, attributes, "Attributes", kMap),
                                           VIRGA_MEMBER(Input, document, "Document", kDocument),
                                           VIRGA_MEMBER(Input, nested, "Nested", kNested)};
inline constexpr StructInfo kInputInfo{
    .members = kInputMembers, .size = sizeof(Input), .construct = &construct<Input>, .destroy = &destroy<Input>};
inline constexpr Shape kInput{.kind = Kind::kStructure, .name = "Input", .structure = &kInputInfo};
inline constexpr StructInfo kEmptyInfo{
    .size = sizeof(Empty), .construct = &construct<Empty>, .destroy = &destroy<Empty>};
inline constexpr Shape kEmpty{.kind = Kind::kStructure, .name = "Empty", .structure = &kEmptyInfo};

inline constexpr Member kRestInputMembers[] = {
    VIRGA_MEMBER(RestInput, id, "Id", kName, .location = Location::kUri, .required = true),
    VIRGA_MEMBER(RestInput, path, "Path", kString, .location = Location::kUri),
    VIRGA_MEMBER(RestInput, limit, "limit", kCount, .location = Location::kQuery),
    VIRGA_MEMBER(RestInput, filters, "filter", kStrings, .location = Location::kQuery),
    VIRGA_MEMBER(RestInput, token, "x-token", kString, .location = Location::kHeader),
    VIRGA_MEMBER(RestInput, metadata, "x-meta-", kFreeMap, .location = Location::kPrefixHeaders),
    VIRGA_MEMBER(RestInput, body, "Body", kNested)};
inline constexpr StructInfo kRestInputInfo{.members = kRestInputMembers,
                                           .size = sizeof(RestInput),
                                           .construct = &construct<RestInput>,
                                           .destroy = &destroy<RestInput>,
                                           .has_locations = true};
inline constexpr Shape kRestInput{.kind = Kind::kStructure, .name = "RestInput", .structure = &kRestInputInfo};

inline constexpr Member kRestOutputMembers[] = {
    VIRGA_MEMBER(RestOutput, status, "Status", kInteger, .location = Location::kStatusCode),
    VIRGA_MEMBER(RestOutput, etag, "ETag", kString, .location = Location::kHeader),
    VIRGA_MEMBER(RestOutput, modified, "Last-Modified", kTimestamp, .location = Location::kHeader),
    VIRGA_MEMBER(RestOutput, metadata, "x-meta-", kFreeMap, .location = Location::kPrefixHeaders),
    VIRGA_MEMBER(RestOutput, text, "Text", kString)};
inline constexpr StructInfo kRestOutputInfo{.members = kRestOutputMembers,
                                            .size = sizeof(RestOutput),
                                            .construct = &construct<RestOutput>,
                                            .destroy = &destroy<RestOutput>,
                                            .has_locations = true};
inline constexpr Shape kRestOutput{.kind = Kind::kStructure, .name = "RestOutput", .structure = &kRestOutputInfo};

inline constexpr Member kStreamMembers[] = {
    VIRGA_MEMBER(StreamIo, type, "Content-Type", kString, .location = Location::kHeader),
    VIRGA_MEMBER(StreamIo, content, "Content", kStream, .location = Location::kPayload)};
inline constexpr StructInfo kStreamInfo{.members = kStreamMembers,
                                        .size = sizeof(StreamIo),
                                        .construct = &construct<StreamIo>,
                                        .destroy = &destroy<StreamIo>,
                                        .payload = &kStreamMembers[1],
                                        .has_locations = true};
inline constexpr Shape kStreamIo{.kind = Kind::kStructure, .name = "StreamIo", .structure = &kStreamInfo};

inline constexpr Member kChunkMembers[] = {
    VIRGA_MEMBER(Chunk, payload, "Payload", kBlob, .location = Location::kEventPayload)};
inline constexpr StructInfo kChunkInfo{.members = kChunkMembers,
                                       .size = sizeof(Chunk),
                                       .construct = &construct<Chunk>,
                                       .destroy = &destroy<Chunk>,
                                       .has_locations = true};
inline constexpr Shape kChunk{.kind = Kind::kStructure, .name = "Chunk", .structure = &kChunkInfo};
inline constexpr Member kDoneMembers[] = {VIRGA_MEMBER(Done, code, "Code", kString)};
inline constexpr StructInfo kDoneInfo{
    .members = kDoneMembers, .size = sizeof(Done), .construct = &construct<Done>, .destroy = &destroy<Done>};
inline constexpr Shape kDone{.kind = Kind::kStructure, .name = "Done", .structure = &kDoneInfo};
inline constexpr Member kEventsMembers[] = {VIRGA_MEMBER(Events, chunk, "Chunk", kChunk),
                                            VIRGA_MEMBER(Events, done, "Done", kDone)};
inline constexpr StructInfo kEventsInfo{
    .members = kEventsMembers, .size = sizeof(Events), .construct = &construct<Events>, .destroy = &destroy<Events>};
inline constexpr Shape kEvents{.kind = Kind::kUnion, .name = "Events", .structure = &kEventsInfo};
inline constexpr EventStreamInfo kEventStreamInfo{
    .events = &kEvents, .next = &EventStreamOps<Events>::next, .keep = &EventStreamOps<Events>::keep};
inline constexpr Shape kEventStream{.kind = Kind::kEventStream, .name = "EventStream", .events = &kEventStreamInfo};
inline constexpr Member kEventOutputMembers[] = {VIRGA_MEMBER(EventOutput, session, "Session", kString),
                                                 VIRGA_MEMBER(EventOutput, events, "Events", kEventStream)};
inline constexpr StructInfo kEventOutputInfo{.members = kEventOutputMembers,
                                             .size = sizeof(EventOutput),
                                             .construct = &construct<EventOutput>,
                                             .destroy = &destroy<EventOutput>};
inline constexpr Shape kEventOutput{.kind = Kind::kStructure, .name = "EventOutput", .structure = &kEventOutputInfo};
#undef VIRGA_MEMBER

extern const ServiceModel kService, kS3, kLambda;
inline constexpr OperationModel kOperations[] = {
    {.name = "Do",
     .service = &kService,
     .served = true,
     .input = &kInput,
     .output = &kInput,
     .output_wrapper = "DoResult"},
    {.name = "Ping", .service = &kService, .served = true, .input = &kEmpty},
    {.name = "Watch", .service = &kService, .served = true, .input = &kEmpty, .output = &kEventOutput}};
inline constexpr Protocol kProtocols[] = {Protocol::kJson10};
inline constexpr ServiceModel kService{.id = "test",
                                       .service_id = "Test",
                                       .api_version = "2020-01-01",
                                       .endpoint_prefix = "test",
                                       .target_prefix = "Test_2020",
                                       .error_namespace = "com.amazonaws.test",
                                       .protocols = kProtocols,
                                       .query_compatible = true,
                                       .operations = kOperations};

inline constexpr OperationModel kRestOperations[] = {
    {.name = "PutThing",
     .service = &kLambda,
     .method = "PUT",
     .uri = "/things/{Id}/{Path+}?x=1",
     .status = 201,
     .served = true,
     .input = &kRestInput,
     .output = &kRestOutput},
    {.name = "DeleteThing",
     .service = &kLambda,
     .method = "DELETE",
     .uri = "/things/{Id}",
     .status = 204,
     .served = true,
     .input = &kRestInput},
    {.name = "GetThing",
     .service = &kLambda,
     .method = "GET",
     .uri = "/things/{Id}",
     .served = true,
     .input = &kRestInput},
    {.name = "ListThings", .service = &kLambda, .method = "GET", .uri = "/things"},
    {.name = "GetSpecial", .service = &kLambda, .method = "GET", .uri = "/things/special"},
    {.name = "Stream",
     .service = &kLambda,
     .method = "POST",
     .uri = "/stream",
     .served = true,
     .input = &kStreamIo,
     .output = &kStreamIo,
     .streams_input = true}};
inline constexpr Protocol kRestProtocols[] = {Protocol::kRestJson};
inline constexpr ServiceModel kLambda{.id = "lambda",
                                      .service_id = "Lambda",
                                      .protocols = kRestProtocols,
                                      .operations = kRestOperations,
                                      .tells_fault = true};

inline constexpr OperationModel kS3Operations[] = {
    {.name = "PutObject",
     .service = &kS3,
     .method = "PUT",
     .uri = "/{Bucket}/{Key+}",
     .served = true,
     .input = &kStreamIo},
    {.name = "ListObjects",
     .service = &kS3,
     .method = "GET",
     .uri = "/{Bucket}",
     .served = true,
     .input = &kRestInput,
     .output = &kRestOutput},
    {.name = "ListObjectsV2", .service = &kS3, .method = "GET", .uri = "/{Bucket}?list-type=2", .served = true},
    {.name = "GetBucketAcl", .service = &kS3, .method = "GET", .uri = "/{Bucket}?acl", .served = true},
    {.name = "HeadObject", .service = &kS3, .method = "HEAD", .uri = "/{Bucket}/{Key+}", .served = true},
    {.name = "ListBuckets", .service = &kS3, .method = "GET", .uri = "/?x-id=ListBuckets", .served = true},
    {.name = "ListDirectoryBuckets", .service = &kS3, .method = "GET", .uri = "/?x-id=ListDirectoryBuckets"}};
inline constexpr Protocol kS3Protocols[] = {Protocol::kRestXml};
inline constexpr ServiceModel kS3{.id = "s3",
                                  .service_id = "S3",
                                  .xml_namespace = "http://s3.amazonaws.com/doc/2006-03-01/",
                                  .protocols = kS3Protocols,
                                  .operations = kS3Operations};

}  // namespace virga::wire::test
