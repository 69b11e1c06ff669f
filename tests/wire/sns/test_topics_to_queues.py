"""From topics to queues: envelopes, raw delivery, filters, FIFO order, dead letters, archives."""

import hashlib
import json
import time

import pytest

from support import eventually, log_lines


def allow(sqs, url, arn, topic):
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
              "Action": "sqs:SendMessage", "Resource": arn, "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})


class Queue:
    def __init__(self, sqs, name, topic, allowed=True):
        fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        self.sqs, self.url = sqs, sqs.create_queue(QueueName=name, Attributes=fifo)["QueueUrl"]
        self.arn = sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        if allowed:
            allow(sqs, self.url, self.arn, topic)

    def take(self, count=1, group=None):
        """The next messages, deleted."""
        out, end = [], time.monotonic() + 120
        while len(out) < count and time.monotonic() < end:
            got = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=1,
                                           AttributeNames=["All"], MessageAttributeNames=["All"])
            for message in got.get("Messages", []):
                assert hashlib.md5(message["Body"].encode()).hexdigest() == message["MD5OfBody"]
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                out.append(message)
        assert len(out) >= count, (len(out), count)
        return out

    def is_empty(self):
        return "Messages" not in self.sqs.receive_message(QueueUrl=self.url)


@pytest.fixture
def sqs(virga):
    return virga.client("sqs")


@pytest.fixture
def queue(sqs, topic, name):
    return Queue(sqs, name, topic)


def test_envelope_and_raw(sns, sqs, topic, queue, name):
    raw = Queue(sqs, name + "raw", topic)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=raw.arn, Attributes={"RawMessageDelivery": "true"})
    attributes = {"n": {"DataType": "Number", "StringValue": "99.12"},
                  "b": {"DataType": "Binary", "BinaryValue": b"\x02\x03\x04"}}
    sent = sns.publish(TopicArn=topic, Message="text", Subject="S", MessageAttributes=attributes)["MessageId"]
    envelope = json.loads(queue.take()[0]["Body"])
    assert envelope["MessageId"] == sent and envelope["Type"] == "Notification" and envelope["Subject"] == "S"
    assert envelope["MessageAttributes"] == {"n": {"Type": "Number", "Value": "99.12"},
                                             "b": {"Type": "Binary", "Value": "AgME"}}
    message = raw.take()[0]
    assert message["Body"] == "text" and message["MessageAttributes"] == attributes


def test_message_structure(sns, topic, queue):
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes={"RawMessageDelivery": "true"})
    sns.publish(TopicArn=topic, MessageStructure="json", Message=json.dumps({"default": "d", "sqs": "for queues"}))
    assert queue.take()[0]["Body"] == "for queues"


FILTERS = [
    ({"store": ["a", "b"]}, {"store": "a"}, True),
    ({"store": ["a"]}, {"store": "c"}, False),
    ({"store": ["a"]}, {}, False),
    ({"store": [{"prefix": "ex"}]}, {"store": "example"}, True),
    ({"store": [{"suffix": "ple"}]}, {"store": "example"}, True),
    ({"store": [{"equals-ignore-case": "EXAMPLE"}]}, {"store": "example"}, True),
    ({"store": [{"anything-but": ["a", "b"]}]}, {"store": "c"}, True),
    ({"store": [{"anything-but": ["a", "b"]}]}, {"store": "b"}, False),
    ({"store": [{"anything-but": {"prefix": "ex"}}]}, {"store": "example"}, False),
    ({"store": [{"exists": False}]}, {"other": "x"}, True),
    ({"store": [{"exists": True}]}, {"other": "x"}, False),
    ({"price": [{"numeric": [">", 0, "<=", 100]}]}, {"price": 99.5}, True),
    ({"price": [{"numeric": [">", 0, "<=", 100]}]}, {"price": 101}, False),
    ({"price": [{"numeric": ["=", 3]}]}, {"price": 3.0}, True),
    ({"ip": [{"cidr": "10.0.0.0/24"}]}, {"ip": "10.0.0.255"}, True),
    ({"ip": [{"cidr": "10.0.0.0/24"}]}, {"ip": "10.0.1.0"}, False),
    ({"tags": ["x"]}, {"tags": ["w", "x"]}, True),
    ({"tags": ["x"]}, {"tags": ["w"]}, False),
    ({"a": ["1"], "$or": [{"b": ["2"]}, {"c": ["3"]}]}, {"a": "1", "c": "3"}, True),
    ({"a": ["1"], "$or": [{"b": ["2"]}, {"c": ["3"]}]}, {"a": "1"}, False),
]


