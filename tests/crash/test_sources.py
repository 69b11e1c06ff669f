"""kill -9 under a load of writes that feed a function: every acknowledged change is in the stream, in order and once;
the function sees every one of them, each item's in order (again after a crash, but never with a gap)."""

import random
import threading
import time

import botocore.exceptions
from support import Functions, Kept, eventually

ROUNDS, WRITERS = 4, 4

# Keeps what it sees; a call that is cut off leaves nothing.
CODE = Kept.CODE + """
def handler(event, context):
    keep([%s for r in event["Records"]])
"""
SCHEMA = {"BillingMode": "PAY_PER_REQUEST", "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
          "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}]}


class Writer:
    """Counts one item up, and remembers the last number that was acknowledged."""

    def __init__(self, server, name):
        self.server, self.name, self.acknowledged, self.stop = server, name, 0, False

    def run(self):
        db = self.server.client("dynamodb")
        while not self.stop:
            try:
                db.put_item(TableName="source", Item={"p": {"S": self.name}, "n": {"N": str(self.acknowledged + 1)}})
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                return
            self.acknowledged += 1


def stream_of(server, arn):
    """The numbers of each item, as the stream has them."""
    streams, found = server.client("dynamodbstreams"), {}
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        at = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"],
                                        ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while True:
            page = streams.get_records(ShardIterator=at)
            for r in page["Records"]:
                found.setdefault(r["dynamodb"]["Keys"]["p"]["S"], []).append(int(r["dynamodb"]["NewImage"]["n"]["N"]))
            if not page["Records"]:
                break
            at = page["NextShardIterator"]
    return found


def seen_by_function(kept):
    found = {}
    for seen in kept.values().values():
        for name, number in seen:
            found.setdefault(name, []).append(number)
    return found


def check_at_least_once(numbers, last):
    """All of 1 to `last`, each first seen in order; what was seen may come again after a crash."""
    highest = 0
    for number in numbers:
        assert number <= highest + 1, f"a gap: {number} after {highest}"
        highest = max(highest, number)
    assert highest == last


def test_a_stream_has_no_gap_and_the_function_misses_nothing(own_virga):
    server = own_virga
    functions = Functions(server)
    kept = Kept(server)
    arn = server.client("dynamodb").create_table(TableName="source", StreamSpecification={
        "StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}, **SCHEMA)["TableDescription"]["LatestStreamArn"]
    role = functions.make_role([{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}])
    numbers = '[r["dynamodb"]["Keys"]["p"]["S"], int(r["dynamodb"]["NewImage"]["n"]["N"])]'
    name = functions.make(CODE % numbers, Role=role, Environment={"Variables": {"KEPT": kept.name}})
    functions.client.create_event_source_mapping(FunctionName=name, EventSourceArn=arn, StartingPosition="TRIM_HORIZON",
                                                 BatchSize=10)
    writers = [Writer(server, f"w{i}") for i in range(WRITERS)]
    for _ in range(ROUNDS):
        threads = [threading.Thread(target=w.run) for w in writers]
        for thread in threads:
            thread.start()
        time.sleep(random.uniform(0.3, 1.0))
        server.kill()
        for thread in threads:
            thread.join()
        server.start()
        found = stream_of(server, arn)
        for writer in writers:
            numbers = found.get(writer.name, [])
            # The write that was cut off may have happened.
            assert writer.acknowledged <= len(numbers) <= writer.acknowledged + 1
            assert numbers == list(range(1, len(numbers) + 1))
            writer.acknowledged = len(numbers)

    def all_there():
        seen = seen_by_function(kept)
        return all(max(seen.get(w.name, [0])) == w.acknowledged for w in writers) and seen
    seen = eventually(all_there)
    for writer in writers:
        check_at_least_once(seen[writer.name], writer.acknowledged)


def test_no_message_is_lost_on_its_way_to_the_function(own_virga):
    server = own_virga
    functions = Functions(server)
    kept = Kept(server)
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName="source", Attributes={"VisibilityTimeout": "3"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    role = functions.make_role([{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}])
    name = functions.make(CODE % '["m", int(r["body"])]', Role=role, Timeout=3, Environment={"Variables": {"KEPT": kept.name}})
    functions.client.create_event_source_mapping(FunctionName=name, EventSourceArn=arn)
    sent = 0
    for _ in range(3):
        end = time.monotonic() + random.uniform(0.3, 0.8)
        while time.monotonic() < end:
            server.client("sqs").send_message(QueueUrl=url, MessageBody=str(sent))
            sent += 1
        server.kill()
        server.start()
    eventually(lambda: set(seen_by_function(kept).get("m", [])) >= set(range(sent)))
