"""DynamoDB's own words for what it can't read, and which refusals it counts; as recorded from AWS."""

import pytest
from botocore.exceptions import ClientError
from dynamodb_calls import signed_call

NESTED = "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
COUNTED = "1 validation error detected: "


def refusal(virga, operation, body):
    status, out = signed_call(virga, operation, body)
    assert status == 400, out
    return out["__type"].split("#")[1], out.get("Message", out.get("message"))


@pytest.mark.parametrize("operation,body,words", [
    ("GetItem", {"TableName": 1}, "NUMBER_VALUE cannot be converted to String"),
    ("GetItem", {"TableName": 1.5}, "DECIMAL_VALUE cannot be converted to String"),
    ("GetItem", {"TableName": []}, "Unrecognized collection type class java.lang.String"),
    ("GetItem", {"TableName": "abc", "ConsistentRead": 1}, "NUMBER_VALUE cannot be converted to Boolean"),
    ("GetItem", {"TableName": "abc", "Key": "x"}, "Unexpected field type"),
    ("GetItem", {"TableName": "abc", "Key": {"a": "x"}}, "Unexpected value type in payload"),
    ("GetItem", {"TableName": "abc", "Key": {"a": {"B": True}}}, "only base-64-encoded strings are convertible to bytes"),
    ("GetItem", {"TableName": "abc", "Key": {"a": {"B": "23456"}}},
     "Base64 encoded length is expected a multiple of 4 bytes but found: 5"),
    ("GetItem", {"TableName": "abc", "Key": {"a": {"B": "+/+="}}}, "Invalid last non-pad Base64 character dectected"),
    ("Query", {"TableName": "abc", "Limit": "1"}, "STRING_VALUE cannot be converted to Integer"),
    ("Query", {"TableName": "abc", "KeyConditions": {"a": 1}}, "Unexpected value type in payload"),
    ("CreateTable", {"ProvisionedThroughput": {"ReadCapacityUnits": "1"}}, "STRING_VALUE cannot be converted to Long"),
    ("CreateTable", {"KeySchema": "x"}, "Unexpected field type"),
    ("CreateTable", {"KeySchema": [[]]}, "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.KeySchemaElement"),
    ("BatchGetItem", {"RequestItems": []},
     "Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.KeysAndAttributes>"),
])
def test_wrong_types(virga, operation, body, words):
    assert refusal(virga, operation, body) == ("SerializationException", words)


