// Which route takes a request. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "services/apigatewayv2/store.h"

namespace virga::apigatewayv2 {

// Whether `key` is a route key: "$default", or a method (or ANY) and a path with {variables} and at most a last
// {greedy+}.
bool valid_route_key(std::string_view key);

struct Match {
  const RouteRecord* route;
  std::map<std::string, std::string> parameters;  // decoded
};

// A full match wins over a greedy one and that over $default; among full matches literal segments win over variables,
// the first difference deciding; a method wins over ANY.
// docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
std::optional<Match> match_route(const std::map<std::string, RouteRecord>& routes, std::string_view method,
                                 std::string_view path);

}  // namespace virga::apigatewayv2
