#include "kernel/policy.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "base/str.h"
#include "kernel/policy_document.h"

namespace virga::kernel::policy {
namespace {

using Keys = std::map<std::string, std::vector<std::string>, std::less<>>;

Principal user(std::string account = "111111111111") {
  Principal p;
  p.kind = Principal::Kind::kUser;
  p.account = account;
  p.arn = cat("arn:aws:iam::", account, ":user/dev/ann");
  p.user_id = "AIDAANN";
  return p;
}

Principal session(std::string account = "111111111111") {
  Principal p;
  p.kind = Principal::Kind::kRoleSession;
  p.account = account;
  p.arn = cat("arn:aws:sts::", account, ":assumed-role/worker/s1");
  p.role_arn = cat("arn:aws:iam::", account, ":role/app/worker");
  p.user_id = "AROAW:s1";
  return p;
}

DocumentPtr identity(std::string_view statements, std::string_view version = "2012-10-17") {
  return parse(cat(R"({"Version":")", version, R"(","Statement":)", statements, "}"), Type::kIdentity);
}
DocumentPtr resource(std::string_view statements) {
  return parse(cat(R"({"Version":"2012-10-17","Statement":)", statements, "}"), Type::kResource);
}

std::string ask(const Policies& policies, const Principal& p, std::string_view action = "s3:GetObject",
                std::string_view on = "arn:aws:s3:::b/k", Keys keys = {}) {
  const Outcome o = evaluate(policies, {&p, action, on, std::move(keys)});
  const std::string_view word = o.decision == Decision::kAllow          ? "allow"
                                : o.decision == Decision::kExplicitDeny ? "deny"
                                                                        : "no";
  return cat(word, ' ', o.because);
}

TEST(Policy, ActionsAndResources) {
  struct Case {
    std::string_view statement, action, on;
    bool allowed;
  } cases[] = {
      {R"({"Effect":"Allow","Action":"s3:GetObject","Resource":"*"})", "s3:GetObject", "arn:aws:s3:::b/k", true},
      {R"({"Effect":"Allow","Action":"S3:getobject","Resource":"*"})", "s3:GetObject", "arn:aws:s3:::b/k", true},
      {R"({"Effect":"Allow","Action":"s3:Get*","Resource":"*"})", "s3:GetObjectTagging", "arn:aws:s3:::b/k", true},
      {R"({"Effect":"Allow","Action":"s3:Get?bject","Resource":"*"})", "s3:GetObject", "arn:aws:s3:::b/k", true},
      {R"({"Effect":"Allow","Action":"s3:Get*","Resource":"*"})", "s3:PutObject", "arn:aws:s3:::b/k", false},
      {R"({"Effect":"Allow","Action":["sqs:*","s3:PutObject"],"Resource":"*"})", "s3:PutObject", "arn:aws:s3:::b/k",
       true},
      {R"({"Effect":"Allow","NotAction":"iam:*","Resource":"*"})", "s3:PutObject", "arn:aws:s3:::b/k", true},
      {R"({"Effect":"Allow","NotAction":"iam:*","Resource":"*"})", "iam:CreateUser", "*", false},
      {R"({"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/*"})", "s3:PutObject", "arn:aws:s3:::b/a/k",
       true},
      {R"({"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/*"})", "s3:PutObject", "arn:aws:s3:::b", false},
      {R"({"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::B/*"})", "s3:PutObject", "arn:aws:s3:::b/k",
       false},
      {R"({"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::b/*"})", "s3:PutObject", "arn:aws:s3:::b/k",
       false},
      {R"({"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::b/*"})", "s3:PutObject", "arn:aws:s3:::c/k",
       true},
      {R"({"Effect":"Allow","Action":"*","Resource":"arn:aws:sqs:*:*:jobs"})", "sqs:SendMessage",
       "arn:aws:sqs:eu-west-1:111111111111:jobs", true},
      // A wildcard stays within its part of the ARN.
      {R"({"Effect":"Allow","Action":"*","Resource":"arn:aws:sqs:*:jobs:x"})", "sqs:SendMessage",
       "arn:aws:sqs:eu:1:jobs:x", false},
      {R"({"Effect":"Allow","Action":"logs:*","Resource":"arn:aws:logs:*:*:*"})", "logs:PutLogEvents",
       "arn:aws:logs:r:1:log-group:/a:log-stream:s", true},
      {R"({"Effect":"Allow","Action":"*","Resource":"*"})", "x:Y", "*", true},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.statement);
    EXPECT_EQ(ask({.identity = {identity(c.statement)}}, user(), c.action, c.on),
              c.allowed ? "allow identity-based policy" : "no identity-based policy");
  }
}

TEST(Policy, Conditions) {
  const Keys keys = {{"aws:sourceip", {"10.1.2.3"}},
                     {"aws:useragent", {"Boto3/1.0"}},
                     {"s3:max-keys", {"10"}},
                     {"aws:currenttime", {"2024-05-01T12:00:00Z"}},
                     {"aws:epochtime", {"1714564800"}},
                     {"aws:securetransport", {"false"}},
                     {"aws:tagkeys", {"a", "b"}},
                     {"aws:username", {"ann"}},
                     {"aws:sourcearn", {"arn:aws:sns:us-east-1:1:t"}},
                     {"aws:principaltag/team", {"blue"}},
                     {"k:bin", {"AQI="}},
                     {"k:v6", {"2001:db8::1"}},
                     {"k:star", {"*"}}};
  struct Case {
    std::string_view condition;
    bool holds;
  } cases[] = {
      {R"({"StringEquals":{"aws:username":"ann"}})", true},
      {R"({"StringEquals":{"aws:username":["bob","ann"]}})", true},
      {R"({"StringEquals":{"aws:username":"an*"}})", false},
      {R"({"StringEquals":{"aws:username":"Ann"}})", false},
      {R"({"StringEqualsIgnoreCase":{"aws:username":"ANN"}})", true},
      {R"({"StringNotEqualsIgnoreCase":{"aws:username":"ANN"}})", false},
      {R"({"StringNotEquals":{"aws:username":"bob"}})", true},
      {R"({"StringNotEquals":{"aws:username":["bob","ann"]}})", false},
      {R"({"StringLike":{"AWS:UserName":"a?n"}})", true},
      {R"({"StringNotLike":{"aws:username":"a*"}})", false},
      {R"({"StringEquals":{"aws:PrincipalTag/Team":"blue"}})", true},
      // Absent keys.
      {R"({"StringEquals":{"k:none":"x"}})", false},
      {R"({"StringNotEquals":{"k:none":"x"}})", true},
      {R"({"StringEqualsIfExists":{"k:none":"x"}})", true},
      {R"({"StringEqualsIfExists":{"aws:username":"x"}})", false},
      {R"({"ForAnyValue:StringEquals":{"k:none":"x"}})", false},
      {R"({"ForAllValues:StringEquals":{"k:none":"x"}})", true},
      {R"({"Null":{"k:none":"true"}})", true},
      {R"({"Null":{"k:none":"false"}})", false},
      {R"({"Null":{"aws:username":"false"}})", true},
      {R"({"Null":{"aws:username":true}})", false},
      // Several values.
      {R"({"ForAllValues:StringEquals":{"aws:TagKeys":["a","b","c"]}})", true},
      {R"({"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}})", false},
      {R"({"ForAnyValue:StringEquals":{"aws:TagKeys":["b"]}})", true},
      {R"({"ForAnyValue:StringEquals":{"aws:TagKeys":["x"]}})", false},
      {R"({"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a"]}})", true},
      {R"({"ForAllValues:StringNotEquals":{"aws:TagKeys":["a"]}})", false},
      {R"({"ForAllValues:StringNotLike":{"aws:TagKeys":["x*"]}})", true},
      // Numbers, dates, booleans.
      {R"({"NumericEquals":{"s3:max-keys":"10"}})", true},
      {R"({"NumericEquals":{"s3:max-keys":10}})", true},
      {R"({"NumericNotEquals":{"s3:max-keys":"10"}})", false},
      {R"({"NumericLessThan":{"s3:max-keys":"10"}})", false},
      {R"({"NumericLessThanEquals":{"s3:max-keys":"10"}})", true},
      {R"({"NumericGreaterThan":{"s3:max-keys":"9.5"}})", true},
      {R"({"NumericGreaterThanEquals":{"aws:username":"1"}})", false},
      {R"({"DateLessThan":{"aws:CurrentTime":"2024-05-02T00:00:00Z"}})", true},
      {R"({"DateGreaterThan":{"aws:CurrentTime":"2024-05-02T00:00:00Z"}})", false},
      {R"({"DateEquals":{"aws:EpochTime":"2024-05-01T12:00:00Z"}})", true},
      {R"({"DateGreaterThanEquals":{"aws:CurrentTime":"1714564800"}})", true},
      {R"({"Bool":{"aws:SecureTransport":"false"}})", true},
      {R"({"Bool":{"aws:SecureTransport":true}})", false},
      {R"({"BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}})", true},
      {R"({"BinaryEquals":{"k:bin":"AQI="}})", true},
      // Addresses.
      {R"({"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}})", true},
      {R"({"IpAddress":{"aws:SourceIp":["192.168.0.0/16","10.1.2.3"]}})", true},
      {R"({"IpAddress":{"aws:SourceIp":"10.1.2.0/31"}})", false},
      {R"({"IpAddress":{"aws:SourceIp":"10.1.2.2/31"}})", true},
      {R"({"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}})", false},
      {R"({"IpAddress":{"k:v6":"2001:db8::/32"}})", true},
      {R"({"IpAddress":{"k:v6":"0.0.0.0/0"}})", false},
      {R"({"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}})", true},
      // ARNs.
      {R"({"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:*:t"}})", true},
      {R"({"ArnEquals":{"aws:SourceArn":"arn:aws:sns:us-east-1:1:*"}})", true},
      {R"({"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:t"}})", false},
      {R"({"ArnNotLike":{"aws:SourceArn":"arn:aws:sqs:*:*:*"}})", true},
      // Variables, here and with defaults; a value is never a pattern.
      {R"({"StringEquals":{"aws:username":"${aws:username}"}})", true},
      {R"({"StringEquals":{"aws:username":"${k:none}"}})", false},
      {R"({"StringEquals":{"aws:username":"${k:none, 'ann'}"}})", true},
      {R"({"StringLike":{"aws:useragent":"${k:star}"}})", false},
      {R"({"StringLike":{"k:star":"${*}"}})", true},
      {R"({"StringLike":{"aws:username":"${*}"}})", false},
      // Everything must hold.
      {R"({"StringEquals":{"aws:username":"ann"},"IpAddress":{"aws:SourceIp":"11.0.0.0/8"}})", false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.condition);
    const auto d = identity(cat(R"({"Effect":"Allow","Action":"*","Resource":"*","Condition":)", c.condition, "}"));
    EXPECT_TRUE(uses_keys(*d));
    EXPECT_EQ(ask({.identity = {d}}, user(), "s3:GetObject", "*", keys),
              c.holds ? "allow identity-based policy" : "no identity-based policy");
  }
}

TEST(Policy, VariablesInResources) {
  const auto home = R"({"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}/*"})";
  const Keys ann = {{"aws:username", {"ann"}}}, star = {{"aws:username", {"*"}}};
  EXPECT_EQ(ask({.identity = {identity(home)}}, user(), "s3:GetObject", "arn:aws:s3:::b/ann/x", ann),
            "allow identity-based policy");
  EXPECT_EQ(ask({.identity = {identity(home)}}, user(), "s3:GetObject", "arn:aws:s3:::b/bob/x", ann),
            "no identity-based policy");
  EXPECT_EQ(ask({.identity = {identity(home)}}, user(), "s3:GetObject", "arn:aws:s3:::b/bob/x", star),
            "no identity-based policy");
  EXPECT_EQ(ask({.identity = {identity(home)}}, user(), "s3:GetObject", "arn:aws:s3:::b/ann/x"),
            "no identity-based policy");
  // The old version takes variables literally.
  EXPECT_EQ(ask({.identity = {identity(home, "2008-10-17")}}, user(), "s3:GetObject", "arn:aws:s3:::b/ann/x", ann),
            "no identity-based policy");
}

constexpr std::string_view kAllowAll = R"({"Effect":"Allow","Action":"*","Resource":"*"})";
constexpr std::string_view kDenyAll = R"({"Sid":"No","Effect":"Deny","Action":"*","Resource":"*"})";
constexpr std::string_view kAllowSqs = R"({"Effect":"Allow","Action":"sqs:*","Resource":"*"})";

TEST(Policy, EvaluationOrder) {
  const auto all = identity(kAllowAll), none = identity(kDenyAll), sqs = identity(kAllowSqs);
  EXPECT_EQ(ask({}, user()), "no identity-based policy");
  EXPECT_EQ(ask({.identity = {all}}, user()), "allow identity-based policy");
  EXPECT_EQ(ask({.identity = {all, none}}, user()), "deny identity-based policy");
  EXPECT_EQ(ask({.identity = {all}, .boundary = sqs}, user()), "no permissions boundary");
  EXPECT_EQ(ask({.identity = {all}, .boundary = all}, user()), "allow identity-based policy");
  EXPECT_EQ(ask({.identity = {all}, .boundary = none}, user()), "deny permissions boundary");
  EXPECT_EQ(ask({.identity = {all}, .session = {sqs}}, session()), "no session policy");
  EXPECT_EQ(ask({.identity = {all}, .session = {all, all}}, session()), "allow identity-based policy");
  EXPECT_EQ(ask({.identity = {all}, .service_control = {sqs}}, user()), "no service control policy");
  EXPECT_EQ(ask({.identity = {all}, .service_control = {all, none}}, user()), "deny service control policy");
  const Principal p = user();
  EXPECT_EQ(evaluate({.identity = {all, none}}, {&p, "a:b", "*", {}}).statement_id, "No");
}

TEST(Policy, ResourcePoliciesInTheSameAccount) {
  const auto grant = [](std::string_view who) {
    return resource(cat(R"({"Effect":"Allow","Principal":)", who, R"(,"Action":"s3:*","Resource":"*"})"));
  };
  const auto all = identity(kAllowAll), sqs = identity(kAllowSqs);
  // The user itself or everyone: enough. The account: its own policies decide.
  EXPECT_EQ(ask({.resource = grant(R"({"AWS":"arn:aws:iam::111111111111:user/dev/ann"})")}, user()),
            "allow resource-based policy");
  EXPECT_EQ(ask({.resource = grant(R"("*")")}, user()), "allow resource-based policy");
  EXPECT_EQ(ask({.resource = grant(R"({"AWS":"111111111111"})")}, user()), "no identity-based policy");
  EXPECT_EQ(ask({.identity = {all}, .resource = grant(R"({"AWS":"arn:aws:iam::111111111111:root"})")}, user()),
            "allow identity-based policy");
  EXPECT_EQ(ask({.resource = grant(R"({"AWS":"arn:aws:iam::111111111111:user/bob"})")}, user()),
            "no identity-based policy");
  // A role: boundary and session policies still narrow it; its session: they don't.
  const auto role = grant(R"({"AWS":"arn:aws:iam::111111111111:role/app/worker"})");
  const auto one = grant(R"({"AWS":"arn:aws:sts::111111111111:assumed-role/worker/s1"})");
  EXPECT_EQ(ask({.resource = role}, session()), "allow resource-based policy");
  EXPECT_EQ(ask({.boundary = sqs, .resource = role}, session()), "no permissions boundary");
  EXPECT_EQ(ask({.session = {sqs}, .resource = role}, session()), "no session policy");
  EXPECT_EQ(ask({.session = {sqs}, .boundary = sqs, .resource = one}, session()), "allow resource-based policy");
  // Denials reach the root too.
  const auto deny = resource(R"({"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"})");
  EXPECT_EQ(ask({.resource = deny}, root_of("111111111111")), "deny resource-based policy");
  EXPECT_EQ(ask({.resource = role}, root_of("111111111111")), "allow identity-based policy");
  const auto deny_others = resource(
      R"({"Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:iam::111111111111:user/dev/ann"},"Action":"*","Resource":"*"})");
  EXPECT_EQ(ask({.identity = {all}, .resource = deny_others}, user()), "allow identity-based policy");
  EXPECT_EQ(ask({.identity = {all}, .resource = deny_others}, session()), "deny resource-based policy");
  // Where the resource's policy has the last word.
  EXPECT_EQ(ask({.identity = {all}, .resource = one, .resource_must_allow = true}, user()), "no resource-based policy");
}

TEST(Policy, AcrossAccountsBothMustAllow) {
  const auto all = identity(kAllowAll);
  const auto account = resource(R"({"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"*","Resource":"*"})");
  const std::string other = "222222222222";
  EXPECT_EQ(ask({.identity = {all}, .resource_account = other}, user()), "no resource-based policy");
  EXPECT_EQ(ask({.resource = account, .resource_account = other}, user()), "no identity-based policy");
  EXPECT_EQ(ask({.identity = {all}, .resource = account, .resource_account = other}, user()),
            "allow identity-based policy");
  EXPECT_EQ(ask({.resource = account, .resource_account = other}, root_of("111111111111")),
            "allow identity-based policy");
  EXPECT_EQ(ask({.resource_account = other}, root_of("111111111111")), "no resource-based policy");
}

TEST(Policy, ServicesAndStrangers) {
  const auto events = resource(
      R"({"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*",
          "Condition":{"ArnEquals":{"aws:SourceArn":"arn:aws:events:us-east-1:1:rule/r"}}})");
  const Keys from = {{"aws:sourcearn", {"arn:aws:events:us-east-1:1:rule/r"}}};
  EXPECT_EQ(ask({.resource = events}, service_principal("events.amazonaws.com", "1"), "sqs:SendMessage", "*", from),
            "allow resource-based policy");
  EXPECT_EQ(ask({.resource = events}, service_principal("events.amazonaws.com", "1"), "sqs:SendMessage", "*"),
            "no resource-based policy");
  EXPECT_EQ(ask({.resource = events}, service_principal("sns.amazonaws.com", "1"), "sqs:SendMessage", "*", from),
            "no resource-based policy");
  EXPECT_EQ(ask({.resource = events}, Principal{}, "sqs:SendMessage", "*", from), "no resource-based policy");
  const auto open = resource(R"({"Effect":"Allow","Principal":{"AWS":["*"]},"Action":"s3:GetObject","Resource":"*"})");
  EXPECT_EQ(ask({.resource = open}, Principal{}), "allow resource-based policy");
  EXPECT_EQ(ask({.identity = {identity(kAllowAll)}}, Principal{}), "no resource-based policy");
}

TEST(Policy, MalformedDocuments) {
  struct Case {
    std::string_view document;
    Type type;
    std::string_view says;
  } cases[] = {
      {"{", Type::kIdentity, "The policy is not in the valid JSON format."},
      {"[]", Type::kIdentity, "Syntax errors in policy."},
      {R"({"Version":"2012-10-17"})", Type::kIdentity, "Syntax errors in policy."},
      {R"({"Version":"2013-10-17","Statement":[]})", Type::kIdentity, "Syntax errors in policy."},
      {R"({"Statement":{"Effect":"allow","Action":"a:b","Resource":"*"}})", Type::kIdentity,
       "Syntax errors in policy."},
      {R"({"Statement":{"Effect":"Allow","Action":"a:b","Resource":"*","Extra":1}})", Type::kIdentity,
       "Syntax errors in policy."},
      {R"({"Statement":{"Effect":"Allow","Resource":"*"}})", Type::kIdentity, "Policy statement must contain actions."},
      {R"({"Statement":{"Effect":"Allow","Action":"a:b"}})", Type::kIdentity,
       "Policy statement must contain resources."},
      {R"({"Statement":{"Effect":"Allow","Action":"nocolon","Resource":"*"}})", Type::kIdentity,
       "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
      {R"({"Statement":{"Effect":"Allow","Action":"a b:c","Resource":"*"}})", Type::kIdentity,
       "Vendor a b is not valid"},
      {R"({"Statement":{"Effect":"Allow","Action":"a:b","Resource":"b/k"}})", Type::kIdentity,
       "Resource b/k must be in ARN format or \"*\"."},
      {R"({"Statement":{"Effect":"Allow","Action":"a:b","Resource":"*","Principal":"*"}})", Type::kIdentity,
       "Policy document should not specify a principal."},
      {R"({"Statement":{"Effect":"Allow","Action":"a:b","Resource":"*"}})", Type::kResource,
       "Missing required field Principal"},
      {R"({"Statement":{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"StringSame":{"a:b":"c"}}}})",
       Type::kIdentity, "Invalid Condition type : StringSame."},
      {R"({"Statement":{"Effect":"Allow","Action":"a:b","Resource":"*","Principal":{"AWS":"bob"}}})", Type::kResource,
       "Invalid principal in policy: \"AWS\":\"bob\""},
      {R"({"Statement":[{"Sid":"A","Effect":"Allow","Action":"a:b","Resource":"*"},{"Sid":"A","Effect":"Allow","Action":"a:b","Resource":"*"}]})",
       Type::kIdentity, "Statement IDs (SID) in a single policy must be unique."},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.document);
    try {
      parse(c.document, c.type);
      ADD_FAILURE() << "accepted";
    } catch (const std::invalid_argument& e) {
      EXPECT_EQ(e.what(), c.says);
    }
  }
}

TEST(Policy, Arns) {
  const auto a = parse_arn("arn:aws:logs:r:1:log-group:/a:*");
  ASSERT_TRUE(a);
  EXPECT_EQ(a->resource, "log-group:/a:*");
  EXPECT_FALSE(parse_arn("arn:aws:s3"));
  EXPECT_FALSE(parse_arn("urn:aws:s3:::b"));
  // A second name of the same thing, which no policy knows.
  EXPECT_FALSE(parse_arn("arn:zz:dynamodb:us-east-1:1:table/t"));
}

}  // namespace
}  // namespace virga::kernel::policy
