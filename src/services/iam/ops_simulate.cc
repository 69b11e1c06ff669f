#include <aws/iam/errors.h>

#include <set>
#include <stdexcept>

#include "base/str.h"
#include "kernel/policy_document.h"
#include "services/iam/limits.h"
#include "services/iam/managed_policies.h"
#include "services/iam/service.h"

namespace virga::iam {

using kernel::Ctx;
namespace policy = kernel::policy;

namespace {

policy::DocumentPtr parse_input(const std::string& text, policy::Type type) {
  try {
    return policy::parse(text, type);
  } catch (const std::invalid_argument& e) {
    throw err::InvalidInputException(e.what());
  }
}

PolicyEvaluationDecisionType wire_decision(policy::Decision d) {
  switch (d) {
    case policy::Decision::kAllow:
      return PolicyEvaluationDecisionType::allowed;
    case policy::Decision::kExplicitDeny:
      return PolicyEvaluationDecisionType::explicitDeny;
    case policy::Decision::kImplicitDeny:
      return PolicyEvaluationDecisionType::implicitDeny;
  }
  return PolicyEvaluationDecisionType::implicitDeny;
}

void collect_keys(const policy::DocumentPtr& document, std::set<std::string>& keys) {
  if (!document) return;
  for (const auto& s : document->statements) {
    for (const auto& c : s.conditions) keys.insert(c.key);
    for (const auto& r : s.resources) {
      for (const auto& piece : r.pieces) {
        if (const auto* variable = std::get_if<policy::Pattern::Variable>(&piece)) keys.insert(variable->key);
      }
    }
  }
}

// Whose policies a simulated caller's ARN stands for.
kernel::Principal principal_of(const std::string& arn, const std::string& account) {
  kernel::Principal p;
  p.account = account;
  p.arn = arn;
  const auto parsed = kernel::parse_arn(arn);
  if (!parsed) throw err::InvalidInputException(cat("Invalid ARN: ", arn));
  p.account = parsed->account;
  if (parsed->resource == "root") return kernel::root_of(parsed->account);
  const bool role = parsed->resource.starts_with("role/") || parsed->resource.starts_with("assumed-role/");
  p.kind = role ? kernel::Principal::Kind::kRoleSession : kernel::Principal::Kind::kUser;
  if (role) p.role_arn = arn;
  return p;
}

}  // namespace

Task<SimulatePolicyResponse> IamService::simulate(Ctx& ctx, const SimulateCustomPolicyRequest& in,
                                                  kernel::PrincipalPolicies own, std::vector<std::string> sources,
                                                  kernel::Principal caller) {
  policy::Policies all;
  all.identity = std::move(own.identity);
  all.boundary = own.boundary;
  for (size_t i = 0; i < in.policy_input_list.size(); ++i) {
    all.identity.push_back(parse_input(in.policy_input_list[i], policy::Type::kIdentity));
    sources.push_back(cat("PolicyInputList.", i + 1));
  }
  if (in.permissions_boundary_policy_input_list && !in.permissions_boundary_policy_input_list->empty())
    all.boundary = parse_input(in.permissions_boundary_policy_input_list->front(), policy::Type::kIdentity);
  if (in.resource_policy) all.resource = parse_input(*in.resource_policy, policy::Type::kResource);
  if (in.resource_owner) {
    const auto owner = kernel::parse_arn(*in.resource_owner);
    if (!owner) throw err::InvalidInputException(cat("Invalid ARN: ", *in.resource_owner));
    all.resource_account = owner->account;
  }

  policy::Request request{&caller, {}, {}, {}};
  std::set<std::string> wanted;
  for (const auto& d : all.identity) collect_keys(d, wanted);
  collect_keys(all.boundary, wanted);
  collect_keys(all.resource, wanted);
  if (in.context_entries) {
    for (const ContextEntry& entry : *in.context_entries) {
      if (entry.context_key_name)
        request.keys[lower(*entry.context_key_name)] = entry.context_key_values.value_or(std::vector<std::string>{});
    }
  }
  std::vector<std::string> missing;
  for (const std::string& key : wanted) {
    if (!request.keys.contains(key)) missing.push_back(key);
  }

  std::vector<EvaluationResult> results;
  const std::vector<std::string> resources = in.resource_arns.value_or(std::vector<std::string>{"*"});
  for (const std::string& action : in.action_names) {
    for (const std::string& resource : resources) {
      request.action = action;
      request.resource = resource;
      const policy::Outcome outcome = policy::evaluate(all, request);
      EvaluationResult r;
      r.eval_action_name = action;
      r.eval_resource_name = resource;
      r.eval_decision = wire_decision(outcome.decision);
      r.missing_context_values = missing;
      r.matched_statements.emplace();
      for (size_t i = 0; i < all.identity.size(); ++i) {
        // A document alone, so that what it says can be told from what the others say.
        const auto alone = policy::evaluate({.identity = {all.identity[i]}}, request);
        if (alone.decision == policy::Decision::kImplicitDeny || alone.decision != outcome.decision) continue;
        Statement matched;
        matched.source_policy_id = sources[i];
        matched.source_policy_type = PolicySourceType::none;
        r.matched_statements->push_back(std::move(matched));
      }
      if (all.boundary)
        r.permissions_boundary_decision_detail = PermissionsBoundaryDecisionDetail{
            policy::evaluate({.identity = {all.boundary}}, request).decision == policy::Decision::kAllow};
      results.push_back(std::move(r));
    }
  }
  SimulatePolicyResponse out;
  out.evaluation_results = page(ctx, "SimulatePolicy", in, std::move(results), out);
  co_return out;
}

Task<SimulatePolicyResponse> IamService::simulate_custom_policy(Ctx& ctx, const SimulateCustomPolicyRequest& in) {
  kernel::Principal caller =
      principal_of(in.caller_arn.value_or(cat("arn:aws:iam::", ctx.account, ":user/simulated")), ctx.account);
  co_return co_await simulate(ctx, in, {}, {}, std::move(caller));
}

Task<SimulatePolicyResponse> IamService::simulate_principal_policy(Ctx& ctx, const SimulatePrincipalPolicyRequest& in) {
  const auto source = kernel::parse_arn(in.policy_source_arn);
  if (!source || source->account != ctx.account)
    co_return err::InvalidInputException(cat("Invalid Entity Arn: ", in.policy_source_arn));
  const size_t slash = source->resource.find('/');
  const std::string type = source->resource.substr(0, slash),
                    name = source->resource.substr(source->resource.rfind('/') + 1);
  const Kind kind = type == "role" ? Kind::kRole : type == "group" ? Kind::kGroup : Kind::kUser;
  const Entity entity = co_await read(ctx, kind, name);

  kernel::PrincipalPolicies own;
  std::vector<std::string> sources;
  kernel::Principal caller = principal_of(in.policy_source_arn, ctx.account);
  const auto add = [&](const Entity& e) -> Task<void> {
    for (const auto& [policy, document] : e.policies) {
      own.identity.push_back(parse_input(document, policy::Type::kIdentity));
      sources.push_back(cat(word(kind), '_', e.name, '_', policy));
    }
    for (const std::string& arn : e.attached) {
      if (const auto document = co_await directory_.find_managed_policy(ctx.account, arn)) {
        own.identity.push_back(parse_input(*document, policy::Type::kIdentity));
        sources.push_back(arn.substr(arn.rfind('/') + 1));
      }
    }
  };
  co_await add(entity);
  for (const std::string& group : entity.groups) co_await add(co_await read(ctx, Kind::kGroup, group));
  if (!entity.boundary.empty()) {
    if (const auto document = co_await directory_.find_managed_policy(ctx.account, entity.boundary))
      own.boundary = parse_input(*document, policy::Type::kIdentity);
  }

  SimulateCustomPolicyRequest custom;
  custom.policy_input_list = in.policy_input_list.value_or(std::vector<std::string>{});
  custom.permissions_boundary_policy_input_list = in.permissions_boundary_policy_input_list;
  custom.action_names = in.action_names;
  custom.resource_arns = in.resource_arns;
  custom.resource_policy = in.resource_policy;
  custom.resource_owner = in.resource_owner;
  custom.context_entries = in.context_entries;
  custom.max_items = in.max_items;
  custom.marker = in.marker;
  if (in.caller_arn) caller = principal_of(*in.caller_arn, ctx.account);
  co_return co_await simulate(ctx, custom, std::move(own), std::move(sources), std::move(caller));
}

}  // namespace virga::iam
