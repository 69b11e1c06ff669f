"""Asynchronous invocation: its configuration, and what becomes of events that succeed, fail, loop or can't run."""

import json
import time

import pytest
from support import error_code, eventually, log_lines

ECHO = "def handler(event, context):\n    return event"
FAILS = "def handler(event, context):\n    raise ValueError('not today')"
PRINTS = "import json\ndef handler(event, context):\n    print('got ' + json.dumps(event))"


def records(server, function):
    """What a function that prints its events was given."""
    return [json.loads(line[4:]) for line in log_lines(server, function) if line.startswith("got ")]


@pytest.fixture
def bucket(virga, name):
    s3 = virga.client("s3")
    s3.create_bucket(Bucket=name)
    yield name
    for object in s3.list_objects_v2(Bucket=name).get("Contents", []):
        s3.delete_object(Bucket=name, Key=object["Key"])
    s3.delete_bucket(Bucket=name)


def in_bucket(virga, bucket):
    s3 = virga.client("s3")
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return {key: json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys}


def send(functions, name, payload=b"{}", **options):
    answer = functions.client.invoke(FunctionName=name, InvocationType="Event", Payload=payload, **options)
    assert answer["StatusCode"] == 202
    return answer["ResponseMetadata"]["RequestId"]


ANYTHING = [{"Effect": "Allow", "Action": ["lambda:*", "s3:*"], "Resource": "*"}]


# Put replaces, update changes what it names, get and delete need one; each qualifier has its own.
def test_configuration(functions):
    client = functions.client
    name = functions.make(ECHO, Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    arn = client.get_function_configuration(FunctionName=name)["FunctionArn"]
    assert error_code(client.get_function_event_invoke_config, FunctionName=name) == (
        "ResourceNotFoundException", f"The function {arn}:$LATEST doesn't have an EventInvokeConfig")
    assert error_code(client.update_function_event_invoke_config, FunctionName=name, MaximumRetryAttempts=1)[0] == "ResourceNotFoundException"
    assert error_code(client.put_function_event_invoke_config, FunctionName=name) == (
        "InvalidParameterValueException", "You must specify at least one of error handling or destination setting.")
    put = client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1, MaximumEventAgeInSeconds=90)
    assert put["FunctionArn"] == arn + ":$LATEST"
    assert put["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {}}
    client.update_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    got = client.get_function_event_invoke_config(FunctionName=name)
    assert (got["MaximumRetryAttempts"], got["MaximumEventAgeInSeconds"]) == (0, 90)
    client.put_function_event_invoke_config(FunctionName=name, Qualifier="live", MaximumRetryAttempts=2)
    client.put_function_event_invoke_config(FunctionName=name + ":1", MaximumRetryAttempts=2)
    client.put_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=60)
    assert "MaximumRetryAttempts" not in client.get_function_event_invoke_config(FunctionName=name)
    pages = client.get_paginator("list_function_event_invoke_configs").paginate(FunctionName=name, PaginationConfig={"PageSize": 2})
    listed = [c["FunctionArn"] for page in pages for c in page["FunctionEventInvokeConfigs"]]
    assert listed == [arn + ":$LATEST", arn + ":1", arn + ":live"]
    client.delete_function_event_invoke_config(FunctionName=name, Qualifier="live")
    assert error_code(client.delete_function_event_invoke_config, FunctionName=name, Qualifier="live")[0] == "ResourceNotFoundException"
    client.delete_alias(FunctionName=name, Name="live")
    assert error_code(client.put_function_event_invoke_config, FunctionName=name, Qualifier="live", MaximumRetryAttempts=1)[0] == "ResourceNotFoundException"


# A destination must be of a kind that there is, not the function itself, and one that the role may send to.
def test_destinations_are_checked(functions):
    client = functions.client
    name, other = functions.make(ECHO), functions.make(ECHO)
    arn = client.get_function_configuration(FunctionName=name)["FunctionArn"]
    other_arn = client.get_function_configuration(FunctionName=other)["FunctionArn"]

    def refusal(**config):
        code, message = error_code(client.put_function_event_invoke_config, FunctionName=name, DestinationConfig=config)
        assert code == "InvalidParameterValueException"
        return message

    assert refusal(OnSuccess={"Destination": arn}) == "You can't specify the function as a destination for itself."
    assert refusal(OnSuccess={"Destination": "arn:aws:s3:::b"}).endswith(" is invalid.")
    assert refusal(OnFailure={"Destination": other_arn}) == (
        f"The function's execution role does not have permissions to call InvokeFunction on {other_arn}")
    assert "kinesis" in refusal(OnFailure={"Destination": "arn:aws:kinesis:us-east-1:000000000000:stream/s"})