def attribute(value):
    if isinstance(value, list):
        return {"DataType": "String.Array", "StringValue": json.dumps(value)}
    return {"DataType": "String" if isinstance(value, str) else "Number", "StringValue": str(value)}


# Each policy once over attributes and once over the body; a message that passes everything tells when all were seen.
def test_filters(sns, sqs, topic, name):
    wanted = {}
    for scope in ("MessageAttributes", "MessageBody"):
        for i, (policy, values, matches) in enumerate(FILTERS):
            queue = Queue(sqs, f"{name}-{scope}-{i}", topic)
            sub = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes={
                "FilterPolicy": json.dumps(policy), "FilterPolicyScope": scope, "RawMessageDelivery": "true"})
            attributes = {k: attribute(v) for k, v in values.items()}
            sns.publish(TopicArn=topic, Message=json.dumps(values), MessageAttributes=attributes)
            last = {"FilterPolicy": "{}"}
            for key, value in last.items():
                sns.set_subscription_attributes(SubscriptionArn=sub["SubscriptionArn"], AttributeName=key,
                                                AttributeValue=value)
            sns.publish(TopicArn=topic, Message="last")
            bodies = [m["Body"] for m in queue.take(2 if matches else 1)]
            assert sorted(bodies) == sorted(([json.dumps(values)] if matches else []) + ["last"]), (scope, policy, values)
            sns.unsubscribe(SubscriptionArn=sub["SubscriptionArn"])


# A queue that doesn't let the topic send is a client error: nothing is tried again, and the message becomes a dead
# letter.
def test_dead_letters(sns, sqs, topic, name):
    closed, dead = Queue(sqs, name, topic, allowed=False), Queue(sqs, name + "dead", topic)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=closed.arn, Attributes={
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead.arn})})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=dead.arn + "nosuch", Attributes={
        "RawMessageDelivery": "true", "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead.arn})})
    sns.publish(TopicArn=topic, Message="m")
    bodies = sorted((m["Body"] for m in dead.take(2)), key=len)
    assert bodies[0] == "m" and json.loads(bodies[1])["Message"] == "m"
    assert closed.is_empty()


# Many queues get one message in few commits; those that refuse it don't keep it from the others.
def test_many_queues(sns, sqs, topic, name):
    queues = [Queue(sqs, f"{name}-{i}", topic, allowed=i % 5 != 0) for i in range(30)]
    for i, queue in enumerate(queues):
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes={"RawMessageDelivery": str(i % 2 == 1).lower()})
    answer = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[
        {"Id": str(i), "Message": str(i)} for i in range(3)])
    assert len(answer["Successful"]) == 3
    for i, queue in enumerate(queues):
        if i % 5:
            bodies = [m["Body"] if i % 2 else json.loads(m["Body"])["Message"] for m in queue.take(3)]
            assert sorted(bodies) == ["0", "1", "2"]
        assert queue.is_empty()


@pytest.mark.parametrize("raw", ["true", "false"])
def test_fifo_order(sns, sqs, fifo, name, raw):
    queue = Queue(sqs, name + ".fifo", fifo)
    sns.subscribe(TopicArn=fifo, Protocol="sqs", Endpoint=queue.arn, Attributes={"RawMessageDelivery": raw})
    for i in range(20):
        for group in "ab":
            for _ in range(2):  # a repetition goes nowhere
                sns.publish(TopicArn=fifo, Message=str(i), MessageGroupId=group, MessageDeduplicationId=f"{group}{i}")
    text = lambda m: m["Body"] if raw == "true" else json.loads(m["Body"])["Message"]
    got = queue.take(40)
    for group in "ab":
        mine = [m for m in got if m["Attributes"]["MessageGroupId"] == group]
        assert [text(m) for m in mine] == [str(i) for i in range(20)]
        assert mine[3]["Attributes"]["MessageDeduplicationId"] == f"{group}3"
    if raw == "false":
        envelope = json.loads(got[0]["Body"])
        assert list(envelope) == ["Type", "MessageId", "SequenceNumber", "TopicArn", "Message", "Timestamp",
                                  "UnsubscribeURL"]


