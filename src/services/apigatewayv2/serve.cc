// The data plane: one HTTP request to an API, from its stage to its function and back.
#include <aws/lambda/ops.h>

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kernel/http_function.h"
#include "services/apigatewayv2/limits.h"
#include "services/apigatewayv2/routing.h"
#include "services/apigatewayv2/service.h"

namespace virga::apigatewayv2 {
namespace {

constexpr std::string_view kAnswerType = "text/plain;charset=UTF-8";  // of a function's answer that names none

wire::HttpResponse message(uint16_t status, std::string_view text) {
  wire::HttpResponse response;
  response.status = status;
  response.headers.set("content-type", "application/json");
  response.body = Json::object({{"message", text}}).dump();
  return response;
}

struct Place {
  const StageRecord* stage = nullptr;
  std::string path;  // within the stage
};

// "/prod/pets" is /pets of the stage prod when there is one, and otherwise /prod/pets of $default.
Place find_stage(const ApiRecord& api, const std::string& path) {
  const auto [first, rest] = split_once(std::string_view(path).substr(1), '/');
  const auto named = api.stages.find(std::string(first));
  if (named != api.stages.end() && first != "$default") return {&named->second, cat("/", rest)};
  const auto fallback = api.stages.find("$default");
  return fallback == api.stages.end() ? Place{} : Place{&fallback->second, path};
}

// The function of an integration's URI: its own ARN, or API Gateway's around it.
std::string function_of(const std::string& uri) {
  constexpr std::string_view kBefore = "/functions/", kAfter = "/invocations";
  const size_t begin = uri.find(kBefore), end = uri.rfind(kAfter);
  if (!uri.starts_with("arn:aws:apigateway:") || begin == uri.npos || end == uri.npos) return uri;
  return uri.substr(begin + kBefore.size(), end - begin - kBefore.size());
}

// What function permissions name: the API, the stage, and the route with its variables as wildcards.
std::string source_arn(const ApiRecord& api, const StageRecord& stage, const RouteRecord& route,
                       std::string_view method) {
  std::string path = "/$default";
  if (route.key != "$default") {
    const auto [route_method, route_path] = split_once(route.key, ' ');
    path = cat("/", route_method == "ANY" ? method : route_method, route_path);
    for (size_t open = path.find('{'); open != path.npos; open = path.find('{'))
      path.replace(open, path.find('}', open) - open + 1, "*");
  }
  return cat("arn:aws:execute-api:", api.region, ":", api.account, ":", api.id, "/", stage.name, path);
}

}  // namespace

Task<wire::HttpResponse> ApiGatewayV2Service::serve(Ctx& ctx, kernel::EndpointRequest& endpoint) {
  wire::HttpRequest& request = endpoint.http;
  std::optional<ApiRecord> api;
  {
    const auto snapshot = deps_.db.snapshot();
    api = co_await find_api(*snapshot, endpoint.id);
  }
  if (!api || api->disable_endpoint) co_return message(404, "Not Found");
  if (request.content_length && *request.content_length > kMaxPayload)
    co_return message(413, "Request Entity Too Large");

  if (api->cors && kernel::is_preflight(request)) {
    wire::HttpResponse response;
    response.status = 204;
    kernel::add_cors(*api->cors, request, response);
    co_return response;
  }

  const Place place = find_stage(*api, endpoint.path);
  const auto deployment = place.stage ? api->deployments.find(place.stage->deployment) : api->deployments.end();
  if (deployment == api->deployments.end()) co_return message(404, "Not Found");
  const auto match = match_route(deployment->second.routes, request.method, place.path);
  const auto integration = match && match->route->target.starts_with("integrations/")
                               ? deployment->second.integrations.find(match->route->target.substr(13))
                               : deployment->second.integrations.end();
  if (integration == deployment->second.integrations.end()) co_return message(404, "Not Found");

  static constexpr ErrorShape kTooLarge{"RequestEntityTooLarge", 413, Fault::kSender, {}};
  Result<std::string> body =
      co_await as_result(read_all(*request.body, kMaxPayload, Error{&kTooLarge, "", nullptr, {}}));
  if (!body) {
    if (error_of(body)) co_return message(413, "Request Entity Too Large");
    co_await fail_with(std::move(body.error()));
  }

  kernel::HttpCall call;
  call.request = &request;
  call.body = std::move(*body);
  call.account = api->account;
  call.api = api->id;
  call.stage = place.stage->name;
  call.route_key = match->route->key;
  call.request_id = ctx.request_id;
  call.source_ip = ctx.source_ip;
  call.path = endpoint.path;
  call.parameters = match->parameters;
  call.variables = place.stage->variables;
  call.time = ctx.now();
  const bool v2 = integration->second.payload_version == "2.0";

  Ctx lambda_ctx = deps_.cloud.internal_context(kernel::service_principal("apigateway.amazonaws.com", api->account),
                                                api->account, api->region);
  lambda_ctx.source_arn = source_arn(*api, *place.stage, *match->route, request.method);
  lambda_ctx.source_account = api->account;
  lambda_ctx.trace = ctx.trace;
  lambda::InvocationRequest invocation;
  invocation.function_name = function_of(integration->second.uri);
  invocation.payload = v2 ? kernel::event_v2(call) : kernel::event_v1(call);
  Result<lambda::InvocationResponse> answer =
      co_await as_result(deps_.cloud.call<lambda::op::Invoke>(lambda_ctx, std::move(invocation)));

  std::optional<wire::HttpResponse> response;
  if (!answer) {
    const Error* error = error_of(answer);
    const bool throttled = error && error->shape->status == 429;
    log_info("apigateway", "an integration could not be called",
             {{"api", api->id}, {"route", match->route->key}, {"error", describe(answer.error())}});
    response = throttled ? message(503, "Service Unavailable") : message(500, "Internal Server Error");
  } else if (answer->function_error) {
    response = message(500, "Internal Server Error");
  } else {
    const std::string text = answer->payload.value_or("");
    response = v2 ? kernel::response_v2(text, kAnswerType) : kernel::response_v1(text, kAnswerType);
    if (!response) {
      log_info("apigateway", "a function's answer is not a proxy response",
               {{"api", api->id}, {"route", match->route->key}});
      response = message(500, "Internal Server Error");
    }
  }
  response->headers.set("apigw-requestid", ctx.request_id);
  if (api->cors) {
    kernel::drop_cors(*response);
    kernel::add_cors(*api->cors, request, *response);
  }
  co_return std::move(*response);
}

}  // namespace virga::apigatewayv2