# A success goes to the function that is its destination, with the request and the answer in the record.
def test_success(virga, functions):
    role = functions.make_role(ANYTHING)
    name, sink = functions.make(ECHO, Role=role), functions.make(PRINTS)
    arn = functions.client.get_function_configuration(FunctionName=sink)["FunctionArn"]
    functions.client.put_function_event_invoke_config(FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": arn}})
    request = send(functions, name, b'{"n": [1, "two"]}')
    record = eventually(lambda: records(virga, sink))[0]
    assert record["version"] == "1.0"
    assert record["requestContext"] == {
        "requestId": request, "functionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}:$LATEST",
        "condition": "Success", "approximateInvokeCount": 1}
    assert record["requestPayload"] == record["responsePayload"] == {"n": [1, "two"]}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}


# A failure goes to the bucket that is its destination once the retries are used up.
def test_failure(virga, functions, bucket):
    name = functions.make(FAILS, Role=functions.make_role(ANYTHING))
    functions.client.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"}})
    request = send(functions, name, b'{"n": 1}')
    (key, record), = eventually(lambda: in_bucket(virga, bucket)).items()
    assert key.startswith(f"aws/lambda/async/{name}/")
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["requestId"] == request
    assert record["responseContext"]["functionError"] == "Unhandled"
    assert record["responsePayload"]["errorMessage"] == "not today"


# An event that would be too old by its retry fails at once; one for a function that is switched off isn't tried.
def test_age_and_zero_concurrency(virga, functions, bucket):
    name = functions.make(FAILS, Role=functions.make_role(ANYTHING))
    functions.client.put_function_event_invoke_config(
        FunctionName=name, MaximumEventAgeInSeconds=60, DestinationConfig={"OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"}})
    send(functions, name)
    context = list(eventually(lambda: in_bucket(virga, bucket)).values())[0]["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("EventAgeExceeded", 1)
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    send(functions, name)
    found = eventually(lambda: len(in_bucket(virga, bucket)) == 2 and in_bucket(virga, bucket))
    contexts = [r["requestContext"] for r in found.values()]
    assert ("ZeroReservedConcurrency", 0) in [(c["condition"], c["approximateInvokeCount"]) for c in contexts]


# A throttled event waits in the queue until there is room.
def test_throttled_events_run_later(virga, functions):
    name = functions.make("import time\ndef handler(event, context):\n    time.sleep(0.4)\n    print('did', event['n'])")
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    for n in range(3):
        send(functions, name, b'{"n": %d}' % n)
    eventually(lambda: {f"did {n}" for n in range(3)} <= set(log_lines(virga, name)))


# Functions that hang don't keep others from their events.
def test_slow_functions_do_not_delay_others(virga, functions):
    slow = [functions.make("import time\ndef handler(event, context):\n    time.sleep(6)") for _ in range(2)]
    quick = functions.make("def handler(event, context):\n    print('did', event['n'])")
    functions.call(quick, {"n": "warm"})
    for name in slow:
        functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=5)
        for _ in range(60):
            send(functions, name)
    for n in range(10):
        send(functions, quick, b'{"n": %d}' % n)
    eventually(lambda: {f"did {n}" for n in range(10)} <= set(log_lines(virga, quick)))


# A function that calls itself is stopped after sixteen runs for one event; unless it may.
@pytest.mark.parametrize("kind", ["Event", "RequestResponse"])
def test_a_loop_is_stopped(virga, functions, kind):
    code = f"""import boto3, json
def handler(event, context):
    print('run', event['n'])
    client = boto3.client('lambda')
    if event['n'] < 25:
        answer = client.invoke(FunctionName=context.function_name, InvocationType='{kind}', Payload=json.dumps({{'n': event['n'] + 1}}))
"""
    name = functions.make(code, Role=functions.make_role(ANYTHING), Timeout=60, MemorySize=256)
    send(functions, name, b'{"n": 1}')
    eventually(lambda: "run 16" in log_lines(virga, name))
    time.sleep(0.5)
    assert "run 17" not in log_lines(virga, name)
    if kind == "RequestResponse":
        assert any("RecursiveInvocationException" in line for line in log_lines(virga, name))


