// One HTTP request to a function URL, from who sent it to the function's answer.
#include <aws/lambda/errors.h>

#include <algorithm>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kernel/http_function.h"
#include "kernel/signer.h"
#include "services/lambda/limits.h"
#include "services/lambda/lineage.h"
#include "services/lambda/service.h"

namespace virga::lambda {
namespace {

// The head of a streamed answer: JSON with statusCode, headers and cookies, before eight NULs.
constexpr std::string_view kIntegrationType = "application/vnd.awslambda.http-integration-response";
constexpr std::string_view kPreludeEnd{"\0\0\0\0\0\0\0\0", 8};
constexpr size_t kMostPrelude = 64 * 1024;

wire::HttpResponse message(uint16_t status, std::string_view text, std::string_view type = {}) {
  wire::HttpResponse response;
  response.status = status;
  response.headers.set("content-type", "application/json");
  if (!type.empty()) response.headers.set("x-amzn-errortype", type);
  response.body = Json::object({{"Message", text}}).dump();
  return response;
}
wire::HttpResponse forbidden() {
  return message(403,
                 "Forbidden. For troubleshooting Function URL authorization issues, see: "
                 "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html",
                 "AccessDeniedException");
}
// Of what never was no more is told.
wire::HttpResponse unknown() {
  wire::HttpResponse response = forbidden();
  response.body = R"({"Message":null})";
  return response;
}
// JSON as AWS passes on what is no response of its own: written anew, without spaces.
std::string without_spaces(std::string json) {
  bool quoted = false;
  size_t to = 0;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (c == '"') quoted = !quoted;
    if (!quoted && (c == ' ' || c == '\n' || c == '\r' || c == '\t')) continue;
    json[to++] = c;
    if (quoted && c == '\\' && i + 1 < json.size()) json[to++] = json[++i];
  }
  json.resize(to);
  return json;
}

wire::HttpResponse bad_gateway() {
  wire::HttpResponse response = message(502, "");
  response.body = "Internal Server Error";
  return response;
}

// Bytes that were read ahead, then the rest.
class Resumed final : public ByteSource {
 public:
  Resumed(std::string first, Body rest) : first_(std::move(first)), rest_(std::move(rest)) {}
  Task<std::optional<std::string>> next() override {
    if (!first_.empty()) co_return std::exchange(first_, {});
    co_return co_await rest_->next();
  }

 private:
  std::string first_;
  Body rest_;
};

std::optional<wire::HttpResponse> read_prelude(std::string_view json) {
  wire::HttpResponse response;
  response.headers.set("content-type", "application/octet-stream");
  try {
    const Json head = Json::parse(json);
    if (!head.is_object() || !kernel::read_head(head, response)) return std::nullopt;
  } catch (const JsonError&) {
    return std::nullopt;
  }
  return response;
}

Json iam_of(const kernel::Principal& caller) {
  return Json::object({{"accessKey", caller.access_key},
                       {"accountId", caller.account},
                       {"callerId", caller.user_id},
                       {"cognitoIdentity", nullptr},
                       {"principalOrgId", nullptr},
                       {"userArn", caller.arn},
                       {"userId", caller.user_id}});
}

// The answer of a function that streams, its prelude read. Nothing: it is not one the format allows.
Task<std::optional<wire::HttpResponse>> begin_streamed(Answer answer) {
  if (!answer.content_type.starts_with(kIntegrationType)) {
    wire::HttpResponse response;
    response.headers.set("content-type", answer.content_type);
    response.stream = std::move(answer.stream);
    co_return response;
  }
  std::string head;
  size_t end;
  while ((end = head.find(kPreludeEnd)) == std::string::npos) {
    if (head.size() > kMostPrelude) co_return std::nullopt;
    Result<std::optional<std::string>> chunk = co_await as_result(answer.stream->next());
    if (!chunk || !*chunk) co_return std::nullopt;
    head += **chunk;
  }
  auto response = read_prelude(std::string_view(head).substr(0, end));
  if (response)
    response->stream = std::make_shared<Resumed>(head.substr(end + kPreludeEnd.size()), std::move(answer.stream));
  co_return response;
}

}  // namespace

// A caller of a URL needs two permissions: to use the URL, and to invoke the function through it.
// docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
Task<bool> LambdaService::may_use_url(Ctx& ctx, const UrlRecord& url) {
  const FunctionId id{url.account, url.region, url.function, url.qualifier};
  const std::string arn = id.qualifier.empty() ? function_arn(ctx, id) : qualified_arn(ctx, id, id.qualifier);
  const auto policy = co_await catalog_.policy(id.home(), id.name, id.qualifier);
  const std::vector<std::pair<std::string, std::vector<std::string>>> conditions = {
      {"lambda:FunctionUrlAuthType", {url.signed_only ? "AWS_IAM" : "NONE"}},
      {"lambda:InvokedViaFunctionUrl", {"true"}}};
  for (const char* action : {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}) {
    if (!co_await deps_.cloud.authorizer().allowed(ctx, {action, arn, conditions}, policy)) co_return false;
  }
  co_return true;
}

