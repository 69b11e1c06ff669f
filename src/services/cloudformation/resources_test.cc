// The pure parts of making resources: OpenAPI documents, template addresses, names, typed values.
#include <aws/apigatewayv2/ops.h>
#include <aws/lambda/ops.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "services/cloudformation/resources/lambda_names.h"
#include "services/cloudformation/resources/openapi.h"
#include "services/cloudformation/resources/provider.h"
#include "services/cloudformation/template.h"
#include "services/cloudformation/template_url.h"
#include "services/cloudformation/typed_json.h"

namespace virga::cloudformation {
namespace {

TEST(OpenApi, RoutesIntegrationsCorsAndAuthorizers) {
  const OpenApi api = read_openapi(parse_template(R"(
openapi: 3.0.1
info: {title: shop, version: '1.0'}
paths:
  /items/{id}:
    get:
      x-amazon-apigateway-integration:
        type: aws_proxy
        httpMethod: POST
        payloadFormatVersion: '2.0'
        uri: arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f:live/invocations
      security: [{J: [read]}]
  $default:
    x-amazon-apigateway-any-method:
      isDefaultRoute: true
      x-amazon-apigateway-integration: {type: http_proxy, httpMethod: GET, uri: 'https://example.com'}
  /nothing: {get: {responses: {}}}
x-amazon-apigateway-cors: {allowOrigins: ['*'], maxAge: 5}
tags: [{name: a, x-amazon-apigateway-tag-value: b}]
components:
  securitySchemes:
    J:
      type: oauth2
      x-amazon-apigateway-authorizer: {type: jwt, identitySource: $request.header.Authorization, jwtConfiguration: {issuer: i, audience: [a]}}
)"));
  EXPECT_EQ(api.api.dump(), R"({"Name":"shop","Version":"1.0","CorsConfiguration":{"AllowOrigins":["*"],"MaxAge":5}})");
  EXPECT_EQ(api.tags.dump(), R"({"a":"b"})");
  ASSERT_EQ(api.routes.size(), 2u);
  EXPECT_EQ(api.routes[0].key, "GET /items/{id}");
  EXPECT_EQ(api.routes[0].integration.string_or("IntegrationUri"),
            "arn:aws:lambda:us-east-1:000000000000:function:f:live");
  EXPECT_EQ(api.routes[0].settings.dump(), R"({"AuthorizationType":"JWT","AuthorizationScopes":["read"]})");
  EXPECT_EQ(api.routes[1].key, "$default");
  EXPECT_EQ(api.routes[1].integration.string_or("IntegrationUri"), "https://example.com");
  EXPECT_EQ(
      api.authorizers.at("J").dump(),
      R"({"AuthorizerType":"JWT","IdentitySource":["$request.header.Authorization"],"JwtConfiguration":{"Issuer":"i","Audience":["a"]}})");
}

TEST(TemplateAddress, Forms) {
  const auto at = [](std::string_view url) {
    const auto found = template_address(url, "http://127.0.0.1:4566");
    return found ? found->bucket + " " + found->key + " " + found->version : "nothing";
  };
  EXPECT_EQ(at("https://s3.amazonaws.com/b/k/x.yaml"), "b k/x.yaml ");
  EXPECT_EQ(at("https://s3.eu-west-1.amazonaws.com/b/k"), "b k ");
  EXPECT_EQ(at("https://b.s3.amazonaws.com/k%20x"), "b k x ");
  EXPECT_EQ(at("https://b.s3.eu-west-1.amazonaws.com/k?versionId=v1"), "b k v1");
  EXPECT_EQ(at("http://127.0.0.1:4566/b/k"), "b k ");
  EXPECT_EQ(at("http://b.s3.localhost:4566/k"), "b k ");
  EXPECT_EQ(at("s3://b/k"), "b k ");
  EXPECT_EQ(at("https://example.com/b/k"), "nothing");
  EXPECT_EQ(at("file:///etc/passwd"), "nothing");
}

TEST(Names, PlannedWithinTheLimit) {
  const Provider* role = find_provider("AWS::IAM::Role");
  EXPECT_EQ(plan_name(*role, "s", "R", Json::object({{"RoleName", "mine"}})), "mine");
  const std::string name = plan_name(*role, std::string(128, 's'), std::string(100, 'L'), Json::object());
  EXPECT_EQ(name.size(), 64u);
  const std::string bucket = plan_name(*find_provider("AWS::S3::Bucket"), "MyStack", "Bucket", Json::object());
  EXPECT_TRUE(bucket.starts_with("mystack-bucket-"));
  EXPECT_EQ(bucket.size(), std::string("mystack-bucket-").size() + 12);
  EXPECT_EQ(find_provider("AWS::Foo::Bar"), nullptr);
  EXPECT_EQ(recreation_of("AWS::DynamoDB::Table", "KeySchema"), Recreation::kAlways);
  EXPECT_EQ(recreation_of("AWS::DynamoDB::Table", "BillingMode"), Recreation::kNever);
  EXPECT_EQ(recreation_of("AWS::Lambda::Version", "Description"), Recreation::kAlways);
}

TEST(Names, Functions) {
  EXPECT_EQ(function_name("arn:aws:lambda:r:1:function:f:live").input().dump(),
            R"({"FunctionName":"arn:aws:lambda:r:1:function:f","Qualifier":"live"})");
  EXPECT_EQ(function_name("f:1").input().dump(), R"({"FunctionName":"f","Qualifier":"1"})");
  EXPECT_EQ(function_name("f").input().dump(), R"({"FunctionName":"f"})");
}

TEST(TypedJson, ThereAndBack) {
  const wire::Shape& shape = *lambda::op::CreateFunction::model().input;
  TypedValue value(&shape);
  fill(shape,
       Json::parse(
           R"({"FunctionName":"f","Timeout":"5","Publish":"true","Environment":{"Variables":{"A":1}},"Layers":"one"})"),
       value.get());
  const Json back = read(shape, value.get());
  EXPECT_EQ(*back.find("Timeout"), Json(5));
  EXPECT_EQ(*back.find("Publish"), Json(true));
  EXPECT_EQ(back.find("Environment")->dump(), R"({"Variables":{"A":"1"}})");
  EXPECT_EQ(back.find("Layers")->dump(), R"(["one"])");

  // Wire names differ from those that templates use.
  const wire::Shape& api = *apigatewayv2::op::CreateApi::model().input;
  TypedValue http(&api);
  fill(api, Json::parse(R"({"Name":"n","ProtocolType":"HTTP","CorsConfiguration":{"AllowOrigins":["*"]}})"),
       http.get());
  EXPECT_EQ(read(api, http.get()).find("CorsConfiguration")->dump(), R"({"AllowOrigins":["*"]})");
}

TEST(TypedJson, Refusals) {
  const wire::Shape& shape = *lambda::op::CreateFunction::model().input;
  const auto why = [&](std::string_view json) -> std::string {
    TypedValue value(&shape);
    try {
      fill(shape, Json::parse(json), value.get());
    } catch (const Error& e) {
      return e.message;
    }
    return "";
  };
  EXPECT_EQ(why(R"({"Foo":1})"), "Properties validation failed with message: #: extraneous key [Foo] is not permitted");
  EXPECT_EQ(why(R"({"FunctionName":["x"]})"),
            "Model validation failed (#/FunctionName: expected type: String, found: JSONArray)");
  EXPECT_NE(why(R"({"MemorySize":4294967424})").find("#/MemorySize: expected type: Integer"), std::string::npos);
  EXPECT_EQ(why(R"({"MemorySize":"256"})"), "");
  EXPECT_NE(why(R"({"PackageType":"FREE"})").find("FREE is not a valid enum value"), std::string::npos);
}

}  // namespace
}  // namespace virga::cloudformation
