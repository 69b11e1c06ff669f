// Who calls, for which account and region, when, and how: what every operation is given.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace virga::kernel {

struct Principal {
  enum class Kind : uint8_t { kAnonymous, kRoot, kUser, kRoleSession, kService };
  Kind kind = Kind::kAnonymous;
  std::string account;     // twelve digits; empty when anonymous
  std::string arn;         // what GetCallerIdentity answers: arn:aws:iam::…:user/x, arn:aws:sts::…:assumed-role/r/s
  std::string user_id;     // what GetCallerIdentity answers: AIDA…, AROA…:session, the account for root
  std::string access_key;  // that signed the call; empty for internal callers
  std::string role_arn;    // of a role session: arn:aws:iam::…:role/path/r
  std::string service;     // of a service: "lambda.amazonaws.com"
  std::vector<std::string> session_policies;        // policy documents that narrow a session; empty: none
  std::map<std::string, std::string> session_tags;  // aws:PrincipalTag of a session
  Time issued;                                      // when the session was issued; zero for long-term keys
};

// The account's root: what the development key is, and what may do everything in its account.
Principal root_of(std::string_view account);
// A Virga service acting for one of its resources; allowed by resource and trust policies that name it.
Principal service_principal(std::string_view service, std::string_view account);

// One call. Lives as long as the operation; handlers take it by reference.
struct Ctx {
  std::string request_id;
  Principal principal;
  std::string account;  // owns what the operation touches; the principal's, unless a resource policy crosses accounts
  std::string region;
  std::string partition = "aws";
  const Clock* clock = nullptr;
  std::string trace;  // X-Amzn-Trace-Id; may be empty
  std::string source_ip;
  std::string user_agent;
  std::string source_arn;      // aws:SourceArn: on whose behalf a service calls; empty otherwise
  std::string source_account;  // aws:SourceAccount
  std::string via;             // the service an in-process call came through (aws:CalledVia); empty from outside
  bool secure = false;
  // Where the client reached us: "http://localhost:4566". URLs in answers start with it.
  std::string base_url;

  Time now() const { return clock->now(); }
};

// The account and region that a service's resources live in. A record (kv/record.h).
struct Home {
  std::string account, region;
  template <class A>
  void fields(A& a) {
    a(1, account), a(2, region);
  }
};
inline Home home_of(const Ctx& ctx) { return {ctx.account, ctx.region}; }

// arn:aws:<service>:<region>:<account>:<resource>
std::string arn(const Ctx& ctx, std::string_view service, std::string_view resource);
// The same without region, as IAM has them, or without both, as S3.
std::string global_arn(const Ctx& ctx, std::string_view service, std::string_view resource);

struct Arn {
  std::string partition, service, region, account, resource;
};
// Nothing unless it has the six parts.
std::optional<Arn> parse_arn(std::string_view text);

}  // namespace virga::kernel