@pytest.mark.parametrize("operation,body,words", [
    ("CreateTable", {}, "The parameter 'TableName' is required but was not present in the request"),
    ("CreateTable", {"TableName": "x!", "KeySchema": [], "AttributeDefinitions": []},
     "2 validation errors detected: Value 'x!' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression "
     "pattern: [a-zA-Z0-9_.-]+; Value 'x!' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3"),
    ("PutItem", {"TableName": "", "ReturnValues": "X", "Item": {}},
     COUNTED + "Value at 'TableName' failed to satisfy constraint: Member must have length greater than or equal to 1"),
    ("PutItem", {"ReturnValues": "X"}, COUNTED + "Value null at 'tableName' failed to satisfy constraint: Member must not be null"),
    ("PutItem", {"TableName": "a b", "Item": {}},
     COUNTED + "Value 'a b' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"),
    ("BatchGetItem", {"RequestItems": {}},
     COUNTED + "Value at 'RequestItems' failed to satisfy constraint: Member must have length greater than or equal to 1"),
    ("BatchGetItem", {"RequestItems": {"bad!name": {"Keys": [{"pk": {"S": "a"}}]}}},
     COUNTED + """Value '{"bad!name":{"Keys":[{"pk":{"S":"a"}}]}}' at 'requestItems' failed to satisfy constraint: Map keys must satisfy """
     "constraint: [Member must have length less than or equal to 255, Member must have length greater than or equal to 3, "
     "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+]"),
    ("BatchGetItem", {"RequestItems": {"bad!name": {"Keys": [{"pk": {}}]}}},
     "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
    ("BatchGetItem", {"RequestItems": {"abc": {"Keys": []}}},
     COUNTED + "Value at 'RequestItems.abc.member.Keys' failed to satisfy constraint: Member must have length greater than or equal to 1"),
    ("BatchGetItem", {"RequestItems": {"abc": {"Keys": [{"p": {"S": str(i)}} for i in range(101)]}}},
     COUNTED + "Value at 'RequestItems.abc.member.Keys' failed to satisfy constraint: Member must have length less than or equal to 100"),
    ("BatchWriteItem", {"RequestItems": {}}, "The requestItems parameter is required for BatchWriteItem"),
    ("Query", {"TableName": "abc", "Limit": 0},
     COUNTED + "Value at 'Limit' failed to satisfy constraint: Member must have value greater than or equal to 1"),
    ("Scan", {"TableName": "abc", "Limit": 0},
     COUNTED + "Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"),
    ("Query", {"TableName": "abc", "Select": "X"},
     COUNTED + "Value 'X' at 'select' failed to satisfy constraint: Member must satisfy enum value set: "
     "[SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]"),
])
def test_constraints(virga, operation, body, words):
    assert refusal(virga, operation, body) == ("ValidationException", words)


CAPACITY = "Value 'X' at 'returnConsumedCapacity' failed to satisfy constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]"
RETURNS = "Failed to satisfy constraint: Member must satisfy enum value set: [ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]"
OPERATOR = "Failed to satisfy constraint: Member must satisfy enum value set: [ALL, OR]"
NO_NAME = "Value '' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 1"
NO_KEY = "Value null at 'key' failed to satisfy constraint: Member must not be null"
WRONG = {"ReturnValues": "X", "ReturnConsumedCapacity": "X"}
TWO = {"a": {"Exists": False}, "b": {"Exists": False}}


@pytest.mark.parametrize("operation,body,words", [
    ("PutItem", {"Item": {}, **WRONG, "ReturnItemCollectionMetrics": "X"},
     f"3 validation errors detected: {CAPACITY}; {RETURNS}; ReturnItemCollectionMetrics can only be SIZE or NONE"),
    ("PutItem", {"Item": {}, "Expected": TWO, "ConditionalOperator": "XOR"}, COUNTED + OPERATOR),
    ("DeleteItem", {"Key": {}, **WRONG}, f"2 validation errors detected: {CAPACITY}; {RETURNS}"),
    ("DeleteItem", {"Key": {}, "ReturnValues": "X"}, COUNTED + RETURNS),
    ("UpdateItem", {"Key": {}, **WRONG}, COUNTED + RETURNS),
    ("UpdateItem", {"Key": {}, "ReturnConsumedCapacity": "X"}, COUNTED + CAPACITY),
    # What is missing makes the rest be told as it is elsewhere.
    ("UpdateItem", {"TableName": ""}, f"2 validation errors detected: {NO_NAME}; {NO_KEY}"),
    ("UpdateItem", {"TableName": "", **WRONG}, f"4 validation errors detected: {CAPACITY}; {NO_NAME}; Value 'X' at 'returnValues' failed to satisfy "
     f"constraint: Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]; {NO_KEY}"),
    ("UpdateItem", {"Expected": TWO, "ConditionalOperator": "XOR"},
     f"2 validation errors detected: Value 'XOR' at 'conditionalOperator' failed to satisfy constraint: Member must satisfy enum value set: [OR, AND]; {NO_KEY}"),
    ("Query", {"Select": "X", "ConditionalOperator": "XOR", "QueryFilter": {n: {"ComparisonOperator": "NULL"} for n in "bc"}}, OPERATOR),
    ("BatchWriteItem", {"RequestItems": {"abc": [{"PutRequest": {"Item": {}}}]}, "ReturnConsumedCapacity": "X", "ReturnItemCollectionMetrics": "Y"},
     f"2 validation errors detected: {CAPACITY}; Value 'Y' at 'returnItemCollectionMetrics' failed to satisfy constraint: "
     "Member must satisfy enum value set: [SIZE, NONE]"),
    ("TransactWriteItems", {"TransactItems": [], "ClientRequestToken": "x" * 37, "ReturnConsumedCapacity": "X"},
     f"3 validation errors detected: Value '[]' at 'transactItems' failed to satisfy constraint: Member must have length greater than or equal to 1; "
     f"Value '{'x' * 37}' at 'clientRequestToken' failed to satisfy constraint: Member must have length less than or equal to 36; {CAPACITY}"),
    ("CreateTable", {"AttributeDefinitions": [], "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}], **{kind: [{
        "IndexName": name, "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}], "Projection": {}}] for kind, name in (
            ("LocalSecondaryIndexes", "aa"), ("GlobalSecondaryIndexes", "zz"))}},
     "2 validation errors detected: " + "; ".join(f"Value '{name}' at '{place}.1.member.indexName' failed to satisfy constraint: Member must have "
                                                  "length greater than or equal to 3" for name, place in (
                                                      ("zz", "globalSecondaryIndexes"), ("aa", "localSecondaryIndexes")))),
    ("TagResource", {"ResourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/abc", "Tags": [{"Key": "k"}]},
     COUNTED + "Value null at 'tags.1.member.value' failed to satisfy constraint: Member must not be null"),
])
def test_several_faults(virga, operation, body, words):
    """In the words and the order of AWS in October 2026."""
    body = body if operation in ("BatchWriteItem", "TransactWriteItems", "TagResource") else {"TableName": "abc", **body}
    assert refusal(virga, operation, body) == ("ValidationException", words)


