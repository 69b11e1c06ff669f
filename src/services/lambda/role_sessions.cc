#include "services/lambda/role_sessions.h"

#include <aws/lambda/errors.h>
#include <aws/sts/ops.h>

#include "base/log.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "services/lambda/limits.h"

namespace virga::lambda {

namespace {

constexpr auto kKept = kInstanceLife - std::chrono::minutes(20);  // an instance lives no longer than its session
constexpr size_t kMostKept = 4096;

std::string key_of(const FunctionId& id) { return cat(id.account, ' ', id.region, ' ', id.name); }

}  // namespace

Task<RoleSession> RoleSessions::assume(FunctionId id, std::string role) {
  Ctx ctx = deps_.cloud.internal_context(kernel::service_principal("lambda.amazonaws.com", id.account), id.account,
                                         id.region);
  RoleSession out;
  out.since = std::chrono::steady_clock::now();
  sts::AssumeRoleRequest request;
  request.role_arn = role;
  // A session's name has two characters at least.
  request.role_session_name = id.name.size() > 1 ? id.name : cat(id.name, "@lambda_function");
  Result<sts::AssumeRoleResponse> session =
      co_await as_result(deps_.cloud.call<sts::op::AssumeRole>(ctx, std::move(request)));
  if (!session) {
    log_warning("lambda", "a function's role can't be assumed", {{"role", role}, {"error", describe(session.error())}});
    co_return err::InvalidParameterValueException("The role defined for the function cannot be assumed by Lambda.");
  }
  const sts::Credentials& credentials = *session->credentials;
  out.credentials = {{"AWS_ACCESS_KEY_ID", credentials.access_key_id},
                     {"AWS_SECRET_ACCESS_KEY", credentials.secret_access_key},
                     {"AWS_SESSION_TOKEN", credentials.session_token}};
  const auto known =
      co_await deps_.cloud.authorizer().find_credential(credentials.access_key_id, credentials.session_token);
  if (!known) co_return err::ServiceException("The role's session is not known.");
  out.principal = known->principal;
  co_return out;
}

Task<void> RoleSessions::check(FunctionId id, std::string role) {
  RoleSession session = co_await assume(id, role);
  keep(id, std::move(role), std::move(session));
}

void RoleSessions::keep(const FunctionId& id, std::string role, RoleSession session) {
  std::lock_guard lock(mutex_);
  if (kept_.size() >= kMostKept) kept_.erase(kept_.begin());
  kept_.insert_or_assign(key_of(id), Kept{std::move(role), std::move(session)});
}

RoleSessions::Kept* RoleSessions::find(const FunctionId& id, const std::string& role) {
  const auto found = kept_.find(key_of(id));
  if (found == kept_.end() || found->second.role != role) return nullptr;
  return std::chrono::steady_clock::now() - found->second.session.since < kKept ? &found->second : nullptr;
}

Task<RoleSession> RoleSessions::take(FunctionId id, std::string role) {
  {
    std::lock_guard lock(mutex_);
    if (Kept* const kept = find(id, role)) {
      RoleSession session = std::move(kept->session);
      kept_.erase(key_of(id));
      co_return session;
    }
  }
  co_return co_await assume(std::move(id), std::move(role));
}

Task<std::string> RoleSessions::keep_next(FunctionId id, std::string role) {
  {
    std::lock_guard lock(mutex_);
    if (const Kept* kept = find(id, role)) co_return kept->session.principal.user_id;
  }
  RoleSession session = co_await assume(id, role);
  std::string principal = session.principal.user_id;
  keep(id, std::move(role), std::move(session));
  co_return principal;
}

}  // namespace virga::lambda
