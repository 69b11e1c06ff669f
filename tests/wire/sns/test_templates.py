"""Topics, subscriptions and policies by template, and what calls a function from a topic."""

import json
import sys
import pathlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cloudformation"))

from stacks import outputs, status  # noqa: E402
from support import error_code, eventually  # noqa: E402

EVERYTHING = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]


@pytest.fixture
def cfn(virga):
    return virga.client("cloudformation")


@pytest.fixture
def stack(cfn, name):
    yield name
    cfn.delete_stack(StackName=name)


TEMPLATE = """
Parameters: {Shown: {Type: String, Default: News}}
Resources:
  Queue: {Type: AWS::SQS::Queue}
  Topic:
    Type: AWS::SNS::Topic
    Properties:
      DisplayName: !Ref Shown
      Subscription: [{Protocol: sms, Endpoint: '+4915100000009'}]
      Tags: [{Key: a, Value: b}]
  Fifo: {Type: AWS::SNS::Topic, Properties: {FifoTopic: true, ContentBasedDeduplication: true}}
  Subscription:
    Type: AWS::SNS::Subscription
    Properties:
      TopicArn: !Ref Topic
      Protocol: sqs
      Endpoint: !GetAtt Queue.Arn
      RawMessageDelivery: true
      FilterPolicy: {kind: [a]}
  Policy:
    Type: AWS::SNS::TopicPolicy
    Properties:
      Topics: [!Ref Topic]
      PolicyDocument: {Statement: [{Effect: Allow, Principal: '*', Action: 'sns:Publish', Resource: !Ref Topic}]}
Outputs:
  Topic: {Value: !Ref Topic}
  Name: {Value: !GetAtt Topic.TopicName}
  Fifo: {Value: !GetAtt Fifo.TopicArn}
  Subscription: {Value: !Ref Subscription}
"""


