"""Pipes carry a source's events through filters, an enrichment and templates to their target, as their role."""

import json

import pytest

from support import error_code, eventually


def test_queue_to_queue_with_filter_and_template(pipe, source, target):
    pipe(source.arn, target.arn,
         SourceParameters={"FilterCriteria": {"Filters": [{"Pattern": json.dumps({"body": {"kind": ["good"]}})}]}},
         TargetParameters={"InputTemplate": '{"n": <$.body.n>, "text": "n is <$.body.n>", "pipe": <aws.pipes.pipe-name>}'})
    source.send({"kind": "bad", "n": 1})
    source.send({"kind": "good", "n": 2})
    got = json.loads(target.message())
    assert got["n"] == 2 and got["text"] == "n is 2" and got["pipe"].startswith("t-")
    eventually(source.empty)
    assert target.empty()


def test_whole_record_and_bare_path(pipe, pipes, source, target, name, role):
    running = pipe(source.arn, target.arn)
    source.send("plain")
    got = json.loads(target.message())
    assert got["body"] == "plain" and got["eventSourceARN"] == source.arn
    answer = pipes.update_pipe(Name=name, RoleArn=role, TargetParameters={"InputTemplate": "<$.body>"})
    assert answer["CurrentState"] == "UPDATING"
    running.until("RUNNING")
    source.send("plain")
    assert target.message() == "plain"


def test_states_list_and_tags(pipe, pipes, source, target, name, role):
    running = pipe(source.arn, target.arn, until="STOPPED", DesiredState="STOPPED", Tags={"a": "1"}, Description="d")
    source.send("waits")
    assert pipes.start_pipe(Name=name)["CurrentState"] == "STARTING"
    running.until("RUNNING")
    assert json.loads(target.message())["body"] == "waits"
    assert pipes.stop_pipe(Name=name)["CurrentState"] == "STOPPING"
    running.until("STOPPED")
    found = pipes.describe_pipe(Name=name)
    assert (found["DesiredState"], found["Tags"], found["Description"], found["RoleArn"]) == ("STOPPED", {"a": "1"}, "d", role)
    pipes.tag_resource(resourceArn=found["Arn"], tags={"b": "2"})
    pipes.untag_resource(resourceArn=found["Arn"], tagKeys=["a"])
    assert pipes.list_tags_for_resource(resourceArn=found["Arn"])["tags"] == {"b": "2"}
    listed = pipes.list_pipes(NamePrefix=name, CurrentState="STOPPED")["Pipes"]
    assert [p["Name"] for p in listed] == [name] and listed[0]["Source"] == source.arn
    assert pipes.list_pipes(NamePrefix=name, CurrentState="RUNNING")["Pipes"] == []
    assert pipes.delete_pipe(Name=name)["CurrentState"] == "DELETING"
    eventually(lambda: pipes.list_pipes(NamePrefix=name)["Pipes"] == [])
    assert error_code(pipes.describe_pipe, Name=name)[0] == "NotFoundException"


def test_refusals(pipes, source, target, name, role):
    def refused(**change):
        asked = dict(Name=name, Source=source.arn, Target=target.arn, RoleArn=role)
        asked.update(change)
        return error_code(pipes.create_pipe, **asked)

    kinesis = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
    assert refused(Source=kinesis)[0] == "ValidationException" and "kinesis" in refused(Source=kinesis)[1]
    machine = "arn:aws:states:us-east-1:000000000000:stateMachine:m"
    assert "states" in refused(Enrichment=machine)[1] and "states" in refused(Target=machine)[1]
    assert refused(SourceParameters={"FilterCriteria": {"Filters": [{"Pattern": "{"}]}})[0] == "ValidationException"


