#include "services/iam/store.h"

#include "base/str.h"
#include "kv/key.h"
#include "kv/record.h"

namespace virga::iam {

namespace {

kv::KeyWriter table(std::string_view name) { return std::move(kv::KeyWriter("iam").text(name)); }

std::string key_key(std::string_view id) { return std::move(table("key").text(id)).take(); }

}  // namespace

std::string View::entity_key(Kind kind, std::string_view name) const {
  return std::move(table(word(kind)).text(account_).text(lower(name))).take();
}
std::string View::policy_key(std::string_view name) const {
  return std::move(table("policy").text(account_).text(lower(name))).take();
}
std::string View::use_key(const std::string& arn, const PolicyUse& use) const {
  return std::move(table("use")
                       .text(account_)
                       .text(arn)
                       .u8(static_cast<uint8_t>(use.use))
                       .u8(static_cast<uint8_t>(use.kind))
                       .text(use.name))
      .take();
}
std::string View::member_key(std::string_view group, std::string_view user) const {
  return std::move(table("member").text(account_).text(lower(group)).text(lower(user))).take();
}

Task<std::optional<Entity>> View::find(Kind kind, std::string name) {
  const auto bytes = co_await reader_.get(entity_key(kind, name));
  if (!bytes) co_return std::nullopt;
  Entity e = kv::decode<Entity>(*bytes);
  if (e.name != name) co_return std::nullopt;
  co_return e;
}

Task<Entity> View::need(Kind kind, std::string name) {
  auto found = co_await find(kind, name);
  if (!found) co_return no_such(kind, name);
  co_return std::move(*found);
}

Task<bool> View::taken(Kind kind, std::string name) {
  co_return (co_await reader_.get(entity_key(kind, name))).has_value();
}

Task<std::vector<Entity>> View::list(Kind kind, std::string after, size_t limit) {
  kv::Range range = kv::prefix_range(std::move(table(word(kind)).text(account_)).take());
  if (!after.empty()) range.begin = kv::prefix_end(entity_key(kind, after));
  std::vector<Entity> out;
  for (const kv::Entry& entry : co_await reader_.scan(range, {.limit = limit}))
    out.push_back(kv::decode<Entity>(entry.value));
  co_return out;
}

Task<std::optional<Managed>> View::find_policy(std::string name) {
  const auto bytes = co_await reader_.get(policy_key(name));
  if (!bytes) co_return std::nullopt;
  co_return kv::decode<Managed>(*bytes);
}

Task<std::optional<Managed>> View::find_policy_arn(std::string arn) {
  const auto name = own_policy_name(account_, arn);
  if (!name) co_return std::nullopt;
  auto found = co_await find_policy(*name);
  if (!found || policy_arn(account_, found->path, found->name) != arn) co_return std::nullopt;
  co_return found;
}

Task<std::vector<Managed>> View::list_policies(std::string after, size_t limit) {
  kv::Range range = kv::prefix_range(std::move(table("policy").text(account_)).take());
  if (!after.empty()) range.begin = kv::prefix_end(policy_key(after));
  std::vector<Managed> out;
  for (const kv::Entry& entry : co_await reader_.scan(range, {.limit = limit}))
    out.push_back(kv::decode<Managed>(entry.value));
  co_return out;
}

Task<std::vector<PolicyUse>> View::uses(std::string policy_arn) {
  const std::string prefix = std::move(table("use").text(account_).text(policy_arn)).take();
  std::vector<PolicyUse> out;
  for (const kv::Entry& entry : co_await reader_.scan(kv::prefix_range(prefix))) {
    kv::KeyReader key(std::string_view(entry.key).substr(prefix.size()));
    const Use use = static_cast<Use>(key.u8());
    const Kind kind = static_cast<Kind>(key.u8());
    out.push_back({use, kind, key.text()});
  }
  co_return out;
}

Task<std::vector<std::string>> View::members(std::string group) {
  std::vector<std::string> out;
  const std::string prefix = std::move(table("member").text(account_).text(lower(group))).take();
  for (kv::Entry& entry : co_await reader_.scan(kv::prefix_range(prefix))) out.push_back(std::move(entry.value));
  co_return out;
}

std::string Store::kv_encode(const Entity& entity) { return kv::encode(entity); }
void Store::put(const Managed& policy) { tx_.put(policy_key(policy.name), kv::encode(policy)); }
void Store::put(const Key& key) { tx_.put(key_key(key.id), kv::encode(key)); }
void Store::erase_key(std::string_view id) { tx_.erase(key_key(id)); }

Task<std::optional<Key>> find_key(kv::Reader& reader, std::string id) {
  const auto bytes = co_await reader.get(key_key(id));
  if (!bytes) co_return std::nullopt;
  co_return kv::decode<Key>(*bytes);
}

}  // namespace virga::iam
