"""kill -9 under a mixed load of DynamoDB, checked by an oracle.

Each worker owns some keys and knows what they must be: puts, updates that move items between index entries or out of
the index, deletes, batches and transactions over several keys, and transfers between two items of another table. The one
call that a kill cut off may have happened or not, whole; a transfer is then asked for again, by its token. Meanwhile an
index is filled and one is taken away. Afterwards every index entry must have its item and every item its index entries,
and no other; and the stream must tell how each item became what it is, change by change.
"""

import random
import threading

import botocore.exceptions

from dynamodb_oracle import everything, follow_stream, identity
from support import eventually

WORKERS, KEYS, ROUNDS, OTHERS = 8, 6, 4, 1500
TABLE, LEDGER = "mixed", "ledger"


class Worker:
    def __init__(self, number):
        self.number = number
        self.random = random.Random(number)
        self.state = {"total": 0}  # what is there for certain; beside the items, what was moved in the ledger
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
        self.token = None
        kind = self.random.choice(["put", "put", "update", "delete", "batch", "transaction", "transaction", "transfer", "transfer"])
        if kind == "transfer":
            amount = self.random.randrange(1, 1000)
            after["total"] += amount
            self.token = f"{self.number}-{self.random.random()}"
            self.again = lambda client: client.transact_write_items(ClientRequestToken=self.token, TransactItems=[
                {"Update": {"TableName": LEDGER, "Key": {"p": {"S": f"w{self.number}-{side}"}}, "UpdateExpression": "ADD v :v",
                            "ExpressionAttributeValues": {":v": {"N": str(moved)}}}} for side, moved in (("to", amount), ("from", -amount))])
            return after, lambda: self.again(client)
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
        ledger = {i["p"]["S"].split("-")[1]: int(i["v"]["N"]) for i in client.batch_get_item(RequestItems={LEDGER: {"ConsistentRead": True, "Keys": [
            {"p": {"S": f"w{self.number}-{side}"}} for side in ("to", "from")]}})["Responses"][LEDGER]}
        found = {"total": ledger.get("to", 0)}
        assert ledger.get("from", 0) == -found["total"]
        for item in client.query(TableName=TABLE, KeyConditionExpression="p = :p", ConsistentRead=True,
                                 ExpressionAttributeValues={":p": {"S": f"w{self.number}"}})["Items"]:
            found[item["s"]["N"]] = item
        assert found in (self.state, self.pending), f"worker {self.number}: {found}\nis neither {self.state}\nnor {self.pending}"
        if self.pending and self.token:  # once, however often it is asked for
            found = self.pending
            self.again(client)
            to = client.get_item(TableName=LEDGER, Key={"p": {"S": f"w{self.number}-to"}}, ConsistentRead=True)["Item"]
            assert int(to["v"]["N"]) == found["total"]
        self.state, self.pending = found, None
        return [item for name, item in found.items() if name != "total"]


def index(name):
    return {"IndexName": name, "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["v"]},
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}]}


def change_index(client, there):
    """Adds an index, or takes the one away that was added; the kill may cut it off, and the filling of what it adds."""
    change = {"Delete": {"IndexName": there[0]}} if there else {"Create": index("late")}
    attributes = [{"AttributeName": n, "AttributeType": t} for n, t in (("p", "S"), ("s", "N"), ("g", "S"), ("l", "S"))]
    try:
        client.update_table(TableName=TABLE, AttributeDefinitions=attributes, GlobalSecondaryIndexUpdates=[change])
    except botocore.exceptions.BotoCoreError:
        pass


def late_indexes(client):
    """The names of the indexes that were added, once they are filled."""
    def filled():
        indexes = client.describe_table(TableName=TABLE)["Table"]["GlobalSecondaryIndexes"]
        return all(i["IndexStatus"] == "ACTIVE" for i in indexes) and indexes
    return [i["IndexName"] for i in eventually(filled) if i["IndexName"] != "gsi"]


def test_mixed_load_is_whole_after_every_kill(own_virga):
    client = own_virga.client("dynamodb")
    client.create_table(
        TableName=TABLE, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in (("p", "S"), ("s", "N"), ("g", "S"), ("l", "S"))],
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[index("gsi")],
        LocalSecondaryIndexes=[{"IndexName": "lsi", "Projection": {"ProjectionType": "ALL"},
                                "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "l", "KeyType": "RANGE"}]}])
    client.create_table(TableName=LEDGER, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}],
                        AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}])
    # Items that nobody changes, so that filling an index takes its time.
    others = {}
    for at in range(0, OTHERS, 25):
        some = [{"p": {"S": f"o{n % 100}"}, "s": {"N": str(n)}, "g": {"S": f"g{n % 9}"}, "v": {"N": "0"}} for n in range(at, at + 25)]
        client.batch_write_item(RequestItems={TABLE: [{"PutRequest": {"Item": item}} for item in some]})
        others.update((identity(item), item) for item in some)
    stream = client.update_table(TableName=TABLE, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    workers, late = [Worker(n) for n in range(WORKERS)], []
    for _ in range(ROUNDS):
        clients = [own_virga.client("dynamodb") for _ in workers]
        threads = [threading.Thread(target=w.run, args=(c,)) for w, c in zip(workers, clients)]
        threads.append(threading.Thread(target=change_index, args=(own_virga.client("dynamodb"), late)))
        for thread in threads:
            thread.start()
        threading.Event().wait(0.5 + random.random())
        own_virga.kill()
        for thread in threads:
            thread.join()
        for worker in workers:
            assert worker.failure is None, worker.failure
        client = own_virga.start().client("dynamodb")
        owned = {identity(item): item for worker in workers for item in worker.check(client)}
        items = {**owned, **others}
        assert items == everything(client, TABLE)
        by_g = {k: {n: v for n, v in i.items() if n in ("p", "s", "g", "v")} for k, i in items.items() if "g" in i}
        late = late_indexes(client)
        for name in ["gsi", *late]:
            assert everything(client, TABLE, IndexName=name) == by_g
        assert everything(client, TABLE, IndexName="lsi") == {k: i for k, i in items.items() if "l" in i}
    follow_stream(own_virga, stream["TableDescription"]["LatestStreamArn"], owned)
    assert sum(worker.calls for worker in workers) > 100
