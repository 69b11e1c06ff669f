#include "services/iam/service.h"

#include <aws/iam/model.h>

#include <algorithm>
#include <array>

#include "base/str.h"
#include "kernel/page.h"
#include "services/iam/api.h"

namespace virga::iam {

using kernel::Access;
using kernel::Ctx;

namespace {

// What permissions are about, without the paths, which requests do not say: add_paths completes them.
template <class In>
std::string user_of(const Ctx& ctx, const In& in) {
  return entity_arn(ctx.account, Kind::kUser, "/", in.user_name);
}
template <class In>
std::string self_of(const Ctx& ctx, const In& in) {
  if (!in.user_name) return ctx.principal.kind == kernel::Principal::Kind::kUser ? ctx.principal.arn : std::string("*");
  return entity_arn(ctx.account, Kind::kUser, "/", *in.user_name);
}
template <class In>
std::string group_of(const Ctx& ctx, const In& in) {
  return entity_arn(ctx.account, Kind::kGroup, "/", in.group_name);
}
template <class In>
std::string role_of(const Ctx& ctx, const In& in) {
  return entity_arn(ctx.account, Kind::kRole, "/", in.role_name);
}
template <class In>
std::string policy_of(const Ctx&, const In& in) {
  return in.policy_arn;
}

using Conditions = std::vector<std::pair<std::string, std::vector<std::string>>>;

void add_tag_conditions(Conditions& out, const std::optional<std::vector<Tag>>& tags) {
  if (!tags) return;
  std::vector<std::string> keys;
  for (const Tag& tag : *tags) {
    out.push_back({cat("aws:RequestTag/", tag.key), {tag.value}});
    keys.push_back(tag.key);
  }
  out.push_back({"aws:TagKeys", std::move(keys)});
}

// arn:aws:iam::1:user/… with that path and name.
std::string with_path(std::string_view arn, std::string_view path, std::string_view name) {
  return cat(arn.substr(0, arn.find('/')), path, name);
}

template <class In>
std::vector<Access> attaching(std::string action, std::string resource, const In& in) {
  return {{std::move(action), std::move(resource), {{"iam:PolicyARN", {in.policy_arn}}}}};
}

template <class In>
std::vector<Access> creating(std::string action, std::string resource, const In& in) {
  Access access{std::move(action), std::move(resource), {}};
  if (in.permissions_boundary) access.conditions.push_back({"iam:PermissionsBoundary", {*in.permissions_boundary}});
  add_tag_conditions(access.conditions, in.tags);
  return {std::move(access)};
}

}  // namespace

IamService::IamService(kernel::Deps& deps, Options options)
    : db_(deps.db),
      clock_(deps.clock),
      tokens_(deps.tokens),
      directory_(deps.db, deps.clock, deps.tokens, std::move(options)) {}

const wire::ServiceModel& IamService::model() const { return kModel; }

void IamService::operations(kernel::OpTable& t) {
  using S = IamService;
  t.add<op::CreateUser>(this, &S::create_user).access([](const Ctx& ctx, const CreateUserRequest& in) {
    return creating("iam:CreateUser", entity_arn(ctx.account, Kind::kUser, in.path.value_or("/"), in.user_name), in);
  });
  t.add<op::GetUser>(this, &S::get_user).resource(self_of<GetUserRequest>);
  t.add<op::UpdateUser>(this, &S::update_user)
      .resource(user_of<UpdateUserRequest>)
      .complete([this](Ctx& ctx, const UpdateUserRequest& in, std::vector<Access>& questions) {
        return add_new_name(ctx, questions, in.new_path, in.new_user_name);
      });
  t.add<op::DeleteUser>(this, &S::delete_user).resource(user_of<DeleteUserRequest>);
  t.add<op::ListUsers>(this, &S::list_users);
  t.add<op::TagUser>(this, &S::tag_user).resource(user_of<TagUserRequest>);
  t.add<op::UntagUser>(this, &S::untag_user).resource(user_of<UntagUserRequest>);
  t.add<op::ListUserTags>(this, &S::list_user_tags).resource(user_of<ListUserTagsRequest>);
  t.add<op::PutUserPermissionsBoundary>(this, &S::put_user_permissions_boundary)
      .resource(user_of<PutUserPermissionsBoundaryRequest>);
  t.add<op::DeleteUserPermissionsBoundary>(this, &S::delete_user_permissions_boundary)
      .resource(user_of<DeleteUserPermissionsBoundaryRequest>);

  t.add<op::CreateGroup>(this, &S::create_group).resource([](const Ctx& ctx, const CreateGroupRequest& in) {
    return entity_arn(ctx.account, Kind::kGroup, in.path.value_or("/"), in.group_name);
  });
  t.add<op::GetGroup>(this, &S::get_group).resource(group_of<GetGroupRequest>);
  t.add<op::UpdateGroup>(this, &S::update_group)
      .resource(group_of<UpdateGroupRequest>)
      .complete([this](Ctx& ctx, const UpdateGroupRequest& in, std::vector<Access>& questions) {
        return add_new_name(ctx, questions, in.new_path, in.new_group_name);
      });
  t.add<op::DeleteGroup>(this, &S::delete_group).resource(group_of<DeleteGroupRequest>);
  t.add<op::ListGroups>(this, &S::list_groups);
  t.add<op::ListGroupsForUser>(this, &S::list_groups_for_user).resource(user_of<ListGroupsForUserRequest>);
  t.add<op::AddUserToGroup>(this, &S::add_user_to_group).resource(group_of<AddUserToGroupRequest>);
  t.add<op::RemoveUserFromGroup>(this, &S::remove_user_from_group).resource(group_of<RemoveUserFromGroupRequest>);

  t.add<op::CreateRole>(this, &S::create_role).access([](const Ctx& ctx, const CreateRoleRequest& in) {
    return creating("iam:CreateRole", entity_arn(ctx.account, Kind::kRole, in.path.value_or("/"), in.role_name), in);
  });
  t.add<op::GetRole>(this, &S::get_role).resource(role_of<GetRoleRequest>);
  t.add<op::UpdateRole>(this, &S::update_role).resource(role_of<UpdateRoleRequest>);
  t.add<op::UpdateRoleDescription>(this, &S::update_role_description).resource(role_of<UpdateRoleDescriptionRequest>);
  t.add<op::UpdateAssumeRolePolicy>(this, &S::update_assume_role_policy)
      .resource(role_of<UpdateAssumeRolePolicyRequest>);
  t.add<op::DeleteRole>(this, &S::delete_role).resource(role_of<DeleteRoleRequest>);
  t.add<op::ListRoles>(this, &S::list_roles);
  t.add<op::TagRole>(this, &S::tag_role).resource(role_of<TagRoleRequest>);
  t.add<op::UntagRole>(this, &S::untag_role).resource(role_of<UntagRoleRequest>);
  t.add<op::ListRoleTags>(this, &S::list_role_tags).resource(role_of<ListRoleTagsRequest>);
  t.add<op::PutRolePermissionsBoundary>(this, &S::put_role_permissions_boundary)
      .resource(role_of<PutRolePermissionsBoundaryRequest>);
  t.add<op::DeleteRolePermissionsBoundary>(this, &S::delete_role_permissions_boundary)
      .resource(role_of<DeleteRolePermissionsBoundaryRequest>);

  t.add<op::PutUserPolicy>(this, &S::put_user_policy).resource(user_of<PutUserPolicyRequest>);
  t.add<op::PutGroupPolicy>(this, &S::put_group_policy).resource(group_of<PutGroupPolicyRequest>);
  t.add<op::PutRolePolicy>(this, &S::put_role_policy).resource(role_of<PutRolePolicyRequest>);
  t.add<op::GetUserPolicy>(this, &S::get_user_policy).resource(user_of<GetUserPolicyRequest>);
  t.add<op::GetGroupPolicy>(this, &S::get_group_policy).resource(group_of<GetGroupPolicyRequest>);
  t.add<op::GetRolePolicy>(this, &S::get_role_policy).resource(role_of<GetRolePolicyRequest>);
  t.add<op::DeleteUserPolicy>(this, &S::delete_user_policy).resource(user_of<DeleteUserPolicyRequest>);
  t.add<op::DeleteGroupPolicy>(this, &S::delete_group_policy).resource(group_of<DeleteGroupPolicyRequest>);
  t.add<op::DeleteRolePolicy>(this, &S::delete_role_policy).resource(role_of<DeleteRolePolicyRequest>);
  t.add<op::ListUserPolicies>(this, &S::list_user_policies).resource(user_of<ListUserPoliciesRequest>);
  t.add<op::ListGroupPolicies>(this, &S::list_group_policies).resource(group_of<ListGroupPoliciesRequest>);
  t.add<op::ListRolePolicies>(this, &S::list_role_policies).resource(role_of<ListRolePoliciesRequest>);
  t.add<op::AttachUserPolicy>(this, &S::attach_user_policy)
      .access([](const Ctx& ctx, const AttachUserPolicyRequest& in) {
        return attaching("iam:AttachUserPolicy", user_of(ctx, in), in);
      });
  t.add<op::AttachGroupPolicy>(this, &S::attach_group_policy)
      .access([](const Ctx& ctx, const AttachGroupPolicyRequest& in) {
        return attaching("iam:AttachGroupPolicy", group_of(ctx, in), in);
      });
  t.add<op::AttachRolePolicy>(this, &S::attach_role_policy)
      .access([](const Ctx& ctx, const AttachRolePolicyRequest& in) {
        return attaching("iam:AttachRolePolicy", role_of(ctx, in), in);
      });
  t.add<op::DetachUserPolicy>(this, &S::detach_user_policy)
      .access([](const Ctx& ctx, const DetachUserPolicyRequest& in) {
        return attaching("iam:DetachUserPolicy", user_of(ctx, in), in);
      });
  t.add<op::DetachGroupPolicy>(this, &S::detach_group_policy)
      .access([](const Ctx& ctx, const DetachGroupPolicyRequest& in) {
        return attaching("iam:DetachGroupPolicy", group_of(ctx, in), in);
      });
  t.add<op::DetachRolePolicy>(this, &S::detach_role_policy)
      .access([](const Ctx& ctx, const DetachRolePolicyRequest& in) {
        return attaching("iam:DetachRolePolicy", role_of(ctx, in), in);
      });
  t.add<op::ListAttachedUserPolicies>(this, &S::list_attached_user_policies)
      .resource(user_of<ListAttachedUserPoliciesRequest>);
  t.add<op::ListAttachedGroupPolicies>(this, &S::list_attached_group_policies)
      .resource(group_of<ListAttachedGroupPoliciesRequest>);
  t.add<op::ListAttachedRolePolicies>(this, &S::list_attached_role_policies)
      .resource(role_of<ListAttachedRolePoliciesRequest>);

  t.add<op::CreatePolicy>(this, &S::create_policy).resource([](const Ctx& ctx, const CreatePolicyRequest& in) {
    return policy_arn(ctx.account, in.path.value_or("/"), in.policy_name);
  });
  t.add<op::GetPolicy>(this, &S::get_policy).resource(policy_of<GetPolicyRequest>);
  t.add<op::DeletePolicy>(this, &S::delete_policy).resource(policy_of<DeletePolicyRequest>);
  t.add<op::ListPolicies>(this, &S::list_policies);
  t.add<op::CreatePolicyVersion>(this, &S::create_policy_version).resource(policy_of<CreatePolicyVersionRequest>);
  t.add<op::GetPolicyVersion>(this, &S::get_policy_version).resource(policy_of<GetPolicyVersionRequest>);
  t.add<op::DeletePolicyVersion>(this, &S::delete_policy_version).resource(policy_of<DeletePolicyVersionRequest>);
  t.add<op::ListPolicyVersions>(this, &S::list_policy_versions).resource(policy_of<ListPolicyVersionsRequest>);
  t.add<op::SetDefaultPolicyVersion>(this, &S::set_default_policy_version)
      .resource(policy_of<SetDefaultPolicyVersionRequest>);
  t.add<op::ListEntitiesForPolicy>(this, &S::list_entities_for_policy)
      .resource(policy_of<ListEntitiesForPolicyRequest>);
  t.add<op::TagPolicy>(this, &S::tag_policy).resource(policy_of<TagPolicyRequest>);
  t.add<op::UntagPolicy>(this, &S::untag_policy).resource(policy_of<UntagPolicyRequest>);
  t.add<op::ListPolicyTags>(this, &S::list_policy_tags).resource(policy_of<ListPolicyTagsRequest>);

  t.add<op::CreateAccessKey>(this, &S::create_access_key).resource(self_of<CreateAccessKeyRequest>);
  t.add<op::UpdateAccessKey>(this, &S::update_access_key).resource(self_of<UpdateAccessKeyRequest>);
  t.add<op::DeleteAccessKey>(this, &S::delete_access_key).resource(self_of<DeleteAccessKeyRequest>);
  t.add<op::ListAccessKeys>(this, &S::list_access_keys).resource(self_of<ListAccessKeysRequest>);
  t.add<op::GetAccessKeyLastUsed>(this, &S::get_access_key_last_used)
      .complete([this](Ctx& ctx, const GetAccessKeyLastUsedRequest& in, std::vector<Access>& questions) {
        return add_key_owner(ctx, questions, in.access_key_id);
      });

  t.add<op::GetAccountSummary>(this, &S::get_account_summary);
  t.add<op::ListAccountAliases>(this, &S::list_account_aliases);
  t.add<op::ListInstanceProfiles>(this, &S::list_instance_profiles);
  t.add<op::ListInstanceProfilesForRole>(this, &S::list_instance_profiles_for_role)
      .resource(role_of<ListInstanceProfilesForRoleRequest>);
  t.add<op::ListMFADevices>(this, &S::list_mfa_devices).resource(self_of<ListMFADevicesRequest>);
  t.add<op::ListSSHPublicKeys>(this, &S::list_ssh_public_keys).resource(self_of<ListSSHPublicKeysRequest>);
  t.add<op::ListSigningCertificates>(this, &S::list_signing_certificates)
      .resource(self_of<ListSigningCertificatesRequest>);
  t.add<op::ListServiceSpecificCredentials>(this, &S::list_service_specific_credentials)
      .resource(self_of<ListServiceSpecificCredentialsRequest>);
  t.add<op::GetLoginProfile>(this, &S::get_login_profile).resource(self_of<GetLoginProfileRequest>);

  t.add<op::SimulateCustomPolicy>(this, &S::simulate_custom_policy);
  t.add<op::SimulatePrincipalPolicy>(this, &S::simulate_principal_policy)
      .resource([](const Ctx&, const SimulatePrincipalPolicyRequest& in) { return in.policy_source_arn; });

  // Only who creates something says its path.
  constexpr std::array<std::string_view, 3> kCreations{"CreateGroup", "CreateRole", "CreateUser"};
  for (auto& operation : t.operations()) {
    if (operation->complete || std::ranges::find(kCreations, operation->model->name) != kCreations.end()) continue;
    operation->complete = [this](Ctx& ctx, const void*, std::vector<Access>& questions) {
      return add_paths(ctx, questions);
    };
  }
}

Task<std::optional<Entity>> IamService::find_named(Ctx& ctx, std::string resource) {
  const auto arn = kernel::parse_arn(resource);
  if (!arn || arn->service != "iam" || arn->account != ctx.account) co_return std::nullopt;
  const auto reader = db_.snapshot();
  View view(*reader, ctx.account);
  for (const Kind kind : {Kind::kUser, Kind::kGroup, Kind::kRole}) {
    const std::string prefix = cat(word(kind), '/');
    if (arn->resource.starts_with(prefix)) co_return co_await view.find(kind, arn->resource.substr(prefix.size()));
  }
  co_return std::nullopt;
}

Task<void> IamService::add_paths(Ctx& ctx, std::vector<Access>& questions) {
  for (Access& access : questions) {
    const auto entity = co_await find_named(ctx, access.resource);
    if (entity) access.resource = with_path(access.resource, entity->path, entity->name);
  }
}

// A change of name or path needs the permission for what it is and for what it will be.
Task<void> IamService::add_new_name(Ctx& ctx, std::vector<Access>& questions, std::optional<std::string> path,
                                    std::optional<std::string> name) {
  Access& now = questions.front();
  const auto entity = co_await find_named(ctx, now.resource);
  if (!entity) co_return;
  now.resource = with_path(now.resource, entity->path, entity->name);
  Access then = now;
  then.resource = with_path(now.resource, path.value_or(entity->path), name.value_or(entity->name));
  if (then.resource != now.resource) questions.push_back(std::move(then));
}

Task<void> IamService::add_key_owner(Ctx& ctx, std::vector<Access>& questions, std::string access_key) {
  const auto reader = db_.snapshot();
  const auto key = co_await find_key(*reader, std::move(access_key));
  if (!key || key->account != ctx.account) co_return;
  questions.front().resource = entity_arn(ctx.account, Kind::kUser, "/", key->user);
  co_await add_paths(ctx, questions);
}

Task<Entity> IamService::read(Ctx& ctx, Kind kind, std::string name) {
  const auto reader = db_.snapshot();
  View view(*reader, ctx.account);
  co_return co_await view.need(kind, std::move(name));
}

std::string IamService::marker(const Ctx& ctx, std::string_view operation, std::string after) const {
  return kernel::seal_page(tokens_, ctx, cat("iam:", operation), after);
}

std::string IamService::after(const Ctx& ctx, std::string_view operation,
                              const std::optional<std::string>& marker) const {
  return kernel::open_page<std::string>(tokens_, ctx, cat("iam:", operation), marker,
                                        err::ValidationError("Invalid Marker."))
      .value_or("");
}

Iam make_iam(kernel::Deps& deps, Options options) {
  auto service = std::make_unique<IamService>(deps, std::move(options));
  Directory& directory = service->directory();
  return {std::move(service), directory};
}

}  // namespace virga::iam
