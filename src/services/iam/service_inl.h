// Bodies of IamService's member templates.
#pragma once

#include <aws/iam/errors.h>

#include <algorithm>

#include "base/str.h"
#include "services/iam/limits.h"
#include "services/iam/service.h"

namespace virga::iam {

template <class F>
Task<Entity> IamService::change(kernel::Ctx& ctx, Kind kind, std::string name, F change) {
  co_return co_await db_.transact([&](kv::Txn& tx) -> Task<Entity> {
    Store store(tx, ctx.account);
    Entity entity = co_await store.need(kind, name);
    change(entity);
    store.put(kind, entity);
    tx.on_commit([this] { directory_.invalidate(); });
    co_return entity;
  });
}

template <class F>
Task<Managed> IamService::change_policy(kernel::Ctx& ctx, std::string arn, F change) {
  co_return co_await db_.transact([&](kv::Txn& tx) -> Task<Managed> {
    Store store(tx, ctx.account);
    auto policy = co_await store.find_policy_arn(arn);
    if (!policy) co_return err::NoSuchEntityException(cat("Policy ", arn, " was not found."));
    change(*policy);
    store.put(*policy);
    tx.on_commit([this] { directory_.invalidate(); });
    co_return std::move(*policy);
  });
}

template <class Out, class In, class T>
std::vector<T> IamService::page(const kernel::Ctx& ctx, std::string_view operation, const In& in, std::vector<T> all,
                                Out& out) const {
  const std::string from = after(ctx, operation, in.marker);
  const size_t begin = std::min(all.size(), static_cast<size_t>(from.empty() ? 0 : parse_int(from).value_or(0)));
  const size_t most = static_cast<size_t>(in.max_items.value_or(kDefaultPage));
  const size_t end = begin + std::min(most, all.size() - begin);
  out.is_truncated = end < all.size();
  if (end < all.size()) out.marker = marker(ctx, operation, std::to_string(end));
  return {std::make_move_iterator(all.begin() + static_cast<long>(begin)),
          std::make_move_iterator(all.begin() + static_cast<long>(end))};
}

template <class Out, class In>
Task<Out> IamService::list_inline(kernel::Ctx& ctx, Kind kind, std::string name, const In& in) {
  const Entity entity = co_await read(ctx, kind, name);
  std::vector<std::string> names;
  for (const auto& [policy, document] : entity.policies) names.push_back(policy);
  Out out;
  out.policy_names = page(ctx, cat("ListPolicies:", word(kind), ':', name), in, std::move(names), out);
  co_return out;
}

template <class Out, class In>
Task<Out> IamService::list_attached(kernel::Ctx& ctx, Kind kind, std::string name, const In& in) {
  const Entity entity = co_await read(ctx, kind, name);
  std::vector<AttachedPolicy> policies;
  const std::string prefix = cat(":policy", in.path_prefix.value_or("/"));
  for (const std::string& arn : entity.attached) {
    if (arn.find(prefix) != std::string::npos) policies.push_back({arn.substr(arn.rfind('/') + 1), arn});
  }
  Out out;
  out.attached_policies = page(ctx, cat("ListAttached:", word(kind), ':', name), in, std::move(policies), out);
  co_return out;
}

}  // namespace virga::iam
