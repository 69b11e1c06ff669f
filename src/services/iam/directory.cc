#include "services/iam/directory.h"

#include <stdexcept>

#include "base/log.h"
#include "base/str.h"
#include "kv/record.h"
#include "services/iam/limits.h"
#include "services/iam/managed_policies.h"

namespace virga::iam {

namespace {

using kernel::Credential;
using kernel::Principal;

constexpr std::string_view kSessionPurpose = "sts:session";

// What a session token holds, sealed.
struct Session {
  std::string access_key, secret;
  Principal::Kind kind = Principal::Kind::kAnonymous;
  std::string account, arn, user_id, role_arn;
  std::vector<std::string> policies;
  std::map<std::string, std::string> tags;
  Time issued, expires;
  template <class A>
  void fields(A& a) {
    a(1, access_key), a(2, secret), a(3, kind), a(4, account), a(5, arn), a(6, user_id), a(7, role_arn), a(8, policies);
    a(9, tags), a(10, issued), a(11, expires);
  }
};

template <class Map, class Value>
void remember(Map& map, const std::string& key, Value value, size_t most = kCached) {
  if (map.size() >= most) map.clear();
  map.insert_or_assign(key, std::move(value));
}

std::string last_part(std::string_view arn) { return std::string(arn.substr(arn.rfind('/') + 1)); }

Principal user_principal(const std::string& account, const Entity& user, const std::string& key) {
  Principal p;
  p.kind = Principal::Kind::kUser;
  p.account = account;
  p.arn = entity_arn(account, Kind::kUser, user.path, user.name);
  p.user_id = user.id;
  p.access_key = key;
  return p;
}

kernel::policy::DocumentPtr parse_stored(const std::string& document) {
  try {
    return kernel::policy::parse(document, kernel::policy::Type::kIdentity);
  } catch (const std::invalid_argument& e) {
    throw std::runtime_error(cat("a stored policy can't be read: ", e.what()));
  }
}

}  // namespace

void StoreDirectory::invalidate() {
  std::lock_guard lock(mutex_);
  ++generation_;
  keys_.clear();
  policies_.clear();
}

std::optional<Time> StoreDirectory::last_used(const std::string& access_key) const {
  std::lock_guard lock(mutex_);
  const auto it = used_.find(access_key);
  return it == used_.end() ? std::nullopt : std::optional(it->second);
}

std::string StoreDirectory::seal_secret(std::string_view key_id, std::string_view secret) const {
  return tokens_.seal(cat("iam:secret:", key_id), secret);
}

TemporaryCredential StoreDirectory::mint(const Principal& p, Time expires) {
  Session s{new_key_id("ASIA", p.account),
            new_secret(),
            p.kind,
            p.account,
            p.arn,
            p.user_id,
            p.role_arn,
            p.session_policies,
            p.session_tags,
            p.issued,
            expires};
  return {s.access_key, s.secret, tokens_.seal(kSessionPurpose, kv::encode(s))};
}

std::optional<Credential> StoreDirectory::open_session(const std::string& access_key, const std::string& token) {
  {
    std::lock_guard lock(mutex_);
    if (const auto it = sessions_.find(token); it != sessions_.end()) {
      return it->second.principal.access_key == access_key ? std::optional(it->second) : std::nullopt;
    }
  }
  const auto payload = tokens_.open(kSessionPurpose, token);
  if (!payload) return std::nullopt;
  Session s = kv::decode<Session>(*payload);
  if (s.access_key != access_key) return std::nullopt;
  Credential out;
  out.secret = std::move(s.secret);
  out.session_token = token;
  out.expires = s.expires;
  out.principal = {
      s.kind,  s.account, s.arn, s.user_id, s.access_key, s.role_arn, {}, std::move(s.policies), std::move(s.tags),
      s.issued};
  std::lock_guard lock(mutex_);
  remember(sessions_, token, out, kCachedSessions);
  return out;
}

Task<std::optional<Credential>> StoreDirectory::find_credential(std::string access_key, std::string session_token) {
  if (!session_token.empty()) co_return open_session(access_key, session_token);
  if (options_.development_key && access_key == "test") {
    Credential out{"test", kernel::root_of("000000000000"), {}, {}};
    out.principal.access_key = access_key;
    co_return out;
  }
  for (const RootKey& root : options_.root_keys) {
    if (root.access_key != access_key) continue;
    Credential out{root.secret, kernel::root_of(root.account), {}, {}};
    out.principal.access_key = access_key;
    co_return out;
  }
  {
    std::lock_guard lock(mutex_);
    if (const auto it = keys_.find(access_key); it != keys_.end()) {
      remember(used_, access_key, clock_.now());
      co_return it->second;
    }
  }
  const uint64_t generation = generation_;
  const auto view = db_.snapshot();
  const auto key = co_await find_key(*view, access_key);
  if (!key || !key->active) co_return std::nullopt;
  View account(*view, key->account);
  const auto user = co_await account.find(Kind::kUser, key->user);
  const auto secret = tokens_.open(cat("iam:secret:", key->id), key->sealed_secret);
  if (!user || !secret) co_return std::nullopt;
  Credential out{*secret, user_principal(key->account, *user, access_key), {}, {}};
  std::lock_guard lock(mutex_);
  if (generation == generation_) remember(keys_, access_key, out);
  remember(used_, access_key, clock_.now());
  co_return out;
}

Task<kernel::PrincipalPoliciesPtr> StoreDirectory::policies_of(Principal principal) {
  std::string name = principal.kind == Principal::Kind::kUser          ? principal.arn
                     : principal.kind == Principal::Kind::kRoleSession ? principal.role_arn
                                                                       : std::string();
  if (name.empty()) co_return nullptr;
  // The id too: a user or role made anew under an old name is another.
  const std::string id = principal.user_id.substr(0, principal.user_id.find(':'));
  append(name, ' ', id);
  {
    std::lock_guard lock(mutex_);
    if (const auto it = policies_.find(name); it != policies_.end()) co_return it->second;
  }
  co_return co_await load(std::move(principal), std::move(name));
}

Task<kernel::PrincipalPoliciesPtr> StoreDirectory::load(Principal principal, std::string name) {
  const uint64_t generation = generation_;
  const auto reader = db_.snapshot();
  View view(*reader, principal.account);
  const bool is_user = principal.kind == Principal::Kind::kUser;
  const auto entity =
      co_await view.find(is_user ? Kind::kUser : Kind::kRole, last_part(is_user ? principal.arn : principal.role_arn));
  kernel::PrincipalPoliciesPtr out;
  if (entity && entity->id == principal.user_id.substr(0, principal.user_id.find(':'))) {
    auto policies = std::make_shared<kernel::PrincipalPolicies>();
    co_await add_policies(view, *entity, *policies);
    for (const std::string& group : entity->groups) {
      const auto row = co_await view.find(Kind::kGroup, group);
      if (row) co_await add_policies(view, *row, *policies);
    }
    for (const auto& [key, value] : entity->tags) policies->tags.emplace(key, value);
    if (!entity->boundary.empty()) {
      const auto boundary = co_await find_managed_policy(principal.account, entity->boundary);
      // A boundary that is gone bounds everything.
      policies->boundary = parse_stored(
          boundary ? *boundary
                   : R"({"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}})");
    }
    out = std::move(policies);
  }
  std::lock_guard lock(mutex_);
  if (generation == generation_) remember(policies_, name, out);
  co_return out;
}

