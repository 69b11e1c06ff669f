// IAM: users, groups, roles, managed policies and access keys, and the questions asked of them.
#pragma once

#include <aws/iam/ops.h>

#include <memory>
#include <string>

#include "kernel/deps.h"
#include "kernel/service.h"
#include "services/iam/directory.h"
#include "services/iam/store.h"

namespace virga::iam {

class IamService : public kernel::Service {
 public:
  IamService(kernel::Deps& deps, Options options);

  const wire::ServiceModel& model() const override;
  void operations(kernel::OpTable& table) override;
  Directory& directory() { return directory_; }

  // ops_user.cc
  Task<CreateUserResponse> create_user(kernel::Ctx& ctx, const CreateUserRequest& in);
  Task<GetUserResponse> get_user(kernel::Ctx& ctx, const GetUserRequest& in);
  Task<UpdateUserOutput> update_user(kernel::Ctx& ctx, const UpdateUserRequest& in);
  Task<DeleteUserOutput> delete_user(kernel::Ctx& ctx, const DeleteUserRequest& in);
  Task<ListUsersResponse> list_users(kernel::Ctx& ctx, const ListUsersRequest& in);
  Task<TagUserOutput> tag_user(kernel::Ctx& ctx, const TagUserRequest& in);
  Task<UntagUserOutput> untag_user(kernel::Ctx& ctx, const UntagUserRequest& in);
  Task<ListUserTagsResponse> list_user_tags(kernel::Ctx& ctx, const ListUserTagsRequest& in);
  Task<PutUserPermissionsBoundaryOutput> put_user_permissions_boundary(kernel::Ctx& ctx,
                                                                       const PutUserPermissionsBoundaryRequest& in);
  Task<DeleteUserPermissionsBoundaryOutput> delete_user_permissions_boundary(
      kernel::Ctx& ctx, const DeleteUserPermissionsBoundaryRequest& in);

  // ops_group.cc
  Task<CreateGroupResponse> create_group(kernel::Ctx& ctx, const CreateGroupRequest& in);
  Task<GetGroupResponse> get_group(kernel::Ctx& ctx, const GetGroupRequest& in);
  Task<UpdateGroupOutput> update_group(kernel::Ctx& ctx, const UpdateGroupRequest& in);
  Task<DeleteGroupOutput> delete_group(kernel::Ctx& ctx, const DeleteGroupRequest& in);
  Task<ListGroupsResponse> list_groups(kernel::Ctx& ctx, const ListGroupsRequest& in);
  Task<ListGroupsForUserResponse> list_groups_for_user(kernel::Ctx& ctx, const ListGroupsForUserRequest& in);
  Task<AddUserToGroupOutput> add_user_to_group(kernel::Ctx& ctx, const AddUserToGroupRequest& in);
  Task<RemoveUserFromGroupOutput> remove_user_from_group(kernel::Ctx& ctx, const RemoveUserFromGroupRequest& in);

  // ops_role.cc
  Task<CreateRoleResponse> create_role(kernel::Ctx& ctx, const CreateRoleRequest& in);
  Task<GetRoleResponse> get_role(kernel::Ctx& ctx, const GetRoleRequest& in);
  Task<UpdateRoleResponse> update_role(kernel::Ctx& ctx, const UpdateRoleRequest& in);
  Task<UpdateRoleDescriptionResponse> update_role_description(kernel::Ctx& ctx, const UpdateRoleDescriptionRequest& in);
  Task<UpdateAssumeRolePolicyOutput> update_assume_role_policy(kernel::Ctx& ctx,
                                                               const UpdateAssumeRolePolicyRequest& in);
  Task<DeleteRoleOutput> delete_role(kernel::Ctx& ctx, const DeleteRoleRequest& in);
  Task<ListRolesResponse> list_roles(kernel::Ctx& ctx, const ListRolesRequest& in);
  Task<TagRoleOutput> tag_role(kernel::Ctx& ctx, const TagRoleRequest& in);
  Task<UntagRoleOutput> untag_role(kernel::Ctx& ctx, const UntagRoleRequest& in);
  Task<ListRoleTagsResponse> list_role_tags(kernel::Ctx& ctx, const ListRoleTagsRequest& in);
  Task<PutRolePermissionsBoundaryOutput> put_role_permissions_boundary(kernel::Ctx& ctx,
                                                                       const PutRolePermissionsBoundaryRequest& in);
  Task<DeleteRolePermissionsBoundaryOutput> delete_role_permissions_boundary(
      kernel::Ctx& ctx, const DeleteRolePermissionsBoundaryRequest& in);

