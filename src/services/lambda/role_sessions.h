// Sessions of functions' roles, made ahead of their use: to assume a role takes a quarter of what Virga does for a
// first call, and the function's program can't start without.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/task.h"
#include "kernel/context.h"
#include "kernel/deps.h"
#include "sandbox/sandbox.h"
#include "services/lambda/model.h"

namespace virga::lambda {

struct RoleSession {
  kernel::Principal principal;
  sandbox::Environment credentials;  // as the variables that functions find
  std::chrono::steady_clock::time_point since;
};

class RoleSessions {
 public:
  explicit RoleSessions(kernel::Deps& deps) : deps_(deps) {}

  // A new session. Fails with InvalidParameterValueException when Lambda can't assume the role.
  Task<RoleSession> assume(FunctionId id, std::string role);
  // The same, kept for the first start.
  Task<void> check(FunctionId id, std::string role);
  // The one that was kept, which is kept no longer; a new one where there is none.
  Task<RoleSession> take(FunctionId id, std::string role);
  // Makes the next one, unless one is kept, and keeps it; fails as assume does. Gives its principal's id, which is
  // another when the role was replaced by one of the same name.
  Task<std::string> keep_next(FunctionId id, std::string role);

 private:
  struct Kept {
    std::string role;
    RoleSession session;
  };
  void keep(const FunctionId& id, std::string role, RoleSession session);
  // With the lock held; null: none.
  Kept* find(const FunctionId& id, const std::string& role);

  kernel::Deps& deps_;
  std::mutex mutex_;
  std::unordered_map<std::string, Kept> kept_;  // by function
};

}  // namespace virga::lambda
