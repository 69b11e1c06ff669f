#include "services/cloudformation/resources/openapi.h"

#include "base/str.h"
#include "services/cloudformation/intrinsics.h"
#include "services/cloudformation/refusal.h"

namespace virga::cloudformation {

namespace {

constexpr std::string_view kAny = "x-amazon-apigateway-any-method";

std::string capital(std::string_view name) {
  std::string out(name);
  if (!out.empty()) out[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(out[0])));
  return out;
}
Json capitals(const Json& object) {
  Json out = Json::object();
  for (const auto& [key, value] : object.as_object()) out[capital(key)] = value;
  return out;
}

// A function's ARN out of "arn:aws:apigateway:<region>:lambda:path/2015-03-31/functions/<arn>/invocations".
std::string function_arn(const std::string& uri) {
  const size_t start = uri.find("/functions/"), end = uri.rfind("/invocations");
  if (start == std::string::npos || end == std::string::npos || end < start) return uri;
  return uri.substr(start + 11, end - start - 11);
}

Json integration_of(const std::string& key, const Json& given) {
  const std::string type = upper(given.string_or("type"));
  if (type != "AWS_PROXY" && type != "HTTP_PROXY")
    throw not_served(cat("An integration of type ", given.string_or("type"), " (route ", key, ") of an HTTP API"));
  Json out = Json::object({{"IntegrationType", type}});
  const std::string uri = given.string_or("uri");
  if (type == "AWS_PROXY" && given.string_or("integrationSubtype").empty()) {
    out["IntegrationUri"] = function_arn(uri);
    out["IntegrationMethod"] = "POST";
  } else {
    if (!uri.empty()) out["IntegrationUri"] = uri;
    if (const Json* method = given.find("httpMethod")) out["IntegrationMethod"] = *method;
    if (const Json* subtype = given.find("integrationSubtype")) out["IntegrationSubtype"] = *subtype;
  }
  out["PayloadFormatVersion"] = given.string_or("payloadFormatVersion", type == "AWS_PROXY" ? "2.0" : "1.0");
  for (const auto& [from, to] : {std::pair{"timeoutInMillis", "TimeoutInMillis"},
                                 {"connectionType", "ConnectionType"},
                                 {"connectionId", "ConnectionId"},
                                 {"credentials", "CredentialsArn"},
                                 {"requestParameters", "RequestParameters"},
                                 {"responseParameters", "ResponseParameters"},
                                 {"description", "Description"}}) {
    if (const Json* value = given.find(from)) out[to] = *value;
  }
  return out;
}

void read_security(const Json& operation, OpenApiRoute& route, const std::map<std::string, Json>& schemes) {
  const Json* security = operation.find("security");
  if (!security || !security->is_array()) return;
  for (const Json& one : security->as_array()) {
    if (!one.is_object()) continue;
    for (const auto& [name, scopes] : one.as_object()) {
      if (name == "NONE") return;
      const auto scheme = schemes.find(name);
      const std::string type = scheme == schemes.end() ? "" : scheme->second.string_or("AuthorizerType");
      route.authorizer = name;
      route.settings["AuthorizationType"] = scheme == schemes.end() ? "AWS_IAM" : type == "JWT" ? "JWT" : "CUSTOM";
      if (scheme == schemes.end()) route.authorizer = "AWS_IAM";
      if (type == "JWT" && scopes.is_array() && !scopes.as_array().empty())
        route.settings["AuthorizationScopes"] = scopes;
      return;
    }
  }
}

std::map<std::string, Json> read_schemes(const Json& document) {
  std::map<std::string, Json> out;
  const Json* components = document.find("components");
  const Json* schemes = components ? components->find("securitySchemes") : nullptr;
  if (!schemes || !schemes->is_object()) return out;
  for (const auto& [name, scheme] : schemes->as_object()) {
    const Json* given = scheme.find("x-amazon-apigateway-authorizer");
    if (!given) continue;
    Json a = Json::object();
    if (given->string_or("type") == "jwt") {
      a["AuthorizerType"] = "JWT";
      const Json* source = given->find("identitySource");
      a["IdentitySource"] = source && source->is_array()
                                ? *source
                                : Json(Json::Array{source ? *source : Json("$request.header.Authorization")});
      if (const Json* jwt = given->find("jwtConfiguration")) a["JwtConfiguration"] = capitals(*jwt);
    } else {
      a["AuthorizerType"] = "REQUEST";
      for (const auto& [from, to] : {std::pair{"authorizerUri", "AuthorizerUri"},
                                     {"authorizerPayloadFormatVersion", "AuthorizerPayloadFormatVersion"},
                                     {"authorizerResultTtlInSeconds", "AuthorizerResultTtlInSeconds"},
                                     {"authorizerCredentials", "AuthorizerCredentialsArn"},
                                     {"enableSimpleResponses", "EnableSimpleResponses"}}) {
        if (const Json* value = given->find(from)) a[to] = *value;
      }
      if (const Json* source = given->find("identitySource")) {
        Json list = Json::array();
        if (source->is_array()) {
          list = *source;
        } else {
          for (const std::string_view one : split(scalar_text(*source), ',')) list.push_back(trim(one));
        }
        a["IdentitySource"] = std::move(list);
      }
    }
    out[name] = std::move(a);
  }
  return out;
}

}  // namespace

OpenApi read_openapi(const Json& document) {
  if (!document.is_object()) throw validation_error("The Body of an HTTP API must be an OpenAPI document");
  OpenApi out;
  if (const Json* info = document.find("info")) {
    for (const auto& [from, to] :
         {std::pair{"title", "Name"}, {"description", "Description"}, {"version", "Version"}}) {
      if (const Json* value = info->find(from)) out.api[to] = *value;
    }
  }
  if (const Json* cors = document.find("x-amazon-apigateway-cors"); cors && cors->is_object())
    out.api["CorsConfiguration"] = capitals(*cors);
  if (const Json* endpoint = document.find("x-amazon-apigateway-endpoint-configuration")) {
    if (const Json* off = endpoint->find("disableExecuteApiEndpoint")) out.api["DisableExecuteApiEndpoint"] = *off;
  }
  if (const Json* tags = document.find("tags"); tags && tags->is_array()) {
    for (const Json& tag : tags->as_array()) {
      if (const Json* value = tag.find("x-amazon-apigateway-tag-value")) out.tags[tag.string_or("name")] = *value;
    }
  }
  out.authorizers = read_schemes(document);
  const Json* paths = document.find("paths");
  if (!paths || !paths->is_object()) return out;
  for (const auto& [path, item] : paths->as_object()) {
    if (!item.is_object()) continue;
    for (const auto& [method, operation] : item.as_object()) {
      if (!operation.is_object()) continue;
      const Json* integration = operation.find("x-amazon-apigateway-integration");
      if (!integration || !integration->is_object()) continue;
      OpenApiRoute route;
      const Json* is_default = operation.find("isDefaultRoute");
      const bool takes_all = path == "$default" || path == "/$default" || (is_default && *is_default == Json(true));
      route.key = takes_all ? "$default" : cat(method == kAny ? "ANY" : upper(method), " ", path);
      route.integration = integration_of(route.key, *integration);
      if (const Json* name = operation.find("operationId")) route.settings["OperationName"] = *name;
      read_security(operation, route, out.authorizers);
      out.routes.push_back(std::move(route));
    }
  }
  return out;
}

}  // namespace virga::cloudformation
