#include "services/lambda/url_event.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "base/json.h"
#include "base/str.h"

namespace virga::lambda {
namespace {

bool is_text(std::string_view content_type) {
  const std::string type = lower(trim(split_once(content_type, ';').first));
  return type.starts_with("text/") || type == "application/json" || type == "application/xml" ||
         type == "application/javascript" || type.ends_with("+json") || type.ends_with("+xml");
}

// "12/Mar/2020:19:03:58 +0000"
std::string log_time(Time time) {
  static constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::string iso = iso8601_millis(time);
  const auto month = static_cast<size_t>(parse_int(iso.substr(5, 2)).value_or(1) - 1);
  return cat(iso.substr(8, 2), "/", kMonths[month], "/", iso.substr(0, 4), ":", iso.substr(11, 8), " +0000");
}

void join_to(Json& object, const std::string& name, const std::string& value) {
  if (Json* former = object.find(name)) {
    *former = cat(former->as_string(), ",", value);
  } else {
    object[name] = value;
  }
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

// Status, headers and cookies; false when they are not what the format asks for.
bool set_head(wire::HttpResponse& response, const Json& answer) {
  if (const Json* status = answer.find("statusCode")) {
    std::optional<int64_t> code;
    if (status->is_int()) code = status->as_int();
    if (status->is_string()) code = parse_int(status->as_string());
    if (!code || *code < 100 || *code > 599) return false;
    response.status = static_cast<uint16_t>(*code);
  }
  if (const Json* headers = answer.find("headers"); headers && !headers->is_null()) {
    if (!headers->is_object()) return false;
    for (const auto& [name, value] : headers->as_object()) {
      const std::string key = lower(name);
      // The door frames the body itself.
      if (value.is_null() || key == "content-length" || key == "transfer-encoding" || key == "connection") continue;
      response.headers.set(name, value.is_string() ? value.as_string() : value.dump());
    }
  }
  if (const Json* cookies = answer.find("cookies"); cookies && !cookies->is_null()) {
    if (!cookies->is_array()) return false;
    for (const Json& cookie : cookies->as_array()) {
      if (!cookie.is_string()) return false;
      response.headers.add("set-cookie", cookie.as_string());
    }
  }
  return true;
}

}  // namespace

std::string url_event(const UrlCall& call) {
  const wire::HttpRequest& request = *call.request;
  Json event = Json::object({{"version", "2.0"},
                             {"routeKey", "$default"},
                             {"rawPath", percent_decode(call.path).value_or(call.path)},
                             {"rawQueryString", request.query}});
  if (const std::string cookies = request.headers.joined("cookie"); !cookies.empty()) {
    for (const std::string_view cookie : split(cookies, ';')) event["cookies"].push_back(trim(cookie));
  }
  Json headers = Json::object(), query = Json::object();
  for (const auto& [name, value] : request.headers.fields()) {
    if (std::string key = lower(name); key != "cookie") join_to(headers, key, value);
  }
  for (const auto& [name, value] :
       wire::parse_query(request.query).value_or(std::vector<std::pair<std::string, std::string>>()))
    join_to(query, name, value);
  event["headers"] = std::move(headers);
  if (!query.as_object().empty()) event["queryStringParameters"] = std::move(query);
  const std::string host(split_once(request.host(), ':').first);
  Json context = Json::object({{"accountId", call.caller ? call.caller->account : "anonymous"},
                               {"apiId", call.url_id},
                               {"domainName", host},
                               {"domainPrefix", call.url_id},
                               {"requestId", call.request_id},
                               {"routeKey", "$default"},
                               {"stage", "$default"},
                               {"time", log_time(call.time)},
                               {"timeEpoch", call.time.millis()}});
  context["http"] = Json::object({{"method", request.method},
                                  {"path", percent_decode(call.path).value_or(call.path)},
                                  {"protocol", request.version == 20   ? "HTTP/2.0"
                                               : request.version == 10 ? "HTTP/1.0"
                                                                       : "HTTP/1.1"},
                                  {"sourceIp", call.source_ip},
                                  {"userAgent", request.headers.get("user-agent")}});
  if (call.caller) context["authorizer"] = Json::object({{"iam", iam_of(*call.caller)}});
  event["requestContext"] = std::move(context);
  const bool plain = call.body.empty() || (is_text(request.headers.get("content-type")) && is_utf8(call.body));
  if (!call.body.empty()) event["body"] = plain ? call.body : base64_encode(call.body);
  event["isBase64Encoded"] = !plain;
  return event.dump();
}

std::optional<wire::HttpResponse> url_response(const std::string& text) {
  wire::HttpResponse response;
  response.headers.set("content-type", "application/json");
  Json answer;
  try {
    answer = Json::parse(text);
  } catch (const JsonError&) {
    return std::nullopt;
  }
  // An answer without a status is the body itself.
  if (!answer.is_object() || !answer.find("statusCode")) {
    response.body = answer.is_string() ? answer.as_string() : text;
    return response;
  }
  if (!set_head(response, answer)) return std::nullopt;
  if (const Json* body = answer.find("body"); body && !body->is_null())
    response.body = body->is_string() ? body->as_string() : body->dump();
  if (const Json* encoded = answer.find("isBase64Encoded"); encoded && encoded->is_bool() && encoded->as_bool()) {
    auto decoded = base64_decode(response.body);
    if (!decoded) return std::nullopt;
    response.body = std::move(*decoded);
  }
  return response;
}

std::optional<wire::HttpResponse> url_prelude(std::string_view json) {
  wire::HttpResponse response;
  response.headers.set("content-type", "application/octet-stream");
  try {
    const Json head = Json::parse(json);
    if (!head.is_object() || !set_head(response, head)) return std::nullopt;
  } catch (const JsonError&) {
    return std::nullopt;
  }
  return response;
}

void apply_cors(const UrlRecord& url, const wire::HttpRequest& request, bool preflight, wire::HttpResponse& response) {
  const CorsRecord& cors = *url.cors;
  std::erase_if(response.headers.fields(),
                [](const auto& field) { return lower(field.first).starts_with("access-control-"); });
  const std::string_view origin = request.headers.get("origin");
  const bool any = std::ranges::find(cors.origins, "*") != cors.origins.end();
  const bool allowed = std::ranges::any_of(
      cors.origins, [&](const std::string& one) { return one == "*" || matches_wildcard(one, origin); });
  if (origin.empty() || !allowed) return;
  response.headers.set("access-control-allow-origin", any && !cors.credentials ? "*" : origin);
  if (!any || cors.credentials) response.headers.add("vary", "Origin");
  if (cors.credentials) response.headers.set("access-control-allow-credentials", "true");
  if (!cors.expose.empty()) response.headers.set("access-control-expose-headers", join(cors.expose, ","));
  if (!preflight) return;
  if (!cors.methods.empty()) response.headers.set("access-control-allow-methods", join(cors.methods, ","));
  if (!cors.headers.empty()) response.headers.set("access-control-allow-headers", join(cors.headers, ","));
  if (cors.max_age) response.headers.set("access-control-max-age", cat(*cors.max_age));
}

}  // namespace virga::lambda
