#include "kernel/policy.h"

#include <algorithm>

#include "base/str.h"
#include "kernel/policy_document.h"

namespace virga::kernel::policy {

namespace {

// How closely a statement's principal names the caller: what a resource policy's Allow is worth depends on it.
enum class Naming : uint8_t {
  kNot,
  kAccount,  // the caller's whole account: its own policies still decide
  kRole,     // the role of the caller's session: boundary and session policies still narrow it
  kCaller,   // the caller itself, or everyone
};

Naming names(const PrincipalName& name, const Principal& caller) {
  using Kind = PrincipalName::Kind;
  switch (name.kind) {
    case Kind::kEveryone:
      return Naming::kCaller;
    case Kind::kAccount:
      if (caller.account != name.value || caller.kind == Principal::Kind::kService) return Naming::kNot;
      return caller.kind == Principal::Kind::kRoot ? Naming::kCaller : Naming::kAccount;
    case Kind::kArn:
      if (name.value == caller.arn) return Naming::kCaller;
      if (caller.kind == Principal::Kind::kRoleSession && name.value == caller.role_arn) return Naming::kRole;
      if (caller.kind == Principal::Kind::kUser && name.value == caller.user_id) return Naming::kCaller;
      return Naming::kNot;
    case Kind::kService:
      return caller.kind == Principal::Kind::kService && name.value == caller.service ? Naming::kCaller : Naming::kNot;
    case Kind::kFederated:
    case Kind::kCanonical:
      return Naming::kNot;
  }
  return Naming::kNot;
}

Naming naming(const Statement& s, const Principal& caller) {
  if (!s.has_principal) return Naming::kCaller;
  Naming best = Naming::kNot;
  for (const PrincipalName& name : s.principals) best = std::max(best, names(name, caller));
  if (!s.not_principal) return best;
  // Who is to be spared by a Deny must be named; to name the account alone spares only its root.
  const bool spared = s.allow ? best != Naming::kNot : best > Naming::kAccount;
  return spared ? Naming::kNot : Naming::kCaller;
}

class Evaluation {
 public:
  Evaluation(const Policies& policies, const Request& request)
      : policies_(policies), request_(request), caller_(*request.principal), action_(lower(request.action)) {}

  Outcome run();

 private:
  bool applies(const Statement& s);
  const Statement* find_deny(const DocumentPtr& document);
  const Statement* find_allow(const DocumentPtr& document);
  // The closest naming of the caller by an allowing statement.
  Naming resource_grant(const Statement*& by);
  bool any_allows(const std::vector<DocumentPtr>& documents, const Statement*& by);
  bool each_allows(const std::vector<DocumentPtr>& documents);
  std::optional<Outcome> denied();

  const Policies& policies_;
  const Request& request_;
  const Principal& caller_;
  const std::string action_;
  std::string scratch_;
};

bool Evaluation::applies(const Statement& s) {
  const bool action =
      std::any_of(s.actions.begin(), s.actions.end(), [&](const Pattern& p) { return matches(p.text, action_); });
  if (action == s.not_action) return false;
  if (!s.resources.empty()) {
    const bool resource = std::any_of(s.resources.begin(), s.resources.end(), [&](const Pattern& p) {
      const auto pattern = expand(p, request_, scratch_);
      return pattern && matches_arn(*pattern, request_.resource);
    });
    if (resource == s.not_resource) return false;
  }
  return std::all_of(s.conditions.begin(), s.conditions.end(), [&](const Condition& c) { return holds(c, request_); });
}

const Statement* Evaluation::find_deny(const DocumentPtr& document) {
  if (!document) return nullptr;
  for (const Statement& s : document->statements) {
    if (!s.allow && naming(s, caller_) != Naming::kNot && applies(s)) return &s;
  }
  return nullptr;
}

const Statement* Evaluation::find_allow(const DocumentPtr& document) {
  for (const Statement& s : document->statements) {
    if (s.allow && applies(s)) return &s;
  }
  return nullptr;
}

Naming Evaluation::resource_grant(const Statement*& by) {
  Naming best = Naming::kNot;
  if (!policies_.resource) return best;
  for (const Statement& s : policies_.resource->statements) {
    if (!s.allow) continue;
    const Naming how = naming(s, caller_);
    if (how <= best || !applies(s)) continue;
    best = how;
    by = &s;
  }
  return best;
}

bool Evaluation::any_allows(const std::vector<DocumentPtr>& documents, const Statement*& by) {
  for (const DocumentPtr& document : documents) {
    if (const Statement* s = find_allow(document)) {
      by = s;
      return true;
    }
  }
  return false;
}

bool Evaluation::each_allows(const std::vector<DocumentPtr>& documents) {
  return std::all_of(documents.begin(), documents.end(),
                     [&](const DocumentPtr& d) { return find_allow(d) != nullptr; });
}

std::optional<Outcome> Evaluation::denied() {
  const auto check = [&](const DocumentPtr& document, std::string_view kind) -> std::optional<Outcome> {
    if (const Statement* s = find_deny(document)) return Outcome{Decision::kExplicitDeny, kind, s->sid};
    return std::nullopt;
  };
  for (const auto& d : policies_.service_control) {
    if (auto out = check(d, "service control policy")) return out;
  }
  if (auto out = check(policies_.resource, "resource-based policy")) return out;
  for (const auto& d : policies_.identity) {
    if (auto out = check(d, "identity-based policy")) return out;
  }
  if (auto out = check(policies_.boundary, "permissions boundary")) return out;
  for (const auto& d : policies_.session) {
    if (auto out = check(d, "session policy")) return out;
  }
  return std::nullopt;
}

Outcome Evaluation::run() {
  if (auto out = denied()) return *out;
  const bool has_account = caller_.kind == Principal::Kind::kRoot || caller_.kind == Principal::Kind::kUser ||
                           caller_.kind == Principal::Kind::kRoleSession;
  const Statement* by = nullptr;
  const auto allow = [&](std::string_view kind) {
    return Outcome{Decision::kAllow, kind, by ? by->sid : std::string()};
  };
  const auto refuse = [](std::string_view kind) { return Outcome{Decision::kImplicitDeny, kind, {}}; };

  const Naming grant = resource_grant(by);
  if (!has_account) {
    // Anonymous callers and services have no policies of their own.
    return grant == Naming::kCaller ? allow("resource-based policy") : refuse("resource-based policy");
  }
  if (!each_allows(policies_.service_control)) return refuse("service control policy");

  const bool same_account = policies_.resource_account.empty() || policies_.resource_account == caller_.account;
  if (same_account) {
    if (grant == Naming::kCaller) return allow("resource-based policy");
    if (policies_.resource_must_allow && grant == Naming::kNot) return refuse("resource-based policy");
  } else if (grant == Naming::kNot) {
    return refuse("resource-based policy");
  }

  const bool granted_to_role = same_account && grant == Naming::kRole;
  if (caller_.kind != Principal::Kind::kRoot && !granted_to_role && !any_allows(policies_.identity, by))
    return refuse("identity-based policy");
  if (policies_.boundary && !find_allow(policies_.boundary)) return refuse("permissions boundary");
  if (!each_allows(policies_.session)) return refuse("session policy");
  return allow(granted_to_role ? "resource-based policy" : "identity-based policy");
}

}  // namespace

Outcome evaluate(const Policies& policies, const Request& request) { return Evaluation(policies, request).run(); }

}  // namespace virga::kernel::policy
