// Capacity providers, and the fleets of the versions that run on them.
#include <aws/lambda/errors.h>

#include <algorithm>
#include <set>

#include "base/str.h"
#include "kernel/authorize.h"
#include "kernel/cloud.h"
#include "kernel/page.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/lambda/limits.h"
#include "services/lambda/refusals.h"
#include "services/lambda/resources.h"
#include "services/lambda/service.h"

namespace virga::lambda {
namespace {

constexpr int32_t kLeastInstances = 3, kMostInstances = 15'000;
constexpr int32_t kMostVcpus = 400;  // of a provider that says nothing
constexpr size_t kMostProviders = 1000;

std::string name_of(const std::string& text) { return text.substr(text.rfind(':') + 1); }
std::string arn_of(const Ctx& ctx, const std::string& name) {
  return kernel::arn(ctx, "lambda", cat("capacity-provider:", name));
}
Error no_provider(const std::string& name) {
  return err::ResourceNotFoundException(cat("The capacity provider ", name, " does not exist."));
}

std::vector<std::string> names_of(const std::optional<std::vector<std::string>>& names) {
  return names.value_or(std::vector<std::string>());
}

void set_scaling(CapacityProviderRecord& record, const CapacityProviderScalingConfig& config) {
  record.most_vcpus = config.max_v_cpu_count;
  record.scaling_mode = config.scaling_mode ? to_string(*config.scaling_mode) : "";
  record.scaling_policies.clear();
  if (!config.scaling_policies) return;
  for (const auto& policy : *config.scaling_policies) {
    record.scaling_policies.emplace_back(to_string(policy.predefined_metric_type), policy.target_value);
  }
}

CapacityProvider describe(const CapacityProviderRecord& record) {
  CapacityProvider out;
  out.capacity_provider_arn = record.arn;
  out.state = CapacityProviderState::Active;
  out.vpc_config.subnet_ids = record.subnets;
  out.vpc_config.security_group_ids = record.security_groups;
  out.permissions_config.capacity_provider_operator_role_arn = record.operator_role;
  if (!record.architecture.empty() || !record.allowed.empty() || !record.excluded.empty()) {
    auto& requirements = out.instance_requirements.emplace();
    Architecture architecture;
    if (from_string(record.architecture, architecture)) requirements.architectures = std::vector{architecture};
    if (!record.allowed.empty()) requirements.allowed_instance_types = record.allowed;
    if (!record.excluded.empty()) requirements.excluded_instance_types = record.excluded;
  }
  auto& scaling = out.capacity_provider_scaling_config.emplace();
  scaling.max_v_cpu_count = record.most_vcpus.value_or(kMostVcpus);
  CapacityProviderScalingMode mode;
  scaling.scaling_mode = from_string(record.scaling_mode, mode) ? mode : CapacityProviderScalingMode::Auto;
  for (const auto& [metric, target] : record.scaling_policies) {
    if (!scaling.scaling_policies) scaling.scaling_policies.emplace();
    TargetTrackingScalingPolicy& policy = scaling.scaling_policies->emplace_back();
    from_string(metric, policy.predefined_metric_type);
    policy.target_value = target;
  }
  out.last_modified = iso8601_lambda(record.modified);
  return out;
}

template <class In>
void check_served(const In& in) {
  if (in.propagate_tags && in.propagate_tags->mode == PropagateTagsMode::Explicit) not_served("PropagateTags");
  if (in.telemetry_config) not_served("TelemetryConfig");
}

template <class In>
std::string by_provider(const Ctx& ctx, const In& in) {
  return arn_of(ctx, name_of(in.capacity_provider_name));
}
template <class In>
std::string by_version(const Ctx& ctx, const In& in) {
  return qualified_arn(ctx, function_id(ctx, in.function_name), in.qualifier);
}

}  // namespace

Task<CreateCapacityProviderResponse> LambdaService::create_capacity_provider(Ctx& ctx,
                                                                             const CreateCapacityProviderRequest& in) {
  if (in.kms_key_arn && !in.kms_key_arn->empty()) not_served("KmsKeyArn");
  check_served(in);
  CapacityProviderRecord record;
  record.name = name_of(in.capacity_provider_name);
  record.arn = arn_of(ctx, record.name);
  record.subnets = in.vpc_config.subnet_ids;
  record.security_groups = in.vpc_config.security_group_ids;
  record.operator_role = in.permissions_config.capacity_provider_operator_role_arn;
  if (const auto& requirements = in.instance_requirements) {
    if (requirements->architectures && !requirements->architectures->empty()) {
      if (requirements->architectures->front() != Architecture::x86_64) {
        co_return err::InvalidParameterValueException(
            "The architecture arm64 on this x86_64 machine is not served by Virga.");
      }
      record.architecture = to_string(requirements->architectures->front());
    }
    record.allowed = names_of(requirements->allowed_instance_types);
    record.excluded = names_of(requirements->excluded_instance_types);
    if (!record.allowed.empty() && !record.excluded.empty()) {
      co_return err::InvalidParameterValueException(
          "AllowedInstanceTypes and ExcludedInstanceTypes can't be given together.");
    }
  }
  if (in.capacity_provider_scaling_config) set_scaling(record, *in.capacity_provider_scaling_config);
  if (in.tags) record.tags = *in.tags;
  record.modified = ctx.now();
  // Under a name that no function has, and that a session may have: a provider's may be longer.
  co_await check_role(ctx, {ctx.account, ctx.region, "capacity.provider", {}}, record.operator_role);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, {ctx.account, ctx.region}, catalog_);
    if (co_await store.find_capacity_provider(record.name)) {
      co_await fail(err::ResourceConflictException(cat("Capacity provider already exists: ", record.name)));
    }
    if ((co_await store.list_capacity_providers("", kMostProviders)).size() >= kMostProviders) {
      co_await fail(err::CapacityProviderLimitExceededException(
          cat("An account has at most ", kMostProviders, " capacity providers.")));
    }
    store.put_capacity_provider(record);
  });
  CreateCapacityProviderResponse out;
  out.capacity_provider = describe(record);
  co_return out;
}

