"""Tables that most tests share: made once, with keys that no two tests use twice."""

import uuid

import pytest


@pytest.fixture(scope="session")
def dynamodb(virga):
    return virga.client("dynamodb")


def create(client, name, key, attributes, **more):
    client.create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": n, "KeyType": t} for n, t in zip(key, ("HASH", "RANGE"))],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in attributes.items()], **more)
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    return name


@pytest.fixture(scope="session")
def create_table():
    return create


@pytest.fixture(scope="session")
def table(dynamodb):
    """p (S), no sort key."""
    return create(dynamodb, "t-" + uuid.uuid4().hex[:8], ["p"], {"p": "S"})


@pytest.fixture(scope="session")
def sorted_table(dynamodb):
    """p (S) and s (N); global index g-s with everything, local index p-l with keys only."""
    return create(
        dynamodb, "t-" + uuid.uuid4().hex[:8], ["p", "s"], {"p": "S", "s": "N", "g": "S", "l": "S"},
        GlobalSecondaryIndexes=[{
            "IndexName": "gsi", "Projection": {"ProjectionType": "ALL"},
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}]}],
        LocalSecondaryIndexes=[{
            "IndexName": "lsi", "Projection": {"ProjectionType": "KEYS_ONLY"},
            "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "l", "KeyType": "RANGE"}]}])


@pytest.fixture
def p():
    """A fresh partition key."""
    return {"S": uuid.uuid4().hex}
