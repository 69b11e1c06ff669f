#include "services/lambda/service.h"

#include <aws/lambda/errors.h>
#include <aws/lambda/model.h>

#include "base/log.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/lambda/limits.h"
#include "services/lambda/resources.h"

namespace virga::lambda {
namespace {

// A base64 archive and the JSON around it.
constexpr uint64_t kCodeBody = 70'167'211;

template <class In>
std::string by_layer(const Ctx& ctx, const In& in) {
  return layer_arn(ctx, layer_id(ctx, in.layer_name));
}
template <class In>
std::string by_layer_version(const Ctx& ctx, const In& in) {
  return cat(layer_arn(ctx, layer_id(ctx, in.layer_name)), ":", in.version_number);
}

}  // namespace

LambdaService::LambdaService(kernel::Deps& deps, sandbox::Sandboxes& sandboxes, Options options)
    : deps_(deps),
      sandboxes_(sandboxes),
      concurrency_(options.concurrency),
      code_storage_(options.code_storage),
      snapshot_life_(options.snapshot_life),
      catalog_(deps.db),
      code_(cat(deps.data_directory, "/lambda/code"), deps.blobs, options.image_bytes),
      invoker_(deps, sandboxes, code_, options),
      executions_(deps, *this),
      mappings_(deps, *this) {
  // An event for a function's ARN is an asynchronous invocation, by whoever delivers it.
  deps_.cloud.accept("lambda", [this](Ctx& ctx, const kernel::Arn& target, kernel::TargetInput input) {
    return take_event(ctx, target, std::move(input));
  });
  serve_async();
  executions_.serve();
}

const wire::ServiceModel& LambdaService::model() const { return kModel; }

void LambdaService::operations(kernel::OpTable& t) {
  using S = LambdaService;
  t.add<op::CreateFunction>(this, &S::create_function)
      .resource(by_function<CreateFunctionRequest>)
      .body_limit(kCodeBody);
  t.add<op::GetFunction>(this, &S::get_function).resource(by_function<GetFunctionRequest>);
  t.add<op::GetFunctionConfiguration>(this, &S::get_function_configuration)
      .resource(by_function<GetFunctionConfigurationRequest>);
  t.add<op::ListFunctions>(this, &S::list_functions);
  t.add<op::UpdateFunctionCode>(this, &S::update_function_code)
      .resource(by_function<UpdateFunctionCodeRequest>)
      .body_limit(kCodeBody);
  t.add<op::UpdateFunctionConfiguration>(this, &S::update_function_configuration)
      .resource(by_function<UpdateFunctionConfigurationRequest>);
  t.add<op::DeleteFunction>(this, &S::delete_function).resource(by_function<DeleteFunctionRequest>);

  t.add<op::PutFunctionEventInvokeConfig>(this, &S::put_function_event_invoke_config)
      .resource(by_function<PutFunctionEventInvokeConfigRequest>);
  t.add<op::UpdateFunctionEventInvokeConfig>(this, &S::update_function_event_invoke_config)
      .resource(by_function<UpdateFunctionEventInvokeConfigRequest>);
  t.add<op::GetFunctionEventInvokeConfig>(this, &S::get_function_event_invoke_config)
      .resource(by_function<GetFunctionEventInvokeConfigRequest>);
  t.add<op::DeleteFunctionEventInvokeConfig>(this, &S::delete_function_event_invoke_config)
      .resource(by_function<DeleteFunctionEventInvokeConfigRequest>);
  t.add<op::ListFunctionEventInvokeConfigs>(this, &S::list_function_event_invoke_configs)
      .resource(by_function<ListFunctionEventInvokeConfigsRequest>);
  t.add<op::PutFunctionRecursionConfig>(this, &S::put_function_recursion_config)
      .resource(by_function<PutFunctionRecursionConfigRequest>);
  t.add<op::GetFunctionRecursionConfig>(this, &S::get_function_recursion_config)
      .resource(by_function<GetFunctionRecursionConfigRequest>);

  t.add<op::GetAccountSettings>(this, &S::get_account_settings);
  t.add<op::PutFunctionConcurrency>(this, &S::put_function_concurrency)
      .resource(by_function<PutFunctionConcurrencyRequest>);
  t.add<op::GetFunctionConcurrency>(this, &S::get_function_concurrency)
      .resource(by_function<GetFunctionConcurrencyRequest>);
  t.add<op::DeleteFunctionConcurrency>(this, &S::delete_function_concurrency)
      .resource(by_function<DeleteFunctionConcurrencyRequest>);
  t.add<op::TagResource>(this, &S::tag_resource).resource(by_resource<TagResourceRequest>);
  t.add<op::UntagResource>(this, &S::untag_resource).resource(by_resource<UntagResourceRequest>);
  t.add<op::ListTags>(this, &S::list_tags).resource(by_resource<ListTagsRequest>);

  t.add<op::PublishVersion>(this, &S::publish_version).resource(by_function<PublishVersionRequest>);
  t.add<op::ListVersionsByFunction>(this, &S::list_versions_by_function)
      .resource(by_function<ListVersionsByFunctionRequest>);
  t.add<op::CreateAlias>(this, &S::create_alias).resource(by_function<CreateAliasRequest>);
  t.add<op::GetAlias>(this, &S::get_alias).resource(by_function<GetAliasRequest>);
  t.add<op::UpdateAlias>(this, &S::update_alias).resource(by_function<UpdateAliasRequest>);
  t.add<op::DeleteAlias>(this, &S::delete_alias).resource(by_function<DeleteAliasRequest>);
  t.add<op::ListAliases>(this, &S::list_aliases).resource(by_function<ListAliasesRequest>);

  t.add<op::AddPermission>(this, &S::add_permission).resource(by_function<AddPermissionRequest>);
  t.add<op::RemovePermission>(this, &S::remove_permission).resource(by_function<RemovePermissionRequest>);
  t.add<op::GetPolicy>(this, &S::get_policy).resource(by_function<GetPolicyRequest>);

  t.add<op::PublishLayerVersion>(this, &S::publish_layer_version)
      .resource(by_layer<PublishLayerVersionRequest>)
      .body_limit(kCodeBody);
  t.add<op::GetLayerVersion>(this, &S::get_layer_version).resource(by_layer_version<GetLayerVersionRequest>).guarded();
  t.add<op::GetLayerVersionByArn>(this, &S::get_layer_version_by_arn)
      .action("lambda:GetLayerVersion")
      .resource([](const Ctx& ctx, const GetLayerVersionByArnRequest& in) {
        const auto id = parse_layer_arn(in.arn);
        return id ? cat(layer_arn(ctx, *id), ":", id->version) : in.arn;
      })
      .guarded();
  t.add<op::ListLayerVersions>(this, &S::list_layer_versions);
  t.add<op::ListLayers>(this, &S::list_layers);
  t.add<op::DeleteLayerVersion>(this, &S::delete_layer_version).resource(by_layer_version<DeleteLayerVersionRequest>);
  t.add<op::AddLayerVersionPermission>(this, &S::add_layer_version_permission)
      .resource(by_layer_version<AddLayerVersionPermissionRequest>);
  t.add<op::RemoveLayerVersionPermission>(this, &S::remove_layer_version_permission)
      .resource(by_layer_version<RemoveLayerVersionPermissionRequest>);
  t.add<op::GetLayerVersionPolicy>(this, &S::get_layer_version_policy)
      .resource(by_layer_version<GetLayerVersionPolicyRequest>);

  const auto mapping = [](const Ctx& ctx, const auto& in) {
    return in.uuid.starts_with("arn:") ? in.uuid : kernel::arn(ctx, "lambda", cat("event-source-mapping:", in.uuid));
  };
  t.add<op::CreateEventSourceMapping>(this, &S::create_event_source_mapping);
  t.add<op::GetEventSourceMapping>(this, &S::get_event_source_mapping).resource(mapping);
  t.add<op::UpdateEventSourceMapping>(this, &S::update_event_source_mapping).resource(mapping);
  t.add<op::DeleteEventSourceMapping>(this, &S::delete_event_source_mapping).resource(mapping);
  t.add<op::ListEventSourceMappings>(this, &S::list_event_source_mappings);

  t.add<op::Invoke>(this, &S::invoke)
      .action("lambda:InvokeFunction")
      .resource(by_qualified<InvocationRequest>)
      .guarded()
      .data_plane();
  t.add<op::InvokeAsync>(this, &S::invoke_async).resource(by_function<InvokeAsyncRequest>).guarded().data_plane();
  url_operations(t);
  capacity_operations(t);
  provisioned_operations(t);
  management_operations(t);
  executions_.operations(t);
}

std::vector<kernel::Endpoint> LambdaService::endpoints() {
  return {{"lambda-code", [this](Ctx& ctx, kernel::EndpointRequest& request) { return download(ctx, request); }},
          {"lambda-url", [this](Ctx& ctx, kernel::EndpointRequest& request) { return serve_url(ctx, request); }}};
}

// Tells the sandbox which runtimes there are functions of, and drops unpacked code that nothing uses any more.
Task<void> LambdaService::start() {
  const auto snapshot = deps_.db.snapshot();
  std::set<std::string> used;
  std::set<std::pair<std::string, uint32_t>> runtimes;
  std::vector<Snapshots::Of> snapshots;
  const kv::Range versions = kv::prefix_range(kv::KeyWriter("lambda").raw("v").take());
  for (const kv::Entry& entry : co_await snapshot->scan(versions)) {
    const auto record = kv::decode<VersionRecord>(entry.value);
    runtimes.emplace(prepared_runtime(record), static_cast<uint32_t>(record.memory));
    used.insert(record.code_sha256);
    for (const LayerUse& layer : record.layers) used.insert(layer.sha256);
    if (is_snapshot(record))
      snapshots.push_back({owner_of(entry.key), std::make_shared<const VersionRecord>(record), ""});
  }
  for (const auto& [runtime, memory] : runtimes) sandboxes_.expect(runtime, memory);
  co_await code_.keep_only(std::move(used), std::chrono::seconds(0));
  co_await restore_provisioned();
  restore_snapshots(std::move(snapshots));
  co_await restore_fleets();
  schedule_sweep();
  schedule_give_up();
  co_await mappings_.start();
}

Task<void> LambdaService::stop() {
  co_await mappings_.stop();
  co_await invoker_.stop();
}

Task<std::optional<double>> provisioned_use(kernel::Service& lambda, std::string account, std::string region,
                                            std::string function, std::string qualifier) {
  return static_cast<LambdaService&>(lambda).provisioned_use(
      {std::move(account), std::move(region), std::move(function), std::move(qualifier)});
}

std::unique_ptr<kernel::Service> make_lambda(kernel::Deps& deps, sandbox::Sandboxes& sandboxes, Options options) {
  return std::make_unique<LambdaService>(deps, sandboxes, options);
}

}  // namespace virga::lambda
