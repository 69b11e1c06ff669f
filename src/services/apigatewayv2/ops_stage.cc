#include <algorithm>

#include "base/id.h"
#include "base/str.h"
#include "services/apigatewayv2/limits.h"
#include "services/apigatewayv2/service.h"

namespace virga::apigatewayv2 {
namespace {

Error no_stage() { return err::NotFoundException("Invalid stage identifier specified"); }
Error no_deployment(const std::string& id) {
  return err::NotFoundException(cat("Invalid deployment identifier specified ", id));
}

template <class Out>
Out describe(const StageRecord& stage) {
  Out out;
  out.stage_name = stage.name;
  out.auto_deploy = stage.auto_deploy;
  out.created_date = stage.created;
  out.last_updated_date = stage.updated;
  if (!stage.deployment.empty()) out.deployment_id = stage.deployment;
  if (!stage.description.empty()) out.description = stage.description;
  out.stage_variables = stage.variables;
  out.default_route_settings = RouteSettings{};
  out.default_route_settings->detailed_metrics_enabled = false;
  out.route_settings.emplace();
  out.tags = stage.tags;
  return out;
}

template <class Out>
Out describe(const DeploymentRecord& deployment) {
  Out out;
  out.deployment_id = deployment.id;
  out.auto_deployed = deployment.automatic;
  out.created_date = deployment.created;
  out.deployment_status = DeploymentStatus::DEPLOYED;
  if (!deployment.description.empty()) out.description = deployment.description;
  return out;
}

bool has_settings(const std::optional<RouteSettings>& settings) {
  return settings && (settings->throttling_burst_limit || settings->throttling_rate_limit ||
                      settings->data_trace_enabled.value_or(false));
}

template <class In>
void apply(StageRecord& stage, const ApiRecord& api, const In& in) {
  if (in.access_log_settings) not_served("accessLogSettings");
  if (in.client_certificate_id) not_served("clientCertificateId");
  if (has_settings(in.default_route_settings)) not_served("Throttling and tracing in defaultRouteSettings");
  if (in.route_settings && !in.route_settings->empty()) not_served("routeSettings");
  if (in.description) stage.description = *in.description;
  if (in.stage_variables) stage.variables = *in.stage_variables;
  if (in.auto_deploy) stage.auto_deploy = *in.auto_deploy;
  if (in.deployment_id) {
    if (stage.auto_deploy)
      throw err::BadRequestException("Deployment ID cannot be set on stages with AutoDeploy enabled");
    if (!api.deployments.contains(*in.deployment_id)) throw no_deployment(*in.deployment_id);
    stage.deployment = *in.deployment_id;
  }
}

bool valid_stage_name(const std::string& name) {
  const auto fine = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return name == "$default" || (!name.empty() && name.size() <= 128 && std::ranges::all_of(name, fine));
}

}  // namespace

Task<op::CreateStage::Output> ApiGatewayV2Service::create_stage(Ctx& ctx, const CreateStageRequest& in) {
  if (!valid_stage_name(in.stage_name))
    co_return err::BadRequestException("Stage name only allows a-zA-Z0-9_- and $default");
  const std::string deployment = random_lower_alnum(6);
  const ApiRecord api = co_await change(ctx, in.api_id, [&](ApiRecord& record) {
    if (record.stages.contains(in.stage_name)) throw err::ConflictException("Stage already exists");
    if (record.stages.size() >= kMaxStages)
      throw err::BadRequestException("Maximum number of stages for this API has been reached");
    StageRecord stage;
    stage.name = in.stage_name;
    stage.created = stage.updated = ctx.now();
    if (in.tags) stage.tags = *in.tags;
    apply(stage, record, in);
    record.stages[stage.name] = stage;
    if (stage.auto_deploy) auto_deploy(record, deployment, ctx.now());
  });
  co_return describe<op::CreateStage::Output>(api.stages.at(in.stage_name));
}

Task<op::GetStage::Output> ApiGatewayV2Service::get_stage(Ctx& ctx, const GetStageRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const ApiRecord api = co_await load(ctx, *snapshot, in.api_id);
  const auto stage = api.stages.find(in.stage_name);
  if (stage == api.stages.end()) co_return no_stage();
  co_return describe<op::GetStage::Output>(stage->second);
}

Task<op::GetStages::Output> ApiGatewayV2Service::get_stages(Ctx& ctx, const GetStagesRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const ApiRecord api = co_await load(ctx, *snapshot, in.api_id);
  op::GetStages::Output out;
  out.items.emplace();
  for (const auto& [name, stage] : api.stages) out.items->push_back(describe<Stage>(stage));
  co_return out;
}

Task<op::UpdateStage::Output> ApiGatewayV2Service::update_stage(Ctx& ctx, const UpdateStageRequest& in) {
  const std::string deployment = random_lower_alnum(6);
  const ApiRecord api = co_await change(ctx, in.api_id, [&](ApiRecord& record) {
    const auto stage = record.stages.find(in.stage_name);
    if (stage == record.stages.end()) throw no_stage();
    const bool was_automatic = stage->second.auto_deploy;
    apply(stage->second, record, in);
    stage->second.updated = ctx.now();
    if (stage->second.auto_deploy && !was_automatic) auto_deploy(record, deployment, ctx.now());
  });
  co_return describe<op::UpdateStage::Output>(api.stages.at(in.stage_name));
}

Task<op::DeleteStage::Output> ApiGatewayV2Service::delete_stage(Ctx& ctx, const DeleteStageRequest& in) {
  co_await change(ctx, in.api_id, [&](ApiRecord& api) {
    if (!api.stages.erase(in.stage_name)) throw no_stage();
  });
  co_return op::DeleteStage::Output{};
}

Task<op::CreateDeployment::Output> ApiGatewayV2Service::create_deployment(Ctx& ctx, const CreateDeploymentRequest& in) {
  DeploymentRecord deployment;
  deployment.id = random_lower_alnum(6);
  deployment.description = in.description.value_or("");
  deployment.created = ctx.now();
  co_await change(ctx, in.api_id, [&](ApiRecord& api) {
    if (api.routes.empty()) throw err::BadRequestException("At least one route is required before deploying the Api.");
    DeploymentRecord made = deployment;
    made.routes = api.routes;
    made.integrations = api.integrations;
    if (in.stage_name) {
      const auto stage = api.stages.find(*in.stage_name);
      if (stage == api.stages.end()) throw no_stage();
      if (stage->second.auto_deploy)
        throw err::BadRequestException("Deployment ID cannot be set on stages with AutoDeploy enabled");
      stage->second.deployment = made.id;
      stage->second.updated = ctx.now();
    }
    api.deployments[made.id] = std::move(made);
  });
  co_return describe<op::CreateDeployment::Output>(deployment);
}

Task<op::GetDeployment::Output> ApiGatewayV2Service::get_deployment(Ctx& ctx, const GetDeploymentRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const ApiRecord api = co_await load(ctx, *snapshot, in.api_id);
  const auto deployment = api.deployments.find(in.deployment_id);
  if (deployment == api.deployments.end()) co_return no_deployment(in.deployment_id);
  co_return describe<op::GetDeployment::Output>(deployment->second);
}

Task<op::GetDeployments::Output> ApiGatewayV2Service::get_deployments(Ctx& ctx, const GetDeploymentsRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const ApiRecord api = co_await load(ctx, *snapshot, in.api_id);
  op::GetDeployments::Output out;
  out.items.emplace();
  for (const auto& [id, deployment] : api.deployments) out.items->push_back(describe<Deployment>(deployment));
  std::ranges::sort(*out.items,
                    [](const Deployment& a, const Deployment& b) { return *b.created_date < *a.created_date; });
  co_return out;
}

Task<op::UpdateDeployment::Output> ApiGatewayV2Service::update_deployment(Ctx& ctx, const UpdateDeploymentRequest& in) {
  const ApiRecord api = co_await change(ctx, in.api_id, [&](ApiRecord& record) {
    const auto deployment = record.deployments.find(in.deployment_id);
    if (deployment == record.deployments.end()) throw no_deployment(in.deployment_id);
    if (in.description) deployment->second.description = *in.description;
  });
  co_return describe<op::UpdateDeployment::Output>(api.deployments.at(in.deployment_id));
}

Task<op::DeleteDeployment::Output> ApiGatewayV2Service::delete_deployment(Ctx& ctx, const DeleteDeploymentRequest& in) {
  co_await change(ctx, in.api_id, [&](ApiRecord& api) {
    for (const auto& [name, stage] : api.stages) {
      if (stage.deployment == in.deployment_id) {
        throw err::BadRequestException("Active stages pointing to this deployment must be moved or deleted");
      }
    }
    if (!api.deployments.erase(in.deployment_id)) throw no_deployment(in.deployment_id);
  });
  co_return op::DeleteDeployment::Output{};
}

}  // namespace virga::apigatewayv2
