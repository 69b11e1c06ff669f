// AWS::ApiGatewayV2::Api (also from an OpenAPI Body), Stage, Route, Integration, Deployment.

#include "base/str.h"
#include "services/cloudformation/intrinsics.h"
#include "services/cloudformation/limits.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/resources/openapi.h"
#include "services/cloudformation/resources/provider.h"
#include "services/cloudformation/template.h"

namespace virga::cloudformation {

namespace {

constexpr std::string_view kApi = "apigatewayv2";
constexpr std::string_view kApiSettings =
    "Name ProtocolType Description Version RouteSelectionExpression ApiKeySelectionExpression "
    "DisableExecuteApiEndpoint DisableSchemaValidation "
    "CorsConfiguration CredentialsArn RouteKey Target IpAddressType";

Json api_id(const Call& call) { return Json::object({{"ApiId", call.physical_id}}); }

Made api_made(const Json& api) {
  const std::string id = api.string_or("ApiId");
  return {id, Json::object({{"ApiEndpoint", api.string_or("ApiEndpoint")}, {"ApiId", id}})};
}

Task<std::optional<OpenApi>> definition_of(Call& call) {
  const Json* body = call.find("Body");
  if (body) co_return read_openapi(*body);
  const Json* at = call.find("BodyS3Location");
  if (!at) co_return std::optional<OpenApi>();
  const std::string text =
      co_await call.object(at->string_or("Bucket"), at->string_or("Key"), at->string_or("Version"), kTemplateUrlMost);
  co_return read_openapi(parse_template(text));
}

Json api_input(const Call& call, const std::optional<OpenApi>& definition) {
  Json input = definition ? definition->api : Json::object();
  const Json own = only(call.properties, kApiSettings);
  for (const auto& [key, value] : own.as_object()) input[key] = value;
  if (!input.find("Name")) input["Name"] = call.logical_id;
  if (!input.find("ProtocolType")) input["ProtocolType"] = "HTTP";
  return input;
}

// Every item of a listing operation, whatever its pages.
Task<std::vector<Json>> list_all(Call& call, std::string operation, Json input) {
  std::vector<Json> out;
  for (;;) {
    const Json page = co_await call.api(std::string(kApi), operation, input);
    if (const Json* items = page.find("Items"))
      out.insert(out.end(), items->as_array().begin(), items->as_array().end());
    const std::string next = page.string_or("NextToken");
    if (next.empty()) co_return std::move(out);
    input["NextToken"] = next;
  }
}

// Makes authorizers the document's; their ids by name.
Task<std::map<std::string, std::string>> set_authorizers(Call& call, const OpenApi& definition) {
  std::map<std::string, std::string> ids;
  if (definition.authorizers.empty()) co_return ids;
  for (const Json& existing : co_await list_all(call, "GetAuthorizers", api_id(call)))
    ids[existing.string_or("Name")] = existing.string_or("AuthorizerId");
  for (const auto& [name, authorizer] : definition.authorizers) {
    Json input = authorizer;
    input["ApiId"] = call.physical_id;
    input["Name"] = name;
    const bool known = ids.contains(name);
    if (known) input["AuthorizerId"] = ids[name];
    const Json out =
        co_await call.api(std::string(kApi), known ? "UpdateAuthorizer" : "CreateAuthorizer", std::move(input));
    ids[name] = out.string_or("AuthorizerId");
  }
  co_return ids;
}

// Makes the API's routes and integrations those of the document. Each route has an integration of its own; a route that
// stays keeps both, so that calls in between are answered by the old or the new.
Task<void> set_routes(Call& call, const OpenApi& definition) {
  const auto authorizers = co_await set_authorizers(call, definition);
  std::map<std::string, Json> existing;
  for (Json& route : co_await list_all(call, "GetRoutes", api_id(call)))
    existing[route.string_or("RouteKey")] = std::move(route);
  const std::string service(kApi);
  for (const OpenApiRoute& route : definition.routes) {
    const auto found = existing.find(route.key);
    const std::string target = found == existing.end() ? "" : found->second.string_or("Target");
    Json integration = route.integration;
    integration["ApiId"] = call.physical_id;
    std::string id = target.starts_with("integrations/") ? target.substr(13) : "";
    if (!id.empty()) {
      integration["IntegrationId"] = id;
      co_await call.api(service, "UpdateIntegration", std::move(integration));
    } else {
      const Json made = co_await call.api(service, "CreateIntegration", std::move(integration));
      id = made.string_or("IntegrationId");
    }
    Json input = route.settings;
    input["ApiId"] = call.physical_id;
    input["RouteKey"] = route.key;
    input["Target"] = cat("integrations/", id);
    if (!route.authorizer.empty() && route.authorizer != "AWS_IAM") {
      const auto authorizer = authorizers.find(route.authorizer);
      if (authorizer == authorizers.end())
        co_await fail(validation_error(cat("Route ", route.key, " names the unknown authorizer ", route.authorizer)));
      input["AuthorizerId"] = authorizer->second;
    }
    if (found != existing.end()) {
      input["RouteId"] = found->second.string_or("RouteId");
      co_await call.api(service, "UpdateRoute", std::move(input));
      existing.erase(found);
    } else {
      co_await call.api(service, "CreateRoute", std::move(input));
    }
  }
  for (const auto& [key, route] : existing) {
    const std::string target = route.string_or("Target");
    co_await call.api_unless("NotFoundException", service, "DeleteRoute",
                             Json::object({{"ApiId", call.physical_id}, {"RouteId", route.string_or("RouteId")}}));
    if (target.starts_with("integrations/"))
      co_await call.api_unless("NotFoundException", service, "DeleteIntegration",
                               Json::object({{"ApiId", call.physical_id}, {"IntegrationId", target.substr(13)}}));
  }
}

// With AWS's own tags, by which a repeated creation finds what it made: an API's id is not ours to choose.
Json api_tags(const Call& call, const std::optional<OpenApi>& definition) {
  Json tags = definition ? definition->tags : Json::object();
  tags["aws:cloudformation:stack-name"] = call.stack_name;
  tags["aws:cloudformation:stack-id"] = call.stack_id;
  tags["aws:cloudformation:logical-id"] = call.logical_id;
  const Json own = call.tag_map();
  for (const auto& [key, value] : own.as_object()) tags[key] = value;
  return tags;
}

Task<std::optional<Json>> find_made(Call& call) {
  for (Json& api : co_await list_all(call, "GetApis", Json::object())) {
    const Json* tags = api.find("Tags");
    if (tags && tags->string_or("aws:cloudformation:stack-id") == call.stack_id &&
        tags->string_or("aws:cloudformation:logical-id") == call.logical_id)
      co_return std::optional<Json>(std::move(api));
  }
  co_return std::optional<Json>();
}

Task<Made> create_api(Call& call) {
  const auto definition = co_await definition_of(call);
  Json input = api_input(call, definition);
  input["Tags"] = api_tags(call, definition);
  Json api;
  if (call.repeated) {
    if (auto made = co_await find_made(call)) api = std::move(*made);
  }
  if (api.is_null()) api = co_await call.api(std::string(kApi), "CreateApi", std::move(input));
  call.created = call.physical_id = api.string_or("ApiId");
  if (definition) co_await set_routes(call, *definition);
  co_return api_made(api);
}

// Makes the tags of an API or stage those given; AWS's own stay.
Task<void> set_tags(Call& call, std::string arn, Json tags) {
  const size_t account = arn.find(call.ctx.account);
  if (account != std::string::npos) arn.erase(account, call.ctx.account.size());
  const Json now = co_await call.api(std::string(kApi), "GetTags", Json::object({{"ResourceArn", arn}}));
  Json gone = Json::array();
  if (const Json* all = now.find("Tags")) {
    if (*all == tags) co_return;
    for (const auto& [key, value] : all->as_object()) {
      if (!tags.find(key)) gone.push_back(key);
    }
  }
  if (!gone.as_array().empty())
    co_await call.api(std::string(kApi), "UntagResource", Json::object({{"ResourceArn", arn}, {"TagKeys", gone}}));
  if (!tags.as_object().empty())
    co_await call.api(std::string(kApi), "TagResource", Json::object({{"ResourceArn", arn}, {"Tags", tags}}));
}

Task<Made> update_api(Call& call) {
  const auto definition = co_await definition_of(call);
  Json input = without(api_input(call, definition), "ProtocolType");
  input["ApiId"] = call.physical_id;
  const Json api = co_await call.api(std::string(kApi), "UpdateApi", std::move(input));
  co_await set_tags(call, kernel::arn(call.ctx, "apigateway", cat("/apis/", call.physical_id)),
                    api_tags(call, definition));
  if (definition) co_await set_routes(call, *definition);
  co_return api_made(api);
}

Task<void> remove_api(Call& call) {
  co_await call.api_unless("NotFoundException", std::string(kApi), "DeleteApi", api_id(call));
}

Json stage_input(const Call& call) {
  Json input = without(call.properties, "Tags AccessPolicyId");
  if (const Json* access = input.find("AccessLogSettings"); access && access->as_object().empty())
    input.erase("AccessLogSettings");
  return input;
}

Task<Made> create_stage(Call& call) {
  Json input = stage_input(call);
  if (Json tags = call.tag_map(); !tags.as_object().empty()) input["Tags"] = std::move(tags);
  co_await call.create("ConflictException", std::string(kApi), "CreateStage", std::move(input));
  co_return Made{call.text("StageName")};
}

Task<Made> update_stage(Call& call) {
  co_await call.api(std::string(kApi), "UpdateStage", stage_input(call));
  if (call.changed("Tags"))
    co_await set_tags(
        call, kernel::arn(call.ctx, "apigateway", cat("/apis/", call.text("ApiId"), "/stages/", call.physical_id)),
        call.tag_map());
  co_return Made{call.physical_id};
}

Task<void> remove_stage(Call& call) {
  co_await call.api_unless("NotFoundException", std::string(kApi), "DeleteStage",
                           Json::object({{"ApiId", call.text("ApiId")}, {"StageName", call.physical_id}}));
}

// Route, Integration, Deployment, Authorizer: Create<Kind>, Update<Kind>, Delete<Kind> with ApiId and <Kind>Id.
Task<Made> create_child(Call& call, std::string kind) {
  const Json out = co_await call.api(std::string(kApi), "Create" + kind, call.properties);
  const std::string id = out.string_or(kind + "Id");
  co_return Made{id, Json::object({{kind + "Id", id}})};
}
Task<Made> update_child(Call& call, std::string kind) {
  Json input = call.properties;
  input[kind + "Id"] = call.physical_id;
  co_await call.api(std::string(kApi), "Update" + kind, std::move(input));
  co_return Made{call.physical_id, Json::object({{kind + "Id", call.physical_id}})};
}
Task<void> remove_child(Call& call, std::string kind) {
  co_await call.api_unless("NotFoundException", std::string(kApi), "Delete" + kind,
                           Json::object({{"ApiId", call.text("ApiId")}, {kind + "Id", call.physical_id}}));
}

// The same route key can't be there twice, so a repeated step finds the one it made.
Task<Made> create_route(Call& call) {
  if (call.repeated) {
    const std::string mine = call.physical_id;
    call.physical_id = call.text("ApiId");
    for (const Json& route : co_await list_all(call, "GetRoutes", api_id(call))) {
      if (route.string_or("RouteKey") == call.text("RouteKey"))
        co_return Made{route.string_or("RouteId"), Json::object({{"RouteId", route.string_or("RouteId")}})};
    }
    call.physical_id = mine;
  }
  co_return co_await create_child(call, "Route");
}
Task<Made> update_route(Call& call) { return update_child(call, "Route"); }
Task<void> remove_route(Call& call) { return remove_child(call, "Route"); }
Task<Made> create_integration(Call& call) { return create_child(call, "Integration"); }
Task<Made> update_integration(Call& call) { return update_child(call, "Integration"); }
Task<void> remove_integration(Call& call) { return remove_child(call, "Integration"); }
Task<Made> create_deployment(Call& call) { return create_child(call, "Deployment"); }
Task<Made> update_deployment(Call& call) { return update_child(call, "Deployment"); }
Task<void> remove_deployment(Call& call) { return remove_child(call, "Deployment"); }
Task<Made> create_authorizer(Call& call) { return create_child(call, "Authorizer"); }
Task<Made> update_authorizer(Call& call) { return update_child(call, "Authorizer"); }
Task<void> remove_authorizer(Call& call) { return remove_child(call, "Authorizer"); }

constexpr Provider kProviders[] = {
    {.type = "AWS::ApiGatewayV2::Api",
     .name_property = "",
     .replace_on = "ProtocolType",
     .create = create_api,
     .update = update_api,
     .remove = remove_api},
    {.type = "AWS::ApiGatewayV2::Stage",
     .name_property = "",
     .replace_on = "ApiId StageName",
     .create = create_stage,
     .update = update_stage,
     .remove = remove_stage},
    {.type = "AWS::ApiGatewayV2::Route",
     .name_property = "",
     .replace_on = "ApiId",
     .create = create_route,
     .update = update_route,
     .remove = remove_route},
    {.type = "AWS::ApiGatewayV2::Integration",
     .name_property = "",
     .replace_on = "ApiId",
     .create = create_integration,
     .update = update_integration,
     .remove = remove_integration},
    {.type = "AWS::ApiGatewayV2::Deployment",
     .name_property = "",
     .replace_on = "ApiId StageName",
     .create = create_deployment,
     .update = update_deployment,
     .remove = remove_deployment},
    {.type = "AWS::ApiGatewayV2::Authorizer",
     .name_property = "",
     .replace_on = "ApiId",
     .create = create_authorizer,
     .update = update_authorizer,
     .remove = remove_authorizer},
};

}  // namespace

std::span<const Provider> apigatewayv2_providers() { return kProviders; }

}  // namespace virga::cloudformation
