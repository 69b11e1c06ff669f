"""DynamoDB Streams: what a table's writes leave in its stream, and how readers find their way through it."""

import concurrent.futures
import datetime
import threading
import time
import uuid

import botocore.exceptions
import pytest

from support import eventually, finish, start_virga


@pytest.fixture(scope="module")
def streams(virga):
    return virga.client("dynamodbstreams")


class Watched:
    """A table with a stream, and all that the stream holds."""

    def __init__(self, virga, view="NEW_AND_OLD_IMAGES", **options):
        self.db, self.streams = virga.client("dynamodb"), virga.client("dynamodbstreams")
        self.name = "t-" + uuid.uuid4().hex[:12]
        options.setdefault("BillingMode", "PAY_PER_REQUEST")
        table = self.db.create_table(
            TableName=self.name, AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": view}, **options)["TableDescription"]
        self.arn, self.label = table["LatestStreamArn"], table["LatestStreamLabel"]

    def put(self, key, **more):
        self.db.put_item(TableName=self.name, Item={"p": {"S": key}, **more})

    def shards(self):
        return self.streams.describe_stream(StreamArn=self.arn)["StreamDescription"]["Shards"]

    def iterator(self, shard, kind="TRIM_HORIZON", **more):
        return self.streams.get_shard_iterator(StreamArn=self.arn, ShardId=shard["ShardId"], ShardIteratorType=kind,
                                               **more)["ShardIterator"]

    def records(self):
        found = []
        for shard in self.shards():
            at = self.iterator(shard)
            while at:
                page = self.streams.get_records(ShardIterator=at)
                found += page["Records"]
                at = page.get("NextShardIterator") if page["Records"] else None
        return sorted(found, key=lambda r: r["dynamodb"]["SequenceNumber"])


# Creations count the account's tables, so that those at the same time meet and are tried again.
def test_tables_made_side_by_side_all_have_streams(virga, name):
    db = virga.client("dynamodb")

    def made(i):
        return db.create_table(
            TableName=f"{name}-{i}", BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}], KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})["TableDescription"]

    with concurrent.futures.ThreadPoolExecutor(8) as several:
        tables = list(several.map(made, range(40)))
    assert len({t["LatestStreamArn"] for t in tables}) == 40
    for t in tables:
        db.delete_table(TableName=t["TableName"])


def test_a_table_says_what_its_stream_is(virga):
    t = Watched(virga)
    table = t.db.describe_table(TableName=t.name)["Table"]
    assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert table["LatestStreamArn"] == f"{table['TableArn']}/stream/{t.label}"
    datetime.datetime.strptime(t.label, "%Y-%m-%dT%H:%M:%S.%f")
    described = t.streams.describe_stream(StreamArn=t.arn)["StreamDescription"]
    assert described["StreamStatus"] == "ENABLED" and described["TableName"] == t.name
    assert described["KeySchema"] == [{"AttributeName": "p", "KeyType": "HASH"}]
    assert all("EndingSequenceNumber" not in s["SequenceNumberRange"] for s in described["Shards"])
    listed = t.streams.list_streams(TableName=t.name)["Streams"]
    assert listed == [{"StreamArn": t.arn, "TableName": t.name, "StreamLabel": t.label}]


