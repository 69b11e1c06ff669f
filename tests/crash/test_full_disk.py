"""A full disk: writes fail with errors, reads go on, nothing acknowledged is lost, and it works again with space."""

import json
import os
import pathlib
import subprocess
import tempfile

import botocore.exceptions
import pytest

from support import Functions, Virga, eventually


@pytest.fixture
def small_disk():
    """A file system of 256 MB."""
    folder = tempfile.mkdtemp(prefix="virga-disk-")
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", folder], capture_output=True).returncode != 0:
        os.rmdir(folder)
        pytest.skip("needs the right to mount a small file system")
    yield pathlib.Path(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)
    os.rmdir(folder)


@pytest.fixture
def server(small_disk):
    started = Virga(str(small_disk), []).start()
    yield started
    if started.process.poll() is None:
        started.kill()


def fill(path):
    """Takes all the space there is."""
    with open(path, "wb", buffering=0) as out:
        for size in (1 << 20, 4096, 1):
            try:
                while out.write(b"x" * size) == size:
                    pass
            except OSError:
                pass


def refused(call, **arguments):
    """Whether it fails; that must be an error of ours and not a broken connection."""
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500, error
        return True
    return False


def test_full_disk(server, small_disk):
    table, objects = server.client("dynamodb"), server.client("s3")
    table.create_table(TableName="table", BillingMode="PAY_PER_REQUEST", AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                       KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}])
    objects.create_bucket(Bucket="bucket")
    kept = []

    def put(n):
        table.put_item(TableName="table", Item={"id": {"S": str(n)}, "padding": {"S": "x" * 20_000}})
        kept.append(n)

    def store(n):
        objects.put_object(Bucket="bucket", Key=str(n), Body=b"x" * 200_000)
        kept.append(-n)

    def big(n):
        objects.put_object(Bucket="bucket", Key=f"big-{n}", Body=bytes(4_000_000))

    def written(function, numbers):
        """How many were written before the first refusal, which must be an error of ours and not a broken connection."""
        for done, n in enumerate(numbers):
            if refused(function, n=n):
                return done
        return len(numbers)

    def intact():
        items = {int(i["id"]["S"]) for page in table.get_paginator("scan").paginate(TableName="table") for i in page["Items"]}
        keys = {-int(o["Key"]) for o in objects.list_objects_v2(Bucket="bucket").get("Contents", []) if o["Key"].isdigit()}
        assert set(kept) <= items | keys
        for key in keys:
            assert len(objects.get_object(Bucket="bucket", Key=str(-key))["Body"].read()) == 200_000

    # Deleted objects take their space until no reader can be on the way to them, a minute later: this gives some sooner.
    (small_disk / "margin").write_bytes(bytes(8 << 20))
    assert written(put, range(1, 20)) == 19 and written(store, range(1, 10)) == 9
    # Objects fill the disk up to what is kept for the store: so what fills it can be deleted.
    written(big, range(500))
    assert written(big, [500]) == 0
    intact()
    for n in range(500):
        objects.delete_object(Bucket="bucket", Key=f"big-{n}")
    os.remove(small_disk / "margin")
    assert eventually(lambda: written(store, [101]))
    # Somebody else fills it to the last byte.
    fill(small_disk / "filler")
    for _ in range(20):
        assert written(put, [1000]) == 0 and written(store, [1000]) == 0
    intact()
    os.remove(small_disk / "filler")

    def writes_again():
        return written(put, [10_000]) and written(store, [10_000])
    eventually(writes_again)
    intact()
    server.kill()
    server.start()
    intact()
    put(10_001)
    assert server.stop() == 0


# What was acknowledged is delivered once there is space: sent, published, or given to a function. Functions that are
# called in the meantime answer or fail, and call again.
def test_events_on_a_full_disk(server, small_disk):
    queues, topics, functions = server.client("sqs"), server.client("sns"), Functions(server)
    queue = queues.create_queue(QueueName="queue")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allowed = {"Effect": "Allow", "Action": "sqs:*", "Resource": arn}
    policy = {"Version": "2012-10-17", "Statement": {**allowed, "Principal": "*"}}
    queues.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy)})
    topic = topics.create_topic(Name="topic")["TopicArn"]
    topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    code = "import boto3\nfrom botocore.config import Config\ndef handler(event, context):\n    boto3.client('sqs', config=Config(retries={'total_max_attempts': 1})).send_message(QueueUrl=event['queue'], MessageBody=event['body'])"
    relay = functions.make(code, Role=functions.make_role(allowed), MemorySize=256)
    payload = {"queue": queue, "body": "called"}
    functions.call(relay, payload)
    kept = ["called"]
    for n in range(30):
        topics.publish(TopicArn=topic, Message=f"published-{n}")
        kept.append(f"published-{n}")
    functions.client.invoke(FunctionName=relay, InvocationType="Event", Payload=json.dumps({**payload, "body": "later"}))
    kept.append("later")
    fill(small_disk / "filler")
    for _ in range(10):
        assert refused(queues.send_message, QueueUrl=queue, MessageBody="refused")
        assert refused(topics.publish, TopicArn=topic, Message="refused")
        assert refused(functions.client.invoke, FunctionName=relay, InvocationType="Event", Payload="{}")
    refused(functions.client.invoke, FunctionName=relay, Payload=json.dumps(payload))
    os.remove(small_disk / "filler")
    eventually(lambda: not refused(queues.send_message, QueueUrl=queue, MessageBody="after"))
    kept.append("after")
    server.kill()
    server.start()
    queues, functions.client, seen = server.client("sqs"), server.client("lambda"), []
    queue = queues.get_queue_url(QueueName="queue")["QueueUrl"]

    def all_seen():
        for message in queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
            seen.append(message["Body"])
            queues.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return set(kept) <= set(seen)
    eventually(all_seen)
    assert "refused" not in seen
    functions.call(relay, {"queue": queue, "body": "again"})
    assert server.stop() == 0
