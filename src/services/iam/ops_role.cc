#include <aws/iam/errors.h>

#include "base/str.h"
#include "services/iam/limits.h"
#include "services/iam/service.h"

namespace virga::iam {

using kernel::Ctx;

Task<CreateRoleResponse> IamService::create_role(Ctx& ctx, const CreateRoleRequest& in) {
  check_trust_document(in.assume_role_policy_document);
  Entity role;
  role.name = in.role_name;
  role.path = in.path.value_or("/");
  role.id = new_id("AROA");
  role.created = ctx.now();
  role.trust = in.assume_role_policy_document;
  role.description = in.description.value_or("");
  role.max_session = in.max_session_duration.value_or(3600);
  role.boundary = in.permissions_boundary.value_or("");
  if (in.tags) add_tags(role.tags, *in.tags);
  if (!role.boundary.empty()) co_await need_attachable(ctx, role.boundary);
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, ctx.account);
    if (co_await store.taken(Kind::kRole, role.name))
      co_await fail(err::EntityAlreadyExistsException(cat("Role with name ", role.name, " already exists.")));
    store.put(Kind::kRole, role);
    if (!role.boundary.empty()) store.use(role.boundary, {Use::kBoundary, Kind::kRole, role.name});
    tx.on_commit([this] { directory_.invalidate(); });
  });
  Role out = wire_role(ctx.account, role, true);
  out.role_last_used.reset();
  co_return CreateRoleResponse{std::move(out)};
}

Task<GetRoleResponse> IamService::get_role(Ctx& ctx, const GetRoleRequest& in) {
  const Entity role = co_await read(ctx, Kind::kRole, in.role_name);
  co_return GetRoleResponse{wire_role(ctx.account, role, true)};
}

Task<UpdateRoleResponse> IamService::update_role(Ctx& ctx, const UpdateRoleRequest& in) {
  co_await change(ctx, Kind::kRole, in.role_name, [&](Entity& role) {
    if (in.description) role.description = *in.description;
    if (in.max_session_duration) role.max_session = *in.max_session_duration;
  });
  co_return UpdateRoleResponse{};
}

Task<UpdateRoleDescriptionResponse> IamService::update_role_description(Ctx& ctx,
                                                                        const UpdateRoleDescriptionRequest& in) {
  const Entity role =
      co_await change(ctx, Kind::kRole, in.role_name, [&](Entity& r) { r.description = in.description; });
  co_return UpdateRoleDescriptionResponse{wire_role(ctx.account, role, false)};
}

Task<UpdateAssumeRolePolicyOutput> IamService::update_assume_role_policy(Ctx& ctx,
                                                                         const UpdateAssumeRolePolicyRequest& in) {
  check_trust_document(in.policy_document);
  co_await change(ctx, Kind::kRole, in.role_name, [&](Entity& role) { role.trust = in.policy_document; });
  co_return UpdateAssumeRolePolicyOutput{};
}

Task<DeleteRoleOutput> IamService::delete_role(Ctx& ctx, const DeleteRoleRequest& in) {
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, ctx.account);
    const Entity role = co_await store.need(Kind::kRole, in.role_name);
    check_deletable(role, Kind::kRole);
    if (!role.boundary.empty()) store.unuse(role.boundary, {Use::kBoundary, Kind::kRole, role.name});
    store.erase(Kind::kRole, role.name);
    tx.on_commit([this] { directory_.invalidate(); });
  });
  co_return DeleteRoleOutput{};
}

Task<ListRolesResponse> IamService::list_roles(Ctx& ctx, const ListRolesRequest& in) {
  const std::string prefix = in.path_prefix.value_or("/");
  const size_t most = static_cast<size_t>(in.max_items.value_or(kDefaultPage));
  const auto reader = db_.snapshot();
  View view(*reader, ctx.account);
  ListRolesResponse out;
  out.is_truncated = false;
  std::string last = after(ctx, "ListRoles", in.marker);
  for (;;) {
    const auto roles = co_await view.list(Kind::kRole, last, most + 1);
    for (const Entity& role : roles) {
      if (role.path.starts_with(prefix)) {
        if (out.roles.size() == most) {
          out.is_truncated = true;
          out.marker = marker(ctx, "ListRoles", last);
          co_return out;
        }
        out.roles.push_back(wire_role(ctx.account, role, false));
      }
      last = role.name;
    }
    if (roles.size() <= most) co_return out;
  }
}

Task<TagRoleOutput> IamService::tag_role(Ctx& ctx, const TagRoleRequest& in) {
  co_await change(ctx, Kind::kRole, in.role_name, [&](Entity& role) { add_tags(role.tags, in.tags); });
  co_return TagRoleOutput{};
}

Task<UntagRoleOutput> IamService::untag_role(Ctx& ctx, const UntagRoleRequest& in) {
  co_await change(ctx, Kind::kRole, in.role_name, [&](Entity& role) { remove_tags(role.tags, in.tag_keys); });
  co_return UntagRoleOutput{};
}

Task<ListRoleTagsResponse> IamService::list_role_tags(Ctx& ctx, const ListRoleTagsRequest& in) {
  const Entity role = co_await read(ctx, Kind::kRole, in.role_name);
  ListRoleTagsResponse out;
  out.tags = page(ctx, cat("ListRoleTags:", in.role_name), in, wire_tags(role.tags), out);
  co_return out;
}

Task<PutRolePermissionsBoundaryOutput> IamService::put_role_permissions_boundary(
    Ctx& ctx, const PutRolePermissionsBoundaryRequest& in) {
  co_await set_boundary(ctx, Kind::kRole, in.role_name, in.permissions_boundary);
  co_return PutRolePermissionsBoundaryOutput{};
}

Task<DeleteRolePermissionsBoundaryOutput> IamService::delete_role_permissions_boundary(
    Ctx& ctx, const DeleteRolePermissionsBoundaryRequest& in) {
  co_await set_boundary(ctx, Kind::kRole, in.role_name, "");
  co_return DeleteRolePermissionsBoundaryOutput{};
}

}  // namespace virga::iam
