"""Exports to S3 and imports from it."""

import gzip
import json
import uuid

import pytest
from botocore.exceptions import ClientError
from dynamodb_calls import signed_call
from support import eventually, next_second


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
    return exported(client, client.export_table_to_point_in_time(**options)["ExportDescription"]["ExportArn"])


def exported(client, arn):
    def get():
        found = client.describe_export(ExportArn=arn)["ExportDescription"]
        return found["ExportStatus"], found
    return finished(get, "IN_PROGRESS")[1]


def lines_of(s3, description):
    read = lambda key: s3.get_object(Bucket=description["S3Bucket"], Key=key)["Body"].read()  # noqa: E731
    summary = json.loads(read(description["ExportManifest"]))
    files = [json.loads(line) for line in read(summary["manifestFilesS3Key"]).splitlines()]
    lines = [line for f in files for line in gzip.decompress(read(f["dataFileS3Key"])).splitlines()]
    assert len(lines) == summary["itemCount"] == sum(f["itemCount"] for f in files)
    return summary, lines


def items_of(s3, description):
    return {item["p"]["S"]: item for item in (json.loads(line)["Item"] for line in lines_of(s3, description)[1])}


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
    then = next_second()
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

    gone = export(dynamodb, TableArn=arn, S3Bucket="no-such-bucket-" + bucket)
    assert gone["ExportStatus"] == "FAILED" and gone["FailureCode"] == "S3NoSuchBucket"


def test_import_of_csv(virga, dynamodb, name, bucket):
    virga.client("s3").put_object(Bucket=bucket, Key="in/a.csv", Body=b'p;n;text\r\na;1;"one;two"\nb;x;bad number\nc;3;"say ""hi"""\n')
    done = imported(dynamodb, name + "-csv", bucket, InputFormat="CSV", InputFormatOptions={"Csv": {"Delimiter": ";"}})
    assert (done["ImportStatus"], done["ProcessedItemCount"], done["ImportedItemCount"], done["ErrorCount"]) == ("FAILED", 3, 2, 1)
    assert done["FailureCode"] == "ItemValidationError"
    items = sorted(dynamodb.scan(TableName=name + "-csv")["Items"], key=lambda i: i["p"]["S"])
    assert items == [{"p": {"S": "a"}, "n": {"N": "1"}, "text": {"S": "one;two"}}, {"p": {"S": "c"}, "n": {"N": "3"}, "text": {"S": 'say "hi"'}}]


def test_imports_of_what_is_not_there_and_of_lines_with_several(virga, dynamodb, name, bucket):
    gone = imported(dynamodb, name + "-gone", "no-such-bucket-" + bucket, InputFormat="DYNAMODB_JSON")
    assert (gone["ImportStatus"], gone["FailureCode"]) == ("FAILED", "S3NoSuchBucket")
    assert name + "-gone" not in dynamodb.list_tables()["TableNames"]
    none = imported(dynamodb, name + "-none", bucket, prefix="nothing/", InputFormat="DYNAMODB_JSON")
    assert (none["ImportStatus"], none["ProcessedItemCount"]) == ("COMPLETED", 0)
    assert dynamodb.scan(TableName=name + "-none")["Items"] == []

    one = '{"Item":{"p":{"S":"%s"},"n":{"N":"1"}}}'
    virga.client("s3").put_object(Bucket=bucket, Key="several/a", Body=f'{one % "a"}{one % "b"} {one % "c"}\n{one % "d"}'.encode())
    done = imported(dynamodb, name + "-several", bucket, prefix="several/", InputFormat="DYNAMODB_JSON")
    assert (done["ImportStatus"], done["ProcessedItemCount"], done["ImportedItemCount"], done["ErrorCount"]) == ("COMPLETED", 4, 4, 0)
    virga.client("s3").put_object(Bucket=bucket, Key="several/a", Body=f'{one % "a"}{one % "b"} no\nno\n{{"Item":{{}}}}{one % "d"}'.encode())
    some = imported(dynamodb, name + "-some", bucket, prefix="several/", InputFormat="DYNAMODB_JSON")
    assert (some["ImportStatus"], some["ImportedItemCount"], some["ErrorCount"]) == ("FAILED", 3, 3)


