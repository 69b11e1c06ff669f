#include <aws/iam/errors.h>

#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "base/str.h"
#include "services/iam/limits.h"
#include "services/iam/managed_policies.h"
#include "services/iam/service.h"

namespace virga::iam {

using kernel::Ctx;

namespace {

// When AWS's own policies came to be is of no use to anyone: one date for all.
const Time kAwsPolicyDate = Time::from_seconds(1'423'161'600);

Error no_policy(std::string_view arn) { return err::NoSuchEntityException(cat("Policy ", arn, " was not found.")); }

Error no_version(std::string_view arn, std::string_view id) {
  return err::NoSuchEntityException(cat("Policy ", arn, " version ", id, " does not exist or is not attachable."));
}

// The number of a version that there is.
int64_t need_version(const Managed& policy, std::string_view arn, const std::string& id) {
  const auto number = parse_version_id(id);
  if (!number || !policy.version(*number)) throw no_version(arn, id);
  return *number;
}

void check_size(std::string_view document) {
  check_identity_document(document);
  if (size_without_space(document) > kManagedPolicySize)
    throw err::LimitExceededException(cat("Cannot exceed quota for PolicySize: ", kManagedPolicySize));
}

// AWS's policies can be used, not changed.
void check_own(const Ctx& ctx, const std::string& arn) {
  if (find_aws_policy(arn))
    throw err::AccessDenied(
        cat("User: ", ctx.principal.arn, " is not authorized to change the AWS managed policy ", arn));
}

PolicyVersion wire_version(const Managed& policy, const Version& v, bool with_document) {
  PolicyVersion out;
  if (with_document) out.document = percent_encode(v.document);
  out.version_id = version_id(v.number);
  out.is_default_version = v.number == policy.current;
  out.create_date = v.created;
  return out;
}

void count_uses(const std::vector<PolicyUse>& uses, Policy& out) {
  const auto bounds =
      std::count_if(uses.begin(), uses.end(), [](const PolicyUse& u) { return u.use == Use::kBoundary; });
  out.permissions_boundary_usage_count = static_cast<int32_t>(bounds);
  out.attachment_count = static_cast<int32_t>(uses.size()) - *out.permissions_boundary_usage_count;
}

Task<Policy> wire_aws_policy(View& view, const AwsPolicy& p) {
  Policy out;
  out.policy_name = std::string(p.name);
  out.policy_id = p.id();
  out.arn = p.arn();
  out.path = std::string(p.path);
  out.default_version_id = "v1";
  out.is_attachable = true;
  out.create_date = out.update_date = kAwsPolicyDate;
  count_uses(co_await view.uses(*out.arn), out);
  co_return out;
}

}  // namespace

Task<Policy> IamService::wire_policy(View& view, const Managed& p) {
  Policy out;
  out.policy_name = p.name;
  out.policy_id = p.id;
  out.arn = policy_arn(view.account(), p.path, p.name);
  out.path = p.path;
  out.default_version_id = version_id(p.current);
  out.is_attachable = true;
  out.create_date = p.created;
  out.update_date = p.updated;
  count_uses(co_await view.uses(*out.arn), out);
  co_return out;
}

Task<CreatePolicyResponse> IamService::create_policy(Ctx& ctx, const CreatePolicyRequest& in) {
  check_size(in.policy_document);
  Managed policy;
  policy.name = in.policy_name;
  policy.path = in.path.value_or("/");
  policy.id = new_id("ANPA");
  policy.description = in.description.value_or("");
  policy.created = policy.updated = ctx.now();
  policy.versions = {{1, in.policy_document, ctx.now()}};
  if (in.tags) add_tags(policy.tags, *in.tags);
  co_return co_await db_.transact([&](kv::Txn& tx) -> Task<CreatePolicyResponse> {
    Store store(tx, ctx.account);
    if (co_await store.find_policy(policy.name))
      co_return err::EntityAlreadyExistsException(
          cat("A policy called ", policy.name, " already exists. Duplicate names are not allowed."));
    store.put(policy);
    tx.on_commit([this] { directory_.invalidate(); });
    Policy out = co_await wire_policy(store, policy);
    if (!policy.tags.empty()) out.tags = wire_tags(policy.tags);
    co_return CreatePolicyResponse{std::move(out)};
  });
}

Task<GetPolicyResponse> IamService::get_policy(Ctx& ctx, const GetPolicyRequest& in) {
  const auto reader = db_.snapshot();
  View view(*reader, ctx.account);
  if (const AwsPolicy* aws = find_aws_policy(in.policy_arn)) {
    Policy out = co_await wire_aws_policy(view, *aws);
    out.description = std::string(aws->description);
    co_return GetPolicyResponse{std::move(out)};
  }
  const auto policy = co_await view.find_policy_arn(in.policy_arn);
  if (!policy) co_return no_policy(in.policy_arn);
  Policy out = co_await wire_policy(view, *policy);
  if (!policy->description.empty()) out.description = policy->description;
  out.tags = wire_tags(policy->tags);
  co_return GetPolicyResponse{std::move(out)};
}

Task<DeletePolicyOutput> IamService::delete_policy(Ctx& ctx, const DeletePolicyRequest& in) {
  check_own(ctx, in.policy_arn);
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, ctx.account);
    const auto policy = co_await store.find_policy_arn(in.policy_arn);
    if (!policy) co_await fail(no_policy(in.policy_arn));
    if (!(co_await store.uses(in.policy_arn)).empty())
      co_await fail(err::DeleteConflictException("Cannot delete a policy attached to entities."));
    if (policy->versions.size() > 1)
      co_await fail(err::DeleteConflictException(
          "This policy has more than one version. Before you delete a policy, you must delete "
          "the policy's versions. The default version is deleted with the policy."));
    store.erase_policy(policy->name);
    tx.on_commit([this] { directory_.invalidate(); });
  });
  co_return DeletePolicyOutput{};
}