  // ops_inline.cc: inline policies and attachments of users, groups and roles
  Task<PutUserPolicyOutput> put_user_policy(kernel::Ctx& ctx, const PutUserPolicyRequest& in);
  Task<PutGroupPolicyOutput> put_group_policy(kernel::Ctx& ctx, const PutGroupPolicyRequest& in);
  Task<PutRolePolicyOutput> put_role_policy(kernel::Ctx& ctx, const PutRolePolicyRequest& in);
  Task<GetUserPolicyResponse> get_user_policy(kernel::Ctx& ctx, const GetUserPolicyRequest& in);
  Task<GetGroupPolicyResponse> get_group_policy(kernel::Ctx& ctx, const GetGroupPolicyRequest& in);
  Task<GetRolePolicyResponse> get_role_policy(kernel::Ctx& ctx, const GetRolePolicyRequest& in);
  Task<DeleteUserPolicyOutput> delete_user_policy(kernel::Ctx& ctx, const DeleteUserPolicyRequest& in);
  Task<DeleteGroupPolicyOutput> delete_group_policy(kernel::Ctx& ctx, const DeleteGroupPolicyRequest& in);
  Task<DeleteRolePolicyOutput> delete_role_policy(kernel::Ctx& ctx, const DeleteRolePolicyRequest& in);
  Task<ListUserPoliciesResponse> list_user_policies(kernel::Ctx& ctx, const ListUserPoliciesRequest& in);
  Task<ListGroupPoliciesResponse> list_group_policies(kernel::Ctx& ctx, const ListGroupPoliciesRequest& in);
  Task<ListRolePoliciesResponse> list_role_policies(kernel::Ctx& ctx, const ListRolePoliciesRequest& in);
  Task<AttachUserPolicyOutput> attach_user_policy(kernel::Ctx& ctx, const AttachUserPolicyRequest& in);
  Task<AttachGroupPolicyOutput> attach_group_policy(kernel::Ctx& ctx, const AttachGroupPolicyRequest& in);
  Task<AttachRolePolicyOutput> attach_role_policy(kernel::Ctx& ctx, const AttachRolePolicyRequest& in);
  Task<DetachUserPolicyOutput> detach_user_policy(kernel::Ctx& ctx, const DetachUserPolicyRequest& in);
  Task<DetachGroupPolicyOutput> detach_group_policy(kernel::Ctx& ctx, const DetachGroupPolicyRequest& in);
  Task<DetachRolePolicyOutput> detach_role_policy(kernel::Ctx& ctx, const DetachRolePolicyRequest& in);
  Task<ListAttachedUserPoliciesResponse> list_attached_user_policies(kernel::Ctx& ctx,
                                                                     const ListAttachedUserPoliciesRequest& in);
  Task<ListAttachedGroupPoliciesResponse> list_attached_group_policies(kernel::Ctx& ctx,
                                                                       const ListAttachedGroupPoliciesRequest& in);
  Task<ListAttachedRolePoliciesResponse> list_attached_role_policies(kernel::Ctx& ctx,
                                                                     const ListAttachedRolePoliciesRequest& in);

