#include <aws/iam/errors.h>
#include <aws/iam/model.h>
#include <aws/iam/ops.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/str.h"
#include "kernel/test_world.h"
#include "services/iam/api.h"

namespace virga::iam {
namespace {

constexpr std::string_view kAccount = "111111111111";
constexpr std::string_view kTrust =
    R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]})";

std::string allow(std::string_view action, std::string_view resource = "*") {
  return cat(R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":")", action, R"(","Resource":")",
             resource, R"("}]})");
}

// A cloud of IAM alone, asked through its front: authorisation included.
class IamTest : public ::testing::Test, protected kernel::TestWorld {
 protected:
  Directory* directory = nullptr;

  void SetUp() override {
    Iam made = make_iam(deps, {.development_key = true});
    directory = &made.directory;
    authorizer.set_identity_source(directory);
    cloud.add(std::move(made.service));
  }

  kernel::Ctx root() { return as(kernel::root_of(kAccount)); }

  template <class Op>
  Result<typename Op::Output> call(kernel::Ctx ctx, typename Op::Input in) {
    return run(cloud.call<Op>(ctx, std::move(in)));
  }
  // As the root; fails the test on a refusal.
  template <class Op>
  typename Op::Output must(typename Op::Input in) {
    auto out = call<Op>(root(), std::move(in));
    if (!out) ADD_FAILURE() << Op::model().name << ": " << describe(out.error());
    return out ? std::move(*out) : typename Op::Output{};
  }
  template <class Op>
  std::string refusal(typename Op::Input in) {
    auto out = call<Op>(root(), std::move(in));
    return out ? "accepted" : describe(out.error());
  }

  // A user with a key, and a context signed by it.
  kernel::Ctx user(std::string name) {
    must<op::CreateUser>({.user_name = name});
    const auto key = must<op::CreateAccessKey>({.user_name = name}).access_key;
    return with_key(key.access_key_id);
  }
  kernel::Ctx with_key(std::string id) {
    const auto found = run(directory->find_credential(std::move(id), ""));
    EXPECT_TRUE(found && *found);
    return cloud.internal_context((*found)->principal, std::string(kAccount), "us-east-1");
  }
};

TEST_F(IamTest, UsersLiveAndDie) {
  const auto made =
      must<op::CreateUser>({.path = "/dev/", .user_name = "Ann", .tags = std::vector<Tag>{{"team", "blue"}}});
  EXPECT_EQ(made.user->arn, "arn:aws:iam::111111111111:user/dev/Ann");
  EXPECT_TRUE(made.user->user_id.starts_with("AIDA"));
  EXPECT_EQ(made.user->user_id.size(), 21u);
  EXPECT_EQ(refusal<op::CreateUser>({.user_name = "ann"}), "EntityAlreadyExists: User with name ann already exists.");
  EXPECT_EQ(refusal<op::GetUser>({.user_name = "bob"}), "NoSuchEntity: The user with name bob cannot be found.");
  EXPECT_EQ(must<op::GetUser>({.user_name = "Ann"}).user.tags->at(0).value, "blue");
  EXPECT_EQ(must<op::GetUser>({}).user.arn, "arn:aws:iam::111111111111:root");

  must<op::UpdateUser>({.user_name = "Ann", .new_path = "/ops/", .new_user_name = "Anna"});
  EXPECT_EQ(must<op::GetUser>({.user_name = "Anna"}).user.arn, "arn:aws:iam::111111111111:user/ops/Anna");
  EXPECT_EQ(must<op::GetUser>({.user_name = "Anna"}).user.user_id, made.user->user_id);

  must<op::TagUser>({.user_name = "Anna", .tags = {{"Team", "red"}, {"x", "y"}}});
  EXPECT_EQ(must<op::ListUserTags>({.user_name = "Anna"}).tags.size(), 2u);
  must<op::UntagUser>({.user_name = "Anna", .tag_keys = {"TEAM"}});
  EXPECT_EQ(must<op::ListUserTags>({.user_name = "Anna"}).tags.size(), 1u);

  must<op::PutUserPolicy>({"Anna", "p", allow("s3:*")});
  EXPECT_EQ(refusal<op::DeleteUser>({"Anna"}), "DeleteConflict: Cannot delete entity, must delete policies first.");
  must<op::DeleteUserPolicy>({"Anna", "p"});
  must<op::AttachUserPolicy>({"Anna", "arn:aws:iam::aws:policy/AmazonS3FullAccess"});
  EXPECT_EQ(refusal<op::DeleteUser>({"Anna"}), "DeleteConflict: Cannot delete entity, must detach all policies first.");
  must<op::DetachUserPolicy>({"Anna", "arn:aws:iam::aws:policy/AmazonS3FullAccess"});
  const auto key = must<op::CreateAccessKey>({.user_name = "Anna"});
  EXPECT_EQ(refusal<op::DeleteUser>({"Anna"}), "DeleteConflict: Cannot delete entity, must delete access keys first.");
  must<op::DeleteAccessKey>({"Anna", key.access_key.access_key_id});
  must<op::DeleteUser>({"Anna"});
  EXPECT_EQ(refusal<op::DeleteUser>({"Anna"}), "NoSuchEntity: The user with name Anna cannot be found.");
}