def test_dead_letter_config_is_checked(functions):
    client = functions.client
    name = functions.make(ECHO)
    assert error_code(client.update_function_configuration, FunctionName=name,
                      DeadLetterConfig={"TargetArn": "arn:aws:s3:::bucket"})[0] == "InvalidParameterValueException"


@pytest.fixture
def queue(virga, name):
    """A queue's URL and ARN."""
    sqs = virga.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    yield url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.delete_queue(QueueUrl=url)


def receive(virga, url):
    """One message, waited for."""
    sqs = virga.client("sqs")
    return eventually(lambda: sqs.receive_message(
        QueueUrl=url, WaitTimeSeconds=20, MessageAttributeNames=["All"], AttributeNames=["All"]).get("Messages"))[0]


SENDS = [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}]


# The dead-letter queue gets the event itself, and what happened in attributes. Its permission is asked for beforehand.
def test_dead_letter_queue(virga, functions, queue):
    url, arn = queue
    assert error_code(functions.make, FAILS, DeadLetterConfig={"TargetArn": arn}) == (
        "InvalidParameterValueException", "The provided execution role does not have permissions to call SendMessage on SQS")
    name = functions.make(FAILS, Role=functions.make_role(SENDS), DeadLetterConfig={"TargetArn": arn})
    assert functions.client.get_function_configuration(FunctionName=name)["DeadLetterConfig"] == {"TargetArn": arn}
    functions.client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    request = send(functions, name, b'{"n": 1}')
    message = receive(virga, url)
    assert message["Body"] == '{"n": 1}'
    attributes = {key: (value["DataType"], value["StringValue"]) for key, value in message["MessageAttributes"].items()}
    assert attributes == {"RequestID": ("String", request), "ErrorCode": ("Number", "200"), "ErrorMessage": ("String", "not today")}
    assert "Lineage=" in message["Attributes"]["AWSTraceHeader"]  # it has been through the function
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    send(functions, name, b'{"n": 2}')
    message = receive(virga, url)
    assert message["Body"] == '{"n": 2}' and message["Attributes"]["AWSTraceHeader"].startswith("Root=1-")


# Both a destination and a dead-letter queue are served; a permission taken away meanwhile loses only the record.
def test_queue_as_destination(virga, functions, queue):
    url, arn = queue
    name = functions.make(ECHO, Role=functions.make_role(SENDS))
    functions.client.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": arn}, "OnFailure": {"Destination": arn}})
    send(functions, name, b'"hello"')
    record = json.loads(receive(virga, url)["Body"])
    assert record["requestContext"]["condition"] == "Success"
    assert record["responsePayload"] == "hello"
    iam = virga.client("iam")
    role = functions.client.get_function_configuration(FunctionName=name)["Role"].split("/")[-1]
    iam.delete_role_policy(RoleName=role, PolicyName="more")
    send(functions, name, b'"unseen"')
    iam.put_role_policy(RoleName=role, PolicyName="more", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": SENDS}))
    time.sleep(0.3)
    send(functions, name, b'"seen"')
    assert json.loads(receive(virga, url)["Body"])["responsePayload"] in ("seen", "unseen")


# An event bus gets the record as the detail of an event of Lambda's, which rules then match.
def test_event_bus_as_destination(virga, functions, queue, name):
    url, arn = queue
    events, sqs = virga.client("events"), virga.client("sqs")
    bus = events.create_event_bus(Name=name)["EventBusArn"]
    rule = events.put_rule(Name=name, EventBusName=name, EventPattern=json.dumps(
        {"source": ["lambda"], "detail-type": [{"prefix": "Lambda Function Invocation Result"}]}))["RuleArn"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn,
         "Condition": {"ArnEquals": {"aws:SourceArn": rule}}}]})})
    events.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "q", "Arn": arn}])
    role = functions.make_role([{"Effect": "Allow", "Action": "events:PutEvents", "Resource": bus}])
    function = functions.make(FAILS, Role=role)
    functions.client.put_function_event_invoke_config(
        FunctionName=function, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": bus}})
    send(functions, function, b'{"n": 1}')
    event = json.loads(receive(virga, url)["Body"])
    assert (event["source"], event["detail-type"]) == ("lambda", "Lambda Function Invocation Result - Failure")
    assert event["resources"] == [bus, f"arn:aws:lambda:us-east-1:000000000000:function:{function}:$LATEST"]
    assert event["detail"]["requestPayload"] == {"n": 1}
    assert event["detail"]["responsePayload"]["errorMessage"] == "not today"
    events.remove_targets(Rule=name, EventBusName=name, Ids=["q"])
    events.delete_rule(Name=name, EventBusName=name)
    events.delete_event_bus(Name=name)


# What EventBridge can't bring to its target goes to the rule's dead-letter queue with the reason.
def test_a_rule_starts_a_function(virga, functions, name):
    events = virga.client("events")
    function = functions.make(PRINTS)
    arn = functions.client.get_function_configuration(FunctionName=function)["FunctionArn"]
    rule = events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))["RuleArn"]
    functions.client.add_permission(FunctionName=function, StatementId="rule", Action="lambda:InvokeFunction",
                                    Principal="events.amazonaws.com", SourceArn=rule)
    events.put_targets(Rule=name, Targets=[{"Id": "f", "Arn": arn}])
    events.put_events(Entries=[{"Source": name, "DetailType": "d", "Detail": '{"n": 1}'}])
    assert eventually(lambda: records(virga, function))[0]["detail"] == {"n": 1}
    events.remove_targets(Rule=name, Ids=["f"])
    events.delete_rule(Name=name)


