#include <aws/iam/ops.h>
#include <aws/sts/model.h>
#include <aws/sts/ops.h>
#include <gtest/gtest.h>

#include "base/str.h"
#include "kernel/test_world.h"
#include "services/iam/api.h"
#include "services/sts/api.h"

namespace virga::sts {
namespace {

constexpr std::string_view kAccount = "111111111111";

std::string trust(std::string_view principal, std::string_view condition = "{}") {
  return cat(R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":)", principal,
             R"(,"Action":["sts:AssumeRole","sts:TagSession"],"Condition":)", condition, "}]}");
}
std::string allow(std::string_view action, std::string_view resource = "*") {
  return cat(R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":")", action, R"(","Resource":")",
             resource, R"("}]})");
}

class StsTest : public ::testing::Test, protected kernel::TestWorld {
 protected:
  iam::Directory* directory = nullptr;

  void SetUp() override {
    iam::Iam made = iam::make_iam(deps, {});
    directory = &made.directory;
    authorizer.set_identity_source(directory);
    cloud.add(std::move(made.service));
    cloud.add(make_sts(deps, *directory));
  }

  kernel::Ctx root(std::string_view account = kAccount) { return as(kernel::root_of(account)); }
  template <class Op>
  Result<typename Op::Output> call(kernel::Ctx ctx, typename Op::Input in) {
    return run(cloud.call<Op>(ctx, std::move(in)));
  }
  template <class Op>
  void must(kernel::Ctx ctx, typename Op::Input in) {
    const auto out = call<Op>(std::move(ctx), std::move(in));
    EXPECT_TRUE(out) << describe(out.error());
  }
  std::string assume(kernel::Ctx ctx, AssumeRoleRequest in) {
    const auto out = call<op::AssumeRole>(std::move(ctx), std::move(in));
    return out ? "accepted" : describe(out.error());
  }
  void role(std::string name, std::string document) {
    must<iam::op::CreateRole>(root(), {.role_name = name, .assume_role_policy_document = std::move(document)});
  }
  kernel::Ctx user(std::string name) {
    const auto made = call<iam::op::CreateUser>(root(), {.user_name = name});
    kernel::Principal p;
    p.kind = kernel::Principal::Kind::kUser;
    p.account = kAccount;
    p.arn = made->user->arn;
    p.user_id = made->user->user_id;
    return as(p);
  }
  kernel::Ctx session(const Credentials& c) {
    const auto found = run(directory->find_credential(c.access_key_id, c.session_token));
    EXPECT_TRUE(found && *found);
    return as((*found)->principal);
  }
};

TEST_F(StsTest, CallerIdentity) {
  const auto me = call<op::GetCallerIdentity>(root(), {});
  EXPECT_EQ(*me->account, kAccount);
  EXPECT_EQ(*me->arn, "arn:aws:iam::111111111111:root");
  EXPECT_EQ(*call<op::GetCallerIdentity>(user("ann"), {})->arn, "arn:aws:iam::111111111111:user/ann");
}

TEST_F(StsTest, TrustDecidesWhoMayAssume) {
  role("fn", trust(R"({"Service":"lambda.amazonaws.com"})"));
  const AssumeRoleRequest in{.role_arn = "arn:aws:iam::111111111111:role/fn", .role_session_name = "s"};
  EXPECT_EQ(assume(as(kernel::service_principal("lambda.amazonaws.com", kAccount)), in), "accepted");
  EXPECT_EQ(assume(as(kernel::service_principal("states.amazonaws.com", kAccount)), in),
            "AccessDenied: User: states.amazonaws.com is not authorized to perform: sts:AssumeRole on resource: "
            "arn:aws:iam::111111111111:role/fn");
  kernel::Ctx ann = user("ann");
  must<iam::op::PutUserPolicy>(root(), {"ann", "p", allow("*")});
  EXPECT_NE(assume(ann, in), "accepted");  // her own policies don't suffice
  EXPECT_NE(assume(root(), {.role_arn = "arn:aws:iam::111111111111:role/none", .role_session_name = "s"}), "accepted");

  // Naming her is enough; naming her account asks her policies too.
  role("hers", trust(R"({"AWS":"arn:aws:iam::111111111111:user/ann"})"));
  role("ours", trust(R"({"AWS":"111111111111"})"));
  kernel::Ctx bob = user("bob");
  EXPECT_EQ(assume(ann, {.role_arn = "arn:aws:iam::111111111111:role/ours", .role_session_name = "s"}), "accepted");
  EXPECT_NE(assume(bob, {.role_arn = "arn:aws:iam::111111111111:role/ours", .role_session_name = "s"}), "accepted");
  EXPECT_EQ(assume(ann, {.role_arn = "arn:aws:iam::111111111111:role/hers", .role_session_name = "s"}), "accepted");
  must<iam::op::DeleteUserPolicy>(root(), {"ann", "p"});
  EXPECT_EQ(assume(ann, {.role_arn = "arn:aws:iam::111111111111:role/hers", .role_session_name = "s"}), "accepted");

  // Another account, with an external id.
  role("partner", trust(R"({"AWS":"arn:aws:iam::222222222222:root"})", R"({"StringEquals":{"sts:ExternalId":"x1"}})"));
  AssumeRoleRequest from{.role_arn = "arn:aws:iam::111111111111:role/partner", .role_session_name = "s"};
  EXPECT_NE(assume(root("222222222222"), from), "accepted");
  from.external_id = "x1";
  EXPECT_EQ(assume(root("222222222222"), from), "accepted");
  EXPECT_NE(assume(root("333333333333"), from), "accepted");
}

