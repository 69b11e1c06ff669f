#include <aws/lambda/errors.h>

#include "base/encoding.h"
#include "base/id.h"
#include "base/str.h"
#include "kernel/page.h"
#include "services/lambda/limits.h"
#include "services/lambda/refusals.h"
#include "services/lambda/service.h"

namespace virga::lambda {
namespace {

Error no_alias(const Ctx& ctx, const FunctionId& id, const std::string& alias) {
  return err::ResourceNotFoundException(cat("Cannot find alias arn: ", qualified_arn(ctx, id, alias)));
}

// The version an alias names, which must exist; weights name at most one other and stay below 1.
Task<uint64_t> check_target(const Ctx& ctx, const Store& store, const FunctionId& id, const std::string& name,
                            const std::map<std::string, double>& weights) {
  if (weights.size() > 1) {
    co_return err::InvalidParameterValueException(
        "Number of items in AdditionalVersionWeights cannot be greater than 1");
  }
  if (!weights.empty() && name == kLatest) {
    co_return untyped(
        err::InvalidParameterValueException("$LATEST is not supported for an alias pointing to more than 1 version"));
  }
  for (const auto& [other, weight] : weights) {
    const auto number = parse_version(other);
    if (!number || *number == 0 || weight < 0 || weight > 1) {
      co_return err::InvalidParameterValueException(cat("Invalid additional version weight: ", other));
    }
    if (other == name) {
      co_return err::InvalidParameterValueException(cat("Invalid function version ", name, ". Function version ", name,
                                                        " is already included in routing configuration."));
    }
    if (!co_await store.find_version(id.name, *number)) {
      co_return err::ResourceNotFoundException(cat("Function not found: ", qualified_arn(ctx, id, other)));
    }
  }
  const auto version = parse_version(name);
  if (!version || !co_await store.find_version(id.name, *version)) {
    co_return err::ResourceNotFoundException(cat("Function not found: ", qualified_arn(ctx, id, name)));
  }
  co_return *version;
}

std::map<std::string, double> weights_of(const std::optional<AliasRoutingConfiguration>& routing) {
  return routing && routing->additional_version_weights ? *routing->additional_version_weights
                                                        : std::map<std::string, double>();
}

}  // namespace

Task<FunctionConfiguration> LambdaService::publish_version(Ctx& ctx, const PublishVersionRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  const std::string revision = uuid(), latest_revision = uuid();
  VersionRecord answer = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<VersionRecord> {
    WriteStore store(tx, id.home(), catalog_);
    auto function = co_await store.find_function(id.name);
    auto latest = co_await store.find_version(id.name, 0);
    if (!function || !latest) co_return function_not_found(ctx, id);
    if (in.revision_id && *in.revision_id != revision_id(*latest)) co_return wrong_revision();
    const std::string current = code_hash(*latest);
    if (in.code_sha256 && *in.code_sha256 != current) {
      co_return err::InvalidParameterValueException(cat("CodeSHA256 (", *in.code_sha256,
                                                        ") is different from current CodeSHA256 in $LATEST (", current,
                                                        "). Please try again with the CodeSHA256 in $LATEST."));
    }
    if (in.publish_to && latest->capacity_provider.empty()) co_return no_latest_published();
    // Nothing changed since the last one was published: that one is the answer.
    const uint64_t former = in.publish_to ? kLatestPublished : function->last_version;
    if (former) {
      const auto last = co_await store.find_version(id.name, former);
      if (last && last->code_sha256 == latest->code_sha256 && last->modified == latest->modified) co_return *last;
    }
    if (!latest->image) co_await check_storage(ctx, latest->code_size);
    VersionRecord published = *latest;
    published.version = in.publish_to ? kLatestPublished : ++function->last_version;
    if (in.publish_to) co_await replace_latest_published(tx, store, id, published);
    renew(published, revision);
    if (in.description) published.description = *in.description;
    publish(tx, store, id, published);
    store.put_function(*function);
    latest->shown_revision = latest_revision;
    store.put_version(id.name, *latest);
    co_await keep(tx, published);
    co_return published;
  });
  if (!answer.capacity_provider.empty()) co_await apply_fleets(id);
  co_return describe_with_runtime(ctx, id, answer, version_name(answer.version));
}

