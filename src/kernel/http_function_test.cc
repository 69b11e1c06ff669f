#include "kernel/http_function.h"

#include <gtest/gtest.h>

#include "base/str.h"

namespace virga::kernel {
namespace {

constexpr std::string_view kText = "text/plain";

TEST(HttpFunction, ReadsAnswersOfFormat2) {
  const auto whole = response_v2(
      R"({"statusCode":"201","headers":{"X-N":5,"content-length":"9","x-null":null},"cookies":["a=1","b=2"],"body":{"k":1}})",
      kText);
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->status, 201);
  EXPECT_EQ(whole->body, R"({"k":1})");
  EXPECT_EQ(whole->headers.get("x-n"), "5");
  EXPECT_EQ(whole->headers.get("content-type"), kText);
  EXPECT_EQ(whole->headers.joined("set-cookie"), "a=1, b=2");
  EXPECT_FALSE(whole->headers.has("content-length") || whole->headers.has("x-null"));
  EXPECT_EQ(response_v2(R"({"statusCode":200,"isBase64Encoded":true,"body":"aGk="})", kText)->body, "hi");
  for (const char* wrong :
       {"no json", R"({"statusCode":"x"})", R"({"statusCode":100})", R"({"statusCode":200,"headers":[]})",
        R"({"statusCode":200,"cookies":[1]})", R"({"statusCode":200,"isBase64Encoded":true,"body":"?"})"}) {
    EXPECT_FALSE(response_v2(wrong, kText)) << wrong;
  }
}

TEST(HttpFunction, TakesAnAnswerWithoutAStatusForTheBody) {
  for (const auto& [answer, body] :
       {std::pair{R"("text")", "text"}, {R"({"a":1})", R"({"a":1})"}, {"[1]", "[1]"}, {"null", "null"}}) {
    const auto response = response_v2(answer, kText);
    ASSERT_TRUE(response) << answer;
    EXPECT_EQ(response->body, body);
    EXPECT_EQ(response->headers.get("content-type"), "application/json");
    EXPECT_FALSE(response_v1(answer, kText)) << answer;
  }
}

TEST(HttpFunction, NamesAddressesBelowTheHostThatWasAsked) {
  Ctx ctx;
  EXPECT_EQ(address_below(ctx, "a.b"), "http://a.b.localhost");
  ctx.base_url = "http://127.0.0.1:4566";
  EXPECT_EQ(address_below(ctx, "a.b"), "http://a.b.localhost:4566");
  ctx.base_url = "https://cloud.example";
  EXPECT_EQ(address_below(ctx, "a.b"), "https://a.b.cloud.example");
}

TEST(HttpFunction, LetsInTheOriginsThatWereNamed) {
  wire::HttpRequest request;
  request.method = "OPTIONS";
  request.headers.add("origin", "https://a.example");
  request.headers.add("access-control-request-method", "PUT");
  const auto allowed = [&](const CorsRecord& cors) {
    wire::HttpResponse response;
    response.headers.add("access-control-allow-origin", "whatever the function says");
    drop_cors(response);
    add_cors(cors, request, response);
    return cat(response.headers.get("access-control-allow-origin"), " ", response.headers.get("vary"), " ",
               response.headers.get("access-control-allow-methods"));
  };
  EXPECT_EQ(allowed({.methods = {"PUT"}, .origins = {"*"}}), "*  PUT");
  EXPECT_EQ(allowed({.credentials = true, .origins = {"*"}}), "https://a.example Origin ");
  EXPECT_EQ(allowed({.origins = {"https://*.example"}}), "https://a.example Origin ");
  EXPECT_EQ(allowed({.origins = {"https://b.example"}}), "  ");
}

}  // namespace
}  // namespace virga::kernel
