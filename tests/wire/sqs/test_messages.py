"""Standard queues: messages sent, received, hidden, deleted and dead-lettered, over the query protocol (boto3 1.26)."""

import concurrent.futures
import hashlib
import json
import time

import pytest

from support import error_code


@pytest.fixture
def sqs(virga):
    return virga.client("sqs")


@pytest.fixture
def queue(sqs, name):
    return sqs.create_queue(QueueName=name)["QueueUrl"]


def receive(sqs, url, count=10, **options):
    return sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=count, **options).get("Messages", [])


def numbers(sqs, url):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible",
             "ApproximateNumberOfMessagesDelayed"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return tuple(int(found[name]) for name in names)


def test_send_receive_delete(sqs, queue):
    sent = sqs.send_message(QueueUrl=queue, MessageBody="hello <world> & all")
    assert sent["MD5OfMessageBody"] == hashlib.md5(b"hello <world> & all").hexdigest()
    assert numbers(sqs, queue) == (1, 0, 0)
    message, = receive(sqs, queue, AttributeNames=["All"])
    assert message["MessageId"] == sent["MessageId"]
    assert message["Body"] == "hello <world> & all"
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert message["Attributes"]["SenderId"] == "000000000000"
    assert receive(sqs, queue) == []
    assert numbers(sqs, queue) == (0, 1, 0)
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert numbers(sqs, queue) == (0, 0, 0)
    # Deleting again is no error.
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def test_attributes_and_their_checksums(sqs, queue):
    attributes = {"text": {"DataType": "String", "StringValue": "ein Text"},
                  "zoë.ñ": {"DataType": "String", "StringValue": "x"},
                  "number.x": {"DataType": "Number.int", "StringValue": "42"},
                  "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\x01\xff"}}
    # boto3 checks no checksum of attributes: the expected one is from AWS's documented algorithm.
    sent = sqs.send_message(QueueUrl=queue, MessageBody="x", MessageAttributes=attributes,
                            MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}})
    want = hashlib.md5()
    for key in sorted(attributes):
        value = attributes[key]
        for part in (key.encode(), value["DataType"].encode()):
            want.update(len(part).to_bytes(4, "big") + part)
        data = value.get("BinaryValue") or value["StringValue"].encode()
        want.update((b"\x02" if "BinaryValue" in value else b"\x01") + len(data).to_bytes(4, "big") + data)
    assert sent["MD5OfMessageAttributes"] == want.hexdigest()
    assert len(sent["MD5OfMessageSystemAttributes"]) == 32
    message, = receive(sqs, queue, MessageAttributeNames=["All"], AttributeNames=["AWSTraceHeader"], VisibilityTimeout=0)
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == want.hexdigest()
    assert message["Attributes"] == {"AWSTraceHeader": "Root=1"}
    for prefix, names in (("number.*", ["number.x"]), ("num.*", ["number.x"]), ("*", sorted(attributes))):
        message, = receive(sqs, queue, MessageAttributeNames=[prefix], VisibilityTimeout=0)
        assert sorted(message["MessageAttributes"]) == names
    message, = receive(sqs, queue)
    assert "MessageAttributes" not in message and "Attributes" not in message


def test_visibility(sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    first, = receive(sqs, queue, VisibilityTimeout=60)
    assert receive(sqs, queue) == []
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=1)
    again, = receive(sqs, queue, WaitTimeSeconds=20, AttributeNames=["ApproximateReceiveCount"])
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"
    # Whatever handle a message is made visible, kept or deleted with, it is.
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
    once_more, = receive(sqs, queue, VisibilityTimeout=0)
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=60)
    assert receive(sqs, queue) == [] and numbers(sqs, queue)[1] == 1
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"])
    assert numbers(sqs, queue) == (0, 0, 0)


def test_long_poll_is_woken_by_a_send(sqs, queue, virga):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(receive, virga.client("sqs"), queue, WaitTimeSeconds=20)
        time.sleep(0.5)
        begun = time.monotonic()
        sqs.send_message(QueueUrl=queue, MessageBody="now")
        assert waiting.result()[0]["Body"] == "now"
        assert time.monotonic() - begun < 15


def test_long_poll_ends(sqs, queue):
    begun = time.monotonic()
    assert receive(sqs, queue, WaitTimeSeconds=1) == []
    assert time.monotonic() - begun > 0.9


def test_delay(sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody="much later", DelaySeconds=900)
    assert numbers(sqs, queue) == (0, 0, 1)
    assert receive(sqs, queue) == []
    sqs.send_message(QueueUrl=queue, MessageBody="later", DelaySeconds=1)
    message, = receive(sqs, queue, WaitTimeSeconds=20)
    assert message["Body"] == "later"
    assert numbers(sqs, queue) == (0, 1, 1)
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert numbers(sqs, queue) == (0, 0, 1)


def test_batches_fail_in_part(sqs, queue):
    sent = sqs.send_message_batch(QueueUrl=queue, Entries=[
        {"Id": "a", "MessageBody": "good"}, {"Id": "b", "MessageBody": "bad", "DelaySeconds": 901},
        {"Id": "c", "MessageBody": "good too"}])
    assert [entry["Id"] for entry in sent["Successful"]] == ["a", "c"]
    failed, = sent["Failed"]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("b", "InvalidParameterValue", True)
    messages = receive(sqs, queue)
    assert sorted(message["Body"] for message in messages) == ["good", "good too"]
    changed = sqs.change_message_visibility_batch(QueueUrl=queue, Entries=[
        {"Id": "x", "ReceiptHandle": messages[0]["ReceiptHandle"], "VisibilityTimeout": 100},
        {"Id": "y", "ReceiptHandle": "nonsense", "VisibilityTimeout": 100}])
    assert [entry["Id"] for entry in changed["Successful"]] == ["x"]
    assert changed["Failed"][0]["Code"] == "ReceiptHandleIsInvalid"
    deleted = sqs.delete_message_batch(QueueUrl=queue, Entries=[
        {"Id": str(i), "ReceiptHandle": message["ReceiptHandle"]} for i, message in enumerate(messages)])
    assert len(deleted["Successful"]) == 2 and "Failed" not in deleted


