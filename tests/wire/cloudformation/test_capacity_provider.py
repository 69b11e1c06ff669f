"""A capacity provider and a function on it, by template."""

import json

from stacks import outputs, physical, reasons, status

APP = """
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]}
  Capacity:
    Type: AWS::Lambda::CapacityProvider
    Properties:
      VpcConfig: {SubnetIds: [subnet-1], SecurityGroupIds: [sg-1]}
      PermissionsConfig: {CapacityProviderOperatorRoleArn: !GetAtt Role.Arn}
      CapacityProviderScalingConfig: {MaxVCpuCount: %d}
  Hello:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.13
      Handler: index.handler
      MemorySize: 2048
      Code: {ZipFile: "def handler(event, context): return context.function_version"}
      Role: !GetAtt Role.Arn
      CapacityProviderConfig:
        LambdaManagedInstancesCapacityProviderConfig: {CapacityProviderArn: !GetAtt Capacity.Arn, PerExecutionEnvironmentMaxConcurrency: 2}
      PublishToLatestPublished: true
      FunctionScalingConfig: {MinExecutionEnvironments: 1, MaxExecutionEnvironments: 2}
"""


def test_function_on_a_capacity_provider(virga, cfn, stack):
    cfn.create_stack(StackName=stack, TemplateBody=APP % 8, Capabilities=["CAPABILITY_IAM"])
    assert status(cfn, stack) == "CREATE_COMPLETE"
    name = physical(cfn, stack)["Hello"]
    answer = virga.client("lambda").invoke(FunctionName=name)
    assert json.loads(answer["Payload"].read()) == "$LATEST.PUBLISHED"
    cfn.update_stack(StackName=stack, TemplateBody=APP % 16, Capabilities=["CAPABILITY_IAM"])
    assert status(cfn, stack) == "UPDATE_COMPLETE"
    cfn.delete_stack(StackName=stack)
    cfn.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})


SERVERLESS = """
Transform: AWS::Serverless-2016-10-31
Globals:
  CapacityProvider:
    VpcConfig: {SubnetIds: [subnet-1], SecurityGroupIds: [sg-1]}
  Function:
    Runtime: python3.13
    CapacityProviderConfig: {Arn: !GetAtt Capacity.Arn, PerExecutionEnvironmentMaxConcurrency: 2}
Resources:
  Capacity:
    Type: AWS::Serverless::CapacityProvider
    Properties:
      ScalingConfig: {MaxVCpuCount: 8, AverageCPUUtilization: 70}
      InstanceRequirements: {Architectures: [x86_64], AllowedTypes: [m7i.large]}
      Tags: {Team: blue}
      PropagateTags: true
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.handler
      MemorySize: 2048
      InlineCode: "def handler(event, context): return context.function_version"
      PublishToLatestPublished: true
      FunctionScalingConfig: {MinExecutionEnvironments: 1, MaxExecutionEnvironments: 2}
Outputs:
  Provider: {Value: !GetAtt Capacity.Arn}
"""


# The same in AWS SAM's words, which make the operator's role themselves.
def test_serverless(virga, cfn, stack):
    cfn.create_stack(StackName=stack, TemplateBody=SERVERLESS, Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"])
    assert status(cfn, stack) == "CREATE_COMPLETE", reasons(cfn, stack)
    made = physical(cfn, stack)
    answer = virga.client("lambda").invoke(FunctionName=made["Hello"])
    assert json.loads(answer["Payload"].read()) == "$LATEST.PUBLISHED"
    assert outputs(cfn, stack)["Provider"].endswith(":capacity-provider:" + made["Capacity"])
    iam = virga.client("iam")
    role = made["CapacityOperatorRole"]
    assert [p["PolicyName"] for p in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]] == ["AWSLambdaManagedEC2ResourceOperator"]
    assert {"Key": "Team", "Value": "blue"} in iam.list_role_tags(RoleName=role)["Tags"]
    cfn.delete_stack(StackName=stack)
    cfn.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})