# Everything that a value can be, out as Ion and in again.
def test_ion(virga, dynamodb, create_table, name, bucket):
    s3 = virga.client("s3")
    create_table(dynamodb, name, ["p", "n"], {"p": "S", "n": "N"})
    dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    item = {"p": {"S": 'a "quoted"\n\u00e9\U0001f600\x01'}, "n": {"N": "-1200"}, "small": {"N": "0.00000000000000000000000000000000000001"},
            "b": {"B": b"\0\xff"}, "yes": {"BOOL": True}, "none": {"NULL": True}, "odd 'name'": {"S": ""}, "null": {"S": "a name like a word"},
            "l": {"L": [{"N": "1.5"}, {"M": {"$x": {"L": []}}}]}, "m": {"M": {}},
            "ss": {"SS": ["x", "y"]}, "ns": {"NS": ["1", "2.5"]}, "bs": {"BS": [b"1", b"2"]}}
    dynamodb.put_item(TableName=name, Item=item)
    arn = dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
    done = export(dynamodb, TableArn=arn, S3Bucket=bucket, ExportFormat="ION")
    summary, lines = lines_of(s3, done)
    assert summary["outputFormat"] == done["ExportFormat"] == "ION" and len(lines) == 1
    assert lines[0].startswith(b"$ion_1_0 {Item:{") and b"ns:$dynamodb_NS::[1.,2.5]" in lines[0] and b"b:{{AP8=}}" in lines[0]
    more = (b"$ion_1_0 {Item:{p:'a symbol',n:1}}\n"
            b'$ion_1_0 { "Item" : { p : "\\u0041\\x42", n : 12d2, /* a comment */ list : [1_000., null.string, false,] } }\n')
    s3.put_object(Bucket=bucket, Key="ion/a", Body=lines[0] + b"\n" + more)
    copied = imported(dynamodb, name + "-in", bucket, prefix="ion/", InputFormat="ION")
    assert (copied["ImportStatus"], copied["ImportedItemCount"], copied["ErrorCount"]) == ("FAILED", 2, 1)
    found = {i["n"]["N"]: i for i in dynamodb.scan(TableName=name + "-in")["Items"]}
    for values in ("ss", "ns", "bs"):
        kind = values.upper()
        assert sorted(found["-1200"].pop(values)[kind]) == sorted(item.pop(values)[kind])
    assert found["-1200"] == item
    assert found["1200"] == {"p": {"S": "AB"}, "n": {"N": "1200"}, "list": {"L": [{"N": "1000"}, {"NULL": True}, {"BOOL": False}]}}


