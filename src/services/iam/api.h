// What the rest of Virga may know of IAM: who an access key is, what a principal may do, and the roles there are.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernel/authorize.h"
#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::iam {

// A key of an account's root, from the configuration; never from the store.
struct RootKey {
  std::string access_key, secret, account;
};

struct Options {
  bool development_key = false;  // test/test is the root of 000000000000
  std::vector<RootKey> root_keys;
};

struct RoleInfo {
  std::string account, name, id, arn;
  std::string trust_policy;
  int64_t max_session = 3600;  // seconds
  Time last_used;
};

struct TemporaryCredential {
  std::string access_key, secret, session_token;
};

class Directory : public kernel::IdentitySource {
 public:
  // By ARN, which must match path and case.
  virtual Task<std::optional<RoleInfo>> find_role(std::string role_arn) = 0;
  // The default version of a managed policy of AWS's or of `account`.
  virtual Task<std::optional<std::string>> find_managed_policy(std::string account, std::string policy_arn) = 0;
  // A key that opens as `principal` until `expires`. Nothing is stored: the token holds it all, sealed.
  virtual TemporaryCredential mint(const kernel::Principal& principal, Time expires) = 0;
  // For RoleLastUsed; written at most once an hour.
  virtual Task<void> note_role_used(RoleInfo role, std::string region) = 0;
};

// The account in an access key's id, in the encoding AWS uses; nothing when it is none of that form.
std::optional<std::string> account_of_key(std::string_view access_key);

struct Iam {
  std::unique_ptr<kernel::Service> service;
  Directory& directory;  // owned by the service
};
Iam make_iam(kernel::Deps& deps, Options options);

}  // namespace virga::iam
