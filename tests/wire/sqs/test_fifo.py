"""FIFO queues: order within a group, groups that lock, deduplication, attempt ids."""

import json

import pytest

from support import error_code


@pytest.fixture
def sqs(virga):
    return virga.client("sqs")


@pytest.fixture
def queue(sqs, name):
    return sqs.create_queue(QueueName=name + ".fifo", Attributes={
        "FifoQueue": "true", "ContentBasedDeduplication": "true"})["QueueUrl"]


def send(sqs, url, *bodies, group="g", **options):
    return [sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group, **options) for body in bodies]


def receive(sqs, url, count=10, **options):
    return sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=count, AttributeNames=["All"],
                               **options).get("Messages", [])


def delete(sqs, url, *messages):
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def bodies(messages):
    return [message["Body"] for message in messages]


def test_order_and_lock(sqs, queue):
    sent = send(sqs, queue, "1", "2", "3")
    assert [m["SequenceNumber"] for m in sent] == sorted(m["SequenceNumber"] for m in sent)
    first, = receive(sqs, queue, 1)
    assert first["Body"] == "1"
    assert first["Attributes"]["SequenceNumber"] == sent[0]["SequenceNumber"]
    assert first["Attributes"]["MessageGroupId"] == "g"
    assert receive(sqs, queue) == []  # the group is locked
    send(sqs, queue, "other", group="h")
    other, = receive(sqs, queue)
    assert other["Body"] == "other"
    delete(sqs, queue, first)
    rest = receive(sqs, queue)
    assert bodies(rest) == ["2", "3"]
    delete(sqs, queue, rest[1])
    assert receive(sqs, queue) == []
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=rest[0]["ReceiptHandle"], VisibilityTimeout=0)
    send(sqs, queue, "4")
    again = receive(sqs, queue)
    assert bodies(again) == ["2", "4"]
    assert again[0]["Attributes"]["ApproximateReceiveCount"] == "2"
    delete(sqs, queue, *again, other)
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert (found["ApproximateNumberOfMessages"], found["ApproximateNumberOfMessagesNotVisible"]) == ("0", "0")
    assert found["FifoQueue"] == "true"


def test_order_survives_time_outs(sqs, queue):
    send(sqs, queue, "1", "2", "3")
    taken = receive(sqs, queue, 2, VisibilityTimeout=1)
    assert bodies(taken) == ["1", "2"]
    again = receive(sqs, queue, WaitTimeSeconds=20)
    assert bodies(again) == ["1", "2", "3"]
    assert "expired" in error_code(sqs.delete_message, QueueUrl=queue, ReceiptHandle=taken[0]["ReceiptHandle"])[1]
    delete(sqs, queue, *again)


# What locks a group is its first message in flight; what lies before that one can be had.
def test_first_in_flight_locks(sqs, queue):
    send(sqs, queue, "1", "2", "3")
    one, two, three = receive(sqs, queue)
    for message in (one, three):
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    numbers = lambda: [sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"][
        "ApproximateNumberOfMessages" + kind] for kind in ("", "NotVisible")]
    assert numbers() == ["2", "1"]
    again = receive(sqs, queue)
    assert bodies(again) == ["1"] and receive(sqs, queue) == [] and numbers() == ["1", "2"]
    delete(sqs, queue, *again)
    assert receive(sqs, queue) == []
    delete(sqs, queue, two)
    assert bodies(receive(sqs, queue)) == ["3"]


# In the order in which they became ready: what was received waits behind what is there since.
def test_groups_take_turns(sqs, queue):
    for body in ("a1", "b1", "b2", "c1", "a2"):
        send(sqs, queue, body, group=body[0])
    taken = receive(sqs, queue, 3, VisibilityTimeout=0)
    assert bodies(taken) == ["a1", "a2", "b1"]
    again = receive(sqs, queue)
    assert bodies(again) == ["c1", "a1", "a2", "b1", "b2"]
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=again[3]["ReceiptHandle"], VisibilityTimeout=0)
    send(sqs, queue, "d1", group="d")
    assert bodies(receive(sqs, queue)) == ["b1", "d1"]


def test_purge_forgets_what_was_sent(sqs, queue):
    first, = send(sqs, queue, "same")
    sqs.purge_queue(QueueUrl=queue)
    assert send(sqs, queue, "same")[0]["MessageId"] != first["MessageId"]
    assert bodies(receive(sqs, queue)) == ["same"]


def test_batches_without_ids_are_refused_whole(sqs, name):
    queue = sqs.create_queue(QueueName=name + ".fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    good = {"Id": "1", "MessageBody": "a", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    for missing, said in (("MessageGroupId", "The request must contain the parameter MessageGroupId."),
                          ("MessageDeduplicationId", "The queue should either have ContentBasedDeduplication enabled")):
        bad = {k: v for k, v in good.items() if k != missing} | {"Id": "2"}
        code, message = error_code(sqs.send_message_batch, QueueUrl=queue, Entries=[good, bad])
        assert code == "InvalidParameterValue" and message.startswith(said)
    assert receive(sqs, queue) == []