@pytest.mark.parametrize("entries, code", [
    ([{"Id": "a", "MessageBody": "x"}, {"Id": "a", "MessageBody": "x"}],
     "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"),
    ([{"Id": str(i), "MessageBody": "x"} for i in range(11)], "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
    ([{"Id": "a b", "MessageBody": "x"}], "AWS.SimpleQueueService.InvalidBatchEntryId"),
    ([{"Id": "a", "MessageBody": "x" * 600_000}, {"Id": "b", "MessageBody": "x" * 600_000}],
     "AWS.SimpleQueueService.BatchRequestTooLong")])
def test_batches_refused_whole(sqs, queue, entries, code):
    assert error_code(sqs.send_message_batch, QueueUrl=queue, Entries=entries)[0] == code


@pytest.mark.parametrize("options, code", [
    ({"MessageBody": "x" * (1_048_576 + 1)}, "InvalidParameterValue"),
    ({"MessageBody": "a\x01b"}, "InvalidMessageContents"),
    ({"MessageBody": "x", "DelaySeconds": 901}, "InvalidParameterValue"),
    ({"MessageBody": "x", "MessageDeduplicationId": "1"}, "InvalidParameterValue"),
    ({"MessageBody": "x", "MessageAttributes": {"AWS.x": {"DataType": "String", "StringValue": "x"}}},
     "InvalidParameterValue"),
    ({"MessageBody": "x", "MessageAttributes": {"a§": {"DataType": "String", "StringValue": "x"}}},
     "InvalidParameterValue"),
    ({"MessageBody": "x", "MessageAttributes": {"x": {"DataType": "String", "StringValue": "a\x0bb"}}},
     "InvalidParameterValue"),
    ({"MessageBody": "x", "MessageAttributes": {"x": {"DataType": "Number", "StringValue": "x"}}},
     "InvalidParameterValue")])
def test_messages_refused(sqs, queue, options, code):
    assert error_code(sqs.send_message, QueueUrl=queue, **options)[0] == code


def test_largest_message(sqs, queue):
    body = "ä" * 524_288
    sqs.send_message(QueueUrl=queue, MessageBody=body)
    assert receive(sqs, queue)[0]["Body"] == body


def test_dead_letters(sqs, queue, name):
    dead = sqs.create_queue(QueueName=name + "-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "2"})})
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [queue]
    sent = sqs.send_message(QueueUrl=queue, MessageBody="poison")["MessageId"]
    for _ in range(2):
        assert receive(sqs, queue, VisibilityTimeout=0)[0]["MessageId"] == sent
    assert receive(sqs, queue) == []
    assert numbers(sqs, queue) == (0, 0, 0)
    assert numbers(sqs, dead) == (1, 0, 0)
    message, = receive(sqs, dead, AttributeNames=["All"])
    assert message["MessageId"] == sent
    assert message["Attributes"]["DeadLetterQueueSourceArn"].endswith(name)
    # A dead-letter queue that lets nobody in.
    sqs.set_queue_attributes(QueueUrl=dead, Attributes={
        "RedriveAllowPolicy": json.dumps({"redrivePermission": "denyAll"})})
    other = sqs.create_queue(QueueName=name + "-other")["QueueUrl"]
    assert error_code(sqs.set_queue_attributes, QueueUrl=other, Attributes={
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})})[0] == "InvalidParameterValue"


def test_many_receivers_share_a_queue(sqs, queue, virga):
    def send(n):
        virga.client("sqs").send_message_batch(QueueUrl=queue, Entries=[
            {"Id": str(i), "MessageBody": f"{n}-{i}"} for i in range(10)])

    def drain():
        client, got = virga.client("sqs"), []
        while True:
            messages = receive(client, queue)
            if not messages:
                return got
            got += [message["Body"] for message in messages]
            client.delete_message_batch(QueueUrl=queue, Entries=[
                {"Id": str(i), "ReceiptHandle": message["ReceiptHandle"]} for i, message in enumerate(messages)])

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(30)))
        got = [body for part in pool.map(lambda _: drain(), range(8)) for body in part]
    assert len(got) == 300 and len(set(got)) == 300
    assert numbers(sqs, queue) == (0, 0, 0)


def test_survives_a_kill(own_virga, name):
    sqs = own_virga.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    for i in range(3):
        sqs.send_message(QueueUrl=url, MessageBody=str(i))
    deleted, = receive(sqs, url, 1)
    hidden, = receive(sqs, url, 1)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=deleted["ReceiptHandle"])
    own_virga.kill()
    own_virga.start()
    sqs = own_virga.client("sqs")
    assert numbers(sqs, url) == (1, 1, 0)
    left, = receive(sqs, url)
    assert left["Body"] not in (deleted["Body"], hidden["Body"])
    sqs.delete_message(QueueUrl=url, ReceiptHandle=hidden["ReceiptHandle"])
    assert numbers(sqs, url) == (0, 1, 0)


def test_what_never_came(virga, queue):
    careless = virga.client("sqs", parameter_validation=False)
    assert error_code(careless.send_message, QueueUrl=queue) == ("MissingParameter", "The request must contain the parameter MessageBody.")
    assert error_code(careless.receive_message) == ("MissingParameter", "The request must contain the parameter QueueUrl.")
