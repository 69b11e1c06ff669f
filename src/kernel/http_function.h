// Functions behind HTTP: what HTTP APIs and function URLs share. A request as the event of a function and the
// function's answer as a response, in payload formats 1.0 and 2.0; CORS; the addresses that both have. Pure.
// docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
// docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "kernel/context.h"
#include "wire/http.h"

namespace virga::kernel {

struct HttpCall {
  const wire::HttpRequest* request;
  std::string body;
  std::string account, api, request_id, source_ip;
  std::string stage = "$default", route_key = "$default";
  std::string path;                               // with the stage's name unless it is $default, undecoded
  std::map<std::string, std::string> parameters;  // of the path
  std::map<std::string, std::string> variables;   // of the stage
  Json authorizer;                                // in format 2.0; null: there is none
  Time time;
};
std::string event_v1(const HttpCall& call);
std::string event_v2(const HttpCall& call);

// Nothing when the answer is not what the format asks for. `content_type`: of an answer with a status that names none.
std::optional<wire::HttpResponse> response_v1(const std::string& answer, std::string_view content_type);
std::optional<wire::HttpResponse> response_v2(const std::string& answer, std::string_view content_type);
// Status, headers and cookies of format 2.0; false when they are not what it asks for.
bool read_head(const Json& answer, wire::HttpResponse& response);

// A record (kv/record.h).
struct CorsRecord {
  bool credentials = false;
  std::vector<std::string> headers, methods, origins, expose;
  std::optional<int32_t> max_age;  // seconds
  template <class A>
  void fields(A& a) {
    a(1, credentials), a(2, headers), a(3, methods), a(4, origins), a(5, expose), a(6, max_age);
  }
};

// `Cors`: the shape of either service.
template <class Cors>
CorsRecord cors_record(const Cors& in) {
  const auto list = [](const auto& values) { return values.value_or(std::vector<std::string>()); };
  return {in.allow_credentials.value_or(false),
          list(in.allow_headers),
          list(in.allow_methods),
          list(in.allow_origins),
          list(in.expose_headers),
          in.max_age};
}
template <class Cors>
Cors cors_shape(const CorsRecord& record) {
  const auto list = [](const std::vector<std::string>& values) {
    return values.empty() ? std::nullopt : std::optional(values);
  };
  Cors out;
  out.allow_credentials = record.credentials;
  out.allow_headers = list(record.headers);
  out.allow_methods = list(record.methods);
  out.allow_origins = list(record.origins);
  out.expose_headers = list(record.expose);
  out.max_age = record.max_age;
  return out;
}

bool is_preflight(const wire::HttpRequest& request);
// Adds what a CORS configuration says to the request. A function's own CORS headers stay, unless they were dropped.
void add_cors(const CorsRecord& cors, const wire::HttpRequest& request, wire::HttpResponse& response);
void drop_cors(wire::HttpResponse& response);

// http://<name>.<host>, by the host that the client reached us at. Names below localhost are this machine by RFC 6761;
// an address has no names below it, so it is localhost there.
std::string address_below(const Ctx& ctx, std::string_view name);

}  // namespace virga::kernel
