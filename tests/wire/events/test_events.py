"""Events put on a bus reach the targets of the rules they match, in the form the targets asked for."""

import datetime
import json

import pytest

from support import error_code, eventually


# The whole envelope, as consumers parse it.
def test_an_event_reaches_a_queue(events, bus, queue, route, put):
    route(queue.arn, {"source": ["shop"], "detail": {"total": [{"numeric": [">", 10]}]}})
    put({"total": 5})
    id = put({"total": 11, "note": "a  b"}, Resources=["arn:a"], Time=datetime.datetime(2026, 5, 1, 12, 0, 0, tzinfo=datetime.timezone.utc))
    event, = queue.events()
    assert event == {"version": "0", "id": id, "detail-type": "Order", "source": "shop", "account": "000000000000",
                     "time": "2026-05-01T12:00:00Z", "region": "us-east-1", "resources": ["arn:a"],
                     "detail": {"total": 11, "note": "a  b"}}


# Entries stand for themselves: a bad one doesn't take the others with it.
def test_entries_fail_alone(events, bus, queue, route):
    route(queue.arn)
    good = {"EventBusName": bus, "Source": "shop", "DetailType": "Order", "Detail": "{}"}
    answer = events.put_events(Entries=[
        good, {**good, "Detail": "{"}, {**good, "Detail": "[]"}, {**good, "Source": "aws.s3"},
        {k: v for k, v in good.items() if k != "Source"}, {k: v for k, v in good.items() if k != "DetailType"},
        {k: v for k, v in good.items() if k != "Detail"}, {**good, "EventBusName": "nowhere"}])
    assert answer["FailedEntryCount"] == 6
    assert [e.get("ErrorCode") for e in answer["Entries"]] == [
        None, "MalformedDetail", "MalformedDetail", "NotAuthorizedForSourceException", "InvalidArgument",
        "InvalidArgument", "InvalidArgument", None]
    assert answer["Entries"][4]["ErrorMessage"] == "Parameter Source is not valid. Reason: Source is a required argument."
    assert len(queue.events()) == 1


def test_requests_have_a_size(events, bus):
    entry = {"EventBusName": bus, "Source": "shop", "DetailType": "Order", "Detail": json.dumps({"x": "y" * 600_000})}
    code, message = error_code(events.put_events, Entries=[entry, entry])
    assert code == "ValidationException" and message == "Total size of the entries in the request is over the limit."
    assert error_code(events.put_events, Entries=[{}] * 11)[0] == "ValidationException"


@pytest.mark.parametrize("options, body", [
    ({"Input": '{"fixed": true}'}, '{"fixed": true}'),
    ({"InputPath": "$.detail.items[1]"}, '{"n":2}'),
    ({"InputPath": "$.detail.name"}, '"Ann"'),
    ({"InputTransformer": {"InputPathsMap": {"name": "$.detail.name", "item": "$.detail.items[0]"},
                           "InputTemplate": '{"who": <name>, "what": <item>, "text": "by <name>"}'}},
     '{"who": "Ann", "what": {"n":1}, "text": "by Ann"}'),
    ({"InputTransformer": {"InputPathsMap": {"name": "$.detail.name"}, "InputTemplate": '"order of <name> through <aws.events.rule-name>"'}},
     '"order of Ann through rule"'),
])
def test_inputs(queue, route, put, options, body):
    route(queue.arn, **options)
    put({"name": "Ann", "items": [{"n": 1}, {"n": 2}]})
    assert queue.bodies() == [body]


def test_a_function_is_called(virga, functions, events, bus, queue, route, put):
    role = functions.make_role([{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue.arn}])
    code = """
import boto3, json, os
def handler(event, context):
    boto3.client("sqs").send_message(QueueUrl=os.environ["URL"], MessageBody=json.dumps(event))
"""
    function = functions.make(code, Role=role, Environment={"Variables": {"URL": queue.url}})
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{function}"
    rule = route(arn, RetryPolicy={"MaximumRetryAttempts": 0})
    put({"n": 0})  # not permitted yet
    virga.client("lambda").add_permission(FunctionName=function, StatementId="e", Action="lambda:InvokeFunction",
                                          Principal="events.amazonaws.com", SourceArn=rule)
    id = put({"n": 1})
    event, = queue.events()
    assert event["id"] == id and event["detail"] == {"n": 1}


