"""What AWS refuses and in which words, and the little that it leaves out: corners that clients and their tests lean on."""

import gzip
import json
import urllib.error
import urllib.request
import zlib

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from dynamodb_calls import signed_call
from support import eventually


def refused(words):
    return pytest.raises(ClientError, match=f"(?s)ValidationException.*{words}")


def by_hash(attribute, **more):
    return {"KeySchema": [{"AttributeName": attribute, "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}, **more}


def add_index(dynamodb, table, index, attribute, attribute_type="S", **more):
    return dynamodb.update_table(
        TableName=table, AttributeDefinitions=[{"AttributeName": attribute, "AttributeType": attribute_type}],
        GlobalSecondaryIndexUpdates=[{"Create": by_hash(attribute, IndexName=index)}], **more)


def test_expressions(dynamodb, table, p):
    def update(expression, **values):
        return dynamodb.update_item(TableName=table, Key={"p": p}, UpdateExpression=expression,
                                    ExpressionAttributeValues={":" + name: value for name, value in values.items()})
    one, text, many = {"N": "1"}, {"S": "x"}, {"L": [{"S": "x"}]}
    with refused('Syntax error; token: "_", near: "SET _a"'):
        update("SET _a = :one", one=one)
    update("SET a_1 = :text", text=text)
    with refused("The function is not allowed to be used this way in an expression; function: list_append"):
        update("SET a = list_append(list_append(:a, :b), :a)", a=many, b=many)
    update("SET a = list_append(if_not_exists(a, :a), :b)", a=many, b=many)
    with refused("Number overflow"):
        update("SET n = :large - :one", large={"N": "1e50"}, one=one)
    with refused("Empty attribute name"):
        dynamodb.get_item(TableName=table, Key={"p": p}, ProjectionExpression="#n", ExpressionAttributeNames={"#n": ""})
    with refused("Empty attribute name"):
        dynamodb.put_item(TableName=table, Item={"p": p, "": one})
    with refused("Empty attribute name"):
        dynamodb.update_item(TableName=table, Key={"p": p}, AttributeUpdates={"": {"Value": one}})


def test_what_is_not_there_does_not_lack_a_part(dynamodb, table, p):
    dynamodb.put_item(TableName=table, Item={"p": p, "a": {"S": "hello"}})

    def put(attribute):
        condition = {"ComparisonOperator": "NOT_CONTAINS", "AttributeValueList": [{"S": "dog"}]}
        dynamodb.put_item(TableName=table, Item={"p": p, "a": {"S": "hello"}}, Expected={attribute: condition})
    put("a")
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
        put("b")


def test_a_query_of_one_item_is_not_restarted(dynamodb, table, p):
    with refused("The provided exclusive start key is invalid: ExclusiveStartKey"):
        dynamodb.query(TableName=table, KeyConditionExpression="p = :p", ExpressionAttributeValues={":p": p}, ExclusiveStartKey={"p": p})


def test_tables(dynamodb, create_table, name):
    twice = [{"AttributeName": "p", "AttributeType": "S"}, {"AttributeName": "p", "AttributeType": "N"}]
    with refused("Attribute Name is duplicated: p"):
        dynamodb.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", AttributeDefinitions=twice,
                              KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}])
    with refused("Duplicate"):
        some = by_hash("x", IndexName="gsi", Projection={"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "a"]})
        create_table(dynamodb, name, ["p"], {"p": "S", "x": "S"}, GlobalSecondaryIndexes=[some])
    create_table(dynamodb, name, ["p"], {"p": "S", "x": "S"}, GlobalSecondaryIndexes=[by_hash("x", IndexName="gsi")])
    with refused("already exists"):
        add_index(dynamodb, name, "gsi", "y")
    with refused("Attributes cannot be redefined"):
        add_index(dynamodb, name, "other", "x", "N")
    with refused("invalid: AttributeDefinitions is not specified for index: other"):
        dynamodb.update_table(TableName=name, GlobalSecondaryIndexUpdates=[{"Create": by_hash("x", IndexName="other")}])
    with refused("At least one of"):
        dynamodb.update_table(TableName=name, GlobalSecondaryIndexUpdates=[])
    with refused("Only one global secondary index action"):
        dynamodb.update_table(TableName=name, GlobalSecondaryIndexUpdates=[
            {"Create": by_hash("x", IndexName="other"), "Delete": {"IndexName": "gsi"}}])
    with refused("Table has no stream to disable"):
        dynamodb.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})
    last = dynamodb.delete_table(TableName=name)["TableDescription"]
    assert last["TableName"] == name and not {"KeySchema", "AttributeDefinitions", "CreationDateTime", "GlobalSecondaryIndexes"} & last.keys()


