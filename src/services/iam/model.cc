#include "services/iam/model.h"

#include <aws/iam/errors.h>

#include <algorithm>
#include <stdexcept>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/id.h"
#include "base/str.h"
#include "kernel/policy_document.h"
#include "services/iam/api.h"
#include "services/iam/limits.h"

namespace virga::iam {

namespace {

constexpr std::string_view kBase32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

std::string base32(std::string_view bytes) {
  std::string out;
  uint64_t bits = 0;
  int held = 0;
  for (unsigned char c : bytes) {
    bits = bits << 8 | c;
    for (held += 8; held >= 5; held -= 5) out += kBase32[bits >> (held - 5) & 31];
  }
  return out;
}

AttachedPermissionsBoundary wire_boundary(const std::string& arn) {
  return {PermissionsBoundaryAttachmentType::PermissionsBoundaryPolicy, arn};
}

struct InlineLimit {
  size_t bytes;
  std::string_view attached_quota;
};
InlineLimit limit_of(Kind kind) {
  switch (kind) {
    case Kind::kUser:
      return {kUserPolicySize, "PoliciesPerUser"};
    case Kind::kGroup:
      return {kGroupPolicySize, "PoliciesPerGroup"};
    case Kind::kRole:
      return {kRolePolicySize, "PoliciesPerRole"};
  }
  return {};
}

}  // namespace

std::string_view word(Kind kind) {
  switch (kind) {
    case Kind::kUser:
      return "user";
    case Kind::kGroup:
      return "group";
    case Kind::kRole:
      return "role";
  }
  return {};
}

const Version* Managed::version(int64_t number) const {
  const auto it = std::find_if(versions.begin(), versions.end(), [&](const Version& v) { return v.number == number; });
  return it == versions.end() ? nullptr : &*it;
}

std::string entity_arn(std::string_view account, Kind kind, std::string_view path, std::string_view name) {
  return cat("arn:aws:iam::", account, ':', word(kind), path, name);
}

std::string policy_arn(std::string_view account, std::string_view path, std::string_view name) {
  return cat("arn:aws:iam::", account, ":policy", path, name);
}

std::optional<std::string> own_policy_name(std::string_view account, std::string_view arn) {
  const std::string prefix = cat("arn:aws:iam::", account, ":policy/");
  if (!arn.starts_with(prefix)) return std::nullopt;
  return std::string(arn.substr(arn.rfind('/') + 1));
}

std::string new_id(std::string_view prefix) { return cat(prefix, random_upper_alnum(17)); }

// Ten bytes in base 32, the first 47 bits of which are 2^46 and the account: tools read the account out of a key's id.
std::string new_key_id(std::string_view prefix, std::string_view account) {
  std::string bytes = random_bytes(10);
  const uint64_t number = static_cast<uint64_t>(parse_int(account).value_or(0)) & ((1ull << 40) - 1);
  const uint64_t head = (1ull << 47) | number << 7 | (static_cast<uint8_t>(bytes[5]) & 0x7f);
  for (int i = 0; i < 6; ++i) bytes[static_cast<size_t>(i)] = static_cast<char>(head >> (40 - 8 * i));
  return cat(prefix, base32(bytes));
}

std::optional<std::string> account_of_key(std::string_view access_key) {
  if (access_key.size() != 20 || !(access_key.starts_with("AKIA") || access_key.starts_with("ASIA")))
    return std::nullopt;
  uint64_t bits = 0;
  for (char c : access_key.substr(4, 10)) {
    const size_t at = kBase32.find(c);
    if (at == std::string_view::npos) return std::nullopt;
    bits = bits << 5 | at;
  }
  bits >>= 2;  // 48 of the 50 bits
  std::string number = std::to_string(bits >> 7 & ((1ull << 40) - 1));
  if (number.size() > 12) return std::nullopt;
  return std::string(12 - number.size(), '0') + number;
}

std::string new_secret() {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out = random_bytes(40);
  for (char& c : out) c = kAlphabet[static_cast<unsigned char>(c) % kAlphabet.size()];
  return out;
}

void check_identity_document(std::string_view document) {
  try {
    kernel::policy::parse(document, kernel::policy::Type::kIdentity);
  } catch (const std::invalid_argument& e) {
    throw err::MalformedPolicyDocumentException(e.what());
  }
}

void check_trust_document(std::string_view document) {
  kernel::policy::DocumentPtr parsed;
  try {
    parsed = kernel::policy::parse(document, kernel::policy::Type::kResource);
  } catch (const std::invalid_argument& e) {
    throw err::MalformedPolicyDocumentException(e.what());
  }
  for (const auto& s : parsed->statements) {
    if (!s.resources.empty()) throw err::MalformedPolicyDocumentException("Has prohibited field Resource");
    if (s.not_action) throw err::MalformedPolicyDocumentException("AssumeRole policy must not specify NotAction.");
    for (const auto& action : s.actions) {
      if (!action.text.starts_with("sts:"))
        throw err::MalformedPolicyDocumentException("AssumeRole policy may only specify STS AssumeRole actions.");
    }
  }
  if (size_without_space(document) > kTrustPolicySize)
    throw err::LimitExceededException(cat("Cannot exceed quota for ACLSizePerRole: ", kTrustPolicySize));
}

size_t size_without_space(std::string_view document) {
  return static_cast<size_t>(std::count_if(document.begin(), document.end(),
                                           [](char c) { return c != ' ' && c != '\t' && c != '\n' && c != '\r'; }));
}

void add_tags(TagList& tags, const std::vector<Tag>& more) {
  for (size_t i = 0; i < more.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (equals_ignoring_case(more[i].key, more[j].key))
        throw err::InvalidInputException("Duplicate tag keys found. Please note that Tag keys are case insensitive.");
    }
    if (lower(more[i].key).starts_with("aws:"))
      throw err::InvalidInputException("Tag keys starting with 'aws:' are reserved for system use.");
    const auto it = std::find_if(tags.begin(), tags.end(),
                                 [&](const auto& t) { return equals_ignoring_case(t.first, more[i].key); });
    if (it == tags.end()) {
      tags.emplace_back(more[i].key, more[i].value);
    } else {
      *it = {more[i].key, more[i].value};
    }
  }
  if (tags.size() > kTags) throw err::LimitExceededException("The number of tags has reached the maximum limit.");
}