# What could not be delivered says why, in the attributes that AWS gives it.
def test_dead_letters(virga, bus, queue, route, put, name):
    rule = route("arn:aws:sqs:us-east-1:000000000000:gone-" + name, DeadLetterConfig={"Arn": queue.arn}, Input='"x"')
    id = put({"n": 1})
    message, = queue.messages()
    attributes = {k: v["StringValue"] for k, v in message["MessageAttributes"].items()}
    assert json.loads(message["Body"])["id"] == id
    assert attributes["RULE_ARN"] == rule and attributes["TARGET_ARN"].endswith("gone-" + name)
    assert attributes["ERROR_CODE"] == "NO_PERMISSIONS" and attributes["ERROR_MESSAGE"] and attributes["RETRY_ATTEMPTS"] == "0"


# A short template may ask for a large value many times: the others get the event all the same.
def test_an_input_too_large(events, bus, queue, route, put, name):
    route("arn:aws:lambda:us-east-1:000000000000:function:none", DeadLetterConfig={"Arn": queue.arn},
          InputTransformer={"InputPathsMap": {"a": "$.detail.a"}, "InputTemplate": '"' + "<a>" * 2000 + '"'})
    events.put_targets(Rule="rule", EventBusName=bus, Targets=[{"Id": "2", "Arn": queue.arn, "InputPath": "$.detail-type"}])
    id = put({"a": "x" * 200_000})
    messages = {m["Body"][:7]: m for m in queue.messages(2)}
    assert '"Order"' in messages
    letter, = (m for body, m in messages.items() if body != '"Order"')
    assert json.loads(letter["Body"])["id"] == id
    assert "larger than 1 MB" in letter["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"]


def test_from_bus_to_bus(events, bus, queue, route, put, name):
    second = name + "-2"
    arn = events.create_event_bus(Name=second)["EventBusArn"]
    route(arn)
    events.put_rule(Name="far", EventBusName=second, EventPattern='{"detail": {"n": [1]}}')
    events.put_targets(Rule="far", EventBusName=second, Targets=[{"Id": "q", "Arn": queue.arn}])
    id = put({"n": 1})
    event, = queue.events()
    assert event["id"] == id and event["account"] == "000000000000"


# Two buses that feed each other don't do so for ever.
def test_a_circle_ends(events, bus, queue, route, put):
    arn = events.describe_event_bus(Name=bus)["Arn"]
    route(arn)
    events.put_rule(Name="seen", EventBusName=bus, EventPattern='{"source": ["shop"]}')
    events.put_targets(Rule="seen", EventBusName=bus, Targets=[{"Id": "q", "Arn": queue.arn}])
    put()
    assert len(queue.events(11)) == 11


def test_archive_and_replay(events, bus, queue, route, put, name):
    arn = events.describe_event_bus(Name=bus)["Arn"]
    archive = events.create_archive(ArchiveName=name, EventSourceArn=arn, EventPattern='{"detail": {"keep": [true]}}')
    begin = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=5)
    kept = [put({"keep": True, "n": n}) for n in range(3)]
    put({"keep": False})
    assert events.describe_archive(ArchiveName=name)["EventCount"] == 3
    rule = route(queue.arn)
    events.put_rule(Name="other", EventBusName=bus, EventPattern='{"source": ["shop"]}')
    events.put_targets(Rule="other", EventBusName=bus, Targets=[{"Id": "q", "Arn": queue.arn, "Input": '"wrong"'}])
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=5)
    started = events.start_replay(ReplayName=name, EventSourceArn=archive["ArchiveArn"], EventStartTime=begin,
                                  EventEndTime=end, Destination={"Arn": arn, "FilterArns": [rule]})
    assert started["State"] == "STARTING"
    found = queue.events(3)
    assert [e["id"] for e in sorted(found, key=lambda e: e["detail"]["n"])] == kept
    assert {e["replay-name"] for e in found} == {name}
    eventually(lambda: events.describe_replay(ReplayName=name)["State"] == "COMPLETED")
    assert events.describe_archive(ArchiveName=name)["EventCount"] == 3  # what is replayed is not archived again
    assert error_code(events.cancel_replay, ReplayName=name)[0] == "IllegalStatusException"


