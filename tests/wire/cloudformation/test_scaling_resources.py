"""A table's capacity and a function's provisioned concurrency under Application Auto Scaling, by template."""

from stacks import physical, status

APP = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      InlineCode: "def handler(event, context): return 1"
      AutoPublishAlias: live
  Target:
    Type: AWS::ApplicationAutoScaling::ScalableTarget
    DependsOn: HelloAliaslive
    Properties:
      ServiceNamespace: lambda
      ScalableDimension: lambda:function:ProvisionedConcurrency
      ResourceId: !Sub function:${Hello}:live
      MinCapacity: 0
      MaxCapacity: %d
      ScheduledActions:
        - {ScheduledActionName: %s, Schedule: "cron(0 8 * * ? *)", Timezone: Europe/Berlin, ScalableTargetAction: {MinCapacity: 1}}
  Policy:
    Type: AWS::ApplicationAutoScaling::ScalingPolicy
    Properties:
      PolicyName: busy
      PolicyType: TargetTrackingScaling
      ScalingTargetId: !Ref Target
      TargetTrackingScalingPolicyConfiguration:
        TargetValue: 0.7
        PredefinedMetricSpecification: {PredefinedMetricType: LambdaProvisionedConcurrencyUtilization}
"""


def test_scalable_target_and_policy(virga, cfn, stack):
    scaling = virga.client("application-autoscaling")
    everything = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    cfn.create_stack(StackName=stack, TemplateBody=APP % (2, "morning"), Capabilities=everything)
    assert status(cfn, stack) == "CREATE_COMPLETE"
    ids = physical(cfn, stack)
    resource = f"function:{ids['Hello']}:live"
    assert ids["Target"] == f"{resource}|lambda:function:ProvisionedConcurrency|lambda"

    def seen():
        targets = scaling.describe_scalable_targets(ServiceNamespace="lambda", ResourceIds=[resource])["ScalableTargets"]
        actions = scaling.describe_scheduled_actions(ServiceNamespace="lambda", ResourceId=resource)["ScheduledActions"]
        policies = scaling.describe_scaling_policies(ServiceNamespace="lambda", ResourceId=resource)["ScalingPolicies"]
        return ([t["MaxCapacity"] for t in targets], [a["ScheduledActionName"] for a in actions], [p["PolicyARN"] for p in policies])

    assert seen() == ([2], ["morning"], [ids["Policy"]])
    cfn.update_stack(StackName=stack, TemplateBody=APP % (3, "noon"), Capabilities=everything)
    assert status(cfn, stack) == "UPDATE_COMPLETE"
    assert seen() == ([3], ["noon"], [ids["Policy"]])
    cfn.delete_stack(StackName=stack)
    cfn.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})
    assert seen() == ([], [], [])
