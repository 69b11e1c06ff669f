#include <aws/iam/errors.h>

#include <algorithm>

#include "base/str.h"
#include "services/iam/limits.h"
#include "services/iam/service.h"

namespace virga::iam {

using kernel::Ctx;

Task<CreateGroupResponse> IamService::create_group(Ctx& ctx, const CreateGroupRequest& in) {
  Entity group;
  group.name = in.group_name;
  group.path = in.path.value_or("/");
  group.id = new_id("AGPA");
  group.created = ctx.now();
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, ctx.account);
    if (co_await store.taken(Kind::kGroup, group.name))
      co_await fail(err::EntityAlreadyExistsException(cat("Group with name ", group.name, " already exists.")));
    store.put(Kind::kGroup, group);
  });
  co_return CreateGroupResponse{wire_group(ctx.account, group)};
}

Task<GetGroupResponse> IamService::get_group(Ctx& ctx, const GetGroupRequest& in) {
  const auto reader = db_.snapshot();
  View view(*reader, ctx.account);
  const Entity group = co_await view.need(Kind::kGroup, in.group_name);
  GetGroupResponse out;
  out.group = wire_group(ctx.account, group);
  const auto names = page(ctx, cat("GetGroup:", in.group_name), in, co_await view.members(in.group_name), out);
  for (const std::string& name : names) {
    const auto user = co_await view.find(Kind::kUser, name);
    if (user) out.users.push_back(wire_user(ctx.account, *user, false));
  }
  co_return out;
}

Task<UpdateGroupOutput> IamService::update_group(Ctx& ctx, const UpdateGroupRequest& in) {
  co_await rename(ctx, Kind::kGroup, in.group_name, in.new_group_name, in.new_path);
  co_return UpdateGroupOutput{};
}

Task<DeleteGroupOutput> IamService::delete_group(Ctx& ctx, const DeleteGroupRequest& in) {
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, ctx.account);
    const Entity group = co_await store.need(Kind::kGroup, in.group_name);
    if (!(co_await store.members(in.group_name)).empty())
      co_await fail(err::DeleteConflictException("Cannot delete entity, must remove users from group first."));
    check_deletable(group, Kind::kGroup);
    store.erase(Kind::kGroup, in.group_name);
    tx.on_commit([this] { directory_.invalidate(); });
  });
  co_return DeleteGroupOutput{};
}

Task<ListGroupsResponse> IamService::list_groups(Ctx& ctx, const ListGroupsRequest& in) {
  const std::string prefix = in.path_prefix.value_or("/");
  const size_t most = static_cast<size_t>(in.max_items.value_or(kDefaultPage));
  const auto reader = db_.snapshot();
  View view(*reader, ctx.account);
  ListGroupsResponse out;
  out.is_truncated = false;
  std::string last = after(ctx, "ListGroups", in.marker);
  for (;;) {
    const auto groups = co_await view.list(Kind::kGroup, last, most + 1);
    for (const Entity& group : groups) {
      if (group.path.starts_with(prefix)) {
        if (out.groups.size() == most) {
          out.is_truncated = true;
          out.marker = marker(ctx, "ListGroups", last);
          co_return out;
        }
        out.groups.push_back(wire_group(ctx.account, group));
      }
      last = group.name;
    }
    if (groups.size() <= most) co_return out;
  }
}

Task<ListGroupsForUserResponse> IamService::list_groups_for_user(Ctx& ctx, const ListGroupsForUserRequest& in) {
  const auto reader = db_.snapshot();
  View view(*reader, ctx.account);
  const Entity user = co_await view.need(Kind::kUser, in.user_name);
  ListGroupsForUserResponse out;
  for (const std::string& name : page(ctx, cat("ListGroupsForUser:", in.user_name), in, user.groups, out)) {
    const auto group = co_await view.find(Kind::kGroup, name);
    if (group) out.groups.push_back(wire_group(ctx.account, *group));
  }
  co_return out;
}

Task<AddUserToGroupOutput> IamService::add_user_to_group(Ctx& ctx, const AddUserToGroupRequest& in) {
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, ctx.account);
    co_await store.need(Kind::kGroup, in.group_name);
    Entity user = co_await store.need(Kind::kUser, in.user_name);
    if (std::find(user.groups.begin(), user.groups.end(), in.group_name) != user.groups.end()) co_return;
    if (user.groups.size() >= kGroupsPerUser)
      co_await fail(err::LimitExceededException(cat("Cannot exceed quota for GroupsPerUser: ", kGroupsPerUser)));
    user.groups.push_back(in.group_name);
    store.put(Kind::kUser, user);
    store.join(in.group_name, in.user_name);
    tx.on_commit([this] { directory_.invalidate(); });
  });
  co_return AddUserToGroupOutput{};
}

Task<RemoveUserFromGroupOutput> IamService::remove_user_from_group(Ctx& ctx, const RemoveUserFromGroupRequest& in) {
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, ctx.account);
    co_await store.need(Kind::kGroup, in.group_name);
    Entity user = co_await store.need(Kind::kUser, in.user_name);
    if (std::erase(user.groups, in.group_name) == 0)
      co_await fail(err::NoSuchEntityException(cat("User ", in.user_name, " is not in group ", in.group_name, ".")));
    store.put(Kind::kUser, user);
    store.leave(in.group_name, in.user_name);
    tx.on_commit([this] { directory_.invalidate(); });
  });
  co_return RemoveUserFromGroupOutput{};
}

}  // namespace virga::iam
