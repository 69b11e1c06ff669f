"""Event source mappings over SQS: from a message to the function, and what becomes of what it refuses."""

import json
import time
import urllib.request
import uuid

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.exceptions
import pytest

from support import Kept, eventually

CODE = Kept.CODE + """
def handler(event, context):
    keep(event)
"""


class Fed:
    """A queue, a function fed by it, and the events that the function saw."""

    def __init__(self, virga, functions, does="return {}", attributes=None, fifo=False, **mapping):
        self.sqs, self.client, self.kept = virga.client("sqs"), functions.client, Kept(virga)
        attributes = {"VisibilityTimeout": "10", **(attributes or {})}
        if fifo:
            attributes.update(FifoQueue="true", ContentBasedDeduplication="true")
        self.url = self.sqs.create_queue(QueueName="q-" + uuid.uuid4().hex[:10] + (".fifo" if fifo else ""),
                                         Attributes=attributes)["QueueUrl"]
        self.arn = self.attribute("QueueArn")
        role = functions.make_role([{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}])
        self.function = functions.make(f"{CODE}    {does}", Role=role, Timeout=min(9, int(attributes["VisibilityTimeout"])),
                                       Environment={"Variables": {"KEPT": self.kept.name}})
        self.uuid = self.client.create_event_source_mapping(FunctionName=self.function, EventSourceArn=self.arn,
                                                            **mapping)["UUID"]

    def attribute(self, name, url=None):
        return self.sqs.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=[name])["Attributes"][name]

    def send(self, *bodies, **more):
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body, **more)

    def send_together(self, *bodies):
        for i in range(0, len(bodies), 10):
            self.sqs.send_message_batch(QueueUrl=self.url, Entries=[
                {"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[i:i + 10])])

    def events(self):
        return list(self.kept.values().values())

    def bodies(self):
        return [r["body"] for e in self.events() for r in e["Records"]]

    def state(self, state):
        return eventually(lambda: self.client.get_event_source_mapping(UUID=self.uuid)["State"] == state)

    def empty(self, url=None):
        def nothing():
            found = self.sqs.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=["All"])["Attributes"]
            return found["ApproximateNumberOfMessages"] == found["ApproximateNumberOfMessagesNotVisible"] == "0"
        return eventually(nothing)


def test_a_message_reaches_the_function_and_is_deleted(virga, functions):
    f = Fed(virga, functions)
    f.send("hello", MessageAttributes={"kind": {"DataType": "String", "StringValue": "greeting"}})
    eventually(lambda: f.bodies() == ["hello"])
    record, = f.events()[0]["Records"]
    assert record["eventSource"] == "aws:sqs" and record["eventSourceARN"] == f.arn
    assert record["awsRegion"] == "us-east-1" and record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["messageAttributes"]["kind"] == {
        "stringValue": "greeting", "stringListValues": [], "binaryListValues": [], "dataType": "String"}
    assert record["md5OfBody"] == "5d41402abc4b2a76b9719d911017c592" and record["receiptHandle"]
    assert len(record["md5OfMessageAttributes"]) == 32
    f.empty()
    f.send("bare")
    eventually(lambda: f.bodies() == ["hello", "bare"])
    assert "md5OfMessageAttributes" not in f.events()[1]["Records"][0]


def test_messages_are_given_in_batches(virga, functions):
    f = Fed(virga, functions, Enabled=False, BatchSize=5)
    f.state("Disabled")
    f.send_together(*map(str, range(20)))
    assert f.bodies() == []
    f.client.update_event_source_mapping(UUID=f.uuid, Enabled=True)
    eventually(lambda: sorted(map(int, f.bodies())) == list(range(20)))
    assert all(len(e["Records"]) <= 5 for e in f.events()) and len(f.events()) < 20
    f.empty()


def test_a_window_gathers_more_than_a_receive_gives(virga, functions):
    f = Fed(virga, functions, Enabled=False, BatchSize=30, MaximumBatchingWindowInSeconds=2)
    f.state("Disabled")
    f.send_together(*map(str, range(25)))
    f.client.update_event_source_mapping(UUID=f.uuid, Enabled=True)
    eventually(lambda: len(f.bodies()) == 25)
    assert len(f.events()) == 1
    assert {r["md5OfMessageAttributes"] for r in f.events()[0]["Records"]} == {None}
    f.empty()


def test_what_fails_comes_back_and_ends_in_the_dead_letter_queue(virga, functions):
    sqs = virga.client("sqs")
    dead = sqs.create_queue(QueueName="dead-" + uuid.uuid4().hex[:8])["QueueUrl"]
    dead_arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    f = Fed(virga, functions, does="raise ValueError('no')", attributes={
        "VisibilityTimeout": "3", "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2})})
    f.send("bad")
    letters = eventually(lambda: sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=1).get("Messages"))
    assert letters[0]["Body"] == "bad" and f.bodies() == ["bad", "bad"]
    f.empty()


def test_reported_failures_alone_come_back(virga, functions):
    f = Fed(virga, functions, attributes={"VisibilityTimeout": "3"}, Enabled=False,
            FunctionResponseTypes=["ReportBatchItemFailures"], does="""
    bad = [r["messageId"] for r in event["Records"]
           if r["body"] == "bad" and r["attributes"]["ApproximateReceiveCount"] == "1"]
    return {"batchItemFailures": [{"itemIdentifier": i} for i in bad]}""")
    f.state("Disabled")
    f.send_together("a", "bad", "c")
    f.client.update_event_source_mapping(UUID=f.uuid, Enabled=True)
    eventually(lambda: len(f.bodies()) == 4)
    assert sorted(f.bodies()) == ["a", "bad", "bad", "c"]
    f.empty()


@pytest.mark.parametrize("answer", ["{'batchItemFailures': [{'itemIdentifier': ''}]}",
                                    "{'batchItemFailures': [{'wrong': 'x'}]}",
                                    "{'batchItemFailures': [{'itemIdentifier': 'unknown'}]}", "'OK'"])
def test_answers_that_fail_the_whole_batch(virga, functions, answer):
    f = Fed(virga, functions, attributes={"VisibilityTimeout": "3"},
            FunctionResponseTypes=["ReportBatchItemFailures"], does=f"""
    if all(r["attributes"]["ApproximateReceiveCount"] == "1" for r in event["Records"]): return {answer}""")
    f.send("a")
    eventually(lambda: f.bodies() == ["a", "a"])
    f.empty()


def test_filtered_messages_are_deleted_unseen(virga, functions):
    f = Fed(virga, functions, FilterCriteria={"Filters": [{"Pattern": json.dumps({"body": {"kind": ["wanted"]}})}]})
    f.send(json.dumps({"kind": "other"}), "no json", json.dumps({"kind": "wanted", "n": 1}))
    eventually(lambda: f.bodies() == [json.dumps({"kind": "wanted", "n": 1})])
    f.empty()


def test_groups_keep_their_order(virga, functions):
    f = Fed(virga, functions, fifo=True, BatchSize=3)
    for turn in range(6):
        for group in "abc":
            f.send(f"{group}{turn}", MessageGroupId=group)
    eventually(lambda: len(f.bodies()) == 18)
    for group in "abc":
        assert [b for b in f.bodies() if b[0] == group] == [f"{group}{turn}" for turn in range(6)]
    f.empty()


def together(calls):
    """What a function does that goes on when so many calls have begun, for a while, and keeps when it ends."""
    return f"""
    while times_kept() < {calls}: time.sleep(0.05)
    time.sleep(0.3)
    keep({{"Records": []}})"""


def most_at_once(f):
    running = most = 0
    for event in f.events():
        running += 1 if event["Records"] else -1
        most = max(most, running)
    return most


def test_calls_run_side_by_side(virga, functions):
    f = Fed(virga, functions, does=together(3), Enabled=False, BatchSize=1)
    f.state("Disabled")
    f.send_together(*map(str, range(5)))
    f.client.update_event_source_mapping(UUID=f.uuid, Enabled=True)
    eventually(lambda: len(f.bodies()) == 5)
    f.empty()
    assert most_at_once(f) > 2


def signed(virga, method, path, body):
    """For members that the installed client is too old to know."""
    request = botocore.awsrequest.AWSRequest(method, virga.url + path, data=json.dumps(body),
                                             headers={"content-type": "application/json"})
    botocore.auth.SigV4Auth(botocore.credentials.Credentials("test", "test"), "lambda", "us-east-1").add_auth(request)
    sent = urllib.request.Request(request.url, data=request.body, headers=dict(request.headers), method=method)
    with urllib.request.urlopen(sent) as answer:
        return json.loads(answer.read())


def test_no_more_calls_run_than_a_mapping_may_have(virga, functions):
    f = Fed(virga, functions, does=together(2), Enabled=False, BatchSize=1)
    f.state("Disabled")
    changed = signed(virga, "PUT", "/2015-03-31/event-source-mappings/" + f.uuid,
                     {"ScalingConfig": {"MaximumConcurrency": 2}})
    assert changed["ScalingConfig"] == {"MaximumConcurrency": 2}
    f.send_together(*map(str, range(6)))
    f.client.update_event_source_mapping(UUID=f.uuid, Enabled=True)
    eventually(lambda: len(f.bodies()) == 6)
    f.empty()
    assert most_at_once(f) == 2


# Throttled calls are tried again when the function may run: nothing is lost.
def test_a_throttled_function_is_called_when_it_may_be(virga, functions):
    f = Fed(virga, functions, BatchSize=1)
    f.state("Enabled")
    functions.client.put_function_concurrency(FunctionName=f.function, ReservedConcurrentExecutions=0)
    f.send_together("a", "b", "c")
    time.sleep(1)
    assert f.bodies() == []
    functions.client.put_function_concurrency(FunctionName=f.function, ReservedConcurrentExecutions=1)
    eventually(lambda: sorted(f.bodies()) == ["a", "b", "c"])
    f.empty()


def test_a_function_that_may_run_once_at_a_time_gets_through_its_queue(virga, functions):
    f = Fed(virga, functions, does="time.sleep(0.2)", Enabled=False, BatchSize=1)
    f.state("Disabled")
    functions.client.put_function_concurrency(FunctionName=f.function, ReservedConcurrentExecutions=1)
    f.send_together(*map(str, range(8)))
    f.client.update_event_source_mapping(UUID=f.uuid, Enabled=True)
    eventually(lambda: len(f.bodies()) >= 8)
    f.empty()
    assert sorted(f.bodies()) == sorted(map(str, range(8)))
    times = [int(name.split("-")[0]) for name in f.kept.values()]
    assert all(b - a >= 0.2e9 for a, b in zip(times, times[1:]))


def test_a_mapping_has_tags(virga, functions):
    f = Fed(virga, functions, Enabled=False)
    arn = f"arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{f.uuid}"
    f.client.tag_resource(Resource=arn, Tags={"a": "1", "b": "2"})
    f.client.untag_resource(Resource=arn, TagKeys=["a"])
    assert f.client.list_tags(Resource=arn)["Tags"] == {"b": "2"}


# The receive of a mapping as it was doesn't take the next message, which would count as a failure of its own.
def test_a_changed_mapping_takes_no_message_along(virga, functions):
    f = Fed(virga, functions)
    f.state("Enabled")
    f.client.update_event_source_mapping(UUID=f.uuid, BatchSize=2)
    f.state("Enabled")
    f.send("next")
    eventually(lambda: f.bodies() == ["next"])
    assert f.events()[0]["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1"


def test_a_disabled_mapping_leaves_messages_alone(virga, functions):
    f = Fed(virga, functions)
    f.state("Enabled")
    f.client.update_event_source_mapping(UUID=f.uuid, Enabled=False)
    f.state("Disabled")
    f.send("later")
    time.sleep(0.3)
    assert f.bodies() == []
    assert f.sqs.receive_message(QueueUrl=f.url, VisibilityTimeout=0)["Messages"][0]["Body"] == "later"


def test_refusals_are_in_lambdas_words(virga, functions):
    f = Fed(virga, functions, Enabled=False)
    create = functions.client.create_event_source_mapping

    def refused(**parameters):
        with pytest.raises(botocore.exceptions.ClientError) as error:
            create(**{"FunctionName": f.function, "EventSourceArn": f.arn, **parameters})
        return error.value.response["Error"]["Message"]

    mapping = functions.client.get_event_source_mapping(UUID=f.uuid)
    assert (mapping["State"], mapping["StateTransitionReason"]) == ("Disabled", "USER_INITIATED")
    assert refused() == (f'An event source mapping with SQS arn (" {f.arn} ") and function (" {f.function} ") already '
                         f"exists. Please update or delete the existing mapping with UUID {f.uuid}")
    nobody = functions.make("def handler(e, c): pass")
    assert refused(FunctionName=nobody) == \
        "The function execution role does not have permissions to call ReceiveMessage on SQS"
    assert refused(StartingPosition="LATEST") == "StartingPosition is not valid for SQS event sources."
    assert refused(BatchSize=100) == \
        "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
    assert "parallelizationFactor" in refused(ParallelizationFactor=2)
    functions.client.update_function_configuration(FunctionName=f.function, Timeout=60)
    functions.client.delete_event_source_mapping(UUID=f.uuid)
    assert refused() == "Queue visibility timeout: 10 seconds is less than Function timeout: 60 seconds"
    assert "NonExistentQueue" in refused(EventSourceArn=f.arn + "x")


def test_discarded_stream_records_are_told_of_in_a_queue(virga, functions):
    db, sqs = virga.client("dynamodb"), virga.client("sqs")
    table, queue = "s-" + uuid.uuid4().hex[:8], "d-" + uuid.uuid4().hex[:8]
    stream = db.create_table(
        TableName=table, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})["TableDescription"]["LatestStreamArn"]
    url = sqs.create_queue(QueueName=queue)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    role = functions.make_role([{"Effect": "Allow", "Action": ["dynamodb:*", "sqs:SendMessage"], "Resource": "*"}])
    function = functions.make("def handler(e, c): raise ValueError('no')", Role=role)
    functions.client.create_event_source_mapping(
        FunctionName=function, EventSourceArn=stream, StartingPosition="TRIM_HORIZON", MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": arn}})
    db.put_item(TableName=table, Item={"p": {"S": "a"}})
    message = eventually(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages"))[0]
    told = json.loads(message["Body"])
    assert told["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert told["requestContext"]["approximateInvokeCount"] == 2
    assert told["requestContext"]["functionArn"].endswith(function)
    assert told["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    info = told["DDBStreamBatchInfo"]
    assert info["streamArn"] == stream and info["batchSize"] == 1
    assert info["startSequenceNumber"] == info["endSequenceNumber"]
