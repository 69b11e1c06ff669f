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


METERED = [{"Key": "virga:enforce-capacity", "Value": "true"}]


def fill(size):
    return {"S": "x" * size}


# What was throttled, and why, is told beside the message.
def test_reasons_of_throttling_name_what_is_throttled(virga, dynamodb, name):
    index = {"IndexName": "by-g", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"},
             "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}
    dynamodb.create_table(
        TableName=name, ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1000}, Tags=METERED, GlobalSecondaryIndexes=[index],
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in "pg"])
    arn = f"arn:aws:dynamodb:us-east-1:000000000000:table/{name}"
    item = {"p": {"S": "a"}, "g": {"S": "g"}, "text": fill(400_000)}

    def until_refused(operation, body):
        for _ in range(400):
            status, out = signed_call(virga, operation, body)
            if status != 200:
                return out
    # An index that can't keep up holds back all writes of its table, those too that it does not hold.
    assert until_refused("PutItem", {"TableName": name, "Item": item})["ThrottlingReasons"] == [
        {"reason": "IndexWriteProvisionedThroughputExceeded", "resource": arn + "/index/by-g"}]
    refused = signed_call(virga, "PutItem", {"TableName": name, "Item": {"p": {"S": "b"}}})[1]
    assert refused["__type"].endswith("ProvisionedThroughputExceededException") and "global secondary indexes" in refused["message"]
    assert until_refused("GetItem", {"TableName": name, "Key": {"p": {"S": "a"}}, "ConsistentRead": True})["ThrottlingReasons"] == [
        {"reason": "TableReadProvisionedThroughputExceeded", "resource": arn}]
    query = {"TableName": name, "IndexName": "by-g", "KeyConditionExpression": "g = :g", "ExpressionAttributeValues": {":g": {"S": "g"}}}
    assert until_refused("Query", query)["ThrottlingReasons"] == [
        {"reason": "IndexReadProvisionedThroughputExceeded", "resource": arn + "/index/by-g"}]


def test_the_maximum_of_on_demand_throughput_is_held(virga, name):
    table = {"TableName": name, "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}], "Tags": METERED,
             "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}], "OnDemandThroughput": {"MaxReadRequestUnits": 1, "MaxWriteRequestUnits": 1}}
    assert signed_call(virga, "CreateTable", table)[0] == 200
    put = {"TableName": name, "Item": {"p": {"S": "a"}, "text": fill(320_000)}}
    assert signed_call(virga, "PutItem", put)[0] == 200
    status, refused = signed_call(virga, "PutItem", put)
    assert (status, refused["__type"].rsplit("#")[1]) == (400, "ThrottlingException")
    assert refused["message"] == "Throughput exceeds the maximum OnDemandThroughput configured on table or index"
    assert refused["throttlingReasons"] == [{
        "reason": "TableWriteMaxOnDemandThroughputExceeded", "resource": f"arn:aws:dynamodb:us-east-1:000000000000:table/{name}"}]
    refused = signed_call(virga, "TransactWriteItems", {"TransactItems": [{"Put": put}]})[1]
    assert [r["Code"] for r in refused["CancellationReasons"]] == ["ThrottlingError"]
    out = signed_call(virga, "BatchExecuteStatement", {"Statements": [{"Statement": f"INSERT INTO \"{name}\" VALUE {{'p': 'b'}}"}]})[1]
    assert out["Responses"][0]["Error"]["Code"] == "ThrottlingError"


# What a batch takes counts for the next of its own; what there is no capacity for is left.
def test_of_a_batch_is_done_what_there_is_capacity_for(dynamodb, name):
    provisioned(dynamodb, name, 1, 2, Tags=METERED)
    out = dynamodb.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": {"p": {"S": str(i)}, "text": fill(250_000)}}} for i in range(4)]})
    left = [r["PutRequest"]["Item"]["p"]["S"] for r in out["UnprocessedItems"][name]]
    assert left == ["3"] and len(dynamodb.scan(TableName=name, ProjectionExpression="p")["Items"]) == 3  # 245 units each of 600


def test_of_a_batch_is_read_what_there_is_capacity_for(dynamodb, name):
    provisioned(dynamodb, name, 1, 1000, Tags=METERED)
    for i in range(5):
        dynamodb.put_item(TableName=name, Item={"p": {"S": str(i)}, "text": fill(400_000)})
    request = {name: {"Keys": [{"p": {"S": str(i)}} for i in range(5)], "ConsistentRead": True, "ProjectionExpression": "p"}}
    out = dynamodb.batch_get_item(RequestItems=request)
    assert len(out["Responses"][name]) == 4  # 98 units each of 300
    assert out["UnprocessedKeys"][name] == {**request[name], "Keys": [{"p": {"S": "4"}}]}
    with pytest.raises(ClientError, match="ProvisionedThroughputExceededException"):
        dynamodb.batch_get_item(RequestItems=request)
    reads = {"TransactItems": [{"Get": {"TableName": name, "Key": {"p": {"S": str(i)}}}} for i in range(2)]}
    statement = f"SELECT * FROM \"{name}\" WHERE p = '1'"
    for refused in (lambda: dynamodb.transact_get_items(**reads), lambda: dynamodb.execute_transaction(TransactStatements=[{"Statement": statement}])):
        with pytest.raises(ClientError, match="TransactionCanceledException.*ProvisionedThroughputExceeded"):
            refused()
    out = dynamodb.batch_execute_statement(Statements=[{"Statement": statement}])["Responses"][0]
    assert out["Error"]["Code"] == "ProvisionedThroughputExceeded"


# A transaction is whole: capacity for a part of it is not enough.
def test_a_transaction_needs_capacity_for_all_of_it(dynamodb, name):
    provisioned(dynamodb, name, 1, 1, Tags=METERED)
    puts = [{"Put": {"TableName": name, "Item": {"p": {"S": str(i)}, "text": fill(100_000)}}} for i in range(3)]
    with pytest.raises(ClientError) as refused:
        dynamodb.transact_write_items(TransactItems=puts)  # 196 units each of 300
    assert [r["Code"] for r in refused.value.response["CancellationReasons"]] == ["None", "None", "ProvisionedThroughputExceeded"]
    assert dynamodb.scan(TableName=name)["Items"] == []
    dynamodb.transact_write_items(TransactItems=puts[:1])


def test_a_condition_that_fails_costs_what_is_there(dynamodb, name):
    provisioned(dynamodb, name, 1, 1, Tags=METERED)
    dynamodb.put_item(TableName=name, Item={"p": {"S": "a"}, "text": fill(200_000)})
    failures = []
    for _ in range(3):
        with pytest.raises(ClientError) as refused:
            dynamodb.put_item(TableName=name, Item={"p": {"S": "a"}}, ConditionExpression="attribute_not_exists(p)")
        failures.append(refused.value.response["Error"]["Code"])
    assert failures == ["ConditionalCheckFailedException", *["ProvisionedThroughputExceededException"] * 2]


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
