// Keys and records of Organizations. The only file that knows how they are spelled.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "kv/db.h"
#include "kv/key.h"
#include "kv/record.h"

namespace virga::organizations {

struct OrganizationRecord {
  std::string id;          // o-…
  std::string management;  // the account
  std::string features;    // ALL or CONSOLIDATED_BILLING
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, management), a(3, features);
  }
};

struct AccountRecord {
  std::string id, name, email;
  bool created = false;  // by the organization; else it is the management account
  Time joined;
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, name), a(3, email), a(4, created), a(5, joined);
  }
};

// A request to make an account, and how it ended.
struct RequestRecord {
  std::string id;  // car-…
  std::string name, account;
  std::string failure;  // empty: the account was made
  Time at;
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, name), a(3, account), a(4, failure), a(5, at);
  }
};

namespace keys {

inline std::string organization(const std::string& management) {
  return kv::KeyWriter("org").text("o").text(management).take();
}
inline std::string membership(const std::string& account) {
  return kv::KeyWriter("org").text("m").text(account).take();
}
inline std::string accounts(const std::string& management) {
  return kv::KeyWriter("org").text("a").text(management).take();
}
inline std::string requests(const std::string& management) {
  return kv::KeyWriter("org").text("r").text(management).take();
}
// One of those whose prefix is given.
inline std::string entry(std::string prefix, const std::string& id) { return prefix + kv::KeyWriter(id).take(); }
inline std::string email(const std::string& management, const std::string& address) {
  return kv::KeyWriter("org").text("e").text(management).text(address).take();
}

}  // namespace keys

template <class R>
Task<std::optional<R>> find(kv::Reader& reader, std::string key) {
  const auto bytes = co_await reader.get(std::move(key));
  if (!bytes) co_return std::nullopt;
  co_return kv::decode<R>(*bytes);
}

// The organization that the account belongs to.
inline Task<std::optional<OrganizationRecord>> find_organization(kv::Reader& reader, std::string account) {
  const auto management = co_await reader.get(keys::membership(account));
  if (!management) co_return std::nullopt;
  co_return co_await find<OrganizationRecord>(reader, keys::organization(*management));
}

}  // namespace virga::organizations
