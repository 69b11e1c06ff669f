#include <aws/iam/errors.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/str.h"
#include "services/iam/managed_policies.h"
#include "services/iam/service.h"

namespace virga::iam {

using kernel::Ctx;

Task<void> IamService::need_attachable(Ctx& ctx, std::string policy_arn) {
  if (find_aws_policy(policy_arn)) co_return;
  const auto reader = db_.snapshot();
  View view(*reader, ctx.account);
  if (!(co_await view.find_policy_arn(policy_arn)))
    co_await fail(err::NoSuchEntityException(cat("Policy ", policy_arn, " does not exist or is not attachable.")));
}

Task<void> IamService::set_boundary(Ctx& ctx, Kind kind, std::string name, std::string policy_arn) {
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, ctx.account);
    Entity entity = co_await store.need(kind, name);
    if (policy_arn.empty() && entity.boundary.empty())
      co_await fail(
          err::NoSuchEntityException(cat("The ", word(kind), " with name ", name, " has no permissions boundary.")));
    if (!policy_arn.empty() && !find_aws_policy(policy_arn) && !(co_await store.find_policy_arn(policy_arn)))
      co_await fail(err::NoSuchEntityException(cat("Policy ", policy_arn, " does not exist or is not attachable.")));
    if (!entity.boundary.empty()) store.unuse(entity.boundary, {Use::kBoundary, kind, name});
    if (!policy_arn.empty()) store.use(policy_arn, {Use::kBoundary, kind, name});
    entity.boundary = policy_arn;
    store.put(kind, entity);
    tx.on_commit([this] { directory_.invalidate(); });
  });
}

Task<void> IamService::attach_policy(Ctx& ctx, Kind kind, std::string name, std::string policy_arn) {
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, ctx.account);
    Entity entity = co_await store.need(kind, name);
    // Read here, so that a policy that is being deleted conflicts.
    if (!find_aws_policy(policy_arn) && !(co_await store.find_policy_arn(policy_arn)))
      co_await fail(err::NoSuchEntityException(cat("Policy ", policy_arn, " does not exist or is not attachable.")));
    attach(entity, kind, policy_arn);
    store.put(kind, entity);
    store.use(policy_arn, {Use::kAttached, kind, name});
    tx.on_commit([this] { directory_.invalidate(); });
  });
}

Task<void> IamService::detach_policy(Ctx& ctx, Kind kind, std::string name, std::string policy_arn) {
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, ctx.account);
    Entity entity = co_await store.need(kind, name);
    if (std::erase(entity.attached, policy_arn) == 0)
      co_await fail(err::NoSuchEntityException(cat("Policy ", policy_arn, " was not found.")));
    store.put(kind, entity);
    store.unuse(policy_arn, {Use::kAttached, kind, name});
    tx.on_commit([this] { directory_.invalidate(); });
  });
}

Task<void> IamService::put_policy(Ctx& ctx, Kind kind, std::string name, std::string policy, std::string document) {
  check_identity_document(document);
  co_await change(ctx, kind, name, [&](Entity& entity) { put_inline(entity, kind, policy, document); });
}

namespace {
Error no_policy(Kind kind, std::string_view policy) {
  return err::NoSuchEntityException(cat("The ", word(kind), " policy with name ", policy, " cannot be found."));
}
}  // namespace

Task<std::string> IamService::get_policy_document(Ctx& ctx, Kind kind, std::string name, std::string policy) {
  const Entity entity = co_await read(ctx, kind, name);
  const auto it = entity.policies.find(policy);
  if (it == entity.policies.end()) co_return no_policy(kind, policy);
  co_return percent_encode(it->second);
}

Task<void> IamService::drop_policy(Ctx& ctx, Kind kind, std::string name, std::string policy) {
  co_await change(ctx, kind, name, [&](Entity& entity) {
    if (entity.policies.erase(policy) == 0) throw no_policy(kind, policy);
  });
}

Task<PutUserPolicyOutput> IamService::put_user_policy(Ctx& ctx, const PutUserPolicyRequest& in) {
  co_await put_policy(ctx, Kind::kUser, in.user_name, in.policy_name, in.policy_document);
  co_return PutUserPolicyOutput{};
}
Task<PutGroupPolicyOutput> IamService::put_group_policy(Ctx& ctx, const PutGroupPolicyRequest& in) {
  co_await put_policy(ctx, Kind::kGroup, in.group_name, in.policy_name, in.policy_document);
  co_return PutGroupPolicyOutput{};
}
Task<PutRolePolicyOutput> IamService::put_role_policy(Ctx& ctx, const PutRolePolicyRequest& in) {
  co_await put_policy(ctx, Kind::kRole, in.role_name, in.policy_name, in.policy_document);
  co_return PutRolePolicyOutput{};
}

