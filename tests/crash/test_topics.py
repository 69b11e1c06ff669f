"""kill -9 in the middle of a fan-out: what was acknowledged reaches every queue, FIFO topics in order and once."""

import json
import random
import time

import botocore.exceptions
from support import finish, start_virga

QUEUES = 12
SECONDS = 0.8
ROUNDS = 5


def allow(sqs, url, arn, topic):
    statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
                 "Resource": arn, "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={
        "Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})})


def make(sns, sqs, name, fifo, count):
    options = {"FifoTopic": "true"} if fifo else {}
    topic = sns.create_topic(Name=name, Attributes=options)["TopicArn"]
    urls = []
    for i in range(count):
        queue = f"{i}-{name}"
        url = sqs.create_queue(QueueName=queue, Attributes={"FifoQueue": "true"} if fifo else {})["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        allow(sqs, url, arn, topic)
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
        urls.append(url)
    return topic, urls


def drain(sqs, url, wanted):
    """Bodies in the order they come, until all of `wanted` were seen and nothing more is there."""
    out, end = [], time.monotonic() + 120
    while time.monotonic() < end:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
        if not messages and wanted <= set(out):
            break
        if messages:
            sqs.delete_message_batch(QueueUrl=url, Entries=[
                {"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)])
            out += [m["Body"] for m in messages]
    assert wanted <= set(out), f"lost: {sorted(wanted - set(out))[:5]} of {len(wanted)}"
    return out


def test_fan_out(own_virga):
    sns, sqs = own_virga.client("sns"), own_virga.client("sqs")
    topic, urls = make(sns, sqs, "news", False, QUEUES)
    fifo, fifo_urls = make(sns, sqs, "orders.fifo", True, 2)
    acknowledged, ordered, tried = set(), [], 0
    for _ in range(ROUNDS):
        end = time.monotonic() + SECONDS * random.uniform(0.5, 1)
        while time.monotonic() < end:
            tried += 1
            sns.publish(TopicArn=topic, Message=str(tried))
            acknowledged.add(str(tried))
            sns.publish(TopicArn=fifo, Message=f"{tried:06}", MessageGroupId="g", MessageDeduplicationId=str(tried))
            ordered.append(f"{tried:06}")
        own_virga.kill()
        own_virga.start()
        sns, sqs = own_virga.client("sns"), own_virga.client("sqs")
    for url in urls:
        got = drain(sqs, url, acknowledged)
        assert len(got) == len(acknowledged), "a message came twice, though queues are written to with the delivery's end"
    for url in fifo_urls:
        assert drain(sqs, url, set(ordered)) == ordered


# The kill at the point itself, between one queue's message and the next one's: all of them or none.
def test_between_two_queues():
    server = start_virga()
    try:
        sns, sqs = server.client("sns"), server.client("sqs")
        topic, urls = make(sns, sqs, "news", False, QUEUES)
        server.kill()
        server.options = ["--fault", "sns.to_queues=kill:5"]
        server.start()
        try:
            server.client("sns").publish(TopicArn=topic, Message="m")
        except botocore.exceptions.BotoCoreError:
            pass
        server.process.wait(10)
        server.process.stdout.close()
        server.options = []
        server.start()
        sqs = server.client("sqs")
        for url in urls:
            assert drain(sqs, url, {"m"}) == ["m"]
    finally:
        finish(server)
