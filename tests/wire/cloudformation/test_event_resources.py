"""EventBridge's and Scheduler's resources in templates, and functions that events of a template call."""

import datetime
import json

from stacks import outputs, physical
from support import deployed, error_code, eventually, log_lines

TRUST = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}]}


def template(pattern):
    return {"Resources": {
        "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": {"Ref": "AWS::StackName"}, "Description": "d"}},
        "Policy": {"Type": "AWS::Events::EventBusPolicy", "Properties": {
            "EventBusName": {"Ref": "Bus"}, "StatementId": "other", "Statement": {
                "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "events:PutEvents",
                "Resource": {"Fn::GetAtt": ["Bus", "Arn"]}}}},
        "Queue": {"Type": "AWS::SQS::Queue"},
        "Open": {"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": [{"Ref": "Queue"}], "PolicyDocument": {
            "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"},
                                                    "Action": "sqs:SendMessage", "Resource": {"Fn::GetAtt": ["Queue", "Arn"]}}]}}},
        "Rule": {"Type": "AWS::Events::Rule", "Properties": {
            "EventBusName": {"Ref": "Bus"}, "EventPattern": pattern,
            "Targets": [{"Id": "q", "Arn": {"Fn::GetAtt": ["Queue", "Arn"]}, "InputPath": "$.detail"}]}},
        "Archive": {"Type": "AWS::Events::Archive", "Properties": {
            "SourceArn": {"Fn::GetAtt": ["Bus", "Arn"]}, "EventPattern": {"source": ["x"]}, "RetentionDays": 1}},
        "Connection": {"Type": "AWS::Events::Connection", "Properties": {
            "AuthorizationType": "API_KEY", "AuthParameters": {"ApiKeyAuthParameters": {"ApiKeyName": "k", "ApiKeyValue": "v"}}}},
        "Destination": {"Type": "AWS::Events::ApiDestination", "Properties": {
            "ConnectionArn": {"Fn::GetAtt": ["Connection", "Arn"]}, "HttpMethod": "POST", "InvocationEndpoint": "https://example.com/hook"}},
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}},
        "Group": {"Type": "AWS::Scheduler::ScheduleGroup", "Properties": {}},
        "Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": {
            "GroupName": {"Ref": "Group"}, "ScheduleExpression": "cron(0 8 * * ? *)", "ScheduleExpressionTimezone": "Europe/Paris",
            "FlexibleTimeWindow": {"Mode": "OFF"}, "ActionAfterCompletion": "DELETE",
            "Target": {"Arn": {"Fn::GetAtt": ["Queue", "Arn"]}, "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]}}}}},
        "Outputs": {"Queue": {"Value": {"Ref": "Queue"}}, "Rule": {"Value": {"Fn::GetAtt": ["Rule", "Arn"]}},
                    "Archive": {"Value": {"Fn::GetAtt": ["Archive", "Arn"]}}}}


def test_resources(virga, name):
    cfn, events, sqs = virga.client("cloudformation"), virga.client("events"), virga.client("sqs")
    cfn.create_stack(StackName=name, TemplateBody=json.dumps(template({"source": ["shop"]})), Capabilities=["CAPABILITY_IAM"])
    cfn.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    made, said = physical(cfn, name), outputs(cfn, name)
    assert made["Rule"].startswith(f"{name}|{name}-Rule-") and said["Rule"].startswith("arn:aws:events:us-east-1:000000000000:rule/" + name)
    assert json.loads(events.describe_event_bus(Name=name)["Policy"])["Statement"][0]["Sid"] == "other"
    assert virga.client("scheduler").get_schedule(Name=made["Schedule"], GroupName=made["Group"])["ScheduleExpressionTimezone"] == "Europe/Paris"

    def got(source):
        events.put_events(Entries=[{"EventBusName": name, "Source": source, "DetailType": "d", "Detail": '{"n": 1}'}])
        found = eventually(lambda: sqs.receive_message(QueueUrl=said["Queue"], WaitTimeSeconds=1).get("Messages"))[0]
        sqs.delete_message(QueueUrl=said["Queue"], ReceiptHandle=found["ReceiptHandle"])
        return found["Body"]

    assert got("shop") == '{"n":1}'
    changed = template({"source": ["store"]})
    for resource in ("Bus", "Rule"):
        changed["Resources"][resource]["Properties"]["Tags"] = [{"Key": "k", "Value": "v"}]
    changed["Outputs"]["Name"] = {"Value": {"Fn::GetAtt": ["Rule", "RuleName"]}}
    changed["Resources"]["Rule"]["Properties"]["Targets"] = [{"Id": "r", "Arn": {"Fn::GetAtt": ["Queue", "Arn"]}, "Input": '"new"'}]
    cfn.update_stack(StackName=name, TemplateBody=json.dumps(changed), Capabilities=["CAPABILITY_IAM"])
    cfn.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    assert got("store") == '"new"'
    assert outputs(cfn, name)["Name"] == made["Rule"].split("|")[1]
    for arn in (events.describe_event_bus(Name=name)["Arn"], said["Rule"]):
        assert {"Key": "k", "Value": "v"} in events.list_tags_for_resource(ResourceARN=arn)["Tags"]
    assert [t["Id"] for t in events.list_targets_by_rule(Rule=made["Rule"].split("|")[1], EventBusName=name)["Targets"]] == ["r"]
    cfn.delete_stack(StackName=name)
    cfn.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    assert error_code(events.describe_event_bus, Name=name)[0] == "ResourceNotFoundException"


# What a type doesn't have is no property that does nothing.
def test_unknown_properties(virga, name):
    cfn = virga.client("cloudformation")
    bad = {"Resources": {"Rule": {"Type": "AWS::Events::Rule", "Properties": {
        "ScheduleExpression": "rate(1 day)", "Enabled": True}}}}
    cfn.create_stack(StackName=name, TemplateBody=json.dumps(bad))
    failed = lambda: [e["ResourceStatusReason"] for e in cfn.describe_stack_events(StackName=name)["StackEvents"]
                      if e["ResourceStatus"] == "CREATE_FAILED"]
    assert eventually(failed)[-1] == ("Properties validation failed for resource Rule with message: "
                                      "[#: extraneous key [Enabled] is not permitted]")
    cfn.delete_stack(StackName=name)


# Rules hear of stacks: on the default bus, from CloudFormation.
def test_stack_status_events(virga, name):
    events, sqs, cfn = virga.client("events"), virga.client("sqs"), virga.client("cloudformation")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}]})})
    events.put_rule(Name=name, EventPattern=json.dumps({
        "source": ["aws.cloudformation"], "detail": {"stack-id": [{"prefix": f"arn:aws:cloudformation:us-east-1:000000000000:stack/{name}/"}]}}))
    events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": arn}])
    cfn.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": {"G": {"Type": "AWS::Logs::LogGroup"}}}))
    seen = []

    def complete():
        for m in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MaxNumberOfMessages=10).get("Messages", []):
            seen.append(json.loads(m["Body"]))
        return {(kind, status) for kind in ("Stack", "Resource") for status in ("CREATE_IN_PROGRESS", "CREATE_COMPLETE")} <= {
            (e["detail-type"].split()[1], e["detail"]["status-details"]["status"]) for e in seen}

    eventually(complete)
    made = [e["detail"] for e in seen if e["detail-type"] == "CloudFormation Resource Status Change"
            and e["detail"]["status-details"]["status"] == "CREATE_COMPLETE"]
    assert {(d["logical-resource-id"], d["resource-type"]) for d in made} == {("G", "AWS::Logs::LogGroup")}
    assert made[0]["physical-resource-id"].startswith(name)
    events.remove_targets(Rule=name, Ids=["q"])
    events.delete_rule(Name=name)


