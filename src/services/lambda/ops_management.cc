// Records about functions that don't change how they run: code signing configurations and runtime management.
#include <aws/lambda/errors.h>

#include "base/id.h"
#include "base/str.h"
#include "kernel/page.h"
#include "services/lambda/limits.h"
#include "services/lambda/refusals.h"
#include "services/lambda/resources.h"
#include "services/lambda/service.h"

namespace virga::lambda {
namespace {

std::string config_arn(const Ctx& ctx, const std::string& id) {
  return cat("arn:", ctx.partition, ":lambda:", ctx.region, ":", ctx.account, ":code-signing-config:", id);
}
// The last part of the caller's own configuration's ARN; of another's: one that is not there.
std::string config_id(const Ctx& ctx, const std::string& arn) {
  const std::string prefix = config_arn(ctx, "");
  return arn.starts_with(prefix) ? arn.substr(prefix.size()) : arn;
}

Error no_config(const std::string& arn) {
  return err::CodeSigningConfigNotFoundException(
      cat("The code signing configuration cannot be found. Check that the provided configuration is not deleted: ", arn,
          "."));
}
Error no_resource(const std::string& arn) {
  return untyped(
      err::ResourceNotFoundException(cat("The Lambda code signing configuration ", arn, " can not be found.")));
}

CodeSigningConfig describe(const Ctx& ctx, const CodeSigningRecord& record) {
  CodeSigningConfig out;
  out.code_signing_config_id = record.id;
  out.code_signing_config_arn = config_arn(ctx, record.id);
  if (!record.description.empty()) out.description = record.description;
  out.allowed_publishers.signing_profile_version_arns = record.publishers;
  out.code_signing_policies.untrusted_artifact_on_deployment =
      record.enforce ? CodeSigningPolicy::Enforce : CodeSigningPolicy::Warn;
  out.last_modified = iso8601_lambda(record.modified);
  return out;
}

void set_policy(CodeSigningRecord& record, const std::optional<CodeSigningPolicies>& policies) {
  if (policies) record.enforce = policies->untrusted_artifact_on_deployment == CodeSigningPolicy::Enforce;
}

template <class In>
std::string by_config(const Ctx& ctx, const In& in) {
  return config_arn(ctx, config_id(ctx, in.code_signing_config_arn));
}

}  // namespace

Task<CreateCodeSigningConfigResponse> LambdaService::create_code_signing_config(
    Ctx& ctx, const CreateCodeSigningConfigRequest& in) {
  if (in.tags) check_tags(*in.tags);
  CodeSigningRecord record;
  set_policy(record, in.code_signing_policies);
  record.id = cat("csc-", random_lower_alnum(17));
  record.description = in.description.value_or("");
  record.publishers = in.allowed_publishers.signing_profile_version_arns;
  record.modified = ctx.now();
  if (in.tags) record.tags = *in.tags;
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore(tx, {ctx.account, ctx.region}, catalog_).put_code_signing(record);
    co_return;
  });
  CreateCodeSigningConfigResponse out;
  out.code_signing_config = describe(ctx, record);
  co_return out;
}

Task<GetCodeSigningConfigResponse> LambdaService::get_code_signing_config(Ctx& ctx,
                                                                          const GetCodeSigningConfigRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const auto record = co_await Store(*snapshot, {ctx.account, ctx.region})
                          .find_code_signing(config_id(ctx, in.code_signing_config_arn));
  if (!record) co_return no_resource(in.code_signing_config_arn);
  GetCodeSigningConfigResponse out;
  out.code_signing_config = describe(ctx, *record);
  co_return out;
}

Task<UpdateCodeSigningConfigResponse> LambdaService::update_code_signing_config(
    Ctx& ctx, const UpdateCodeSigningConfigRequest& in) {
  const Time now = ctx.now();
  const CodeSigningRecord answer = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<CodeSigningRecord> {
    WriteStore store(tx, {ctx.account, ctx.region}, catalog_);
    auto record = co_await store.find_code_signing(config_id(ctx, in.code_signing_config_arn));
    if (!record) co_return no_resource(in.code_signing_config_arn);
    if (in.description) record->description = *in.description;
    set_policy(*record, in.code_signing_policies);
    if (in.allowed_publishers) record->publishers = in.allowed_publishers->signing_profile_version_arns;
    record->modified = now;
    store.put_code_signing(*record);
    co_return *record;
  });
  UpdateCodeSigningConfigResponse out;
  out.code_signing_config = describe(ctx, answer);
  co_return out;
}

Task<op::DeleteCodeSigningConfig::Output> LambdaService::delete_code_signing_config(
    Ctx& ctx, const DeleteCodeSigningConfigRequest& in) {
  const std::string id = config_id(ctx, in.code_signing_config_arn);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::DeleteCodeSigningConfig::Output> {
    WriteStore store(tx, {ctx.account, ctx.region}, catalog_);
    if (!co_await store.find_code_signing(id)) co_return no_resource(in.code_signing_config_arn);
    for (const auto& [function, config] : co_await store.list_signed_functions()) {
      if (config == id) {
        co_return err::ResourceConflictException(
            "The code signing configuration is in use by a function and can't be deleted.");
      }
    }
    store.erase_code_signing(id);
    co_return op::DeleteCodeSigningConfig::Output{};
  });
}

