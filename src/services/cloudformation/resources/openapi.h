// An OpenAPI document with API Gateway's extensions, as the calls that make an HTTP API of it. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace virga::cloudformation {

struct OpenApiRoute {
  std::string key;                 // "GET /entries/{id}", "ANY /x", "$default"
  Json integration;                // of CreateIntegration, without ApiId
  Json settings = Json::object();  // of CreateRoute: AuthorizationType, AuthorizationScopes, OperationName
  std::string authorizer;          // name of a security scheme; empty: none
};

struct OpenApi {
  Json api = Json::object();  // of CreateApi: Name, Description, Version, CorsConfiguration, DisableExecuteApiEndpoint
  Json tags = Json::object();
  std::vector<OpenApiRoute> routes;
  std::map<std::string, Json> authorizers;  // of CreateAuthorizer, without ApiId and Name
};

// Throws validation_error for what is no document or has an integration of an unknown kind.
OpenApi read_openapi(const Json& document);

}  // namespace virga::cloudformation
