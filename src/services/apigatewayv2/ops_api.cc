#include <algorithm>

#include "base/encoding.h"
#include "base/id.h"
#include "base/str.h"
#include "kernel/page.h"
#include "services/apigatewayv2/limits.h"
#include "services/apigatewayv2/routing.h"
#include "services/apigatewayv2/service.h"

namespace virga::apigatewayv2 {
namespace {

kernel::CorsRecord checked_cors(const Cors& cors) {
  kernel::CorsRecord record = kernel::cors_record(cors);
  if (record.credentials && std::ranges::find(record.origins, "*") != record.origins.end())
    throw err::BadRequestException("allowCredentials can not be enabled when allowOrigins contains '*'");
  return record;
}

template <class Out>
Out describe(const Ctx& ctx, const ApiRecord& api) {
  Out out;
  out.api_id = api.id;
  out.api_endpoint = kernel::address_below(ctx, cat(api.id, ".execute-api"));
  out.name = api.name;
  out.protocol_type = ProtocolType::HTTP;
  out.created_date = api.created;
  out.route_selection_expression = "$request.method $request.path";
  out.api_key_selection_expression = "$request.header.x-api-key";
  out.disable_execute_api_endpoint = api.disable_endpoint;
  if (!api.description.empty()) out.description = api.description;
  if (!api.version.empty()) out.version = api.version;
  if (api.cors) out.cors_configuration = kernel::cors_shape<Cors>(*api.cors);
  out.tags = api.tags;
  out.ip_address_type = IpAddressType::ipv4;
  return out;
}

std::string api_of_arn(const std::string& arn) {
  // arn:aws:apigateway:<region>::/apis/<id>[/stages/…]
  const auto parsed = kernel::parse_arn(arn);
  const auto parts = parsed ? split(parsed->resource, '/') : std::vector<std::string_view>();
  if (parts.size() < 3 || parts[1] != "apis") throw err::NotFoundException("Invalid Resource identifier specified");
  return std::string(parts[2]);
}

// The tags of the API itself or of one of its stages.
std::map<std::string, std::string>& tags_of(ApiRecord& api, const std::string& arn) {
  const auto parts = split(kernel::parse_arn(arn)->resource, '/');
  if (parts.size() == 3) return api.tags;
  const auto stage =
      parts.size() == 5 && parts[3] == "stages" ? api.stages.find(std::string(parts[4])) : api.stages.end();
  if (stage == api.stages.end()) throw err::NotFoundException("Invalid Resource identifier specified");
  return stage->second.tags;
}

}  // namespace

Task<op::CreateApi::Output> ApiGatewayV2Service::create_api(Ctx& ctx, const CreateApiRequest& in) {
  if (in.protocol_type == ProtocolType::WEBSOCKET) not_served("protocolType WEBSOCKET");
  if (in.credentials_arn) not_served("credentialsArn");
  if (in.route_key && !in.target) co_return err::BadRequestException("routeKey needs a target");
  ApiRecord api;
  api.id = random_lower_alnum(10);
  api.account = ctx.account;
  api.region = ctx.region;
  api.name = in.name;
  api.description = in.description.value_or("");
  api.version = in.version.value_or("");
  api.created = ctx.now();
  api.disable_endpoint = in.disable_execute_api_endpoint.value_or(false);
  if (in.cors_configuration) api.cors = checked_cors(*in.cors_configuration);
  if (in.tags) api.tags = *in.tags;
  if (in.target) {
    // Quick create: one integration, one route, and a $default stage that deploys by itself.
    if (!in.target->starts_with("arn:")) not_served("An HTTP URL as target");
    const std::string key = in.route_key.value_or("$default");
    if (!valid_route_key(key))
      co_return err::BadRequestException(
          cat("The provided route key is not formatted properly for HTTP protocol. Format should be \"<HTTP METHOD> "
              "/<RESOURCE PATH>\" or \"$default\": ",
              key));
    IntegrationRecord integration;
    integration.id = random_lower_alnum(7);
    integration.uri = *in.target;
    integration.payload_version = "2.0";
    RouteRecord route{random_lower_alnum(7), key, cat("integrations/", integration.id), ""};
    StageRecord stage;
    stage.name = "$default";
    stage.auto_deploy = true;
    stage.created = stage.updated = ctx.now();
    api.integrations[integration.id] = std::move(integration);
    api.routes[route.id] = std::move(route);
    api.stages[stage.name] = std::move(stage);
    auto_deploy(api, random_lower_alnum(6), ctx.now());
  }
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    put_api(tx, api);
    co_return;
  });
  co_return describe<CreateApiResponse>(ctx, api);
}