# What a key of an index may not be is no reason to refuse an item that is older than the index.
def test_items_that_no_index_takes_are_left_out_of_a_new_one(dynamodb, create_table, name):
    create_table(dynamodb, name, ["p"], {"p": "S"})
    for key, value in (("fits", "x" * 2048), ("long", "x" * 2049), ("longer", "x" * 70000), ("empty", "")):
        dynamodb.put_item(TableName=name, Item={"p": {"S": key}, "x": {"S": value}})
    add_index(dynamodb, name, "gsi", "x")
    eventually(lambda: dynamodb.describe_table(TableName=name)["Table"]["GlobalSecondaryIndexes"][0]["IndexStatus"] == "ACTIVE")
    assert [item["p"]["S"] for item in dynamodb.scan(TableName=name, IndexName="gsi")["Items"]] == ["fits"]
    dynamodb.delete_table(TableName=name)


def test_names_of_tables(virga):
    value = "Value '{}' at 'tableName' failed to satisfy constraint: Member must "
    short, pattern = "have length greater than or equal to 3", "satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
    for operation in ("GetItem", "DescribeTable"):
        for name, count, said in (("ab", "1 validation error", [short]), ("a" * 256, "1 validation error", ["have length less than or equal to 255"]),
                                  ("x!", "2 validation errors", [short, pattern]), ("abc;", "1 validation error", [pattern])):
            status, answer = raw(virga, operation, {"TableName": name, "Key": {"p": {"S": "a"}}})
            assert status == 400
            assert json.loads(answer)["message"] == f"{count} detected: " + "; ".join(value.format(name) + one for one in said)


# What can be said of a key without its table is told of the request, the rest as the reason of its cancellation.
def test_keys_in_transactions(dynamodb, create_table, name):
    create_table(dynamodb, name, ["p"], {"p": "S", "x": "B"}, GlobalSecondaryIndexes=[by_hash("x", IndexName="gsi")])
    check = {"ConditionExpression": "attribute_not_exists(p)"}
    update = {"UpdateExpression": "SET a = :a", "ExpressionAttributeValues": {":a": {"S": "a"}}}

    def reasons(operation, *items):
        with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as cancelled:
            getattr(dynamodb, operation)(TransactItems=items)
        return [(reason["Code"], reason.get("Message")) for reason in cancelled.value.response["CancellationReasons"]]

    for action, more in (("Update", update), ("Delete", {}), ("ConditionCheck", check)):
        with refused("not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: p"):
            dynamodb.transact_write_items(TransactItems=[{action: {"TableName": name, "Key": {"p": {"S": ""}}, **more}}])
        for key in ({"N": "5"}, {"L": [{"S": "x"}]}):
            assert reasons("transact_write_items", {action: {"TableName": name, "Key": {"p": key}, **more}}) == [
                ("ValidationError", "The provided key element does not match the schema")]
    put = lambda **item: {"Put": {"TableName": name, "Item": item}}  # noqa: E731
    with refused("cannot contain an empty string value. Key: p"):
        dynamodb.transact_write_items(TransactItems=[put(p={"N": "1"}), put(p={"S": ""})])
    with refused("cannot contain an empty binary value. IndexName: gsi, IndexKey: x"):
        dynamodb.transact_write_items(TransactItems=[put(p={"S": "a"}, x={"B": b""})])
    mismatch = "One or more parameter values were invalid: Type mismatch for key p expected: S actual: N"
    assert reasons("transact_write_items", put(p={"S": "a"}), put(p={"N": "1"})) == [("None", None), ("ValidationError", mismatch)]
    get = lambda **key: {"Get": {"TableName": name, "Key": key}}  # noqa: E731
    assert reasons("transact_get_items", get(p={"S": "a"}), get(), get(p={"S": "b"})) == [
        ("None", None), ("ValidationError", "The provided key element does not match the schema"), ("None", None)]
    dynamodb.delete_table(TableName=name)