Task<ListCodeSigningConfigsResponse> LambdaService::list_code_signing_configs(Ctx& ctx,
                                                                              const ListCodeSigningConfigsRequest& in) {
  constexpr std::string_view kPage = "lambda:ListCodeSigningConfigs";
  const auto after = kernel::open_page<std::string>(deps_.tokens, ctx, kPage, in.marker, bad_marker());
  const size_t limit = std::min<size_t>(in.max_items.value_or(kListPage), kListPage);
  const auto snapshot = deps_.db.snapshot();
  auto page = co_await Store(*snapshot, {ctx.account, ctx.region}).list_code_signing(after.value_or(""), limit + 1);
  ListCodeSigningConfigsResponse out;
  out.code_signing_configs.emplace();
  if (page.size() > limit) {
    page.resize(limit);
    out.next_marker = kernel::seal_page(deps_.tokens, ctx, kPage, page.back().id);
  }
  for (const CodeSigningRecord& record : page) out.code_signing_configs->push_back(describe(ctx, record));
  co_return out;
}

Task<ListFunctionsByCodeSigningConfigResponse> LambdaService::list_functions_by_code_signing_config(
    Ctx& ctx, const ListFunctionsByCodeSigningConfigRequest& in) {
  const std::string id = config_id(ctx, in.code_signing_config_arn);
  const std::string page_of = cat("lambda:ListFunctionsByCodeSigningConfig:", id);
  const auto after = kernel::open_page<std::string>(deps_.tokens, ctx, page_of, in.marker, bad_marker());
  const size_t limit = std::min<size_t>(in.max_items.value_or(kListPage), kListPage);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, {ctx.account, ctx.region});
  if (!co_await store.find_code_signing(id)) co_return no_resource(in.code_signing_config_arn);
  ListFunctionsByCodeSigningConfigResponse out;
  out.function_arns.emplace();
  std::string last;
  for (const auto& [function, config] : co_await store.list_signed_functions()) {
    if (config != id || (after && function <= *after)) continue;
    if (out.function_arns->size() == limit) {
      out.next_marker = kernel::seal_page(deps_.tokens, ctx, page_of, last);
      break;
    }
    last = function;
    out.function_arns->push_back(function_arn(ctx, {ctx.account, ctx.region, function, {}}));
  }
  co_return out;
}

Task<PutFunctionCodeSigningConfigResponse> LambdaService::put_function_code_signing_config(
    Ctx& ctx, const PutFunctionCodeSigningConfigRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  const std::string config = config_id(ctx, in.code_signing_config_arn);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, id.home(), catalog_);
    if (!co_await store.find_code_signing(config)) co_await fail(no_config(in.code_signing_config_arn));
    if (!co_await store.find_function(id.name)) co_await fail(function_not_found(ctx, id));
    store.put_code_signing_of(id.name, config);
  });
  PutFunctionCodeSigningConfigResponse out;
  out.code_signing_config_arn = config_arn(ctx, config);
  out.function_name = id.name;
  co_return out;
}

Task<GetFunctionCodeSigningConfigResponse> LambdaService::get_function_code_signing_config(
    Ctx& ctx, const GetFunctionCodeSigningConfigRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, id.home());
  if (!co_await store.find_function(id.name)) co_return function_not_found(ctx, id);
  const auto config = co_await store.code_signing_of(id.name);
  GetFunctionCodeSigningConfigResponse out;  // of a function without one AWS says nothing at all
  if (config) {
    out.code_signing_config_arn = config_arn(ctx, *config);
    out.function_name = id.name;
  }
  co_return out;
}

Task<op::DeleteFunctionCodeSigningConfig::Output> LambdaService::delete_function_code_signing_config(
    Ctx& ctx, const DeleteFunctionCodeSigningConfigRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::DeleteFunctionCodeSigningConfig::Output> {
    WriteStore store(tx, id.home(), catalog_);
    if (!co_await store.find_function(id.name)) co_return function_not_found(ctx, id);
    store.put_code_signing_of(id.name, {});
    co_return op::DeleteFunctionCodeSigningConfig::Output{};
  });
}

Task<std::map<std::string, std::string>> LambdaService::change_signing_tags(Ctx& ctx, std::string arn,
                                                                            std::map<std::string, std::string> set,
                                                                            std::vector<std::string> removed) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<std::map<std::string, std::string>> {
    WriteStore store(tx, {ctx.account, ctx.region}, catalog_);
    auto record = co_await store.find_code_signing(config_id(ctx, arn));
    if (!record) co_return no_resource(arn);
    if (set.empty() && removed.empty()) co_return record->tags;
    retag(record->tags, set, removed);
    store.put_code_signing(*record);
    co_return record->tags;
  });
}