def told(call, *arguments, **options):
    with pytest.raises(ClientError) as refused:
        call(*arguments, **options)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    return refused.value.response["Error"]["Message"]


NUMERIC = "The parameter cannot be converted to a numeric value"
INVALID = "One or more parameter values were invalid: "


def test_values(dynamodb, table, p):
    """Two sets of words, as of October 2026: the current ones are counted in writes of one item, and as they are in reads of items."""
    bad = [{"N": "abc"}, {"N": ""}, {"SS": ["b", "a", "b"]}, {"BS": [b"\xff", b"\0", b"\0"]}, {"NS": ["2", "1", "2.0"]}]
    current = [NUMERIC + ": abc", NUMERIC + ": ", INVALID + 'Input collection ["a", "b", "b"] contains duplicates.',
               INVALID + 'Input collection ["AA==","/w==","AA=="]of type BS contains duplicates.',
               INVALID + "Input collection contains duplicates."]
    older = [NUMERIC + ": abc", NUMERIC, INVALID + "Input collection [b, a, b] contains duplicates.",
             INVALID + "Input collection [/w==, AA==, AA==]of type BS contains duplicates.", "Input collection contains duplicates"]
    key = {"TableName": table, "Key": {"p": p}}
    condition = {"ConditionExpression": "a = :v"}
    query = {"TableName": table, "KeyConditionExpression": "p = :p", "FilterExpression": "a = :v"}
    for value, now, before in zip(bad, current, older):
        values = {"ExpressionAttributeValues": {":v": value}}
        assert told(dynamodb.put_item, TableName=table, Item={"p": p, "a": {"L": [value]}}) == COUNTED + now
        assert told(dynamodb.delete_item, **key, **condition, **values) == COUNTED + now
        assert told(dynamodb.update_item, **key, AttributeUpdates={"a": {"Value": value}}) == COUNTED + now
        assert told(dynamodb.get_item, TableName=table, Key={"p": value}) == now
        assert told(dynamodb.query, **query, ExpressionAttributeValues={":p": p, ":v": value}) == now
        assert told(dynamodb.batch_write_item, RequestItems={table: [{"PutRequest": {"Item": {"p": p, "a": value}}}]}) == before
        update = {"Update": {**key, "UpdateExpression": "SET a = :v", **values}}
        assert told(dynamodb.transact_write_items, TransactItems=[update]) == \
            f"ExpressionAttributeValues contains invalid value: {before} for key :v"


def test_hostile_values_are_refused(virga, table, p):
    """A fault's text has what the client sent in it, whatever that is."""
    for nul in ("\0", "\0M", "\0\0\0\0\0"):
        update = {"TableName": table, "Key": {"p": p}, "UpdateExpression": "SET a = :v", "ExpressionAttributeValues": {":v": {"N": nul}}}
        assert refusal(virga, "UpdateItem", update) == ("ValidationException", f"{COUNTED}{NUMERIC}: {nul}")
        update["ExpressionAttributeValues"] = {":v" + nul: {"N": "x"}}
        assert refusal(virga, "UpdateItem", update)[1].startswith(COUNTED + "ExpressionAttributeValues contains invalid key")


