// IAM's things and rules: names, ARNs, documents, tags. Pure.
#pragma once

#include <aws/iam/types.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "kernel/context.h"
#include "kernel/policy.h"

namespace virga::iam {

enum class Kind : uint8_t { kUser, kGroup, kRole };
std::string_view word(Kind kind);  // "user"

using TagList = std::vector<std::pair<std::string, std::string>>;

// A user, group or role: what they share, and what only some have.
struct Entity {
  std::string name, path, id;
  Time created;
  TagList tags;
  std::map<std::string, std::string> policies;  // inline: name -> document
  std::vector<std::string> attached;            // ARNs, in the order they came
  std::string boundary;                         // an ARN; empty: none
  std::vector<std::string> groups;              // of a user
  std::vector<std::string> keys;                // of a user
  std::string trust, description;               // of a role
  int64_t max_session = 3600;
  Time last_used;
  std::string last_region;

  template <class A>
  void fields(A& a) {
    a(1, name), a(2, path), a(3, id), a(4, created), a(5, tags), a(6, policies), a(7, attached), a(8, boundary);
    a(9, groups), a(10, keys), a(11, trust), a(12, description), a(13, max_session), a(14, last_used),
        a(15, last_region);
  }
};

struct Version {
  int64_t number = 1;
  std::string document;
  Time created;
  template <class A>
  void fields(A& a) {
    a(1, number), a(2, document), a(3, created);
  }
};

// A managed policy of the account.
struct Managed {
  std::string name, path, id, description;
  Time created, updated;
  TagList tags;
  std::vector<Version> versions;  // oldest first
  int64_t current = 1, next = 2;
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, path), a(3, id), a(4, description), a(5, created), a(6, updated), a(7, tags), a(8, versions);
    a(9, current), a(10, next);
  }
  const Version* version(int64_t number) const;
};

struct Key {
  std::string id, account, user, sealed_secret;
  bool active = true;
  Time created;
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, account), a(3, user), a(4, sealed_secret), a(5, active), a(6, created);
  }
};

std::string entity_arn(std::string_view account, Kind kind, std::string_view path, std::string_view name);
std::string policy_arn(std::string_view account, std::string_view path, std::string_view name);
// arn:aws:iam::1:policy/path/name -> name, when it is a policy of this account.
std::optional<std::string> own_policy_name(std::string_view account, std::string_view arn);

std::string new_id(std::string_view prefix);                                // AIDA…, 21 characters
std::string new_key_id(std::string_view prefix, std::string_view account);  // AKIA…, 20 characters
std::string new_secret();                                                   // 40 characters

// Throw MalformedPolicyDocument in AWS's words.
void check_identity_document(std::string_view document);
void check_trust_document(std::string_view document);
size_t size_without_space(std::string_view document);

// Throws LimitExceeded, InvalidInput.
void add_tags(TagList& tags, const std::vector<Tag>& more);
void remove_tags(TagList& tags, const std::vector<std::string>& keys);
std::vector<Tag> wire_tags(const TagList& tags);

std::string version_id(int64_t number);  // v3
std::optional<int64_t> parse_version_id(std::string_view id);

// What may be attached on top of what is.
void attach(Entity& entity, Kind kind, const std::string& policy_arn);
void put_inline(Entity& entity, Kind kind, const std::string& name, const std::string& document);
void check_deletable(const Entity& entity, Kind kind);

User wire_user(std::string_view account, const Entity& e, bool with_tags);
Group wire_group(std::string_view account, const Entity& e);
Role wire_role(std::string_view account, const Entity& e, bool whole);

Error no_such(Kind kind, std::string_view name);

}  // namespace virga::iam
