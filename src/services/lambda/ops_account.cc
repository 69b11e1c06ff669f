#include <aws/lambda/errors.h>

#include "base/str.h"
#include "services/lambda/limits.h"
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
  const int32_t wanted = in.reserved_concurrent_executions;
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, id.home(), catalog_);
    auto function = co_await store.find_function(id.name);
    const auto latest = co_await store.find_version(id.name, 0);
    if (!function || !latest) co_await fail(function_not_found(ctx, id));
    if (!latest->capacity_provider.empty()) co_await fail(not_with_capacity_provider("Reserved concurrency"));
    int32_t provisioned = 0;
    for (const ProvisionedRecord& record : co_await store.list_provisioned(id.name)) provisioned += record.wanted;
    if (provisioned > wanted) {
      co_await fail(err::InvalidParameterValueException(
          cat("ReservedConcurrentExecutions  ", wanted,
              " should not be lower than function's total provisioned concurrency [", provisioned, "].")));
    }
    const int32_t others = co_await store.set_aside(id.name);
    if (others + wanted > concurrency_ - unreserved_least()) {
      co_await fail(err::InvalidParameterValueException(
          cat("Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
              "below its minimum value of [",
              unreserved_least(), "].")));
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

Task<op::TagResource::Output> LambdaService::tag_resource(Ctx& ctx, const TagResourceRequest& in) {
  if (esm::is_mapping_arn(in.resource)) {
    co_await change_mapping_tags(ctx, in.resource, in.tags, {});
    co_return op::TagResource::Output{};
  }
  if (is_provider_arn(in.resource)) {
    co_await change_provider_tags(ctx, in.resource, in.tags, {});
    co_return op::TagResource::Output{};
  }
  const FunctionId id = function_id(ctx, in.resource);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::TagResource::Output> {
    WriteStore store(tx, id.home(), catalog_);
    auto function = co_await store.find_function(id.name);
    if (!function) co_return function_not_found(ctx, id);
    for (const auto& [key, value] : in.tags) function->tags[key] = value;
    check_tags(function->tags);
    store.put_function(*function);
    co_return op::TagResource::Output{};
  });
}

Task<op::UntagResource::Output> LambdaService::untag_resource(Ctx& ctx, const UntagResourceRequest& in) {
  if (esm::is_mapping_arn(in.resource)) {
    co_await change_mapping_tags(ctx, in.resource, {}, in.tag_keys);
    co_return op::UntagResource::Output{};
  }
  if (is_provider_arn(in.resource)) {
    co_await change_provider_tags(ctx, in.resource, {}, in.tag_keys);
    co_return op::UntagResource::Output{};
  }
  const FunctionId id = function_id(ctx, in.resource);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::UntagResource::Output> {
    WriteStore store(tx, id.home(), catalog_);
    auto function = co_await store.find_function(id.name);
    if (!function) co_return function_not_found(ctx, id);
    for (const std::string& key : in.tag_keys) function->tags.erase(key);
    store.put_function(*function);
    co_return op::UntagResource::Output{};
  });
}

Task<ListTagsResponse> LambdaService::list_tags(Ctx& ctx, const ListTagsRequest& in) {
  if (esm::is_mapping_arn(in.resource)) {
    ListTagsResponse out;
    out.tags = co_await change_mapping_tags(ctx, in.resource, {}, {});
    co_return out;
  }
  if (is_provider_arn(in.resource)) {
    ListTagsResponse out;
    out.tags = co_await change_provider_tags(ctx, in.resource, {}, {});
    co_return out;
  }
  const FunctionId id = function_id(ctx, in.resource);
  const auto snapshot = deps_.db.snapshot();
  const auto function = co_await Store(*snapshot, id.home()).find_function(id.name);
  if (!function) co_return function_not_found(ctx, id);
  ListTagsResponse out;
  out.tags = function->tags;
  co_return out;
}

}  // namespace virga::lambda
