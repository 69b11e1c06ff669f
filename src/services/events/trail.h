// "AWS API Call via CloudTrail": management calls as events on the default bus of the account and region in which they
// were made. A call costs a look at an atomic until some rule or archive could want such events.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "kernel/audit.h"
#include "kernel/deps.h"
#include "services/events/router.h"
#include "services/events/store.h"

namespace virga::events {

class Trail final : public kernel::AuditListener {
 public:
  Trail(kernel::Deps& deps, Router& router) : deps_(deps), router_(router) {}
  // Finds the default buses that ever had rules.
  Task<void> start();
  // The rules or archives of the default bus there have changed.
  void look_again(const Home& home);

  bool wants(const kernel::Ctx& ctx, bool read_only) const override;
  Task<void> tell(kv::Txn& tx, const std::vector<kernel::ToldCall>& calls) override;

 private:
  // What a default bus wants; nobody knows before its first call.
  struct Bus {
    bool changes = true, reads = true;
    uint64_t version = 0;  // of look_again
  };
  std::string event_name(const kernel::AuditRecord& record) const;
  std::string detail(const kernel::ToldCall& call) const;

  kernel::Deps& deps_;
  Router& router_;
  std::atomic<bool> any_ = false;
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, Bus> buses_;  // by account and region
};

}  // namespace virga::events