Task<void> StoreDirectory::add_policies(View& view, const Entity& entity, kernel::PrincipalPolicies& out) {
  for (const auto& [name, document] : entity.policies) out.identity.push_back(parse_stored(document));
  for (const std::string& arn : entity.attached) {
    if (const AwsPolicy* aws = find_aws_policy(arn)) {
      out.identity.push_back(parse_stored(aws->document()));
      continue;
    }
    const auto managed = co_await view.find_policy_arn(arn);
    const Version* version = managed ? managed->version(managed->current) : nullptr;
    if (version) out.identity.push_back(parse_stored(version->document));
  }
}

Task<std::optional<std::string>> StoreDirectory::find_managed_policy(std::string account, std::string policy_arn) {
  if (const AwsPolicy* aws = find_aws_policy(policy_arn)) co_return aws->document();
  const auto reader = db_.snapshot();
  View view(*reader, account);
  const auto managed = co_await view.find_policy_arn(policy_arn);
  const Version* version = managed ? managed->version(managed->current) : nullptr;
  if (!version) co_return std::nullopt;
  co_return version->document;
}

Task<std::optional<RoleInfo>> StoreDirectory::find_role(std::string role_arn) {
  const auto arn = kernel::parse_arn(role_arn);
  if (!arn || arn->service != "iam" || !arn->resource.starts_with("role/")) co_return std::nullopt;
  const auto reader = db_.snapshot();
  View view(*reader, arn->account);
  const auto role = co_await view.find(Kind::kRole, last_part(role_arn));
  if (!role) co_return std::nullopt;
  RoleInfo out{
      arn->account, role->name,        role->id,       entity_arn(arn->account, Kind::kRole, role->path, role->name),
      role->trust,  role->max_session, role->last_used};
  if (out.arn != role_arn) co_return std::nullopt;
  co_return out;
}

Task<void> StoreDirectory::note_role_used(RoleInfo role, std::string region) {
  const Time now = clock_.now();
  if (now - role.last_used < std::chrono::hours(1)) co_return;
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, role.account);
    auto row = co_await store.find(Kind::kRole, role.name);
    if (!row || row->id != role.id) co_return;
    row->last_used = now;
    row->last_region = region;
    store.put(Kind::kRole, *row);
  });
}

}  // namespace virga::iam
