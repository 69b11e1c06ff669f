#include "kernel/http_function.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "base/str.h"

namespace virga::kernel {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

// Bodies of these types go as text, any other as base64.
bool is_text(std::string_view content_type) {
  const std::string type = lower(trim(split_once(content_type, ';').first));
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

// As AWS passes them on: without what is about the connection, with who asked, how and where.
Pairs header_pairs(const HttpCall& call, bool with_cookies) {
  const wire::HttpRequest& request = *call.request;
  Pairs pairs;
  std::string senders;
  for (const auto& [name, value] : request.headers.fields()) {
    std::string key = lower(name);
    if (key == "connection" || key == "x-forwarded-port" || key == "x-forwarded-proto") continue;
    if (key == "x-forwarded-for") {
      append(senders, value, ", ");
    } else if (with_cookies || key != "cookie") {
      pairs.emplace_back(std::move(key), value);
    }
  }
  const std::string_view host = request.host();
  const size_t colon = host.ends_with(']') ? host.npos : host.rfind(':');
  pairs.emplace_back("x-forwarded-for", cat(senders, call.source_ip));
  pairs.emplace_back("x-forwarded-port", colon != host.npos ? host.substr(colon + 1) : request.secure ? "443" : "80");
  pairs.emplace_back("x-forwarded-proto", request.secure ? "https" : "http");
  return pairs;
}

void put_body(Json& event, const HttpCall& call, bool null_when_empty) {
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

std::string_view without_port(std::string_view host) {
  return host.ends_with(']') ? host : host.substr(0, host.rfind(':'));
}

Json domain_fields(const HttpCall& call) {
  return Json::object({{"accountId", call.account},
                       {"apiId", call.api},
                       {"domainName", without_port(call.request->host())},
                       {"domainPrefix", call.api}});
}

std::string text_of(const Json& value) { return value.is_string() ? value.as_string() : value.dump(); }

bool read_headers(const Json* headers, wire::HttpResponse& response) {
  if (!headers || headers->is_null()) return true;
  if (!headers->is_object()) return false;
  for (const auto& [name, value] : headers->as_object()) {
    const std::string key = lower(name);
    // The door frames the body itself.
    if (value.is_null() || key == "content-length" || key == "transfer-encoding" || key == "connection") continue;
    response.headers.set(name, text_of(value));
  }
  return true;
}

bool read_body(const Json& answer, wire::HttpResponse& response) {
  const Json* body = answer.find("body");
  if (body && !body->is_null()) response.body = text_of(*body);
  const Json* encoded = answer.find("isBase64Encoded");
  if (encoded && encoded->is_bool() && encoded->as_bool()) {
    auto decoded = base64_decode(response.body);
    if (!decoded) return false;
    response.body = std::move(*decoded);
  }
  return true;
}

bool read_status(const Json* status, wire::HttpResponse& response) {
  std::optional<int64_t> code;
  if (status && status->is_int()) code = status->as_int();
  if (status && status->is_string()) code = parse_int(status->as_string());
  if (!code || *code < 200 || *code > 599) return false;
  response.status = static_cast<uint16_t>(*code);
  return true;
}

std::optional<Json> parsed(const std::string& answer) {
  try {
    return Json::parse(answer);
  } catch (const JsonError&) {
    return std::nullopt;
  }
}

}  // namespace

std::string event_v2(const HttpCall& call) {
  const wire::HttpRequest& request = *call.request;
  Json event = Json::object({{"version", "2.0"},
                             {"routeKey", call.route_key},
                             {"rawPath", percent_decode(call.path).value_or(call.path)},
                             {"rawQueryString", request.query}});
  if (const std::string cookies = request.headers.joined("cookie"); !cookies.empty()) {
    for (const std::string_view cookie : split(cookies, ';')) event["cookies"].push_back(trim(cookie));
  }
  event["headers"] = joined(header_pairs(call, false), ",");
  const Pairs query = wire::parse_query(request.query).value_or(Pairs());
  if (!query.empty()) event["queryStringParameters"] = joined(query, ",");
  Json context = domain_fields(call);
  context["http"] = Json::object({{"method", request.method},
                                  {"path", percent_decode(call.path).value_or(call.path)},
                                  {"protocol", protocol(request.version)},
                                  {"sourceIp", call.source_ip},
                                  {"userAgent", request.headers.get("user-agent")}});
  if (!call.authorizer.is_null()) context["authorizer"] = call.authorizer;
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

std::string event_v1(const HttpCall& call) {
  const wire::HttpRequest& request = *call.request;
  const std::string resource =
      call.route_key == "$default" ? "$default" : std::string(split_once(call.route_key, ' ').second);
  const Pairs headers = header_pairs(call, true);
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

bool read_head(const Json& answer, wire::HttpResponse& response) {
  if (const Json* status = answer.find("statusCode"); status && !read_status(status, response)) return false;
  if (!read_headers(answer.find("headers"), response)) return false;
  const Json* cookies = answer.find("cookies");
  if (!cookies || cookies->is_null()) return true;
  if (!cookies->is_array()) return false;
  for (const Json& cookie : cookies->as_array()) {
    if (!cookie.is_string()) return false;
    response.headers.add("set-cookie", cookie.as_string());
  }
  return true;
}

std::optional<wire::HttpResponse> response_v2(const std::string& text, std::string_view content_type) {
  const auto answer = parsed(text);
  if (!answer) return std::nullopt;
  wire::HttpResponse response;
  // An answer without a status is the body itself.
  if (!answer->is_object() || !answer->find("statusCode")) {
    response.headers.set("content-type", "application/json");
    response.body = answer->is_string() ? answer->as_string() : text;
    return response;
  }
  response.headers.set("content-type", content_type);
  if (!read_head(*answer, response) || !read_body(*answer, response)) return std::nullopt;
  return response;
}

std::optional<wire::HttpResponse> response_v1(const std::string& text, std::string_view content_type) {
  const auto answer = parsed(text);
  if (!answer || !answer->is_object()) return std::nullopt;
  wire::HttpResponse response;
  response.headers.set("content-type", content_type);
  if (!read_status(answer->find("statusCode"), response) || !read_headers(answer->find("headers"), response) ||
      !read_body(*answer, response))
    return std::nullopt;
  if (const Json* multiple = answer->find("multiValueHeaders"); multiple && multiple->is_object()) {
    for (const auto& [name, values] : multiple->as_object()) {
      if (!values.is_array()) return std::nullopt;
      response.headers.remove(name);
      for (const Json& value : values.as_array()) response.headers.add(name, text_of(value));
    }
  }
  return response;
}

bool is_preflight(const wire::HttpRequest& request) {
  return request.method == "OPTIONS" && request.headers.has("access-control-request-method");
}

void drop_cors(wire::HttpResponse& response) {
  std::erase_if(response.headers.fields(),
                [](const auto& field) { return lower(field.first).starts_with("access-control-"); });
}

void add_cors(const CorsRecord& cors, const wire::HttpRequest& request, wire::HttpResponse& response) {
  const std::string_view origin = request.headers.get("origin");
  const bool any = std::ranges::find(cors.origins, "*") != cors.origins.end();
  const bool allowed =
      any || std::ranges::any_of(cors.origins, [&](const std::string& one) { return matches_wildcard(one, origin); });
  if (origin.empty() || !allowed) return;
  const bool to_all = any && !cors.credentials;
  response.headers.add("access-control-allow-origin", to_all ? "*" : origin);
  if (!to_all) response.headers.add("vary", "Origin");
  if (cors.credentials) response.headers.add("access-control-allow-credentials", "true");
  if (!cors.expose.empty()) response.headers.add("access-control-expose-headers", join(cors.expose, ","));
  if (!is_preflight(request)) return;
  if (!cors.methods.empty()) response.headers.add("access-control-allow-methods", join(cors.methods, ","));
  if (!cors.headers.empty()) response.headers.add("access-control-allow-headers", join(cors.headers, ","));
  if (cors.max_age) response.headers.add("access-control-max-age", cat(*cors.max_age));
}

std::string address_below(const Ctx& ctx, std::string_view name) {
  const size_t scheme_end = ctx.base_url.find("://");
  const std::string scheme = scheme_end == std::string::npos ? "http" : ctx.base_url.substr(0, scheme_end);
  std::string host = scheme_end == std::string::npos ? "localhost" : ctx.base_url.substr(scheme_end + 3);
  const auto [address, port] = split_once(host, ':');
  if (address.find_first_not_of("0123456789.") == address.npos) host = cat("localhost", port.empty() ? "" : ":", port);
  return cat(scheme, "://", name, ".", host);
}

}  // namespace virga::kernel
