#include "kernel/authorize.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "base/log.h"
#include "base/str.h"
#include "kernel/policy_document.h"
#include "wire/protocol.h"

namespace virga::kernel {

namespace {

constexpr size_t kMaxParsed = 2048;     // documents
constexpr size_t kMaxDenials = 10'000;  // different ones

using Keys = std::map<std::string, std::vector<std::string>, std::less<>>;

std::string_view principal_type(Principal::Kind kind) {
  switch (kind) {
    case Principal::Kind::kAnonymous:
      return "Anonymous";
    case Principal::Kind::kRoot:
      return "Account";
    case Principal::Kind::kUser:
      return "User";
    case Principal::Kind::kRoleSession:
      return "AssumedRole";
    case Principal::Kind::kService:
      return "Service";
  }
  return "Anonymous";
}

// arn:aws:iam::1:user/path/name -> name
std::string user_name(const Principal& p) { return p.arn.substr(p.arn.rfind('/') + 1); }

// The keys that any of the policies names, sorted.
std::vector<std::string_view> wanted_keys(const policy::Policies& all) {
  std::vector<std::string_view> out;
  const auto add = [&](const policy::DocumentPtr& document) {
    if (document) out.insert(out.end(), document->keys.begin(), document->keys.end());
  };
  add(all.resource);
  add(all.boundary);
  for (const auto* documents : {&all.identity, &all.session, &all.service_control}) {
    for (const policy::DocumentPtr& document : *documents) add(document);
  }
  std::ranges::sort(out);
  return out;
}

// Of all that a request has to say, what the policies ask for.
Keys condition_keys(const Ctx& ctx, const Access& access, const PrincipalPolicies* policies,
                    const policy::Policies& all) {
  Keys keys;
  const auto wanted = wanted_keys(all);
  if (wanted.empty()) return keys;
  const auto is_wanted = [&](std::string_view key) { return std::ranges::binary_search(wanted, key); };
  const auto set = [&](std::string_view key, std::string_view value) {
    if (!value.empty() && is_wanted(key)) keys.emplace(std::string(key), std::vector<std::string>{std::string(value)});
  };
  const Principal& p = ctx.principal;
  const Time now = ctx.now();
  const bool session = p.kind == Principal::Kind::kRoleSession;
  const bool service = p.kind == Principal::Kind::kService;
  if (is_wanted("aws:currenttime")) set("aws:currenttime", iso8601(Time::from_seconds(now.seconds())));
  if (is_wanted("aws:epochtime")) set("aws:epochtime", cat(now.seconds()));
  set("aws:sourceip", ctx.source_ip);
  set("aws:securetransport", ctx.secure ? "true" : "false");
  set("aws:useragent", ctx.user_agent);
  set("aws:requestedregion", ctx.region);
  set("aws:sourcearn", ctx.source_arn);
  set("aws:sourceaccount", ctx.source_account);
  set("aws:resourceaccount", all.resource_account);
  set("aws:principaltype", principal_type(p.kind));
  set("aws:principalisawsservice", service ? "true" : "false");
  set("aws:viaawsservice", ctx.via.empty() ? "false" : "true");
  set("aws:calledvia", ctx.via);
  set("aws:calledviafirst", ctx.via);
  set("aws:calledvialast", ctx.via);
  if (service) set("aws:principalservicename", p.service);
  if (p.kind != Principal::Kind::kAnonymous && !service) {
    set("aws:principalarn", session ? p.role_arn : p.arn);
    set("aws:principalaccount", p.account);
    set("aws:userid", p.user_id);
  }
  if (p.kind == Principal::Kind::kUser) set("aws:username", user_name(p));
  if (p.issued.micros != 0) {
    set("aws:tokenissuetime", iso8601(Time::from_seconds(p.issued.seconds())));
    set("aws:multifactorauthpresent", "false");
  }
  // A session's tags win over those of its role.
  for (const auto& [key, value] : p.session_tags) set(cat("aws:principaltag/", lower(key)), value);
  if (policies) {
    for (const auto& [key, value] : policies->tags) set(cat("aws:principaltag/", lower(key)), value);
  }
  for (const auto& [key, values] : access.conditions) keys[lower(key)] = values;
  return keys;
}

// Where a resource's own policy has the last word: role trust and KMS keys.
bool resource_must_allow(std::string_view action) {
  return action.starts_with("sts:AssumeRole") || action == "sts:TagSession" || action.starts_with("kms:");
}

// AWS's own things ("arn:aws:iam::aws:policy/…") are everyone's, and buckets' ARNs name no account. What is in another
// partition is nobody's here: whoever reads such an ARN by other means than parse_arn must not take it for the
// caller's.
std::string owner_of(const Ctx& ctx, const Access& access) {
  if (access.resource.starts_with("arn:") && !access.resource.starts_with("arn:aws:")) return "nobody";
  const auto arn = parse_arn(access.resource);
  return arn && !arn->account.empty() && arn->account != "aws" ? arn->account : ctx.account;
}

// An account's root may do everything in it where no policy of the resource speaks.
bool is_root_of(const Principal& p, std::string_view account) {
  return p.kind == Principal::Kind::kRoot && p.account == account;
}

std::string sentence(const Ctx& ctx, const Access& access, const policy::Outcome& outcome) {
  const Principal& p = ctx.principal;
  if (p.kind == Principal::Kind::kAnonymous)
    return access.action.starts_with("s3:") ? "Access Denied"
                                            : cat("User: anonymous is not authorized to perform: ", access.action,
                                                  " on resource: ", access.resource);
  std::string out = cat("User: ", p.arn, " is not authorized to perform: ", access.action);
  if (access.action.starts_with("s3:")) {
    if (access.resource != "*") append(out, " on resource: \"", access.resource, '"');
  } else {
    append(out, " on resource: ", access.resource);
  }
  if (access.action.starts_with("sts:AssumeRole")) return out;  // a trust policy's content is not told
  const std::string_view article = outcome.because.starts_with('i') ? "an " : "a ";
  if (outcome.decision == policy::Decision::kExplicitDeny) {
    append(out, " with an explicit deny in ", article, outcome.because);
  } else {
    append(out, " because no ", outcome.because, " allows the ", access.action, " action");
  }
  return out;
}

}  // namespace

struct Authorizer::State {
  mutable std::mutex mutex;
  std::unordered_map<std::string, policy::DocumentPtr> documents[2];  // by Type
  std::map<std::string, Denial> denials;
};

Authorizer::Authorizer(IamMode mode) : mode_(mode), state_(std::make_unique<State>()) {}
Authorizer::~Authorizer() = default;

Task<std::optional<Credential>> Authorizer::find_credential(std::string access_key, std::string session_token) {
  static constexpr auto none = []() -> Task<std::optional<Credential>> { co_return std::nullopt; };
  return source_ ? source_->find_credential(std::move(access_key), std::move(session_token)) : none();
}

policy::DocumentPtr Authorizer::parsed(const std::string& document, policy::Type type) {
  auto& known = state_->documents[static_cast<size_t>(type)];
  {
    std::lock_guard lock(state_->mutex);
    if (auto it = known.find(document); it != known.end()) return it->second;
  }
  policy::DocumentPtr out;
  try {
    out = policy::parse(document, type);
  } catch (const std::invalid_argument& e) {
    log_warning("iam", "a stored policy can't be read and allows nothing", {{"why", e.what()}});
  }
  std::lock_guard lock(state_->mutex);
  if (known.size() >= kMaxParsed) known.clear();
  known.emplace(document, out);
  return out;
}

Task<std::optional<std::string>> Authorizer::ask(Ctx& ctx, const Access& access,
                                                 std::optional<std::string> resource_policy) {
  const Principal& p = ctx.principal;
  policy::Policies all;
  all.resource_account = owner_of(ctx, access);
  if (resource_policy) {
    all.resource = parsed(*resource_policy, policy::Type::kResource);
    all.resource_must_allow = resource_must_allow(access.action);
    if (!all.resource) {
      // Whatever it denied would now be allowed: refuse rather than guess.
      co_return sentence(ctx, access, {policy::Decision::kImplicitDeny, "resource-based policy", {}});
    }
  } else if (is_root_of(p, all.resource_account)) {
    co_return std::nullopt;
  }

  PrincipalPoliciesPtr own;
  const bool has_policies = p.kind == Principal::Kind::kUser || p.kind == Principal::Kind::kRoleSession;
  if (has_policies && source_) {
    own = co_await source_->policies_of(p);
    if (!own) co_return sentence(ctx, access, {policy::Decision::kImplicitDeny, "identity-based policy", {}});
    all.identity = own->identity;
    all.boundary = own->boundary;
    all.service_control = own->service_control;
  }
  for (const std::string& document : p.session_policies) {
    auto d = parsed(document, policy::Type::kIdentity);
    if (!d) co_return sentence(ctx, access, {policy::Decision::kImplicitDeny, "session policy", {}});
    all.session.push_back(std::move(d));
  }

  policy::Request request{&p, access.action, access.resource, {}};
  request.keys = condition_keys(ctx, access, own.get(), all);
  const policy::Outcome outcome = policy::evaluate(all, request);
  if (outcome.decision == policy::Decision::kAllow) co_return std::nullopt;
  co_return sentence(ctx, access, outcome);
}

Task<std::optional<std::string>> Authorizer::why_denied(Ctx& ctx, Access access,
                                                        std::optional<std::string> resource_policy) {
  auto why = co_await ask(ctx, access, std::move(resource_policy));
  if (!why || mode_ == IamMode::kEnforce) co_return why;
  // To audit is to be lenient within an account. No account is opened by it to others, nor to those without a name.
  const Principal& p = ctx.principal;
  const bool at_home =
      p.kind != Principal::Kind::kAnonymous && !p.account.empty() && p.account == owner_of(ctx, access);
  if (!at_home) co_return why;
  record(ctx, access, *why);
  co_return std::nullopt;
}

Task<bool> Authorizer::allowed(Ctx& ctx, Access access, std::optional<std::string> resource_policy) {
  co_return !(co_await why_denied(ctx, std::move(access), std::move(resource_policy)));
}

Task<void> Authorizer::authorize_pass(Ctx& ctx, const wire::ServiceModel& service, std::string role) {
  auto why = co_await why_denied(
      ctx, {"iam:PassRole", std::move(role), {{"iam:PassedToService", {cat(service.signing_name, ".amazonaws.com")}}}},
      std::nullopt);
  if (why) co_await fail(wire::door::access_denied(service, std::move(*why)));
}

Task<void> Authorizer::authorize(Ctx& ctx, const Operation& operation, const void* in) {
  if (operation.open) co_return;
  std::vector<Access> questions = operation.access(ctx, in);
  if (operation.complete) co_await operation.complete(ctx, in, questions);
  for (Access& access : questions) {
    std::optional<std::string> document;
    if (operation.guarded) document = co_await operation.service->resource_policy(ctx, access.resource);
    if (!document && is_root_of(ctx.principal, owner_of(ctx, access))) continue;  // as why_denied() would find
    auto why = co_await why_denied(ctx, std::move(access), std::move(document));
    if (why) co_await fail(wire::door::access_denied(operation.service->model(), std::move(*why)));
  }
}

void Authorizer::record(const Ctx& ctx, const Access& access, const std::string& message) {
  const std::string& who =
      ctx.principal.kind == Principal::Kind::kRoleSession ? ctx.principal.role_arn : ctx.principal.arn;
  const std::string name = cat(who, '\n', access.action, '\n', access.resource);
  const Time now = ctx.now();
  std::lock_guard lock(state_->mutex);
  auto it = state_->denials.find(name);
  if (it == state_->denials.end()) {
    if (state_->denials.size() >= kMaxDenials) return;
    it = state_->denials.emplace(name, Denial{now, now, 0, who, access.action, access.resource, message}).first;
    log_warning("iam", "would have been denied",
                {{"principal", who}, {"action", access.action}, {"resource", access.resource}, {"why", message}});
  }
  it->second.last = now;
  ++it->second.count;
}

std::vector<Denial> Authorizer::denials() const {
  std::lock_guard lock(state_->mutex);
  std::vector<Denial> out;
  out.reserve(state_->denials.size());
  for (const auto& [name, denial] : state_->denials) out.push_back(denial);
  return out;
}

}  // namespace virga::kernel