Task<ListPoliciesResponse> IamService::list_policies(Ctx& ctx, const ListPoliciesRequest& in) {
  const auto reader = db_.snapshot();
  View view(*reader, ctx.account);
  const policyScopeType scope = in.scope.value_or(policyScopeType::All);
  const std::string prefix = in.path_prefix.value_or("/");
  std::vector<Policy> all;
  const auto add = [&](Policy policy) {
    if (!policy.path->starts_with(prefix)) return;
    const bool wants_bounds = in.policy_usage_filter == PolicyUsageType::PermissionsBoundary;
    if (in.policy_usage_filter &&
        (wants_bounds ? *policy.permissions_boundary_usage_count : *policy.attachment_count) == 0)
      return;
    if (in.only_attached.value_or(false) && *policy.attachment_count == 0) return;
    all.push_back(std::move(policy));
  };
  if (scope != policyScopeType::AWS) {
    std::string last;
    for (;;) {
      const auto some = co_await view.list_policies(last, 500);
      for (const Managed& policy : some) {
        add(co_await wire_policy(view, policy));
        last = policy.name;
      }
      if (some.size() < 500) break;
    }
  }
  if (scope != policyScopeType::Local) {
    for (const AwsPolicy& policy : aws_policies()) add(co_await wire_aws_policy(view, policy));
  }
  ListPoliciesResponse out;
  out.policies = page(ctx, "ListPolicies", in, std::move(all), out);
  co_return out;
}

Task<CreatePolicyVersionResponse> IamService::create_policy_version(Ctx& ctx, const CreatePolicyVersionRequest& in) {
  check_own(ctx, in.policy_arn);
  check_size(in.policy_document);
  const Managed policy = co_await change_policy(ctx, in.policy_arn, [&](Managed& p) {
    if (p.versions.size() >= kPolicyVersions)
      throw err::LimitExceededException(
          cat("A managed policy can have up to ", kPolicyVersions,
              " versions. Before you create a new version, you must delete an existing version."));
    p.versions.push_back({p.next++, in.policy_document, ctx.now()});
    p.updated = ctx.now();
    if (in.set_as_default.value_or(false)) p.current = p.versions.back().number;
  });
  co_return CreatePolicyVersionResponse{wire_version(policy, policy.versions.back(), false)};
}

Task<GetPolicyVersionResponse> IamService::get_policy_version(Ctx& ctx, const GetPolicyVersionRequest& in) {
  if (const AwsPolicy* aws = find_aws_policy(in.policy_arn)) {
    if (parse_version_id(in.version_id) != 1) co_return no_version(in.policy_arn, in.version_id);
    PolicyVersion out{percent_encode(aws->document()), "v1", true, kAwsPolicyDate};
    co_return GetPolicyVersionResponse{std::move(out)};
  }
  const auto reader = db_.snapshot();
  View view(*reader, ctx.account);
  const auto policy = co_await view.find_policy_arn(in.policy_arn);
  if (!policy) co_return no_policy(in.policy_arn);
  const auto number = need_version(*policy, in.policy_arn, in.version_id);
  co_return GetPolicyVersionResponse{wire_version(*policy, *policy->version(number), true)};
}

Task<DeletePolicyVersionOutput> IamService::delete_policy_version(Ctx& ctx, const DeletePolicyVersionRequest& in) {
  check_own(ctx, in.policy_arn);
  co_await change_policy(ctx, in.policy_arn, [&](Managed& p) {
    const auto number = need_version(p, in.policy_arn, in.version_id);
    if (number == p.current) throw err::DeleteConflictException("Cannot delete the default version of a policy.");
    std::erase_if(p.versions, [&](const Version& v) { return v.number == number; });
  });
  co_return DeletePolicyVersionOutput{};
}

