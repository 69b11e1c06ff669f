"""PartiQL: statements, batches and transactions."""

import uuid

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


def test_alternatives_read_their_partitions(run, dynamodb, sorted_table, p):
    """What any of them selects, each item once, at the price of the rows that can be among it."""
    other = {"S": p["S"] + "x"}
    for key in (p, other):
        dynamodb.batch_write_item(RequestItems={sorted_table: [{"PutRequest": {"Item": {
            "p": key, "s": {"N": str(n)}, "a": {"N": str(n % 2)}, "pad": {"S": "x" * 4000}}}} for n in range(8)]})

    def found(where, *parameters, **more):
        out = run(f'SELECT p, s FROM "{sorted_table}" WHERE {where}', *parameters, ReturnConsumedCapacity="TOTAL", **more)
        return sorted((i["p"] == other, int(i["s"]["N"])) for i in out["Items"]), out["ConsumedCapacity"]["CapacityUnits"]
    here, there = [(False, n) for n in range(8)], [(True, n) for n in range(8)]
    both = found("p = ? OR p = ?", p, other)
    assert both == (here + there, 8)
    assert found("p = ? AND s < 2 OR p = ? AND s = 5", p, other) == (here[:2] + there[5:6], 1.5)
    assert found("p = ? AND (s = 1 OR s > 5)", p) == (here[1:2] + here[6:], 1.5)
    assert found("(p = ? OR p = ?) AND s BETWEEN 3 AND 4 AND a = 1", p, other) == (here[3:4] + there[3:4], 2)
    for overlapping, numbers in (("NOT s = 1", {0, *range(2, 8)}), ("s <> 1", {0, *range(2, 8)}), ("NOT s IN [1, 3]", {0, 2, *range(4, 8)}),
                                 ("s > 2", {2, *range(3, 8)})):
        assert found(f"p = ? AND {overlapping} OR p = ? AND s = 2", p, p)[0] == [here[n] for n in sorted(numbers)]
    pages, token = [], None
    while True:
        page = run(f'SELECT p, s FROM "{sorted_table}" WHERE p = ? OR p = ? AND a = 0', p, other, Limit=3, **({"NextToken": token} if token else {}))
        pages += page["Items"]
        token = page.get("NextToken")
        if not token:
            break
    assert len(pages) == 12