Task<GetCapacityProviderResponse> LambdaService::get_capacity_provider(Ctx& ctx, const GetCapacityProviderRequest& in) {
  const std::string name = name_of(in.capacity_provider_name);
  const auto snapshot = deps_.db.snapshot();
  const auto record = co_await Store(*snapshot, {ctx.account, ctx.region}).find_capacity_provider(name);
  if (!record) co_return no_provider(name);
  GetCapacityProviderResponse out;
  out.capacity_provider = describe(*record);
  co_return out;
}

Task<UpdateCapacityProviderResponse> LambdaService::update_capacity_provider(Ctx& ctx,
                                                                             const UpdateCapacityProviderRequest& in) {
  check_served(in);
  const std::string name = name_of(in.capacity_provider_name);
  const Time now = ctx.now();
  std::set<std::string> functions;
  const CapacityProviderRecord record = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<CapacityProviderRecord> {
    WriteStore store(tx, {ctx.account, ctx.region}, catalog_);
    auto record = co_await store.find_capacity_provider(name);
    if (!record) co_return no_provider(name);
    if (in.capacity_provider_scaling_config) set_scaling(*record, *in.capacity_provider_scaling_config);
    record->modified = now;
    store.put_capacity_provider(*record);
    co_return *record;
  });
  {
    const auto snapshot = deps_.db.snapshot();
    const Store store(*snapshot, {ctx.account, ctx.region});
    for (const FunctionRecord& function : co_await store.list_functions("", SIZE_MAX)) {
      const auto latest = co_await store.find_version(function.name, 0);
      if (latest && latest->capacity_provider == record.arn) functions.insert(function.name);
    }
  }
  for (const std::string& function : functions) co_await apply_fleets({ctx.account, ctx.region, function, {}});
  UpdateCapacityProviderResponse out;
  out.capacity_provider = describe(record);
  co_return out;
}

