// Who is calling, and whether they may: credentials, and the policy engine's question put with everything it needs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/task.h"
#include "kernel/context.h"
#include "kernel/service.h"

namespace virga::kernel {

// What an access key opens.
struct Credential {
  std::string secret;
  Principal principal;
  std::string session_token;  // empty for long-term keys
  Time expires;               // zero: never
};

// Policies attached to a principal, as documents (JSON text).
struct PrincipalPolicies {
  std::vector<std::string> identity;        // of the user, its groups, or the role
  std::optional<std::string> boundary;      // permissions boundary
  std::vector<std::string> service_control; // of the organisation; empty: none
  std::map<std::string, std::string> tags;  // of the user or role: aws:PrincipalTag
};

// Where credentials and policies come from: services/iam implements it over its store.
class IdentitySource {
 public:
  virtual ~IdentitySource() = default;
  // Nothing for an unknown or inactive key. `session_token` is what the request carried (empty: none); a temporary key
  // without its token is unknown.
  virtual Task<std::optional<Credential>> find_credential(std::string access_key, std::string session_token) = 0;
  // Nothing when the principal no longer exists.
  virtual Task<std::optional<PrincipalPolicies>> policies_of(Principal principal) = 0;
};

enum class IamMode : uint8_t { kEnforce, kAudit };  // audit: allow, and record what would have been denied

class Authorizer {
 public:
  explicit Authorizer(IamMode mode) : mode_(mode) {}
  // Services are built after the authoriser that they are asked by.
  void set_identity_source(IdentitySource* source) { source_ = source; }

  Task<std::optional<Credential>> find_credential(std::string access_key, std::string session_token);

  // Fails with the service's AccessDenied in AWS's words unless the policies allow every access.
  Task<void> authorize(Ctx& ctx, const Operation& operation, const void* in);
  // The bare question, for services that ask about more than their own operation (iam:PassRole).
  Task<bool> allowed(Ctx& ctx, const Access& access, std::optional<std::string> resource_policy);

  IamMode mode() const { return mode_; }

 private:
  IamMode mode_;
  IdentitySource* source_ = nullptr;
};

}  // namespace virga::kernel
