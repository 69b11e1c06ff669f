"""kill -9 under a mixed load of DynamoDB, checked by an oracle.

Each worker owns some keys and knows what they must be: puts, updates that move items between index entries or out of
the index, deletes, batches and transactions over several keys. The one call that a kill cut off may have happened or
not, whole. Afterwards every index entry must have its item and every item its index entry.
"""

import random
import threading

import botocore.exceptions

WORKERS, KEYS, ROUNDS = 8, 6, 4
TABLE = "mixed"


class Worker:
    def __init__(self, number):
        self.number = number
        self.random = random.Random(number)
        self.state = {}  # what is there for certain
        self.pending = None  # what it would be after the call under way
        self.calls = 0
        self.failure = None

    def keys(self):
        return [{"p": {"S": f"w{self.number}"}, "s": {"N": str(k)}} for k in range(KEYS)]

    def item(self, key):
        value = self.random.randrange(1_000_000)
        item = {**key, "v": {"N": str(value)}, "pad": {"S": "x" * self.random.randrange(400)}}
        if value % 4:  # the others are not in the indexes
            item["g"] = {"S": f"g{value % 3}"}
            item["l"] = {"S": f"l{value % 5}"}
        return item

    def step(self, client):
        """Makes one call; gives the state that it leads to before it is made."""
        after = dict(self.state)
        kind = self.random.choice(["put", "put", "update", "delete", "batch", "transaction", "transaction"])
        some = self.random.sample(self.keys(), 3)
        key, name = some[0], some[0]["s"]["N"]
        if kind == "put":
            after[name] = self.item(key)
            return after, lambda: client.put_item(TableName=TABLE, Item=after[name])
        if kind == "delete":
            after.pop(name, None)
            return after, lambda: client.delete_item(TableName=TABLE, Key=key)
        if kind == "update":
            old = self.state.get(name, key)
            new = {**old, "g": {"S": f"g{self.random.randrange(9)}"}, "n": {"N": str(int(old.get("n", {"N": "0"})["N"]) + 1)}}
            new.pop("l", None)
            after[name] = new
            return after, lambda: client.update_item(
                TableName=TABLE, Key=key, UpdateExpression="SET g = :g ADD n :one REMOVE l",
                ExpressionAttributeValues={":g": new["g"], ":one": {"N": "1"}})
        for each in some[:2]:
            after[each["s"]["N"]] = self.item(each)
        after.pop(some[2]["s"]["N"], None)
        puts = [after[each["s"]["N"]] for each in some[:2]]
        if kind == "batch":
            return after, lambda: client.batch_write_item(RequestItems={TABLE: [
                *({"PutRequest": {"Item": item}} for item in puts), {"DeleteRequest": {"Key": some[2]}}]})
        return after, lambda: client.transact_write_items(TransactItems=[
            *({"Put": {"TableName": TABLE, "Item": item}} for item in puts), {"Delete": {"TableName": TABLE, "Key": some[2]}}])

    def run(self, client):
        while True:
            self.pending, call = self.step(client)
            try:
                call()
            except botocore.exceptions.ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                    self.failure = error
                return
            except botocore.exceptions.BotoCoreError:
                return
            self.state, self.pending = self.pending, None
            self.calls += 1

    def check(self, client):
        found = {}
        for item in client.query(TableName=TABLE, KeyConditionExpression="p = :p", ConsistentRead=True,
                                 ExpressionAttributeValues={":p": {"S": f"w{self.number}"}})["Items"]:
            found[item["s"]["N"]] = item
        assert found in (self.state, self.pending), f"worker {self.number}: {found}\nis neither {self.state}\nnor {self.pending}"
        self.state, self.pending = found, None
        return found.values()


def everything(client, **more):
    return [item for page in client.get_paginator("scan").paginate(TableName=TABLE, **more) for item in page["Items"]]


def identity(item):
    return item["p"]["S"], item["s"]["N"]


def test_mixed_load_is_whole_after_every_kill(own_virga):
    own_virga.client("dynamodb").create_table(
        TableName=TABLE, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in (("p", "S"), ("s", "N"), ("g", "S"), ("l", "S"))],
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[{"IndexName": "gsi", "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["v"]},
                                 "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}]}],
        LocalSecondaryIndexes=[{"IndexName": "lsi", "Projection": {"ProjectionType": "ALL"},
                                "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "l", "KeyType": "RANGE"}]}])
    workers = [Worker(n) for n in range(WORKERS)]
    for round_ in range(ROUNDS):
        clients = [own_virga.client("dynamodb") for _ in workers]
        threads = [threading.Thread(target=w.run, args=(c,)) for w, c in zip(workers, clients)]
        for thread in threads:
            thread.start()
        threading.Event().wait(0.5 + random.random())
        own_virga.kill()
        for thread in threads:
            thread.join()
        for worker in workers:
            assert worker.failure is None, worker.failure
        client = own_virga.start().client("dynamodb")
        items = {identity(item): item for worker in workers for item in worker.check(client)}
        assert items == {identity(item): item for item in everything(client)}
        by_g = {identity(item): item for item in everything(client, IndexName="gsi")}
        assert by_g == {k: {n: v for n, v in i.items() if n in ("p", "s", "g", "v")} for k, i in items.items() if "g" in i}
        by_l = {identity(item): item for item in everything(client, IndexName="lsi")}
        assert by_l == {k: i for k, i in items.items() if "l" in i}
    assert sum(worker.calls for worker in workers) > 100