void remove_tags(TagList& tags, const std::vector<std::string>& keys) {
  std::erase_if(tags, [&](const auto& t) {
    return std::any_of(keys.begin(), keys.end(),
                       [&](const std::string& k) { return equals_ignoring_case(t.first, k); });
  });
}

std::vector<Tag> wire_tags(const TagList& tags) {
  std::vector<Tag> out;
  out.reserve(tags.size());
  for (const auto& [key, value] : tags) out.push_back({key, value});
  return out;
}

std::string version_id(int64_t number) { return cat('v', number); }

std::optional<int64_t> parse_version_id(std::string_view id) {
  return id.starts_with('v') ? parse_int(id.substr(1)) : std::nullopt;
}

void attach(Entity& entity, Kind kind, const std::string& policy_arn) {
  if (std::find(entity.attached.begin(), entity.attached.end(), policy_arn) != entity.attached.end()) return;
  if (entity.attached.size() >= kAttachedPolicies)
    throw err::LimitExceededException(
        cat("Cannot exceed quota for ", limit_of(kind).attached_quota, ": ", kAttachedPolicies));
  entity.attached.push_back(policy_arn);
}

void put_inline(Entity& entity, Kind kind, const std::string& name, const std::string& document) {
  entity.policies[name] = document;
  size_t size = 0;
  for (const auto& [policy, text] : entity.policies) size += size_without_space(text);
  if (size > limit_of(kind).bytes)
    throw err::LimitExceededException(
        cat("Maximum policy size of ", limit_of(kind).bytes, " bytes exceeded for ", word(kind), ' ', entity.name));
}

void check_deletable(const Entity& entity, Kind kind) {
  if (!entity.attached.empty())
    throw err::DeleteConflictException("Cannot delete entity, must detach all policies first.");
  if (!entity.policies.empty()) throw err::DeleteConflictException("Cannot delete entity, must delete policies first.");
  if (!entity.keys.empty()) throw err::DeleteConflictException("Cannot delete entity, must delete access keys first.");
  if (kind == Kind::kUser && !entity.groups.empty())
    throw err::DeleteConflictException("Cannot delete entity, must remove users from group first.");
}

User wire_user(std::string_view account, const Entity& e, bool with_tags) {
  User out;
  out.path = e.path;
  out.user_name = e.name;
  out.user_id = e.id;
  out.arn = entity_arn(account, Kind::kUser, e.path, e.name);
  out.create_date = e.created;
  if (!with_tags) return out;
  if (!e.boundary.empty()) out.permissions_boundary = wire_boundary(e.boundary);
  if (!e.tags.empty()) out.tags = wire_tags(e.tags);
  return out;
}

Group wire_group(std::string_view account, const Entity& e) {
  return {e.path, e.name, e.id, entity_arn(account, Kind::kGroup, e.path, e.name), e.created};
}

Role wire_role(std::string_view account, const Entity& e, bool whole) {
  Role out;
  out.path = e.path;
  out.role_name = e.name;
  out.role_id = e.id;
  out.arn = entity_arn(account, Kind::kRole, e.path, e.name);
  out.create_date = e.created;
  out.assume_role_policy_document = percent_encode(e.trust);
  if (!e.description.empty()) out.description = e.description;
  out.max_session_duration = static_cast<int32_t>(e.max_session);
  if (!whole) return out;
  if (!e.boundary.empty()) out.permissions_boundary = wire_boundary(e.boundary);
  if (!e.tags.empty()) out.tags = wire_tags(e.tags);
  RoleLastUsed used;
  if (e.last_used.micros != 0) {
    used.last_used_date = e.last_used;
    used.region = e.last_region;
  }
  out.role_last_used = used;
  return out;
}

Error no_such(Kind kind, std::string_view name) {
  return err::NoSuchEntityException(cat("The ", word(kind), " with name ", name, " cannot be found."));
}

}  // namespace virga::iam
