#include "kernel/authorize.h"

#include <gtest/gtest.h>

#include "base/executor.h"
#include "base/str.h"

namespace virga::kernel {
namespace {

const wire::ServiceModel kModel{.id = "thing", .service_id = "Thing", .signing_name = "thing", .protocols = {}};

struct Things : Service {
  std::optional<std::string> policy;
  const wire::ServiceModel& model() const override { return kModel; }
  void operations(OpTable&) override {}
  Task<std::optional<std::string>> resource_policy(Ctx&, std::string) override { co_return policy; }
};

struct Source : IdentitySource {
  std::shared_ptr<PrincipalPolicies> policies = std::make_shared<PrincipalPolicies>();
  Task<std::optional<Credential>> find_credential(std::string, std::string) override { co_return std::nullopt; }
  Task<PrincipalPoliciesPtr> policies_of(Principal) override { co_return policies; }
};

struct World {
  ManualClock clock{*parse_iso8601("2024-05-01T12:00:00Z")};
  Source source;
  Things things;
  Authorizer authorizer;
  Operation operation;
  Ctx ctx;

  explicit World(IamMode mode = IamMode::kEnforce) : authorizer(mode) {
    authorizer.set_identity_source(&source);
    operation.service = &things;
    operation.access = [](const Ctx&, const void*) {
      return std::vector<Access>{{"thing:Do", "arn:aws:thing:us-east-1:111111111111:x", {{"thing:Colour", {"red"}}}}};
    };
    ctx.clock = &clock;
    ctx.account = "111111111111";
    ctx.region = "us-east-1";
    ctx.source_ip = "10.1.2.3";
    ctx.principal.kind = Principal::Kind::kUser;
    ctx.principal.account = "111111111111";
    ctx.principal.arn = "arn:aws:iam::111111111111:user/dev/ann";
    ctx.principal.user_id = "AIDAANN";
  }
  void allow(std::string_view condition = "{}") {
    source.policies->identity = {policy::parse(
        cat(R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"thing:*","Resource":"*","Condition":)",
            condition, "}}"),
        policy::Type::kIdentity)};
  }
  std::string ask() {
    const auto out = run(authorizer.authorize(ctx, operation, nullptr));
    if (out) return "yes";
    const Error* e = error_of(out);
    return e ? e->message : describe(out.error());
  }
};

TEST(Authorize, RefusesInAwsWords) {
  World w;
  EXPECT_EQ(w.ask(),
            "User: arn:aws:iam::111111111111:user/dev/ann is not authorized to perform: thing:Do on resource: "
            "arn:aws:thing:us-east-1:111111111111:x because no identity-based policy allows the thing:Do action");
  w.allow();
  EXPECT_EQ(w.ask(), "yes");
  w.source.policies->boundary =
      policy::parse(R"({"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}})", policy::Type::kIdentity);
  EXPECT_TRUE(w.ask().ends_with("with an explicit deny in a permissions boundary"));
  w.operation.open = true;
  EXPECT_EQ(w.ask(), "yes");
}

TEST(Authorize, ConditionKeys) {
  World w;
  w.ctx.user_agent = "agent/1";
  w.ctx.principal.session_tags = {{"Team", "blue"}};
  w.source.policies->tags = {{"team", "green"}, {"level", "1"}};
  for (
      const std::string_view condition :
      {R"({"StringEquals":{"aws:username":"ann","aws:userid":"AIDAANN","aws:PrincipalAccount":"111111111111","aws:PrincipalType":"User"}})",
       R"({"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/dev/*"}})",
       R"({"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}})",
       R"({"StringEquals":{"aws:PrincipalTag/Team":"blue","aws:PrincipalTag/level":"1"}})",
       R"({"Bool":{"aws:SecureTransport":"false"}})",
       R"({"DateEquals":{"aws:CurrentTime":"2024-05-01T12:00:00Z"},"NumericEquals":{"aws:EpochTime":"1714564800"}})",
       R"({"StringEquals":{"aws:RequestedRegion":"us-east-1","thing:colour":"red","aws:ResourceAccount":"111111111111"}})",
       R"({"Null":{"aws:TokenIssueTime":"true","aws:SourceArn":"true","aws:MultiFactorAuthPresent":"true"}})",
       R"({"StringLike":{"aws:UserAgent":"agent/*"},"Bool":{"aws:ViaAWSService":"false"}})"}) {
    w.allow(condition);
    EXPECT_EQ(w.ask(), "yes") << condition;
  }
}

TEST(Authorize, RootAndResourcePolicies) {
  World w;
  w.ctx.principal = root_of("111111111111");
  EXPECT_EQ(w.ask(), "yes");
  // Another account's root has no say here, unless the resource says so.
  w.ctx.principal = root_of("222222222222");
  EXPECT_NE(w.ask(), "yes");
  w.operation.guarded = true;
  w.things.policy =
      R"({"Statement":{"Effect":"Allow","Principal":{"AWS":"222222222222"},"Action":"thing:*","Resource":"*"}})";
  EXPECT_EQ(w.ask(), "yes");
  w.ctx.principal = Principal{};
  EXPECT_NE(w.ask(), "yes");
  w.things.policy = R"({"Statement":{"Effect":"Allow","Principal":"*","Action":"thing:*","Resource":"*"}})";
  EXPECT_EQ(w.ask(), "yes");
  // A policy that can't be read allows nothing, to the owner neither: it may have denied.
  w.things.policy = "{";
  w.ctx.principal = root_of("111111111111");
  EXPECT_NE(w.ask(), "yes");
}

TEST(Authorize, OtherPartitionsAreNobodys) {
  World w;
  w.allow();
  w.operation.access = [](const Ctx&, const void*) {
    return std::vector<Access>{{"thing:Do", "arn:zz:thing:us-east-1:222222222222:x", {}}};
  };
  EXPECT_NE(w.ask(), "yes");
  w.ctx.principal = root_of("111111111111");
  EXPECT_NE(w.ask(), "yes");
}

TEST(Authorize, SessionPoliciesNarrow) {
  World w;
  w.allow();
  w.ctx.principal.kind = Principal::Kind::kRoleSession;
  w.ctx.principal.role_arn = "arn:aws:iam::111111111111:role/r";
  EXPECT_EQ(w.ask(), "yes");
  w.ctx.principal.session_policies = {R"({"Statement":{"Effect":"Allow","Action":"other:*","Resource":"*"}})"};
  EXPECT_TRUE(w.ask().ends_with("because no session policy allows the thing:Do action"));
  w.ctx.principal.session_policies = {"nonsense"};
  EXPECT_NE(w.ask(), "yes");
  w.ctx.principal.session_policies.clear();
  w.source.policies = nullptr;  // the role is gone
  EXPECT_NE(w.ask(), "yes");
}

TEST(Authorize, AuditModeAllowsAndRemembers) {
  World w(IamMode::kAudit);
  EXPECT_EQ(w.ask(), "yes");
  EXPECT_EQ(w.ask(), "yes");
  const auto denials = w.authorizer.denials();
  ASSERT_EQ(denials.size(), 1u);
  EXPECT_EQ(denials[0].count, 2u);
  EXPECT_EQ(denials[0].action, "thing:Do");
  // Others' accounts stay others'.
  w.ctx.principal = root_of("222222222222");
  EXPECT_NE(w.ask(), "yes");
  w.operation.guarded = true;
  EXPECT_NE(w.ask(), "yes");
  w.ctx.principal = Principal{};
  EXPECT_NE(w.ask(), "yes");
}

}  // namespace
}  // namespace virga::kernel