Task<GetUserPolicyResponse> IamService::get_user_policy(Ctx& ctx, const GetUserPolicyRequest& in) {
  co_return GetUserPolicyResponse{in.user_name, in.policy_name,
                                  co_await get_policy_document(ctx, Kind::kUser, in.user_name, in.policy_name)};
}
Task<GetGroupPolicyResponse> IamService::get_group_policy(Ctx& ctx, const GetGroupPolicyRequest& in) {
  co_return GetGroupPolicyResponse{in.group_name, in.policy_name,
                                   co_await get_policy_document(ctx, Kind::kGroup, in.group_name, in.policy_name)};
}
Task<GetRolePolicyResponse> IamService::get_role_policy(Ctx& ctx, const GetRolePolicyRequest& in) {
  co_return GetRolePolicyResponse{in.role_name, in.policy_name,
                                  co_await get_policy_document(ctx, Kind::kRole, in.role_name, in.policy_name)};
}

Task<DeleteUserPolicyOutput> IamService::delete_user_policy(Ctx& ctx, const DeleteUserPolicyRequest& in) {
  co_await drop_policy(ctx, Kind::kUser, in.user_name, in.policy_name);
  co_return DeleteUserPolicyOutput{};
}
Task<DeleteGroupPolicyOutput> IamService::delete_group_policy(Ctx& ctx, const DeleteGroupPolicyRequest& in) {
  co_await drop_policy(ctx, Kind::kGroup, in.group_name, in.policy_name);
  co_return DeleteGroupPolicyOutput{};
}
Task<DeleteRolePolicyOutput> IamService::delete_role_policy(Ctx& ctx, const DeleteRolePolicyRequest& in) {
  co_await drop_policy(ctx, Kind::kRole, in.role_name, in.policy_name);
  co_return DeleteRolePolicyOutput{};
}

Task<ListUserPoliciesResponse> IamService::list_user_policies(Ctx& ctx, const ListUserPoliciesRequest& in) {
  co_return co_await list_inline<ListUserPoliciesResponse>(ctx, Kind::kUser, in.user_name, in);
}
Task<ListGroupPoliciesResponse> IamService::list_group_policies(Ctx& ctx, const ListGroupPoliciesRequest& in) {
  co_return co_await list_inline<ListGroupPoliciesResponse>(ctx, Kind::kGroup, in.group_name, in);
}
Task<ListRolePoliciesResponse> IamService::list_role_policies(Ctx& ctx, const ListRolePoliciesRequest& in) {
  co_return co_await list_inline<ListRolePoliciesResponse>(ctx, Kind::kRole, in.role_name, in);
}

Task<AttachUserPolicyOutput> IamService::attach_user_policy(Ctx& ctx, const AttachUserPolicyRequest& in) {
  co_await attach_policy(ctx, Kind::kUser, in.user_name, in.policy_arn);
  co_return AttachUserPolicyOutput{};
}
Task<AttachGroupPolicyOutput> IamService::attach_group_policy(Ctx& ctx, const AttachGroupPolicyRequest& in) {
  co_await attach_policy(ctx, Kind::kGroup, in.group_name, in.policy_arn);
  co_return AttachGroupPolicyOutput{};
}
Task<AttachRolePolicyOutput> IamService::attach_role_policy(Ctx& ctx, const AttachRolePolicyRequest& in) {
  co_await attach_policy(ctx, Kind::kRole, in.role_name, in.policy_arn);
  co_return AttachRolePolicyOutput{};
}

Task<DetachUserPolicyOutput> IamService::detach_user_policy(Ctx& ctx, const DetachUserPolicyRequest& in) {
  co_await detach_policy(ctx, Kind::kUser, in.user_name, in.policy_arn);
  co_return DetachUserPolicyOutput{};
}
Task<DetachGroupPolicyOutput> IamService::detach_group_policy(Ctx& ctx, const DetachGroupPolicyRequest& in) {
  co_await detach_policy(ctx, Kind::kGroup, in.group_name, in.policy_arn);
  co_return DetachGroupPolicyOutput{};
}
Task<DetachRolePolicyOutput> IamService::detach_role_policy(Ctx& ctx, const DetachRolePolicyRequest& in) {
  co_await detach_policy(ctx, Kind::kRole, in.role_name, in.policy_arn);
  co_return DetachRolePolicyOutput{};
}

Task<ListAttachedUserPoliciesResponse> IamService::list_attached_user_policies(
    Ctx& ctx, const ListAttachedUserPoliciesRequest& in) {
  co_return co_await list_attached<ListAttachedUserPoliciesResponse>(ctx, Kind::kUser, in.user_name, in);
}
Task<ListAttachedGroupPoliciesResponse> IamService::list_attached_group_policies(
    Ctx& ctx, const ListAttachedGroupPoliciesRequest& in) {
  co_return co_await list_attached<ListAttachedGroupPoliciesResponse>(ctx, Kind::kGroup, in.group_name, in);
}
Task<ListAttachedRolePoliciesResponse> IamService::list_attached_role_policies(
    Ctx& ctx, const ListAttachedRolePoliciesRequest& in) {
  co_return co_await list_attached<ListAttachedRolePoliciesResponse>(ctx, Kind::kRole, in.role_name, in);
}

}  // namespace virga::iam