def test_incremental_export(virga, dynamodb, create_table, name, bucket):
    s3 = virga.client("s3")
    create_table(dynamodb, name, ["p", "n"], {"p": "S", "n": "N"})
    dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    arn = dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
    put = lambda p, v: dynamodb.put_item(TableName=name, Item={"p": {"S": p}, "n": {"N": "1"}, "v": {"N": str(v)}})  # noqa: E731
    delete = lambda p: dynamodb.delete_item(TableName=name, Key={"p": {"S": p}, "n": {"N": "1"}})  # noqa: E731
    for p in ("changed", "deleted", "kept", "later"):
        put(p, 0)
    begin = next_second()
    put("changed", 1), put("changed", 2), put("made", 3), delete("deleted"), put("passing", 4), delete("passing")
    end = next_second()
    put("changed", 9), put("later", 9), put("after", 9), delete("made")

    def changes(times, **options):
        return signed_call(virga, "ExportTableToPointInTime", {
            "TableArn": arn, "S3Bucket": bucket, "ExportType": "INCREMENTAL_EXPORT", "IncrementalExportSpecification": times, **options})
    status, answer = changes({"ExportFromTime": begin, "ExportToTime": end}, S3Prefix="inc")
    told = answer["ExportDescription"]
    assert status == 200 and told["ExportType"] == "INCREMENTAL_EXPORT" and "ExportTime" not in told
    assert told["IncrementalExportSpecification"] == {"ExportFromTime": begin, "ExportToTime": end, "ExportViewType": "NEW_AND_OLD_IMAGES"}
    done = exported(dynamodb, told["ExportArn"])
    assert done["ExportStatus"] == "COMPLETED", done
    summary, lines = lines_of(s3, done)
    assert summary["outputView"] == "NEW_AND_OLD_IMAGES" and summary["exportType"] == "INCREMENTAL_EXPORT"
    records = {r["Keys"]["p"]["S"]: r for r in map(json.loads, lines)}
    seen = {p: (r.get("OldImage", {}).get("v"), r.get("NewImage", {}).get("v")) for p, r in records.items()}
    assert seen == {"changed": ({"N": "0"}, {"N": "2"}), "made": (None, {"N": "3"}), "deleted": ({"N": "0"}, None)}
    assert records["made"]["Keys"] == {"p": {"S": "made"}, "n": {"N": "1"}}
    assert begin <= int(records["made"]["Metadata"]["WriteTimestampMicros"]["N"]) / 1e6 < end

    _, answer = changes({"ExportFromTime": begin, "ExportToTime": end, "ExportViewType": "NEW_IMAGE"}, ExportFormat="ION")
    lines = lines_of(s3, exported(dynamodb, answer["ExportDescription"]["ExportArn"]))[1]
    assert len(lines) == 3 and not any(b"OldImage" in line for line in lines)
    assert any(b'Keys:{n:1.,p:"deleted"}}}' in line for line in lines)
    early = "Incremental export period from time cannot be less than the table creation time : "
    for wrong, code, said in (
            ({"ExportToTime": end}, "ValidationException", "Invalid Request: ExportFromTime must be provided in IncrementalExportSpecification"),
            ({}, "ValidationException", "Invalid Request: ExportFromTime must be provided in IncrementalExportSpecification"),
            ({"ExportFromTime": begin - 3600, "ExportToTime": end}, "InvalidExportTimeException", early),
            ({"ExportFromTime": begin, "ExportToTime": end + 3600}, "InvalidExportTimeException",
             "Incremental export period to time cannot be greater than the current time : ")):
        status, refused = changes(wrong)
        assert status == 400 and refused["__type"].endswith(code) and refused["message"].startswith(said)
    assert changes({"ExportFromTime": end, "ExportToTime": begin})[0] == 400