# A subscription is made where its topic is, whatever the stack's region; a FIFO topic's name needs its suffix.
def test_other_regions_and_names(virga, cfn, stack, name):
    far, queue = virga.client("sns", region="eu-west-1"), virga.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    topic = far.create_topic(Name=name)["TopicArn"]
    template = {"Resources": {"Far": {"Type": "AWS::SNS::Subscription", "Properties": {
        "TopicArn": topic, "Region": "eu-west-1", "Protocol": "sqs",
        "Endpoint": f"arn:aws:sqs:us-east-1:000000000000:{name}", "RawMessageDelivery": True}}}}
    cfn.create_stack(StackName=stack, TemplateBody=json.dumps(template))
    assert status(cfn, stack) == "CREATE_COMPLETE"
    there, = far.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    template["Resources"]["Far"]["Properties"]["RawMessageDelivery"] = False
    cfn.update_stack(StackName=stack, TemplateBody=json.dumps(template))
    assert status(cfn, stack) == "UPDATE_COMPLETE"
    shown = far.get_subscription_attributes(SubscriptionArn=there["SubscriptionArn"])["Attributes"]
    assert shown["RawMessageDelivery"] == "false"
    cfn.delete_stack(StackName=stack)
    eventually(lambda: far.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == [])
    bad = {"Resources": {"T": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": name, "FifoTopic": True}}}}
    cfn.create_stack(StackName=stack + "b", TemplateBody=json.dumps(bad))
    assert status(cfn, stack + "b") == "ROLLBACK_COMPLETE"
    cfn.delete_stack(StackName=stack + "b")


def test_template(virga, sns, cfn, stack):
    cfn.create_stack(StackName=stack, TemplateBody=TEMPLATE)
    assert status(cfn, stack) == "CREATE_COMPLETE"
    out = outputs(cfn, stack)
    attributes = sns.get_topic_attributes(TopicArn=out["Topic"])["Attributes"]
    assert attributes["DisplayName"] == "News" and out["Topic"].endswith(":" + out["Name"])
    assert json.loads(attributes["Policy"])["Statement"][0]["Action"] == "sns:Publish"
    assert attributes["SubscriptionsConfirmed"] == "2" and out["Fifo"].endswith(".fifo")
    shown = sns.get_subscription_attributes(SubscriptionArn=out["Subscription"])["Attributes"]
    assert shown["RawMessageDelivery"] == "true" and json.loads(shown["FilterPolicy"]) == {"kind": ["a"]}
    changed = TEMPLATE.replace("kind: [a]", "kind: [b]").replace("Default: News", "Default: Olds")
    changed = changed.replace("      Subscription: [{Protocol: sms, Endpoint: '+4915100000009'}]\n", "")
    cfn.update_stack(StackName=stack, TemplateBody=changed)
    assert status(cfn, stack) == "UPDATE_COMPLETE"
    shown = sns.get_subscription_attributes(SubscriptionArn=out["Subscription"])["Attributes"]
    assert json.loads(shown["FilterPolicy"]) == {"kind": ["b"]}
    attributes = sns.get_topic_attributes(TopicArn=out["Topic"])["Attributes"]
    assert attributes["DisplayName"] == "Olds" and attributes["SubscriptionsConfirmed"] == "1"
    cfn.delete_stack(StackName=stack)
    eventually(lambda: error_code(sns.get_topic_attributes, TopicArn=out["Topic"])[0] == "NotFound")


SERVERLESS = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Topic: {Type: AWS::SNS::Topic}
  Seen: {Type: AWS::SQS::Queue}
  Function:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      InlineCode: |
        import boto3, json, os
        def handler(event, context):
            sqs = boto3.client("sqs", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
            for record in event["Records"]:
                sqs.send_message(QueueUrl=os.environ["QUEUE"], MessageBody=json.dumps(record))
      Environment: {Variables: {QUEUE: !Ref Seen}}
      Policies: [{SQSSendMessagePolicy: {QueueName: !GetAtt Seen.QueueName}}]
      Events:
        News: {Type: SNS, Properties: {Topic: !Ref Topic, SqsSubscription: QUEUED, FilterPolicy: {kind: [a]}}}
Outputs:
  Topic: {Value: !Ref Topic}
  Seen: {Value: !Ref Seen}
"""


def test_function_of_a_topic(virga, sns, cfn, stack):
    cfn.create_stack(StackName=stack, TemplateBody=SERVERLESS.replace("QUEUED", "false"), Capabilities=EVERYTHING)
    assert status(cfn, stack) == "CREATE_COMPLETE"
    out, sqs = outputs(cfn, stack), virga.client("sqs")
    for kind in "ba":
        sns.publish(TopicArn=out["Topic"], Message=kind,
                    MessageAttributes={"kind": {"DataType": "String", "StringValue": kind}})
    got = sqs.receive_message(QueueUrl=out["Seen"], WaitTimeSeconds=20)["Messages"]
    record = json.loads(got[0]["Body"])
    assert record["EventSource"] == "aws:sns" and record["Sns"]["Message"] == "a"


def test_function_behind_a_queue_of_a_topic(virga, sns, cfn, stack):
    template = SERVERLESS.replace("QUEUED", "true")
    names = cfn.create_change_set(StackName=stack, ChangeSetName="c", ChangeSetType="CREATE", TemplateBody=template,
                                  Capabilities=EVERYTHING)
    eventually(lambda: cfn.describe_change_set(StackName=stack, ChangeSetName=names["Id"])["Status"] != "CREATE_IN_PROGRESS")
    processed = cfn.get_template(StackName=stack, ChangeSetName=names["Id"], TemplateStage="Processed")["TemplateBody"]
    made = {k: v["Type"] for k, v in processed["Resources"].items()}
    assert made["FunctionNewsQueue"] == "AWS::SQS::Queue" and made["FunctionNewsQueuePolicy"] == "AWS::SQS::QueuePolicy"
    assert made["FunctionNews"] == "AWS::SNS::Subscription"
    assert made["FunctionNewsEventSourceMapping"] == "AWS::Lambda::EventSourceMapping"
    policies = processed["Resources"]["FunctionRole"]["Properties"]["ManagedPolicyArns"]
    assert any("AWSLambdaSQSQueueExecutionRole" in str(p) for p in policies)
