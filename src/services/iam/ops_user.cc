#include <aws/iam/errors.h>

#include "base/str.h"
#include "services/iam/limits.h"
#include "services/iam/service.h"

namespace virga::iam {

using kernel::Ctx;

Task<CreateUserResponse> IamService::create_user(Ctx& ctx, const CreateUserRequest& in) {
  Entity user;
  user.name = in.user_name;
  user.path = in.path.value_or("/");
  user.id = new_id("AIDA");
  user.created = ctx.now();
  user.boundary = in.permissions_boundary.value_or("");
  if (in.tags) add_tags(user.tags, *in.tags);
  if (!user.boundary.empty()) co_await need_attachable(ctx, user.boundary);
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, ctx.account);
    if (co_await store.taken(Kind::kUser, user.name))
      co_await fail(err::EntityAlreadyExistsException(cat("User with name ", user.name, " already exists.")));
    store.put(Kind::kUser, user);
    if (!user.boundary.empty()) store.use(user.boundary, {Use::kBoundary, Kind::kUser, user.name});
  });
  co_return CreateUserResponse{wire_user(ctx.account, user, true)};
}

std::string IamService::user_or_self(const Ctx& ctx, const std::optional<std::string>& name) const {
  if (name) return *name;
  if (ctx.principal.kind != kernel::Principal::Kind::kUser)
    throw err::ValidationError("Must specify userName when calling with non-User credentials");
  return ctx.principal.arn.substr(ctx.principal.arn.rfind('/') + 1);
}

Task<GetUserResponse> IamService::get_user(Ctx& ctx, const GetUserRequest& in) {
  if (!in.user_name && ctx.principal.kind == kernel::Principal::Kind::kRoot) {
    // The root is a user of no name.
    User root;
    root.path = "/";
    root.user_id = ctx.account;
    root.arn = ctx.principal.arn;
    co_return GetUserResponse{root};
  }
  const Entity user = co_await read(ctx, Kind::kUser, user_or_self(ctx, in.user_name));
  co_return GetUserResponse{wire_user(ctx.account, user, true)};
}

// Users and groups can change their name and path; everything that refers to them follows.
Task<void> IamService::rename(Ctx& ctx, Kind kind, std::string name, std::optional<std::string> new_name,
                              std::optional<std::string> path) {
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, ctx.account);
    Entity entity = co_await store.need(kind, name);
    if (path) entity.path = *path;
    if (new_name && *new_name != name) {
      if (!equals_ignoring_case(*new_name, name) && co_await store.taken(kind, *new_name)) {
        const std::string_view what = kind == Kind::kUser ? "User" : "Group";
        co_await fail(err::EntityAlreadyExistsException(cat(what, " with name ", *new_name, " already exists.")));
      }
      for (const std::string& arn : entity.attached) {
        store.unuse(arn, {Use::kAttached, kind, name});
        store.use(arn, {Use::kAttached, kind, *new_name});
      }
      if (!entity.boundary.empty()) {
        store.unuse(entity.boundary, {Use::kBoundary, kind, name});
        store.use(entity.boundary, {Use::kBoundary, kind, *new_name});
      }
      for (const std::string& group : entity.groups) {
        store.leave(group, name);
        store.join(group, *new_name);
      }
      for (const std::string& id : entity.keys) {
        if (auto key = co_await find_key(tx, id)) {
          key->user = *new_name;
          store.put(*key);
        }
      }
      if (kind == Kind::kGroup) {
        for (const std::string& member : co_await store.members(name)) {
          Entity user = co_await store.need(Kind::kUser, member);
          std::replace(user.groups.begin(), user.groups.end(), name, *new_name);
          store.put(Kind::kUser, user);
          store.leave(name, member);
          store.join(*new_name, member);
        }
      }
      store.erase(kind, name);
      entity.name = *new_name;
    }
    store.put(kind, entity);
    tx.on_commit([this] { directory_.invalidate(); });
  });
}

Task<UpdateUserOutput> IamService::update_user(Ctx& ctx, const UpdateUserRequest& in) {
  co_await rename(ctx, Kind::kUser, in.user_name, in.new_user_name, in.new_path);
  co_return UpdateUserOutput{};
}

Task<DeleteUserOutput> IamService::delete_user(Ctx& ctx, const DeleteUserRequest& in) {
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, ctx.account);
    const Entity user = co_await store.need(Kind::kUser, in.user_name);
    check_deletable(user, Kind::kUser);
    if (!user.boundary.empty()) store.unuse(user.boundary, {Use::kBoundary, Kind::kUser, user.name});
    store.erase(Kind::kUser, user.name);
    tx.on_commit([this] { directory_.invalidate(); });
  });
  co_return DeleteUserOutput{};
}

Task<ListUsersResponse> IamService::list_users(Ctx& ctx, const ListUsersRequest& in) {
  const std::string prefix = in.path_prefix.value_or("/");
  const size_t most = static_cast<size_t>(in.max_items.value_or(kDefaultPage));
  const auto reader = db_.snapshot();
  View view(*reader, ctx.account);
  ListUsersResponse out;
  out.is_truncated = false;
  std::string last = after(ctx, "ListUsers", in.marker);
  for (;;) {
    const auto users = co_await view.list(Kind::kUser, last, most + 1);
    for (const Entity& user : users) {
      if (user.path.starts_with(prefix)) {
        if (out.users.size() == most) {
          out.is_truncated = true;
          out.marker = marker(ctx, "ListUsers", last);
          co_return out;
        }
        out.users.push_back(wire_user(ctx.account, user, false));
      }
      last = user.name;
    }
    if (users.size() <= most) co_return out;
  }
}

Task<TagUserOutput> IamService::tag_user(Ctx& ctx, const TagUserRequest& in) {
  co_await change(ctx, Kind::kUser, in.user_name, [&](Entity& user) { add_tags(user.tags, in.tags); });
  co_return TagUserOutput{};
}

Task<UntagUserOutput> IamService::untag_user(Ctx& ctx, const UntagUserRequest& in) {
  co_await change(ctx, Kind::kUser, in.user_name, [&](Entity& user) { remove_tags(user.tags, in.tag_keys); });
  co_return UntagUserOutput{};
}

Task<ListUserTagsResponse> IamService::list_user_tags(Ctx& ctx, const ListUserTagsRequest& in) {
  const Entity user = co_await read(ctx, Kind::kUser, in.user_name);
  ListUserTagsResponse out;
  out.tags = page(ctx, cat("ListUserTags:", in.user_name), in, wire_tags(user.tags), out);
  co_return out;
}

Task<PutUserPermissionsBoundaryOutput> IamService::put_user_permissions_boundary(
    Ctx& ctx, const PutUserPermissionsBoundaryRequest& in) {
  co_await set_boundary(ctx, Kind::kUser, in.user_name, in.permissions_boundary);
  co_return PutUserPermissionsBoundaryOutput{};
}

Task<DeleteUserPermissionsBoundaryOutput> IamService::delete_user_permissions_boundary(
    Ctx& ctx, const DeleteUserPermissionsBoundaryRequest& in) {
  co_await set_boundary(ctx, Kind::kUser, in.user_name, "");
  co_return DeleteUserPermissionsBoundaryOutput{};
}

}  // namespace virga::iam