  // ops_policy.cc
  Task<CreatePolicyResponse> create_policy(kernel::Ctx& ctx, const CreatePolicyRequest& in);
  Task<GetPolicyResponse> get_policy(kernel::Ctx& ctx, const GetPolicyRequest& in);
  Task<DeletePolicyOutput> delete_policy(kernel::Ctx& ctx, const DeletePolicyRequest& in);
  Task<ListPoliciesResponse> list_policies(kernel::Ctx& ctx, const ListPoliciesRequest& in);
  Task<CreatePolicyVersionResponse> create_policy_version(kernel::Ctx& ctx, const CreatePolicyVersionRequest& in);
  Task<GetPolicyVersionResponse> get_policy_version(kernel::Ctx& ctx, const GetPolicyVersionRequest& in);
  Task<DeletePolicyVersionOutput> delete_policy_version(kernel::Ctx& ctx, const DeletePolicyVersionRequest& in);
  Task<ListPolicyVersionsResponse> list_policy_versions(kernel::Ctx& ctx, const ListPolicyVersionsRequest& in);
  Task<SetDefaultPolicyVersionOutput> set_default_policy_version(kernel::Ctx& ctx,
                                                                 const SetDefaultPolicyVersionRequest& in);
  Task<ListEntitiesForPolicyResponse> list_entities_for_policy(kernel::Ctx& ctx,
                                                               const ListEntitiesForPolicyRequest& in);
  Task<TagPolicyOutput> tag_policy(kernel::Ctx& ctx, const TagPolicyRequest& in);
  Task<UntagPolicyOutput> untag_policy(kernel::Ctx& ctx, const UntagPolicyRequest& in);
  Task<ListPolicyTagsResponse> list_policy_tags(kernel::Ctx& ctx, const ListPolicyTagsRequest& in);

  // ops_access_key.cc
  Task<CreateAccessKeyResponse> create_access_key(kernel::Ctx& ctx, const CreateAccessKeyRequest& in);
  Task<UpdateAccessKeyOutput> update_access_key(kernel::Ctx& ctx, const UpdateAccessKeyRequest& in);
  Task<DeleteAccessKeyOutput> delete_access_key(kernel::Ctx& ctx, const DeleteAccessKeyRequest& in);
  Task<ListAccessKeysResponse> list_access_keys(kernel::Ctx& ctx, const ListAccessKeysRequest& in);
  Task<GetAccessKeyLastUsedResponse> get_access_key_last_used(kernel::Ctx& ctx, const GetAccessKeyLastUsedRequest& in);

  // ops_account.cc
  Task<GetAccountSummaryResponse> get_account_summary(kernel::Ctx& ctx, const GetAccountSummaryInput& in);
  Task<ListAccountAliasesResponse> list_account_aliases(kernel::Ctx& ctx, const ListAccountAliasesRequest& in);
  Task<ListInstanceProfilesResponse> list_instance_profiles(kernel::Ctx& ctx, const ListInstanceProfilesRequest& in);
  Task<ListInstanceProfilesForRoleResponse> list_instance_profiles_for_role(
      kernel::Ctx& ctx, const ListInstanceProfilesForRoleRequest& in);
  Task<ListMFADevicesResponse> list_mfa_devices(kernel::Ctx& ctx, const ListMFADevicesRequest& in);
  Task<ListSSHPublicKeysResponse> list_ssh_public_keys(kernel::Ctx& ctx, const ListSSHPublicKeysRequest& in);
  Task<ListSigningCertificatesResponse> list_signing_certificates(kernel::Ctx& ctx,
                                                                  const ListSigningCertificatesRequest& in);
  Task<ListServiceSpecificCredentialsResponse> list_service_specific_credentials(
      kernel::Ctx& ctx, const ListServiceSpecificCredentialsRequest& in);
  Task<GetLoginProfileResponse> get_login_profile(kernel::Ctx& ctx, const GetLoginProfileRequest& in);