TEST_F(StsTest, SessionsHaveTheRolesPermissionsNarrowed) {
  role("r", trust(R"({"AWS":"111111111111"})"));
  must<iam::op::PutRolePolicy>(root(), {"r", "p", allow("iam:List*")});
  const AssumeRoleRequest in{.role_arn = "arn:aws:iam::111111111111:role/r", .role_session_name = "job"};
  const auto out = call<op::AssumeRole>(root(), in);
  ASSERT_TRUE(out) << describe(out.error());
  EXPECT_EQ(out->assumed_role_user->arn, "arn:aws:sts::111111111111:assumed-role/r/job");
  EXPECT_TRUE(out->credentials->access_key_id.starts_with("ASIA"));
  EXPECT_EQ(out->credentials->expiration, clock.now() + std::chrono::hours(1));
  kernel::Ctx job = session(*out->credentials);
  EXPECT_EQ(*call<op::GetCallerIdentity>(job, {})->arn, "arn:aws:sts::111111111111:assumed-role/r/job");
  EXPECT_TRUE(call<iam::op::ListUsers>(job, {}));
  EXPECT_FALSE(call<iam::op::CreateUser>(job, {.user_name = "x"}));

  AssumeRoleRequest narrowed = in;
  narrowed.policy = allow("iam:ListRoles");
  const auto less = call<op::AssumeRole>(root(), narrowed);
  ASSERT_TRUE(less) << describe(less.error());
  kernel::Ctx narrow = session(*less->credentials);
  EXPECT_TRUE(call<iam::op::ListRoles>(narrow, {}));
  const auto refused = call<iam::op::ListUsers>(narrow, {});
  ASSERT_FALSE(refused);
  EXPECT_TRUE(describe(refused.error()).ends_with("because no session policy allows the iam:ListUsers action"));
  narrowed.policy_arns = std::vector<PolicyDescriptorType>{{.arn = "arn:aws:iam::aws:policy/IAMReadOnlyAccess"}};
  EXPECT_TRUE(call<iam::op::ListUsers>(session(*call<op::AssumeRole>(root(), narrowed)->credentials), {}));

  // What the role loses, its sessions lose.
  must<iam::op::DeleteRolePolicy>(root(), {"r", "p"});
  EXPECT_FALSE(call<iam::op::ListUsers>(job, {}));
  EXPECT_TRUE(call<iam::op::GetRole>(root(), {"r"})->role.role_last_used->last_used_date);
}

TEST_F(StsTest, SessionTagsAreConditions) {
  role("r", trust(R"({"AWS":"111111111111"})", R"({"StringLike":{"aws:RequestTag/team":"*"}})"));
  must<iam::op::PutRolePolicy>(
      root(), {"r", "p",
               R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:ListUsers","Resource":"*",)"
               R"("Condition":{"StringEquals":{"aws:PrincipalTag/team":"blue"}}}})"});
  AssumeRoleRequest in{.role_arn = "arn:aws:iam::111111111111:role/r", .role_session_name = "s"};
  EXPECT_NE(assume(root(), in), "accepted");
  in.tags = std::vector<Tag>{{"team", "blue"}};
  EXPECT_TRUE(call<iam::op::ListUsers>(session(*call<op::AssumeRole>(root(), in)->credentials), {}));
  in.tags = std::vector<Tag>{{"team", "red"}};
  EXPECT_FALSE(call<iam::op::ListUsers>(session(*call<op::AssumeRole>(root(), in)->credentials), {}));
}

TEST_F(StsTest, Durations) {
  role("r", trust(R"({"AWS":"111111111111"})"));
  AssumeRoleRequest in{
      .role_arn = "arn:aws:iam::111111111111:role/r", .role_session_name = "s", .duration_seconds = 3601};
  EXPECT_EQ(assume(root(), in),
            "ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
  must<iam::op::UpdateRole>(root(), {.role_name = "r", .max_session_duration = 7200});
  EXPECT_EQ(assume(root(), in), "accepted");
  must<iam::op::PutRolePolicy>(root(), {"r", "p", allow("sts:AssumeRole")});
  const auto first = call<op::AssumeRole>(root(), in);
  EXPECT_EQ(assume(session(*first->credentials), in),
            "ValidationError: The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role "
            "chaining.");
  in.duration_seconds.reset();
  EXPECT_EQ(assume(session(*first->credentials), in), "accepted");
  in.source_identity = "me";
  EXPECT_EQ(assume(root(), in), "ValidationError: SourceIdentity is not served by Virga.");
}

TEST_F(StsTest, SessionTokens) {
  kernel::Ctx ann = user("ann");
  const auto out = call<op::GetSessionToken>(ann, {.duration_seconds = 900});
  ASSERT_TRUE(out) << describe(out.error());
  kernel::Ctx temporary = session(*out->credentials);
  EXPECT_EQ(*call<op::GetCallerIdentity>(temporary, {})->arn, "arn:aws:iam::111111111111:user/ann");
  EXPECT_FALSE(call<op::GetSessionToken>(temporary, {}));
  EXPECT_EQ(*call<op::GetAccessKeyInfo>(root(), {out->credentials->access_key_id})->account, kAccount);
}

// The table and the model agree on what is served.
TEST_F(StsTest, EveryServedOperationIsThere) {
  for (const wire::OperationModel& op : kModel.operations) EXPECT_EQ(cloud.find(op) != nullptr, op.served) << op.name;
}

}  // namespace
}  // namespace virga::sts
