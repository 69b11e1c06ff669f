"""Tables: their life, their indexes, tags, time to live; and that what was acknowledged survives a kill."""

import time

import pytest
from botocore.exceptions import ClientError
from dynamodb_calls import signed_call


def eventually(check):
    end = time.monotonic() + 10
    while not check():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_life(dynamodb, create_table, name):
    create_table(dynamodb, name, ["p"], {"p": "S"}, Tags=[{"Key": "a", "Value": "b"}])
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert table["TableStatus"] == "ACTIVE"
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert name in dynamodb.list_tables(ExclusiveStartTableName=name[:-1])["TableNames"]
    assert dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"] == [{"Key": "a", "Value": "b"}]
    with pytest.raises(dynamodb.exceptions.ResourceInUseException):
        create_table(dynamodb, name, ["p"], {"p": "S"})
    assert dynamodb.delete_table(TableName=name)["TableDescription"]["TableStatus"] == "DELETING"
    dynamodb.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 1})


def test_index_added_later_holds_old_and_new_items(dynamodb, create_table, name):
    create_table(dynamodb, name, ["p"], {"p": "S"})
    for i in range(120):
        dynamodb.put_item(TableName=name, Item={"p": {"S": str(i)}, "g": {"S": str(i % 2)}})
    dynamodb.update_table(
        TableName=name, AttributeDefinitions=[{"AttributeName": "g", "AttributeType": "S"}],
        GlobalSecondaryIndexUpdates=[{"Create": {"IndexName": "gsi", "Projection": {"ProjectionType": "KEYS_ONLY"},
                                                 "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}]}}])
    dynamodb.put_item(TableName=name, Item={"p": {"S": "new"}, "g": {"S": "1"}})
    eventually(lambda: dynamodb.describe_table(TableName=name)["Table"]["GlobalSecondaryIndexes"][0]["IndexStatus"] == "ACTIVE")
    found = dynamodb.query(TableName=name, IndexName="gsi", KeyConditionExpression="g = :g", ExpressionAttributeValues={":g": {"S": "1"}})
    assert found["Count"] == 61
    dynamodb.delete_table(TableName=name)


def test_time_to_live_is_described(dynamodb, create_table, name):
    create_table(dynamodb, name, ["p"], {"p": "S"})
    assert dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"] == {"TimeToLiveStatus": "DISABLED"}
    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "e"})
    eventually(lambda: dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED")
    dynamodb.delete_table(TableName=name)


def test_unbuilt_options_are_named(dynamodb, create_table, name):
    with pytest.raises(ClientError, match="SSESpecification"):
        create_table(dynamodb, name, ["p"], {"p": "S"}, SSESpecification={"Enabled": True, "SSEType": "KMS"})


def test_acknowledged_writes_survive_a_kill(own_virga, create_table, name):
    client = own_virga.client("dynamodb")
    create_table(client, name, ["p"], {"p": "S"})
    for i in range(50):
        client.put_item(TableName=name, Item={"p": {"S": str(i)}})
    own_virga.kill()
    own_virga.start()
    assert own_virga.client("dynamodb").scan(TableName=name, Select="COUNT")["Count"] == 50


def test_what_is_not_built_is_named(virga, table):
    """Each alone, too: nothing of a request is passed over."""
    create = {"TableName": "not-made", "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
              "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}]}
    for operation, body, option in [
            ("UpdateTable", {"MultiRegionConsistency": "STRONG"}, "MultiRegionConsistency"),
            ("UpdateTable", {"GlobalTableSettingsReplicationMode": "ENABLED"}, "GlobalTableSettingsReplicationMode"),
            ("UpdateTable", {"GlobalTableWitnessUpdates": [{"Create": {"RegionName": "eu-west-1"}}]}, "GlobalTableWitnessUpdates"),
            ("UpdateTable", {"ReplicaUpdates": [{"Create": {"RegionName": "eu-west-1"}}]}, "ReplicaUpdates"),
            ("CreateTable", {**create, "SSESpecification": {"KMSMasterKeyId": "k"}}, "SSESpecification"),
            ("CreateTable", {**create, "GlobalTableSettingsReplicationMode": "ENABLED"}, "GlobalTableSettingsReplicationMode")]:
        status, refused = signed_call(virga, operation, {"TableName": table, **body})
        assert status == 400 and refused["message"] == f"{option} is not supported here yet."
