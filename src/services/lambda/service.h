#pragma once

#include <aws/lambda/ops.h>
#include <aws/lambda/types.h>

#include <map>
#include <mutex>

#include "kernel/context.h"
#include "kernel/deps.h"
#include "kernel/metric_source.h"
#include "kernel/service.h"
#include "kernel/target_delivery.h"
#include "services/lambda/api.h"
#include "services/lambda/async.h"
#include "services/lambda/catalog.h"
#include "services/lambda/code_cache.h"
#include "services/lambda/durable/executions.h"
#include "services/lambda/esm/engine.h"
#include "services/lambda/invoker.h"
#include "services/lambda/model.h"
#include "services/lambda/refusals.h"
#include "services/lambda/store.h"

namespace virga::lambda {

class LambdaService final : public kernel::Service,
                            public kernel::MetricSource,
                            private esm::Functions,
                            private durable::Functions {
 public:
  LambdaService(kernel::Deps& deps, sandbox::Sandboxes& sandboxes, Options options);
  const wire::ServiceModel& model() const override;
  void operations(kernel::OpTable& table) override;
  std::vector<kernel::Endpoint> endpoints() override;
  Task<void> start() override;
  Task<void> stop() override;
  Task<std::optional<std::string>> resource_policy(Ctx& ctx, std::string resource) override;
  Task<void> give_measured(kernel::KeepMeasured keep) override { return invoker_.give_measured(std::move(keep)); }
  Task<std::optional<double>> provisioned_use(FunctionId id);

 private:
  // ops_function.cc
  Task<FunctionConfiguration> create_function(Ctx& ctx, const CreateFunctionRequest& in);
  Task<GetFunctionResponse> get_function(Ctx& ctx, const GetFunctionRequest& in);
  Task<FunctionConfiguration> get_function_configuration(Ctx& ctx, const GetFunctionConfigurationRequest& in);
  Task<ListFunctionsResponse> list_functions(Ctx& ctx, const ListFunctionsRequest& in);
  Task<FunctionConfiguration> update_function_code(Ctx& ctx, const UpdateFunctionCodeRequest& in);
  Task<FunctionConfiguration> update_function_configuration(Ctx& ctx, const UpdateFunctionConfigurationRequest& in);
  Task<op::DeleteFunction::Output> delete_function(Ctx& ctx, const DeleteFunctionRequest& in);
  Task<void> erase_version(kv::Txn& tx, FunctionId id, VersionRecord record);
  Task<void> erase_function(kv::Txn& tx, FunctionId id);
  Task<void> drained(kv::Txn& tx, Home home, std::string function, uint64_t version) override;

  // ops_account.cc
  Task<GetAccountSettingsResponse> get_account_settings(Ctx& ctx, const GetAccountSettingsRequest& in);
  Task<op::PutFunctionConcurrency::Output> put_function_concurrency(Ctx& ctx, const PutFunctionConcurrencyRequest& in);
  Task<GetFunctionConcurrencyResponse> get_function_concurrency(Ctx& ctx, const GetFunctionConcurrencyRequest& in);
  Task<op::DeleteFunctionConcurrency::Output> delete_function_concurrency(Ctx& ctx,
                                                                          const DeleteFunctionConcurrencyRequest& in);
  Task<op::TagResource::Output> tag_resource(Ctx& ctx, const TagResourceRequest& in);
  Task<op::UntagResource::Output> untag_resource(Ctx& ctx, const UntagResourceRequest& in);
  Task<ListTagsResponse> list_tags(Ctx& ctx, const ListTagsRequest& in);

  // ops_version.cc
  Task<FunctionConfiguration> publish_version(Ctx& ctx, const PublishVersionRequest& in);
  Task<ListVersionsByFunctionResponse> list_versions_by_function(Ctx& ctx, const ListVersionsByFunctionRequest& in);
  Task<AliasConfiguration> create_alias(Ctx& ctx, const CreateAliasRequest& in);
  Task<AliasConfiguration> get_alias(Ctx& ctx, const GetAliasRequest& in);
  Task<AliasConfiguration> update_alias(Ctx& ctx, const UpdateAliasRequest& in);
  Task<op::DeleteAlias::Output> delete_alias(Ctx& ctx, const DeleteAliasRequest& in);
  Task<ListAliasesResponse> list_aliases(Ctx& ctx, const ListAliasesRequest& in);

  // ops_permission.cc
  Task<AddPermissionResponse> add_permission(Ctx& ctx, const AddPermissionRequest& in);
  Task<op::RemovePermission::Output> remove_permission(Ctx& ctx, const RemovePermissionRequest& in);
  Task<GetPolicyResponse> get_policy(Ctx& ctx, const GetPolicyRequest& in);

  // ops_layer.cc
  Task<PublishLayerVersionResponse> publish_layer_version(Ctx& ctx, const PublishLayerVersionRequest& in);
  Task<GetLayerVersionResponse> get_layer_version(Ctx& ctx, const GetLayerVersionRequest& in);
  Task<GetLayerVersionResponse> get_layer_version_by_arn(Ctx& ctx, const GetLayerVersionByArnRequest& in);
  Task<ListLayerVersionsResponse> list_layer_versions(Ctx& ctx, const ListLayerVersionsRequest& in);
  Task<ListLayersResponse> list_layers(Ctx& ctx, const ListLayersRequest& in);
  Task<op::DeleteLayerVersion::Output> delete_layer_version(Ctx& ctx, const DeleteLayerVersionRequest& in);
  Task<AddLayerVersionPermissionResponse> add_layer_version_permission(Ctx& ctx,
                                                                       const AddLayerVersionPermissionRequest& in);
  Task<op::RemoveLayerVersionPermission::Output> remove_layer_version_permission(
      Ctx& ctx, const RemoveLayerVersionPermissionRequest& in);
  Task<GetLayerVersionPolicyResponse> get_layer_version_policy(Ctx& ctx, const GetLayerVersionPolicyRequest& in);

  // ops_invoke.cc
  Task<InvocationResponse> invoke(Ctx& ctx, const InvocationRequest& in);
  Task<InvokeAsyncResponse> invoke_async(Ctx& ctx, const InvokeAsyncRequest& in);
  // `unqualified`: what a function that is not there is told as when no qualifier was given.
  Task<Call> route(Ctx& ctx, const FunctionId& id, std::string_view unqualified = {});
  Task<Call> route_call(Ctx& ctx, const FunctionId& id);
  // The answer of a call that waits for it, whether or not the function is durable.
  Task<Answer> run(Ctx& ctx, Call call);
  Task<Call> find_function(Ctx& ctx, FunctionId id) override;
  Task<Answer> run_function(Ctx& ctx, Call call) override;
  Task<void> trace_function(Ctx& ctx, Call& call, std::string trace) override;
  Task<std::optional<std::string>> policy_of(Ctx& ctx, std::string arn) override {
    return resource_policy(ctx, std::move(arn));
  }

  // ops_async.cc
  void serve_async();
  // What others send to a function's ARN.
  Task<std::string> take_event(Ctx& ctx, kernel::Arn target, kernel::TargetInput input);
  // Accepted when it returns: it will be run, whatever happens to this process.
  Task<void> enqueue_async(Ctx& ctx, FunctionId id, std::string payload, std::string client_context,
                           std::string tenant);
  Task<kernel::Verdict> run_async(kernel::Attempt attempt);
  Task<kernel::Verdict> finish_async(Ctx& ctx, AsyncEvent event, Attempted attempted, std::string_view condition,
                                     FunctionId id, EventInvokeRecord config,
                                     std::shared_ptr<const VersionRecord> version);
  Task<std::vector<kernel::TargetDelivery>> letters_of(kv::Txn& tx, Ctx& ctx, AsyncEvent event, Attempted attempted,
                                                       std::string condition, uint64_t version) override;
  // Gives the call the trace header that its function sees. Fails with RecursiveInvocationException when `trace`, that
  // of the event, has been through the function too often.
  Task<void> follow_trace(const Ctx& ctx, Call& call, std::string_view trace);
  // Fails with InvalidParameterValueException unless events can go there with the function's role.
  Task<void> check_destination(Ctx& ctx, std::string role, std::string destination, bool dead_letter);

  // ops_event_invoke_config.cc
  Task<op::PutFunctionEventInvokeConfig::Output> put_function_event_invoke_config(
      Ctx& ctx, const PutFunctionEventInvokeConfigRequest& in);
  Task<op::UpdateFunctionEventInvokeConfig::Output> update_function_event_invoke_config(
      Ctx& ctx, const UpdateFunctionEventInvokeConfigRequest& in);
  Task<op::GetFunctionEventInvokeConfig::Output> get_function_event_invoke_config(
      Ctx& ctx, const GetFunctionEventInvokeConfigRequest& in);
  Task<op::DeleteFunctionEventInvokeConfig::Output> delete_function_event_invoke_config(
      Ctx& ctx, const DeleteFunctionEventInvokeConfigRequest& in);
  Task<ListFunctionEventInvokeConfigsResponse> list_function_event_invoke_configs(
      Ctx& ctx, const ListFunctionEventInvokeConfigsRequest& in);
  Task<op::PutFunctionRecursionConfig::Output> put_function_recursion_config(
      Ctx& ctx, const PutFunctionRecursionConfigRequest& in);
  Task<op::GetFunctionRecursionConfig::Output> get_function_recursion_config(
      Ctx& ctx, const GetFunctionRecursionConfigRequest& in);
  template <class Out, class In>
  Task<Out> set_event_invoke_config(Ctx& ctx, const In& in, bool whole);
  Task<void> check_destinations(Ctx& ctx, FunctionId id, std::string on_success, std::string on_failure);

  // ops_event_source_mapping.cc
  Task<EventSourceMappingConfiguration> create_event_source_mapping(Ctx& ctx,
                                                                    const CreateEventSourceMappingRequest& in);
  Task<EventSourceMappingConfiguration> get_event_source_mapping(Ctx& ctx, const GetEventSourceMappingRequest& in);
  Task<EventSourceMappingConfiguration> update_event_source_mapping(Ctx& ctx,
                                                                    const UpdateEventSourceMappingRequest& in);
  Task<EventSourceMappingConfiguration> delete_event_source_mapping(Ctx& ctx,
                                                                    const DeleteEventSourceMappingRequest& in);
  Task<ListEventSourceMappingsResponse> list_event_source_mappings(Ctx& ctx, const ListEventSourceMappingsRequest& in);
  Task<void> check_feedable(Ctx& ctx, FunctionId id);
  Task<std::map<std::string, std::string>> check_source(esm::Mapping mapping);
  Task<void> check_queue(esm::Mapping mapping);
  // Sets and removes; gives the tags there are then.
  Task<std::map<std::string, std::string>> change_tags(Ctx& ctx, std::string arn,
                                                       std::map<std::string, std::string> set,
                                                       std::vector<std::string> removed);
  Task<std::map<std::string, std::string>> change_signing_tags(Ctx& ctx, std::string arn,
                                                               std::map<std::string, std::string> set,
                                                               std::vector<std::string> removed);
  Task<std::map<std::string, std::string>> change_mapping_tags(Ctx& ctx, std::string arn,
                                                               std::map<std::string, std::string> set,
                                                               std::vector<std::string> removed);
  Task<esm::Ran> run_for_mapping(esm::Mapping mapping, std::string event, std::string trace) override;
  Task<std::string> role_for_mapping(esm::Mapping mapping) override;
  Task<kernel::Principal> session_for_mapping(esm::Mapping mapping) override;
  Task<kernel::TargetDelivery> letter_for_mapping(esm::Mapping mapping, esm::Discarded discarded) override;
  // ops_stream.cc
  Task<InvokeWithResponseStreamResponse> invoke_with_response_stream(Ctx& ctx,
                                                                     const InvokeWithResponseStreamRequest& in);

  // ops_url.cc
  void url_operations(kernel::OpTable& table);
  Task<CreateFunctionUrlConfigResponse> create_function_url_config(Ctx& ctx, const CreateFunctionUrlConfigRequest& in);
  Task<GetFunctionUrlConfigResponse> get_function_url_config(Ctx& ctx, const GetFunctionUrlConfigRequest& in);
  Task<UpdateFunctionUrlConfigResponse> update_function_url_config(Ctx& ctx, const UpdateFunctionUrlConfigRequest& in);
  Task<op::DeleteFunctionUrlConfig::Output> delete_function_url_config(Ctx& ctx,
                                                                       const DeleteFunctionUrlConfigRequest& in);
  Task<ListFunctionUrlConfigsResponse> list_function_url_configs(Ctx& ctx, const ListFunctionUrlConfigsRequest& in);

  // url_serve.cc
  Task<wire::HttpResponse> serve_url(Ctx& ctx, kernel::EndpointRequest& endpoint);
  Task<wire::HttpResponse> call_url(Ctx& ctx, UrlRecord url, kernel::EndpointRequest& endpoint);
  Task<bool> may_use_url(Ctx& ctx, const UrlRecord& url);

  // ops_provisioned.cc
  void provisioned_operations(kernel::OpTable& table);
  Task<PutProvisionedConcurrencyConfigResponse> put_provisioned_concurrency_config(
      Ctx& ctx, const PutProvisionedConcurrencyConfigRequest& in);
  Task<GetProvisionedConcurrencyConfigResponse> get_provisioned_concurrency_config(
      Ctx& ctx, const GetProvisionedConcurrencyConfigRequest& in);
  Task<op::DeleteProvisionedConcurrencyConfig::Output> delete_provisioned_concurrency_config(
      Ctx& ctx, const DeleteProvisionedConcurrencyConfigRequest& in);
  Task<ListProvisionedConcurrencyConfigsResponse> list_provisioned_concurrency_configs(
      Ctx& ctx, const ListProvisionedConcurrencyConfigsRequest& in);
  Task<void> apply_provisioned(FunctionId id);
  Task<void> restore_provisioned();

  // ops_snapshot.cc
  // Writes a version that is published; one with SnapStart is initialised once that is committed.
  void publish(kv::Txn& tx, WriteStore& store, const FunctionId& id, VersionRecord& version);
  Task<void> initialise(Snapshots::Of of);
  void restore_snapshots(std::vector<Snapshots::Of> all);
  Task<void> give_up_unused();
  void schedule_give_up();
  // Begins to initialise a version that is Inactive.
  Task<void> wake(FunctionId id, uint64_t number);
  static FunctionId owner_of(std::string_view version_key);

  // ops_capacity.cc
  void capacity_operations(kernel::OpTable& table);
  Task<CreateCapacityProviderResponse> create_capacity_provider(Ctx& ctx, const CreateCapacityProviderRequest& in);
  Task<GetCapacityProviderResponse> get_capacity_provider(Ctx& ctx, const GetCapacityProviderRequest& in);
  Task<UpdateCapacityProviderResponse> update_capacity_provider(Ctx& ctx, const UpdateCapacityProviderRequest& in);
  Task<DeleteCapacityProviderResponse> delete_capacity_provider(Ctx& ctx, const DeleteCapacityProviderRequest& in);
  Task<ListCapacityProvidersResponse> list_capacity_providers(Ctx& ctx, const ListCapacityProvidersRequest& in);
  Task<ListFunctionVersionsByCapacityProviderResponse> list_function_versions_by_capacity_provider(
      Ctx& ctx, const ListFunctionVersionsByCapacityProviderRequest& in);
  Task<PutFunctionScalingConfigResponse> put_function_scaling_config(Ctx& ctx,
                                                                     const PutFunctionScalingConfigRequest& in);
  Task<GetFunctionScalingConfigResponse> get_function_scaling_config(Ctx& ctx,
                                                                     const GetFunctionScalingConfigRequest& in);
  // Sets and removes; gives the tags there are then.
  Task<std::map<std::string, std::string>> change_provider_tags(Ctx& ctx, std::string arn,
                                                                std::map<std::string, std::string> set,
                                                                std::vector<std::string> removed);
  // Puts the record on the capacity provider that a request names. Fails unless it exists, the caller may pass it, and
  // such a function can run on it.
  Task<void> put_on_provider(Ctx& ctx, VersionRecord& record, const CapacityProviderConfig& config);
  // Before `next` takes the place of $LATEST.PUBLISHED, whose scaling it keeps.
  Task<void> replace_latest_published(kv::Txn& tx, const Store& store, const FunctionId& id, VersionRecord& next);
  // Makes the fleets of a function those that its published versions ask for.
  Task<void> apply_fleets(FunctionId id);
  Task<void> restore_fleets();

  // ops_management.cc
  // What runs a version here, as an ARN; nothing of an image.
  std::optional<RuntimeVersionConfig> runtime_version(const Ctx& ctx, const VersionRecord& record) const;
  FunctionConfiguration describe_with_runtime(const Ctx& ctx, const FunctionId& id, const VersionRecord& record,
                                              std::string_view qualifier) const;
  void management_operations(kernel::OpTable& table);
  Task<CreateCodeSigningConfigResponse> create_code_signing_config(Ctx& ctx, const CreateCodeSigningConfigRequest& in);
  Task<GetCodeSigningConfigResponse> get_code_signing_config(Ctx& ctx, const GetCodeSigningConfigRequest& in);
  Task<UpdateCodeSigningConfigResponse> update_code_signing_config(Ctx& ctx, const UpdateCodeSigningConfigRequest& in);
  Task<op::DeleteCodeSigningConfig::Output> delete_code_signing_config(Ctx& ctx,
                                                                       const DeleteCodeSigningConfigRequest& in);
  Task<ListCodeSigningConfigsResponse> list_code_signing_configs(Ctx& ctx, const ListCodeSigningConfigsRequest& in);
  Task<ListFunctionsByCodeSigningConfigResponse> list_functions_by_code_signing_config(
      Ctx& ctx, const ListFunctionsByCodeSigningConfigRequest& in);
  Task<PutFunctionCodeSigningConfigResponse> put_function_code_signing_config(
      Ctx& ctx, const PutFunctionCodeSigningConfigRequest& in);
  Task<GetFunctionCodeSigningConfigResponse> get_function_code_signing_config(
      Ctx& ctx, const GetFunctionCodeSigningConfigRequest& in);
  Task<op::DeleteFunctionCodeSigningConfig::Output> delete_function_code_signing_config(
      Ctx& ctx, const DeleteFunctionCodeSigningConfigRequest& in);
  Task<GetRuntimeManagementConfigResponse> get_runtime_management_config(Ctx& ctx,
                                                                         const GetRuntimeManagementConfigRequest& in);
  Task<PutRuntimeManagementConfigResponse> put_runtime_management_config(Ctx& ctx,
                                                                         const PutRuntimeManagementConfigRequest& in);

  // code.cc
  Task<void> sweep_code();
  void schedule_sweep();
  struct Code {
    blob::Ref ref;
    std::string sha256;  // hex
    uint64_t size = 0, unpacked = 0;
    std::optional<ImageRecord> image;
    void put_into(VersionRecord& record) const;
  };
  // An object, or one version of it.
  struct ObjectName {
    std::string bucket, key;
    std::optional<std::string> version;
  };
  // The archive that a request gives or names, checked, unpacked and stored; visible once a transaction keeps its blob.
  Task<Code> take_code(Ctx& ctx, std::optional<Bytes> zip, std::optional<ObjectName> object);
  template <class In>
  Task<Code> take_code(Ctx& ctx, const In& in) {
    if (in.s3_object_storage_mode == S3ObjectStorageMode::REFERENCE) not_served("The S3ObjectStorageMode REFERENCE");
    std::optional<ObjectName> object;
    if (in.s3_bucket && in.s3_key) object = {*in.s3_bucket, *in.s3_key, in.s3_object_version};
    return take_code(ctx, in.zip_file, std::move(object));
  }
  // The same of a container image: s3://bucket/key, which the caller may read.
  Task<Code> take_image(Ctx& ctx, std::string uri);
  static Task<uint64_t> stored_code(const Store& store);
  // Fails with CodeStorageExceededException when so much more does not fit.
  Task<void> check_storage(const Ctx& ctx, uint64_t more);
  Task<Body> open_object(Ctx& ctx, ObjectName object);
  // A version's hold on its code and its layers' code.
  Task<void> keep(kv::Txn& tx, const VersionRecord& version);
  Task<void> drop(kv::Txn& tx, const VersionRecord& version);
  std::string download_url(const Ctx& ctx, const blob::Ref& ref) const;
  Task<wire::HttpResponse> download(Ctx& ctx, kernel::EndpointRequest& request);
  // Layers by ARN, in order; throws InvalidParameterValueException for one that does not exist.
  Task<std::vector<LayerUse>> find_layers(Ctx& ctx, const std::vector<std::string>& arns);
  Task<void> check_role(Ctx& ctx, const FunctionId& id, const std::string& role);

  int32_t unreserved_least() const { return std::min(kUnreservedConcurrency, concurrency_); }

  kernel::Deps& deps_;
  sandbox::Sandboxes& sandboxes_;
  const int32_t concurrency_;    // of an account in a region
  const uint64_t code_storage_;  // and its bytes
  const std::chrono::seconds snapshot_life_;
  std::mutex stored_mutex_;
  std::map<std::string, uint64_t> stored_;  // bytes of code by account and region, at the most
  Catalog catalog_;
  CodeCache code_;
  Invoker invoker_;
  durable::Executions executions_;
  esm::Engine mappings_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace virga::lambda
