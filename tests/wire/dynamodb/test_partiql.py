"""PartiQL: statements, batches and transactions."""

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def run(dynamodb):
    def statement(text, *parameters, **more):
        return dynamodb.execute_statement(Statement=text, **({"Parameters": list(parameters)} if parameters else {}), **more)
    return statement


def test_insert_select_update_delete(run, sorted_table, p):
    t = f'"{sorted_table}"'
    run(f"INSERT INTO {t} VALUE {{'p': ?, 's': 1, 'name': 'it''s', 'list': [1, 'a'], 'map': {{'x': 1.5}}, "
        "'set': <<'a', 'b'>>, 'yes': true, 'nothing': null}", p)
    [item] = run(f"SELECT * FROM {t} WHERE p = ? AND s = 1", p)["Items"]
    assert item == {"p": p, "s": {"N": "1"}, "name": {"S": "it's"}, "list": {"L": [{"N": "1"}, {"S": "a"}]},
                    "map": {"M": {"x": {"N": "1.5"}}}, "set": {"SS": ["a", "b"]}, "yes": {"BOOL": True}, "nothing": {"NULL": True}}
    with pytest.raises(ClientError, match="DuplicateItemException.*Duplicate primary key exists in table"):
        run(f"INSERT INTO {t} VALUE {{'p': ?, 's': 1}}", p)

    [new] = run(f"UPDATE {t} SET list = list_append(list, [2]) SET \"map\".y = 7, \"set\" = set_add(\"set\", <<'c'>>), n = 1 + 1 "
                f"REMOVE yes WHERE p = ? AND s = 1 RETURNING ALL NEW *", p)["Items"]
    assert new["list"]["L"][-1] == {"N": "2"} and new["map"]["M"]["y"] == {"N": "7"} and new["n"] == {"N": "2"}
    assert new["set"] == {"SS": ["a", "b", "c"]} and "yes" not in new
    [old] = run(f"UPDATE {t} SET n = n + ? WHERE p = ? AND s = 1 RETURNING MODIFIED OLD *", {"N": "5"}, p)["Items"]
    assert old == {"n": {"N": "2"}}
    with pytest.raises(ClientError, match="ConditionalCheckFailedException"):
        run(f"UPDATE {t} SET n = 0 WHERE p = ? AND s = 1 AND n = 0", p)
    with pytest.raises(ClientError, match="ConditionalCheckFailedException"):
        run(f"UPDATE {t} SET n = 0 WHERE p = ? AND s = 99", p)
    [gone] = run(f"DELETE FROM {t} WHERE p = ? AND s = 1 RETURNING ALL OLD *", p)["Items"]
    assert gone["n"] == {"N": "7"}
    assert run(f"DELETE FROM {t} WHERE p = ? AND s = 1", p)["Items"] == []
    assert run(f"SELECT * FROM {t} WHERE p = ?", p)["Items"] == []


def test_conditions(run, dynamodb, sorted_table, p):
    t = f'"{sorted_table}"'
    for n in range(6):
        item = {"p": p, "s": {"N": str(n)}, "name": {"S": f"n{n}"}, "tags": {"SS": ["a", f"t{n}"]}}
        if n % 2:
            item["odd"] = {"BOOL": True}
        dynamodb.put_item(TableName=sorted_table, Item=item)

    def found(where, *parameters):
        return [int(i["s"]["N"]) for i in run(f"SELECT s FROM {t} WHERE p = ? AND {where}", p, *parameters)["Items"]]

    assert found("s BETWEEN 2 AND 4") == [2, 3, 4]
    assert found("s > 3") == [4, 5]
    assert found("odd IS MISSING") == [0, 2, 4]
    assert found("odd IS NOT MISSING") == [1, 3, 5]
    assert found("name IN ['n1', 'n5']") == [1, 5]
    assert found("contains(tags, ?)", {"S": "t2"}) == [2]
    assert found("begins_with(name, 'n4')") == [4]
    assert found("NOT (s = 1 OR s = 2)") == [0, 3, 4, 5]
    assert found("attribute_type(odd, 'BOOL') AND s < 4") == [1, 3]
    assert found("size(tags) = 2 AND s <> 0 AND s <= 1") == [1]
    items = run(f"SELECT s FROM {t} WHERE p = ? ORDER BY s DESC", p)["Items"]
    assert [i["s"]["N"] for i in items] == ["5", "4", "3", "2", "1", "0"]
    assert run(f"SELECT name, tags[0] FROM {t} WHERE p = ? AND s = 0", p)["Items"] == [{"name": {"S": "n0"}}]

    pages, token = [], None
    while True:
        page = run(f"SELECT s FROM {t} WHERE p = ?", p, Limit=4, **({"NextToken": token} if token else {}))
        pages.append(len(page["Items"]))
        token = page.get("NextToken")
        if not token:
            break
    assert sum(pages) == 6 and pages[0] == 4
    first = run(f"SELECT s FROM {t} WHERE p = ?", p, Limit=4)["NextToken"]
    with pytest.raises(ClientError, match="NextToken does not match request"):
        run(f"SELECT name FROM {t} WHERE p = ?", p, NextToken=first)


