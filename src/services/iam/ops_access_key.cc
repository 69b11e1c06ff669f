#include <aws/iam/errors.h>

#include <algorithm>

#include "base/str.h"
#include "services/iam/limits.h"
#include "services/iam/service.h"

namespace virga::iam {

using kernel::Ctx;

namespace {

Error no_key(std::string_view id) {
  return err::NoSuchEntityException(cat("The Access Key with id ", id, " cannot be found."));
}

// The key, when it is one of this user's.
Task<Key> need_key(kv::Reader& reader, std::string account, std::string user, std::string id) {
  auto key = co_await find_key(reader, id);
  if (!key || key->account != account || key->user != user) co_return no_key(id);
  co_return std::move(*key);
}

}  // namespace

Task<CreateAccessKeyResponse> IamService::create_access_key(Ctx& ctx, const CreateAccessKeyRequest& in) {
  const std::string name = user_or_self(ctx, in.user_name);
  const std::string id = new_key_id("AKIA", ctx.account), secret = new_secret();
  const Key key{id, ctx.account, name, directory_.seal_secret(id, secret), true, ctx.now()};
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, ctx.account);
    Entity user = co_await store.need(Kind::kUser, name);
    if (user.keys.size() >= kAccessKeysPerUser)
      co_await fail(
          err::LimitExceededException(cat("Cannot exceed quota for AccessKeysPerUser: ", kAccessKeysPerUser)));
    user.keys.push_back(id);
    store.put(Kind::kUser, user);
    store.put(key);
    tx.on_commit([this] { directory_.invalidate(); });
  });
  co_return CreateAccessKeyResponse{{name, id, statusType::Active, secret, key.created}};
}

Task<UpdateAccessKeyOutput> IamService::update_access_key(Ctx& ctx, const UpdateAccessKeyRequest& in) {
  const std::string name = user_or_self(ctx, in.user_name);
  if (in.status == statusType::Expired) co_return err::ValidationError("An access key can be made Active or Inactive.");
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, ctx.account);
    co_await store.need(Kind::kUser, name);
    Key key = co_await need_key(tx, ctx.account, name, in.access_key_id);
    key.active = in.status == statusType::Active;
    store.put(key);
    tx.on_commit([this] { directory_.invalidate(); });
  });
  co_return UpdateAccessKeyOutput{};
}

Task<DeleteAccessKeyOutput> IamService::delete_access_key(Ctx& ctx, const DeleteAccessKeyRequest& in) {
  const std::string name = user_or_self(ctx, in.user_name);
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, ctx.account);
    Entity user = co_await store.need(Kind::kUser, name);
    co_await need_key(tx, ctx.account, name, in.access_key_id);
    std::erase(user.keys, in.access_key_id);
    store.put(Kind::kUser, user);
    store.erase_key(in.access_key_id);
    tx.on_commit([this] { directory_.invalidate(); });
  });
  co_return DeleteAccessKeyOutput{};
}

Task<ListAccessKeysResponse> IamService::list_access_keys(Ctx& ctx, const ListAccessKeysRequest& in) {
  ListAccessKeysResponse out;
  out.is_truncated = false;
  // The root's keys are configuration, and so not listed.
  if (!in.user_name && ctx.principal.kind == kernel::Principal::Kind::kRoot) co_return out;
  const std::string name = user_or_self(ctx, in.user_name);
  const auto reader = db_.snapshot();
  View view(*reader, ctx.account);
  const Entity user = co_await view.need(Kind::kUser, name);
  for (const std::string& id : page(ctx, cat("ListAccessKeys:", name), in, user.keys, out)) {
    const auto key = co_await find_key(*reader, id);
    if (key)
      out.access_key_metadata.push_back(
          {name, id, key->active ? statusType::Active : statusType::Inactive, key->created});
  }
  co_return out;
}

Task<GetAccessKeyLastUsedResponse> IamService::get_access_key_last_used(Ctx& ctx,
                                                                        const GetAccessKeyLastUsedRequest& in) {
  const auto reader = db_.snapshot();
  const auto key = co_await find_key(*reader, in.access_key_id);
  if (!key || key->account != ctx.account) co_return no_key(in.access_key_id);
  GetAccessKeyLastUsedResponse out;
  out.user_name = key->user;
  out.access_key_last_used = AccessKeyLastUsed{directory_.last_used(key->id), "N/A", "N/A"};
  co_return out;
}

}  // namespace virga::iam
