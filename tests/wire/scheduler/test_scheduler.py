"""Schedules invoke their targets when they say, as their roles; groups, refusals and lists."""

import datetime
import json
import urllib.request

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from support import error_code, eventually

OFF = {"Mode": "OFF"}


def soon(seconds=2):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).strftime("at(%Y-%m-%dT%H:%M:%S)")


def gone(client, get, **options):
    """Waits until what `get` gives is not there any more."""

    def not_found():
        try:
            get(**options)
        except client.exceptions.ResourceNotFoundException:
            return True
        return False

    eventually(not_found)


def create_new(virga, name, **body):
    """CreateSchedule with members that Debian's boto3 doesn't know yet."""
    request = botocore.awsrequest.AWSRequest("POST", f"{virga.url}/schedules/{name}", data=json.dumps(body), headers={"Content-Type": "application/json"})
    botocore.auth.SigV4Auth(botocore.credentials.Credentials("test", "test"), "scheduler", "us-east-1").add_auth(request)
    with urllib.request.urlopen(urllib.request.Request(request.url, data=request.data.encode(), headers=dict(request.headers), method="POST")) as answer:
        return json.load(answer)


# What Scheduler sends when the schedule says nothing of an input; a one-time schedule that is to go afterwards does.
def test_once_to_a_queue(virga, scheduler, queue, role, name):
    arn = create_new(virga, name, ScheduleExpression=soon(), FlexibleTimeWindow=OFF, ActionAfterCompletion="DELETE",
                     Target={"Arn": queue.arn, "RoleArn": role})["ScheduleArn"]
    assert arn == f"arn:aws:scheduler:us-east-1:000000000000:schedule/default/{name}"
    body = json.loads(queue.message()["Body"])
    assert body["source"] == "aws.scheduler" and body["detail-type"] == "Scheduled Event" and body["detail"] == "{}"
    assert body["resources"] == [arn] and body["account"] == "000000000000"
    gone(scheduler, scheduler.get_schedule, Name=name)


# A rate begins at once, and goes on.
def test_rate_begins_at_once(scheduler, queue, role, name):
    scheduler.create_schedule(Name=name, ScheduleExpression="rate(1 minute)", FlexibleTimeWindow=OFF, Target={
        "Arn": queue.arn, "RoleArn": role, "Input": '{"at": "<aws.scheduler.scheduled-time>", "arn": "<aws.scheduler.schedule-arn>"}'})
    body = json.loads(queue.message()["Body"])
    assert body["arn"].endswith(f"schedule/default/{name}") and body["at"].endswith("Z")
    scheduler.delete_schedule(Name=name)


# Any operation that is served, by its name in the SDKs, with binary members as text.
def test_universal_targets(virga, scheduler, queue, role, name):
    scheduler.create_schedule(Name=name, ScheduleExpression=soon(1), FlexibleTimeWindow=OFF, Target={
        "Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage", "RoleArn": role,
        "Input": json.dumps({"QueueUrl": queue.url, "MessageBody": "by hand"})})
    assert queue.message()["Body"] == "by hand"
    table = virga.client("dynamodb")
    table.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
                       AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}])
    scheduler.create_schedule(Name=name + "-2", ScheduleExpression=soon(1), FlexibleTimeWindow=OFF, Target={
        "Arn": "arn:aws:scheduler:::aws-sdk:dynamodb:putItem", "RoleArn": role,
        "Input": json.dumps({"TableName": name, "Item": {"k": {"S": "x"}, "n": {"N": "5"}}})})
    item = eventually(lambda: table.get_item(TableName=name, Key={"k": {"S": "x"}}).get("Item"))
    assert item["n"] == {"N": "5"}


