"""Buses, rules and targets as things that are made, changed, listed and refused."""

import json

import pytest

from support import error_code


def test_buses(events, name):
    arn = events.create_event_bus(Name=name, Tags=[{"Key": "a", "Value": "1"}])["EventBusArn"]
    assert arn == f"arn:aws:events:us-east-1:000000000000:event-bus/{name}"
    assert error_code(events.create_event_bus, Name=name)[0] == "ResourceAlreadyExistsException"
    assert name in [b["Name"] for b in events.list_event_buses(NamePrefix=name)["EventBuses"]]
    assert "default" in [b["Name"] for b in events.list_event_buses()["EventBuses"]]
    events.tag_resource(ResourceARN=arn, Tags=[{"Key": "b", "Value": "2"}])
    events.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    events.put_rule(Name="r", EventBusName=name, EventPattern='{"source": ["x"]}')
    assert error_code(events.delete_event_bus, Name=name)[0] == "ValidationException"
    events.delete_rule(Name="r", EventBusName=name)
    events.delete_event_bus(Name=name)
    code, message = error_code(events.describe_event_bus, Name=name)
    assert code == "ResourceNotFoundException" and message == f"Event bus {name} does not exist."
    assert error_code(events.delete_event_bus, Name="default") == ("ValidationException", "Cannot delete event bus default.")


def test_rules(events, bus):
    pattern = '{"source": ["x"]}'
    arn = events.put_rule(Name="r", EventBusName=bus, EventPattern=pattern, Description="d", Tags=[{"Key": "k", "Value": "v"}])["RuleArn"]
    assert arn == f"arn:aws:events:us-east-1:000000000000:rule/{bus}/r"
    found = events.describe_rule(Name="r", EventBusName=bus)
    found.pop("ResponseMetadata")
    assert found == {"Name": "r", "Arn": arn, "EventPattern": pattern, "State": "ENABLED", "Description": "d",
                     "EventBusName": bus, "CreatedBy": "000000000000"}
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "k", "Value": "v"}]
    events.disable_rule(Name="r", EventBusName=bus)
    assert events.describe_rule(Name="r", EventBusName=bus)["State"] == "DISABLED"
    events.enable_rule(Name="r", EventBusName=bus)
    for n in range(5):
        events.put_rule(Name=f"s{n}", EventBusName=bus, EventPattern=pattern)
    pages = list(events.get_paginator("list_rules").paginate(EventBusName=bus, PaginationConfig={"PageSize": 2})) if events.can_paginate("list_rules") else [events.list_rules(EventBusName=bus)]
    assert [r["Name"] for page in pages for r in page["Rules"]] == ["r", "s0", "s1", "s2", "s3", "s4"]
    code, message = error_code(events.describe_rule, Name="no", EventBusName=bus)
    assert code == "ResourceNotFoundException" and message == f"Rule no does not exist on EventBus {bus}."
    assert error_code(events.put_rule, Name="x", EventBusName="nowhere", EventPattern=pattern)[0] == "ResourceNotFoundException"
    assert error_code(events.put_rule, Name="x") == (
        "ValidationException", "Parameter(s) EventPattern or ScheduleExpression must be specified.")
    assert error_code(events.put_rule, Name="x", ScheduleExpression="rate(1 minutes)") == (
        "ValidationException", "Parameter ScheduleExpression is not valid.")
    assert error_code(events.put_rule, Name="x", EventBusName=bus, ScheduleExpression="rate(1 minute)") == (
        "ValidationException", "ScheduleExpression is supported only on the default event bus.")
    assert error_code(events.put_rule, Name="x", EventPattern='{"a": [}')[0] == "InvalidEventPatternException"


