// Who is calling, and whether they may: credentials, and the policy engine's question put with everything it needs.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/task.h"
#include "kernel/context.h"
#include "kernel/policy.h"
#include "kernel/service.h"

namespace virga::kernel {

// What an access key opens.
struct Credential {
  std::string secret;
  Principal principal;
  std::string session_token;  // empty for long-term keys
  Time expires;               // zero: never
};

// Policies attached to a principal, parsed once when they were read.
struct PrincipalPolicies {
  std::vector<policy::DocumentPtr> identity;         // of the user, its groups, or the role
  policy::DocumentPtr boundary;                      // permissions boundary; null: none
  std::vector<policy::DocumentPtr> service_control;  // of the organisation; empty: none
  std::map<std::string, std::string> tags;           // of the user or role: aws:PrincipalTag
};
using PrincipalPoliciesPtr = std::shared_ptr<const PrincipalPolicies>;

// Where credentials and policies come from: services/iam implements it over its store.
class IdentitySource {
 public:
  virtual ~IdentitySource() = default;
  // Nothing for an unknown or inactive key. `session_token` is what the request carried (empty: none); a temporary key
  // without its token is unknown.
  virtual Task<std::optional<Credential>> find_credential(std::string access_key, std::string session_token) = 0;
  // Null when the principal no longer exists. Asked on every call: answers from memory.
  virtual Task<PrincipalPoliciesPtr> policies_of(Principal principal) = 0;
};

enum class IamMode : uint8_t { kEnforce, kAudit };  // audit: allow, and record what would have been denied

// What audit mode let pass. Calls alike are counted together.
struct Denial {
  Time first, last;
  uint64_t count = 0;
  std::string principal, action, resource, message;
};

class Authorizer {
 public:
  explicit Authorizer(IamMode mode);
  ~Authorizer();
  // Services are built after the authoriser that they are asked by.
  void set_identity_source(IdentitySource* source) { source_ = source; }

  Task<std::optional<Credential>> find_credential(std::string access_key, std::string session_token);

  // Fails with the service's AccessDenied in AWS's words unless the policies allow every access.
  Task<void> authorize(Ctx& ctx, const Operation& operation, const void* in);
  // The bare question, for services that ask about more than their own operation.
  Task<bool> allowed(Ctx& ctx, Access access, std::optional<std::string> resource_policy);
  // The same, answering with AWS's sentence when it is a no: for the service to put into its own error.
  Task<std::optional<std::string>> why_denied(Ctx& ctx, Access access, std::optional<std::string> resource_policy);

  // Fails with the service's AccessDenied unless the caller may hand it `role` (iam:PassRole).
  Task<void> authorize_pass(Ctx& ctx, const wire::ServiceModel& service, std::string role);

  std::vector<Denial> denials() const;

  // A resource policy or session policy parsed, or remembered from before; null when it is malformed.
  policy::DocumentPtr parsed(const std::string& document, policy::Type type);

 private:
  Task<std::optional<std::string>> ask(Ctx& ctx, const Access& access, std::optional<std::string> resource_policy);
  void record(const Ctx& ctx, const Access& access, const std::string& message);

  IamMode mode_;
  IdentitySource* source_ = nullptr;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace virga::kernel
