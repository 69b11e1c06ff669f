// Provisioned concurrency: what is asked for, and how far it is.
#include <aws/lambda/errors.h>

#include "base/str.h"
#include "kernel/page.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/lambda/limits.h"
#include "services/lambda/refusals.h"
#include "services/lambda/resources.h"
#include "services/lambda/service.h"

namespace virga::lambda {
namespace {

template <class Out>
Out describe(const ProvisionedRecord& record, const Provision& state) {
  Out out;
  out.requested_provisioned_concurrent_executions = record.wanted;
  out.allocated_provisioned_concurrent_executions = std::min(state.ready, record.wanted);
  out.available_provisioned_concurrent_executions = std::min(state.ready, record.wanted);
  out.last_modified = iso8601_lambda(record.modified);
  out.status = ProvisionedConcurrencyStatusEnum::IN_PROGRESS;
  if (state.ready >= record.wanted) out.status = ProvisionedConcurrencyStatusEnum::READY;
  if (!state.failure.empty()) {
    out.status = ProvisionedConcurrencyStatusEnum::FAILED;
    out.status_reason = state.failure;
  }
  return out;
}

// The version that a qualifier of a provisioned concurrency means.
Task<std::optional<uint64_t>> version_of(const Store& store, std::string function, std::string qualifier) {
  if (const auto number = parse_version(qualifier)) co_return *number;
  const auto alias = co_await store.find_alias(function, qualifier);
  co_return alias ? std::optional(alias->version) : std::nullopt;
}

// The function, version or alias that a provisioned concurrency is asked of; $LATEST has none.
Task<uint64_t> version_for(const Ctx& ctx, const Store& store, FunctionId id) {
  if (id.qualifier == kLatest) {
    co_return err::InvalidParameterValueException(
        "The function resource provided must be an alias or a published version.");
  }
  const auto version = co_await version_of(store, id.name, id.qualifier);
  if (!version || !co_await store.find_version(id.name, *version)) co_return qualifier_not_found(ctx, id);
  co_return *version;
}

Error not_provisioned() {
  return err::ProvisionedConcurrencyConfigNotFoundException(
      "No Provisioned Concurrency Config found for this function");
}

}  // namespace

// Makes the instances that are kept for a function those that its records ask for.
Task<void> LambdaService::apply_provisioned(FunctionId id) {
  std::map<uint64_t, int32_t> wanted;
  std::vector<std::pair<Call, int32_t>> calls;
  {
    const auto snapshot = deps_.db.snapshot();
    const Store store(*snapshot, id.home());
    for (const ProvisionedRecord& record : co_await store.list_provisioned(id.name)) {
      if (const auto version = co_await version_of(store, id.name, record.qualifier)) wanted[*version] += record.wanted;
    }
    for (const auto& [version, count] : wanted) {
      auto record = co_await store.find_version(id.name, version);
      if (!record) continue;
      Call call;
      call.id = {id.account, id.region, id.name, {}};
      call.version = std::make_shared<const VersionRecord>(std::move(*record));
      calls.emplace_back(std::move(call), count);
    }
  }
  invoker_.provision(id, std::move(calls));
}

Task<PutProvisionedConcurrencyConfigResponse> LambdaService::put_provisioned_concurrency_config(
    Ctx& ctx, const PutProvisionedConcurrencyConfigRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  const int32_t wanted = in.provisioned_concurrent_executions;
  if (id.qualifier == kLatest) {
    co_return err::InvalidParameterValueException(
        "Provisioned Concurrency Configs cannot be applied to unpublished function versions.");
  }
  co_await version_for(ctx, Store(*deps_.db.snapshot(), id.home()), id);
  const Call call = co_await route(ctx, id);
  if (!call.version->capacity_provider.empty()) co_return not_with_capacity_provider("Provisioned concurrency");
  if (call.version->per_tenant) {
    co_return err::InvalidParameterValueException(
        "Provisioned concurrency is not supported for functions with tenant isolation.");
  }
  const ProvisionedRecord record{id.account, id.region, id.name, id.qualifier, wanted, ctx.now()};
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, id.home(), catalog_);
    const auto function = co_await store.find_function(id.name);
    const auto version = co_await version_of(store, id.name, id.qualifier);
    if (!function || !version) co_await fail(function_not_found(ctx, id));
    if (const auto of = co_await store.find_version(id.name, *version); of && of->snap_start) {
      co_await fail(err::InvalidParameterValueException(
          "Provisioned Concurrency is not supported for SnapStart enabled functions."));
    }
    int32_t others = 0;
    for (const ProvisionedRecord& other : co_await store.list_provisioned(id.name)) {
      if (other.qualifier == id.qualifier) continue;
      others += other.wanted;
      if (co_await version_of(store, id.name, other.qualifier) == version) {
        co_await fail(err::ResourceConflictException(
            parse_version(id.qualifier)
                ? "Version is pointed by a Provisioned Concurrency alias"
                : "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"));
      }
    }
    if (function->reserved_concurrency && others + wanted > *function->reserved_concurrency) {
      co_await fail(err::InvalidParameterValueException(
          "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"));
    }
    if (!function->reserved_concurrency && wanted > concurrency_ - co_await store.set_aside(id.name) - others) {
      co_await fail(untyped(err::InvalidParameterValueException(
          cat("Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [",
              concurrency_ - co_await store.set_aside(id.name) - others, "]."))));
    }
    if (!function->reserved_concurrency &&
        co_await store.set_aside(id.name) + others + wanted > concurrency_ - unreserved_least()) {
      co_await fail(untyped(err::InvalidParameterValueException(
          cat("Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
              "minimum value of [",
              unreserved_least(), "]."))));
    }
    store.put_provisioned(record);
  });
  co_await apply_provisioned(id);
  co_return describe<PutProvisionedConcurrencyConfigResponse>(record, invoker_.provision_of(id, *call.version));
}

