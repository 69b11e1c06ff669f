#include "services/apigatewayv2/proxy_event.h"

#include <array>

#include "base/encoding.h"
#include "base/json.h"
#include "base/str.h"

namespace virga::apigatewayv2 {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

// Bodies of these types go as text, any other as base64.
bool is_text(std::string_view content_type) {
  const std::string type = lower(split_once(content_type, ';').first);
  return type.starts_with("text/") || type == "application/json" || type == "application/xml" ||
         type == "application/javascript" || type.ends_with("+json") || type.ends_with("+xml");
}

// "12/Mar/2020:19:03:58 +0000", as the request context writes time.
std::string log_time(Time time) {
  static constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::string iso = iso8601_millis(time);  // 2020-03-12T19:03:58.000Z
  const auto month = static_cast<size_t>(parse_int(iso.substr(5, 2)).value_or(1) - 1);
  return cat(iso.substr(8, 2), "/", kMonths[month], "/", iso.substr(0, 4), ":", iso.substr(11, 8), " +0000");
}

std::string_view protocol(int version) { return version == 20 ? "HTTP/2.0" : version == 10 ? "HTTP/1.0" : "HTTP/1.1"; }

Json text_map(const std::map<std::string, std::string>& map) {
  Json out = Json::object();
  for (const auto& [key, value] : map) out[key] = value;
  return out;
}

Json or_null(Json object) { return object.as_object().empty() ? Json() : std::move(object); }

// One value a name: the values of a repeated name, joined.
Json joined(const Pairs& pairs, std::string_view separator) {
  Json out = Json::object();
  for (const auto& [name, value] : pairs) {
    Json* former = out.find(name);
    if (former) {
      *former = cat(former->as_string(), separator, value);
    } else {
      out[name] = value;
    }
  }
  return out;
}

Json last(const Pairs& pairs) {
  Json out = Json::object();
  for (const auto& [name, value] : pairs) out[name] = value;
  return out;
}

Json lists(const Pairs& pairs) {
  Json out = Json::object();
  for (const auto& [name, value] : pairs) out[name].push_back(value);
  return out;
}

Pairs header_pairs(const wire::HttpRequest& request, bool with_cookies) {
  Pairs pairs;
  for (const auto& [name, value] : request.headers.fields()) {
    std::string key = lower(name);
    if (with_cookies || key != "cookie") pairs.emplace_back(std::move(key), value);
  }
  return pairs;
}

void put_body(Json& event, const ProxyCall& call, bool null_when_empty) {
  const bool text = is_text(call.request->headers.get("content-type"));
  if (call.body.empty()) {
    if (null_when_empty) event["body"] = nullptr;
    event["isBase64Encoded"] = false;
    return;
  }
  // Text that isn't UTF-8 can't stand in JSON as it is.
  const bool plain = text && is_utf8(call.body);
  event["body"] = plain ? call.body : base64_encode(call.body);
  event["isBase64Encoded"] = !plain;
}

Json domain_fields(const ProxyCall& call) {
  return Json::object({{"accountId", call.account},
                       {"apiId", call.api},
                       {"domainName", call.host},
                       {"domainPrefix", split_once(call.host, '.').first}});
}

bool add_headers(wire::HttpResponse& response, const Json* headers) {
  if (!headers || headers->is_null()) return true;
  if (!headers->is_object()) return false;
  for (const auto& [name, value] : headers->as_object()) {
    if (value.is_null()) continue;
    response.headers.set(name, value.is_string() ? value.as_string() : value.dump());
  }
  return true;
}

bool set_body(wire::HttpResponse& response, const Json& answer) {
  const Json* body = answer.find("body");
  if (body && !body->is_null()) response.body = body->is_string() ? body->as_string() : body->dump();
  const Json* encoded = answer.find("isBase64Encoded");
  if (encoded && encoded->is_bool() && encoded->as_bool()) {
    auto decoded = base64_decode(response.body);
    if (!decoded) return false;
    response.body = std::move(*decoded);
  }
  return true;
}

bool set_status(wire::HttpResponse& response, const Json& answer) {
  const Json* status = answer.find("statusCode");
  std::optional<int64_t> code;
  if (status && status->is_int()) code = status->as_int();
  if (status && status->is_string()) code = parse_int(status->as_string());
  if (!code || *code < 200 || *code > 599) return false;
  response.status = static_cast<uint16_t>(*code);
  return true;
}

}  // namespace