  // ops_simulate.cc
  Task<SimulatePolicyResponse> simulate_custom_policy(kernel::Ctx& ctx, const SimulateCustomPolicyRequest& in);
  Task<SimulatePolicyResponse> simulate_principal_policy(kernel::Ctx& ctx, const SimulatePrincipalPolicyRequest& in);

 private:
  // The user, group or role that an ARN without a path names.
  Task<std::optional<Entity>> find_named(kernel::Ctx& ctx, std::string resource);
  // Permissions are about ARNs with paths, and requests give names: these complete what is asked.
  Task<void> add_paths(kernel::Ctx& ctx, std::vector<kernel::Access>& questions);
  Task<void> add_new_name(kernel::Ctx& ctx, std::vector<kernel::Access>& questions, std::optional<std::string> path,
                          std::optional<std::string> name);
  Task<void> add_key_owner(kernel::Ctx& ctx, std::vector<kernel::Access>& questions, std::string access_key);

  // Changes one user, group or role in a transaction: `change(Entity&)` is pure and may throw.
  template <class F>
  Task<Entity> change(kernel::Ctx& ctx, Kind kind, std::string name, F change);
  template <class F>
  Task<Managed> change_policy(kernel::Ctx& ctx, std::string arn, F change);
  Task<Entity> read(kernel::Ctx& ctx, Kind kind, std::string name);
  Task<void> need_user(kernel::Ctx& ctx, std::optional<std::string> name);
  // Fails unless the ARN is a managed policy's, AWS's or the account's.
  Task<void> need_attachable(kernel::Ctx& ctx, std::string policy_arn);
  Task<void> set_boundary(kernel::Ctx& ctx, Kind kind, std::string name, std::string policy_arn);
  Task<void> attach_policy(kernel::Ctx& ctx, Kind kind, std::string name, std::string policy_arn);
  Task<void> detach_policy(kernel::Ctx& ctx, Kind kind, std::string name, std::string policy_arn);
  Task<void> put_policy(kernel::Ctx& ctx, Kind kind, std::string name, std::string policy, std::string document);
  Task<std::string> get_policy_document(kernel::Ctx& ctx, Kind kind, std::string name, std::string policy);
  Task<void> drop_policy(kernel::Ctx& ctx, Kind kind, std::string name, std::string policy);
  Task<void> rename(kernel::Ctx& ctx, Kind kind, std::string name, std::optional<std::string> new_name,
                    std::optional<std::string> path);
  template <class Out, class In>
  Task<Out> list_inline(kernel::Ctx& ctx, Kind kind, std::string name, const In& in);
  template <class Out, class In>
  Task<Out> list_attached(kernel::Ctx& ctx, Kind kind, std::string name, const In& in);
  // The user named, or the caller's own.
  std::string user_or_self(const kernel::Ctx& ctx, const std::optional<std::string>& name) const;
  Task<Policy> wire_policy(View& view, const Managed& policy);
  Task<SimulatePolicyResponse> simulate(kernel::Ctx& ctx, const SimulateCustomPolicyRequest& in,
                                        kernel::PrincipalPolicies own, std::vector<std::string> sources,
                                        kernel::Principal caller);

  // Seals where a list goes on, and opens it again.
  std::string marker(const kernel::Ctx& ctx, std::string_view operation, std::string after) const;
  std::string after(const kernel::Ctx& ctx, std::string_view operation, const std::optional<std::string>& marker) const;
  // A page of what is in memory already: sets is_truncated and marker of `out`.
  template <class Out, class In, class T>
  std::vector<T> page(const kernel::Ctx& ctx, std::string_view operation, const In& in, std::vector<T> all,
                      Out& out) const;

  kv::Db& db_;
  const Clock& clock_;
  kernel::Tokens& tokens_;
  StoreDirectory directory_;
};

}  // namespace virga::iam

#include "services/iam/service_inl.h"
