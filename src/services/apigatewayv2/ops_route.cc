#include "base/id.h"
#include "base/str.h"
#include "services/apigatewayv2/limits.h"
#include "services/apigatewayv2/routing.h"
#include "services/apigatewayv2/service.h"

namespace virga::apigatewayv2 {
namespace {

Error no_route(const std::string& id) { return err::NotFoundException(cat("Invalid Route identifier specified ", id)); }
Error no_integration(const std::string& id) {
  return err::NotFoundException(cat("Invalid Integration identifier specified ", id));
}

template <class Out>
Out describe(const RouteRecord& route) {
  Out out;
  out.route_id = route.id;
  out.route_key = route.key;
  if (!route.target.empty()) out.target = route.target;
  if (!route.operation_name.empty()) out.operation_name = route.operation_name;
  out.api_key_required = false;
  out.authorization_type = AuthorizationType::NONE;
  return out;
}

template <class Out>
Out describe(const IntegrationRecord& integration) {
  Out out;
  out.integration_id = integration.id;
  out.integration_type = IntegrationType::AWS_PROXY;
  out.integration_uri = integration.uri;
  out.integration_method = integration.method;
  out.connection_type = ConnectionType::INTERNET;
  out.payload_format_version = integration.payload_version;
  out.timeout_in_millis = integration.timeout;
  if (!integration.description.empty()) out.description = integration.description;
  return out;
}

template <class In>
void check_route(const In& in) {
  if (in.authorization_type && *in.authorization_type != AuthorizationType::NONE) {
    not_served(cat("authorizationType ", to_string(*in.authorization_type)));
  }
  if (in.authorizer_id) not_served("authorizerId");
  if (in.request_parameters && !in.request_parameters->empty()) not_served("requestParameters of a route");
}

void check_key(const ApiRecord& api, const std::string& key, const std::string& own_id) {
  if (!valid_route_key(key)) {
    throw err::BadRequestException(
        "The provided route key is not formatted properly for HTTP protocol. Format should be \"<HTTP METHOD> "
        "/<RESOURCE PATH>\" or \"$default\"");
  }
  for (const auto& [id, other] : api.routes) {
    if (id != own_id && other.key == key)
      throw err::ConflictException(cat("Route with key ", key, " already exists for this API"));
  }
}

void check_target(const ApiRecord& api, const std::string& target) {
  if (!target.starts_with("integrations/"))
    throw err::BadRequestException(cat("Invalid target ", target, ": it is not integrations/<id>"));
  if (!api.integrations.contains(target.substr(13))) throw no_integration(target.substr(13));
}

template <class In>
void apply(IntegrationRecord& record, const In& in) {
  if (in.connection_type && *in.connection_type == ConnectionType::VPC_LINK) not_served("connectionType VPC_LINK");
  if (in.integration_subtype) not_served(cat("integrationSubtype ", *in.integration_subtype));
  if (in.credentials_arn) not_served("credentialsArn");
  if (in.request_parameters && !in.request_parameters->empty()) not_served("requestParameters");
  if (in.response_parameters && !in.response_parameters->empty()) not_served("responseParameters");
  if (in.tls_config) not_served("tlsConfig");
  if (in.integration_uri) record.uri = *in.integration_uri;
  if (in.integration_method) record.method = *in.integration_method;
  if (in.description) record.description = *in.description;
  if (in.payload_format_version) record.payload_version = *in.payload_format_version;
  if (in.timeout_in_millis) record.timeout = *in.timeout_in_millis;
  if (record.uri.find(":lambda:") == std::string::npos) {
    throw err::BadRequestException(
        cat("For the AWS_PROXY integration the integrationUri must be the ARN of a Lambda function, not '", record.uri,
            "'"));
  }
  if (record.payload_version != "1.0" && record.payload_version != "2.0") {
    throw err::BadRequestException(
        "PayloadFormatVersion is a required parameter for integration and is \"1.0\" or \"2.0\"");
  }
}

}  // namespace

Task<op::CreateRoute::Output> ApiGatewayV2Service::create_route(Ctx& ctx, const CreateRouteRequest& in) {
  check_route(in);
  RouteRecord route{random_lower_alnum(7), in.route_key, in.target.value_or(""), in.operation_name.value_or("")};
  const std::string deployment = random_lower_alnum(6);
  co_await change(ctx, in.api_id, [&](ApiRecord& api) {
    if (api.routes.size() >= kMaxRoutes)
      throw err::BadRequestException("Maximum number of routes for this API has been reached");
    check_key(api, route.key, route.id);
    if (in.target) check_target(api, route.target);
    api.routes[route.id] = route;
    auto_deploy(api, deployment, ctx.now());
  });
  co_return describe<op::CreateRoute::Output>(route);
}

Task<op::GetRoute::Output> ApiGatewayV2Service::get_route(Ctx& ctx, const GetRouteRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const ApiRecord api = co_await load(ctx, *snapshot, in.api_id);
  const auto route = api.routes.find(in.route_id);
  if (route == api.routes.end()) co_return no_route(in.route_id);
  co_return describe<op::GetRoute::Output>(route->second);
}

Task<op::GetRoutes::Output> ApiGatewayV2Service::get_routes(Ctx& ctx, const GetRoutesRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const ApiRecord api = co_await load(ctx, *snapshot, in.api_id);
  op::GetRoutes::Output out;
  out.items.emplace();
  for (const auto& [id, route] : api.routes) out.items->push_back(describe<Route>(route));
  co_return out;
}

Task<op::UpdateRoute::Output> ApiGatewayV2Service::update_route(Ctx& ctx, const UpdateRouteRequest& in) {
  check_route(in);
  const std::string deployment = random_lower_alnum(6);
  const ApiRecord api = co_await change(ctx, in.api_id, [&](ApiRecord& record) {
    const auto route = record.routes.find(in.route_id);
    if (route == record.routes.end()) throw no_route(in.route_id);
    if (in.route_key) check_key(record, *in.route_key, in.route_id), route->second.key = *in.route_key;
    if (in.target) check_target(record, *in.target), route->second.target = *in.target;
    if (in.operation_name) route->second.operation_name = *in.operation_name;
    auto_deploy(record, deployment, ctx.now());
  });
  co_return describe<op::UpdateRoute::Output>(api.routes.at(in.route_id));
}

Task<op::DeleteRoute::Output> ApiGatewayV2Service::delete_route(Ctx& ctx, const DeleteRouteRequest& in) {
  const std::string deployment = random_lower_alnum(6);
  co_await change(ctx, in.api_id, [&](ApiRecord& api) {
    if (!api.routes.erase(in.route_id)) throw no_route(in.route_id);
    auto_deploy(api, deployment, ctx.now());
  });
  co_return op::DeleteRoute::Output{};
}

Task<op::CreateIntegration::Output> ApiGatewayV2Service::create_integration(Ctx& ctx,
                                                                            const CreateIntegrationRequest& in) {
  if (in.integration_type != IntegrationType::AWS_PROXY)
    not_served(cat("integrationType ", to_string(in.integration_type)));
  IntegrationRecord integration;
  integration.id = random_lower_alnum(7);
  integration.payload_version.clear();
  apply(integration, in);
  const std::string deployment = random_lower_alnum(6);
  co_await change(ctx, in.api_id, [&](ApiRecord& api) {
    if (api.integrations.size() >= kMaxIntegrations)
      throw err::BadRequestException("Maximum number of integrations for this API has been reached");
    api.integrations[integration.id] = integration;
    auto_deploy(api, deployment, ctx.now());
  });
  co_return describe<op::CreateIntegration::Output>(integration);
}

Task<op::GetIntegration::Output> ApiGatewayV2Service::get_integration(Ctx& ctx, const GetIntegrationRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const ApiRecord api = co_await load(ctx, *snapshot, in.api_id);
  const auto integration = api.integrations.find(in.integration_id);
  if (integration == api.integrations.end()) co_return no_integration(in.integration_id);
  co_return describe<op::GetIntegration::Output>(integration->second);
}

Task<op::GetIntegrations::Output> ApiGatewayV2Service::get_integrations(Ctx& ctx, const GetIntegrationsRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const ApiRecord api = co_await load(ctx, *snapshot, in.api_id);
  op::GetIntegrations::Output out;
  out.items.emplace();
  for (const auto& [id, integration] : api.integrations) out.items->push_back(describe<Integration>(integration));
  co_return out;
}

Task<op::UpdateIntegration::Output> ApiGatewayV2Service::update_integration(Ctx& ctx,
                                                                            const UpdateIntegrationRequest& in) {
  if (in.integration_type && *in.integration_type != IntegrationType::AWS_PROXY)
    not_served(cat("integrationType ", to_string(*in.integration_type)));
  const std::string deployment = random_lower_alnum(6);
  const ApiRecord api = co_await change(ctx, in.api_id, [&](ApiRecord& record) {
    const auto integration = record.integrations.find(in.integration_id);
    if (integration == record.integrations.end()) throw no_integration(in.integration_id);
    apply(integration->second, in);
    auto_deploy(record, deployment, ctx.now());
  });
  co_return describe<op::UpdateIntegration::Output>(api.integrations.at(in.integration_id));
}

Task<op::DeleteIntegration::Output> ApiGatewayV2Service::delete_integration(Ctx& ctx,
                                                                            const DeleteIntegrationRequest& in) {
  const std::string deployment = random_lower_alnum(6);
  co_await change(ctx, in.api_id, [&](ApiRecord& api) {
    for (const auto& [id, route] : api.routes) {
      if (route.target == cat("integrations/", in.integration_id)) {
        throw err::ConflictException(
            cat("Cannot delete Integration '", in.integration_id, "' because it is referenced by a Route"));
      }
    }
    if (!api.integrations.erase(in.integration_id)) throw no_integration(in.integration_id);
    auto_deploy(api, deployment, ctx.now());
  });
  co_return op::DeleteIntegration::Output{};
}

}  // namespace virga::apigatewayv2