Task<op::GetApi::Output> ApiGatewayV2Service::get_api(Ctx& ctx, const GetApiRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  co_return describe<op::GetApi::Output>(ctx, co_await load(ctx, *snapshot, in.api_id));
}

Task<op::GetApis::Output> ApiGatewayV2Service::get_apis(Ctx& ctx, const GetApisRequest& in) {
  const auto after = kernel::open_page<std::string>(deps_.tokens, ctx, "apigatewayv2:GetApis", in.next_token,
                                                    err::BadRequestException("Invalid nextToken"));
  const auto most = in.max_results ? parse_int(*in.max_results) : std::nullopt;
  const size_t limit = most && *most > 0 ? std::min<size_t>(static_cast<size_t>(*most), kListPage) : kListPage;
  const auto snapshot = deps_.db.snapshot();
  auto page = co_await list_apis(*snapshot, ctx.account, ctx.region, after.value_or(""), limit + 1);
  op::GetApis::Output out;
  out.items.emplace();
  if (page.size() > limit) {
    page.resize(limit);
    out.next_token = kernel::seal_page(deps_.tokens, ctx, "apigatewayv2:GetApis", page.back().id);
  }
  for (const ApiRecord& api : page) out.items->push_back(describe<Api>(ctx, api));
  co_return out;
}

Task<op::UpdateApi::Output> ApiGatewayV2Service::update_api(Ctx& ctx, const UpdateApiRequest& in) {
  if (in.credentials_arn) not_served("credentialsArn");
  if (in.target || in.route_key) not_served("Changing the target of a quickly created API");
  std::optional<kernel::CorsRecord> cors;
  if (in.cors_configuration) cors = checked_cors(*in.cors_configuration);
  const ApiRecord api = co_await change(ctx, in.api_id, [&](ApiRecord& record) {
    if (in.name) record.name = *in.name;
    if (in.description) record.description = *in.description;
    if (in.version) record.version = *in.version;
    if (in.disable_execute_api_endpoint) record.disable_endpoint = *in.disable_execute_api_endpoint;
    if (cors) record.cors = cors;
  });
  co_return describe<op::UpdateApi::Output>(ctx, api);
}

Task<op::DeleteApi::Output> ApiGatewayV2Service::delete_api(Ctx& ctx, const DeleteApiRequest& in) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::DeleteApi::Output> {
    erase_api(tx, co_await load(ctx, tx, in.api_id));
    co_return op::DeleteApi::Output{};
  });
}

Task<op::TagResource::Output> ApiGatewayV2Service::tag_resource(Ctx& ctx, const TagResourceRequest& in) {
  co_await change(ctx, api_of_arn(in.resource_arn), [&](ApiRecord& api) {
    auto& tags = tags_of(api, in.resource_arn);
    if (!in.tags) return;
    for (const auto& [key, value] : *in.tags) tags[key] = value;
  });
  co_return op::TagResource::Output{};
}

Task<op::UntagResource::Output> ApiGatewayV2Service::untag_resource(Ctx& ctx, const UntagResourceRequest& in) {
  co_await change(ctx, api_of_arn(in.resource_arn), [&](ApiRecord& api) {
    auto& tags = tags_of(api, in.resource_arn);
    for (const std::string& key : in.tag_keys) tags.erase(key);
  });
  co_return op::UntagResource::Output{};
}

Task<op::GetTags::Output> ApiGatewayV2Service::get_tags(Ctx& ctx, const GetTagsRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  ApiRecord api = co_await load(ctx, *snapshot, api_of_arn(in.resource_arn));
  op::GetTags::Output out;
  out.tags = tags_of(api, in.resource_arn);
  co_return out;
}

}  // namespace virga::apigatewayv2