Task<DeleteCapacityProviderResponse> LambdaService::delete_capacity_provider(Ctx& ctx,
                                                                             const DeleteCapacityProviderRequest& in) {
  const std::string name = name_of(in.capacity_provider_name);
  DeleteCapacityProviderResponse out;
  out.capacity_provider = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<CapacityProvider> {
    WriteStore store(tx, {ctx.account, ctx.region}, catalog_);
    const auto record = co_await store.find_capacity_provider(name);
    if (!record) co_return no_provider(name);
    for (const FunctionRecord& function : co_await store.list_functions("", SIZE_MAX)) {
      for (const VersionRecord& version : co_await store.list_versions(function.name, 0, SIZE_MAX)) {
        if (version.capacity_provider != record->arn) continue;
        co_return err::ResourceConflictException(
            cat("The capacity provider ", name, " is in use by the function ", function.name, "."));
      }
    }
    store.erase_capacity_provider(name);
    CapacityProvider gone = describe(*record);
    gone.state = CapacityProviderState::Deleting;
    co_return gone;
  });
  co_return out;
}

Task<ListCapacityProvidersResponse> LambdaService::list_capacity_providers(Ctx& ctx,
                                                                           const ListCapacityProvidersRequest& in) {
  constexpr std::string_view kPage = "lambda:ListCapacityProviders";
  const auto after = kernel::open_page<std::string>(deps_.tokens, ctx, kPage, in.marker, bad_marker());
  const size_t limit = std::min<size_t>(in.max_items.value_or(kListPage), kListPage);
  const auto snapshot = deps_.db.snapshot();
  auto page =
      co_await Store(*snapshot, {ctx.account, ctx.region}).list_capacity_providers(after.value_or(""), limit + 1);
  ListCapacityProvidersResponse out;
  if (page.size() > limit) {
    page.resize(limit);
    out.next_marker = kernel::seal_page(deps_.tokens, ctx, kPage, page.back().name);
  }
  for (const CapacityProviderRecord& record : page) {
    if (in.state.value_or(CapacityProviderState::Active) == CapacityProviderState::Active)
      out.capacity_providers.push_back(describe(record));
  }
  co_return out;
}

Task<ListFunctionVersionsByCapacityProviderResponse> LambdaService::list_function_versions_by_capacity_provider(
    Ctx& ctx, const ListFunctionVersionsByCapacityProviderRequest& in) {
  const std::string name = name_of(in.capacity_provider_name);
  const std::string page_of = cat("lambda:ListFunctionVersionsByCapacityProvider:", name);
  const size_t from = kernel::open_page<uint64_t>(deps_.tokens, ctx, page_of, in.marker, bad_marker()).value_or(0);
  const size_t limit = std::min<size_t>(in.max_items.value_or(kListPage), kListPage);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, {ctx.account, ctx.region});
  const auto record = co_await store.find_capacity_provider(name);
  if (!record) co_return no_provider(name);
  ListFunctionVersionsByCapacityProviderResponse out;
  out.capacity_provider_arn = record->arn;
  size_t seen = 0;
  for (const FunctionRecord& function : co_await store.list_functions("", SIZE_MAX)) {
    const FunctionId id{ctx.account, ctx.region, function.name, {}};
    for (const VersionRecord& version : co_await store.list_versions(function.name, 1, SIZE_MAX)) {
      if (version.capacity_provider != record->arn || seen++ < from) continue;
      if (out.function_versions.size() == limit) {
        out.next_marker = kernel::seal_page(deps_.tokens, ctx, page_of, static_cast<uint64_t>(from + limit));
        co_return out;
      }
      const FunctionConfiguration described = lambda::describe(ctx, id, version, version_name(version.version));
      auto& item = out.function_versions.emplace_back();
      item.function_arn = *described.function_arn;
      item.state = *described.state;
    }
  }
  co_return out;
}