def test_fifo_topic_to_standard_queue(sns, sqs, fifo, name):
    queue = Queue(sqs, name, fifo)
    sns.subscribe(TopicArn=fifo, Protocol="sqs", Endpoint=queue.arn)
    sns.publish(TopicArn=fifo, Message="m", MessageGroupId="g", MessageDeduplicationId="d")
    assert "MessageGroupId" not in queue.take()[0]["Attributes"]


def test_group_of_a_standard_topic_goes_along(sns, topic, queue):
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    sns.publish(TopicArn=topic, Message="m", MessageGroupId="tenant")
    assert queue.take()[0]["Attributes"]["MessageGroupId"] == "tenant"


# What a topic has archived comes again, in order, and then what is published.
def test_archive_and_replay(sns, sqs, fifo, name):
    sns.set_topic_attributes(TopicArn=fifo, AttributeName="ArchivePolicy", AttributeValue='{"MessageRetentionPeriod":"30"}')
    attributes = sns.get_topic_attributes(TopicArn=fifo)["Attributes"]
    assert json.loads(attributes["ArchivePolicy"]) == {"MessageRetentionPeriod": "30"}
    ids = [sns.publish(TopicArn=fifo, Message=str(i), MessageGroupId="g", MessageDeduplicationId=str(i))["MessageId"]
           for i in range(120)]
    queue = Queue(sqs, name + ".fifo", fifo)
    policy = json.dumps({"PointType": "Timestamp", "StartingPoint": attributes["BeginningArchiveTime"]})
    arn = sns.subscribe(TopicArn=fifo, Protocol="sqs", Endpoint=queue.arn,
                        Attributes={"ReplayPolicy": policy})["SubscriptionArn"]
    status = lambda: sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"].get("ReplayStatus")
    eventually(lambda: status() == "Completed")
    sns.publish(TopicArn=fifo, Message="new", MessageGroupId="g", MessageDeduplicationId="new")
    got = [json.loads(m["Body"]) for m in queue.take(121)]
    assert [m["MessageId"] for m in got[:120]] == ids and got[0]["Replayed"] == "true"
    assert got[120]["Message"] == "new" and "Replayed" not in got[120]
    sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="ReplayPolicy", AttributeValue="{}")
    assert status() is None


def test_function(sns, virga, functions, topic, sqs, name):
    queue = Queue(sqs, name, topic)
    function = functions.make("""
import boto3, json, os
def handler(event, context):
    sqs = boto3.client("sqs", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    sqs.send_message(QueueUrl=os.environ["QUEUE"], MessageBody=json.dumps(event))
""", Environment={"Variables": {"QUEUE": queue.url}},
        Role=functions.make_role([{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue.arn}]))
    lambda_ = virga.client("lambda")
    arn = lambda_.get_function(FunctionName=function)["Configuration"]["FunctionArn"]
    lambda_.add_permission(FunctionName=function, StatementId="sns", Action="lambda:InvokeFunction",
                           Principal="sns.amazonaws.com", SourceArn=topic)
    sub = sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)["SubscriptionArn"]
    sns.set_topic_attributes(TopicArn=topic, AttributeName="SignatureVersion", AttributeValue="2")
    sns.publish(TopicArn=topic, Message="hello", MessageAttributes={"a": {"DataType": "String. of.", "StringValue": "v"}})
    event = json.loads(queue.take()[0]["Body"])
    record = event["Records"][0]
    assert record["EventSource"] == "aws:sns" and record["EventSubscriptionArn"] == sub
    assert record["EventVersion"] == "1.0" and record["Sns"]["Message"] == "hello" and record["Sns"]["Subject"] is None
    assert record["Sns"]["MessageAttributes"] == {"a": {"Type": "String. of.", "Value": "v"}}
    assert record["Sns"]["SigningCertUrl"].endswith(".pem") and record["Sns"]["SignatureVersion"] == "1"


