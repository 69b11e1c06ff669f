"""Items one at a time, as boto3 sends and reads them."""

import decimal

import boto3.dynamodb.types
import pytest
from botocore.exceptions import ClientError


def refused(call, **parameters):
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return raised.value.response["Error"]["Code"], raised.value.response["Error"]["Message"]


# Every type comes back as it went in, through the codec users have: python values.
def test_all_types_come_back(dynamodb, table, p):
    value = {
        "string": "héllo \u0000 \U0001f600", "empty": "", "number": decimal.Decimal("-1.5"), "big": decimal.Decimal(10) ** 37,
        "binary": boto3.dynamodb.types.Binary(bytes(range(256))), "true": True, "false": False, "null": None,
        "strings": {"a", "b"}, "numbers": {1, decimal.Decimal("2.5")}, "binaries": {b"1", b"2"},
        "list": ["a", 1, [], {}], "map": {"k": {"deep": ["er"]}, "": ""}}
    item = {k: boto3.dynamodb.types.TypeSerializer().serialize(v) for k, v in value.items()}
    dynamodb.put_item(TableName=table, Item={"p": p, **item})
    back = dynamodb.get_item(TableName=table, Key={"p": p})["Item"]
    back.pop("p")
    assert {k: boto3.dynamodb.types.TypeDeserializer().deserialize(v) for k, v in back.items()} == value


# Numbers are normalised, and refused beyond 38 digits or the range.
@pytest.mark.parametrize("given, stored", [("1.0", "1"), ("1E2", "100"), ("-0", "0"), ("0.00010", "0.0001"), ("+7", "7")])
def test_numbers_are_normalised(dynamodb, table, p, given, stored):
    dynamodb.put_item(TableName=table, Item={"p": p, "n": {"N": given}})
    assert dynamodb.get_item(TableName=table, Key={"p": p})["Item"]["n"] == {"N": stored}


@pytest.mark.parametrize("bad", ["", "x", "1e126", "1e-131", "1" * 39])
def test_bad_numbers_are_refused(dynamodb, table, p, bad):
    assert refused(dynamodb.put_item, TableName=table, Item={"p": p, "n": {"N": bad}})[0] == "ValidationException"


def test_absent_item_has_no_item_member(dynamodb, table, p):
    assert "Item" not in dynamodb.get_item(TableName=table, Key={"p": p})


def test_conditions(dynamodb, table, p):
    put = dict(TableName=table, Item={"p": p, "n": {"N": "1"}}, ConditionExpression="attribute_not_exists(p)")
    dynamodb.put_item(**put)
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as raised:
        dynamodb.put_item(**put)
    assert raised.value.response["Error"]["Message"] == "The conditional request failed"


def test_update_expression_and_return_values(dynamodb, table, p):
    def update(expression, returns, **values):
        return dynamodb.update_item(
            TableName=table, Key={"p": p}, UpdateExpression=expression, ReturnValues=returns,
            ExpressionAttributeValues={":" + k: v for k, v in values.items()}).get("Attributes")

    assert update("SET a = :a, l = :l", "ALL_NEW", a={"N": "1"}, l={"L": [{"S": "x"}]}) == {
        "p": p, "a": {"N": "1"}, "l": {"L": [{"S": "x"}]}}
    assert update("SET a = a + :one", "UPDATED_OLD", one={"N": "1"}) == {"a": {"N": "1"}}
    assert update("SET l = list_append(l, :y)", "UPDATED_NEW", y={"L": [{"S": "y"}]}) == {"l": {"L": [{"S": "x"}, {"S": "y"}]}}
    assert update("SET l[1] = :z REMOVE l[0]", "UPDATED_NEW", z={"S": "z"}) is not None
    assert update("ADD s :s", "UPDATED_NEW", s={"SS": ["b", "a"]}) == {"s": {"SS": ["a", "b"]}}
    assert update("DELETE s :s", "ALL_NEW", s={"SS": ["a", "b"]}) == {"p": p, "a": {"N": "2"}, "l": {"L": [{"S": "z"}]}}