def test_conditions_of_queries(dynamodb, sorted_table):
    values = {":p": {"S": "a"}, ":a": {"N": "1"}, ":b": {"N": "2"}}
    for expression, said in (
            ("p = :p AND s > :a AND s < :b", "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key"),
            ("p = :p AND s > :a AND extra = :b",
             r"The number of query conditions \(3\) exceeds the number of key attributes defined in the schema \(2\)")):
        with refused(said):
            dynamodb.query(TableName=sorted_table, KeyConditionExpression=expression, ExpressionAttributeValues=values)


def test_zero_has_the_range_of_its_exponent(dynamodb, table):
    for number, said in (("0e126", "larger than supported"), ("0e-131", "smaller than supported"),
                         ("1e9223372036854775808", "cannot be converted to a numeric value: 1e9223372036854775808")):
        with refused(said):
            dynamodb.put_item(TableName=table, Item={"p": {"S": "zero"}, "n": {"N": number}})


def test_tags(virga, dynamodb, create_table, name):
    create_table(dynamodb, name, ["p"], {"p": "S", "x": "S"}, GlobalSecondaryIndexes=[by_hash("x", IndexName="gsi")])
    table = dynamodb.describe_table(TableName=name)["Table"]
    for key, value in (("hi!", "dog"), ("dog", '"hi"')):
        with refused("The Tag (Key|Value) provided is invalid"):
            dynamodb.tag_resource(ResourceArn=table["TableArn"], Tags=[{"Key": key, "Value": value}])
    with refused("One or more parameter values were invalid: Invalid resource arn provided, only table or stream is accepted. Provided resource arn: arn:"):
        dynamodb.list_tags_of_resource(ResourceArn=table["GlobalSecondaryIndexes"][0]["IndexArn"])
    with refused("One or more parameter values were invalid: ARNs must start with 'arn:'"):
        dynamodb.tag_resource(ResourceArn="nowhere", Tags=[{"Key": "a", "Value": "b"}])
    elsewhere = table["TableArn"].replace("us-east-1", "us-west-2")
    for wrong, said in ((elsewhere, "Invalid TableArn: Invalid ResourceArn provided as input " + elsewhere),
                        (table["TableArn"] + "/backup/1", "One or more parameter values were invalid: Provided Arn is not a DynamoDB resource arn: ")):
        with refused(said):
            dynamodb.list_tags_of_resource(ResourceArn=wrong)
    for given, what in ((elsewhere, "AWS region"), (table["GlobalSecondaryIndexes"][0]["IndexArn"], "resource type")):
        for operation in ("DescribeTable", "DescribeTimeToLive", "DescribeContinuousBackups"):
            status, answer = raw(virga, operation, {"TableName": given})
            assert (status, json.loads(answer)["message"]) == (400, f"1 validation error detected: Invalid {what} in '{given}'")
    status, answer = raw(virga, "TagResource", {"ResourceArn": table["TableArn"], "Tags": [{"Key": "k\u00e9y", "Value": "a b/c"}]})
    assert (status, answer) == (200, b"")
    dynamodb.delete_table(TableName=name)


def signed(virga, operation, body, headers):
    request = AWSRequest("POST", virga.url + "/", data=body, headers={
        "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810." + operation, **headers})
    SigV4Auth(Credentials("test", "test"), "dynamodb", "us-east-1").add_auth(request)
    return urllib.request.urlopen(urllib.request.Request(request.url, body, dict(request.headers)))


def raw(virga, operation, content, **headers):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    try:
        with signed(virga, operation, body, headers) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()


