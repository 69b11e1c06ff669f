// Who an access key is and what a principal may do, answered from memory: read from the store once, forgotten when IAM
// commits a change.
#pragma once

#include <atomic>
#include <mutex>
#include <unordered_map>

#include "kernel/tokens.h"
#include "services/iam/api.h"
#include "services/iam/store.h"

namespace virga::iam {

class StoreDirectory : public Directory {
 public:
  StoreDirectory(kv::Db& db, const Clock& clock, kernel::Tokens& tokens, Options options)
      : db_(db), clock_(clock), tokens_(tokens), options_(std::move(options)) {}

  Task<std::optional<kernel::Credential>> find_credential(std::string access_key, std::string session_token) override;
  Task<kernel::PrincipalPoliciesPtr> policies_of(kernel::Principal principal) override;
  Task<std::optional<RoleInfo>> find_role(std::string role_arn) override;
  Task<std::optional<std::string>> find_managed_policy(std::string account, std::string policy_arn) override;
  TemporaryCredential mint(const kernel::Principal& principal, Time expires) override;
  Task<void> note_role_used(RoleInfo role, std::string region) override;

  // Forgets everything: called when a change has been committed.
  void invalidate();
  // When the key last opened something since the start; nothing when it did not.
  std::optional<Time> last_used(const std::string& access_key) const;
  std::string seal_secret(std::string_view key_id, std::string_view secret) const;

 private:
  std::optional<kernel::Credential> open_session(const std::string& access_key, const std::string& token);
  Task<kernel::PrincipalPoliciesPtr> load(kernel::Principal principal, std::string name);
  Task<void> add_policies(View& view, const Entity& entity, kernel::PrincipalPolicies& out);

  kv::Db& db_;
  const Clock& clock_;
  kernel::Tokens& tokens_;
  const Options options_;

  // What was read before a change must not be remembered after it: a reader stores only if the generation is still the
  // one it began with.
  std::atomic<uint64_t> generation_ = 0;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, kernel::Credential> keys_;
  std::unordered_map<std::string, kernel::Credential> sessions_;  // by token; never stale: a token holds it all
  std::unordered_map<std::string, kernel::PrincipalPoliciesPtr> policies_;
  std::unordered_map<std::string, Time> used_;
};

}  // namespace virga::iam
