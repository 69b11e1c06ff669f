// Leases: work that one holder at a time may do. Named, expiring, and fenced: each new holder gets a higher fence,
// which it checks inside the transactions that do the work, so that a holder that slept through its time can change
// nothing.
//
//   auto lease = co_await acquire_lease(db, "logs.expiry", node, now, 10s);
//   if (lease) co_await db.transact([&](Txn& tx) -> Task<void> { co_await require_lease(tx, *lease); … });
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/task.h"
#include "base/time.h"
#include "kv/db.h"

namespace virga::kv {

struct Lease {
  std::string name, holder;
  uint64_t fence = 0;  // grows with every change of hands
  Time expires;
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, holder), a(3, fence), a(4, expires);
  }
};

// The lease when it is free, expired, or `holder`'s already (then it is extended and keeps its fence); else nothing.
Task<std::optional<Lease>> acquire_lease(Db& db, std::string name, std::string holder, Time now, Micros life);
// Gives the lease up if it is still this one.
Task<void> release_lease(Db& db, Lease lease);
// Fails with code "LeaseLost", status 409, unless the lease has not changed hands since. The transaction then conflicts
// with whoever takes it before the commit.
Task<void> require_lease(Txn& tx, Lease lease);

}  // namespace virga::kv