SERVERLESS = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Results:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: !Ref AWS::StackName}
  Bus:
    Type: AWS::Events::EventBus
    Properties: {Name: !Ref AWS::StackName}
  Function:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      InlineCode: |
        import boto3, json, os, time
        def handler(event, context):
            client = boto3.client("logs")
            stream = context.aws_request_id
            client.create_log_stream(logGroupName=os.environ["GROUP"], logStreamName=stream)
            client.put_log_events(logGroupName=os.environ["GROUP"], logStreamName=stream, logEvents=[
                {"timestamp": int(time.time() * 1000), "message": json.dumps(event)}])
      Environment: {Variables: {GROUP: !Ref Results}}
      Policies: [{Statement: [{Effect: Allow, Action: "logs:*", Resource: "*"}]}]
      Events:
        OnOrder:
          Type: EventBridgeRule
          Properties: {EventBusName: !Ref Bus, Pattern: {source: [shop]}, InputPath: $.detail}
        Every:
          Type: Schedule
          Properties: {Schedule: rate(1 day), Enabled: false}
        Soon:
          Type: ScheduleV2
          Properties: {ScheduleExpression: rate(1 day), Input: '{"from": "schedule"}'}
"""


# What `sam deploy` makes of a function's Events: both kinds of event arrive.
def test_function_events(virga, name):
    events, logs = virga.client("events"), virga.client("logs")
    with deployed(virga, name, SERVERLESS):
        events.put_events(Entries=[{"EventBusName": name, "Source": "shop", "DetailType": "d", "Detail": '{"from": "bus"}'}])
        eventually(lambda: {"bus", "schedule"} <= {
            json.loads(e["message"])["from"] for e in logs.filter_log_events(logGroupName=name)["events"]})


UPLOADS = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Results:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: !Ref AWS::StackName}
  Uploads:
    Type: AWS::S3::Bucket
    Properties: {BucketName: !Ref AWS::StackName}
  Function:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      InlineCode: |
        def handler(event, context):
            print("got", event["Records"][0]["s3"]["object"]["key"])
      Events:
        OnUpload:
          Type: S3
          Properties: {Bucket: !Ref Uploads, Events: "s3:ObjectCreated:*"}
Outputs:
  Function: {Value: !Ref Function}
"""


