#include "services/apigatewayv2/routing.h"

#include <gtest/gtest.h>

namespace virga::apigatewayv2 {
namespace {

std::map<std::string, RouteRecord> routes(std::initializer_list<const char*> keys) {
  std::map<std::string, RouteRecord> all;
  for (const char* key : keys) all[key].key = key;
  return all;
}

std::string matched(const std::map<std::string, RouteRecord>& all, const char* method, const char* path) {
  const auto match = match_route(all, method, path);
  return match ? match->route->key : "none";
}

TEST(Routing, PrefersTheMoreSpecific) {
  const auto all = routes({"GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /{proxy+}", "$default"});
  EXPECT_EQ(matched(all, "GET", "/pets/dog/1"), "GET /pets/dog/1");
  EXPECT_EQ(matched(all, "GET", "/pets/dog/2"), "GET /pets/dog/{id}");
  EXPECT_EQ(matched(all, "GET", "/pets/cat/1"), "GET /pets/{proxy+}");
  EXPECT_EQ(matched(all, "POST", "/test/5"), "ANY /{proxy+}");
  EXPECT_EQ(matched(all, "POST", "/"), "$default");
}

TEST(Routing, GivesDecodedParameters) {
  const auto all = routes({"GET /a/{id}", "GET /b/{rest+}"});
  EXPECT_EQ(match_route(all, "GET", "/a/x%20y")->parameters.at("id"), "x y");
  EXPECT_EQ(match_route(all, "GET", "/b/x/y/z")->parameters.at("rest"), "x/y/z");
  EXPECT_EQ(matched(all, "GET", "/a"), "none");
  EXPECT_EQ(matched(all, "GET", "/a/b/c"), "none");
}

TEST(Routing, ChecksKeys) {
  EXPECT_TRUE(valid_route_key("$default"));
  EXPECT_TRUE(valid_route_key("GET /a/{b}/{c+}"));
  EXPECT_FALSE(valid_route_key("FETCH /a"));
  EXPECT_FALSE(valid_route_key("GET a"));
  EXPECT_FALSE(valid_route_key("GET /{c+}/d"));
  EXPECT_FALSE(valid_route_key("GET /x{c}"));
}

}  // namespace
}  // namespace virga::apigatewayv2
