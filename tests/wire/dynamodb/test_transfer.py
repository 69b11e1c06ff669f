"""Exports to S3 and imports from it."""

import gzip
import json
import time
import uuid

import pytest
from botocore.exceptions import ClientError
from support import eventually


@pytest.fixture
def name():
    return "t-" + uuid.uuid4().hex[:12]


@pytest.fixture
def bucket(virga, name):
    virga.client("s3").create_bucket(Bucket=name)
    return name


def finished(get, running):
    return eventually(lambda: (found := get())[0] != running and found)


def export(client, **options):
    arn = client.export_table_to_point_in_time(**options)["ExportDescription"]["ExportArn"]

    def get():
        found = client.describe_export(ExportArn=arn)["ExportDescription"]
        return found["ExportStatus"], found
    return finished(get, "IN_PROGRESS")[1]


def items_of(s3, description):
    read = lambda key: s3.get_object(Bucket=description["S3Bucket"], Key=key)["Body"].read()  # noqa: E731
    summary = json.loads(read(description["ExportManifest"]))
    files = [json.loads(line) for line in read(summary["manifestFilesS3Key"]).splitlines()]
    lines = [line for f in files for line in gzip.decompress(read(f["dataFileS3Key"])).splitlines()]
    assert len(lines) == summary["itemCount"] == sum(f["itemCount"] for f in files)
    return {item["p"]["S"]: item for item in (json.loads(line)["Item"] for line in lines)}


def imported(client, name, bucket, **options):
    arn = client.import_table(
        S3BucketSource={"S3Bucket": bucket, "S3KeyPrefix": options.pop("prefix", "in/")},
        TableCreationParameters={"TableName": name, "BillingMode": "PAY_PER_REQUEST",
                                 "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}, {"AttributeName": "n", "AttributeType": "N"}],
                                 "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}]},
        **options)["ImportTableDescription"]["ImportArn"]

    def get():
        found = client.describe_import(ImportArn=arn)["ImportTableDescription"]
        return found["ImportStatus"], found
    return finished(get, "IN_PROGRESS")[1]


def test_export_and_import(virga, dynamodb, create_table, name, bucket):
    s3 = virga.client("s3")
    create_table(dynamodb, name, ["p", "n"], {"p": "S", "n": "N"})
    with pytest.raises(ClientError, match="PointInTimeRecoveryUnavailableException"):
        dynamodb.export_table_to_point_in_time(TableArn=dynamodb.describe_table(TableName=name)["Table"]["TableArn"], S3Bucket=bucket)
    dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    arn = dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
    for i in range(40):
        dynamodb.put_item(TableName=name, Item={"p": {"S": f"k{i}"}, "n": {"N": str(i)}, "b": {"B": b"\0\1"}, "l": {"L": [{"NULL": True}]}})
    then = int(time.time()) + 1
    time.sleep(then - time.time() + 0.05)
    before = {f"k{i}" for i in range(40)}
    for i in range(20, 50):
        dynamodb.put_item(TableName=name, Item={"p": {"S": f"k{i}"}, "n": {"N": str(i)}, "later": {"BOOL": True}})
    dynamodb.delete_item(TableName=name, Key={"p": {"S": "k0"}, "n": {"N": "0"}})

    now = export(dynamodb, TableArn=arn, S3Bucket=bucket, S3Prefix="now")
    assert now["ExportStatus"] == "COMPLETED" and now["ItemCount"] == 49
    assert set(items_of(s3, now)) == {f"k{i}" for i in range(1, 50)}
    past = export(dynamodb, TableArn=arn, S3Bucket=bucket, S3Prefix="past", ExportTime=then)
    found = items_of(s3, past)
    assert set(found) == before and not any("later" in item for item in found.values())
    assert len(dynamodb.list_exports(TableArn=arn)["ExportSummaries"]) == 2

    data = past["ExportManifest"].rsplit("/", 1)[0] + "/data/"
    done = imported(dynamodb, name + "-in", bucket, prefix=data, InputFormat="DYNAMODB_JSON", InputCompressionType="GZIP")
    assert (done["ImportStatus"], done["ImportedItemCount"], done["ErrorCount"]) == ("COMPLETED", 40, 0)
    items = dynamodb.scan(TableName=name + "-in")["Items"]
    assert len(items) == 40 and items[0]["b"] == {"B": b"\0\1"} and items[0]["l"] == {"L": [{"NULL": True}]}

    for option in ({"ExportFormat": "ION"}, ):
        with pytest.raises(ClientError, match="ION is not supported here yet"):
            dynamodb.export_table_to_point_in_time(TableArn=arn, S3Bucket=bucket, **option)
    gone = export(dynamodb, TableArn=arn, S3Bucket="no-such-bucket-" + bucket)
    assert gone["ExportStatus"] == "FAILED" and gone["FailureCode"] == "NoSuchBucket"


def test_import_of_csv(virga, dynamodb, name, bucket):
    virga.client("s3").put_object(Bucket=bucket, Key="in/a.csv", Body=b'p;n;text\r\na;1;"one;two"\nb;x;bad number\nc;3;"say ""hi"""\n')
    done = imported(dynamodb, name + "-csv", bucket, InputFormat="CSV", InputFormatOptions={"Csv": {"Delimiter": ";"}})
    assert (done["ImportStatus"], done["ProcessedItemCount"], done["ImportedItemCount"], done["ErrorCount"]) == ("COMPLETED", 3, 2, 1)
    items = sorted(dynamodb.scan(TableName=name + "-csv")["Items"], key=lambda i: i["p"]["S"])
    assert items == [{"p": {"S": "a"}, "n": {"N": "1"}, "text": {"S": "one;two"}}, {"p": {"S": "c"}, "n": {"N": "3"}, "text": {"S": 'say "hi"'}}]
