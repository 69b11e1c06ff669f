#include "services/apigatewayv2/service.h"

#include <aws/apigatewayv2/model.h>

#include "base/str.h"
#include "services/apigatewayv2/api.h"

namespace virga::apigatewayv2 {
namespace {

// API Gateway's actions are HTTP methods on paths:
// docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagementv2.html
template <class In, class F>
void permit(kernel::OpBuilder<In> builder, const wire::OperationModel& model, F path) {
  builder.action(cat("apigateway:", model.method)).resource([path](const Ctx& ctx, const In& in) {
    return cat("arn:", ctx.partition, ":apigateway:", ctx.region, "::", path(in));
  });
}

}  // namespace

const wire::ServiceModel& ApiGatewayV2Service::model() const { return kModel; }

[[noreturn]] void not_served(std::string_view what) {
  throw err::BadRequestException(cat(what, " is not served by Virga."));
}

void ApiGatewayV2Service::operations(kernel::OpTable& t) {
  using S = ApiGatewayV2Service;
  const auto add = [&]<class Op, class F>(Task<typename Op::Output> (S::*handler)(Ctx&, const typename Op::Input&),
                                          F path) { permit(t.add<Op>(this, handler), Op::model(), path); };
  const auto apis = [](const auto&) { return std::string("/apis"); };
  const auto api = [](const auto& in) { return cat("/apis/", in.api_id); };
  const auto routes = [](const auto& in) { return cat("/apis/", in.api_id, "/routes"); };
  const auto route = [](const auto& in) { return cat("/apis/", in.api_id, "/routes/", in.route_id); };
  const auto integrations = [](const auto& in) { return cat("/apis/", in.api_id, "/integrations"); };
  const auto integration = [](const auto& in) { return cat("/apis/", in.api_id, "/integrations/", in.integration_id); };
  const auto stages = [](const auto& in) { return cat("/apis/", in.api_id, "/stages"); };
  const auto stage = [](const auto& in) { return cat("/apis/", in.api_id, "/stages/", in.stage_name); };
  const auto deployments = [](const auto& in) { return cat("/apis/", in.api_id, "/deployments"); };
  const auto deployment = [](const auto& in) { return cat("/apis/", in.api_id, "/deployments/", in.deployment_id); };
  const auto tags = [](const auto& in) { return cat("/tags/", in.resource_arn); };

  add.template operator()<op::CreateApi>(&S::create_api, apis);
  add.template operator()<op::GetApi>(&S::get_api, api);
  add.template operator()<op::GetApis>(&S::get_apis, apis);
  add.template operator()<op::UpdateApi>(&S::update_api, api);
  add.template operator()<op::DeleteApi>(&S::delete_api, api);
  add.template operator()<op::TagResource>(&S::tag_resource, tags);
  add.template operator()<op::UntagResource>(&S::untag_resource, tags);
  add.template operator()<op::GetTags>(&S::get_tags, tags);

  add.template operator()<op::CreateRoute>(&S::create_route, routes);
  add.template operator()<op::GetRoute>(&S::get_route, route);
  add.template operator()<op::GetRoutes>(&S::get_routes, routes);
  add.template operator()<op::UpdateRoute>(&S::update_route, route);
  add.template operator()<op::DeleteRoute>(&S::delete_route, route);
  add.template operator()<op::CreateIntegration>(&S::create_integration, integrations);
  add.template operator()<op::GetIntegration>(&S::get_integration, integration);
  add.template operator()<op::GetIntegrations>(&S::get_integrations, integrations);
  add.template operator()<op::UpdateIntegration>(&S::update_integration, integration);
  add.template operator()<op::DeleteIntegration>(&S::delete_integration, integration);

  add.template operator()<op::CreateStage>(&S::create_stage, stages);
  add.template operator()<op::GetStage>(&S::get_stage, stage);
  add.template operator()<op::GetStages>(&S::get_stages, stages);
  add.template operator()<op::UpdateStage>(&S::update_stage, stage);
  add.template operator()<op::DeleteStage>(&S::delete_stage, stage);
  add.template operator()<op::CreateDeployment>(&S::create_deployment, deployments);
  add.template operator()<op::GetDeployment>(&S::get_deployment, deployment);
  add.template operator()<op::GetDeployments>(&S::get_deployments, deployments);
  add.template operator()<op::UpdateDeployment>(&S::update_deployment, deployment);
  add.template operator()<op::DeleteDeployment>(&S::delete_deployment, deployment);
}

std::vector<kernel::Endpoint> ApiGatewayV2Service::endpoints() {
  return {{"execute-api", [this](Ctx& ctx, kernel::EndpointRequest& request) { return serve(ctx, request); }}};
}

Task<ApiRecord> ApiGatewayV2Service::load(Ctx& ctx, kv::Reader& reader, std::string id) const {
  auto api = co_await find_api(reader, id);
  if (!api || api->account != ctx.account || api->region != ctx.region) {
    co_return err::NotFoundException(cat("Invalid API identifier specified ", ctx.account, ":", id));
  }
  co_return std::move(*api);
}

void auto_deploy(ApiRecord& api, const std::string& id, Time now) {
  bool wanted = false;
  for (auto& [name, stage] : api.stages) {
    if (!stage.auto_deploy) continue;
    wanted = true;
    const std::string former = std::exchange(stage.deployment, id);
    const auto old = api.deployments.find(former);
    if (old != api.deployments.end() && old->second.automatic) api.deployments.erase(old);
    stage.updated = now;
  }
  if (!wanted) return;
  DeploymentRecord deployment;
  deployment.id = id;
  deployment.description = "Automatic deployment triggered by changes to the Api configuration";
  deployment.created = now;
  deployment.automatic = true;
  deployment.routes = api.routes;
  deployment.integrations = api.integrations;
  api.deployments[id] = std::move(deployment);
}

std::unique_ptr<kernel::Service> make_apigatewayv2(kernel::Deps& deps) {
  return std::make_unique<ApiGatewayV2Service>(deps);
}

}  // namespace virga::apigatewayv2
