"""Query and Scan: ranges, order, pages, indexes, filters."""

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def rows(dynamodb, sorted_table, p):
    for s in (-10, 0, 1.5, 7, 100):
        dynamodb.put_item(TableName=sorted_table, Item={"p": p, "s": {"N": str(s)}, "g": {"S": "g" + p["S"]}, "v": {"N": str(s)}})
    return p


def sorts(items):
    return [float(i["s"]["N"]) for i in items]


@pytest.mark.parametrize("condition, values, expected", [
    ("", {}, [-10, 0, 1.5, 7, 100]),
    (" AND s = :a", {":a": "1.5"}, [1.5]),
    (" AND s < :a", {":a": "1"}, [-10, 0]),
    (" AND s >= :a", {":a": "0"}, [0, 1.5, 7, 100]),
    (" AND s BETWEEN :a AND :b", {":a": "0", ":b": "7"}, [0, 1.5, 7]),
])
def test_sort_key_conditions(dynamodb, sorted_table, rows, condition, values, expected):
    found = dynamodb.query(
        TableName=sorted_table, KeyConditionExpression="p = :p" + condition,
        ExpressionAttributeValues={":p": rows, **{k: {"N": v} for k, v in values.items()}})
    assert sorts(found["Items"]) == expected
    assert found["Count"] == found["ScannedCount"] == len(expected)


def test_pages_and_order(dynamodb, sorted_table, rows):
    paginator = dynamodb.get_paginator("query")
    for forward in (True, False):
        pages = list(paginator.paginate(
            TableName=sorted_table, KeyConditionExpression="p = :p", ExpressionAttributeValues={":p": rows},
            ScanIndexForward=forward, PaginationConfig={"PageSize": 2}))
        assert sorts(i for page in pages for i in page["Items"]) == sorted((-10, 0, 1.5, 7, 100), reverse=not forward)


def test_indexes(dynamodb, sorted_table, rows):
    by = dict(TableName=sorted_table, IndexName="gsi", KeyConditionExpression="g = :g AND s > :s",
              ExpressionAttributeValues={":g": {"S": "g" + rows["S"]}, ":s": {"N": "0"}})
    assert sorts(dynamodb.query(**by)["Items"]) == [1.5, 7, 100]
    first = dynamodb.query(**by, Limit=1)
    assert set(first["LastEvaluatedKey"]) == {"p", "s", "g"}
    assert sorts(dynamodb.query(**by, ExclusiveStartKey=first["LastEvaluatedKey"])["Items"]) == [7, 100]
    with pytest.raises(ClientError, match="Consistent reads are not supported on global secondary indexes"):
        dynamodb.query(**by, ConsistentRead=True)


# Sparse: an item without the index's key is not in it.
def test_local_index_is_sparse(dynamodb, sorted_table, rows):
    by = dict(TableName=sorted_table, IndexName="lsi", KeyConditionExpression="p = :p", ExpressionAttributeValues={":p": rows})
    assert dynamodb.query(**by)["Count"] == 0
    dynamodb.update_item(TableName=sorted_table, Key={"p": rows, "s": {"N": "7"}}, UpdateExpression="SET l = :l",
                         ExpressionAttributeValues={":l": {"S": "x"}})
    assert dynamodb.query(**by)["Items"] == [{"p": rows, "s": {"N": "7"}, "l": {"S": "x"}}]
    assert dynamodb.query(**by, Select="ALL_ATTRIBUTES")["Items"][0]["v"] == {"N": "7"}


def test_filter_counts_what_was_scanned(dynamodb, sorted_table, rows):
    found = dynamodb.query(TableName=sorted_table, KeyConditionExpression="p = :p", FilterExpression="v > :v", Select="COUNT",
                           ExpressionAttributeValues={":p": rows, ":v": {"N": "1"}})
    assert (found["Count"], found["ScannedCount"], "Items" in found) == (3, 5, False)


def test_scan_segments(dynamodb, sorted_table, rows):
    total = dynamodb.scan(TableName=sorted_table)["Count"]
    parts = [dynamodb.scan(TableName=sorted_table, TotalSegments=3, Segment=i)["Count"] for i in range(3)]
    assert sum(parts) == total


def test_refusals(dynamodb, sorted_table, p):
    with pytest.raises(ClientError, match="Query condition missed key schema element: p"):
        dynamodb.query(TableName=sorted_table, KeyConditionExpression="s = :s", ExpressionAttributeValues={":s": {"N": "1"}})
    with pytest.raises(ClientError, match="The table does not have the specified index: nope"):
        dynamodb.scan(TableName=sorted_table, IndexName="nope")