def test_the_role_counts(roles, pipes, source, target, name):
    """A role that may not read fails the creation; one that may not send leaves the message where it is."""
    nothing = roles("-n", [{"Effect": "Deny", "Action": "*", "Resource": "*"}])
    pipes.create_pipe(Name=name + "-n", Source=source.arn, Target=target.arn, RoleArn=nothing)
    found = pipes.describe_pipe(Name=name + "-n")
    assert found["CurrentState"] == "CREATE_FAILED" and "sqs:ReceiveMessage" in found["StateReason"]

    reads = roles("-r", [{"Effect": "Allow", "Resource": source.arn, "Action": [
        "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]}])
    pipes.create_pipe(Name=name + "-r", Source=source.arn, Target=target.arn, RoleArn=reads)
    source.send("x")
    eventually(lambda: "sqs:SendMessage" in pipes.describe_pipe(Name=name + "-r")["StateReason"])
    assert target.empty() and not source.empty()


def test_enrichment_and_function(pipe, functions, source, target):
    made = functions.make("def handler(event, context):\n    return [{'double': e * 2} for e in event if e > 1]\n")
    arn = functions.client.get_function(FunctionName=made)["Configuration"]["FunctionArn"]
    pipe(source.arn, target.arn, Enrichment=arn, EnrichmentParameters={"InputTemplate": "<$.body.n>"})
    source.send({"n": 1})
    source.send({"n": 21})
    assert json.loads(target.message()) == {"double": 42}
    eventually(source.empty)


@pytest.mark.parametrize("invocation", ["REQUEST_RESPONSE", "FIRE_AND_FORGET"])
def test_to_a_function(pipe, functions, source, target, invocation):
    """A function gets batches as lists; what it reports as failed comes again, when somebody waits for its answer."""
    functions.role = functions.make_role([{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": target.arn}])
    made = functions.make(f"""
import boto3, json
sqs = boto3.client("sqs")
def handler(event, context):
    sqs.send_message(QueueUrl="{target.url}", MessageBody=json.dumps(event))
    return {{"batchItemFailures": [{{"itemIdentifier": e["id"]}} for e in event if e["count"] == "1"]}}
""", Timeout=30)
    arn = functions.client.get_function(FunctionName=made)["Configuration"]["FunctionArn"]
    source.sqs.set_queue_attributes(QueueUrl=source.url, Attributes={"VisibilityTimeout": "1"})
    pipe(source.arn, arn, TargetParameters={
        "LambdaFunctionParameters": {"InvocationType": invocation},
        "InputTemplate": '{"n": <$.body.n>, "id": <$.messageId>, "count": <$.attributes.ApproximateReceiveCount>}'})
    source.send({"n": 1})
    first = json.loads(target.message())
    assert isinstance(first, list) and [e["n"] for e in first] == [1]
    if invocation == "REQUEST_RESPONSE":
        assert int(json.loads(target.message())[0]["count"]) > 1
    eventually(source.empty)


def destination_of(virga, name, method, url):
    events = virga.client("events")
    connection = events.create_connection(Name=name, AuthorizationType="API_KEY", AuthParameters={
        "ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "k"}})["ConnectionArn"]
    return events.create_api_destination(Name=name, ConnectionArn=connection, HttpMethod=method,
                                         InvocationEndpoint=url)["ApiDestinationArn"]


def test_to_an_api_destination(virga, pipe, endpoint, source, name):
    destination = destination_of(virga, name, "POST", endpoint.url + "/orders/*")
    endpoint.answers.append((500, "not now"))
    source.sqs.set_queue_attributes(QueueUrl=source.url, Attributes={"VisibilityTimeout": "1"})
    pipe(source.arn, destination, TargetParameters={
        "InputTemplate": '{"order": <$.body.id>}',
        "HttpParameters": {"PathParameterValues": ["$.body.id"], "HeaderParameters": {"X-From": "pipe"},
                           "QueryStringParameters": {"kind": "$.body.kind"}}})
    source.send({"id": "a/1", "kind": "new"})
    eventually(lambda: len(endpoint.requests) >= 2)
    for request in endpoint.requests:
        assert request["path"] == "/orders/a%2F1?kind=new" and json.loads(request["body"]) == {"order": "a/1"}
        assert request["headers"]["X-Key"] == "k" and request["headers"]["X-From"] == "pipe"
    eventually(source.empty)


def test_enrichment_by_an_api_destination(virga, pipe, endpoint, source, target, name):
    destination = destination_of(virga, name, "GET", endpoint.url + "/price/*")
    endpoint.answers.append((200, '{"price": 7}'))
    pipe(source.arn, target.arn, Enrichment=destination, EnrichmentParameters={
        "HttpParameters": {"PathParameterValues": ["$.body.item"]}})
    source.send({"item": "tea"})
    assert json.loads(target.message()) == {"price": 7}
    assert endpoint.requests[0]["path"] == "/price/tea" and endpoint.requests[0]["method"] == "GET"


def test_bus_topic_and_logs(virga, pipes, source, target, name, role):
    events, logs, sns = virga.client("events"), virga.client("logs"), virga.client("sns")
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["mine"]}))
    sns_queue = target
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": sns_queue.arn}])
    virga.client("sqs").set_queue_attributes(QueueUrl=target.url, Attributes={"Policy": json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*",
                                                "Resource": target.arn}]})})
    pipes.create_pipe(Name=name, Source=source.arn, Target="arn:aws:events:us-east-1:000000000000:event-bus/default",
                      RoleArn=role, TargetParameters={
                          "InputTemplate": '{"b": <$.body>}',
                          "EventBridgeEventBusParameters": {"Source": "mine", "DetailType": "$.body.kind"}})
    source.send({"kind": "k"})
    got = json.loads(target.message())
    assert got["detail"] == {"b": {"kind": "k"}} and got["detail-type"] == "k"

    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=target.arn, Attributes={"RawMessageDelivery": "true"})
    pipes.update_pipe(Name=name, RoleArn=role, Target=topic, TargetParameters={"InputTemplate": "<$.body>"})
    eventually(lambda: pipes.describe_pipe(Name=name)["CurrentState"] == "RUNNING")
    source.send("to the topic")
    assert target.message() == "to the topic"

    logs.create_log_group(logGroupName=name)
    logs.create_log_stream(logGroupName=name, logStreamName="s")
    pipes.update_pipe(Name=name, RoleArn=role, Target=f"arn:aws:logs:us-east-1:000000000000:log-group:{name}",
                      TargetParameters={"InputTemplate": "<$.body>", "CloudWatchLogsParameters": {"LogStreamName": "s"}})
    eventually(lambda: pipes.describe_pipe(Name=name)["CurrentState"] == "RUNNING")
    source.send("to the log")
    eventually(lambda: [e["message"] for e in logs.get_log_events(
        logGroupName=name, logStreamName="s")["events"]] == ["to the log"])


def table_of(virga, name):
    dynamodb = virga.client("dynamodb")
    made = dynamodb.create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
    eventually(lambda: dynamodb.describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE")
    return dynamodb, made["TableDescription"]["LatestStreamArn"]


def test_stream_in_order(virga, pipe, target, name):
    dynamodb, stream = table_of(virga, name)
    pipe(stream, target.arn, SourceParameters={"DynamoDBStreamParameters": {"StartingPosition": "TRIM_HORIZON"}},
         TargetParameters={"InputTemplate": "<$.dynamodb.NewImage.n.N>"})
    for n in range(5):
        dynamodb.put_item(TableName=name, Item={"k": {"S": "a"}, "n": {"N": str(n)}})
    assert sorted(target.message() for _ in range(5)) == [str(n) for n in range(5)]


def test_dead_letters_of_a_stream(virga, pipe, target, name):
    dynamodb, stream = table_of(virga, name)
    nowhere = "arn:aws:sqs:us-east-1:000000000000:" + name + "-nowhere"
    pipe(stream, nowhere, SourceParameters={"DynamoDBStreamParameters": {
        "StartingPosition": "LATEST", "MaximumRetryAttempts": 1, "DeadLetterConfig": {"Arn": target.arn}}})
    dynamodb.put_item(TableName=name, Item={"k": {"S": "a"}})
    letter = json.loads(target.message())
    assert letter["context"]["condition"] == "RetryAttemptsExhausted"
    assert letter["context"]["partnerResourceArn"].endswith(":pipe/" + name)
    assert letter["DDBStreamBatchInfo"]["batchSize"] == 1 and letter["DDBStreamBatchInfo"]["streamArn"] == stream


def test_killed_in_the_middle(world, name):
    virga, source, target, role = world
    virga.client("pipes").create_pipe(Name=name, Source=source.arn, Target=target.arn, RoleArn=role, TargetParameters={
        "InputTemplate": "<$.body>"})
    for n in range(60):
        source.send(str(n))
        if n == 40:
            virga.kill()
            virga.start()
    got = set()
    while len(got) < 60:
        got.add(target.message())
    eventually(source.empty)


def test_stack(virga, pipes, source, target, name, role):
    stacks = virga.client("cloudformation")
    template = {"Resources": {"P": {"Type": "AWS::Pipes::Pipe", "Properties": {
        "Name": name, "Source": source.arn, "Target": target.arn, "RoleArn": role, "Tags": {"a": "1"},
        "TargetParameters": {"InputTemplate": "<$.body>"}}}},
        "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["P", "Arn"]}}}}
    stacks.create_stack(StackName=name, TemplateBody=json.dumps(template))
    stacks.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    arn = stacks.describe_stacks(StackName=name)["Stacks"][0]["Outputs"][0]["OutputValue"]
    assert arn == pipes.describe_pipe(Name=name)["Arn"]
    source.send("through the stack")
    assert target.message() == "through the stack"
    stacks.delete_stack(StackName=name)
    stacks.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    assert pipes.list_pipes(NamePrefix=name)["Pipes"] == []


# A pipe that can't be created is no success of its stack.
def test_stack_of_a_pipe_that_fails(virga, roles, source, target, name):
    stacks = virga.client("cloudformation")
    nothing = roles("-n", [{"Effect": "Deny", "Action": "*", "Resource": "*"}])
    template = {"Resources": {"P": {"Type": "AWS::Pipes::Pipe", "Properties": {
        "Name": name, "Source": source.arn, "Target": target.arn, "RoleArn": nothing}}}}
    stacks.create_stack(StackName=name, TemplateBody=json.dumps(template))
    eventually(lambda: stacks.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == "ROLLBACK_COMPLETE")
    why = [e["ResourceStatusReason"] for e in stacks.describe_stack_events(StackName=name)["StackEvents"]
           if e["ResourceStatus"] == "CREATE_FAILED"]
    assert "CREATE_FAILED" in why[0] and "sqs:ReceiveMessage" in why[0]
