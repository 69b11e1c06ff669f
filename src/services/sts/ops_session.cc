#include <aws/sts/errors.h>

#include <algorithm>
#include <stdexcept>

#include "base/json.h"
#include "base/str.h"
#include "kernel/policy.h"
#include "services/sts/limits.h"
#include "services/sts/service.h"

namespace virga::sts {

using kernel::Ctx;
using kernel::Principal;

namespace {

Credentials wire_credentials(const iam::TemporaryCredential& c, Time expires) {
  return {c.access_key, c.secret, c.session_token, expires};
}

void check_served(const AssumeRoleRequest& in) {
  const auto refuse = [](std::string_view what) { throw err::ValidationError(cat(what, " is not served by Virga.")); };
  if (in.serial_number || in.token_code) refuse("Multi-factor authentication (SerialNumber, TokenCode)");
  if (in.source_identity) refuse("SourceIdentity");
  if (in.transitive_tag_keys && !in.transitive_tag_keys->empty()) refuse("TransitiveTagKeys");
  if (in.provided_contexts && !in.provided_contexts->empty()) refuse("ProvidedContexts");
}

std::map<std::string, std::string> session_tags(const AssumeRoleRequest& in) {
  std::map<std::string, std::string> out;
  if (!in.tags) return out;
  if (in.tags->size() > kSessionTags)
    throw err::ValidationError(cat("A session can have up to ", kSessionTags, " tags."));
  for (const Tag& tag : *in.tags) {
    const bool known =
        std::any_of(out.begin(), out.end(), [&](const auto& t) { return equals_ignoring_case(t.first, tag.key); });
    if (known) throw err::ValidationError("Duplicate tag keys found. Please note that Tag keys are case insensitive.");
    out.emplace(tag.key, tag.value);
  }
  return out;
}

// The statements of `document` appended to `all`. Statement ids need only be unique within one document.
void append_statements(const std::string& document, Json& all) {
  try {
    kernel::policy::parse(document, kernel::policy::Type::kIdentity);
  } catch (const std::invalid_argument& e) {
    throw err::MalformedPolicyDocumentException(e.what());
  }
  Json json = Json::parse(document);
  Json* statements = json.find("Statement");
  if (!statements->is_array()) *statements = Json(Json::Array{*statements});
  for (Json& s : statements->as_array()) {
    s.erase("Sid");
    all.push_back(std::move(s));
  }
}

int64_t session_length(const Ctx& ctx, const AssumeRoleRequest& in, const iam::RoleInfo& role) {
  const int64_t seconds = in.duration_seconds.value_or(kDefaultSession);
  if (seconds > role.max_session)
    throw err::ValidationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
  if (ctx.principal.kind == Principal::Kind::kRoleSession && seconds > kMostChainedSession)
    throw err::ValidationError(
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.");
  return seconds;
}

}  // namespace

Task<GetCallerIdentityResponse> StsService::get_caller_identity(Ctx& ctx, const GetCallerIdentityRequest&) {
  co_return GetCallerIdentityResponse{ctx.principal.user_id, ctx.principal.account, ctx.principal.arn};
}

Task<std::optional<std::string>> StsService::session_policy(std::string account, const AssumeRoleRequest& in) {
  Json statements = Json::array();
  if (in.policy) append_statements(*in.policy, statements);
  if (in.policy_arns) {
    for (const PolicyDescriptorType& descriptor : *in.policy_arns) {
      const std::string arn = descriptor.arn.value_or("");
      const auto document = co_await directory_.find_managed_policy(account, arn);
      if (!document)
        co_return err::MalformedPolicyDocumentException(
            cat("The policy ", arn, " does not exist or is not attachable."));
      append_statements(*document, statements);
    }
  }
  if (statements.as_array().empty()) co_return std::nullopt;
  std::string out = Json::object({{"Version", "2012-10-17"}, {"Statement", std::move(statements)}}).dump();
  if (out.size() > kMostSessionPolicy)
    co_return err::PackedPolicyTooLargeException(cat("Packed size of session policies consumes ",
                                                     out.size() * 100 / kMostSessionPolicy, "% of allotted space."));
  co_return out;
}

Task<AssumeRoleResponse> StsService::assume_role(Ctx& ctx, const AssumeRoleRequest& in) {
  check_served(in);
  const auto role = co_await directory_.find_role(in.role_arn);
  if (!role) {
    // Whether it exists is nobody's business who may not assume it.
    co_return err::AccessDenied(
        cat("User: ", ctx.principal.arn, " is not authorized to perform: sts:AssumeRole on resource: ", in.role_arn));
  }
  const int64_t seconds = session_length(ctx, in, *role);
  Principal session;
  session.kind = Principal::Kind::kRoleSession;
  session.account = role->account;
  session.arn = cat("arn:aws:sts::", role->account, ":assumed-role/", role->name, '/', in.role_session_name);
  session.user_id = cat(role->id, ':', in.role_session_name);
  session.role_arn = role->arn;
  session.session_tags = session_tags(in);
  session.issued = ctx.now();
  if (auto policy = co_await session_policy(role->account, in)) session.session_policies.push_back(std::move(*policy));

  const Time expires = ctx.now() + std::chrono::seconds(seconds);
  AssumeRoleResponse out;
  out.credentials = wire_credentials(directory_.mint(session, expires), expires);
  out.assumed_role_user = AssumedRoleUser{session.user_id, session.arn};
  if (!session.session_policies.empty() || !session.session_tags.empty()) {
    size_t used = session.session_policies.empty() ? 0 : session.session_policies[0].size();
    for (const auto& [key, value] : session.session_tags) used += key.size() + value.size();
    out.packed_policy_size = static_cast<int32_t>(std::min<size_t>(100, used * 100 / kMostSessionPolicy));
  }
  co_await directory_.note_role_used(*role, ctx.region);
  co_return out;
}

Task<GetSessionTokenResponse> StsService::get_session_token(Ctx& ctx, const GetSessionTokenRequest& in) {
  if (in.serial_number || in.token_code)
    co_return err::ValidationError("Multi-factor authentication (SerialNumber, TokenCode) is not served by Virga.");
  const bool root = ctx.principal.kind == Principal::Kind::kRoot;
  if ((!root && ctx.principal.kind != Principal::Kind::kUser) || ctx.principal.issued.micros != 0)
    co_return err::AccessDenied("Cannot call GetSessionToken with session credentials");
  int64_t seconds = in.duration_seconds.value_or(kDefaultSessionToken);
  if (root) seconds = std::min(seconds, kMostRootSessionToken);
  Principal session = ctx.principal;
  session.issued = ctx.now();
  const Time expires = ctx.now() + std::chrono::seconds(seconds);
  co_return GetSessionTokenResponse{wire_credentials(directory_.mint(session, expires), expires)};
}

Task<GetAccessKeyInfoResponse> StsService::get_access_key_info(Ctx&, const GetAccessKeyInfoRequest& in) {
  const auto account = iam::account_of_key(in.access_key_id);
  if (!account) co_return err::ValidationError(cat("The access key ID ", in.access_key_id, " is not valid."));
  co_return GetAccessKeyInfoResponse{*account};
}

}  // namespace virga::sts