def test_errors_have_aws_words(dynamodb, table, p):
    assert refused(dynamodb.update_item, TableName=table, Key={"p": p}, UpdateExpression="SET name = :v",
                   ExpressionAttributeValues={":v": p}) == (
        "ValidationException", "1 validation error detected: Invalid UpdateExpression: Attribute name is a reserved keyword; reserved keyword: name")
    assert refused(dynamodb.get_item, TableName=table, Key={"q": p}) == (
        "ValidationException", "The provided key element does not match the schema")
    assert refused(dynamodb.get_item, TableName="no-such-table", Key={"p": p}) == (
        "ResourceNotFoundException", "Requested resource not found")
    assert refused(dynamodb.put_item, TableName=table, Item={"p": p, "x": {"S": "x" * 410 * 1024}}) == (
        "ValidationException", "Item size has exceeded the maximum allowed size")


def test_consumed_capacity(dynamodb, table, p):
    put = dynamodb.put_item(TableName=table, Item={"p": p, "x": {"S": "x" * 2000}}, ReturnConsumedCapacity="TOTAL")
    assert put["ConsumedCapacity"] == {"TableName": table, "CapacityUnits": 2.0}
    get = dynamodb.get_item(TableName=table, Key={"p": p}, ReturnConsumedCapacity="INDEXES", ConsistentRead=True)
    assert get["ConsumedCapacity"] == {"TableName": table, "CapacityUnits": 1.0, "Table": {"CapacityUnits": 1.0}}


# The resource interface builds expressions of its own.
def test_resource_interface(virga, table, p):
    resource = boto3.resource("dynamodb", endpoint_url=virga.url, region_name="us-east-1", aws_access_key_id="test",
                              aws_secret_access_key="test").Table(table)
    resource.put_item(Item={"p": p["S"], "n": 5}, ConditionExpression=boto3.dynamodb.conditions.Attr("n").not_exists())
    assert resource.get_item(Key={"p": p["S"]})["Item"]["n"] == 5
    with resource.batch_writer() as batch:
        for i in range(30):
            batch.put_item(Item={"p": f"{p['S']}-{i}", "i": i})
    found = resource.scan(FilterExpression=boto3.dynamodb.conditions.Attr("p").begins_with(p["S"] + "-"))
    assert found["Count"] == 30


def test_update_expressions_count_against_the_size_of_an_item(dynamodb, table):
    """What they say does, at prices that AWS was measured to take in October 2026; a transaction or statement may fill the item."""
    key, most = {"p": {"S": "1"}}, 409600 - len("p1")
    price = 3 + 19 + len("b")

    def update(size, expression="SET b = :b", **values):
        return dynamodb.update_item(TableName=table, Key=key, UpdateExpression=expression,
                                    ExpressionAttributeValues={":b": {"S": "x" * size}, **values})
    update(409600 - price)
    update(409600 - price - 19 - len("c") - 500, "SET b = :b, c = :c", **{":c": {"S": "y" * 500}})
    update(409600 - price - len("c") - 1, "SET b = :b REMOVE c")
    too_large = "Item size to update has exceeded the maximum allowed size"
    for size, expression in ((409600 - price + 1, "SET b = :b"), (409600 - price - len("c"), "SET b = :b REMOVE c")):
        with pytest.raises(ClientError) as refused:
            update(size, expression)
        assert refused.value.response["Error"] == {"Code": "ValidationException", "Message": too_large}
    full = {"S": "x" * (most - len("b"))}
    dynamodb.transact_write_items(TransactItems=[{"Update": {
        "TableName": table, "Key": key, "UpdateExpression": "SET b = :b", "ExpressionAttributeValues": {":b": full}}}])
    dynamodb.execute_statement(Statement=f'UPDATE "{table}" SET b = ? WHERE p = \'1\'', Parameters=[full])
    dynamodb.update_item(TableName=table, Key=key, AttributeUpdates={"b": {"Value": full}})
    with pytest.raises(ClientError, match=too_large):
        dynamodb.update_item(TableName=table, Key=key, AttributeUpdates={"b": {"Value": {"S": full["S"] + "x"}}})
    dynamodb.delete_item(TableName=table, Key=key)
