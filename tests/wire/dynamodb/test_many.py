"""Batches and transactions."""

import threading

import pytest
from botocore.exceptions import ClientError


def test_batches(dynamodb, table, p):
    keys = [{"p": {"S": f"{p['S']}{i}"}} for i in range(25)]
    wrote = dynamodb.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": k}} for k in keys]})
    assert wrote["UnprocessedItems"] == {}
    got = dynamodb.batch_get_item(RequestItems={table: {"Keys": keys + [{"p": {"S": "absent" + p["S"]}}]}})
    assert sorted(i["p"]["S"] for i in got["Responses"][table]) == sorted(k["p"]["S"] for k in keys)
    assert got["UnprocessedKeys"] == {}


def test_transactions_are_all_or_nothing(dynamodb, table, p):
    def write(condition):
        dynamodb.transact_write_items(TransactItems=[
            {"Put": {"TableName": table, "Item": {"p": {"S": p["S"] + "other"}}}},
            {"Put": {"TableName": table, "Item": {"p": p}, "ConditionExpression": condition}}])

    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as raised:
        write("attribute_exists(p)")
    assert [r["Code"] for r in raised.value.response["CancellationReasons"]] == ["None", "ConditionalCheckFailed"]
    assert "Item" not in dynamodb.get_item(TableName=table, Key={"p": {"S": p["S"] + "other"}})
    write("attribute_not_exists(p)")
    got = dynamodb.transact_get_items(TransactItems=[
        {"Get": {"TableName": table, "Key": {"p": p}}}, {"Get": {"TableName": table, "Key": {"p": {"S": "absent"}}}}])
    assert got["Responses"] == [{"Item": {"p": p}}, {}]


def test_token_makes_a_transaction_happen_once(dynamodb, table, p):
    def add(amount):
        dynamodb.transact_write_items(ClientRequestToken=p["S"], TransactItems=[{"Update": {
            "TableName": table, "Key": {"p": p}, "UpdateExpression": "ADD n :n", "ExpressionAttributeValues": {":n": {"N": amount}}}}])

    add("1")
    add("1")
    assert dynamodb.get_item(TableName=table, Key={"p": p})["Item"]["n"] == {"N": "1"}
    with pytest.raises(ClientError, match="IdempotentParameterMismatchException"):
        add("2")


# Concurrent increments are never lost: conflicts run again inside.
def test_concurrent_counters(virga, table, p):
    def work():
        client = virga.client("dynamodb")
        for _ in range(25):
            client.update_item(TableName=table, Key={"p": p}, UpdateExpression="ADD n :n", ExpressionAttributeValues={":n": {"N": "1"}})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert virga.client("dynamodb").get_item(TableName=table, Key={"p": p})["Item"]["n"] == {"N": "100"}


# Of the table twice what a write outside takes, of indexes the same; a repetition reads what was written.
def test_what_transactions_cost(dynamodb, table, sorted_table, p):
    def cost(*items, **more):
        [used] = dynamodb.transact_write_items(TransactItems=items, ReturnConsumedCapacity="INDEXES", **more)["ConsumedCapacity"]
        return used
    used = cost({"Put": {"TableName": sorted_table, "Item": {"p": p, "s": {"N": "1"}, "g": p, "l": p}}})
    assert (used["CapacityUnits"], used["Table"]["CapacityUnits"]) == (4, 2)
    assert used["GlobalSecondaryIndexes"]["gsi"]["CapacityUnits"] == used["LocalSecondaryIndexes"]["lsi"]["CapacityUnits"] == 1
    dynamodb.put_item(TableName=table, Item={"p": p, "d": {"S": "x" * 8500}})
    check = {"ConditionCheck": {"TableName": table, "Key": {"p": p}, "ConditionExpression": "attribute_exists(p)"}}
    assert cost(check)["WriteCapacityUnits"] == 18
    once = {"ClientRequestToken": "cost" + p["S"][:30]}
    delete = {"Delete": {"TableName": table, "Key": {"p": p}}}
    assert cost(delete, **once)["WriteCapacityUnits"] == 18
    again = cost(delete, **once)
    assert again["ReadCapacityUnits"] == again["CapacityUnits"] == 6 and "WriteCapacityUnits" not in again