def test_placeholders_have_bounds(dynamodb, table, p):
    def get(name, attribute="p", projection="#n"):
        return dynamodb.get_item(TableName=table, Key={"p": p}, ProjectionExpression=projection,
                                 ExpressionAttributeNames={name: attribute})
    get("#" + "n" * 254, projection="#" + "n" * 254)
    assert "contains a key that is too long" in told(get, "#" + "n" * 255)
    get("#n", "a" * 65535)
    assert "length less than or equal to 65535" in told(get, "#n", "a" * 65536)
    large = COUNTED + "Attribute name is too large, must be less than 65536 bytes"
    assert told(dynamodb.put_item, TableName=table, Item={"p": p, "a" * 65536: p}) == large
    many = {f"#n{i}": "a" * 65000 for i in range(33)}
    paths = ", ".join(f"p.l[{i}].{name}" for i, name in enumerate(many))
    assert "exceeds max size" in told(dynamodb.get_item, TableName=table, Key={"p": p}, ProjectionExpression=paths,
                                      ExpressionAttributeNames=many)


def test_what_writes_count(dynamodb, table, p):
    """PutItem, UpdateItem and DeleteItem count what is wrong with a request alone; nothing else does."""
    key = {"TableName": table, "Key": {"p": p}}
    empty = "One or more parameter values were invalid: An string set  may not be empty"
    unused = "Value provided in ExpressionAttributeNames unused in expressions: keys: {#n}"
    condition = {"ConditionExpression": "attribute_exists(p)", "ExpressionAttributeNames": {"#n": "n"}}

    def put(more, **options):
        return told(dynamodb.put_item, TableName=table, Item={"p": p, **more}, **options)
    assert put({"a": {"SS": []}}) == COUNTED + empty
    assert put({"a": {"NULL": False}}).startswith(COUNTED + "One or more parameter values were invalid: Null attribute value")
    assert put({}, ReturnValues="ALL_NEW") == COUNTED + "ReturnValues can only be ALL_OLD or NONE"
    assert put({}, **condition) == COUNTED + unused
    assert told(dynamodb.delete_item, **key, **condition) == COUNTED + unused
    assert told(dynamodb.update_item, **key, UpdateExpression="SET").startswith(COUNTED + "Invalid UpdateExpression: Syntax error")
    assert told(dynamodb.update_item, **key, UpdateExpression="SET a = :a", ExpressionAttributeValues={":a": {"SS": []}}) == COUNTED + empty

    assert put({"a": {}}).startswith("Supplied AttributeValue is empty")
    assert put({}, ExpressionAttributeValues={":v": p}) == COUNTED + "ExpressionAttributeValues can only be specified when using expressions"
    assert put({"a": {"S": "x" * 410000}}) == "Item size has exceeded the maximum allowed size"
    assert told(dynamodb.update_item, **key, UpdateExpression="SET p = :p", ExpressionAttributeValues={":p": p}).startswith("One or more")
    assert told(dynamodb.get_item, **key, ProjectionExpression="p", ExpressionAttributeNames={"#n": "n"}) == unused
    assert told(dynamodb.batch_write_item, RequestItems={table: [{"PutRequest": {"Item": {"p": p, "a": {"SS": []}}}}]}) == empty

    needs = "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
    by_key = {"KeyConditionExpression": "p = :p", "ExpressionAttributeValues": {":p": p}}
    assert told(dynamodb.query, TableName=table, Select="SPECIFIC_ATTRIBUTES", **by_key) == COUNTED + needs
    assert told(dynamodb.scan, TableName=table, Select="SPECIFIC_ATTRIBUTES") == needs


@pytest.mark.parametrize("levels", [32, 100, 20000])
def test_nesting(virga, table, p, levels):
    """Any depth is refused in the same words; what is too deep is skipped, whatever it takes to write it."""
    leaf = '{"S":"x"}'
    for wrap in ('{"M":{"n":%s}}', '{"L":[%s]}'):
        before, after = wrap.split("%s")

        def deep(times):
            return before * times + leaf + after * times
        body = '{"TableName":"%s","Item":{"p":{"S":"%s"},"a":%s}}'
        assert raw(virga, "PutItem", body % (table, p["S"], deep(31)))[0] == 200
        assert raw(virga, "PutItem", body % (table, p["S"], deep(levels))) == (400, NESTED)
        update = ('{"TableName":"%s","Key":{"p":{"S":"%s"}},"UpdateExpression":"SET a = :a",'
                  '"ExpressionAttributeValues":{":a":%s}}' % (table, p["S"], deep(levels)))
        assert raw(virga, "UpdateItem", update) == (400, NESTED)


def raw(virga, operation, text):
    status, out = signed_call(virga, operation, text)
    return status, out.get("message")