Task<ListPolicyVersionsResponse> IamService::list_policy_versions(Ctx& ctx, const ListPolicyVersionsRequest& in) {
  std::vector<PolicyVersion> versions;
  if (find_aws_policy(in.policy_arn)) {
    versions.push_back({std::nullopt, "v1", true, kAwsPolicyDate});
  } else {
    const auto reader = db_.snapshot();
    View view(*reader, ctx.account);
    const auto policy = co_await view.find_policy_arn(in.policy_arn);
    if (!policy) co_return no_policy(in.policy_arn);
    for (auto v = policy->versions.rbegin(); v != policy->versions.rend(); ++v)
      versions.push_back(wire_version(*policy, *v, false));
  }
  ListPolicyVersionsResponse out;
  out.versions = page(ctx, cat("ListPolicyVersions:", in.policy_arn), in, std::move(versions), out);
  co_return out;
}

Task<SetDefaultPolicyVersionOutput> IamService::set_default_policy_version(Ctx& ctx,
                                                                           const SetDefaultPolicyVersionRequest& in) {
  check_own(ctx, in.policy_arn);
  co_await change_policy(ctx, in.policy_arn, [&](Managed& p) {
    p.current = need_version(p, in.policy_arn, in.version_id);
    p.updated = ctx.now();
  });
  co_return SetDefaultPolicyVersionOutput{};
}

Task<ListEntitiesForPolicyResponse> IamService::list_entities_for_policy(Ctx& ctx,
                                                                         const ListEntitiesForPolicyRequest& in) {
  const auto reader = db_.snapshot();
  View view(*reader, ctx.account);
  if (!find_aws_policy(in.policy_arn) && !(co_await view.find_policy_arn(in.policy_arn)))
    co_return no_policy(in.policy_arn);
  const std::string prefix = in.path_prefix.value_or("/");
  ListEntitiesForPolicyResponse out;
  out.policy_groups.emplace();
  out.policy_users.emplace();
  out.policy_roles.emplace();
  auto uses = co_await view.uses(in.policy_arn);
  std::erase_if(uses, [&](const PolicyUse& u) {
    const EntityType type = u.kind == Kind::kUser   ? EntityType::User
                            : u.kind == Kind::kRole ? EntityType::Role
                                                    : EntityType::Group;
    if (in.entity_filter && *in.entity_filter != type) return true;
    return in.policy_usage_filter &&
           (*in.policy_usage_filter == PolicyUsageType::PermissionsBoundary) != (u.use == Use::kBoundary);
  });
  std::set<std::pair<Kind, std::string>> seen;
  for (const PolicyUse& use : page(ctx, cat("ListEntitiesForPolicy:", in.policy_arn), in, std::move(uses), out)) {
    if (!seen.emplace(use.kind, use.name).second) continue;
    const auto entity = co_await view.find(use.kind, use.name);
    if (!entity || !entity->path.starts_with(prefix)) continue;
    switch (use.kind) {
      case Kind::kUser:
        out.policy_users->push_back({entity->name, entity->id});
        break;
      case Kind::kGroup:
        out.policy_groups->push_back({entity->name, entity->id});
        break;
      case Kind::kRole:
        out.policy_roles->push_back({entity->name, entity->id});
        break;
    }
  }
  co_return out;
}

Task<TagPolicyOutput> IamService::tag_policy(Ctx& ctx, const TagPolicyRequest& in) {
  check_own(ctx, in.policy_arn);
  co_await change_policy(ctx, in.policy_arn, [&](Managed& p) { add_tags(p.tags, in.tags); });
  co_return TagPolicyOutput{};
}

Task<UntagPolicyOutput> IamService::untag_policy(Ctx& ctx, const UntagPolicyRequest& in) {
  check_own(ctx, in.policy_arn);
  co_await change_policy(ctx, in.policy_arn, [&](Managed& p) { remove_tags(p.tags, in.tag_keys); });
  co_return UntagPolicyOutput{};
}

Task<ListPolicyTagsResponse> IamService::list_policy_tags(Ctx& ctx, const ListPolicyTagsRequest& in) {
  ListPolicyTagsResponse out;
  out.is_truncated = false;
  if (find_aws_policy(in.policy_arn)) co_return out;
  const auto reader = db_.snapshot();
  View view(*reader, ctx.account);
  const auto policy = co_await view.find_policy_arn(in.policy_arn);
  if (!policy) co_return no_policy(in.policy_arn);
  out.tags = page(ctx, cat("ListPolicyTags:", in.policy_arn), in, wire_tags(policy->tags), out);
  co_return out;
}

}  // namespace virga::iam