Task<PutFunctionScalingConfigResponse> LambdaService::put_function_scaling_config(
    Ctx& ctx, const PutFunctionScalingConfigRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  const auto version = parse_version(in.qualifier);
  FunctionScalingConfig config = in.function_scaling_config.value_or(FunctionScalingConfig{});
  if (config.min_execution_environments && config.max_execution_environments &&
      *config.min_execution_environments > *config.max_execution_environments) {
    co_return err::InvalidParameterValueException(
        "MinExecutionEnvironments can't be greater than MaxExecutionEnvironments.");
  }
  const VersionRecord record = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<VersionRecord> {
    WriteStore store(tx, id.home(), catalog_);
    auto record = co_await store.find_version(id.name, version.value_or(0));
    if (!record || !version) co_return function_not_found(ctx, id);
    if (record->capacity_provider.empty()) {
      co_return err::InvalidParameterValueException("The function has no capacity provider.");
    }
    record->least = config.min_execution_environments;
    record->most = config.max_execution_environments;
    store.put_version(id.name, *record);
    co_return *record;
  });
  co_await apply_fleets(id);
  PutFunctionScalingConfigResponse out;
  out.function_state = record.most == 0 ? State::Deactivated : State::Active;
  co_return out;
}

Task<GetFunctionScalingConfigResponse> LambdaService::get_function_scaling_config(
    Ctx& ctx, const GetFunctionScalingConfigRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  const auto snapshot = deps_.db.snapshot();
  const auto version = parse_version(in.qualifier);
  const auto record = co_await Store(*snapshot, id.home()).find_version(id.name, version.value_or(0));
  if (!record || !version) co_return function_not_found(ctx, id);
  if (record->capacity_provider.empty()) {
    co_return err::InvalidParameterValueException("The function has no capacity provider.");
  }
  GetFunctionScalingConfigResponse out;
  out.function_arn = qualified_arn(ctx, id, in.qualifier);
  FunctionScalingConfig& config = out.applied_function_scaling_config.emplace();
  config.min_execution_environments = record->least.value_or(kLeastInstances);
  config.max_execution_environments = record->most;
  out.requested_function_scaling_config = config;
  co_return out;
}

Task<std::map<std::string, std::string>> LambdaService::change_provider_tags(Ctx& ctx, std::string arn,
                                                                             std::map<std::string, std::string> set,
                                                                             std::vector<std::string> removed) {
  const std::string name = name_of(arn);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<std::map<std::string, std::string>> {
    WriteStore store(tx, {ctx.account, ctx.region}, catalog_);
    auto record = co_await store.find_capacity_provider(name);
    if (!record || record->arn != arn)
      co_return err::ResourceNotFoundException(cat("Capacity provider not found: ", arn));
    if (set.empty() && removed.empty()) co_return record->tags;
    retag(record->tags, set, removed);
    store.put_capacity_provider(*record);
    co_return record->tags;
  });
}

Task<void> LambdaService::put_on_provider(Ctx& ctx, VersionRecord& record, const CapacityProviderConfig& in) {
  const auto& config = in.lambda_managed_instances_capacity_provider_config;
  const std::string name = name_of(config.capacity_provider_arn);
  std::optional<CapacityProviderRecord> provider;
  {
    const auto snapshot = deps_.db.snapshot();
    provider = co_await Store(*snapshot, {ctx.account, ctx.region}).find_capacity_provider(name);
  }
  if (!provider || provider->arn != config.capacity_provider_arn) {
    co_await fail(err::InvalidParameterValueException(
        cat("The capacity provider ", config.capacity_provider_arn, " does not exist.")));
  }
  const auto denied = co_await deps_.cloud.authorizer().why_denied(
      ctx, {"lambda:PassCapacityProvider", provider->arn, {}}, std::nullopt);
  if (denied) {
    static constexpr ErrorShape kDenied{"AccessDeniedException", 403, Fault::kSender, {}};
    co_await fail(Error{&kDenied, *denied, nullptr, {}});
  }
  if (record.per_tenant) co_await fail(not_with_capacity_provider("TenancyConfig"));
  record.capacity_provider = provider->arn;
  record.at_a_time = config.per_execution_environment_max_concurrency.value_or(0);
  record.gib_per_vcpu = config.execution_environment_memory_gi_b_per_v_cpu.value_or(0);
  check_capacity(record);
}

