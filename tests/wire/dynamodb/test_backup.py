"""Backups and recovery to a point in time."""

import threading
import uuid

import pytest
from botocore.exceptions import ClientError
from support import eventually, next_second


@pytest.fixture
def name():
    return "t-" + uuid.uuid4().hex[:12]


def put(client, table, n, value):
    client.put_item(TableName=table, Item={"p": {"S": f"k{n}"}, "v": {"N": str(value)}, "g": {"S": "g"}})


def state(client, table):
    rows = [i for page in client.get_paginator("scan").paginate(TableName=table) for i in page["Items"]]
    return {i["p"]["S"]: int(i["v"]["N"]) for i in rows}


def make(client, create_table, name):
    return create_table(client, name, ["p"], {"p": "S", "g": "S"}, GlobalSecondaryIndexes=[
        {"IndexName": "by-g", "Projection": {"ProjectionType": "ALL"}, "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}]}])


def active(client, table):
    return eventually(lambda: client.describe_table(TableName=table)["Table"]["TableStatus"] == "ACTIVE")


def test_backup_and_restore(dynamodb, create_table, name):
    make(dynamodb, create_table, name)
    for n in range(450):
        put(dynamodb, name, n, n)
    details = dynamodb.create_backup(TableName=name, BackupName="first")["BackupDetails"]
    arn = details["BackupArn"]
    assert f"table/{name}/backup/" in arn
    put(dynamodb, name, 0, -1)
    eventually(lambda: dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]["BackupStatus"] == "AVAILABLE")
    described = dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]
    assert described["SourceTableDetails"]["ItemCount"] == 450
    assert described["SourceTableFeatureDetails"]["GlobalSecondaryIndexes"][0]["IndexName"] == "by-g"
    assert [b["BackupArn"] for b in dynamodb.list_backups(TableName=name)["BackupSummaries"]] == [arn]

    with pytest.raises(ClientError, match="TableAlreadyExistsException"):
        dynamodb.restore_table_from_backup(TargetTableName=name, BackupArn=arn)
    target = name + "-r"
    made = dynamodb.restore_table_from_backup(TargetTableName=target, BackupArn=arn)["TableDescription"]
    assert made["TableStatus"] == "CREATING" and made["RestoreSummary"]["RestoreInProgress"]
    active(dynamodb, target)
    assert state(dynamodb, target) == {f"k{n}": n for n in range(450)}
    assert dynamodb.query(TableName=target, IndexName="by-g", KeyConditionExpression="g = :g", Select="COUNT",
                          ExpressionAttributeValues={":g": {"S": "g"}})["Count"] == 450
    assert dynamodb.delete_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]["BackupStatus"] == "DELETED"
    with pytest.raises(ClientError, match="BackupNotFoundException"):
        dynamodb.describe_backup(BackupArn=arn)


# While a table is restored others are told that it is in use, or that there is none yet. A backup serves one restore at a time.
def test_what_is_refused_while_a_table_is_restored(dynamodb, create_table, name):
    create_table(dynamodb, name, ["p"], {"p": "S"}, StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    for at in range(0, 1500, 25):
        dynamodb.batch_write_item(RequestItems={name: [
            {"PutRequest": {"Item": {"p": {"S": f"k{n}"}, "text": {"S": "x" * 4000}}}} for n in range(at, at + 25)]})
    arn = dynamodb.create_backup(TableName=name, BackupName="one")["BackupDetails"]["BackupArn"]
    described = lambda: dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]  # noqa: E731
    eventually(lambda: described()["BackupDetails"]["BackupStatus"] == "AVAILABLE")
    assert described()["SourceTableFeatureDetails"]["StreamDescription"] == {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}

    def refusal(call):
        try:
            call()
        except ClientError as refused:
            return refused.response["Error"]["Code"], refused.response["Error"]["Message"]

    def tries(target):
        made = dynamodb.restore_table_from_backup(TargetTableName=target, BackupArn=arn)["TableDescription"]["TableArn"]
        found = [refusal(call) for call in (
            lambda: dynamodb.restore_table_from_backup(TargetTableName=target, BackupArn=arn),
            lambda: dynamodb.restore_table_from_backup(TargetTableName=target + "-2", BackupArn=arn),
            lambda: dynamodb.delete_backup(BackupArn=arn),
            lambda: create_table(dynamodb, target, ["p"], {"p": "S"}),
            lambda: dynamodb.tag_resource(ResourceArn=made, Tags=[{"Key": "k", "Value": "v"}]),
            lambda: dynamodb.update_table(TableName=target, BillingMode="PAY_PER_REQUEST"),
            lambda: dynamodb.describe_continuous_backups(TableName=target),
            lambda: dynamodb.create_backup(TableName=target, BackupName="two"),
            lambda: dynamodb.get_item(TableName=target, Key={"p": {"S": "k0"}}))]
        return found if "RestoreSummary" in dynamodb.describe_table(TableName=target)["Table"] else None
    for i in range(20):  # until the restore takes longer than that
        target = f"{name}-{i}"
        found = tries(target)
        active(dynamodb, target)
        if found:
            break
        eventually(lambda: refusal(lambda: dynamodb.describe_table(TableName=target + "-2")) or active(dynamodb, target + "-2"))
    none = ("ResourceNotFoundException", f"Requested resource not found: Table: {target} not found")
    assert found == [
        ("TableInUseException", f"Table: {target} is already being restored from backup: {arn}"),
        ("BackupInUseException", f"Backup is being used to restore another table: {arn}"),
        ("BackupInUseException", f"Backup is being used to restore table: {arn}"),
        ("ResourceInUseException", f"Table is being used: {target}"),
        ("ResourceNotFoundException", found[4][1]), none,
        ("TableNotFoundException", f"Table not found: {target}"), ("TableNotFoundException", f"Table not found: {target}"),
        ("ResourceNotFoundException", "Requested resource not found")]
    assert "RestoreSummary" not in dynamodb.describe_table(TableName=target)["Table"]


