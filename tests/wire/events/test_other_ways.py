"""Ways to and from a bus beside PutEvents and queues: log groups, results of functions, the command line."""

import json

from support import eventually


def let_events_write(virga, arn, **policy):
    virga.client("logs").put_resource_policy(policyDocument=json.dumps({"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Principal": {"Service": ["events.amazonaws.com", "delivery.logs.amazonaws.com"]},
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": arn + ":*"}}), **policy)


# A group's stream is named after the rule; templates may say the time and the message.
def test_to_a_log_group(virga, events, bus, name, put):
    logs = virga.client("logs")
    logs.create_log_group(logGroupName="/aws/events/" + name)
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:/aws/events/{name}"
    let_events_write(virga, arn, policyName=name)
    events.put_rule(Name="r", EventBusName=bus, EventPattern='{"source": ["shop"]}')
    events.put_targets(Rule="r", EventBusName=bus, Targets=[
        {"Id": "whole", "Arn": arn}, {"Id": "part", "Arn": arn + ":*", "InputTransformer": {
            "InputPathsMap": {"time": "$.time", "n": "$.detail.n"}, "InputTemplate": '{"timestamp": <time>, "message": <n>}'}}])
    id = put({"n": 7})
    found = eventually(lambda: (e := logs.filter_log_events(logGroupName="/aws/events/" + name)["events"]) and len(e) == 2 and e)
    messages = sorted(e["message"] for e in found)
    assert messages[0] == "7" and json.loads(messages[1])["id"] == id
    logs.delete_resource_policy(policyName=name)


# A log group takes events only of services that a resource policy names; an event that it doesn't take is a dead letter.
def test_to_a_log_group_that_does_not_let(virga, events, bus, name, put, queue):
    logs = virga.client("logs")
    logs.create_log_group(logGroupName=name)
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{name}"
    events.put_rule(Name="r", EventBusName=bus, EventPattern='{"source": ["shop"]}')
    events.put_targets(Rule="r", EventBusName=bus, Targets=[{"Id": "1", "Arn": arn, "DeadLetterConfig": {"Arn": queue.arn}}])
    let_events_write(virga, arn + "-other", policyName=name)
    id = put({"n": 1})
    letter, = queue.messages()
    assert json.loads(letter["Body"])["id"] == id
    assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"
    assert "logs:CreateLogStream" in letter["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"]
    let_events_write(virga, arn, policyName=name)
    put({"n": 2})
    assert eventually(lambda: logs.filter_log_events(logGroupName=name)["events"])
    logs.delete_resource_policy(policyName=name)


# What a function made of an asynchronous call, on the bus that its destination names.
def test_results_of_functions(virga, functions, events, bus, queue, route):
    arn = events.describe_event_bus(Name=bus)["Arn"]
    role = functions.make_role([{"Effect": "Allow", "Action": "events:PutEvents", "Resource": arn}])
    function = functions.make("def handler(event, context): return event['n'] + 1", Role=role)
    route(queue.arn, {"source": ["lambda"], "detail-type": ["Lambda Function Invocation Result - Success"]})
    client = virga.client("lambda")
    client.put_function_event_invoke_config(FunctionName=function, DestinationConfig={"OnSuccess": {"Destination": arn}})
    client.invoke(FunctionName=function, InvocationType="Event", Payload='{"n": 1}')
    event, = queue.events()
    assert event["detail"]["responsePayload"] == 2 and arn in event["resources"]


# As people type it.
def test_command_line(virga, events, bus, queue, route):
    route(queue.arn)
    entry = {"EventBusName": bus, "Source": "shop", "DetailType": "Order", "Detail": '{"n": 1}'}
    answer = json.loads(virga.cli("events", "put-events", "--entries", json.dumps([entry])).stdout)
    assert answer["FailedEntryCount"] == 0
    assert queue.events()[0]["detail"] == {"n": 1}
    rules = json.loads(virga.cli("events", "list-rules", "--event-bus-name", bus).stdout)["Rules"]
    assert [r["Name"] for r in rules] == ["rule"]
    done = virga.cli("events", "put-rule", "--name", "x", "--event-pattern", '{"source": "y"}', check=False)
    assert done.returncode != 0 and "InvalidEventPatternException" in done.stderr


def test_to_a_topic(virga, events, bus, queue, route, put, name):
    sns = virga.client("sns")
    topic = sns.create_topic(Name=name)["TopicArn"]
    virga.client("sqs").set_queue_attributes(QueueUrl=queue.url, Attributes={"Policy": json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
                                                "Action": "sqs:SendMessage", "Resource": queue.arn}]})})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes={"RawMessageDelivery": "true"})
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"},
                                                "Action": "sns:Publish", "Resource": topic}]}))
    route(topic)
    id = put({"n": 1})
    event, = queue.events()
    assert event["id"] == id
