"""Capacity: tables held to what they were given, and the limits of changing it."""

import uuid

import pytest
from botocore.exceptions import ClientError
from dynamodb_calls import signed_call


@pytest.fixture
def name():
    return "t-" + uuid.uuid4().hex[:12]


def provisioned(dynamodb, name, read, write, **more):
    return dynamodb.create_table(
        TableName=name, ProvisionedThroughput={"ReadCapacityUnits": read, "WriteCapacityUnits": write},
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}], AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}], **more)


def test_a_metered_table_throttles(dynamodb, name):
    provisioned(dynamodb, name, 1, 1, Tags=[{"Key": "virga:enforce-capacity", "Value": "true"}])
    big = {"p": {"S": "a"}, "text": {"S": "x" * 100_000}}  # 98 units of writing, 25 of consistent reading
    wrote = 0
    with pytest.raises(ClientError, match="ProvisionedThroughputExceededException.*level of configured provisioned throughput"):
        for _ in range(10):
            dynamodb.put_item(TableName=name, Item=big)
            wrote += 1
    assert wrote in (4, 5)  # five minutes' worth, and the one that found a little left
    read = 0
    with pytest.raises(ClientError, match="ProvisionedThroughputExceededException"):
        for _ in range(20):
            dynamodb.get_item(TableName=name, Key={"p": {"S": "a"}}, ConsistentRead=True)
            read += 1
    assert read in (12, 13)
    with pytest.raises(ClientError, match="ProvisionedThroughputExceededException"):
        dynamodb.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": {"p": {"S": "b"}}}}]})
    with pytest.raises(ClientError) as refused:
        dynamodb.transact_write_items(TransactItems=[{"Put": {"TableName": name, "Item": {"p": {"S": "b"}}}}])
    assert refused.value.response["CancellationReasons"][0]["Code"] == "ProvisionedThroughputExceeded"


def test_a_batch_over_two_tables_leaves_the_throttled_one(dynamodb, table, name, p):
    provisioned(dynamodb, name, 1, 1, Tags=[{"Key": "virga:enforce-capacity", "Value": "true"}])
    dynamodb.put_item(TableName=name, Item={"p": {"S": "a"}, "text": {"S": "x" * 320_000}})
    out = dynamodb.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": {"p": {"S": "b"}}}}],
                                                  table: [{"PutRequest": {"Item": {"p": p}}}]})
    assert list(out["UnprocessedItems"]) == [name]
    assert "Item" in dynamodb.get_item(TableName=table, Key={"p": p})


def test_other_tables_are_not_throttled(dynamodb, name):
    provisioned(dynamodb, name, 1, 1)
    for _ in range(8):
        dynamodb.put_item(TableName=name, Item={"p": {"S": "a"}, "text": {"S": "x" * 100_000}})


def test_decreases_are_limited(dynamodb, name):
    provisioned(dynamodb, name, 10, 10)
    for read in (9, 8, 7, 6):
        dynamodb.update_table(TableName=name, ProvisionedThroughput={"ReadCapacityUnits": read, "WriteCapacityUnits": 10})
    with pytest.raises(ClientError, match="LimitExceededException.*decreases are limited within a given UTC day"):
        dynamodb.update_table(TableName=name, ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 10})


# What no table may have is refused whether or not there is a table.
def test_capacity_has_bounds(dynamodb, name):
    for read, write, said in ((10**12 + 1, 10**12 + 1, "1000000000001 for ReadCapacityUnits"), (1, 10**12 + 1, "1000000000001 for WriteCapacityUnits")):
        with pytest.raises(ClientError, match=f"ValidationException.*Given value {said} is out of bounds"):
            dynamodb.update_table(TableName=name, ProvisionedThroughput={"ReadCapacityUnits": read, "WriteCapacityUnits": write})


def test_on_demand_can_be_chosen_four_times_a_day(dynamodb, name):
    provisioned(dynamodb, name, 1, 1)
    for _ in range(4):
        dynamodb.update_table(TableName=name, BillingMode="PAY_PER_REQUEST")
        dynamodb.update_table(TableName=name, BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1})
    with pytest.raises(ClientError, match="LimitExceededException.*Update to PayPerRequest mode"):
        dynamodb.update_table(TableName=name, BillingMode="PAY_PER_REQUEST")


def warmth(table):
    warm = table.get("WarmThroughput")
    return warm and (warm["ReadUnitsPerSecond"], warm["WriteUnitsPerSecond"], warm["Status"])


def test_warmth_is_told_of_every_table(virga, name):
    index = {"IndexName": "by-g", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}
    table = {"TableName": name, "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
             "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}, {"AttributeName": "g", "AttributeType": "S"}],
             "GlobalSecondaryIndexes": [index]}
    made = signed_call(virga, "CreateTable", table)[1]["TableDescription"]
    assert warmth(made) is None and warmth(made["GlobalSecondaryIndexes"][0]) is None
    described = signed_call(virga, "DescribeTable", {"TableName": name})[1]["Table"]
    assert warmth(described) == warmth(described["GlobalSecondaryIndexes"][0]) == (12000, 4000, "ACTIVE")
    raised = signed_call(virga, "UpdateTable", {"TableName": name, "WarmThroughput": {"ReadUnitsPerSecond": 13000, "WriteUnitsPerSecond": 4000}})
    assert warmth(raised[1]["TableDescription"]) == (13000, 4000, "UPDATING")
    status, refused = signed_call(virga, "UpdateTable", {"TableName": name, "WarmThroughput": {"ReadUnitsPerSecond": 100}})
    assert status == 400 and refused["message"].endswith(
        "Requested ReadUnitsPerSecond for WarmThroughput for table is lower than current WarmThroughput, decreasing WarmThroughput is not supported")
    assert warmth(signed_call(virga, "DeleteTable", {"TableName": name})[1]["TableDescription"]) is None

    provisioned = {**table, "BillingMode": "PROVISIONED", "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
                   "WarmThroughput": {"ReadUnitsPerSecond": 1000, "WriteUnitsPerSecond": 1200}, "TableName": name + "-p",
                   "GlobalSecondaryIndexes": [{**index, "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2}}]}
    assert warmth(signed_call(virga, "CreateTable", provisioned)[1]["TableDescription"]) == (1000, 1200, "UPDATING")
    described = signed_call(virga, "DescribeTable", {"TableName": name + "-p"})[1]["Table"]
    assert warmth(described) == (1000, 1200, "ACTIVE")
    assert warmth(described["GlobalSecondaryIndexes"][0]) == (1, 2, "ACTIVE")
    signed_call(virga, "DeleteTable", {"TableName": name + "-p"})