# A function that answers each message with another is stopped too, and the message that would go round again ends in the
# queue's dead-letter queue.
def test_a_loop_through_a_queue_is_stopped(virga, functions, queue, name):
    url, arn = queue
    sqs = virga.client("sqs")
    dead = sqs.create_queue(QueueName=name + "-dead")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "2", "RedrivePolicy": json.dumps(
        {"deadLetterTargetArn": arn + "-dead", "maxReceiveCount": 2})})
    code = f"""import boto3
sqs = boto3.client('sqs')
def handler(event, context):
    for record in event['Records']:
        print('run', record['body'])
        sqs.send_message(QueueUrl='{url}', MessageBody=str(int(record['body']) + 1))
"""
    function = functions.make(code, Role=functions.make_role([{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]), Timeout=2)
    mapping = functions.client.create_event_source_mapping(FunctionName=function, EventSourceArn=arn, BatchSize=1)
    sqs.send_message(QueueUrl=url, MessageBody="1")
    assert receive(virga, dead)["Body"] == "17"
    assert {line for line in log_lines(virga, function) if line.startswith("run")} == {f"run {n}" for n in range(1, 17)}
    functions.client.delete_event_source_mapping(UUID=mapping["UUID"])
    sqs.delete_queue(QueueUrl=dead)


# A topic gets the record as a message, and as a dead-letter target the event with its attributes.
def test_topic_as_destination_and_dead_letter_target(virga, functions, queue, name):
    url, arn = queue
    sns, sqs = virga.client("sns"), virga.client("sqs")
    topic = sns.create_topic(Name=name)["TopicArn"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn,
         "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}]})})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    role = functions.make_role([{"Effect": "Allow", "Action": "sns:Publish", "Resource": topic}])
    function = functions.make(FAILS, Role=role, DeadLetterConfig={"TargetArn": topic})
    functions.client.put_function_event_invoke_config(
        FunctionName=function, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": topic}})
    request = send(functions, function, b'{"n": 1}')
    messages = []
    for _ in range(2):
        messages.append(receive(virga, url))
        sqs.delete_message(QueueUrl=url, ReceiptHandle=messages[-1]["ReceiptHandle"])
    letter, record = sorted(messages, key=lambda m: len(m["Body"]))
    assert letter["Body"] == '{"n": 1}'
    assert letter["MessageAttributes"]["RequestID"]["StringValue"] == request
    assert json.loads(record["Body"])["responsePayload"]["errorMessage"] == "not today"
    sns.delete_topic(TopicArn=topic)


# A topic feeds a function, as its policy allows; what it is told is in the record.
def test_a_topic_starts_a_function(virga, functions, name):
    sns = virga.client("sns")
    topic = sns.create_topic(Name=name)["TopicArn"]
    function = functions.make(PRINTS)
    arn = functions.client.get_function_configuration(FunctionName=function)["FunctionArn"]
    functions.client.add_permission(FunctionName=function, StatementId="topic", Action="lambda:InvokeFunction",
                                    Principal="sns.amazonaws.com", SourceArn=topic)
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
    sns.publish(TopicArn=topic, Message="hello")
    assert eventually(lambda: records(virga, function))[0]["Records"][0]["Sns"]["Message"] == "hello"
    sns.delete_topic(TopicArn=topic)