def test_exports_are_told_and_refused_as_recorded(virga, dynamodb, create_table, name, bucket):
    create_table(dynamodb, name, ["p", "n"], {"p": "S", "n": "N"})
    arn = dynamodb.describe_table(TableName=name)["Table"]["TableArn"]

    def call(**body):
        status, answer = signed_call(virga, "ExportTableToPointInTime", {"TableArn": arn, "S3Bucket": bucket, **body})
        return answer["ExportDescription"] if status == 200 else (answer["__type"].rsplit("#")[1], answer["message"])
    now = int(dynamodb.describe_table(TableName=name)["Table"]["CreationDateTime"].timestamp())
    times = {"ExportFromTime": now - 3600}
    incremental = {"ExportType": "INCREMENTAL_EXPORT"}
    off = ("PointInTimeRecoveryUnavailableException", f"Point in time recovery is not enabled for table '{name}'")
    for body, told in (
            ({}, off), ({"S3Bucket": "no-" + bucket}, off),
            ({**incremental, "IncrementalExportSpecification": times}, ("InvalidExportTimeException", None)),
            ({"TableArn": arn + "-not"}, ("TableNotFoundException", f"Table not found: {arn}-not")),
            ({"TableArn": arn.replace("us-east-1", "us-west-2")}, ("TableNotFoundException", f"Table not found: {arn.replace('us-east-1', 'us-west-2')}")),
            ({"TableArn": name}, ("ValidationException", "One or more parameter values were invalid: tableArn is not a valid ARN")),
            ({"TableArn": arn + "/index/i"}, ("ValidationException", "Invalid Request: Table ARN is invalid.")),
            ({"IncrementalExportSpecification": times}, ("ValidationException", "Invalid Request: Export Type expected to be Incremental Export when "
                                                         "incremental export specification is provided")),
            ({"IncrementalExportSpecification": times, "ExportType": "FULL_EXPORT"}, ("ValidationException", "Invalid Request: When Export Type is Full "
                                                                                      "Export , Incremental Export Specification should not be provided")),
            (incremental, ("ValidationException", "Invalid Request: Incremental Export Specification expected when export type is set as Incremental Export")),
            ({"S3SseKmsKeyId": "k"}, ("ValidationException", "Invalid Request: KMS Key Id is not supported for this encryption type"))):
        found = call(**body)
        assert found[0] == told[0] and told[1] in (None, found[1]), body
    dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    for time in (now + 7200, now - 7200):
        assert call(ExportTime=time) == ("InvalidExportTimeException", "Export Time is invalid")

    first = call(ClientToken="one", S3Prefix="x")
    assert "ExportType" not in first and first["S3SseAlgorithm"] == "AES256"
    assert call(ClientToken="one", S3Prefix="x")["ExportArn"] == first["ExportArn"]
    for other in ({"S3Prefix": "y"}, {"S3Prefix": "x", "ExportFormat": "ION"}, {"S3Prefix": "x", "TableArn": arn + "-not"}):
        assert call(ClientToken="one", **other) == (
            "ExportConflictException", "Export conflict: Duplicate request detected with conflicting parameters")
    arns = [first["ExportArn"]] + [call()["ExportArn"] for _ in range(11)]
    for made in arns:
        exported(dynamodb, made)

    def listed(**body):
        return signed_call(virga, "ListExports", body)[1]
    page = listed(TableArn=arn)
    assert len(page["ExportSummaries"]) == 10 and page["ExportSummaries"][0]["ExportArn"] > page["ExportSummaries"][-1]["ExportArn"]
    rest = listed(TableArn=arn, NextToken=page["NextToken"])
    assert "NextToken" not in rest and {s["ExportArn"] for s in page["ExportSummaries"] + rest["ExportSummaries"]} == set(arns)
    assert listed(NextToken="x")["message"] == "Invalid Request: Provided nextToken is invalid: x"
    for of, operation, member in (("Export", "DescribeExport", "ExportArn"), ("Import", "DescribeImport", "ImportArn")):
        for wrong in (arn, "x" * 40):
            assert signed_call(virga, operation, {member: wrong})[1]["message"] == f"Invalid {of} ARN"
        refused = signed_call(virga, operation, {member: f"{arn}/{of.lower()}/0"})[1]
        assert refused["__type"].endswith(f"{of}NotFoundException")
    assert signed_call(virga, "DescribeExport", {"ExportArn": first["ExportArn"].replace("us-east-1", "us-west-2")})[1]["message"] == \
        "Export not found: Invalid export arn"
    # An export outlives its table, whose successor has none.
    dynamodb.delete_table(TableName=name)
    assert listed(TableArn=arn)["ExportSummaries"] == []
    assert call(ClientToken="one", S3Prefix="x")["ExportArn"] == first["ExportArn"]
    create_table(dynamodb, name, ["p", "n"], {"p": "S", "n": "N"})
    assert listed(TableArn=arn)["ExportSummaries"] == []
    assert dynamodb.describe_export(ExportArn=first["ExportArn"])["ExportDescription"]["ExportStatus"] == "COMPLETED"


