"""kill -9 while items expire, checked by an oracle.

Items come due while Virga is down, so that it sweeps them from its start on; it is killed in the midst, over and over.
Meanwhile some of the items that are due get more time, and some are deleted by their owner. In the end what was due and
nobody touched is gone from the table and from every index, and the stream tells of each once that DynamoDB itself
deleted it; everything else is as it was left.
"""

import random
import threading
import time

import botocore.exceptions
import pytest

from dynamodb_oracle import everything, follow_stream, identity
from moved_clock import moved_clock
from support import eventually

TABLE, ITEMS, ROUNDS, KILLS = "expiring", 1500, 3, 4
SWEEPS = 61  # seconds, after which Virga looks for what is due
SERVICE = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
FIVE_YEARS = 5 * 365 * 86_400


@pytest.fixture
def clock(tmp_path, monkeypatch):
    with moved_clock(tmp_path, monkeypatch) as clock:
        yield clock


class Owner:
    """Gives items that are due more time, or deletes them, until the server is killed."""

    def __init__(self, keys, later):
        self.keys, self.later = keys, later
        self.renewed, self.deleted, self.unknown = {}, set(), {}

    def run(self, client):
        while self.keys:
            key = self.keys.pop()
            name = identity(key)
            try:
                if random.random() < 0.5:
                    self.unknown = {name: "renewed"}
                    self.renewed[name] = client.update_item(
                        TableName=TABLE, Key=key, UpdateExpression="SET e = :later", ConditionExpression="attribute_exists(p)",
                        ExpressionAttributeValues={":later": self.later}, ReturnValues="ALL_NEW")["Attributes"]
                else:
                    self.unknown = {name: "deleted"}
                    if "Attributes" in client.delete_item(TableName=TABLE, Key=key, ReturnValues="ALL_OLD"):
                        self.deleted.add(name)
            except client.exceptions.ConditionalCheckFailedException:
                pass  # it has gone
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                return
            self.unknown = {}


def make_table(client):
    client.create_table(
        TableName=TABLE, BillingMode="PAY_PER_REQUEST", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in (("p", "S"), ("s", "N"), ("g", "S"), ("e", "N"))],
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[{"IndexName": "gsi", "Projection": {"ProjectionType": "ALL"},
                                 "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}, {"AttributeName": "e", "KeyType": "RANGE"}]}],
        LocalSecondaryIndexes=[{"IndexName": "lsi", "Projection": {"ProjectionType": "ALL"},
                                "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "e", "KeyType": "RANGE"}]}])
    client.update_time_to_live(TableName=TABLE, TimeToLiveSpecification={"Enabled": True, "AttributeName": "e"})
    eventually(lambda: client.describe_time_to_live(TableName=TABLE)["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED")


def put(client, items):
    for at in range(0, len(items), 25):
        client.batch_write_item(RequestItems={TABLE: [{"PutRequest": {"Item": item}} for item in items[at:at + 25]]})
    return {identity(item): item for item in items}


def test_what_expires_goes_once(clock):
    client = clock.server.client("dynamodb")
    make_table(client)
    now = int(time.time())
    later = {"N": str(now + 86_400)}

    def item(number, due, **more):
        return {"p": {"S": f"p{number % 40}"}, "s": {"N": str(number)}, "g": {"S": f"g{number % 5}"}, "e": due, **more}
    # What stays: not yet due, and too long ago to be meant.
    kept = put(client, [item(n, later) for n in range(100)] + [item(n, {"N": str(now - FIVE_YEARS - 9)}) for n in range(100, 200)])
    expired, deleted = set(), set()
    for turn in range(1, ROUNDS + 1):
        due = put(client, [item(1000 * ITEMS * turn + n, {"N": str(now - 9 * n - 99)}) for n in range(ITEMS)])
        clock.server.kill()
        clock.set(turn * SWEEPS)
        keys = [{"p": one["p"], "s": one["s"]} for one in random.sample(list(due.values()), ITEMS // 3)]
        open_ends = {}
        for _ in range(KILLS):
            clock.server.start()
            owner = Owner(keys, later)
            thread = threading.Thread(target=owner.run, args=(clock.server.client("dynamodb"),))
            thread.start()
            threading.Event().wait(random.random() * 0.04)
            clock.server.kill()
            thread.join()
            open_ends.update(owner.unknown)
            kept.update(owner.renewed)
            deleted.update(owner.deleted)
            due = {name: one for name, one in due.items() if name not in owner.renewed and name not in owner.deleted}
        client = clock.server.start().client("dynamodb")
        for name, cut_off in open_ends.items():  # the one call that each kill cut off
            there = client.get_item(TableName=TABLE, Key={"p": {"S": name[0]}, "s": {"N": name[1]}}, ConsistentRead=True).get("Item")
            if cut_off == "renewed" and there and there["e"] == later:
                kept[name] = there
                due.pop(name)
        eventually(lambda: not everything(client, TABLE).keys() & due.keys())
        expired |= due.keys() - open_ends.keys()
        for index in ("gsi", "lsi"):
            assert everything(client, TABLE, IndexName=index) == kept
    stream = client.describe_table(TableName=TABLE)["Table"]["LatestStreamArn"]
    records = follow_stream(clock.server, stream, kept)
    removals = {True: [], False: []}
    for record in records:
        by_service = record.get("userIdentity") == SERVICE
        assert by_service or "userIdentity" not in record
        if record["eventName"] == "REMOVE":
            removals[by_service].append(identity(record["dynamodb"]["Keys"]))
        else:
            assert not by_service
    assert len(set(removals[True])) == len(removals[True])
    assert expired <= set(removals[True]) and deleted <= set(removals[False])
    assert not deleted & set(removals[True]) and len(expired) > ITEMS
