#include <aws/lambda/errors.h>

#include "base/id.h"
#include "base/str.h"
#include "services/lambda/limits.h"
#include "services/lambda/refusals.h"
#include "services/lambda/service.h"

namespace virga::lambda {

Task<GetAccountSettingsResponse> LambdaService::get_account_settings(Ctx& ctx, const GetAccountSettingsRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, {ctx.account, ctx.region});
  AccountLimit limit;
  limit.total_code_size = static_cast<int64_t>(code_storage_);
  limit.code_size_unzipped = kMaxUnzippedBytes;
  limit.code_size_zipped = kMaxZipBytes;
  limit.concurrent_executions = concurrency_;
  AccountUsage usage;
  limit.unreserved_concurrent_executions = concurrency_ - co_await store.set_aside();
  usage.total_code_size = static_cast<int64_t>(co_await stored_code(store));
  usage.function_count = static_cast<int64_t>((co_await store.list_functions("", SIZE_MAX)).size());
  GetAccountSettingsResponse out;
  out.account_limit = limit;
  out.account_usage = usage;
  co_return out;
}

Task<op::PutFunctionConcurrency::Output> LambdaService::put_function_concurrency(
    Ctx& ctx, const PutFunctionConcurrencyRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  check_unqualified(id);
  const int32_t wanted = in.reserved_concurrent_executions;
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, id.home(), catalog_);
    auto function = co_await store.find_function(id.name);
    const auto latest = co_await store.find_version(id.name, 0);
    if (!function || !latest) co_await fail(function_not_found(ctx, id, kLatest));
    if (!latest->capacity_provider.empty()) co_await fail(not_with_capacity_provider("Reserved concurrency"));
    int32_t provisioned = 0;
    for (const ProvisionedRecord& record : co_await store.list_provisioned(id.name)) provisioned += record.wanted;
    if (provisioned > wanted) {
      co_await fail(untyped(err::InvalidParameterValueException(
          cat(" ReservedConcurrentExecutions  ", wanted,
              " should not be lower than function's total provisioned concurrency [", provisioned, "]."))));
    }
    const int32_t others = co_await store.set_aside(id.name);
    if (others + wanted > concurrency_ - unreserved_least()) {
      co_await fail(untyped(err::InvalidParameterValueException(
          cat("Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
              "below its minimum value of [",
              unreserved_least(), "]."))));
    }
    function->reserved_concurrency = wanted;
    store.put_reserved(id.name, wanted);
    store.put_function(*function);
  });
  op::PutFunctionConcurrency::Output out;
  out.reserved_concurrent_executions = wanted;
  co_return out;
}

Task<GetFunctionConcurrencyResponse> LambdaService::get_function_concurrency(Ctx& ctx,
                                                                             const GetFunctionConcurrencyRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  const auto snapshot = deps_.db.snapshot();
  const auto function = co_await Store(*snapshot, id.home()).find_function(id.name);
  if (!function) co_return function_not_found(ctx, id);
  GetFunctionConcurrencyResponse out;
  out.reserved_concurrent_executions = function->reserved_concurrency;
  co_return out;
}

Task<op::DeleteFunctionConcurrency::Output> LambdaService::delete_function_concurrency(
    Ctx& ctx, const DeleteFunctionConcurrencyRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::DeleteFunctionConcurrency::Output> {
    WriteStore store(tx, id.home(), catalog_);
    auto function = co_await store.find_function(id.name);
    if (!function) co_return function_not_found(ctx, id);
    function->reserved_concurrency.reset();
    store.put_reserved(id.name, std::nullopt);
    store.put_function(*function);
    co_return op::DeleteFunctionConcurrency::Output{};
  });
}

// What a resource's tags are after some are set and some removed.
Task<std::map<std::string, std::string>> LambdaService::change_tags(Ctx& ctx, std::string arn,
                                                                    std::map<std::string, std::string> set,
                                                                    std::vector<std::string> removed) {
  if (esm::is_mapping_arn(arn)) co_return co_await change_mapping_tags(ctx, arn, std::move(set), std::move(removed));
  if (is_provider_arn(arn)) co_return co_await change_provider_tags(ctx, arn, std::move(set), std::move(removed));
  if (is_signing_arn(arn)) co_return co_await change_signing_tags(ctx, arn, std::move(set), std::move(removed));
  const FunctionId id = function_id(ctx, arn);
  if (!id.qualifier.empty()) {
    co_return err::InvalidParameterValueException(
        "Tags on function aliases and versions are not supported. Please specify a function ARN.");
  }
  const std::string revision = uuid();
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<std::map<std::string, std::string>> {
    WriteStore store(tx, id.home(), catalog_);
    auto function = co_await store.find_function(id.name);
    auto latest = co_await store.find_version(id.name, 0);
    if (!function || !latest) co_return function_not_found(ctx, id);
    if (set.empty() && removed.empty()) co_return function->tags;
    retag(function->tags, set, removed);
    store.put_function(*function);
    latest->shown_revision = revision;
    store.put_version(id.name, *latest);
    co_return function->tags;
  });
}

Task<op::TagResource::Output> LambdaService::tag_resource(Ctx& ctx, const TagResourceRequest& in) {
  if (in.tags.empty())
    co_return err::InvalidParameterValueException("An error occurred and the request cannot be processed.");
  co_await change_tags(ctx, in.resource, in.tags, {});
  co_return op::TagResource::Output{};
}

Task<op::UntagResource::Output> LambdaService::untag_resource(Ctx& ctx, const UntagResourceRequest& in) {
  co_await change_tags(ctx, in.resource, {}, in.tag_keys);
  co_return op::UntagResource::Output{};
}

Task<ListTagsResponse> LambdaService::list_tags(Ctx& ctx, const ListTagsRequest& in) {
  ListTagsResponse out;
  out.tags = co_await change_tags(ctx, in.resource, {}, {});
  co_return out;
}

}  // namespace virga::lambda