@pytest.mark.parametrize("text, said", [
    ("SELECT", "wasn't well formed"),
    ("SELECT * FROM \"{t}\" WHERE p = ", "wasn't well formed"),
    ("DROP TABLE \"{t}\"", "wasn't well formed"),
    ("SELECT * FROM \"{t}\" WHERE ˑ = 1", "can't be processed: "),
    ("SELECT * FROM \"{t}\" WHERE p = 'x' /* open", "can't be processed: "),
    ("SELECT * FROM \"{t}\" WHERE p = 'x' AND n = 1e2147483648", "can't be processed: "),
    ("SELECT * FROM \"{t}\" WHERE p = 'x' more", "Unexpected token after expression"),
    ("DELETE FROM \"{t}\" WHERE p = 'x' AND s = 1 ORDER BY s", "Unexpected token after expression"),
    ("FROM \"{t}\" SET a = 1 WHERE p = 'x' AND s = 1", "Unexpected token after expression"),
    ("CHOOSE * FROM \"{t}\"", "Expected data manipulation"),
    ("SELECT * FROM \"{t}\" WHERE", "Unexpected term"),
    ("SELECT * FROM \"{t}\" WHERE p = 'x' AND", "Missing right-hand side expression of infix operator"),
    ("SELECT * FROM \"{t}\" WHERE ORDER BY p", "Unexpected keyword"),
    ("SELECT * FROM \"{t}\" WHERE IS NULL", "Unexpected operator"),
    ("SELECT * FROM \"{t}\" WHERE p IS STONE", "Expected type name"),
    ("DELETE FROM WHERE p = 'x'", "Expected identifier for simple path"),
    ("SELECT * FROM \"{t}\" AS u WHERE p = 'x'", "Aliasing is not supported"),
    ("UPDATE \"{t}\" u SET a = 1 WHERE p = 'x'", "Aliasing is not supported"),
    ("SELECT * FROM \"\" WHERE p = 'x'", "Path component cannot be an empty string"),
    ("SELECT * FROM \"{t}\".a.b WHERE p = 'x'", "A path may contain at most 2 components in the FROM clause"),
    ("UPDATE \"{t}\".gsi SET a = 1 WHERE p = 'x'", "This operation is not supported on an index"),
    ("INSERT INTO a.b VALUE {{'p': 'x'}}", "FROM clause may only contain a single table name in data manipulation statements at 1:13:1"),
    ("DELETE FROM \"{t}\" WHERE p = 'x' AND s = 1 RETURNING MODIFIED OLD *",
     "Invalid returning clause: RETURNING MODIFIED OLD *. Only RETURNING ALL OLD * is allowed in DELETE statements."),
    ("INSERT INTO \"{t}\" VALUE {{'p': 'x', 's': 1e126}}", "magnitude larger than supported range under root"),
    ("INSERT INTO \"{t}\" VALUE {{'p': 'x', 's': 1, 'm': {{'l': [1, 1e-131]}}}}", "smaller than supported range under root.l[1]"),
    ("INSERT INTO \"{t}\" VALUE {{'p': 'x', 's': 1, 'a': f(1)}}", "Unsupported data type: f under key root at 1:"),
    ("SELECT a, COUNT(*) FROM t", "Unexpected path component at 1:11:5"),
    ("SELECT a\nFROM t WHERE é = 1", "can't be processed: "),
    ("SELECT a\nFROM t WHERE b = 'é' AND Exists(b)", "Unrecognized function: exists at 2:26:6"),
    ("SELECT * FROM t WHERE attribute_exists('a')",
     "Operator or function requires a document path; operator or function: attribute_exists"),
    ("SELECT * FROM t WHERE attribute_exists(a, b)",
     "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 2"),
    ("SELECT * FROM nowhere WHERE p = 'x' AND a < true",
     "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL"),
    ("UPDATE t SET a = set_add(b, <<1>>) WHERE p = 'x'", "The first argument to SET_ADD must equal the assignment value at 1:18:7"),
    ("UPDATE t SET a = set_delete(a, 'b') WHERE p = 'x'", "The second argument to SET_DELETE must be a value with type SET at 1:29:1"),
    ("UPDATE t SET a = set_add(a) WHERE p = 'x'", "SET_ADD must have exactly two arguments at 1:18:7"),
    ("UPDATE t SET a = <<>> WHERE p = 'x'", "Empty bags are not supported"),
    ("UPDATE t SET a = <<'x', 'x'>> WHERE p = 'x'", "Input collection [x, x] contains duplicates."),
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
    message = refused.value.response["Error"]["Message"]
    assert said in message
    assert not said.endswith("processed: ") or message.endswith(said)


def test_functions_comments_and_from_first(run, dynamodb, table):
    t, key = f'"{table}"', {"S": "all-" + table}
    dynamodb.put_item(TableName=table, Item={
        "p": key, "name": {"S": "abc"}, "tags": {"SS": ["a", "b"]}, "yes": {"BOOL": True}, "none": {"NULL": True}, "n": {"N": "7310000"},
        "map": {"M": {"in": {"S": "x"}, "deep": {"M": {"er": {"N": "1"}}}}}})

    def finds(where):
        return len(run(f"-- all of it\nSELECT * /* of */ FROM {t} -- this\nWHERE p = ? AND {where} -- end", key)["Items"]) == 1

    for holds in ("attribute_exists(tags)", "ATTRIBUTE_NOT_EXISTS(other)", "attribute_exists(name) = true", "attribute_exists(other) <> true",
                  'attribute_exists(map."in")', "(attribute_exists(other) OR size(name) = 3)", "NOT attribute_exists(other)", "none IS NULL",
                  "name IS NOT NULL", "yes IS BOOL", "name IS STRING", "n = 7.31e6", "n = 731E+4", "n > .5", "n > -.5", "tags = <<'b', 'a'>>",
                  "map.deep = {'er': 1}"):
        assert finds(holds), holds
    for not_so in ("attribute_exists(other)", "attribute_not_exists(tags)", "attribute_exists(name) = false", "name IS NULL", "name IS BOOL",
                   "size(name) = 4", "attribute_exists(map.other)"):
        assert not finds(not_so), not_so

    assert run(f"SELECT map.deep.er, name, map.other FROM {t} WHERE p = ?", key)["Items"] == [{"er": {"N": "1"}, "name": {"S": "abc"}}]

    assert run(f"FROM {t} WHERE p = ? AND n > 1 SET tags = set_delete(tags, <<'a'>>) REMOVE none RETURNING MODIFIED NEW *", key)["Items"] == [
        {"tags": {"SS": ["b"]}}]
    assert run(f"UPDATE {t} REMOVE name WHERE p = ? RETURNING MODIFIED NEW *", key)["Items"] == []
    for absent in (f"FROM {t} WHERE p = 'not there' SET a = 1", f"UPDATE {t} SET a = 1 WHERE p = '{key['S']}' AND attribute_exists(none)"):
        with pytest.raises(ClientError, match="ConditionalCheckFailedException"):
            run(absent)


def test_indexes_hold_what_they_project(run, dynamodb, create_table):
    name = create_table(
        dynamodb, "projected-" + uuid.uuid4().hex[:8], ["p", "s"], {"p": "S", "s": "S", "g": "S", "l": "S"},
        GlobalSecondaryIndexes=[{"IndexName": "gsi", "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["with"]},
                                 "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}]}],
        LocalSecondaryIndexes=[{"IndexName": "lsi", "Projection": {"ProjectionType": "KEYS_ONLY"},
                                "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "l", "KeyType": "RANGE"}]}])
    for n in ("1", "2", "3"):
        dynamodb.put_item(TableName=name, Item={k: {"S": v} for k, v in dict(p="p", s=n, g="g", l=n, out=n, **{"with": n}).items()})
    dynamodb.put_item(TableName=name, Item={"p": {"S": "p"}, "s": {"S": "4"}, "out": {"S": "4"}})

    def read(what, index, where, **more):
        out = run(f'SELECT {what} FROM "{name}"."{index}"{" WHERE " if where else ""}{where}', ReturnConsumedCapacity="INDEXES", **more)
        used = out["ConsumedCapacity"]
        [index] = (used.get("LocalSecondaryIndexes") or used["GlobalSecondaryIndexes"]).values()
        return out["Items"], (used["CapacityUnits"], used["Table"]["CapacityUnits"], index["CapacityUnits"])

    items, units = read("*", "gsi", "g = 'g'")
    assert [sorted(i) for i in items] == [["g", "p", "s", "with"]] * 3 and units == (0.5, 0, 0.5)
    # A local index gets the rest from the items, each at its own price.
    items, units = read('"out"', "lsi", "p = 'p'")
    assert [i["out"]["S"] for i in items] == ["1", "2", "3"] and units == (2, 1.5, 0.5)
    assert read('"out"', "lsi", "p = 'p'", ConsistentRead=True)[1] == (4, 3, 1)
    # A scan of an index finds no attribute that the index lacks.
    assert read("p", "lsi", "\"out\" = '1'")[0] == [] and len(read("p", "gsi", "NOT \"out\" = '1'")[0]) == 3
    for what, index, where, more, said in (
            ('a, "with", "out"', "gsi", "g = 'g'", {}, "Global secondary index gsi does not project [a, out]"),
            ("p", "gsi", "g IN ['g'] AND \"out\" = '1'", {}, "Secondary index gsi does not project one or more filter attributes: [out]"),
            ("p", "lsi", "p = 'p' AND NOT \"out\" = '1'", {}, "Secondary index lsi does not project one or more filter attributes: [out]"),
            ("p", "gsi", "g = 'g'", {"ConsistentRead": True}, "Strongly consistent read is not supported on Global Secondary Indexes"),
            ("p", "none", "p = 'p'", {}, "The table does not have the specified index")):
        with pytest.raises(ClientError) as refused:
            read(what, index, where, **more)
        assert refused.value.response["Error"]["Message"].endswith(said)
    dynamodb.delete_table(TableName=name)


def test_batch(dynamodb, sorted_table, p):
    t = f'"{sorted_table}"'
    out = dynamodb.batch_execute_statement(Statements=[
        {"Statement": f"INSERT INTO {t} VALUE {{'p': ?, 's': 1, 'a': 1}}", "Parameters": [p]},
        {"Statement": f"INSERT INTO {t} VALUE {{'p': ?, 's': 3}}", "Parameters": [p]}])["Responses"]
    assert not any("Error" in one for one in out)
    out = dynamodb.batch_execute_statement(Statements=[
        {"Statement": f"UPDATE {t} SET a = 2 WHERE p = ? AND s = 1", "Parameters": [p]},
        {"Statement": f"INSERT INTO {t} VALUE {{'p': ?, 's': 3}}", "Parameters": [p]},
        {"Statement": f"UPDATED {t} SET a = 2"},
        {"Statement": f"UPDATE {t} REMOVE other WHERE p = ? AND s = 4 RETURNING MODIFIED NEW *", "Parameters": [p]}])["Responses"]
    assert "Error" not in out[0] and [one["Error"]["Code"] for one in out[1:]] == ["DuplicateItem", "ValidationError", "ConditionalCheckFailed"]
    # Named where the statement was tried.
    assert [one.get("TableName") for one in out] == [sorted_table, sorted_table, None, sorted_table]
    for statements, said in (([f"SELECT * FROM {t} WHERE p = ? AND s = 1"] * 2, "Provided list of item keys contains duplicates"),
                             ([f"SELECT * FROM {t} WHERE p = ? AND s = 1", f"DELETE FROM {t} WHERE p = ? AND s = 2"],
                              "Read and write requests together in the same batch is not supported.")):
        with pytest.raises(ClientError, match=said):
            dynamodb.batch_execute_statement(Statements=[{"Statement": one, "Parameters": [p]} for one in statements])
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
    update = f"UPDATE {t} SET b = 1 WHERE p = ? AND s = 1"
    assert dynamodb.execute_transaction(TransactStatements=[{"Statement": update, "Parameters": [p]}])["Responses"] == []
    for statement, said in (
            (f"{update} RETURNING ALL OLD *", "RETURNING clause is not supported in ExecuteTransaction."),
            (f'SELECT * FROM {t}."gsi" WHERE g = ?', "Reads on indices are not supported within transactions."),
            (f"SELECT * FROM {t} WHERE p = ?", "Select statements within ExecuteTransaction must specify the primary key in the where clause."),
            (f"SELECT * FROM {t} WHERE p = ? AND s = 1 AND attribute_exists(a)",
             "Select statements within ExecuteTransaction must specify the primary key in the where clause."),
            (f"EXISTS(SELECT * FROM {t} WHERE p = ? AND s = 1)", "EXISTS() must contain a single item read with additional condition"),
            (f"SELECT * FROM {t} WHERE p = ? AND", "Statement wasn't well formed, can't be processed: Missing right-hand side expression of "
                                                   "infix operator")):
        with pytest.raises(ClientError) as refused:
            dynamodb.execute_transaction(TransactStatements=[{"Statement": statement, "Parameters": [p]}])
        assert refused.value.response["Error"]["Message"] == f"Validation failed in TransactStatements[0]: {said}"


def test_what_failed_in_a_batch_costs_what_it_tried(dynamodb, table, p):
    """In the sum alone, beside something that did not fail; the larger of the item that is there and the one to insert."""
    name = p["S"]
    insert = f"INSERT INTO \"{table}\" VALUE {{'p': ?, 'a': ?}}"

    def batch(*members):
        statements = [{"Statement": insert, "Parameters": [{"S": name + key}, {"S": text}]} for key, text in members]
        out = dynamodb.batch_execute_statement(Statements=statements, ReturnConsumedCapacity="INDEXES")
        return [r.get("Error", {}).get("Code") for r in out["Responses"]], out.get("ConsumedCapacity")
    kilobytes = "x" * 2500
    codes, used = batch(("small", "x"), ("large", kilobytes))
    assert codes == [None, None] and used == [{"TableName": table, "CapacityUnits": 4.0, "Table": {"CapacityUnits": 4.0}}]
    codes, used = batch(("new", "x"), ("small", "x"), ("large", "x"), ("small2", "x"))
    assert codes == [None, "DuplicateItem", "DuplicateItem", None]
    assert used == [{"TableName": table, "CapacityUnits": 6.0, "Table": {"CapacityUnits": 2.0}}]
    codes, used = batch(("new2", "x"), ("small", kilobytes))
    assert codes == [None, "DuplicateItem"] and used[0]["CapacityUnits"] == 4.0 and used[0]["Table"]["CapacityUnits"] == 1.0
    assert batch(("small", "x")) == (["DuplicateItem"], None)