# DynamoDB takes what it can't unpack for a fault of its own.
def test_packed_requests(virga, dynamodb, table, p):
    content = json.dumps({"TableName": table, "Item": {"p": p}}).encode()
    packed = {"Content-Encoding": "gzip"}
    for damaged in (content, gzip.compress(content)[:-1], b"", gzip.compress(content[:-1] + b" " * (20 << 20) + b"}")):
        status, answer = raw(virga, "PutItem", damaged, **packed)
        assert status == 500 and b"InternalServerError" in answer
    for coding in ("deflate", "garbage"):
        assert raw(virga, "PutItem", content, **{"Content-Encoding": coding})[0] == 500
    assert "Item" not in dynamodb.get_item(TableName=table, Key={"p": p})
    assert raw(virga, "PutItem", gzip.compress(content[:9]) + gzip.compress(content[9:]), **packed)[0] == 200
    assert dynamodb.get_item(TableName=table, Key={"p": p})["Item"] == {"p": p}
    assert raw(virga, "DeleteItem", zlib.compress(json.dumps({"TableName": table, "Key": {"p": p}}).encode()),
               **{"Content-Encoding": "deflate"})[0] == 200
    assert "Item" not in dynamodb.get_item(TableName=table, Key={"p": p})


# Answers of more than 4 KB come packed to clients that say so, with the checksum of what is sent.
@pytest.mark.parametrize("coding, unpack", [("gzip", gzip.decompress), ("deflate", zlib.decompress)])
def test_packed_answers(virga, dynamodb, table, p, coding, unpack):
    def get(attributes, **headers):
        body = json.dumps({"TableName": table, "Key": {"p": p}, "ProjectionExpression": attributes}).encode()
        with signed(virga, "GetItem", body, headers) as answer:
            sent = answer.read()
            assert int(answer.headers["x-amz-crc32"]) == zlib.crc32(sent)
            return answer.headers["Content-Encoding"], sent

    item = {"few": {"S": "x" * 3000}, "more": {"S": "y" * 5000}, "many": {"S": "é" * 100_000}}
    dynamodb.put_item(TableName=table, Item={"p": p, **item})
    for attribute in ("more", "many"):
        packing, sent = get(attribute, **{"Accept-Encoding": f"br, {coding}"})
        assert packing == coding and len(sent) < 1000 and json.loads(unpack(sent)) == {"Item": {attribute: item[attribute]}}
    for attribute, accepted in (("few", coding), ("many", "identity")):
        packing, sent = get(attribute, **{"Accept-Encoding": accepted})
        assert packing is None and json.loads(sent) == {"Item": {attribute: item[attribute]}}


def test_transactions(dynamodb, table, p):
    def put(item, **more):
        return {"Put": {"TableName": table, "Item": item, **more}}
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as caught:
        dynamodb.transact_write_items(TransactItems=[
            put({"p": p}, ConditionExpression="attribute_exists(p)"), put({"p": {"N": "7"}}), put({"p": {"N": "8"}})])
    reasons = caught.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "ValidationError", "None"] and "Message" not in reasons[2]
    with refused("size cannot exceed 4 MB"):
        dynamodb.transact_write_items(TransactItems=[put({"p": {"S": str(i)}, "x": {"S": "x" * 100_000}}) for i in range(50)])


def test_streams(virga, dynamodb, create_table, name):
    create_table(dynamodb, name, ["p"], {"p": "S"}, StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    streams = virga.client("dynamodbstreams")
    arn = dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"]
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]
    for call, limit in ((streams.list_streams, 101), (lambda **options: streams.describe_stream(StreamArn=arn, **options), 101)):
        with refused("less than or equal to 100"):
            call(Limit=limit)
    for kind in ("TRIM_HORIZON", "LATEST"):
        with refused("SequenceNumber"):
            streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=kind,
                                       SequenceNumber=shard["SequenceNumberRange"]["StartingSequenceNumber"])
    dynamodb.delete_table(TableName=name)