Task<GetProvisionedConcurrencyConfigResponse> LambdaService::get_provisioned_concurrency_config(
    Ctx& ctx, const GetProvisionedConcurrencyConfigRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, id.home());
  const auto version = co_await store.find_version(id.name, co_await version_for(ctx, store, id));
  const auto record = co_await store.find_provisioned(id.name, id.qualifier);
  if (!record || !version) co_return not_provisioned();
  co_return describe<GetProvisionedConcurrencyConfigResponse>(*record, invoker_.provision_of(id, *version));
}

Task<op::DeleteProvisionedConcurrencyConfig::Output> LambdaService::delete_provisioned_concurrency_config(
    Ctx& ctx, const DeleteProvisionedConcurrencyConfigRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, id.home(), catalog_);
    co_await version_for(ctx, store, id);
    store.erase_provisioned(id.name, id.qualifier);
  });
  co_await apply_provisioned(id);
  co_return op::DeleteProvisionedConcurrencyConfig::Output{};
}

Task<ListProvisionedConcurrencyConfigsResponse> LambdaService::list_provisioned_concurrency_configs(
    Ctx& ctx, const ListProvisionedConcurrencyConfigsRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  const std::string page_of = cat("lambda:ListProvisionedConcurrencyConfigs:", id.name);
  const size_t from = kernel::open_page<uint64_t>(deps_.tokens, ctx, page_of, in.marker, bad_marker()).value_or(0);
  const size_t limit = std::min<size_t>(in.max_items.value_or(kListPage), kListPage);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, id.home());
  if (!co_await store.find_function(id.name)) co_return function_not_found(ctx, id);
  const auto records = co_await store.list_provisioned(id.name);
  ListProvisionedConcurrencyConfigsResponse out;
  out.provisioned_concurrency_configs.emplace();
  for (size_t i = from; i < records.size() && i < from + limit; ++i) {
    const ProvisionedRecord& record = records[i];
    const auto number = co_await version_of(store, id.name, record.qualifier);
    const auto version = number ? co_await store.find_version(id.name, *number) : std::nullopt;
    auto item = describe<ProvisionedConcurrencyConfigListItem>(
        record, version ? invoker_.provision_of(id, *version) : Provision{});
    item.function_arn = qualified_arn(ctx, id, record.qualifier);
    out.provisioned_concurrency_configs->push_back(std::move(item));
  }
  if (from + limit < records.size())
    out.next_marker = kernel::seal_page(deps_.tokens, ctx, page_of, static_cast<uint64_t>(from + limit));
  co_return out;
}

Task<std::optional<double>> LambdaService::provisioned_use(FunctionId id) {
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, id.home());
  const auto number = co_await version_of(store, id.name, id.qualifier);
  const auto version = number ? co_await store.find_version(id.name, *number) : std::nullopt;
  if (!version) co_return std::nullopt;
  const Provision state = invoker_.provision_of(id, *version);
  if (state.wanted == 0) co_return std::nullopt;
  co_return static_cast<double>(state.running) / state.wanted;
}

// After a start: what was provisioned before is again.
Task<void> LambdaService::restore_provisioned() {
  std::map<std::string, FunctionId> functions;
  {
    const auto snapshot = deps_.db.snapshot();
    for (const kv::Entry& entry : co_await snapshot->scan(kv::prefix_range(kv::KeyWriter("lambda").raw("c").take()))) {
      const auto record = kv::decode<ProvisionedRecord>(entry.value);
      functions[cat(record.account, ":", record.region, ":", record.function)] = {
          record.account, record.region, record.function, {}};
    }
  }
  for (const auto& [name, id] : functions) co_await apply_provisioned(id);
}

void LambdaService::provisioned_operations(kernel::OpTable& t) {
  using S = LambdaService;
  t.add<op::PutProvisionedConcurrencyConfig>(this, &S::put_provisioned_concurrency_config)
      .resource(by_qualified<PutProvisionedConcurrencyConfigRequest>);
  t.add<op::GetProvisionedConcurrencyConfig>(this, &S::get_provisioned_concurrency_config)
      .resource(by_qualified<GetProvisionedConcurrencyConfigRequest>);
  t.add<op::DeleteProvisionedConcurrencyConfig>(this, &S::delete_provisioned_concurrency_config)
      .resource(by_qualified<DeleteProvisionedConcurrencyConfigRequest>);
  t.add<op::ListProvisionedConcurrencyConfigs>(this, &S::list_provisioned_concurrency_configs)
      .resource(by_function<ListProvisionedConcurrencyConfigsRequest>);
}

}  // namespace virga::lambda
