#include "front/cors.h"

#include "base/str.h"

namespace virga::front {
namespace {

constexpr std::string_view kMaxAge = "172800";  // seconds

bool is_local(std::string_view origin) {
  const size_t scheme = origin.find("://");
  if (scheme == std::string_view::npos) return false;
  std::string_view host = origin.substr(scheme + 3);
  if (host.starts_with("[::1]")) return true;
  host = host.substr(0, host.find(':'));
  return host == "localhost" || host.ends_with(".localhost") || host == "127.0.0.1";
}

}  // namespace

void allow_origin(const wire::HttpRequest& request, const wire::OperationModel* operation,
                  wire::HttpResponse& response) {
  if (!request.headers.has("origin")) return;
  response.headers.set("Access-Control-Allow-Origin", "*");
  std::string exposed = "x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date";
  if (operation && operation->output) {
    for (const wire::Member& member : operation->output->structure->members) {
      if (member.location == wire::Location::kHeader) append(exposed, ",", member.wire_name);
    }
  }
  response.headers.set("Access-Control-Expose-Headers", exposed);
}

wire::HttpResponse answer_preflight(const wire::HttpRequest& request) {
  wire::HttpResponse response;
  allow_origin(request, nullptr, response);
  response.headers.add("Access-Control-Max-Age", kMaxAge);
  constexpr std::pair<std::string_view, std::string_view> kEchoed[] = {
      {"access-control-request-headers", "Access-Control-Allow-Headers"},
      {"access-control-request-method", "Access-Control-Allow-Methods"}};
  for (const auto& [asked, allowed] : kEchoed) {
    if (const std::string* value = request.headers.find(asked)) response.headers.add(allowed, *value);
  }
  return response;
}

bool is_of_foreign_page(const wire::HttpRequest& request) {
  const std::string* origin = request.headers.find("origin");
  return origin && !is_local(*origin);
}

}  // namespace virga::front