def test_targets(events, bus, queue, route):
    target = {"Arn": queue.arn, "InputTransformer": {"InputPathsMap": {"a": "$.detail.a"}, "InputTemplate": '{"x": <a>}'},
              "DeadLetterConfig": {"Arn": queue.arn}, "RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 60}}
    route(queue.arn, **{k: v for k, v in target.items() if k != "Arn"})
    assert events.list_targets_by_rule(Rule="rule", EventBusName=bus)["Targets"] == [{"Id": "1", **target}]
    assert events.list_rule_names_by_target(TargetArn=queue.arn, EventBusName=bus)["RuleNames"] == ["rule"]
    assert error_code(events.delete_rule, Name="rule", EventBusName=bus) == (
        "ValidationException", "Rule can't be deleted since it has targets.")
    answer = events.remove_targets(Rule="rule", EventBusName=bus, Ids=["1", "2"])
    assert answer["FailedEntryCount"] == 1 and answer["FailedEntries"][0]["ErrorCode"] == "ResourceNotFoundException"
    many = [{"Id": str(n), "Arn": queue.arn} for n in range(6)]
    assert error_code(events.put_targets, Rule="rule", EventBusName=bus, Targets=many)[0] == "LimitExceededException"


@pytest.mark.parametrize("target, words", [
    ({"Arn": "nonsense"}, "Provided Arn is not in correct format."),
    ({"Arn": "arn:aws:ecs:us-east-1:000000000000:cluster/x"}, "Targets of the service ecs are not served"),
    ({"Input": "{"}, "JSON syntax error in input for target 1."),
    ({"InputPath": "detail"}, "Invalid InputPath for target 1."),
    ({"Input": "{}", "InputPath": "$.a"}, "Only one of Input, InputPath, or InputTransformer"),
    ({"InputTransformer": {"InputTemplate": "{"}}, "Invalid InputTemplate for target 1"),
    ({"InputTransformer": {"InputTemplate": '"<x>"'}}, "InputTemplate for target 1 contains invalid placeholder x."),
    ({"Arn": "arn:aws:sqs:us-east-1:000000000000:x.fifo"}, "MessageGroupId"),
    ({"Arn": "arn:aws:events:us-east-1:000000000000:api-destination/a/b"}, "RoleArn is required for target"),
])
def test_targets_refused(events, bus, queue, target, words):
    events.put_rule(Name="r", EventBusName=bus, EventPattern='{"source": ["x"]}')
    code, message = error_code(events.put_targets, Rule="r", EventBusName=bus, Targets=[{"Id": "1", "Arn": queue.arn, **target}])
    assert code == "ValidationException" and words in message


# What isn't built says so.
def test_unserved(events):
    assert error_code(events.list_event_sources) == ("NotImplemented", "EventBridge ListEventSources is not served by Virga")


# Accounts have events for each other where the bus's policy says so.
def test_permissions(events, bus):
    events.put_permission(EventBusName=bus, Action="events:PutEvents", Principal="111122223333", StatementId="s")
    policy = json.loads(events.describe_event_bus(Name=bus)["Policy"])
    assert policy == {"Version": "2012-10-17", "Statement": [{
        "Sid": "s", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "events:PutEvents",
        "Resource": f"arn:aws:events:us-east-1:000000000000:event-bus/{bus}"}]}
    assert error_code(events.remove_permission, EventBusName=bus, StatementId="t")[0] == "ResourceNotFoundException"
    events.remove_permission(EventBusName=bus, StatementId="s")
    assert "Policy" not in events.describe_event_bus(Name=bus)
    assert error_code(events.put_permission, EventBusName=bus, Policy="{")[0] == "ValidationException"


# A schedule is an event from nowhere, on time.
def test_schedule(virga, events, queue, name):
    events.put_rule(Name=name, ScheduleExpression="rate(1 minute)")
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": queue.arn}])
    event, = queue.events()
    assert event["detail-type"] == "Scheduled Event" and event["source"] == "aws.events" and event["detail"] == {}
    assert event["resources"] == [f"arn:aws:events:us-east-1:000000000000:rule/{name}"]
    events.remove_targets(Rule=name, Ids=["1"])
    events.delete_rule(Name=name)
