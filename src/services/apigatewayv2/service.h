#pragma once

#include <aws/apigatewayv2/errors.h>
#include <aws/apigatewayv2/ops.h>
#include <aws/apigatewayv2/types.h>

#include "kernel/context.h"
#include "kernel/deps.h"
#include "kernel/service.h"
#include "services/apigatewayv2/store.h"

namespace virga::apigatewayv2 {

using kernel::Ctx;

class ApiGatewayV2Service final : public kernel::Service {
 public:
  explicit ApiGatewayV2Service(kernel::Deps& deps) : deps_(deps) {}
  const wire::ServiceModel& model() const override;
  void operations(kernel::OpTable& table) override;
  std::vector<kernel::Endpoint> endpoints() override;

 private:
  // ops_api.cc
  Task<op::CreateApi::Output> create_api(Ctx& ctx, const CreateApiRequest& in);
  Task<op::GetApi::Output> get_api(Ctx& ctx, const GetApiRequest& in);
  Task<op::GetApis::Output> get_apis(Ctx& ctx, const GetApisRequest& in);
  Task<op::UpdateApi::Output> update_api(Ctx& ctx, const UpdateApiRequest& in);
  Task<op::DeleteApi::Output> delete_api(Ctx& ctx, const DeleteApiRequest& in);
  Task<op::TagResource::Output> tag_resource(Ctx& ctx, const TagResourceRequest& in);
  Task<op::UntagResource::Output> untag_resource(Ctx& ctx, const UntagResourceRequest& in);
  Task<op::GetTags::Output> get_tags(Ctx& ctx, const GetTagsRequest& in);

  // ops_route.cc
  Task<op::CreateRoute::Output> create_route(Ctx& ctx, const CreateRouteRequest& in);
  Task<op::GetRoute::Output> get_route(Ctx& ctx, const GetRouteRequest& in);
  Task<op::GetRoutes::Output> get_routes(Ctx& ctx, const GetRoutesRequest& in);
  Task<op::UpdateRoute::Output> update_route(Ctx& ctx, const UpdateRouteRequest& in);
  Task<op::DeleteRoute::Output> delete_route(Ctx& ctx, const DeleteRouteRequest& in);
  Task<op::CreateIntegration::Output> create_integration(Ctx& ctx, const CreateIntegrationRequest& in);
  Task<op::GetIntegration::Output> get_integration(Ctx& ctx, const GetIntegrationRequest& in);
  Task<op::GetIntegrations::Output> get_integrations(Ctx& ctx, const GetIntegrationsRequest& in);
  Task<op::UpdateIntegration::Output> update_integration(Ctx& ctx, const UpdateIntegrationRequest& in);
  Task<op::DeleteIntegration::Output> delete_integration(Ctx& ctx, const DeleteIntegrationRequest& in);

  // ops_stage.cc
  Task<op::CreateStage::Output> create_stage(Ctx& ctx, const CreateStageRequest& in);
  Task<op::GetStage::Output> get_stage(Ctx& ctx, const GetStageRequest& in);
  Task<op::GetStages::Output> get_stages(Ctx& ctx, const GetStagesRequest& in);
  Task<op::UpdateStage::Output> update_stage(Ctx& ctx, const UpdateStageRequest& in);
  Task<op::DeleteStage::Output> delete_stage(Ctx& ctx, const DeleteStageRequest& in);
  Task<op::CreateDeployment::Output> create_deployment(Ctx& ctx, const CreateDeploymentRequest& in);
  Task<op::GetDeployment::Output> get_deployment(Ctx& ctx, const GetDeploymentRequest& in);
  Task<op::GetDeployments::Output> get_deployments(Ctx& ctx, const GetDeploymentsRequest& in);
  Task<op::UpdateDeployment::Output> update_deployment(Ctx& ctx, const UpdateDeploymentRequest& in);
  Task<op::DeleteDeployment::Output> delete_deployment(Ctx& ctx, const DeleteDeploymentRequest& in);

  // serve.cc
  Task<wire::HttpResponse> serve(Ctx& ctx, kernel::EndpointRequest& request);

  // The caller's API, or NotFoundException. Another account's is not there.
  Task<ApiRecord> load(Ctx& ctx, kv::Reader& reader, std::string id) const;
  // Loads, changes, deploys auto-deployed stages when routes or integrations changed, and stores.
  template <class F>
  Task<ApiRecord> change(Ctx& ctx, std::string id, F f);

  kernel::Deps& deps_;
};

// A new deployment of what the API has now, for every auto-deployed stage; `id` names it.
void auto_deploy(ApiRecord& api, const std::string& id, Time now);
[[noreturn]] void not_served(std::string_view what);

template <class F>
Task<ApiRecord> ApiGatewayV2Service::change(Ctx& ctx, std::string id, F f) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<ApiRecord> {
    ApiRecord api = co_await load(ctx, tx, id);
    f(api);
    put_api(tx, api);
    co_return api;
  });
}

}  // namespace virga::apigatewayv2