std::optional<RuntimeVersionConfig> LambdaService::runtime_version(const Ctx& ctx, const VersionRecord& record) const {
  if (record.image) return std::nullopt;
  const auto runtime = sandboxes_.runtime(record.runtime);
  RuntimeVersionConfig out;
  if (runtime.available) {
    out.runtime_version_arn = runtime_arn(ctx, runtime.version);
  } else {
    out.error = RuntimeVersionError{"RuntimeUnavailable", runtime.text};
  }
  return out;
}

FunctionConfiguration LambdaService::describe_with_runtime(const Ctx& ctx, const FunctionId& id,
                                                           const VersionRecord& record,
                                                           std::string_view qualifier) const {
  FunctionConfiguration out = describe(ctx, id, record, qualifier);
  out.runtime_version_config = runtime_version(ctx, record);
  return out;
}

Task<GetRuntimeManagementConfigResponse> LambdaService::get_runtime_management_config(
    Ctx& ctx, const GetRuntimeManagementConfigRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  const Call call = co_await route(ctx, id);
  const auto snapshot = deps_.db.snapshot();
  const auto record = co_await Store(*snapshot, id.home()).runtime_management(id.name, call.version->version);
  GetRuntimeManagementConfigResponse out;
  UpdateRuntimeOn when;
  if (from_string(record.update_on, when)) out.update_runtime_on = when;
  if (!record.version_arn.empty()) out.runtime_version_arn = record.version_arn;
  out.function_arn = qualified_arn(ctx, id, version_name(call.version->version));
  co_return out;
}

Task<PutRuntimeManagementConfigResponse> LambdaService::put_runtime_management_config(
    Ctx& ctx, const PutRuntimeManagementConfigRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  const bool manual = in.update_runtime_on == UpdateRuntimeOn::Manual;
  if (manual != in.runtime_version_arn.has_value()) {
    co_return err::InvalidParameterValueException(
        manual ? "The RuntimeVersionArn parameter is required when UpdateRuntimeOn is Manual."
               : "The RuntimeVersionArn parameter is only allowed when UpdateRuntimeOn is Manual.");
  }
  const Call call = co_await route(ctx, id);
  const auto served = runtime_version(ctx, *call.version);
  if (manual && (!served || served->runtime_version_arn != in.runtime_version_arn)) {
    co_return err::InvalidParameterValueException(
        cat("The runtime version ", *in.runtime_version_arn, " is not served by Virga; functions run on ",
            served ? served->runtime_version_arn.value_or("nothing here") : "their own image", "."));
  }
  const RuntimeManagementRecord record{std::string(to_string(in.update_runtime_on)),
                                       in.runtime_version_arn.value_or("")};
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, id.home(), catalog_);
    if (!co_await store.find_version(id.name, call.version->version)) co_await fail(function_not_found(ctx, id));
    store.put_runtime_management(id.name, call.version->version, record);
  });
  PutRuntimeManagementConfigResponse out;
  out.update_runtime_on = in.update_runtime_on;
  out.runtime_version_arn = in.runtime_version_arn;
  out.function_arn = qualified_arn(ctx, id, version_name(call.version->version));
  co_return out;
}

void LambdaService::management_operations(kernel::OpTable& t) {
  using S = LambdaService;
  t.add<op::CreateCodeSigningConfig>(this, &S::create_code_signing_config);
  t.add<op::GetCodeSigningConfig>(this, &S::get_code_signing_config).resource(by_config<GetCodeSigningConfigRequest>);
  t.add<op::UpdateCodeSigningConfig>(this, &S::update_code_signing_config)
      .resource(by_config<UpdateCodeSigningConfigRequest>);
  t.add<op::DeleteCodeSigningConfig>(this, &S::delete_code_signing_config)
      .resource(by_config<DeleteCodeSigningConfigRequest>);
  t.add<op::ListCodeSigningConfigs>(this, &S::list_code_signing_configs);
  t.add<op::ListFunctionsByCodeSigningConfig>(this, &S::list_functions_by_code_signing_config)
      .resource(by_config<ListFunctionsByCodeSigningConfigRequest>);
  t.add<op::PutFunctionCodeSigningConfig>(this, &S::put_function_code_signing_config)
      .resource(by_function<PutFunctionCodeSigningConfigRequest>);
  t.add<op::GetFunctionCodeSigningConfig>(this, &S::get_function_code_signing_config)
      .resource(by_function<GetFunctionCodeSigningConfigRequest>);
  t.add<op::DeleteFunctionCodeSigningConfig>(this, &S::delete_function_code_signing_config)
      .resource(by_function<DeleteFunctionCodeSigningConfigRequest>);
  t.add<op::GetRuntimeManagementConfig>(this, &S::get_runtime_management_config)
      .resource(by_qualified<GetRuntimeManagementConfigRequest>);
  t.add<op::PutRuntimeManagementConfig>(this, &S::put_runtime_management_config)
      .resource(by_qualified<PutRuntimeManagementConfigRequest>);
}

}  // namespace virga::lambda
