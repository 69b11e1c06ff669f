// The Lambda proxy event of a request and the response of a function's answer, payload formats 1.0 and 2.0. Pure.
// docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/time.h"
#include "wire/http.h"

namespace virga::apigatewayv2 {

struct ProxyCall {
  const wire::HttpRequest* request;
  std::string body;
  std::string account, api, stage, route_key, request_id, source_ip;
  std::string path;  // with the stage's name unless it is $default, undecoded
  std::string host;
  std::map<std::string, std::string> parameters;  // of the path
  std::map<std::string, std::string> variables;   // of the stage
  Time time;
};

std::string event_v2(const ProxyCall& call);
std::string event_v1(const ProxyCall& call);

// Nothing when the answer is not what the format asks for: the client then gets 500.
std::optional<wire::HttpResponse> response_v2(const std::string& answer);
std::optional<wire::HttpResponse> response_v1(const std::string& answer);

}  // namespace virga::apigatewayv2
