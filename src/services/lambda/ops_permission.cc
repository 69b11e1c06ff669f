#include <aws/lambda/errors.h>

#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "services/lambda/policy.h"
#include "services/lambda/service.h"

namespace virga::lambda {
namespace {

bool is_service(std::string_view text) {
  return text.ends_with(".amazonaws.com") || text.ends_with(".amazonaws.com.cn") || text.ends_with(".amazon.com") ||
         text.ends_with(".aws.internal");
}

// The principal element as Lambda writes it: a service, an account's root, an ARN or everybody.
Json principal_of(const std::string& text) {
  if (text == "*") return "*";
  if (is_service(text)) return Json::object({{"Service", text}});
  if (text.size() == 12 && parse_int(text)) return Json::object({{"AWS", cat("arn:aws:iam::", text, ":root")}});
  return Json::object({{"AWS", text}});
}

Json statement_of(const AddPermissionRequest& in, const std::string& resource) {
  Json statement = Json::object({{"Sid", in.statement_id},
                                 {"Effect", "Allow"},
                                 {"Principal", principal_of(in.principal)},
                                 {"Action", in.action},
                                 {"Resource", resource}});
  Json condition;
  if (in.source_account) condition["StringEquals"]["AWS:SourceAccount"] = *in.source_account;
  if (in.event_source_token) condition["StringEquals"]["lambda:EventSourceToken"] = *in.event_source_token;
  if (in.function_url_auth_type)
    condition["StringEquals"]["lambda:FunctionUrlAuthType"] = to_string(*in.function_url_auth_type);
  if (in.principal_org_id) condition["StringEquals"]["aws:PrincipalOrgID"] = *in.principal_org_id;
  if (in.source_arn) condition["ArnLike"]["AWS:SourceArn"] = *in.source_arn;
  if (in.invoked_via_function_url)
    condition["Bool"]["lambda:InvokedViaFunctionUrl"] = *in.invoked_via_function_url ? "true" : "false";
  if (!condition.is_null()) statement["Condition"] = std::move(condition);
  return statement;
}

// A qualifier's policy is its own: permissions of $LATEST and of an alias don't mix.
std::string policy_qualifier(const FunctionId& id) { return id.qualifier == kLatest ? "" : id.qualifier; }

// What a policy belongs to: $LATEST, a version or an alias. A change of the policy gives both a new revision, the same
// one; the holder's changes with other things as well.
struct Holder {
  std::optional<VersionRecord> version;
  std::optional<AliasRecord> alias;
};
Task<Holder> holder_of(const Ctx& ctx, const Store& store, FunctionId id) {
  Holder out;
  if (const auto version = parse_version(id.qualifier)) {
    out.version = co_await store.find_version(id.name, *version);
  } else {
    out.alias = co_await store.find_alias(id.name, id.qualifier);
  }
  if (!out.version && !out.alias) co_return qualifier_not_found(ctx, id);
  co_return out;
}
// What a change of the policy may insist on; the holder's while there is no policy.
void check_revision(const std::optional<std::string>& asked, const std::optional<PolicyRecord>& policy,
                    const Holder& holder) {
  if (!asked) return;
  const std::string& now = policy         ? policy->revision
                           : holder.alias ? holder.alias->revision
                                          : revision_id(*holder.version);
  if (*asked != now) throw wrong_revision("GetPolicy");
}
void put_revision(WriteStore& store, const std::string& function, Holder holder, const std::string& revision) {
  if (holder.alias) {
    holder.alias->revision = revision;
    store.put_alias(function, *holder.alias);
  } else {
    holder.version->shown_revision = revision;
    store.put_version(function, *holder.version);
  }
}

}  // namespace

Task<AddPermissionResponse> LambdaService::add_permission(Ctx& ctx, const AddPermissionRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  if (id.qualifier == kLatest)
    co_return err::InvalidParameterValueException("We currently do not support adding policies for $LATEST.");
  if (in.function_url_auth_type && in.action != "lambda:InvokeFunctionUrl") {
    co_return err::InvalidParameterValueException(
        "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action");
  }
  const std::string resource = id.qualifier.empty() ? function_arn(ctx, id) : qualified_arn(ctx, id, id.qualifier);
  const Json statement = statement_of(in, resource);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, id.home(), catalog_);
    if (!co_await store.find_function(id.name)) co_await fail(function_not_found(ctx, id));
    Holder holder = co_await holder_of(ctx, store, id);
    const auto former = co_await store.find_policy(id.name, id.qualifier);
    check_revision(in.revision_id, former, holder);
    const PolicyRecord policy = with_statement(former, statement);
    store.put_policy(id.name, id.qualifier, policy);
    put_revision(store, id.name, std::move(holder), policy.revision);
  });
  AddPermissionResponse out;
  out.statement = statement.dump();
  co_return out;
}

Task<op::RemovePermission::Output> LambdaService::remove_permission(Ctx& ctx, const RemovePermissionRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  const std::string revision = uuid();
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::RemovePermission::Output> {
    WriteStore store(tx, id.home(), catalog_);
    if (!co_await store.find_function(id.name))
      co_return err::ResourceNotFoundException(cat("No policy found for: ", function_arn(ctx, id)));
    Holder holder = co_await holder_of(ctx, store, id);
    const auto former = co_await store.find_policy(id.name, policy_qualifier(id));
    if (former) check_revision(in.revision_id, former, holder);
    put_revision(store, id.name, std::move(holder), revision);
    if (const auto policy = without_statement(former, in.statement_id, revision)) {
      store.put_policy(id.name, policy_qualifier(id), *policy);
    } else {
      store.erase_policy(id.name, policy_qualifier(id));
    }
    co_return op::RemovePermission::Output{};
  });
}

Task<GetPolicyResponse> LambdaService::get_policy(Ctx& ctx, const GetPolicyRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, id.home());
  const auto policy = co_await store.find_policy(id.name, policy_qualifier(id));
  if (!policy) co_return err::ResourceNotFoundException("The resource you requested does not exist.");
  GetPolicyResponse out;
  out.policy = policy->document;
  out.revision_id = policy->revision;
  co_return out;
}

// The policy of the function, version or alias that an ARN names; a layer version's of a layer's ARN.
Task<std::optional<std::string>> LambdaService::resource_policy(Ctx& ctx, std::string resource) {
  if (const auto layer = parse_layer_arn(resource)) {
    const auto snapshot = deps_.db.snapshot();
    const auto policy =
        co_await Store(*snapshot, {layer->account, layer->region}).find_layer_policy(layer->name, layer->version);
    co_return policy ? std::optional(policy->document) : std::nullopt;
  }
  const auto arn = kernel::parse_arn(resource);
  if (!arn || !arn->resource.starts_with("function:")) co_return std::nullopt;
  const auto parts = split(arn->resource, ':');
  std::string qualifier = parts.size() > 2 && parts[2] != kLatest ? std::string(parts[2]) : "";
  co_return co_await catalog_.policy({arn->account, arn->region}, std::string(parts[1]), std::move(qualifier));
}

}  // namespace virga::lambda
