#include "wire/protocol.h"

#include <gtest/gtest.h>

#include "base/cbor.h"
#include "base/encoding.h"
#include "base/executor.h"
#include "base/xml.h"
#include "wire/event_stream.h"
#include "wire/findings.h"
#include "wire/router.h"
#include "wire/test_model.h"

namespace virga::wire {
namespace {

using namespace test;
using Strings = std::vector<std::string>;

constexpr const OperationModel& kDo = kOperations[0];
constexpr const OperationModel& kPing = kOperations[1];
constexpr const OperationModel& kWatch = kOperations[2];

Input full() {
  Input in;
  in.name = "abc";
  in.count = 3;
  in.big = int64_t{1} << 40;
  in.ratio = 0.5;
  in.flag = true;
  in.blob = std::string("\0\xFF", 2);
  in.when = Time::from_millis(1714564800123);
  in.colour = Colour::Green;
  in.tags =
      std::vector<Nested>{Nested{"ka", "v & <1>", Nested{"ch", std::nullopt, {}}}, Nested{"kb", std::nullopt, {}}};
  in.names = Strings{"aa", "bb"};
  in.colours = std::vector<Colour>{Colour::Green, Colour::Red};
  in.attributes = StringMap{{"xx", "1"}, {"yy", ""}};
  in.nested = Nested{"nk", "nv", {}};
  return in;
}

std::string body_text(const HttpRequest& request) {
  return run(read_all(*request.body, 1 << 20, door::internal_failure())).value();
}

void expect_same(const Input& a, const Input& b) { EXPECT_EQ(to_json(kInput, &a).dump(), to_json(kInput, &b).dump()); }

template <class T>
T read_as(Protocol protocol, const OperationModel& op, std::string_view body) {
  T in;
  read_input(protocol, op, HttpRequest(), body, {}, &in);
  return in;
}

Error refusal(Protocol protocol, const OperationModel& op, std::string_view body) {
  try {
    read_as<Input>(protocol, op, body);
  } catch (Error& error) {
    return error;
  }
  ADD_FAILURE() << "accepted " << body;
  return door::internal_failure();
}

std::string message_of(std::string_view json) { return refusal(Protocol::kJson10, kDo, json).message; }

class RoundTrip : public testing::TestWithParam<Protocol> {};

TEST_P(RoundTrip, RequestsAndResponses) {
  const Input in = full();
  const HttpRequest request = write_request(GetParam(), kDo, &in);
  expect_same(read_as<Input>(GetParam(), kDo, body_text(request)), in);
  const HttpResponse response = write_output(GetParam(), kDo, &in, "id-1");
  EXPECT_EQ(response.headers.get("x-amzn-requestid"), "id-1");
  Input back;
  read_output(GetParam(), kDo, response, response.body, &back);
  expect_same(back, in);
}

INSTANTIATE_TEST_SUITE_P(Protocols, RoundTrip,
                         testing::Values(Protocol::kJson10, Protocol::kJson11, Protocol::kQuery, Protocol::kCbor));

TEST(Json, WritesAsAwsDoes) {
  Input in = full();
  in.document = Json::parse(R"({"a":[1]})");
  EXPECT_EQ(
      write_output(Protocol::kJson10, kDo, &in, "r").body,
      R"({"Name":"abc","Count":3,"Big":1099511627776,"Ratio":0.5,"Flag":true,"Blob":"AP8=","When":1714564800.123,)"
      R"("Colour":"GREEN","Tags":[{"Key":"ka","Value":"v & <1>","Child":{"Key":"ch"}},{"Key":"kb"}],)"
      R"("Names":["aa","bb"],"Colours":["GREEN","RED"],"Attributes":{"xx":"1","yy":""},"Document":{"a":[1]},)"
      R"("Nested":{"Key":"nk","Value":"nv"}})");
}

TEST(Json, IgnoresWhatItDoesNotKnowAndNulls) {
  const Input in =
      read_as<Input>(Protocol::kJson10, kDo, R"({"Other":{"x":[1]},"Count":null,"Name":"abc","Names":["aa",null]})");
  EXPECT_EQ(in.name, "abc");
  EXPECT_FALSE(in.count);
  EXPECT_EQ(in.names->size(), 1u);
}

TEST(Json, RefusesInTheWordsOfAws) {
  EXPECT_EQ(message_of(R"({"Name":1})"), "NUMBER_VALUE can not be converted to a String");
  EXPECT_EQ(message_of(R"({"Name":["x"]})"), "Start of list found where not expected");
  EXPECT_EQ(message_of(R"({"Name":{}})"), "Start of structure or map found where not expected.");
  EXPECT_EQ(message_of(R"({"Count":"1"})"), "STRING_VALUE can not be converted to an Integer");
  EXPECT_EQ(message_of(R"({"Count":true})"), "TRUE_VALUE can not be converted to an Integer");
  EXPECT_EQ(message_of(R"({"Tags":"x"})"), "Expected list or null");
  EXPECT_EQ(message_of(R"({"Attributes":1})"), "Expected map or null");
  EXPECT_EQ(message_of(R"({"Nested":1})"), "Expected null");
  EXPECT_EQ(message_of("[]"), "Start of list found where not expected");
  for (const std::string_view text : {"", "{", "null", "{} {}", "{\"Name\":\"x\",}"})
    EXPECT_EQ(message_of(text), "") << text;
  EXPECT_EQ(refusal(Protocol::kJson10, kDo, "{").shape->code, "SerializationException");
  EXPECT_EQ(refusal(Protocol::kRestJson, kRestOperations[0], "{").shape->code, "InvalidRequestContentException");
}

TEST(Json, RefusesInTheWordsOfDynamoDB) {
  ServiceModel service = kService;
  service.id = "dynamodb";
  service.error_namespace = "com.x";
  OperationModel op = kDo;
  op.service = &service;
  const auto message_of = [&](std::string_view body) { return refusal(Protocol::kJson10, op, body).message; };
  EXPECT_EQ(message_of(R"({"Name":1})"), "NUMBER_VALUE cannot be converted to String");
  EXPECT_EQ(message_of(R"({"Name":1.5})"), "DECIMAL_VALUE cannot be converted to String");
  EXPECT_EQ(message_of(R"({"Name":["x"]})"), "Unrecognized collection type class java.lang.String");
  EXPECT_EQ(message_of(R"({"Name":{}})"), "Start of structure or map found where not expected");
  EXPECT_EQ(message_of(R"({"Count":"1"})"), "STRING_VALUE cannot be converted to Integer");
  EXPECT_EQ(message_of(R"({"Flag":"maybe"})"), "Unexpected token received from parser");
  EXPECT_EQ(message_of(R"({"Blob":1})"), "only base-64-encoded strings are convertible to bytes");
  EXPECT_EQ(message_of(R"({"Blob":[]})"), "Unrecognized collection type class java.nio.ByteBuffer");
  EXPECT_EQ(message_of(R"({"Tags":"x"})"), "Unexpected field type");
  EXPECT_EQ(message_of(R"({"Tags":{}})"), "Start of structure or map found where not expected");
  EXPECT_EQ(message_of(R"({"Tags":["x"]})"), "Unexpected value type in payload");
  EXPECT_EQ(message_of(R"({"Tags":[[]]})"), "Unrecognized collection type class com.x.Nested");
  EXPECT_EQ(message_of(R"({"Nested":1})"), "Unexpected field type");
  EXPECT_EQ(message_of(R"({"Attributes":[]})"),
            "Unrecognized collection type java.util.Map<java.lang.String, java.lang.String>");
  EXPECT_EQ(read_as<Input>(Protocol::kJson10, op, R"({"Name":"abc","Flag":"yes"})").flag, true);
}

TEST(Json, FractionsBecomeIntegers) {
  EXPECT_EQ(read_as<Input>(Protocol::kJson10, kDo, R"({"Name":"abc","Count":1.9})").count, 1);
}

TEST(Constraints, ListAllViolations) {
  EXPECT_EQ(message_of("{}"),
            "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null");
  EXPECT_EQ(message_of(R"({"Name":"ABCDEF"})"),
            "2 validation errors detected: Value 'ABCDEF' at 'name' failed to satisfy constraint: Member must satisfy "
            "regular "
            "expression pattern: [a-z\\u00e9]+; Value 'ABCDEF' at 'name' failed to satisfy constraint: Member must "
            "have length "
            "less than or equal to 5");
  EXPECT_EQ(
      message_of(R"({"Name":"é"})"),
      "1 validation error detected: Value 'é' at 'name' failed to satisfy constraint: Member must have length greater "
      "than or equal to 2");
  EXPECT_EQ(
      message_of(R"({"Name":"abc","Count":0})"),
      "1 validation error detected: Value '0' at 'count' failed to satisfy constraint: Member must have value greater "
      "than or equal to 1");
  EXPECT_EQ(message_of(R"({"Name":"abc","Colour":"BLUE"})"),
            "1 validation error detected: Value 'BLUE' at 'colour' failed to satisfy constraint: Member must satisfy "
            "enum value "
            "set: [RED, GREEN]");
  EXPECT_EQ(
      message_of(R"({"Name":"abc","Colours":["RED","BLUE"]})"),
      "1 validation error detected: Value '[RED, BLUE]' at 'colours' failed to satisfy constraint: Member must satisfy "
      "constraint: [Member must satisfy enum value set: [RED, GREEN]]");
  EXPECT_EQ(message_of(R"({"Name":"abc","Tags":[{"Key":"ok"},{"Value":"v"}]})"),
            "1 validation error detected: Value null at 'tags.2.member.key' failed to satisfy constraint: Member must "
            "not be null");
  EXPECT_EQ(message_of(R"({"Name":"abc","Tags":[{"Key":"aa"},{"Key":"bb"},{"Key":"cc","Value":"v"}]})"),
            "1 validation error detected: Value '[Nested(key=aa), Nested(key=bb), Nested(key=cc, value=v)]' at 'tags' "
            "failed to "
            "satisfy constraint: Member must have length less than or equal to 2");
  EXPECT_EQ(message_of(R"({"Name":"abc","Names":["aa","b"]})"),
            "1 validation error detected: Value '[aa, b]' at 'names' failed to satisfy constraint: Member must satisfy "
            "constraint: "
            "[Member must have length less than or equal to 5, Member must have length greater than or equal to 2, "
            "Member must "
            "satisfy regular expression pattern: [a-z\\u00e9]+]");
  EXPECT_EQ(
      message_of(R"({"Name":"abc","Attributes":{"K":"v"}})"),
      "1 validation error detected: Value '{K=v}' at 'attributes' failed to satisfy constraint: Map keys must satisfy "
      "constraint: [Member must have length less than or equal to 5, Member must have length greater than or equal to "
      "2, "
      "Member must satisfy regular expression pattern: [a-z\\u00e9]+]");
  EXPECT_EQ(refusal(Protocol::kJson10, kDo, "{}").shape->code, "ValidationException");
}

TEST(Query, WritesAResponse) {
  Input in;
  in.name = "abc";
  in.names = Strings{"x", "y"};
  in.tags = std::vector<Nested>{Nested{"k", "v", {}}};
  in.attributes = StringMap{{"a", "1"}};
  in.when = Time::from_seconds(1714564800);
  EXPECT_EQ(
      write_output(Protocol::kQuery, kDo, &in, "r-1").body,
      "<DoResponse xmlns=\"http://test.amazonaws.com/doc/2020-01-01/\"><DoResult><Name>abc</Name>"
      "<When>2024-05-01T12:00:00Z</When><Tags><member><Key>k</Key><Value>v</Value></member></Tags><Names>x</Names>"
      "<Names>y</Names><Attributes><entry><key>a</key><value>1</value></entry></Attributes></DoResult>"
      "<ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></DoResponse>");
  EXPECT_EQ(
      write_output(Protocol::kQuery, kPing, nullptr, "r").body,
      "<PingResponse xmlns=\"http://test.amazonaws.com/doc/2020-01-01/\"><ResponseMetadata><RequestId>r</RequestId>"
      "</ResponseMetadata></PingResponse>");
}

TEST(Query, ReadsForms) {
  const Input in =
      read_as<Input>(Protocol::kQuery, kDo,
                     "Action=Do&Name=abc&Names.2=bb&Names.1=aa&Tags.member.1.Key=kk&Tags.member.1.Value=v+%26&"
                     "Attributes.entry.1.key=xx&Attributes.entry.1.value=1&Flag=true&When=2024-05-01T12%3A00%3A00Z");
  EXPECT_EQ(in.names, (std::vector<std::string>{"aa", "bb"}));
  EXPECT_EQ(in.tags->at(0).value, "v &");
  EXPECT_EQ(in.attributes->at("xx"), "1");
  EXPECT_EQ(in.when, Time::from_seconds(1714564800));
  EXPECT_EQ(refusal(Protocol::kQuery, kDo, "Name=abc&Count=x").shape->code, "MalformedInput");
  EXPECT_EQ(refusal(Protocol::kQuery, kDo, "Name=%zz").shape->code, "MalformedInput");
}

TEST(Rest, BindsInput) {
  HttpRequest request;
  request.query = "limit=5&filter=a&filter=b%20c&other=1";
  request.headers.add("X-Token", "tok");
  request.headers.add("X-Meta-Colour", "Red");
  for (const Protocol protocol : {Protocol::kRestJson, Protocol::kRestXml}) {
    RestInput in;
    const std::string_view body = protocol == Protocol::kRestJson ? R"({"Body":{"Key":"kk"},"Id":"no"})"
                                                                  : "<RestInput><Body><Key>kk</Key></Body></RestInput>";
    read_input(protocol, kRestOperations[0], request, body, {{"Id", "abc"}, {"Path", "x/y"}}, &in);
    EXPECT_EQ(in.id, "abc");
    EXPECT_EQ(in.path, "x/y");
    EXPECT_EQ(in.limit, 5);
    EXPECT_EQ(in.filters, (std::vector<std::string>{"a", "b c"}));
    EXPECT_EQ(in.token, "tok");
    EXPECT_EQ(in.metadata->at("colour"), "Red");
    EXPECT_EQ(in.body->key, "kk");
  }
  RestInput in;
  try {
    read_input(Protocol::kRestJson, kRestOperations[0], request, "", {}, &in);
    FAIL();
  } catch (Error& error) {
    EXPECT_NE(error.message.find("Value null at 'id'"), std::string::npos);
  }
}

TEST(Rest, S3CallsIncompleteDocumentsMalformed) {
  for (const std::string_view body :
       {"<RestInput><Body><Value>v</Value></Body></RestInput>", "<RestInput>", "no xml"}) {
    RestInput in;
    try {
      read_input(Protocol::kRestXml, kS3Operations[1], HttpRequest(), body, {{"Id", "abc"}}, &in);
      FAIL() << body;
    } catch (Error& error) {
      EXPECT_EQ(error.shape->code, "MalformedXML") << body;
    }
  }
}

TEST(Rest, WritesOutput) {
  RestOutput out;
  out.status = 206;
  out.etag = "\"e\"\r\nx";
  out.modified = Time::from_seconds(1714564800);
  out.metadata = StringMap{{"a", "b"}};
  out.text = "hi";
  const HttpResponse json = write_output(Protocol::kRestJson, kRestOperations[0], &out, "r");
  EXPECT_EQ(json.status, 206);
  EXPECT_EQ(json.body, R"({"Text":"hi"})");
  EXPECT_EQ(json.headers.get("etag"), "\"e\"  x");
  EXPECT_EQ(json.headers.get("last-modified"), "Wed, 01 May 2024 12:00:00 GMT");
  EXPECT_EQ(json.headers.get("x-meta-a"), "b");
  EXPECT_EQ(json.headers.get("content-type"), "application/json");
  RestOutput back;
  read_output(Protocol::kRestJson, kRestOperations[0], json, json.body, &back);
  EXPECT_EQ(back.modified, out.modified);
  EXPECT_EQ(back.text, "hi");
  EXPECT_EQ(back.status, 206);
  const HttpResponse xml = write_output(Protocol::kRestXml, kS3Operations[1], &out, "r");
  EXPECT_EQ(xml.body,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<RestOutput xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
            "<Text>hi</Text></RestOutput>");
  EXPECT_EQ(xml.headers.get("x-amz-request-id"), "r");
  EXPECT_EQ(write_output(Protocol::kRestJson, kRestOperations[1], nullptr, "r").status, 204);
}

TEST(Rest, PassesStreams) {
  HttpRequest request;
  request.body = body_of("data");
  request.headers.add("content-type", "text/csv");
  StreamIo in;
  read_input(Protocol::kRestJson, kRestOperations[5], request, "", {}, &in);
  EXPECT_EQ(in.type, "text/csv");
  EXPECT_EQ(in.content, request.body);
  const HttpResponse response = write_output(Protocol::kRestJson, kRestOperations[5], &in, "r");
  EXPECT_EQ(response.stream, request.body);
  EXPECT_EQ(response.headers.get("content-type"), "text/csv");
}

TEST(Rest, WritesRequests) {
  RestInput in;
  in.id = "a b";
  in.path = "x/y z";
  in.limit = 2;
  in.filters = Strings{"p", "q&"};
  in.token = "t";
  in.body = Nested{"kk", {}, {}};
  const HttpRequest request = write_request(Protocol::kRestJson, kRestOperations[0], &in);
  EXPECT_EQ(request.target, "/things/a%20b/x/y%20z?x=1&limit=2&filter=p&filter=q%26");
  EXPECT_EQ(request.headers.get("x-token"), "t");
  EXPECT_EQ(body_text(request), R"({"Body":{"Key":"kk"}})");
}

TEST(Router, FindsTheMostSpecific) {
  const Router router(kLambda);
  const auto name = [&](std::string_view method, std::string_view path, std::string_view query = "") {
    const auto route = router.find(method, path, query, Headers());
    return route ? std::string(route->operation->name) : "none";
  };
  EXPECT_EQ(name("GET", "/things"), "ListThings");
  EXPECT_EQ(name("GET", "/things/"), "ListThings");
  EXPECT_EQ(name("GET", "/things/special"), "GetSpecial");
  EXPECT_EQ(name("GET", "/things/x"), "GetThing");
  EXPECT_EQ(name("GET", "/%74hings/x"), "GetThing");
  EXPECT_EQ(name("GET", "/thingsx/x"), "none");
  EXPECT_EQ(name("GET", "/things/x/y"), "none");
  EXPECT_EQ(name("PUT", "/things/x/y/z"), "none");
  EXPECT_EQ(name("PUT", "/things/x/y/z", "x=1"), "PutThing");
  EXPECT_EQ(name("POST", "/things"), "none");
  const auto route = router.find("PUT", "/things/a%2Fb/c%20d/e/", "x=1", Headers());
  ASSERT_TRUE(route);
  EXPECT_EQ(route->labels[0].second, "a/b");
  EXPECT_EQ(route->labels[1].second, "c d/e/");
}

TEST(Router, KnowsS3) {
  const Router router(kS3);
  const auto name = [&](std::string_view method, std::string_view path, std::string_view query = "") {
    const auto route = router.find(method, path, query, Headers());
    return route ? std::string(route->operation->name) : "none";
  };
  EXPECT_EQ(name("GET", "/"), "ListBuckets");
  EXPECT_EQ(name("GET", "/", "x-id=ListDirectoryBuckets"), "ListDirectoryBuckets");
  EXPECT_EQ(name("GET", "/b"), "ListObjects");
  EXPECT_EQ(name("GET", "/b/", "list-type=2&prefix=x"), "ListObjectsV2");
  EXPECT_EQ(name("GET", "/b", "acl"), "GetBucketAcl");
  EXPECT_EQ(name("GET", "/b", "acl="), "GetBucketAcl");
  EXPECT_EQ(name("PUT", "/b/k/"), "PutObject");
  EXPECT_EQ(name("PUT", "/b//k"), "PutObject");
  EXPECT_EQ(name("PUT", "/b/"), "none");
}

TEST(Errors, SpeakEachProtocol) {
  static constexpr ErrorShape kGone{"ThingGone", 404, Fault::kSender, "Old.ThingGone"};
  const Error error{&kGone, "It's <gone>", std::make_shared<const Json>(Json::object({{"Extra", 1}})), "secret"};
  const auto write = [&](Protocol protocol, const OperationModel& op) {
    return write_error(protocol, op.service, &op, error, "r", "/b/k");
  };
  HttpResponse json = write(Protocol::kJson10, kDo);
  EXPECT_EQ(json.status, 404);
  EXPECT_EQ(json.body, R"({"__type":"com.amazonaws.test#ThingGone","message":"It's <gone>","Extra":1})");
  EXPECT_EQ(json.headers.get("x-amzn-query-error"), "Old.ThingGone;Sender");
  HttpResponse rest = write(Protocol::kRestJson, kRestOperations[0]);
  EXPECT_EQ(rest.body, R"({"Type":"User","message":"It's <gone>","Extra":1})");
  EXPECT_EQ(rest.headers.get("x-amzn-errortype"), "ThingGone");
  EXPECT_EQ(write(Protocol::kQuery, kDo).body,
            "<ErrorResponse xmlns=\"http://test.amazonaws.com/doc/2020-01-01/\"><Error><Type>Sender</Type>"
            "<Code>Old.ThingGone</Code><Message>It's "
            "&lt;gone&gt;</Message><Extra>1</Extra><Detail/></Error><RequestId>r</RequestId></ErrorResponse>");
  EXPECT_EQ(
      write(Protocol::kRestXml, kS3Operations[1]).body,
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>ThingGone</Code><Message>It's &lt;gone&gt;</Message>"
      "<Extra>1</Extra><Resource>/b/k</Resource><RequestId>r</RequestId><HostId>r</HostId></Error>");
  EXPECT_EQ(write(Protocol::kRestXml, kS3Operations[4]).body, "");
  const HttpResponse cbor = write(Protocol::kCbor, kDo);
  EXPECT_EQ(cbor.headers.get("smithy-protocol"), "rpc-v2-cbor");
  CborReader in(cbor.body);
  std::string key, text;
  in.begin_map();
  ASSERT_TRUE(in.next_key(key));
  in.read_string(text);
  EXPECT_EQ(text, "com.amazonaws.test#ThingGone");
  const HttpResponse unknown = write_error(Protocol::kJson11, nullptr, nullptr,
                                           door::unknown_operation(nullptr, Protocol::kJson11, ""), "r", "");
  EXPECT_EQ(unknown.body, R"({"__type":"UnknownOperationException","message":""})");
  EXPECT_EQ(
      write_error(Protocol::kJson10, &kService, &kDo, door::malformed(kService, Protocol::kJson10, "bad"), "r", "")
          .body,
      R"({"__type":"com.amazon.coral.service#SerializationException","Message":"bad"})");
  EXPECT_EQ(write_error(Protocol::kRestXml, &kS3, nullptr, door::internal_failure(), "r", "").status, 500);
}

class TwoEvents : public Source<Events> {
 public:
  explicit TwoEvents(bool fails) : fails_(fails) {}
  Task<std::optional<Events>> next() override {
    ++count_;
    if (count_ == 1) co_return Events{.chunk = Chunk{.payload = "bytes"}, .done = {}};
    if (count_ == 2 && fails_) co_return door::service_unavailable();
    if (count_ == 2) co_return Events{.chunk = {}, .done = Done{.code = "ok"}};
    co_return std::nullopt;
  }

 private:
  bool fails_;
  int count_ = 0;
};

std::vector<EventMessage> messages_of(const HttpResponse& response) {
  const std::string bytes = run(read_all(*response.stream, 1 << 20, door::internal_failure())).value();
  std::string_view rest = bytes;
  std::vector<EventMessage> out;
  while (auto message = decode_message(rest)) out.push_back(std::move(*message));
  EXPECT_TRUE(rest.empty());
  return out;
}

TEST(EventStream, CarriesEvents) {
  HttpResponse response;
  {
    const EventOutput out{.session = "s", .events = std::make_shared<TwoEvents>(false)};
    response = write_output(Protocol::kJson11, kWatch, &out, "r");
  }
  EXPECT_EQ(response.headers.get("content-type"), kEventStreamType);
  const auto messages = messages_of(response);
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_EQ(messages[0].header(":event-type"), "initial-response");
  EXPECT_EQ(messages[0].payload, R"({"Session":"s"})");
  EXPECT_EQ(messages[1].header(":event-type"), "Chunk");
  EXPECT_EQ(messages[1].header(":content-type"), "application/octet-stream");
  EXPECT_EQ(messages[1].payload, "bytes");
  EXPECT_EQ(messages[2].payload, R"({"Code":"ok"})");
}

TEST(EventStream, EndsWithAnException) {
  const EventOutput out{.session = {}, .events = std::make_shared<TwoEvents>(true)};
  const auto messages = messages_of(write_output(Protocol::kRestJson, kWatch, &out, "r"));
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[1].header(":exception-type"), "ServiceUnavailable");
}

TEST(EventStream, KnowsTheFormat) {
  EventMessage message;
  message.headers.push_back({.name = "n", .type = EventHeader::Type::kInteger, .number = -7});
  message.payload = "{}";
  std::string bytes = encode_message(message);
  EXPECT_EQ(read_be32(bytes.data()), bytes.size());
  std::string_view rest = bytes;
  EXPECT_EQ(decode_message(rest)->headers[0].number, -7);
  std::string_view part = std::string_view(bytes).substr(0, 15);
  EXPECT_FALSE(decode_message(part));
  bytes[14] ^= 1;
  rest = bytes;
  EXPECT_THROW(decode_message(rest), BadInput);
}

TEST(Http, HeadersAndQueries) {
  Headers headers;
  headers.add("A", "1");
  headers.add("a", "2");
  EXPECT_EQ(headers.get("a"), "1");
  EXPECT_EQ(headers.joined("A"), "1, 2");
  headers.set("a", "3");
  EXPECT_EQ(headers.fields().size(), 1u);
  const auto query = parse_query("a=1&b&c=x%20y+z&&d=");
  ASSERT_TRUE(query);
  EXPECT_EQ(query->size(), 4u);
  EXPECT_EQ((*query)[2].second, "x y z");
  EXPECT_FALSE(parse_query("a=%"));
}

}  // namespace
}  // namespace virga::wire