EVENT = {"id": "1", "account": "1", "source": "s", "time": "2026-01-01T00:00:00Z", "region": "r", "detail-type": "d",
         "resources": [], "detail": {"n": 5}}


def test_patterns_are_tested(events):
    def test(pattern):
        return events.test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps(EVENT))["Result"]
    assert test({"detail": {"n": [{"numeric": ["=", 5]}]}}) is True
    assert test({"detail": {"n": [6]}}) is False
    code, message = error_code(events.test_event_pattern, EventPattern='{"source": "s"}', Event=json.dumps(EVENT))
    assert code == "InvalidEventPatternException"
    assert message == 'Event pattern is not valid. Reason: "source" must be an object or an array\n at [Source: (String)"{"source": "s"}"; line: 1, column: 13]'
    assert error_code(events.test_event_pattern, EventPattern='{"source": ["s"]}', Event="{}")[0] == "ValidationException"


# A function with the role of nobody in particular may not put events; with permission it may.
def test_permission_to_put(virga, functions, bus):
    iam = virga.client("iam")
    user = "u-" + bus
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    client = virga.client("events", key["AccessKeyId"], key["SecretAccessKey"])
    entry = {"EventBusName": bus, "Source": "shop", "DetailType": "Order", "Detail": "{}"}
    assert error_code(client.put_events, Entries=[entry])[0] == "AccessDeniedException"
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*",
                                                "Condition": {"StringEquals": {"events:source": "shop"}}}]}))
    assert client.put_events(Entries=[entry])["FailedEntryCount"] == 0
    assert error_code(client.put_events, Entries=[{**entry, "Source": "other"}])[0] == "AccessDeniedException"


# A bus's policy opens it to whom it names.
def test_bus_policy(virga, events, bus):
    iam = virga.client("iam")
    user = iam.create_user(UserName="v-" + bus)["User"]
    key = iam.create_access_key(UserName="v-" + bus)["AccessKey"]
    client = virga.client("events", key["AccessKeyId"], key["SecretAccessKey"])
    arn = events.describe_event_bus(Name=bus)["Arn"]
    entry = {"EventBusName": arn, "Source": "shop", "DetailType": "Order", "Detail": "{}"}
    assert error_code(client.put_events, Entries=[entry])[0] == "AccessDeniedException"
    events.put_permission(EventBusName=bus, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Sid": "u", "Effect": "Allow", "Principal": {"AWS": user["Arn"]}, "Action": "events:PutEvents", "Resource": arn}]}))
    assert client.put_events(Entries=[entry])["FailedEntryCount"] == 0
    assert error_code(client.list_rules, EventBusName=bus)[0] == "AccessDeniedException"


def test_a_large_event_to_many_targets(own_virga):
    """All get it, and what is in memory meanwhile is not a copy for each."""
    events, sqs = own_virga.client("events"), own_virga.client("sqs")
    urls = []
    for rule in range(12):
        events.put_rule(Name=f"r{rule}", EventPattern='{"source": ["large"]}')
        arns = [f"arn:aws:sqs:us-east-1:000000000000:q{rule}-{n}" for n in range(5)]
        for arn in arns:
            urls.append(sqs.create_queue(QueueName=arn.rsplit(":", 1)[1], Attributes={"Policy": json.dumps({
                "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"},
                                                        "Action": "sqs:SendMessage", "Resource": arn}]})})["QueueUrl"])
        events.put_targets(Rule=f"r{rule}", Targets=[{"Id": str(n), "Arn": arn} for n, arn in enumerate(arns)])

    def memory(what):
        with open(f"/proc/{own_virga.process.pid}/status", encoding="ascii") as status:
            return int(next(line for line in status if line.startswith(what)).split()[1]) / 1024

    before = memory("VmRSS")
    with open(f"/proc/{own_virga.process.pid}/clear_refs", "w", encoding="ascii") as refs:
        refs.write("5")  # the most from here on
    detail = json.dumps({"x": "x" * 900_000})
    assert events.put_events(Entries=[{"Source": "large", "DetailType": "d", "Detail": detail}])["FailedEntryCount"] == 0
    for url in urls:
        message, = eventually(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages"))
        assert json.loads(message["Body"])["detail"] == json.loads(detail)
    assert memory("VmHWM") - before < 150
