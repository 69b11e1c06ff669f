// The serverless transform: what AWS's makes of the same templates.
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/str.h"
#include "services/cloudformation/sam/sam.h"
#include "services/cloudformation/template.h"

namespace virga::cloudformation {
namespace {

Json transformed(std::string_view yaml, std::map<std::string, Json> parameters = {}) {
  return transform_serverless(parse_template(yaml), parameters, {"000000000000", "us-east-1", "aws", "", "", {}});
}
std::vector<std::string> resource_names(const Json& root) {
  std::vector<std::string> out;
  for (const auto& [name, r] : section(root, "Resources")) out.push_back(name);
  std::sort(out.begin(), out.end());
  return out;
}
const Json& properties(const Json& root, std::string_view name) {
  return *root.find("Resources")->find(name)->find("Properties");
}

constexpr std::string_view kApp = R"(
Transform: AWS::Serverless-2016-10-31
Globals: {Function: {Timeout: 10, Environment: {Variables: {TABLE: !Ref Table}}}}
Resources:
  Table: {Type: AWS::Serverless::SimpleTable}
  Write:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: s3://b/k
      Handler: app.handler
      Runtime: python3.12
      MemorySize: 256
      AutoPublishAlias: live
      Policies: [{DynamoDBCrudPolicy: {TableName: !Ref Table}}, AmazonS3ReadOnlyAccess]
      FunctionUrlConfig: {AuthType: NONE}
      Events:
        Post: {Type: HttpApi, Properties: {Path: '/entries/{id}', Method: post}}
        Tick: {Type: Schedule, Properties: {Schedule: rate(1 minute)}}
Outputs:
  Version: {Value: !Ref Write.Version}
)";

TEST(Serverless, LogicalIds) {
  const Json t = transformed(kApp);
  // The version's id was made by AWS's own transform.
  EXPECT_EQ(resource_names(t),
            (std::vector<std::string>{"ServerlessHttpApi", "ServerlessHttpApiApiGatewayDefaultStage", "Table", "Write",
                                      "WriteAliaslive", "WritePostPermission", "WriteRole", "WriteTick",
                                      "WriteTickPermission", "WriteURLInvokeAllowPublicAccess", "WriteUrl",
                                      "WriteUrlPublicPermissions", "WriteVersion2ecd130a19"}));
  EXPECT_EQ(t.find("Outputs")->dump(), R"({"Version":{"Value":{"Ref":"WriteVersion2ecd130a19"}}})");
  EXPECT_FALSE(t.find("Transform"));
}

// As AWS's own transform writes it: tests/translator/output/capacity_provider_full.json of
// aws/serverless-application-model
TEST(Serverless, CapacityProvider) {
  const Json t = transformed(R"(
Transform: AWS::Serverless-2016-10-31
Resources:
  C:
    Type: AWS::Serverless::CapacityProvider
    Properties:
      VpcConfig: {SubnetIds: [s]}
      ScalingConfig: {MaxVCpuCount: 10, AverageCPUUtilization: 75}
      InstanceRequirements: {AllowedTypes: [c5.xlarge]}
  F:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: s3://b/k
      CapacityProviderConfig: {Arn: !GetAtt C.Arn, ExecutionEnvironmentMemoryGiBPerVCpu: 4}
      PublishToLatestPublished: true
)");
  EXPECT_EQ(resource_names(t), (std::vector<std::string>{"C", "COperatorRole", "F", "FRole"}));
  EXPECT_EQ(properties(t, "C").find("CapacityProviderScalingConfig")->dump(),
            R"({"MaxVCpuCount":10,"ScalingMode":"Manual","ScalingPolicies":[{"PredefinedMetricType":)"
            R"("LambdaCapacityProviderAverageCPUUtilization","TargetValue":75}]})");
  EXPECT_EQ(properties(t, "C").find("PermissionsConfig")->dump(),
            R"({"CapacityProviderOperatorRoleArn":{"Fn::GetAtt":["COperatorRole","Arn"]}})");
  EXPECT_EQ(properties(t, "C").find("InstanceRequirements")->dump(), R"({"AllowedInstanceTypes":["c5.xlarge"]})");
  EXPECT_EQ(properties(t, "F").find("CapacityProviderConfig")->dump(),
            R"({"LambdaManagedInstancesCapacityProviderConfig":{"CapacityProviderArn":{"Fn::GetAtt":["C","Arn"]},)"
            R"("ExecutionEnvironmentMemoryGiBPerVCpu":4}})");
}

TEST(Serverless, FunctionsTagsReachWhatTheyGenerate) {
  const Json t = transformed(R"(
Transform: AWS::Serverless-2016-10-31
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: s3://b/k
      Tags: {Team: blue}
      PropagateTags: true
      EventInvokeConfig: {DestinationConfig: {OnFailure: {Type: SQS}}}
)");
  EXPECT_EQ(properties(t, "FEventInvokeConfigOnFailureQueue").find("Tags")->dump(),
            R"([{"Key":"Team","Value":"blue"}])");
  EXPECT_EQ(properties(t, "FRole").find("Tags")->as_array().size(), 2u);
}

// A destination is made for the alternative that has none, and can be referred to.
TEST(Serverless, DestinationsByCondition) {
  const Json t = transformed(R"(
Transform: AWS::Serverless-2016-10-31
Conditions: {Given: !Equals [a, b]}
Resources:
  F:
    Type: AWS::Serverless::Function
    Condition: Wanted
    Properties:
      CodeUri: s3://b/k
      Role: !If [Given, !Ref AWS::NoValue, 'arn:role']
      EventInvokeConfig:
        DestinationConfig:
          OnSuccess: {Type: SQS, Destination: !If [Given, 'arn:given', !Ref AWS::NoValue]}
          OnFailure: {Type: SNS}
Outputs: {Topic: {Value: !Ref F.DestinationTopic}, Queue: {Value: !GetAtt F.DestinationQueue.Arn}}
)");
  const std::string queue = "FEventInvokeConfigOnSuccessQueue";
  EXPECT_EQ(t.find("Resources")->find(queue)->string_or("Condition"), queue + "Condition");
  EXPECT_EQ(t.find("Conditions")->find(queue + "Condition")->dump(),
            R"({"Fn::And":[{"Condition":"Wanted"},{"Fn::Not":[{"Condition":"Given"}]}]})");
  EXPECT_EQ(properties(t, "FEventInvokeConfig").find("DestinationConfig")->find("OnSuccess")->dump(),
            cat(R"({"Destination":{"Fn::If":["Given","arn:given",{"Fn::GetAtt":[")", queue, R"(","Arn"]}]}})"));
  EXPECT_EQ(t.find("Outputs")->find("Topic")->dump(), R"({"Value":{"Ref":"FEventInvokeConfigOnFailureTopic"}})");
  EXPECT_EQ(t.find("Resources")->find("FRole")->string_or("Condition"), "FRoleCondition");
  EXPECT_EQ(properties(t, "F").find("Role")->dump(),
            R"({"Fn::If":["Given",{"Fn::GetAtt":["FRole","Arn"]},"arn:role"]})");
}

TEST(Serverless, RefusesUnservedAndUnknownProperties) {
  const auto refusal = [](std::string_view property) {
    try {
      transformed(
          cat("Transform: AWS::Serverless-2016-10-31\nResources:\n  F:\n    Type: AWS::Serverless::Function\n"
              "    Properties:\n      CodeUri: s3://b/k\n      ",
              property, "\n"));
    } catch (const Error& error) {
      return error.message;
    }
    return std::string();
  };
  EXPECT_NE(refusal("DeploymentPreference: {Type: AllAtOnce}").find("DeploymentPreference"), std::string::npos);
  EXPECT_EQ(refusal("DeploymentPreference: {Enabled: false}"), "");
  EXPECT_NE(refusal("MemorySzie: 128").find("property MemorySzie not defined"), std::string::npos);
}

TEST(Serverless, RouteAndPermission) {
  const Json t = transformed(kApp);
  const Json& operation =
      *properties(t, "ServerlessHttpApi").find("Body")->find("paths")->find("/entries/{id}")->find("post");
  EXPECT_EQ(
      operation.find("x-amazon-apigateway-integration")->find("uri")->dump(),
      R"({"Fn::Sub":"arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${WriteAliaslive}/invocations"})");
  EXPECT_EQ(
      properties(t, "WritePostPermission").find("SourceArn")->dump(),
      R"({"Fn::Sub":["arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${__ApiId__}/${__Stage__}/POST/entries/*",)"
      R"({"__ApiId__":{"Ref":"ServerlessHttpApi"},"__Stage__":"*"}]})");
  EXPECT_EQ(properties(t, "ServerlessHttpApiApiGatewayDefaultStage").find("StageName")->as_string(), "$default");
}

TEST(Serverless, PolicyTemplatesWithConditions) {
  const Json role = properties(transformed(R"(
Transform: AWS::Serverless-2016-10-31
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: s3://b/k
      Handler: app.handler
      Runtime: python3.12
      Policies: [{AWSSecretsManagerRotationPolicy: {FunctionName: mine}}]
)"),
                               "FRole");
  const Json& statements = *role.find("Policies")->as_array()[0].find("PolicyDocument")->find("Statement");
  EXPECT_EQ(statements.as_array()[0].find("Resource")->dump(),
            R"({"Fn::Sub":"arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:*"})");
  EXPECT_EQ(
      statements.as_array()[0].find("Condition")->dump(),
      R"({"StringEquals":{"secretsmanager:resource/AllowRotationLambdaArn":{"Fn::Sub":["arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${functionName}",{"functionName":"mine"}]}}})");
  EXPECT_FALSE(statements.as_array()[1].find("Condition"));
}

TEST(Serverless, RoleAndPolicies) {
  const Json role = properties(transformed(kApp), "WriteRole");
  EXPECT_EQ(
      role.find("ManagedPolicyArns")->dump(),
      R"(["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole","arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"])");
  const Json& policy = role.find("Policies")->as_array()[0];
  EXPECT_EQ(policy.string_or("PolicyName"), "WriteRolePolicy0");
  const Json& statement = policy.find("PolicyDocument")->find("Statement")->as_array()[0];
  EXPECT_EQ(
      statement.find("Resource")->as_array()[1].dump(),
      R"({"Fn::Sub":["arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${tableName}/index/*",{"tableName":{"Ref":"Table"}}]})");
}

TEST(Serverless, LayersAndParameters) {
  const Json t = transformed(R"(
Transform: AWS::Serverless-2016-10-31
Parameters: {Key: {Type: String, Default: l}}
Resources:
  F: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, Handler: a.b, Runtime: python3.12, Role: arn, Layers: [!Ref Lay]}}
  Lay: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: s3://b/l, LayerName: lay, RetentionPolicy: Delete}}
)");
  EXPECT_EQ(properties(t, "F").find("Layers")->dump(), R"([{"Ref":"Lay55204f8c76"}])");
  EXPECT_EQ(properties(t, "F").find("Code")->dump(), R"({"ZipFile":"x"})");
  EXPECT_EQ(t.find("Resources")->find("Lay55204f8c76")->string_or("DeletionPolicy"), "Delete");
}

TEST(Serverless, RefusesByName) {
  const auto why = [](std::string_view yaml) -> std::string {
    try {
      transformed(yaml);
    } catch (const Error& e) {
      return e.message;
    }
    return "";
  };
  EXPECT_NE(why("Resources: {A: {Type: AWS::Serverless::Api}}")
                .find("[A] is invalid. AWS::Serverless::Api is not served by Virga."),
            std::string::npos);
  EXPECT_NE(why("Resources: {A: {Type: AWS::Serverless::Function, Properties: {Handler: x}}}")
                .find("Either 'InlineCode' or 'CodeUri' must be set."),
            std::string::npos);
  EXPECT_NE(why("Globals: {Function: {Foo: 1}}\nResources: {}").find("'Foo' is not a supported property of 'Function'"),
            std::string::npos);
}

}  // namespace
}  // namespace virga::cloudformation