Task<wire::HttpResponse> LambdaService::serve_url(Ctx& ctx, kernel::EndpointRequest& endpoint) {
  wire::HttpRequest& request = endpoint.http;
  std::optional<UrlRecord> url;
  {
    const auto snapshot = deps_.db.snapshot();
    url = co_await Store::find_url_by_id(*snapshot, endpoint.id);
  }
  if (!url) co_return unknown();
  if (url->function.empty()) co_return forbidden();  // it was deleted
  ctx.account = url->account;
  ctx.region = url->region;
  wire::HttpResponse response;
  if (url->cors && kernel::is_preflight(request)) {
    response.headers.set("content-type", "application/json");  // as recorded, though nothing follows
  } else if (Result<wire::HttpResponse> answer = co_await as_result(call_url(ctx, *url, endpoint))) {
    response = std::move(*answer);
  } else if (const Error* error = error_of(answer)) {
    response = message(error->shape->status, error->message, error->shape->code);
  } else {
    co_await fail_with(std::move(answer.error()));
  }
  response.headers.set("x-amzn-requestid", ctx.request_id);
  // Beside what the function says itself: who configures both gets both, and browsers refuse the answer.
  // docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html#urls-cors
  if (url->cors) kernel::add_cors(*url->cors, request, response);
  co_return response;
}

Task<wire::HttpResponse> LambdaService::call_url(Ctx& ctx, UrlRecord url, kernel::EndpointRequest& endpoint) {
  wire::HttpRequest& request = endpoint.http;
  // The event around a body may not be larger than a payload; base64 makes it larger by a third.
  kernel::HttpCall made;
  made.body = co_await read_all(*request.body, kMaxSyncPayload, err::RequestTooLargeException("Request Too Large"));
  if (url.signed_only) {
    auto signer = co_await kernel::signer_of(deps_.cloud.authorizer(), request, hex_encode(sha256(made.body)), "lambda",
                                             ctx.now());
    if (!signer) co_return forbidden();
    ctx.principal = std::move(*signer);
    made.authorizer = Json::object({{"iam", iam_of(ctx.principal)}});
  }
  if (!co_await may_use_url(ctx, url)) co_return forbidden();

  const FunctionId id{url.account, url.region, url.function, url.qualifier};
  Result<Call> call = co_await as_result(route_call(ctx, id));
  if (!call) co_return forbidden();
  if (ctx.trace.empty()) ctx.trace = begun_trace(ctx.now());
  if (!request.headers.has("x-amzn-trace-id"))
    request.headers.set("x-amzn-trace-id", std::string_view(ctx.trace).substr(0, ctx.trace.find(';')));
  made.request = &request;
  made.account = url.signed_only ? ctx.principal.account : "anonymous";
  made.api = url.id;
  made.path = endpoint.path;
  made.path.erase(0,
                  std::min(made.path.find_first_not_of('/'), made.path.size()));  // however many begin it, it has one
  made.path.insert(0, 1, '/');
  made.request_id = ctx.request_id;
  made.source_ip = ctx.source_ip;
  made.time = ctx.now();
  call->payload = kernel::event_v2(made);
  if (call->payload.size() > kMaxSyncPayload) co_return message(413, "Request Too Large", "RequestTooLargeException");
  call->request_id = ctx.request_id;
  co_await follow_trace(ctx, *call, ctx.trace);
  call->stream = true;
  Answer answer = co_await run(ctx, std::move(*call));
  if (!answer.function_error.empty()) co_return bad_gateway();
  if (!answer.stream) {
    if (url.streams) {
      wire::HttpResponse response;
      response.headers.set("content-type", "application/octet-stream");
      response.body = std::move(answer.payload);
      co_return response;
    }
    auto response = kernel::response_v2(without_spaces(std::move(answer.payload)), "application/json");
    co_return response ? std::move(*response) : bad_gateway();
  }
  auto response = co_await begin_streamed(std::move(answer));
  if (!response) co_return bad_gateway();
  if (!url.streams) {
    Result<std::string> all = co_await as_result(
        read_all(*response->stream, kMaxSyncPayload, err::RequestTooLargeException("the answer is too large")));
    if (!all) co_return bad_gateway();
    response->stream = nullptr;
    response->body = std::move(*all);
  }
  co_return std::move(*response);
}

}  // namespace virga::lambda