def test_what_aws_says_of_settings(virga, dynamodb, create_table, name):
    """In the words of AWS in October 2026."""
    made = {"TableName": name, "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}]}
    create_table(dynamodb, name, ["p"], {"p": "S"})
    arn = dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
    wrong = "One or more parameter values were invalid: "
    for operation, body, words in (
        ("CreateTable", {**made, "StreamSpecification": {"StreamEnabled": True}},
         wrong + "Table is being created with a stream enabled, UpdateViewType is required"),
        ("CreateTable", {**made, "StreamSpecification": {"StreamEnabled": False, "StreamViewType": "NEW_IMAGE"}},
         wrong + "Table is being created with a stream disabled, UpdateViewType should not be specified"),
        ("UpdateTable", {"TableName": name, "StreamSpecification": {"StreamEnabled": True}},
         wrong + "If stream is being enabled then UpdateViewType is required"),
        ("UpdateTable", {"TableName": name, "StreamSpecification": {"StreamEnabled": False, "StreamViewType": "NEW_IMAGE"}},
         wrong + "If stream is being disabled, then UpdateViewType must not be specified"),
        ("TagResource", {"ResourceArn": arn, "Tags": [{"Key": "aws:x", "Value": "1"}]}, "Tag Key cannot be prefixed with aws:, Key: aws:x"),
        ("TagResource", {"ResourceArn": arn, "Tags": [{"Key": "x", "Value": "1"}, {"Key": "x", "Value": "2"}]},
         "Duplicate Tag Keys provided as input: Duplicate Tag Key found x"),
        ("TagResource", {"ResourceArn": arn, "Tags": [{"Key": f"x{i}", "Value": ""} for i in range(51)]},
         "Number of Tags exceed the current limit for the provided ResourceArn"),
        ("PutResourcePolicy", {"ResourceArn": arn, "Policy": "{"}, wrong + "Invalid policy document: This policy contains invalid Json"),
        ("PutResourcePolicy", {"ResourceArn": arn, "Policy": "{" + " " * 20480}, wrong + "Maximum policy size of 20480 bytes exceeded"),
        ("UpdateContinuousBackups", {"TableName": name, "PointInTimeRecoverySpecification":
                                     {"PointInTimeRecoveryEnabled": False, "RecoveryPeriodInDays": 7}},
         "Invalid Request: Cannot specify RecoveryPeriodInDays when disabling point-in-time recovery."),
    ):
        status, answer = signed_call(virga, operation, body)
        assert (status, answer.get("message")) == (400, words), operation
    dynamodb.delete_table(TableName=name)


def test_what_update_table_changes_alone(virga, create_table, dynamodb, name):
    """In the words of AWS in October 2026, which of two such faults it tells included."""
    create_table(dynamodb, name, ["p"], {"p": "S", "x": "S"}, GlobalSecondaryIndexes=[by_hash("x", IndexName="gsi")])
    wrong, alone = "One or more parameter values were invalid: ", " must be the only operation in the request"
    units = {"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}
    stream = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}}
    most, warm = {"OnDemandThroughput": {"MaxReadRequestUnits": 9}}, {"WarmThroughput": {"ReadUnitsPerSecond": 13000}}
    protect, infrequent = {"DeletionProtectionEnabled": True}, {"TableClass": "STANDARD_INFREQUENT_ACCESS"}
    encrypt = {"SSESpecification": {"Enabled": True, "SSEType": "KMS"}}
    add = {"GlobalSecondaryIndexUpdates": [{"Create": by_hash("x", IndexName="new")}],
           "AttributeDefinitions": [{"AttributeName": "x", "AttributeType": "S"}]}
    remove = {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "gsi"}}]}
    iops = "You cannot create or delete index while updating table IOPS"

    def update(**change):
        status, answer = signed_call(virga, "UpdateTable", {"TableName": name, **change})
        return answer["message"] if status == 400 else status
    for change, words in (
        ({**encrypt, **infrequent, **protect}, "Server-Side Encryption modification" + alone),
        ({**infrequent, **protect, **stream}, "TableClass modification" + alone),
        ({**protect, **warm}, "DeletionProtection modification" + alone),
        ({**protect, **add}, "DeletionProtection modification" + alone),
        ({**warm, **stream}, "WarmThroughput" + alone),
        ({**warm, "BillingMode": "PAY_PER_REQUEST"}, "WarmThroughput" + alone),
        ({**warm, **most}, "OnDemandThroughput can only be combined with BillingMode in an UpdateTable request"),
        ({**stream, **most}, "OnDemandThroughput can only be combined with BillingMode in an UpdateTable request"),
        ({**warm, **add}, "Create global secondary index cannot be specified when updating WarmThroughput"),
        ({**stream, **units}, "You cannot modify stream status while updating table IOPS"),
        ({**stream, **units, "BillingMode": "PROVISIONED"}, "You cannot modify stream status while updating table IOPS"),
        ({**add, **units}, iops), ({**remove, **units}, iops),
        ({**add, **stream}, "You cannot create or delete index while changing stream status"),
        ({"GlobalSecondaryIndexUpdates": [], **protect}, "List of GlobalSecondaryIndexUpdates is empty"),
        ({"GlobalSecondaryIndexUpdates": [{"Update": {"IndexName": "no-such", "WarmThroughput": {}}}], **infrequent},
         "WarmThroughput must have at least one of ReadUnitsPerSecond or WriteUnitsPerSecond specified for index: no-such"),
        ({"SSESpecification": {}}, "Table is already encrypted by default"),
        ({"SSESpecification": {"Enabled": False}}, "Table is already encrypted by default"),
        ({"SSESpecification": {"Enabled": False, "SSEType": "KMS"}}, "SSEType can not be specified if Enabled is false"),
        ({"SSESpecification": {"Enabled": False, "KMSMasterKeyId": "k"}}, "KMSMasterKeyId can not be specified if Enabled is false"),
        ({"SSESpecification": {"Enabled": True, "KMSMasterKeyId": "k"}}, "SSEType KMS is required if KMSMasterKeyId is specified"),
        ({"SSESpecification": {"Enabled": True, "SSEType": "AES256"}}, "SSEType AES256 is not supported"),
    ):
        assert update(**change) == wrong + words
    no_class = "Invalid table-class parameter provided. Please try again with a valid table-class value: [STANDARD, STANDARD_INFREQUENT_ACCESS]."
    assert update(TableClass="GLACIER") == no_class
    required = update(GlobalSecondaryIndexUpdates=[])
    assert required.startswith("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates, ")
    assert required.endswith(" MultiRegionConsistency, DeletionProtectionEnabled, OnDemandThroughput, WarmThroughput or TableClass is required")
    ghost = {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "ghost"}}]}
    assert update(**ghost) == f"Requested resource not found: Index ghost for table {name}"
    assert update(BillingMode="PAY_PER_REQUEST", **stream) == update(BillingMode="PAY_PER_REQUEST", **most) == 200
    assert update(WarmThroughput={}, **infrequent) == update(BillingMode="PAY_PER_REQUEST", OnDemandThroughput={}) == 200
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert table["StreamSpecification"]["StreamEnabled"] and len(table["GlobalSecondaryIndexes"]) == 1
    dynamodb.delete_table(TableName=name)


