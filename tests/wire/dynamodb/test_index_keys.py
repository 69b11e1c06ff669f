"""Global indexes whose keys have several attributes: two of the partition, three of the sort key, of all types."""

import pytest
from botocore.exceptions import ClientError
from support import eventually

KEYS = [("team", "S", "HASH"), ("season", "N", "HASH"), ("round", "N", "RANGE"), ("court", "B", "RANGE"), ("player", "S", "RANGE")]
TYPES = {name: kind for name, kind, _ in KEYS}
INDEX = {"IndexName": "games", "Projection": {"ProjectionType": "KEYS_ONLY"},
         "KeySchema": [{"AttributeName": name, "KeyType": role} for name, _, role in KEYS]}


def game(number, team="red", season=1, **more):
    item = {"p": {"S": f"{number:03d}"}, "team": {"S": team}, "season": {"N": str(season)}, "round": {"N": str(number // 4 - 2)},
            "court": {"B": b"\0" * (number // 2 % 2) + b"c"}, "player": {"S": "ab"[number % 2] * 2}, "score": {"N": str(number)}}
    return {**item, **more}


def without(name, item):
    return {n: value for n, value in item.items() if n != name}


def ask(dynamodb, table, condition="team = :t AND season = :s", **more):
    values = {":t": {"S": "red"}, ":s": {"N": "1"}, **more.pop("values", {})}
    return dynamodb.query(TableName=table, IndexName="games", KeyConditionExpression=condition, ExpressionAttributeValues=values, **more)


def numbers(answer):
    return [int(item["p"]["S"]) for item in answer["Items"]]


@pytest.fixture(scope="module")
def games(dynamodb, create_table):
    name = create_table(dynamodb, "games-of-several-keys", ["p"], {"p": "S", **TYPES}, GlobalSecondaryIndexes=[INDEX])
    for number in range(16):
        dynamodb.put_item(TableName=name, Item=game(number))
    # Others that must not be among them: of another partition, with the same bytes split otherwise, without one of the keys.
    for other in (game(100, season=2), game(101, team="re"), *(without(key, game(110 + i)) for i, key in enumerate(TYPES))):
        dynamodb.put_item(TableName=name, Item=other)
    yield name
    dynamodb.delete_table(TableName=name)


def test_is_described(dynamodb, games):
    table = dynamodb.describe_table(TableName=games)["Table"]
    assert table["GlobalSecondaryIndexes"][0]["KeySchema"] == INDEX["KeySchema"]
    assert {d["AttributeName"]: d["AttributeType"] for d in table["AttributeDefinitions"]} == {"p": "S", **TYPES}


def test_queries(dynamodb, games):
    # The court "\0c" is less than "c", whatever follows either.
    order = sorted(range(16), key=lambda n: (n // 4, game(n)["court"]["B"], n))
    assert numbers(ask(dynamodb, games)) == order
    assert numbers(ask(dynamodb, games, ScanIndexForward=False)) == order[::-1]
    assert ask(dynamodb, games)["Items"][0].keys() == {"p", *TYPES}
    both = "team = :t AND season = :s AND "
    zero = {":r": {"N": "0"}}
    assert numbers(ask(dynamodb, games, both + "round = :r", values=zero)) == [n for n in order if n // 4 == 2]
    assert numbers(ask(dynamodb, games, both + "round < :r", values=zero)) == [n for n in order if n // 4 < 2]
    third = {**zero, ":c": {"B": b"c"}, ":p": {"S": "b"}}
    assert numbers(ask(dynamodb, games, "begins_with(player, :p) AND court = :c AND round = :r AND season = :s AND team = :t", values=third)) == [9]
    assert numbers(ask(dynamodb, games, both + "round = :r AND court < :c", values={**zero, ":c": {"B": b"c"}})) == [10, 11]
    legacy = {name: {"AttributeValueList": [value], "ComparisonOperator": how} for name, value, how in (
        ("team", {"S": "red"}, "EQ"), ("season", {"N": "1"}, "EQ"), ("round", {"N": "1"}, "GE"))}
    assert numbers(dynamodb.query(TableName=games, IndexName="games", KeyConditions=legacy)) == order[12:]


def test_statements_do_not_read_it(dynamodb, games):
    """In the words of AWS in October 2026, which come before any other fault of the statement."""
    words = "PartiQL statements cannot be executed on tables with multi-attribute HASH keys or multi-attribute RANGE keys."
    select = f'SELECT p FROM "{games}"."games"'
    for where in (" WHERE team = 'red' AND season = 1 AND round = 1 ORDER BY round", " WHERE team = 5", ""):
        with pytest.raises(ClientError) as refused:
            dynamodb.execute_statement(Statement=select + where)
        assert refused.value.response["Error"]["Message"] == words
    batch = dynamodb.batch_execute_statement(Statements=[{"Statement": select + " WHERE team = 'red'"},
                                                         {"Statement": f"SELECT p FROM \"{games}\" WHERE p = '003'"}])["Responses"]
    assert batch[0]["Error"] == {"Code": "ValidationError", "Message": words} and batch[1]["Item"] == {"p": {"S": "003"}}


def test_pages(dynamodb, games):
    for reads in (lambda **more: ask(dynamodb, games, Limit=3, **more),
                  lambda **more: ask(dynamodb, games, "team = :t AND season = :s AND round >= :r", values={":r": {"N": "-2"}}, Limit=3, **more),
                  lambda **more: dynamodb.scan(TableName=games, IndexName="games", Limit=3, **more)):
        answer = reads()
        found = numbers(answer)
        while "LastEvaluatedKey" in answer:
            assert answer["LastEvaluatedKey"].keys() == {"p", *TYPES}
            answer = reads(ExclusiveStartKey=answer["LastEvaluatedKey"])
            found += numbers(answer)
        assert sorted(n for n in found if n < 16) == list(range(16)) and len(found) == len(set(found))
    start = without("round", ask(dynamodb, games, Limit=1)["LastEvaluatedKey"])
    with pytest.raises(ClientError, match="ValidationException.*starting key"):
        ask(dynamodb, games, ExclusiveStartKey=start)


@pytest.mark.parametrize("condition, words", [
    ("team = :t", "HASH key attributes season must have equality conditions"), ("team = :t AND season > :s", "HASH key attributes season must"),
    *((f"team = :t AND season = :s{more} AND court = :c", "RANGE key attributes round must have equality conditions specified in the query "
       "because a condition is present on key attribute court") for more in ("", " AND round > :s")),
    ("team = :t AND season = :s AND round = :t", "type"), ("team = :t AND season = :s AND score = :s", "not supported")])
def test_conditions_that_no_row_range_answers(dynamodb, games, condition, words):
    values = {k: v for k, v in {":t": {"S": "red"}, ":s": {"N": "1"}, ":c": {"B": b"c"}}.items() if k in condition}
    with pytest.raises(ClientError, match="(?s)ValidationException.*" + words):
        dynamodb.query(TableName=games, IndexName="games", KeyConditionExpression=condition, ExpressionAttributeValues=values)


def test_filters_are_of_other_attributes(dynamodb, games):
    with pytest.raises(ClientError, match="non-primary key attributes.*player"):
        ask(dynamodb, games, FilterExpression="player = :t")


def test_follows_its_items_also_through_a_kill(own_virga, create_table, name):
    client = own_virga.client("dynamodb")
    create_table(client, name, ["p"], {"p": "S"})
    for number in range(8):
        client.put_item(TableName=name, Item=game(number))
    client.put_item(TableName=name, Item=game(8, round={"S": "not a number"}))
    client.update_table(TableName=name, GlobalSecondaryIndexUpdates=[{"Create": INDEX}],
                        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in TYPES.items()])
    eventually(lambda: client.describe_table(TableName=name)["Table"]["GlobalSecondaryIndexes"][0]["IndexStatus"] == "ACTIVE")
    with pytest.raises(ClientError, match="Type mismatch for Index Key round"):
        client.put_item(TableName=name, Item=game(9, round={"S": "not a number"}))
    client.update_item(TableName=name, Key={"p": {"S": "000"}}, UpdateExpression="REMOVE court")
    client.update_item(TableName=name, Key={"p": {"S": "001"}}, UpdateExpression="SET season = :n", ExpressionAttributeValues={":n": {"N": "7"}})
    client.delete_item(TableName=name, Key={"p": {"S": "002"}})
    own_virga.kill()
    own_virga.start()
    client = own_virga.client("dynamodb")
    assert sorted(numbers(ask(client, name))) == [3, 4, 5, 6, 7]
    assert numbers(ask(client, name, values={":s": {"N": "7"}})) == [1]


@pytest.mark.parametrize("roles, words", [
    (["HASH", "RANGE", "HASH"], "invalid: All HASH key attributes must precede RANGE key attributes in the KeySchema"),
    (["HASH"] * 5, "invalid: The KeySchema exceeds the maximum allowed number of HASH key attributes"),
    (["HASH"] + ["RANGE"] * 5, "invalid: The KeySchema exceeds the maximum allowed number of RANGE key attributes"),
    (["RANGE"] * 3, "first KeySchemaElement is not a HASH")])
def test_schemas_that_are_none(dynamodb, create_table, name, roles, words):
    names = [f"k{i}" for i in range(len(roles))]
    with pytest.raises(ClientError, match="ValidationException.*" + words):
        create_table(dynamodb, name, ["p"], {"p": "S", **{n: "S" for n in names}}, GlobalSecondaryIndexes=[
            {**INDEX, "KeySchema": [{"AttributeName": n, "KeyType": r} for n, r in zip(names, roles)]}])
    with pytest.raises(ClientError, match="ValidationException"):
        dynamodb.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": n, "KeyType": "HASH"} for n in "pq"],
                              AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in "pq"])