Task<ListVersionsByFunctionResponse> LambdaService::list_versions_by_function(Ctx& ctx,
                                                                              const ListVersionsByFunctionRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  const std::string page_of = cat("lambda:ListVersionsByFunction:", id.name);
  const uint64_t from = kernel::open_page<uint64_t>(deps_.tokens, ctx, page_of, in.marker, bad_marker()).value_or(0);
  const size_t limit = std::min<size_t>(in.max_items.value_or(kListPage), kListPage);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, id.home());
  if (!co_await store.find_function(id.name)) co_return function_not_found(ctx, id);
  auto page = co_await store.list_versions(id.name, from, limit + 1);
  ListVersionsByFunctionResponse out;
  out.versions.emplace();
  if (page.size() > limit) {
    out.next_marker = kernel::seal_page(deps_.tokens, ctx, page_of, page.back().version);
    page.resize(limit);
  }
  for (const VersionRecord& version : page) {
    out.versions->push_back(describe_listed(ctx, id, version, version_name(version.version)));
  }
  co_return out;
}

Task<AliasConfiguration> LambdaService::create_alias(Ctx& ctx, const CreateAliasRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  const auto weights = weights_of(in.routing_config);
  const std::string revision = uuid();
  AliasRecord answer = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<AliasRecord> {
    WriteStore store(tx, id.home(), catalog_);
    if (!co_await store.find_function(id.name)) {
      co_return err::ResourceNotFoundException(
          cat("Function not found: ", qualified_arn(ctx, id, in.function_version)));
    }
    if (co_await store.find_alias(id.name, in.name)) {
      co_return err::ResourceConflictException(cat("Alias already exists: ", qualified_arn(ctx, id, in.name)));
    }
    AliasRecord alias;
    alias.name = in.name;
    alias.version = co_await check_target(ctx, store, id, in.function_version, weights);
    alias.weights = weights;
    alias.description = in.description.value_or("");
    alias.revision = revision;
    store.put_alias(id.name, alias);
    co_return alias;
  });
  co_return describe(ctx, id, answer);
}

Task<AliasConfiguration> LambdaService::get_alias(Ctx& ctx, const GetAliasRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  const auto snapshot = deps_.db.snapshot();
  const auto alias = co_await Store(*snapshot, id.home()).find_alias(id.name, in.name);
  if (!alias) co_return no_alias(ctx, id, in.name);
  co_return describe(ctx, id, *alias);
}

Task<AliasConfiguration> LambdaService::update_alias(Ctx& ctx, const UpdateAliasRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  const std::string revision = uuid();
  AliasRecord answer = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<AliasRecord> {
    WriteStore store(tx, id.home(), catalog_);
    auto alias = co_await store.find_alias(id.name, in.name);
    if (!alias) co_return err::ResourceNotFoundException(cat("Alias not found: ", qualified_arn(ctx, id, in.name)));
    if (in.revision_id && *in.revision_id != alias->revision) co_return wrong_revision();
    if (in.routing_config) alias->weights = weights_of(in.routing_config);
    alias->version = co_await check_target(ctx, store, id, in.function_version.value_or(version_name(alias->version)),
                                           alias->weights);
    if (in.description) alias->description = *in.description;
    alias->revision = revision;
    store.put_alias(id.name, *alias);
    co_return *alias;
  });
  co_await apply_provisioned(id);
  co_return describe(ctx, id, answer);
}

Task<op::DeleteAlias::Output> LambdaService::delete_alias(Ctx& ctx, const DeleteAliasRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, id.home(), catalog_);
    if (!co_await store.find_function(id.name)) co_await fail(function_not_found(ctx, id));
    if (const auto url = co_await store.find_url(id.name, in.name)) store.erase_url(*url);
    store.erase_provisioned(id.name, in.name);
    store.erase_alias(id.name, in.name);  // deleting one that is not there is a success, as on AWS
    store.erase_policy(id.name, in.name);
  });
  co_await apply_provisioned(id);
  co_return op::DeleteAlias::Output{};
}

Task<ListAliasesResponse> LambdaService::list_aliases(Ctx& ctx, const ListAliasesRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  const std::string page_of = cat("lambda:ListAliases:", id.name);
  const auto after = kernel::open_page<std::string>(deps_.tokens, ctx, page_of, in.marker, bad_marker());
  const size_t limit = std::min<size_t>(in.max_items.value_or(kListPage), kListPage);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, id.home());
  if (!co_await store.find_function(id.name)) co_return function_not_found(ctx, id);
  auto page = co_await store.list_aliases(id.name, after.value_or(""), limit + 1);
  ListAliasesResponse out;
  out.aliases.emplace();
  if (page.size() > limit) {
    page.resize(limit);
    out.next_marker = kernel::seal_page(deps_.tokens, ctx, page_of, page.back().name);
  }
  for (const AliasRecord& alias : page) {
    if (!in.function_version || version_name(alias.version) == *in.function_version)
      out.aliases->push_back(describe(ctx, id, alias));
  }
  co_return out;
}

}  // namespace virga::lambda