def test_new_tables(virga, name):
    """In the words of AWS in October 2026."""
    made = {"TableName": name, "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}]}
    provisioned = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": {"ReadCapacityUnits": 10, "WriteCapacityUnits": 10}}
    index = {**by_hash("p"), "IndexName": "gsi"}
    page = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html#on-demand-capacity-mode-initial"
    lower = "Requested ReadUnitsPerSecond for WarmThroughput for %s is lower than "
    outside = "Requested MaxReadRequestUnits for OnDemandThroughput for %s is outside of valid range"
    for more, words in (
        ({"WarmThroughput": {"ReadUnitsPerSecond": -1, "WriteUnitsPerSecond": -1}}, lower % "table" + "initial throughput for OnDemand. See: " + page),
        ({"GlobalSecondaryIndexes": [{**index, "WarmThroughput": {"ReadUnitsPerSecond": 1}}]},
         lower % "index gsi" + "initial throughput for OnDemand. See: " + page),
        ({**provisioned, "WarmThroughput": {"ReadUnitsPerSecond": 5}}, lower % "table" + "ReadCapacityUnits of ProvisionedThroughput"),
        ({"OnDemandThroughput": {"MaxReadRequestUnits": -1}}, outside % "table"),
        ({"OnDemandThroughput": {"MaxReadRequestUnits": 0}}, outside % "table"),
        ({"GlobalSecondaryIndexes": [{**index, "OnDemandThroughput": {"MaxReadRequestUnits": -1}}]}, outside % "index : gsi"),
        ({**provisioned, "OnDemandThroughput": {"MaxReadRequestUnits": 1}},
         "MaxReadRequestUnits for OnDemandThroughput cannot be specified when table BillingMode is PROVISIONED."),
    ):
        status, answer = signed_call(virga, "CreateTable", {**made, **more})
        assert (status, answer["message"]) == (400, "One or more parameter values were invalid: " + words)
    twice = [{"AttributeName": "p", "KeyType": kind} for kind in ("HASH", "HASH", "RANGE")]
    keyed = signed_call(virga, "CreateTable", {**made, "GlobalSecondaryIndexes": [{**index, "KeySchema": twice}]})[1]
    assert keyed["message"] == "The KeySchema contains multiple key attributes with the same name"
    assert signed_call(virga, "CreateTable", {**made, "TableClass": "GLACIER"})[1]["message"].startswith("Invalid table-class parameter provided. ")


def test_indexes_beyond_the_limit(virga, create_table, dynamodb, name):
    """Of a new table it is an invalid request, of an older one a limit."""
    twenty = [by_hash("p", IndexName=f"gsi-{i}") for i in range(20)]
    one_more = by_hash("p", IndexName="gsi-20")
    with refused("GlobalSecondaryIndex count exceeds the per-table limit of 20"):
        create_table(dynamodb, name, ["p"], {"p": "S"}, GlobalSecondaryIndexes=[*twenty, one_more])
    create_table(dynamodb, name, ["p"], {"p": "S"}, GlobalSecondaryIndexes=twenty)
    status, answer = signed_call(virga, "UpdateTable", {
        "TableName": name, "GlobalSecondaryIndexUpdates": [{"Create": one_more}], "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}]})
    assert status == 400 and answer["__type"].endswith("#LimitExceededException")
    assert answer["message"] == "Subscriber limit exceeded: Number of global secondary indexes exceeds per-table limit of 20"
    dynamodb.delete_table(TableName=name)


def test_restores(virga, create_table, dynamodb, name):
    """In the words of AWS in October 2026; an index is known by what it holds, whatever a restore calls it."""
    index = by_hash("x", IndexName="gsi")
    create_table(dynamodb, name, ["p"], {"p": "S", "x": "S"}, GlobalSecondaryIndexes=[index])
    table = dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
    dynamodb.put_item(TableName=name, Item={"p": {"S": "a"}, "x": {"S": "b"}})
    arn = dynamodb.create_backup(TableName=name, BackupName="one")["BackupDetails"]["BackupArn"]
    eventually(lambda: dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]["BackupStatus"] == "AVAILABLE")
    elsewhere = arn.replace(":us-east-1:", ":eu-west-1:")
    assert dynamodb.describe_backup(BackupArn=elsewhere)["BackupDescription"]["BackupDetails"]["BackupArn"] == elsewhere
    units = {"ProvisionedThroughputOverride": {"ReadCapacityUnits": 2, "WriteCapacityUnits": 2}}
    provisioned, on_demand = {"BillingModeOverride": "PROVISIONED"}, {"BillingModeOverride": "PAY_PER_REQUEST"}
    given = {"ProvisionedThroughput": units["ProvisionedThroughputOverride"]}
    unlike = "does not match a secondary index that existed in the source table and cannot be created during the restore operation"
    source = {"SourceTableName": name, "UseLatestRestorableTime": True}

    def said(operation, **body):
        status, answer = signed_call(virga, operation, body)
        assert status == 400, answer
        return answer.get("message", answer.get("Message"))
    for more, words in (
        (units, "Cannot override ProvisionedThroughput unless BillingMode is PROVISIONED"),
        (provisioned, "Must override ProvisionedThroughput if BillingMode is overridden to PROVISIONED"),
        ({**on_demand, **units}, "Cannot override ProvisionedThroughput if BillingMode is overridden to PAY_PER_REQUEST"),
        ({"OnDemandThroughputOverride": {"MaxReadRequestUnits": 0}}, "Requested MaxReadRequestUnits for OnDemandThroughput is outside of valid range"),
        ({**provisioned, **units, "OnDemandThroughputOverride": {"MaxReadRequestUnits": 5}},
         "Cannot override MaxReadRequestUnits for OnDemandThroughput unless BillingModeOverride is PAY_PER_REQUEST"),
        ({"GlobalSecondaryIndexOverride": [{**by_hash("p"), "IndexName": "gsi"}]}, "Index gsi " + unlike),
        ({"GlobalSecondaryIndexOverride": [{**index, "Projection": {"ProjectionType": "KEYS_ONLY"}}]}, "Index gsi " + unlike),
        ({"GlobalSecondaryIndexOverride": [index, {**index, "IndexName": "again"}]}, "Index again " + unlike),
        ({**provisioned, **units, "GlobalSecondaryIndexOverride": [index]}, "Must specify provisioned throughput for index gsi"),
        ({**on_demand, "GlobalSecondaryIndexOverride": [{**index, **given}]},
         "Cannot override ProvisionedThroughput if BillingMode is overridden to PAY_PER_REQUEST for index gsi"),
    ):
        assert said("RestoreTableFromBackup", BackupArn=arn, TargetTableName=name + "-r", **more) == "Invalid Request: " + words
    for operation in ("DescribeBackup", "DeleteBackup"):
        assert said(operation, BackupArn=table) == said(operation, BackupArn="") == said(operation, BackupArn="x" * 48) == "Invalid Backup ARN"
        assert said(operation, BackupArn=arn.replace(":dynamodb:", ":s3:")) == "Invalid Request: BackupArn is not valid"
    swapped = said("ListBackups", ExclusiveStartBackupArn=elsewhere)
    assert swapped == "Invalid Request: The supplied ExclusiveStartBackupArn does not match the region"
    assert said("ListBackups", TimeRangeLowerBound=2, TimeRangeUpperBound=1).endswith("lower bound must be less than or equal to upper bound")
    missing = said("RestoreTableToPointInTime", TargetTableName=name + "-r", UseLatestRestorableTime=True)
    assert missing == "The parameter 'TableName' is required but was not present in the request"
    for more, words in (
        ({"SourceTableArn": table}, "Must provide exactly one of: sourceTableArn, sourceTableName"),
        ({"SourceTableName": None, "SourceTableArn": "table"}, "sourceTableArn is not a valid ARN"),
        ({"RestoreDateTime": 1700000000}, "Invalid Request: Both RestoreDateTime and UseLatestRestorableTime cannot be set for point-in-time restore "),
        ({"UseLatestRestorableTime": False},
         "Invalid Request: Either one of RestoreDateTime or UseLatestRestorableTime must be specified, but not both"),
    ):
        assert said("RestoreTableToPointInTime", TargetTableName=name + "-r", **{**source, **more}).startswith(words)
    dynamodb.restore_table_from_backup(TargetTableName=name + "-r", BackupArn=arn, **provisioned, **units,
                                       GlobalSecondaryIndexOverride=[{**index, "IndexName": "other", **given}])
    eventually(lambda: dynamodb.describe_table(TableName=name + "-r")["Table"]["TableStatus"] == "ACTIVE")
    restored = dynamodb.describe_table(TableName=name + "-r")["Table"]["GlobalSecondaryIndexes"]
    assert [(i["IndexName"], i["ProvisionedThroughput"]["ReadCapacityUnits"]) for i in restored] == [("other", 2)]
    assert dynamodb.scan(TableName=name + "-r", IndexName="other")["Count"] == 1
    assert dynamodb.delete_backup(BackupArn=elsewhere)["BackupDescription"]["BackupDetails"]["BackupArn"] == elsewhere
    for one in (name, name + "-r"):
        dynamodb.delete_table(TableName=one)
