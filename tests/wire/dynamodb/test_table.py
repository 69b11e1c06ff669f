"""Tables: their life, their indexes, tags, time to live; and that what was acknowledged survives a kill."""

import pytest
from botocore.exceptions import ClientError
from dynamodb_calls import signed_call
from support import eventually


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
    gone = dynamodb.update_table(TableName=name, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "gsi"}}])["TableDescription"]
    assert [(index["IndexName"], index["IndexStatus"]) for index in gone["GlobalSecondaryIndexes"]] == [("gsi", "DELETING")]
    assert "GlobalSecondaryIndexes" not in dynamodb.describe_table(TableName=name)["Table"]
    dynamodb.delete_table(TableName=name)


_UNITS = {"ReadCapacityUnits": 2, "WriteCapacityUnits": 1}
_KEYS = {"KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}
_DEFINED = [{"AttributeName": "p", "AttributeType": "S"}, {"AttributeName": "g", "AttributeType": "S"}]


@pytest.fixture
def change(virga, name):
    """Changes one index: the indexes with their states, or the words of the refusal, its usual beginning shortened."""

    def call(**change):
        status, answer = signed_call(virga, "UpdateTable", {"TableName": name, "AttributeDefinitions": _DEFINED,
                                                            "GlobalSecondaryIndexUpdates": [change]})
        if status == 200:
            return [(index["IndexName"], index["IndexStatus"]) for index in answer["TableDescription"]["GlobalSecondaryIndexes"]]
        assert (status, answer["__type"].split("#")[1]) == (400, "ValidationException")
        return answer["message"].replace("One or more parameter values were invalid: ", "@")

    return call


def test_what_may_change_of_an_index_on_demand(dynamodb, create_table, name, change):
    """In the words of AWS in October 2026."""
    local = {"KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "g", "KeyType": "RANGE"}]}
    create_table(dynamodb, name, ["p", "s"], {"p": "S", "s": "S", "g": "S"}, LocalSecondaryIndexes=[{"IndexName": "lsi", **_KEYS, **local}],
                 GlobalSecondaryIndexes=[{"IndexName": "gsi", **_KEYS}])
    only = "@The only Updates for index: gsi when TableThroughputMode is PAY_PER_REQUEST can be to OnDemandThroughput, WarmThroughput"
    assert change(Update={"IndexName": "gsi", "ProvisionedThroughput": _UNITS}) == only
    assert change(Update={"IndexName": "gsi"}) == only
    assert change(Update={"IndexName": "lsi", "ProvisionedThroughput": _UNITS}) == "Cannot update an index that is not a GlobalSecondaryIndex: lsi"
    assert change(Delete={"IndexName": "lsi"}) == "Cannot delete an index that is not a GlobalSecondaryIndex: lsi"
    assert change(Create={"IndexName": "lsi", **_KEYS}) == "Attempting to create an index which already exists"
    assert change(Delete={"IndexName": "gsi"}, Update={"IndexName": "gsi"}) == (
        "@Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object")
    assert change(Create={"IndexName": "new", **_KEYS, "ProvisionedThroughput": _UNITS}) == (
        "@Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: new when BillingMode is PAY_PER_REQUEST")
    assert change(Update={"IndexName": "gsi", "OnDemandThroughput": {"MaxReadRequestUnits": 0}}) == (
        "@Requested MaxReadRequestUnits for OnDemandThroughput for index : gsi is outside of valid range")
    assert change(Update={"IndexName": "gsi", "OnDemandThroughput": {"MaxReadRequestUnits": 9}}) == [("gsi", "UPDATING")]
    dynamodb.delete_table(TableName=name)


def test_what_may_change_of_a_provisioned_index(virga, dynamodb, name, change):
    """In the words of AWS in October 2026."""
    dynamodb.create_table(TableName=name, KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}], AttributeDefinitions=_DEFINED,
                          ProvisionedThroughput=_UNITS,
                          GlobalSecondaryIndexes=[{"IndexName": "gsi", **_KEYS, "ProvisionedThroughput": _UNITS}])
    assert change(Create={"IndexName": "new", **_KEYS}) == "@Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: new"
    assert change(Update={"IndexName": "gsi", "ProvisionedThroughput": _UNITS}).startswith(
        "The provisioned throughput for the index gsi will not change. The requested value equals the current value. "
        "Current ReadCapacityUnits provisioned for index gsi: 2. Requested ReadCapacityUnits: 2. ")
    assert change(Update={"IndexName": "gsi", "ProvisionedThroughput": {**_UNITS, "WriteCapacityUnits": 2}}) == [("gsi", "UPDATING")]
    status, refused = signed_call(virga, "UpdateTable", {"TableName": name, "OnDemandThroughput": {"MaxReadRequestUnits": 9}})
    assert (status, refused["message"]) == (400, "One or more parameter values were invalid: MaxReadRequestUnits for "
                                                 "OnDemandThroughput cannot be specified when the table BillingMode is PROVISIONED")
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
            ("CreateTable", {**create, "SSESpecification": {"SSEType": "KMS", "KMSMasterKeyId": "k"}}, "SSESpecification"),
            ("CreateTable", {**create, "GlobalTableSettingsReplicationMode": "ENABLED"}, "GlobalTableSettingsReplicationMode")]:
        status, refused = signed_call(virga, operation, {"TableName": table, **body})
        assert status == 400 and refused["message"] == f"{option} is not supported here yet."
