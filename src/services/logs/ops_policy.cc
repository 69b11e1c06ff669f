// Resource policies: which services of AWS may write to log groups. What users and roles may is in their own policies
// alone.
#include <aws/logs/errors.h>

#include <stdexcept>

#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "kernel/page.h"
#include "kernel/policy.h"
#include "services/logs/limits.h"
#include "services/logs/service.h"

namespace virga::logs {
namespace {

// What a request is about: the account's policy of a name, or the policy of the group that an ARN names.
Policy subject_of(const std::optional<std::string>& name, const std::optional<std::string>& resource_arn) {
  if (name.has_value() == resource_arn.has_value()) {
    throw err::InvalidParameterException("Exactly one of policyName and resourceArn must be given.");
  }
  if (name) {
    if (name->empty()) throw err::InvalidParameterException("The policy name must not be empty.");
    return {.name = *name};
  }
  return {.group = group_named(std::nullopt, resource_arn)};
}

// Policies of groups are changed by those who know them as they are.
void check_revision(const std::optional<Policy>& known, const std::optional<std::string>& expected) {
  const std::string revision = known ? known->revision : "";
  if (revision == expected.value_or("")) return;
  throw err::OperationAbortedException("expectedRevisionId is not the revision of the resource policy.");
}

void check_document(const std::string& document) {
  try {
    kernel::policy::parse(document, kernel::policy::Type::kResource);
  } catch (const std::invalid_argument& fault) {
    throw err::InvalidParameterException(cat("Invalid policy document: ", fault.what()));
  }
}

Error no_policy(const Policy& policy) {
  return err::ResourceNotFoundException(policy.name.empty()
                                            ? "The specified resource policy does not exist."
                                            : cat("Policy with name [", policy.name, "] does not exist."));
}

ResourcePolicy describe(const Ctx& ctx, const Policy& policy) {
  ResourcePolicy out;
  out.policy_document = policy.document;
  out.last_updated_time = policy.updated.millis();
  if (policy.group.empty()) {
    out.policy_name = policy.name;
    out.policy_scope = PolicyScope::ACCOUNT;
  } else {
    out.policy_scope = PolicyScope::RESOURCE;
    out.resource_arn = group_arn(ctx, policy.group);
    out.revision_id = policy.revision;
  }
  return out;
}

// The statements of all as those of one document. What names a statement is only unique within a policy.
std::string together(const std::vector<Policy>& policies) {
  Json statements = Json::array();
  for (const Policy& policy : policies) {
    Json own = Json::parse(policy.document)["Statement"];
    const auto add = [&](Json& statement) {
      std::erase_if(statement.as_object(), [](const auto& member) { return member.first == "Sid"; });
      statements.push_back(std::move(statement));
    };
    if (!own.is_array()) {
      add(own);
      continue;
    }
    for (Json& statement : own.as_array()) add(statement);
  }
  return Json::object({{"Version", "2012-10-17"}, {"Statement", std::move(statements)}}).dump();
}

}  // namespace

Task<std::optional<std::string>> LogsService::resource_policy(Ctx& ctx, std::string resource) {
  if (ctx.principal.kind != kernel::Principal::Kind::kService) co_return std::nullopt;
  const auto arn = kernel::parse_arn(resource);
  if (!arn || !arn->resource.starts_with("log-group:")) co_return std::nullopt;
  const auto group = split_once(std::string_view(arn->resource).substr(10), ':').first;
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, {arn->account, arn->region});
  auto policies = co_await store.account_policies();
  if (auto own = co_await store.find_policy(std::string(group), "")) policies.push_back(std::move(*own));
  if (policies.empty()) co_return std::nullopt;
  co_return together(policies);
}

Task<PutResourcePolicyResponse> LogsService::put_resource_policy(Ctx& ctx, const PutResourcePolicyRequest& in) {
  const Policy subject = subject_of(in.policy_name, in.resource_arn);
  if (!in.policy_document) co_return err::InvalidParameterException("policyDocument must be given.");
  check_document(*in.policy_document);
  const Policy policy = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<Policy> {
    WriteStore store(tx, home_of(ctx));
    const auto known = co_await store.find_policy(subject.group, subject.name);
    if (!subject.group.empty()) {
      if (!co_await store.find_group(subject.group)) co_return no_group();
      check_revision(known, in.expected_revision_id);
    } else if (!known && (co_await store.account_policies()).size() >= kMaxPolicies) {
      co_return err::LimitExceededException("Resource limit exceeded.");
    }
    Policy policy = subject;
    policy.document = *in.policy_document;
    policy.revision = uuid();
    policy.updated = ctx.now();
    store.put_policy(policy);
    co_return policy;
  });
  PutResourcePolicyResponse out;
  out.resource_policy = describe(ctx, policy);
  out.revision_id = out.resource_policy->revision_id;
  co_return out;
}

Task<DescribeResourcePoliciesResponse> LogsService::describe_resource_policies(
    Ctx& ctx, const DescribeResourcePoliciesRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, home_of(ctx));
  DescribeResourcePoliciesResponse out;
  out.resource_policies.emplace();
  if (in.resource_arn) {
    if (in.policy_scope && *in.policy_scope != PolicyScope::RESOURCE) {
      co_return err::InvalidParameterException("A policy of a resource has the scope RESOURCE.");
    }
    const auto policy = co_await store.find_policy(group_named(std::nullopt, in.resource_arn), "");
    if (policy) out.resource_policies->push_back(describe(ctx, *policy));
    co_return out;
  }
  const PolicyScope scope = in.policy_scope.value_or(PolicyScope::ACCOUNT);
  const size_t limit = in.limit ? static_cast<size_t>(*in.limit) : kDefaultList;
  auto after =
      kernel::open_page<Policy>(deps_.tokens, ctx, "logs:DescribeResourcePolicies", in.next_token, bad_token());
  while (true) {
    const auto page = co_await store.list_policies(after, limit + 1);
    for (const Policy& policy : page) {
      if ((policy.group.empty() ? PolicyScope::ACCOUNT : PolicyScope::RESOURCE) == scope) {
        if (out.resource_policies->size() == limit) {
          out.next_token = kernel::seal_page(deps_.tokens, ctx, "logs:DescribeResourcePolicies", *after);
          co_return out;
        }
        out.resource_policies->push_back(describe(ctx, policy));
      }
      after = Policy{.group = policy.group, .name = policy.name};
    }
    if (page.size() <= limit) co_return out;
  }
}

Task<op::DeleteResourcePolicy::Output> LogsService::delete_resource_policy(Ctx& ctx,
                                                                           const DeleteResourcePolicyRequest& in) {
  const Policy subject = subject_of(in.policy_name, in.resource_arn);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::DeleteResourcePolicy::Output> {
    WriteStore store(tx, home_of(ctx));
    const auto known = co_await store.find_policy(subject.group, subject.name);
    if (!known) co_return no_policy(subject);
    if (!subject.group.empty()) check_revision(known, in.expected_revision_id);
    store.erase_policy(subject);
    co_return op::DeleteResourcePolicy::Output{};
  });
}

}  // namespace virga::logs
