// A function URL's request as the event its function gets, and what the function answers as a response. Pure.
// docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
#pragma once

#include <optional>
#include <string>

#include "kernel/context.h"
#include "services/lambda/store.h"
#include "wire/http.h"

namespace virga::lambda {

struct UrlCall {
  const wire::HttpRequest* request;
  std::string body;
  std::string url_id;
  std::string path;  // undecoded
  std::string request_id, source_ip;
  Time time;
  const kernel::Principal* caller = nullptr;  // null: AuthType NONE
};
std::string url_event(const UrlCall& call);

// A buffered answer; nothing when it is not one the format allows: then the client gets 502.
std::optional<wire::HttpResponse> url_response(const std::string& answer);

// The head of a streamed answer: JSON with statusCode, headers and cookies, before eight NULs. Nothing: not that.
std::optional<wire::HttpResponse> url_prelude(std::string_view json);
inline constexpr std::string_view kIntegrationType = "application/vnd.awslambda.http-integration-response";
inline constexpr std::string_view kPreludeEnd{"\0\0\0\0\0\0\0\0", 8};

// What the URL's CORS configuration says to this request; the function's own CORS headers give way to it.
void apply_cors(const UrlRecord& url, const wire::HttpRequest& request, bool preflight, wire::HttpResponse& response);

}  // namespace virga::lambda