def test_imports_are_told_and_refused_as_recorded(virga, dynamodb, name, bucket):
    virga.client("s3").put_object(Bucket=bucket, Key="in/a", Body=b"p;a\nx;y\n")
    table = {"TableName": name, "BillingMode": "PROVISIONED", "ProvisionedThroughput": {"ReadCapacityUnits": 2, "WriteCapacityUnits": 3},
             "AttributeDefinitions": [{"AttributeName": n, "AttributeType": "S"} for n in "pa"], "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
             "GlobalSecondaryIndexes": [{"IndexName": "by-a", "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"},
                                         "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}]}
    options = {"Csv": {"Delimiter": ";", "HeaderList": ["p", "a"]}}

    def call(**body):
        status, answer = signed_call(virga, "ImportTable", {
            "S3BucketSource": {"S3Bucket": bucket, "S3KeyPrefix": "in/"}, "InputFormat": "CSV", "InputFormatOptions": options,
            "TableCreationParameters": table, **body})
        return answer["ImportTableDescription"] if status == 200 else (answer["__type"].rsplit("#")[1], answer["message"])
    assert call(InputFormat="ION") == ("ValidationException", "Invalid Request: Unsupported InputFormatOptions for the given input format: ION.")
    made = call(ClientToken="t-" + name)
    assert made["S3BucketSource"] == {"S3BucketOwner": "000000000000", "S3Bucket": bucket, "S3KeyPrefix": "in/"}
    assert made["InputFormatOptions"] == options
    told = made["TableCreationParameters"]
    for member in ("ProvisionedThroughput", "GlobalSecondaryIndexes", "KeySchema"):
        assert told[member] == table[member]
    assert call(ClientToken="t-" + name, TableCreationParameters={**table, "TableName": name + "-2"}) == (
        "ImportConflictException", "Import conflict: Duplicate request detected with conflicting parameters")
    eventually(lambda: dynamodb.describe_import(ImportArn=made["ImportArn"])["ImportTableDescription"]["ImportStatus"] == "COMPLETED")
    taken = ("ResourceInUseException", f"Table already exists: {name}")
    assert call(ClientToken="t-" + name) == call() == taken
    dynamodb.delete_table(TableName=name)
    assert call(ClientToken="t-" + name)["ImportArn"] == made["ImportArn"]  # and nothing is imported again
    assert name not in dynamodb.list_tables()["TableNames"]
    assert [i["ImportArn"] for i in dynamodb.list_imports(TableArn=made["TableArn"])["ImportSummaryList"]] == [made["ImportArn"]]


def zstd(content):
    """A frame of Zstandard with its content as it is."""
    return b"\x28\xb5\x2f\xfd\xa0" + len(content).to_bytes(4, "little") + (len(content) << 3 | 1).to_bytes(3, "little") + content


def test_import_of_zstd(virga, dynamodb, name, bucket):
    s3 = virga.client("s3")
    lines = b"".join(b'{"Item":{"p":{"S":"k%d"},"n":{"N":"1"}}}\n' % i for i in range(30))
    s3.put_object(Bucket=bucket, Key="in/a", Body=zstd(lines[:500]) + zstd(lines[500:]))
    done = imported(dynamodb, name + "-zstd", bucket, InputFormat="DYNAMODB_JSON", InputCompressionType="ZSTD")
    assert (done["ImportStatus"], done["ImportedItemCount"], done["ErrorCount"]) == ("COMPLETED", 30, 0)
    s3.put_object(Bucket=bucket, Key="in/a", Body=zstd(lines)[:-10])
    cut = imported(dynamodb, name + "-cut", bucket, InputFormat="DYNAMODB_JSON", InputCompressionType="ZSTD")
    assert (cut["ImportStatus"], cut["FailureCode"], cut["ErrorCount"]) == ("FAILED", "ItemValidationError", 1)
    # What is not packed at all is one fault, and the table stays.
    s3.put_object(Bucket=bucket, Key="in/a", Body=lines)
    plain = imported(dynamodb, name + "-plain", bucket, InputFormat="DYNAMODB_JSON", InputCompressionType="GZIP")
    assert (plain["FailureCode"], plain["ProcessedItemCount"], plain["ImportedItemCount"]) == ("ItemValidationError", 1, 0)
    assert dynamodb.scan(TableName=name + "-plain")["Items"] == []


def test_buckets_of_other_regions_and_owners(virga, dynamodb, create_table, name):
    s3 = virga.client("s3", region="eu-west-1")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    create_table(dynamodb, name, ["p", "n"], {"p": "S", "n": "N"})
    dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    dynamodb.put_item(TableName=name, Item={"p": {"S": "a"}, "n": {"N": "1"}})
    arn = dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
    account = arn.split(":")[4]
    done = export(dynamodb, TableArn=arn, S3Bucket=name, S3BucketOwner=account)
    assert (done["ExportStatus"], done["ItemCount"], done["S3BucketOwner"]) == ("COMPLETED", 1, account)
    data = done["ExportManifest"].rsplit("/", 1)[0] + "/data/"
    done = imported(dynamodb, name + "-in", name, prefix=data, InputFormat="DYNAMODB_JSON", InputCompressionType="GZIP")
    assert (done["ImportStatus"], done["ImportedItemCount"]) == ("COMPLETED", 1)
    refused = export(dynamodb, TableArn=arn, S3Bucket=name, S3BucketOwner="999999999999")
    assert refused["ExportStatus"] == "FAILED" and refused["FailureCode"] == "S3AccessDenied"
    with pytest.raises(ClientError, match=f"TableNotFoundException.*Table not found: {arn}-not"):
        dynamodb.export_table_to_point_in_time(TableArn=arn + "-not", S3Bucket=name)