# A topic can ask for a line on each delivery, which SNS writes with the role it is given.
def test_delivery_status(sns, virga, topic, queue, status_role):
    for attribute in ("SQSSuccessFeedbackRoleArn", "SQSFailureFeedbackRoleArn"):
        sns.set_topic_attributes(TopicArn=topic, AttributeName=attribute, AttributeValue=status_role)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn + "nosuch")
    sent = sns.publish(TopicArn=topic, Message="m")["MessageId"]
    group = f"sns/us-east-1/000000000000/{topic.rsplit(':', 1)[1]}"
    for which, status in ((group, "SUCCESS"), (group + "/Failure", "FAILURE")):
        line = json.loads(eventually(lambda: log_lines(virga, which))[0])
        assert line["status"] == status and line["notification"]["messageId"] == sent
        delivery = line["delivery"]
        assert delivery["attempts"] == 1 and delivery["statusCode"] == (200 if status == "SUCCESS" else 403)
        response = json.loads(delivery["providerResponse"])
        assert response["sqsMessageId"] if status == "SUCCESS" else (
            response["ErrorCode"] == "AccessDenied" and response["sqsRequestId"] == "Unrecoverable")


# What the endpoint itself said is in the line, and its status.
def test_delivery_status_of_others(sns, virga, topic, subscriber, functions, status_role):
    for kind in ("HTTP", "Lambda"):
        for attribute in (kind + "SuccessFeedbackRoleArn", kind + "FailureFeedbackRoleArn"):
            sns.set_topic_attributes(TopicArn=topic, AttributeName=attribute, AttributeValue=status_role)
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=subscriber.url)
    confirmation = json.loads(eventually(lambda: subscriber.of_type("SubscriptionConfirmation"))[0][1])
    sns.confirm_subscription(TopicArn=topic, Token=confirmation["Token"])
    function = functions.make("def handler(event, context): pass")
    arn = functions.client.get_function(FunctionName=function)["Configuration"]["FunctionArn"]
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
    group = f"sns/us-east-1/000000000000/{topic.rsplit(':', 1)[1]}"

    def told(which, message):
        lines = [json.loads(text) for text in log_lines(virga, which)]
        found = {line["delivery"]["destination"]: line["delivery"] for line in lines if line["notification"]["messageId"] == message}
        return len(found) == 2 and (found[subscriber.url], found[arn])

    subscriber.answers[:] = [403]
    refused = sns.publish(TopicArn=topic, Message="m")["MessageId"]
    http, lambda_ = eventually(lambda: told(group + "/Failure", refused))
    assert http["statusCode"] == 403 and lambda_["statusCode"] == 403
    response = json.loads(lambda_["providerResponse"])
    assert response["ErrorCode"] == "AccessDeniedException" and response["lambdaRequestId"] == "Unrecoverable"
    functions.client.add_permission(FunctionName=function, StatementId="sns", Action="lambda:InvokeFunction",
                                    Principal="sns.amazonaws.com", SourceArn=topic)
    taken = sns.publish(TopicArn=topic, Message="m")["MessageId"]
    http, lambda_ = eventually(lambda: told(group, taken))
    assert http["statusCode"] == 200 and lambda_["statusCode"] == 202
    assert json.loads(lambda_["providerResponse"])["lambdaRequestId"] != lambda_["deliveryId"]
    assert "attempts" in http and "attempts" not in lambda_


# A queue of another account must agree before it is sent anything but the token.
def test_queue_of_another_account(sns, topic):
    other = "arn:aws:sqs:us-east-1:111111111111:q"
    assert sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=other)["SubscriptionArn"] == "pending confirmation"
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsPending"] == "1"
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"][0]["SubscriptionArn"] == "PendingConfirmation"