def test_deduplication(sqs, queue):
    first, second = send(sqs, queue, "same", "same")
    assert first["MessageId"] == second["MessageId"] and first["SequenceNumber"] == second["SequenceNumber"]
    third, = send(sqs, queue, "same", MessageDeduplicationId="other")
    assert third["MessageId"] != first["MessageId"]
    messages = receive(sqs, queue)
    assert len(messages) == 2
    delete(sqs, queue, *messages)
    # Also when the first is deleted already; the scope is the queue.
    assert send(sqs, queue, "same", group="h")[0]["MessageId"] == first["MessageId"]
    assert receive(sqs, queue) == []


def test_deduplication_by_group(sqs, name):
    queue = sqs.create_queue(QueueName=name + ".fifo", Attributes={
        "FifoQueue": "true", "ContentBasedDeduplication": "true", "DeduplicationScope": "messageGroup",
        "FifoThroughputLimit": "perMessageGroupId"})["QueueUrl"]
    send(sqs, queue, "same", group="a")
    send(sqs, queue, "same", group="b")
    assert len(receive(sqs, queue)) == 2


def test_attempt_id(sqs, queue):
    send(sqs, queue, "1", "2", "3")
    first = receive(sqs, queue, 2, ReceiveRequestAttemptId="a")
    again = receive(sqs, queue, 2, ReceiveRequestAttemptId="a")
    assert bodies(first) == bodies(again) == ["1", "2"]
    assert [m["Attributes"]["ApproximateReceiveCount"] for m in again] == ["1", "1"]
    delete(sqs, queue, *first)
    assert bodies(receive(sqs, queue, 2, ReceiveRequestAttemptId="a")) == ["3"]


def test_dead_letters_keep_their_group(sqs, queue, name):
    dead = sqs.create_queue(QueueName=name + "-dead.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})})
    send(sqs, queue, "poison", "good")
    poison, = receive(sqs, queue, 1, VisibilityTimeout=0)
    assert bodies(receive(sqs, queue)) == ["good"]
    moved, = receive(sqs, dead)
    assert moved["MessageId"] == poison["MessageId"] and moved["Attributes"]["MessageGroupId"] == "g"


def test_batch(sqs, queue):
    sent = sqs.send_message_batch(QueueUrl=queue, Entries=[
        {"Id": str(i), "MessageBody": str(i), "MessageGroupId": "g"} for i in range(10)])
    assert len(sent["Successful"]) == 10
    assert bodies(receive(sqs, queue)) == [str(i) for i in range(10)]


@pytest.mark.parametrize("options, code", [
    ({"MessageBody": "x"}, "MissingParameter"),
    ({"MessageBody": "x", "MessageGroupId": "a b"}, "InvalidParameterValue"),
    ({"MessageBody": "x", "MessageGroupId": "g", "DelaySeconds": 1}, "InvalidParameterValue")])
def test_refused(sqs, queue, options, code):
    assert error_code(sqs.send_message, QueueUrl=queue, **options)[0] == code


def test_needs_a_deduplication_id(sqs, name):
    queue = sqs.create_queue(QueueName=name + ".fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    code, message = error_code(sqs.send_message, QueueUrl=queue, MessageBody="x", MessageGroupId="g")
    assert code == "InvalidParameterValue" and "ContentBasedDeduplication" in message


def test_name_needs_the_suffix(sqs, name):
    assert error_code(sqs.create_queue, QueueName=name, Attributes={"FifoQueue": "true"})[0] == "InvalidParameterValue"
    assert error_code(sqs.create_queue, QueueName=name, Attributes={"FifoQueue": "false"})[0] == "InvalidAttributeName"
    assert error_code(sqs.create_queue, QueueName=name + ".fifo")[0] == "InvalidParameterValue"


def test_type_stays(sqs, queue):
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"FifoQueue": "true"})
    code, message = error_code(sqs.set_queue_attributes, QueueUrl=queue, Attributes={"FifoQueue": "false"})
    assert code == "InvalidAttributeValue" and message.endswith("Modifying queue type is not supported.")


def test_order_survives_a_kill(own_virga, name):
    sqs = own_virga.client("sqs")
    queue = sqs.create_queue(QueueName=name + ".fifo", Attributes={
        "FifoQueue": "true", "ContentBasedDeduplication": "true"})["QueueUrl"]
    sent = send(sqs, queue, "1", "2", "3")
    taken, = receive(sqs, queue, 1)
    own_virga.kill()
    own_virga.start()
    sqs = own_virga.client("sqs")
    assert receive(sqs, queue) == []
    assert send(sqs, queue, "1")[0]["MessageId"] == sent[0]["MessageId"]
    delete(sqs, queue, taken)
    assert bodies(receive(sqs, queue)) == ["2", "3"]
