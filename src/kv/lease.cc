#include "kv/lease.h"

#include "base/str.h"
#include "kv/key.h"
#include "kv/record.h"

namespace virga::kv {
namespace {

std::string lease_key(std::string_view name) { return KeyWriter("lease").text(name).take(); }

Task<std::optional<Lease>> find(Txn& tx, std::string name) {
  const auto bytes = co_await tx.get(lease_key(name));
  if (!bytes) co_return std::nullopt;
  co_return decode<Lease>(*bytes);
}

constexpr ErrorShape kLost{"LeaseLost", 409, Fault::kReceiver, {}};

}  // namespace

Task<std::optional<Lease>> acquire_lease(Db& db, std::string name, std::string holder, Time now, Micros life) {
  co_return co_await db.transact([&](Txn& tx) -> Task<std::optional<Lease>> {
    Lease lease = (co_await find(tx, name)).value_or(Lease{name, {}, 0, {}});
    const bool mine = lease.holder == holder;
    if (!mine && !lease.holder.empty() && now < lease.expires) co_return std::nullopt;
    // One that ran out may have been replaced and given up since: whoever returns to it starts anew.
    if (!mine || lease.expires <= now) ++lease.fence;
    lease.holder = holder;
    lease.expires = now + life;
    tx.put(lease_key(name), encode(lease));
    co_return lease;
  });
}

Task<void> release_lease(Db& db, Lease lease) {
  co_await db.transact([&](Txn& tx) -> Task<void> {
    auto found = co_await find(tx, lease.name);
    if (!found || found->fence != lease.fence) co_return;
    found->holder.clear();  // the record stays: its fence must never go back
    found->expires = {};
    tx.put(lease_key(lease.name), encode(*found));
  });
}

Task<void> require_lease(Txn& tx, Lease lease) {
  const auto found = co_await find(tx, lease.name);
  if (!found || found->fence != lease.fence || found->holder != lease.holder) {
    co_await fail(Error{&kLost, cat("The lease ", lease.name, " has changed hands"), nullptr, {}});
  }
}

}  // namespace virga::kv