def test_point_in_time(dynamodb, create_table, name):
    make(dynamodb, create_table, name)
    put(dynamodb, name, 0, 1)
    with pytest.raises(ClientError, match="PointInTimeRecoveryUnavailableException"):
        dynamodb.restore_table_to_point_in_time(SourceTableName=name, TargetTableName=name + "-x", UseLatestRestorableTime=True)
    out = dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    assert out["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    for n in range(1, 300):
        put(dynamodb, name, n, n)
    expected, then = state(dynamodb, name), next_second()
    for n in range(0, 300, 2):
        dynamodb.delete_item(TableName=name, Key={"p": {"S": f"k{n}"}})
    for n in range(250, 350):
        put(dynamodb, name, n, -n)
    dynamodb.restore_table_to_point_in_time(SourceTableName=name, TargetTableName=name + "-then", RestoreDateTime=then)
    dynamodb.restore_table_to_point_in_time(SourceTableName=name, TargetTableName=name + "-now", UseLatestRestorableTime=True)
    active(dynamodb, name + "-then"), active(dynamodb, name + "-now")
    assert state(dynamodb, name + "-then") == expected
    assert state(dynamodb, name + "-now") == state(dynamodb, name)
    assert dynamodb.scan(TableName=name + "-then", IndexName="by-g", Select="COUNT")["Count"] == len(expected)
    with pytest.raises(ClientError, match="InvalidRestoreTimeException.*RestoreDateTime '.*Z' must be within EarliestRestorableDateTime '.*Z' and LatestRestorableDateTime '.*Z'"):
        dynamodb.restore_table_to_point_in_time(SourceTableName=name, TargetTableName=name + "-x", RestoreDateTime=then - 3600)
    dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False})


def test_a_backup_is_of_one_instant(dynamodb, create_table, name):
    """Two items that always sum to nothing, moved by transactions while backups are made."""
    make(dynamodb, create_table, name)
    put(dynamodb, name, "a", 0), put(dynamodb, name, "b", 0)
    stop = threading.Event()

    def move():
        while not stop.is_set():
            dynamodb.transact_write_items(TransactItems=[
                {"Update": {"TableName": name, "Key": {"p": {"S": key}}, "UpdateExpression": "ADD v :d",
                            "ExpressionAttributeValues": {":d": {"N": d}}}} for key, d in (("ka", "1"), ("kb", "-1"))])

    mover = threading.Thread(target=move)
    mover.start()
    try:
        for i in range(3):
            arn = dynamodb.create_backup(TableName=name, BackupName=f"backup{i}")["BackupDetails"]["BackupArn"]
            eventually(lambda: dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]["BackupStatus"] == "AVAILABLE")
            dynamodb.restore_table_from_backup(TargetTableName=f"{name}-{i}", BackupArn=arn)
            active(dynamodb, f"{name}-{i}")
            got = state(dynamodb, f"{name}-{i}")
            assert got["ka"] + got["kb"] == 0
    finally:
        stop.set()
        mover.join()


def test_a_restore_survives_a_kill(own_virga, create_table, name):
    client = own_virga.client("dynamodb")
    make(client, create_table, name)
    for at in range(0, 3000, 25):
        client.batch_write_item(RequestItems={name: [
            {"PutRequest": {"Item": {"p": {"S": f"k{n}"}, "v": {"N": str(n)}, "g": {"S": "g"}}}} for n in range(at, at + 25)]})
    arn = client.create_backup(TableName=name, BackupName="kept")["BackupDetails"]["BackupArn"]
    own_virga.kill()
    client = own_virga.start().client("dynamodb")
    eventually(lambda: client.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]["BackupStatus"] == "AVAILABLE")
    client.restore_table_from_backup(TargetTableName=name + "-r", BackupArn=arn)
    own_virga.kill()
    client = own_virga.start().client("dynamodb")
    active(client, name + "-r")
    assert state(client, name + "-r") == {f"k{n}": n for n in range(3000)}
    assert client.scan(TableName=name + "-r", IndexName="by-g", Select="COUNT")["Count"] == 3000