Task<void> LambdaService::replace_latest_published(kv::Txn& tx, const Store& store, const FunctionId& id,
                                                   VersionRecord& next) {
  const auto former = co_await store.find_version(id.name, kLatestPublished);
  if (!former) co_return;
  next.least = former->least;
  next.most = former->most;
  co_await drop(tx, *former);
}

Task<void> LambdaService::apply_fleets(FunctionId id) {
  std::vector<std::pair<Call, FleetSize>> wanted;
  {
    const auto snapshot = deps_.db.snapshot();
    const Store store(*snapshot, id.home());
    for (VersionRecord& record : co_await store.list_versions(id.name, 1, SIZE_MAX)) {
      if (record.capacity_provider.empty()) continue;
      const auto provider = co_await store.find_capacity_provider(name_of(record.capacity_provider));
      FleetSize size;
      const double vcpus_of_all = provider ? provider->most_vcpus.value_or(kMostVcpus) : kMostVcpus;
      const auto fitting = static_cast<int32_t>(vcpus_of_all / std::max(vcpus(record), 0.1));
      size.most = std::min(record.most.value_or(kMostInstances), std::max(fitting, 1));
      size.least = std::min(record.least.value_or(kLeastInstances), size.most);
      size.at_a_time = at_a_time(record);
      Call call;
      call.id = {id.account, id.region, id.name, {}};
      call.version = std::make_shared<const VersionRecord>(std::move(record));
      wanted.emplace_back(std::move(call), size);
    }
  }
  invoker_.keep_fleets(id, std::move(wanted));
}

// After a start.
Task<void> LambdaService::restore_fleets() {
  std::set<std::tuple<std::string, std::string, std::string>> functions;
  {
    const auto snapshot = deps_.db.snapshot();
    for (const kv::Entry& entry : co_await snapshot->scan(kv::prefix_range(kv::KeyWriter("lambda").raw("v").take()))) {
      if (kv::decode<VersionRecord>(entry.value).capacity_provider.empty()) continue;
      kv::KeyReader key(entry.key);
      key.text();
      std::string rest(key.rest().substr(1));  // after the kind
      kv::KeyReader parts(rest);
      std::string account = parts.text(), region = parts.text(), name = parts.text();
      functions.emplace(std::move(account), std::move(region), std::move(name));
    }
  }
  for (const auto& [account, region, name] : functions) co_await apply_fleets({account, region, name, {}});
}

void LambdaService::capacity_operations(kernel::OpTable& t) {
  using S = LambdaService;
  t.add<op::CreateCapacityProvider>(this, &S::create_capacity_provider)
      .resource(by_provider<CreateCapacityProviderRequest>);
  t.add<op::GetCapacityProvider>(this, &S::get_capacity_provider).resource(by_provider<GetCapacityProviderRequest>);
  t.add<op::UpdateCapacityProvider>(this, &S::update_capacity_provider)
      .resource(by_provider<UpdateCapacityProviderRequest>);
  t.add<op::DeleteCapacityProvider>(this, &S::delete_capacity_provider)
      .resource(by_provider<DeleteCapacityProviderRequest>);
  t.add<op::ListCapacityProviders>(this, &S::list_capacity_providers);
  t.add<op::ListFunctionVersionsByCapacityProvider>(this, &S::list_function_versions_by_capacity_provider)
      .resource(by_provider<ListFunctionVersionsByCapacityProviderRequest>);
  t.add<op::PutFunctionScalingConfig>(this, &S::put_function_scaling_config)
      .resource(by_version<PutFunctionScalingConfigRequest>);
  t.add<op::GetFunctionScalingConfig>(this, &S::get_function_scaling_config)
      .resource(by_version<GetFunctionScalingConfigRequest>);
}

}  // namespace virga::lambda
