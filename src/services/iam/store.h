// The only place that knows IAM's keys and records.
//
//   iam/user|group|role/<account>/<lower-case name>   Entity
//   iam/policy/<account>/<lower-case name>            Managed
//   iam/key/<access key id>                           Key
//   iam/member/<account>/<group>/<user>               nothing
//   iam/use/<account>/<policy arn>/<use>/<kind>/<name>  nothing: who a managed policy is attached to, or bounds
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kv/db.h"
#include "services/iam/model.h"

namespace virga::iam {

enum class Use : uint8_t { kAttached = 0, kBoundary = 1 };

struct PolicyUse {
  Use use;
  Kind kind;
  std::string name;
};

// Reads of one account.
class View {
 public:
  View(kv::Reader& reader, std::string account) : reader_(reader), account_(std::move(account)) {}

  Task<std::optional<Entity>> find(Kind kind, std::string name);
  // Fails with NoSuchEntity.
  Task<Entity> need(Kind kind, std::string name);
  // In the order of lower-case names, after `after`.
  Task<std::vector<Entity>> list(Kind kind, std::string after, size_t limit);
  // Whether any of that name exists, in whatever case.
  Task<bool> taken(Kind kind, std::string name);

  Task<std::optional<Managed>> find_policy(std::string name);
  // By an ARN that names its path rightly.
  Task<std::optional<Managed>> find_policy_arn(std::string arn);
  Task<std::vector<Managed>> list_policies(std::string after, size_t limit);
  Task<std::vector<PolicyUse>> uses(std::string policy_arn);

  Task<std::vector<std::string>> members(std::string group);

  const std::string& account() const { return account_; }

 protected:
  std::string entity_key(Kind kind, std::string_view name) const;
  std::string policy_key(std::string_view name) const;
  std::string use_key(const std::string& arn, const PolicyUse& use) const;
  std::string member_key(std::string_view group, std::string_view user) const;
  kv::Reader& reader_;
  std::string account_;
};

class Store : public View {
 public:
  Store(kv::Txn& tx, std::string account) : View(tx, std::move(account)), tx_(tx) {}

  void put(Kind kind, const Entity& entity) { tx_.put(entity_key(kind, entity.name), kv_encode(entity)); }
  void erase(Kind kind, std::string_view name) { tx_.erase(entity_key(kind, name)); }
  void put(const Managed& policy);
  void erase_policy(std::string_view name) { tx_.erase(policy_key(name)); }
  void put(const Key& key);
  void erase_key(std::string_view id);
  void use(const std::string& arn, const PolicyUse& use) { tx_.put(use_key(arn, use), ""); }
  void unuse(const std::string& arn, const PolicyUse& use) { tx_.erase(use_key(arn, use)); }
  void join(std::string_view group, std::string_view user) { tx_.put(member_key(group, user), std::string(user)); }
  void leave(std::string_view group, std::string_view user) { tx_.erase(member_key(group, user)); }

 private:
  static std::string kv_encode(const Entity& entity);
  kv::Txn& tx_;
};

// Keys belong to no account's range: they are found by id alone.
Task<std::optional<Key>> find_key(kv::Reader& reader, std::string id);

}  // namespace virga::iam