def test_several_partitions_and_indexes(run, dynamodb, sorted_table, p):
    other = {"S": p["S"] + "x"}
    for key in (p, other):
        for n in range(3):
            dynamodb.put_item(TableName=sorted_table, Item={"p": key, "s": {"N": str(n)}, "g": {"S": "g" + p["S"]}})
    t = f'"{sorted_table}"'
    assert len(run(f"SELECT * FROM {t} WHERE p IN [?, ?] AND s < 2", p, other)["Items"]) == 4
    assert len(run(f'SELECT * FROM {t}."gsi" WHERE g = ?', {"S": "g" + p["S"]})["Items"]) == 6
    got, token = 0, None
    while True:
        page = run(f"SELECT * FROM {t} WHERE p IN [?, ?]", p, other, Limit=2, **({"NextToken": token} if token else {}))
        got += len(page["Items"])
        token = page.get("NextToken")
        if not token:
            break
    assert got == 6
    with pytest.raises(ClientError, match="does not have the specified index"):
        run(f'SELECT * FROM {t}."none" WHERE g = ?', p)


@pytest.mark.parametrize("text, said", [
    ("SELECT", "wasn't well formed"),
    ("SELECT * FROM \"{t}\" WHERE p = ", "wasn't well formed"),
    ("DROP TABLE \"{t}\"", "wasn't well formed"),
    ("SELECT * FROM \"{t}\" WHERE ˑ = 1", "Unexpected token: ˑ"),
    ("SELECT * FROM \"{t}\" WHERE p = ?", "Number of parameters in request and statement don't match."),
    ("UPDATE \"{t}\" SET a = 1 WHERE p = 'x'", "mandatory equality on all key attributes"),
    ("DELETE FROM \"{t}\" WHERE s = 1", "mandatory equality on all key attributes"),
    ("INSERT INTO \"{t}\" VALUE {{'p': 'a'}}", "Missing the key s in the item"),
    ("SELECT * FROM \"{t}\" WHERE p = 1", "Condition parameter type does not match schema type"),
    ("SELECT * FROM \"nowhere-there\" WHERE p = 'x'", "Requested resource not found"),
    ("EXISTS(SELECT * FROM \"{t}\" WHERE p = 'x' AND s = 1)", "EXISTS is only supported"),
    ("SELECT * FROM \"{t}\" WHERE " + "(" * 200 + "p = 'x'" + ")" * 200, "nested too deeply"),
])
def test_refusals(run, sorted_table, text, said):
    with pytest.raises(ClientError) as refused:
        run(text.replace("{t}", sorted_table).replace("{{", "{").replace("}}", "}"))
    assert said in refused.value.response["Error"]["Message"]


def test_batch(dynamodb, sorted_table, p):
    t = f'"{sorted_table}"'
    out = dynamodb.batch_execute_statement(Statements=[
        {"Statement": f"INSERT INTO {t} VALUE {{'p': ?, 's': 1, 'a': 1}}", "Parameters": [p]},
        {"Statement": f"INSERT INTO {t} VALUE {{'p': ?, 's': 1}}", "Parameters": [p]},
        {"Statement": f"UPDATE {t} SET a = 2 WHERE p = ? AND s = 1", "Parameters": [p]}])["Responses"]
    assert "Error" not in out[0] and out[1]["Error"]["Code"] == "DuplicateItem" and "Error" not in out[2]
    out = dynamodb.batch_execute_statement(Statements=[
        {"Statement": f"SELECT a FROM {t} WHERE p = ? AND s = 1", "Parameters": [p]},
        {"Statement": f"SELECT a FROM {t} WHERE p = ?", "Parameters": [p]},
        {"Statement": f"SELECT a FROM {t} WHERE p = ? AND s = 2", "Parameters": [p]}])["Responses"]
    assert out[0]["Item"] == {"a": {"N": "2"}} and out[1]["Error"]["Code"] == "ValidationError" and "Item" not in out[2]


def test_transaction(dynamodb, sorted_table, p):
    t = f'"{sorted_table}"'
    writes = [{"Statement": f"INSERT INTO {t} VALUE {{'p': ?, 's': 1, 'a': 1}}", "Parameters": [p]},
              {"Statement": f"INSERT INTO {t} VALUE {{'p': ?, 's': 2, 'a': 1}}", "Parameters": [p]}]
    dynamodb.execute_transaction(TransactStatements=writes, ClientRequestToken="once" + p["S"][:20])
    dynamodb.execute_transaction(TransactStatements=writes, ClientRequestToken="once" + p["S"][:20])  # the same again
    with pytest.raises(ClientError) as refused:
        dynamodb.execute_transaction(TransactStatements=[
            {"Statement": f"EXISTS(SELECT * FROM {t} WHERE p = ? AND s = 1 AND a = 1)", "Parameters": [p]},
            {"Statement": f"UPDATE {t} SET a = 9 WHERE p = ? AND s = 2 AND a = 3", "Parameters": [p]}])
    assert [r["Code"] for r in refused.value.response["CancellationReasons"]] == ["None", "ConditionalCheckFailed"]
    with pytest.raises(ClientError) as refused:
        dynamodb.execute_transaction(TransactStatements=[writes[0]])
    assert [r["Code"] for r in refused.value.response["CancellationReasons"]] == ["DuplicateItem"]
    out = dynamodb.execute_transaction(TransactStatements=[
        {"Statement": f"SELECT a FROM {t} WHERE p = ? AND s = {n}", "Parameters": [p]} for n in (1, 2)])
    assert [r["Item"] for r in out["Responses"]] == [{"a": {"N": "1"}}, {"a": {"N": "1"}}]
