#include <aws/lambda/errors.h>

#include "base/json.h"
#include "base/str.h"
#include "services/lambda/policy.h"
#include "services/lambda/service.h"

namespace virga::lambda {
namespace {

// The principal element as Lambda writes it: a service, an account's root, an ARN or everybody.
Json principal_of(const std::string& text) {
  if (text == "*") return "*";
  if (text.find(".amazonaws.com") != text.npos || text.find('.') != text.npos) return Json::object({{"Service", text}});
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

}  // namespace

Task<AddPermissionResponse> LambdaService::add_permission(Ctx& ctx, const AddPermissionRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  co_await route(ctx, id);  // the function, version or alias exists
  const std::string resource = id.qualifier.empty() ? function_arn(ctx, id) : qualified_arn(ctx, id, id.qualifier);
  const Json statement = statement_of(in, resource);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, id.home(), catalog_);
    if (!co_await store.find_function(id.name)) co_await fail(function_not_found(ctx, id));
    const auto former = co_await store.find_policy(id.name, policy_qualifier(id));
    store.put_policy(id.name, policy_qualifier(id), with_statement(former, in.revision_id, statement));
  });
  AddPermissionResponse out;
  out.statement = statement.dump();
  co_return out;
}

Task<op::RemovePermission::Output> LambdaService::remove_permission(Ctx& ctx, const RemovePermissionRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::RemovePermission::Output> {
    WriteStore store(tx, id.home(), catalog_);
    if (!co_await store.find_function(id.name)) co_return function_not_found(ctx, id);
    const auto former = co_await store.find_policy(id.name, policy_qualifier(id));
    if (const auto policy = without_statement(former, in.revision_id, in.statement_id)) {
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
  if (!co_await store.find_function(id.name)) co_return function_not_found(ctx, id);
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