std::string event_v2(const ProxyCall& call) {
  const wire::HttpRequest& request = *call.request;
  Json event = Json::object({{"version", "2.0"},
                             {"routeKey", call.route_key},
                             {"rawPath", percent_decode(call.path).value_or(call.path)},
                             {"rawQueryString", request.query}});
  if (const std::string cookies = request.headers.joined("cookie"); !cookies.empty()) {
    for (const std::string_view cookie : split(cookies, ';')) event["cookies"].push_back(trim(cookie));
  }
  event["headers"] = joined(header_pairs(request, false), ",");
  const Pairs query = wire::parse_query(request.query).value_or(Pairs());
  if (!query.empty()) event["queryStringParameters"] = joined(query, ",");
  Json context = domain_fields(call);
  context["http"] = Json::object({{"method", request.method},
                                  {"path", percent_decode(call.path).value_or(call.path)},
                                  {"protocol", protocol(request.version)},
                                  {"sourceIp", call.source_ip},
                                  {"userAgent", request.headers.get("user-agent")}});
  context["requestId"] = call.request_id;
  context["routeKey"] = call.route_key;
  context["stage"] = call.stage;
  context["time"] = log_time(call.time);
  context["timeEpoch"] = call.time.millis();
  event["requestContext"] = std::move(context);
  if (!call.parameters.empty()) event["pathParameters"] = text_map(call.parameters);
  if (!call.variables.empty()) event["stageVariables"] = text_map(call.variables);
  put_body(event, call, false);
  return event.dump();
}

std::string event_v1(const ProxyCall& call) {
  const wire::HttpRequest& request = *call.request;
  const std::string resource =
      call.route_key == "$default" ? "$default" : std::string(split_once(call.route_key, ' ').second);
  const Pairs headers = header_pairs(request, true);
  const Pairs query = wire::parse_query(request.query).value_or(Pairs());
  Json event = Json::object({{"version", "1.0"},
                             {"resource", resource},
                             {"path", percent_decode(call.path).value_or(call.path)},
                             {"httpMethod", request.method},
                             {"headers", last(headers)},
                             {"multiValueHeaders", lists(headers)},
                             {"queryStringParameters", or_null(last(query))},
                             {"multiValueQueryStringParameters", or_null(lists(query))}});
  Json context = domain_fields(call);
  context["extendedRequestId"] = call.request_id;
  context["httpMethod"] = request.method;
  context["identity"] = Json::object({{"accessKey", nullptr},
                                      {"accountId", nullptr},
                                      {"caller", nullptr},
                                      {"sourceIp", call.source_ip},
                                      {"user", nullptr},
                                      {"userAgent", request.headers.get("user-agent")},
                                      {"userArn", nullptr}});
  context["path"] = percent_decode(call.path).value_or(call.path);
  context["protocol"] = protocol(request.version);
  context["requestId"] = call.request_id;
  context["requestTime"] = log_time(call.time);
  context["requestTimeEpoch"] = call.time.millis();
  context["resourceId"] = call.route_key;
  context["resourcePath"] = resource;
  context["stage"] = call.stage;
  event["requestContext"] = std::move(context);
  event["pathParameters"] = or_null(text_map(call.parameters));
  event["stageVariables"] = or_null(text_map(call.variables));
  put_body(event, call, true);
  return event.dump();
}

std::optional<wire::HttpResponse> response_v2(const std::string& text) {
  wire::HttpResponse response;
  Json answer;
  try {
    answer = Json::parse(text);
  } catch (const JsonError&) {
    return std::nullopt;
  }
  // An answer without a status is the body itself.
  if (!answer.is_object() || !answer.find("statusCode")) {
    response.headers.set("content-type", "application/json");
    response.body = answer.is_string() ? answer.as_string() : answer.is_null() ? "" : text;
    return response;
  }
  if (!set_status(response, answer) || !set_body(response, answer)) return std::nullopt;
  response.headers.set("content-type", "text/plain;charset=UTF-8");
  if (!add_headers(response, answer.find("headers"))) return std::nullopt;
  if (const Json* cookies = answer.find("cookies"); cookies && cookies->is_array()) {
    for (const Json& cookie : cookies->as_array()) {
      if (!cookie.is_string()) return std::nullopt;
      response.headers.add("set-cookie", cookie.as_string());
    }
  }
  return response;
}

std::optional<wire::HttpResponse> response_v1(const std::string& text) {
  wire::HttpResponse response;
  Json answer;
  try {
    answer = Json::parse(text);
  } catch (const JsonError&) {
    return std::nullopt;
  }
  if (!answer.is_object() || !set_status(response, answer) || !set_body(response, answer)) return std::nullopt;
  response.headers.set("content-type", "text/plain;charset=UTF-8");
  if (!add_headers(response, answer.find("headers"))) return std::nullopt;
  if (const Json* multiple = answer.find("multiValueHeaders"); multiple && multiple->is_object()) {
    for (const auto& [name, values] : multiple->as_object()) {
      if (!values.is_array()) return std::nullopt;
      response.headers.remove(name);
      for (const Json& value : values.as_array())
        response.headers.add(name, value.is_string() ? value.as_string() : value.dump());
    }
  }
  return response;
}

}  // namespace virga::apigatewayv2