# A bucket of the template calls the function.
def test_bucket_events(virga, name):
    s3 = virga.client("s3")
    with deployed(virga, name, UPLOADS) as said:
        s3.put_object(Bucket=name, Key="hello", Body=b"x")
        eventually(lambda: "got hello" in log_lines(virga, said["Function"]))
        s3.delete_object(Bucket=name, Key="hello")


LETTERS = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Function:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      InlineCode: "def handler(event, context): pass"
      Events:
        OnOrder:
          Type: EventBridgeRule
          Properties:
            Pattern: {source: [!Ref AWS::StackName]}
            DeadLetterConfig: {Type: SQS, QueueLogicalId: Lost}
            RetryPolicy: {MaximumRetryAttempts: 0}
        Later:
          Type: ScheduleV2
          Properties:
            ScheduleExpression: rate(1 day)
            State: DISABLED
            Input: late
            DeadLetterConfig: {Type: SQS}
            RetryPolicy: {MaximumRetryAttempts: 0}
Outputs:
  Function: {Value: !Ref Function}
  Lost: {Value: !Ref Lost}
  Late: {Value: !Ref FunctionLaterQueue}
"""


# Queues for what could not be delivered are made with the events that ask for them, and may be sent to.
def test_dead_letters_of_events(virga, name):
    cfn, sqs, schedules = virga.client("cloudformation"), virga.client("sqs"), virga.client("scheduler")
    with deployed(virga, name, LETTERS) as said:
        virga.client("lambda").delete_function(FunctionName=said["Function"])
        virga.client("events").put_events(Entries=[{"Source": name, "DetailType": "d", "Detail": '{"n": 1}'}])
        schedule = schedules.get_schedule(Name=physical(cfn, name)["FunctionLater"])
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
        schedules.update_schedule(State="ENABLED", ScheduleExpression=f"at({soon:%Y-%m-%dT%H:%M:%S})", **{
            key: schedule[key] for key in ("Name", "FlexibleTimeWindow", "Target")})

        def letter(queue):
            return eventually(lambda: sqs.receive_message(QueueUrl=said[queue], WaitTimeSeconds=1).get("Messages"))[0]["Body"]

        assert json.loads(letter("Lost"))["detail"] == {"n": 1}
        assert letter("Late") == "late"