def test_event_bus_target(virga, scheduler, queue, role, name):
    events = virga.client("events")
    bus = events.create_event_bus(Name=name)["EventBusArn"]
    events.put_rule(Name="r", EventBusName=name, EventPattern='{"source": ["my.app"], "detail": {"n": [1]}}')
    virga.client("sqs").set_queue_attributes(QueueUrl=queue.url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": queue.arn}]})})
    events.put_targets(Rule="r", EventBusName=name, Targets=[{"Id": "1", "Arn": queue.arn}])
    scheduler.create_schedule(Name=name, ScheduleExpression=soon(1), FlexibleTimeWindow=OFF, Target={
        "Arn": bus, "RoleArn": role, "Input": '{"n": 1}', "EventBridgeParameters": {"DetailType": "Tick", "Source": "my.app"}})
    event = json.loads(queue.message()["Body"])
    assert event["detail-type"] == "Tick" and event["resources"][0].endswith(f"schedule/default/{name}")


# The role is really used: without the permission the invocation ends as a dead letter that says so.
def test_dead_letter_without_permission(virga, scheduler, queue, name):
    iam = virga.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}]}))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue.arn}]}))
    arn = scheduler.create_schedule(Name=name, ScheduleExpression=soon(1), FlexibleTimeWindow=OFF, Target={
        "Arn": "arn:aws:scheduler:::aws-sdk:dynamodb:deleteTable", "RoleArn": role, "Input": '{"TableName": "t-none"}',
        "DeadLetterConfig": {"Arn": queue.arn}})["ScheduleArn"]
    message = queue.message()
    attributes = {k: v["StringValue"] for k, v in message["MessageAttributes"].items()}
    assert attributes["SCHEDULE_ARN"] == arn and attributes["ERROR_CODE"] == "AccessDeniedException"
    assert attributes["TARGET_ARN"].endswith("deleteTable") and json.loads(message["Body"]) == {"TableName": "t-none"}


def test_what_is_said_is_kept(scheduler, queue, role, name):
    scheduler.create_schedule_group(Name=name, Tags=[{"Key": "a", "Value": "b"}])
    given = dict(Name=name, GroupName=name, ScheduleExpression="cron(30 8 ? * MON-FRI *)", ScheduleExpressionTimezone="Europe/Berlin",
                 FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}, Description="d", State="DISABLED",
                 Target={"Arn": queue.arn, "RoleArn": role, "Input": "{}", "RetryPolicy": {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 1}})
    arn = scheduler.create_schedule(**given)["ScheduleArn"]
    found = scheduler.get_schedule(Name=name, GroupName=name)
    assert {k: found[k] for k in given} == given and found["Arn"] == arn
    assert error_code(scheduler.create_schedule, **given)[0] == "ConflictException"
    scheduler.update_schedule(**{**given, "State": "ENABLED", "ScheduleExpression": "rate(2 hours)"})
    assert scheduler.get_schedule(Name=name, GroupName=name)["ScheduleExpression"] == "rate(2 hours)"
    listed = scheduler.list_schedules(GroupName=name)["Schedules"]
    assert [(s["Name"], s["State"], s["Target"]["Arn"]) for s in listed] == [(name, "ENABLED", queue.arn)]
    group = f"arn:aws:scheduler:us-east-1:000000000000:schedule-group/{name}"
    assert scheduler.list_tags_for_resource(ResourceArn=group)["Tags"] == [{"Key": "a", "Value": "b"}]
    assert name in [g["Name"] for g in scheduler.list_schedule_groups(NamePrefix=name)["ScheduleGroups"]]
    scheduler.delete_schedule_group(Name=name)
    gone(scheduler, scheduler.get_schedule_group, Name=name)
    assert error_code(scheduler.get_schedule, Name=name, GroupName=name)[0] == "ResourceNotFoundException"


@pytest.mark.parametrize("wrong, words", [
    ({"ScheduleExpression": "cron(0 10 * * * *)"}, "Invalid Schedule Expression"),
    ({"ScheduleExpressionTimezone": "Mars/Olympus"}, "Invalid ScheduleExpressionTimezone"),
    ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "MaximumWindowInMinutes must be provided"),
    ({"Target": {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:dance"}}, "is not served"),
    ({"Target": {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:getQueueUrl"}}, "getQueueUrl is not a supported api for service sqs"),
    ({"Target": {"Arn": "arn:aws:ecs:us-east-1:000000000000:cluster/x"}}, "Targets of the service ecs are not served"),
    ({"Target": {"RoleArn": "arn:aws:iam::000000000000:role/none"}}, "must allow AWS EventBridge Scheduler to assume the role"),
    ({"GroupName": "nowhere"}, "Schedule group nowhere does not exist."),
])
def test_refusals(scheduler, queue, role, name, wrong, words):
    given = dict(Name=name, ScheduleExpression="rate(1 hour)", FlexibleTimeWindow=OFF, Target={"Arn": queue.arn, "RoleArn": role})
    target = {**given["Target"], **wrong.get("Target", {})}
    code, message = error_code(scheduler.create_schedule, **{**given, **wrong, "Target": target})
    assert code in ("ValidationException", "ResourceNotFoundException") and words in message