TEST_F(IamTest, ListsInPages) {
  for (int i = 0; i < 25; ++i) must<op::CreateUser>({.path = i % 2 ? "/odd/" : "/even/", .user_name = cat("user", i)});
  std::vector<std::string> names;
  std::optional<std::string> marker;
  int pages = 0;
  do {
    auto page = must<op::ListUsers>({.path_prefix = "/odd/", .marker = marker, .max_items = 5});
    for (const User& u : page.users) names.push_back(u.user_name);
    marker = page.marker;
    EXPECT_EQ(*page.is_truncated, marker.has_value());
    ++pages;
  } while (marker);
  EXPECT_EQ(names.size(), 12u);
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(refusal<op::ListUsers>({.marker = "nonsense"}), "ValidationError: Invalid Marker.");
}

TEST_F(IamTest, Roles) {
  EXPECT_EQ(refusal<op::CreateRole>({.role_name = "r", .assume_role_policy_document = "{"}),
            "MalformedPolicyDocument: This policy contains invalid Json");
  EXPECT_EQ(refusal<op::CreateRole>({.role_name = "r", .assume_role_policy_document = allow("sts:AssumeRole")}),
            "MalformedPolicyDocument: Missing required field Principal");
  const auto role =
      must<op::CreateRole>({.path = "/svc/", .role_name = "r", .assume_role_policy_document = std::string(kTrust)})
          .role;
  EXPECT_EQ(role.arn, "arn:aws:iam::111111111111:role/svc/r");
  EXPECT_TRUE(role.role_id.starts_with("AROA"));
  EXPECT_EQ(percent_decode(*role.assume_role_policy_document), kTrust);
  EXPECT_EQ(*must<op::GetRole>({"r"}).role.max_session_duration, 3600);
  must<op::UpdateRole>({.role_name = "r", .description = "d", .max_session_duration = 7200});
  EXPECT_EQ(*must<op::GetRole>({"r"}).role.max_session_duration, 7200);

  must<op::PutRolePolicy>({"r", "inline", allow("sqs:*")});
  EXPECT_EQ(percent_decode(must<op::GetRolePolicy>({"r", "inline"}).policy_document), allow("sqs:*"));
  EXPECT_EQ(must<op::ListRolePolicies>({.role_name = "r"}).policy_names, (std::vector<std::string>{"inline"}));
  EXPECT_EQ(refusal<op::PutRolePolicy>({"r", "inline", "{}"}), "MalformedPolicyDocument: Syntax errors in policy.");
  EXPECT_EQ(refusal<op::GetRolePolicy>({"r", "other"}),
            "NoSuchEntity: The role policy with name other cannot be found.");
  EXPECT_EQ(refusal<op::AttachRolePolicy>({"r", "arn:aws:iam::aws:policy/NoSuch"}),
            "NoSuchEntity: Policy arn:aws:iam::aws:policy/NoSuch does not exist or is not attachable.");
  must<op::AttachRolePolicy>({"r", "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"});
  must<op::AttachRolePolicy>({"r", "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"});
  EXPECT_EQ(*must<op::ListAttachedRolePolicies>({.role_name = "r"}).attached_policies->at(0).policy_name,
            "AWSLambdaBasicExecutionRole");
  EXPECT_EQ(must<op::ListAttachedRolePolicies>({.role_name = "r"}).attached_policies->size(), 1u);
  EXPECT_EQ(refusal<op::DetachRolePolicy>({"r", "arn:aws:iam::aws:policy/ReadOnlyAccess"}),
            "NoSuchEntity: Policy arn:aws:iam::aws:policy/ReadOnlyAccess was not found.");
  EXPECT_EQ(refusal<op::PutRolePolicy>({"r", "big", allow("s3:*", cat("arn:aws:s3:::", std::string(11'000, 'x')))}),
            "LimitExceeded: Maximum policy size of 10240 bytes exceeded for role r");
}

TEST_F(IamTest, ManagedPolicies) {
  const auto made = must<op::CreatePolicy>({.policy_name = "p", .policy_document = allow("s3:*"), .description = "d"});
  const std::string arn = *made.policy->arn;
  EXPECT_EQ(arn, "arn:aws:iam::111111111111:policy/p");
  EXPECT_EQ(refusal<op::CreatePolicy>({.policy_name = "p", .policy_document = allow("s3:*")}),
            "EntityAlreadyExists: A policy called p already exists. Duplicate names are not allowed.");
  for (int i = 2; i <= 5; ++i) {
    const auto v = must<op::CreatePolicyVersion>({arn, allow(cat("sqs:A", i)), i == 5});
    EXPECT_EQ(*v.policy_version->version_id, cat('v', i));
  }
  EXPECT_EQ(refusal<op::CreatePolicyVersion>({arn, allow("s3:*"), {}}).substr(0, 13), "LimitExceeded");
  EXPECT_EQ(*must<op::GetPolicy>({arn}).policy->default_version_id, "v5");
  EXPECT_EQ(percent_decode(*must<op::GetPolicyVersion>({arn, "v5"}).policy_version->document), allow("sqs:A5"));
  EXPECT_EQ(refusal<op::DeletePolicyVersion>({arn, "v5"}),
            "DeleteConflict: Cannot delete the default version of a policy.");
  EXPECT_EQ(must<op::ListPolicyVersions>({.policy_arn = arn}).versions->size(), 5u);
  EXPECT_EQ(refusal<op::DeletePolicy>({arn}).substr(0, 48), "DeleteConflict: This policy has more than one ve");
  for (int i = 1; i <= 4; ++i) must<op::DeletePolicyVersion>({arn, cat('v', i)});

  must<op::CreateGroup>({.group_name = "g"});
  must<op::AttachGroupPolicy>({"g", arn});
  EXPECT_EQ(*must<op::GetPolicy>({arn}).policy->attachment_count, 1);
  EXPECT_EQ(must<op::ListEntitiesForPolicy>({.policy_arn = arn}).policy_groups->size(), 1u);
  EXPECT_EQ(refusal<op::DeletePolicy>({arn}), "DeleteConflict: Cannot delete a policy attached to entities.");
  EXPECT_EQ(must<op::ListPolicies>({.scope = policyScopeType::Local}).policies->size(), 1u);
  EXPECT_GT(must<op::ListPolicies>({.scope = policyScopeType::AWS}).policies->size(), 40u);
  must<op::DetachGroupPolicy>({"g", arn});
  must<op::DeletePolicy>({arn});
  EXPECT_EQ(refusal<op::GetPolicy>({arn}), cat("NoSuchEntity: Policy ", arn, " was not found."));
  EXPECT_EQ(refusal<op::DeletePolicy>({"arn:aws:iam::aws:policy/AdministratorAccess"}).substr(0, 13), "AccessDenied:");
}

// Every AWS policy must be one that our own engine reads.
TEST_F(IamTest, AwsPoliciesAreReadable) {
  for (const Policy& p : *must<op::ListPolicies>({.scope = policyScopeType::AWS, .max_items = 1000}).policies) {
    SCOPED_TRACE(*p.policy_name);
    const auto v = must<op::GetPolicyVersion>({*p.arn, "v1"});
    EXPECT_NO_THROW(
        kernel::policy::parse(*percent_decode(*v.policy_version->document), kernel::policy::Type::kIdentity));
  }
}

TEST_F(IamTest, PermissionsAreReal) {
  kernel::Ctx ann = user("ann");
  const auto denied = call<op::ListUsers>(ann, {});
  ASSERT_FALSE(denied);
  EXPECT_EQ(describe(denied.error()),
            "AccessDenied: User: arn:aws:iam::111111111111:user/ann is not authorized to perform: iam:ListUsers on "
            "resource: * because "
            "no identity-based policy allows the iam:ListUsers action");

  // By a group; forgotten as soon as she leaves it.
  must<op::CreateGroup>({.group_name = "readers"});
  must<op::AttachGroupPolicy>({"readers", "arn:aws:iam::aws:policy/IAMReadOnlyAccess"});
  must<op::AddUserToGroup>({"readers", "ann"});
  EXPECT_TRUE(call<op::ListUsers>(ann, {}));
  EXPECT_FALSE(call<op::CreateUser>(ann, {.user_name = "eve"}));
  EXPECT_EQ(refusal<op::DeleteGroup>({"readers"}),
            "DeleteConflict: Cannot delete entity, must remove users from group first.");
  must<op::RemoveUserFromGroup>({"readers", "ann"});
  EXPECT_FALSE(call<op::ListUsers>(ann, {}));

  // A boundary narrows what a policy allows.
  must<op::PutUserPolicy>({"ann", "all", allow("*")});
  EXPECT_TRUE(call<op::ListUsers>(ann, {}));
  must<op::PutUserPermissionsBoundary>({"ann", "arn:aws:iam::aws:policy/AmazonS3FullAccess"});
  const auto bounded = call<op::ListUsers>(ann, {});
  ASSERT_FALSE(bounded);
  EXPECT_TRUE(describe(bounded.error()).ends_with("because no permissions boundary allows the iam:ListUsers action"));
  must<op::DeleteUserPermissionsBoundary>({"ann"});
  EXPECT_TRUE(call<op::ListUsers>(ann, {}));

  // Variables and her own resources.
  must<op::PutUserPolicy>({"ann", "all", allow("iam:*AccessKey*", "arn:aws:iam::*:user/${aws:username}")});
  EXPECT_TRUE(call<op::CreateAccessKey>(ann, {}));
  EXPECT_FALSE(call<op::CreateAccessKey>(ann, {.user_name = "eve"}));
}

// Requests give names; policies are about ARNs, paths and all.
TEST_F(IamTest, PathsAreProtected) {
  must<op::CreateRole>({.path = "/admin/", .role_name = "chief", .assume_role_policy_document = std::string(kTrust)});
  must<op::CreateRole>({.role_name = "hand", .assume_role_policy_document = std::string(kTrust)});
  must<op::CreateUser>({.path = "/admin/", .user_name = "ada"});
  must<op::CreateUser>({.user_name = "bob"});
  must<op::CreateGroup>({.path = "/admin/", .group_name = "staff"});
  const auto key = must<op::CreateAccessKey>({.user_name = "ada"}).access_key;
  const kernel::Ctx eve = user("eve");
  must<op::PutUserPolicy>(
      {"eve", "all",
       R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"},{"Effect":"Deny","Action":"iam:*","Resource":["arn:aws:iam::*:role/admin/*","arn:aws:iam::*:user/admin/*","arn:aws:iam::*:group/admin/*"]}]})"});

  const auto denied = [](const auto& result) {
    return !result && describe(result.error()).find("with an explicit deny") != std::string::npos;
  };
  EXPECT_TRUE(denied(call<op::GetRole>(eve, {"chief"})));
  EXPECT_TRUE(denied(call<op::DeleteRole>(eve, {"chief"})));
  EXPECT_TRUE(denied(call<op::UpdateAssumeRolePolicy>(eve, {"chief", std::string(kTrust)})));
  EXPECT_TRUE(denied(call<op::AttachRolePolicy>(eve, {"chief", "arn:aws:iam::aws:policy/AdministratorAccess"})));
  EXPECT_TRUE(denied(call<op::PutRolePolicy>(eve, {"chief", "p", allow("*")})));
  EXPECT_TRUE(denied(call<op::CreateAccessKey>(eve, {.user_name = "ada"})));
  EXPECT_TRUE(denied(call<op::GetAccessKeyLastUsed>(eve, {key.access_key_id})));
  EXPECT_TRUE(denied(call<op::AddUserToGroup>(eve, {"staff", "eve"})));
  EXPECT_TRUE(denied(call<op::CreateRole>(
      eve, {.path = "/admin/", .role_name = "new", .assume_role_policy_document = std::string(kTrust)})));
  EXPECT_TRUE(call<op::GetRole>(eve, {"hand"}));
  EXPECT_TRUE(call<op::CreateAccessKey>(eve, {.user_name = "bob"}));

  // What it will be counts as what it is.
  EXPECT_TRUE(denied(call<op::UpdateUser>(eve, {.user_name = "ada", .new_path = "/"})));
  EXPECT_TRUE(denied(call<op::UpdateUser>(eve, {.user_name = "bob", .new_path = "/admin/"})));
  EXPECT_TRUE(denied(call<op::UpdateGroup>(eve, {.group_name = "staff", .new_group_name = "crew"})));
  EXPECT_TRUE(call<op::UpdateUser>(eve, {.user_name = "bob", .new_user_name = "bobby"}));

  // Allowed by path, and no further.
  must<op::PutUserPolicy>({"eve", "all", allow("iam:*", "arn:aws:iam::*:role/admin/*")});
  EXPECT_TRUE(call<op::GetRole>(eve, {"chief"}));
  EXPECT_FALSE(call<op::GetRole>(eve, {"hand"}));
  EXPECT_FALSE(call<op::GetRole>(eve, {"nobody"}));
}

TEST_F(IamTest, AccessKeys) {
  must<op::CreateUser>({.user_name = "ann"});
  const auto key = must<op::CreateAccessKey>({.user_name = "ann"}).access_key;
  EXPECT_EQ(key.access_key_id.size(), 20u);
  EXPECT_TRUE(key.access_key_id.starts_with("AKIA"));
  EXPECT_EQ(key.secret_access_key.size(), 40u);
  EXPECT_EQ(account_of_key(key.access_key_id), kAccount);
  const auto credential = run(directory->find_credential(key.access_key_id, ""));
  EXPECT_EQ((*credential)->secret, key.secret_access_key);
  EXPECT_EQ((*credential)->principal.arn, "arn:aws:iam::111111111111:user/ann");

  must<op::CreateAccessKey>({.user_name = "ann"});
  EXPECT_EQ(refusal<op::CreateAccessKey>({.user_name = "ann"}),
            "LimitExceeded: Cannot exceed quota for AccessKeysPerUser: 2");
  EXPECT_EQ(must<op::ListAccessKeys>({.user_name = "ann"}).access_key_metadata.size(), 2u);
  must<op::UpdateAccessKey>({"ann", key.access_key_id, statusType::Inactive});
  EXPECT_FALSE(*run(directory->find_credential(key.access_key_id, "")));
  must<op::UpdateAccessKey>({"ann", key.access_key_id, statusType::Active});
  EXPECT_TRUE(*run(directory->find_credential(key.access_key_id, "")));
  EXPECT_TRUE(must<op::GetAccessKeyLastUsed>({key.access_key_id}).access_key_last_used->last_used_date);
  must<op::UpdateUser>({.user_name = "ann", .new_user_name = "anna"});
  EXPECT_EQ((*run(directory->find_credential(key.access_key_id, "")))->principal.arn,
            "arn:aws:iam::111111111111:user/anna");
  must<op::DeleteAccessKey>({"anna", key.access_key_id});
  EXPECT_FALSE(*run(directory->find_credential(key.access_key_id, "")));
}

TEST_F(IamTest, DevelopmentKeyAndSessions) {
  const auto test = run(directory->find_credential("test", ""));
  EXPECT_EQ((*test)->principal.arn, "arn:aws:iam::000000000000:root");
  must<op::CreateRole>({.role_name = "r", .assume_role_policy_document = std::string(kTrust)});
  const auto role = run(directory->find_role("arn:aws:iam::111111111111:role/r"));
  kernel::Principal p;
  p.kind = kernel::Principal::Kind::kRoleSession;
  p.account = kAccount;
  p.arn = "arn:aws:sts::111111111111:assumed-role/r/s";
  p.user_id = (*role)->id + ":s";
  p.role_arn = (*role)->arn;
  p.session_tags = {{"a", "b"}};
  const auto minted = directory->mint(p, clock.now() + std::chrono::hours(1));
  const auto opened = run(directory->find_credential(minted.access_key, minted.session_token));
  ASSERT_TRUE(*opened);
  EXPECT_EQ((*opened)->secret, minted.secret);
  EXPECT_EQ((*opened)->principal.session_tags.at("a"), "b");
  EXPECT_EQ((*opened)->expires, clock.now() + std::chrono::hours(1));
  EXPECT_FALSE(*run(directory->find_credential(minted.access_key, "")));
  EXPECT_FALSE(*run(directory->find_credential(minted.access_key, minted.session_token + "x")));
  EXPECT_FALSE(*run(directory->find_credential("ASIAOTHER", minted.session_token)));

  // A role made anew under the old name is another role.
  kernel::Ctx ctx = cloud.internal_context((*opened)->principal, std::string(kAccount), "us-east-1");
  must<op::AttachRolePolicy>({"r", "arn:aws:iam::aws:policy/AdministratorAccess"});
  EXPECT_TRUE(call<op::ListUsers>(ctx, {}));
  must<op::DetachRolePolicy>({"r", "arn:aws:iam::aws:policy/AdministratorAccess"});
  must<op::DeleteRole>({"r"});
  must<op::CreateRole>({.role_name = "r", .assume_role_policy_document = std::string(kTrust)});
  must<op::AttachRolePolicy>({"r", "arn:aws:iam::aws:policy/AdministratorAccess"});
  EXPECT_FALSE(call<op::ListUsers>(ctx, {}));
}

TEST_F(IamTest, RenamesAreFollowed) {
  must<op::CreateUser>({.user_name = "ann"});
  must<op::CreateGroup>({.group_name = "g"});
  must<op::AddUserToGroup>({"g", "ann"});
  must<op::AttachGroupPolicy>({"g", "arn:aws:iam::aws:policy/IAMReadOnlyAccess"});
  must<op::UpdateGroup>({.group_name = "g", .new_group_name = "h"});
  must<op::UpdateUser>({.user_name = "ann", .new_user_name = "bea"});
  EXPECT_EQ(must<op::GetGroup>({.group_name = "h"}).users.at(0).user_name, "bea");
  EXPECT_EQ(must<op::ListGroupsForUser>({.user_name = "bea"}).groups.at(0).group_name, "h");
  EXPECT_EQ(*must<op::ListEntitiesForPolicy>({.policy_arn = "arn:aws:iam::aws:policy/IAMReadOnlyAccess"})
                 .policy_groups->at(0)
                 .group_name,
            "h");
}

TEST_F(IamTest, Simulation) {
  const auto out = must<op::SimulateCustomPolicy>({.policy_input_list = {allow("s3:Get*")},
                                                   .action_names = {"s3:GetObject", "s3:PutObject"},
                                                   .resource_arns = {{"arn:aws:s3:::b/k"}}});
  ASSERT_EQ(out.evaluation_results->size(), 2u);
  EXPECT_EQ(out.evaluation_results->at(0).eval_decision, PolicyEvaluationDecisionType::allowed);
  EXPECT_EQ(*out.evaluation_results->at(0).matched_statements->at(0).source_policy_id, "PolicyInputList.1");
  EXPECT_EQ(out.evaluation_results->at(1).eval_decision, PolicyEvaluationDecisionType::implicitDeny);

  must<op::CreateUser>({.user_name = "ann"});
  must<op::AttachUserPolicy>({"ann", "arn:aws:iam::aws:policy/AmazonSQSFullAccess"});
  const auto real = must<op::SimulatePrincipalPolicy>(
      {.policy_source_arn = "arn:aws:iam::111111111111:user/ann", .action_names = {"sqs:SendMessage", "s3:GetObject"}});
  EXPECT_EQ(real.evaluation_results->at(0).eval_decision, PolicyEvaluationDecisionType::allowed);
  EXPECT_EQ(real.evaluation_results->at(1).eval_decision, PolicyEvaluationDecisionType::implicitDeny);
}

TEST_F(IamTest, AccountSummary) {
  must<op::CreateUser>({.user_name = "ann"});
  must<op::CreateRole>({.role_name = "r", .assume_role_policy_document = std::string(kTrust)});
  const auto summary = *must<op::GetAccountSummary>({}).summary_map;
  EXPECT_EQ(summary.at("Users"), 1);
  EXPECT_EQ(summary.at("Roles"), 1);
  EXPECT_TRUE(must<op::ListInstanceProfilesForRole>({.role_name = "r"}).instance_profiles.empty());
  EXPECT_EQ(refusal<op::GetLoginProfile>({"ann"}), "NoSuchEntity: Login Profile for User ann cannot be found.");
}

// A body that is run again must not double its effects.
TEST_F(IamTest, ConflictsAreRetried) {
  kv::inject_conflicts(*db, 2);
  must<op::CreateUser>({.user_name = "ann"});
  kv::inject_conflicts(*db, 2);
  must<op::CreateAccessKey>({.user_name = "ann"});
  kv::inject_conflicts(*db, 2);
  must<op::AttachUserPolicy>({"ann", "arn:aws:iam::aws:policy/AmazonSQSFullAccess"});
  EXPECT_EQ(must<op::ListAccessKeys>({.user_name = "ann"}).access_key_metadata.size(), 1u);
}

// The table and the model agree on what is served.
TEST_F(IamTest, EveryServedOperationIsThere) {
  for (const wire::OperationModel& op : kModel.operations) EXPECT_EQ(cloud.find(op) != nullptr, op.served) << op.name;
}

}  // namespace
}  // namespace virga::iam