def test_every_way_of_writing_leaves_its_record(virga):
    t = Watched(virga)
    key = {"p": {"S": "a"}}
    t.put("a", n={"N": "1"})
    t.db.update_item(TableName=t.name, Key=key, UpdateExpression="SET n = :n",
                     ExpressionAttributeValues={":n": {"N": "2"}})
    t.db.delete_item(TableName=t.name, Key=key)
    t.db.batch_write_item(RequestItems={t.name: [{"PutRequest": {"Item": {"p": {"S": "b"}}}}]})
    t.db.transact_write_items(TransactItems=[{"Delete": {"TableName": t.name, "Key": {"p": {"S": "b"}}}},
                                             {"Put": {"TableName": t.name, "Item": {"p": {"S": "c"}}}}])
    records = t.records()
    assert [r["eventName"] for r in records] == ["INSERT", "MODIFY", "REMOVE", "INSERT", "REMOVE", "INSERT"]
    first, second, third = records[:3]
    assert first["dynamodb"]["NewImage"] == {"p": {"S": "a"}, "n": {"N": "1"}} and "OldImage" not in first["dynamodb"]
    assert second["dynamodb"]["OldImage"]["n"] == {"N": "1"} and second["dynamodb"]["NewImage"]["n"] == {"N": "2"}
    assert "NewImage" not in third["dynamodb"] and third["dynamodb"]["OldImage"]["n"] == {"N": "2"}
    assert first["eventSource"] == "aws:dynamodb" and first["eventVersion"] == "1.1" and first["awsRegion"] == "us-east-1"
    assert first["dynamodb"]["Keys"] == key and first["dynamodb"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert first["dynamodb"]["SizeBytes"] == 7 and "userIdentity" not in first
    assert len({r["eventID"] for r in records}) == 6


def test_partiql_leaves_records(virga):
    t = Watched(virga)
    t.db.execute_statement(Statement=f'INSERT INTO "{t.name}" VALUE {{\'p\': \'a\', \'n\': 1}}')
    t.db.execute_statement(Statement=f'UPDATE "{t.name}" SET n = 2 WHERE p = \'a\'')
    t.db.batch_execute_statement(Statements=[{"Statement": f'DELETE FROM "{t.name}" WHERE p = \'a\''}])
    t.db.execute_transaction(TransactStatements=[{"Statement": f'INSERT INTO "{t.name}" VALUE {{\'p\': \'b\'}}'}])
    assert [r["eventName"] for r in t.records()] == ["INSERT", "MODIFY", "REMOVE", "INSERT"]


def test_a_stream_begins_with_the_first_write_after_it_was_enabled(virga):
    t = Watched(virga)
    t.db.update_table(TableName=t.name, StreamSpecification={"StreamEnabled": False})
    written, stop = [], threading.Event()

    def write():
        db = virga.client("dynamodb")
        while not stop.is_set():
            began = time.monotonic()
            db.put_item(TableName=t.name, Item={"p": {"S": "x"}, "n": {"N": str(len(written))}})
            written.append(began)
    writer = threading.Thread(target=write)
    writer.start()

    def more():
        enough = len(written) + 5
        eventually(lambda: len(written) >= enough)
    more()
    t.arn = t.db.update_table(TableName=t.name, StreamSpecification={
        "StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})["TableDescription"]["LatestStreamArn"]
    enabled = time.monotonic()
    more()
    t.db.update_table(TableName=t.name, StreamSpecification={"StreamEnabled": False})
    disabled = time.monotonic()
    more()
    stop.set()
    writer.join()
    numbers = [int(r["dynamodb"]["NewImage"]["n"]["N"]) for r in t.records()]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    first = next(i for i, began in enumerate(written) if began > enabled)
    assert numbers[0] <= first
    assert all(began <= disabled for began in written[:numbers[-1] + 1])


@pytest.mark.parametrize("view, shown", [("KEYS_ONLY", set()), ("NEW_IMAGE", {"NewImage"}), ("OLD_IMAGE", {"OldImage"}),
                                         ("NEW_AND_OLD_IMAGES", {"NewImage", "OldImage"})])
def test_a_view_shows_what_it_says(virga, view, shown):
    t = Watched(virga, view)
    t.put("a", n={"N": "1"})
    t.put("a", n={"N": "2"})
    assert {k for k in t.records()[1]["dynamodb"] if k.endswith("Image")} == shown


def test_a_write_that_changes_nothing_leaves_no_record(virga):
    t = Watched(virga)
    t.put("a", s={"SS": ["x", "y"]})
    t.put("a", s={"SS": ["y", "x"]})
    t.db.update_item(TableName=t.name, Key={"p": {"S": "a"}}, UpdateExpression="REMOVE nothing_there")
    t.db.delete_item(TableName=t.name, Key={"p": {"S": "nobody"}})
    with pytest.raises(botocore.exceptions.ClientError):
        t.db.put_item(TableName=t.name, Item={"p": {"S": "a"}}, ConditionExpression="attribute_not_exists(p)")
    assert len(t.records()) == 1


def test_iterators_start_where_they_say(virga):
    t = Watched(virga, BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5})
    shard, = t.shards()
    for i in range(5):
        t.put(str(i))
    numbers = [r["dynamodb"]["SequenceNumber"] for r in t.records()]
    assert numbers == sorted(numbers, key=int) and all(21 <= len(n) <= 40 for n in numbers)

    def seen(kind, **more):
        page = t.streams.get_records(ShardIterator=t.iterator(shard, kind, **more))
        return [r["dynamodb"]["SequenceNumber"] for r in page["Records"]]

    assert seen("AT_SEQUENCE_NUMBER", SequenceNumber=numbers[2]) == numbers[2:]
    assert seen("AFTER_SEQUENCE_NUMBER", SequenceNumber=numbers[2]) == numbers[3:]
    assert seen("LATEST") == []
    latest = t.iterator(shard, "LATEST")
    t.put("new")
    page = t.streams.get_records(ShardIterator=latest)
    assert [r["dynamodb"]["Keys"]["p"]["S"] for r in page["Records"]] == ["new"]
    # A page is as long as asked, and the next begins where it ended.
    page = t.streams.get_records(ShardIterator=t.iterator(shard), Limit=2)
    assert len(page["Records"]) == 2
    page = t.streams.get_records(ShardIterator=page["NextShardIterator"], Limit=2)
    assert [r["dynamodb"]["SequenceNumber"] for r in page["Records"]] == numbers[2:4]


def test_items_keep_their_order_and_shards_share_the_load(virga):
    t = Watched(virga)
    for turn in range(4):
        for item in range(12):
            t.put(f"k{item}", turn={"N": str(turn)})
    used = 0
    for shard in t.shards():
        page = t.streams.get_records(ShardIterator=t.iterator(shard))
        used += bool(page["Records"])
        by_key = {}
        for r in page["Records"]:
            by_key.setdefault(r["dynamodb"]["Keys"]["p"]["S"], []).append(r["dynamodb"]["NewImage"]["turn"]["N"])
        assert all(turns == ["0", "1", "2", "3"] for turns in by_key.values())
    assert used > 1


def test_a_stream_stays_readable_after_it_is_disabled(virga):
    t = Watched(virga)
    t.put("a")
    with pytest.raises(botocore.exceptions.ClientError, match="already has an enabled stream"):
        t.db.update_table(TableName=t.name, StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    t.db.update_table(TableName=t.name, StreamSpecification={"StreamEnabled": False})
    t.put("b")
    described = t.streams.describe_stream(StreamArn=t.arn)["StreamDescription"]
    assert described["StreamStatus"] == "DISABLED"
    assert all("EndingSequenceNumber" in s["SequenceNumberRange"] for s in described["Shards"])
    assert [r["dynamodb"]["Keys"]["p"]["S"] for r in t.records()] == ["a"]
    assert "NextShardIterator" not in t.streams.get_records(ShardIterator=t.iterator(t.shards()[0]))
    table = t.db.describe_table(TableName=t.name)["Table"]
    assert table["LatestStreamArn"] == t.arn and "StreamSpecification" not in table
    # A new stream is another one.
    t.db.update_table(TableName=t.name, StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    assert len(t.streams.list_streams(TableName=t.name)["Streams"]) == 2
    t.db.delete_table(TableName=t.name)
    assert len(t.records()) == 1


def test_refusals_are_in_dynamodbs_words(virga, streams):
    t = Watched(virga)
    shard = t.shards()[0]

    def code(call):
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            call()
        return refused.value.response["Error"]["Code"]

    assert code(lambda: streams.describe_stream(StreamArn=t.arn[:-4] + "9999")) == "ResourceNotFoundException"
    assert code(lambda: streams.get_records(ShardIterator="nonsense")) == "ValidationException"
    assert code(lambda: t.iterator({"ShardId": "shardId-00000000000000000000-00000000"})) == "ResourceNotFoundException"
    assert code(lambda: t.iterator(shard, "AT_SEQUENCE_NUMBER")) == "ValidationException"
    assert code(lambda: t.iterator(shard, "SIDEWAYS")) == "ValidationException"
    assert code(lambda: t.iterator(shard, "AT_SEQUENCE_NUMBER", SequenceNumber="9" * 26)) == "ValidationException"
    assert code(lambda: streams.get_records(ShardIterator=t.iterator(shard), Limit=1001)) == "ValidationException"
    db = t.db
    assert code(lambda: db.update_table(TableName=t.name, StreamSpecification={"StreamEnabled": True})) == \
        "ValidationException"


def test_records_survive_a_kill():
    server = start_virga()
    try:
        t = Watched(server)
        for i in range(20):
            t.put(str(i))
        server.kill()
        server.start()
        t.db, t.streams = server.client("dynamodb"), server.client("dynamodbstreams")
        assert sorted(int(r["dynamodb"]["Keys"]["p"]["S"]) for r in t.records()) == list(range(20))
    finally:
        finish(server)
