"""Random conditions, updates and queries against an independent model of what they mean, in a few lines of Python."""

import random
import uuid
from decimal import Decimal

import pytest

NAMES = "abcdef"
SCALARS = "SNB"
SETS = {"SS": ["x", "new"], "NS": ["1", "7"], "BS": [b"x", b"new"]}


def value(r, depth=0):
    kind = r.choice(["S", "N", "N", "B", "BOOL", "NULL", "SS", "NS", "BS"] + ([] if depth else ["L", "M"]))
    if kind == "S":
        return {"S": "".join(r.choice("xyzé") for _ in range(r.randrange(4)))}
    if kind == "N":
        return {"N": r.choice(["0", "1", "-1", "2.5", "10", "-0.5", "1e10"])}
    if kind == "B":
        return {"B": bytes(r.choice(b"\0\1x") for _ in range(r.randrange(3)))}
    if kind == "BOOL":
        return {"BOOL": r.random() < 0.5}
    if kind == "NULL":
        return {"NULL": True}
    if kind == "SS":
        return {"SS": r.sample(["x", "y", "z"], r.randint(1, 3))}
    if kind == "NS":
        return {"NS": r.sample(["1", "2.5", "10"], r.randint(1, 3))}
    if kind == "BS":
        return {"BS": r.sample([b"\0", b"x", b"\0x"], r.randint(1, 3))}
    if kind == "L":
        return {"L": [value(r, 1) for _ in range(r.randrange(3))]}
    return {"M": {n: value(r, 1) for n in r.sample(NAMES, r.randrange(3))}}


def plain(v):
    """A form in which equal values are equal."""
    if v is None:
        return None
    (kind, content), = v.items()
    if kind == "N":
        return kind, Decimal(content)
    if kind in ("SS", "BS"):
        return kind, frozenset(content)
    if kind == "NS":
        return kind, frozenset(Decimal(n) for n in content)
    if kind == "L":
        return kind, tuple(plain(e) for e in content)
    if kind == "M":
        return kind, tuple(sorted((n, plain(e)) for n, e in content.items()))
    return kind, content


def ordered(a, b):
    """-1, 0 or 1; nothing when there is no order."""
    if a is None or b is None or next(iter(a)) != next(iter(b)) or next(iter(a)) not in SCALARS:
        return None
    a, b = plain(a)[1], plain(b)[1]
    if isinstance(a, str):
        a, b = a.encode(), b.encode()
    return (a > b) - (a < b)


class Conditions:
    """Makes a random condition: its text, and a function of an item that tells whether it holds."""

    def __init__(self, r):
        self.r, self.values = r, {}

    def hold(self, v):
        name = f":v{len(self.values)}"
        self.values[name] = v
        return name

    def scalar(self):
        while True:
            v = value(self.r)
            if next(iter(v)) in SCALARS:
                return v

    def make(self, depth=0):
        r = self.r
        if depth < 3 and r.random() < 0.5:
            kind = r.choice(["AND", "OR", "NOT"])
            a, fa = self.make(depth + 1)
            if kind == "NOT":
                return f"NOT ({a})", lambda i: not fa(i)
            b, fb = self.make(depth + 1)
            return f"({a}) {kind} ({b})", (lambda i: fa(i) and fb(i)) if kind == "AND" else (lambda i: fa(i) or fb(i))
        (name, at), (other, at_other) = self.path(), self.path()
        kind = r.choice(["=", "<>", "<", "<=", ">", ">=", "path", "between", "between", "in", "exists", "missing", "type", "begins", "contains", "size"])
        if kind in ("=", "<>"):
            v = value(r)
            same = lambda i: at(i) is not None and plain(at(i)) == plain(v)  # noqa: E731
            sides = [name, self.hold(v)]
            r.shuffle(sides)
            return f"{sides[0]} {kind} {sides[1]}", same if kind == "=" else lambda i: not same(i)
        if kind in ("<", "<=", ">", ">="):
            v = self.scalar()
            test = {"<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}[kind]
            if r.random() < 0.3:
                return f"{self.hold(v)} {kind} {name}", lambda i: ordered(v, at(i)) in test
            return f"{name} {kind} {self.hold(v)}", lambda i: ordered(at(i), v) in test
        if kind == "path":
            if other == name:
                return f"attribute_exists({name})", lambda i: at(i) is not None
            return f"{name} <= {other}", lambda i: ordered(at(i), at_other(i)) in (-1, 0)
        if kind == "between":
            low = self.scalar()
            high = self.scalar()
            while ordered(low, high) not in (-1, 0):
                low, high = self.scalar(), self.scalar()
            return (f"{name} BETWEEN {self.hold(low)} AND {self.hold(high)}",
                    lambda i: ordered(at(i), low) in (0, 1) and ordered(at(i), high) in (-1, 0))
        if kind == "in":
            several = [value(r) for _ in range(3)]
            return (f"{name} IN ({', '.join(self.hold(v) for v in several)})",
                    lambda i: at(i) is not None and plain(at(i)) in [plain(v) for v in several])
        if kind == "exists":
            return f"attribute_exists({name})", lambda i: at(i) is not None
        if kind == "missing":
            return f"attribute_not_exists({name})", lambda i: at(i) is None
        if kind == "type":
            t = r.choice(["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"])
            return f"attribute_type({name}, {self.hold({'S': t})})", lambda i: t in (at(i) or {})
        if kind == "begins":
            t, start = r.choice([("S", ""), ("S", "x"), ("S", "xy"), ("S", "é"), ("B", b"\0"), ("B", b"x")])
            return f"begins_with({name}, {self.hold({t: start})})", lambda i: t in (at(i) or {}) and at(i)[t].startswith(start)
        if kind == "contains":
            v = value(r, 1)

            def has(i, sought=lambda i: v):
                if at(i) is None or sought(i) is None:
                    return False
                (t, content), = at(i).items()
                (vt, part), = sought(i).items()
                if t == vt and t in "SB":
                    return part in content
                if (t, vt) in (("SS", "S"), ("NS", "N"), ("BS", "B")):
                    return plain(sought(i))[1] in plain(at(i))[1]
                return t == "L" and plain(sought(i)) in plain(at(i))[1]
            return f"contains({name}, {self.hold(v)})", has

        n = r.randrange(4)
        compare = r.choice(["=", "<", "<=", ">", ">="])
        test = {"=": (0,), "<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}[compare]

        def size(i):
            (t, content), = (at(i) or {"NULL": True}).items()
            return t in ("S", "B", "SS", "NS", "BS", "L", "M") and (len(content) > n) - (len(content) < n) in test
        return f"size({name}) {compare} {self.hold({'N': str(n)})}", size

    def path(self):
        """Of an attribute, or of what is in a map or list: its text, and a function of an item that gives what is there."""
        name, inner, n = self.r.choice(NAMES), self.r.choice(NAMES), self.r.randrange(2)
        kind = self.r.choice(["top", "top", "top", "map", "list"])
        if kind == "map":
            return f"{name}.{inner}", lambda i: (i.get(name) or {}).get("M", {}).get(inner)
        if kind == "list":
            return f"{name}[{n}]", lambda i: dict(enumerate((i.get(name) or {}).get("L", []))).get(n)
        return name, lambda i: i.get(name)


@pytest.fixture(scope="module")
def items(dynamodb, create_table):
    r = random.Random(7)
    name = create_table(dynamodb, "t-" + uuid.uuid4().hex[:8], ["p"], {"p": "S"})
    made = [{"p": {"S": str(n)}, **{a: value(r) for a in NAMES if r.random() < 0.7}} for n in range(60)]
    for item in made:
        dynamodb.put_item(TableName=name, Item=item)
    return name, made


@pytest.mark.parametrize("seed", range(8))
def test_conditions_hold_as_the_model_says(dynamodb, items, seed):
    name, made = items
    r = random.Random(seed)
    for _ in range(40):
        conditions = Conditions(r)
        text, holds = conditions.make()
        found = dynamodb.scan(TableName=name, FilterExpression=text, **({"ExpressionAttributeValues": conditions.values} if conditions.values else {}))
        assert {i["p"]["S"] for i in found["Items"]} == {i["p"]["S"] for i in made if holds(i)}, (text, conditions.values)


@pytest.mark.parametrize("seed", range(4))
def test_updates_do_as_the_model_says(dynamodb, table, p, seed):
    r = random.Random(seed)
    state = {"p": p}
    dynamodb.put_item(TableName=table, Item=state)
    for _ in range(60):
        targets = r.sample(NAMES, r.randint(1, 3))
        after, sets, removes, adds, deletes, values = dict(state), [], [], [], [], {}
        for n, name in enumerate(targets):
            v, now = f":v{n}", state.get(name)
            kind = r.choice(["set", "if", "copy", "plus", "minus", "append", "remove", "add", "add", "delete", "inner", "drop"])
            other = r.choice(NAMES)
            if kind == "set":
                values[v] = after[name] = value(r)
                sets.append(f"{name} = {v}")
            elif kind == "if":
                values[v] = value(r)
                after[name] = state.get(other, values[v])
                sets.append(f"{name} = if_not_exists({other}, {v})")
            elif kind == "copy" and other in state:
                after[name] = state[other]
                sets.append(f"{name} = {other}")
            elif kind == "plus" and "N" in state.get(other, {}):
                values[v] = {"N": r.choice(["1", "-2.5", "100"])}
                after[name] = {"N": str(Decimal(state[other]["N"]) + Decimal(values[v]["N"]))}
                sets.append(f"{name} = {other} + {v}")
            elif kind == "minus" and "N" in state.get(other, {}):
                values[v] = {"N": r.choice(["1", "-2.5", "100"])}
                after[name] = {"N": str(Decimal(state[other]["N"]) - Decimal(values[v]["N"]))}
                sets.append(f"{name} = {other} - {v}")
            elif kind == "append" and "L" in state.get(other, {}) and len(state[other]["L"]) < 8:
                values[v] = {"L": [value(r, 1)]}
                after[name] = {"L": state[other]["L"] + values[v]["L"]}
                sets.append(f"{name} = list_append({other}, {v})")
            elif kind == "remove":
                after.pop(name, None)
                removes.append(name)
            elif kind == "add" and (now is None or "N" in now):
                values[v] = {"N": "3"}
                after[name] = {"N": str(Decimal((now or {"N": "0"})["N"]) + 3)}
                adds.append(f"{name} {v}")
            elif kind in ("add", "delete") and (sets_of := [t for t in SETS if t in (now or {})]):
                t, = sets_of
                values[v] = {t: SETS[t]}
                left = plain(now)[1] | plain(values[v])[1] if kind == "add" else plain(now)[1] - plain(values[v])[1]
                after[name] = {t: [str(e) if t == "NS" else e for e in left]}
                if not left:
                    del after[name]
                (adds if kind == "add" else deletes).append(f"{name} {v}")
            elif kind == "inner" and "M" in (now or {}):
                values[v] = value(r, 1)
                after[name] = {"M": {**now["M"], other: values[v]}}
                sets.append(f"{name}.{other} = {v}")
            elif kind == "inner" and "L" in (now or {}):
                at = r.randrange(len(now["L"]) + 2)
                values[v] = value(r, 1)
                after[name] = {"L": now["L"][:at] + [values[v]] + now["L"][at + 1:]}
                sets.append(f"{name}[{at}] = {v}")
            elif kind == "drop" and "M" in (now or {}):
                after[name] = {"M": {k: e for k, e in now["M"].items() if k != other}}
                removes.append(f"{name}.{other}")
            elif kind == "drop" and "L" in (now or {}):
                at = r.randrange(len(now["L"]) + 1)
                after[name] = {"L": now["L"][:at] + now["L"][at + 1:]}
                removes.append(f"{name}[{at}]")
        text = " ".join(f"{word} {', '.join(parts)}" for word, parts in (("SET", sets), ("REMOVE", removes), ("ADD", adds), ("DELETE", deletes)) if parts)
        if not text:
            continue
        got = dynamodb.update_item(TableName=table, Key={"p": p}, UpdateExpression=text, ReturnValues="ALL_NEW",
                                   **({"ExpressionAttributeValues": values} if values else {}))["Attributes"]
        assert {n: plain(v) for n, v in got.items()} == {n: plain(v) for n, v in after.items()}, (text, values, state)
        state = after


def sort_key(r, kind):
    if kind == "S":
        return {"S": "".join(r.choice("abz\u00e9\U0001f600\0\x01\x7f") for _ in range(r.randint(1, 4)))}
    if kind == "B":
        return {"B": bytes(r.choice(b"\0\x01\x7f\xfe\xff") for _ in range(r.randint(1, 4)))}
    return {"N": f"{r.choice(['', '-'])}{r.choice(['0', '1', '1.5', '9', '10', '12', '99.99'])}E{r.choice([-130, -5, -1, 0, 1, 2, 20, 100])}"}


def place(v):
    """Where a key stands among others of its type."""
    (kind, content), = v.items()
    return Decimal(content) if kind == "N" else content.encode() if kind == "S" else content


@pytest.mark.parametrize("kind", "SNB")
def test_queries_find_what_the_model_says_in_its_order(dynamodb, create_table, kind):
    r = random.Random(kind)
    key = lambda *names: [{"AttributeName": n, "KeyType": t} for n, t in zip(names, ("HASH", "RANGE"))]  # noqa: E731
    table = create_table(
        dynamodb, "t-" + uuid.uuid4().hex[:8], ["p", "s"], {"p": "S", "s": kind, "g": "S", "l": kind},
        GlobalSecondaryIndexes=[{"IndexName": "gsi", "Projection": {"ProjectionType": "ALL"}, "KeySchema": key("g", "s")}],
        LocalSecondaryIndexes=[{"IndexName": "lsi", "Projection": {"ProjectionType": "ALL"}, "KeySchema": key("p", "l")}])
    made = {}
    for _ in range(120):
        item = {"p": {"S": r.choice("xy")}, "s": sort_key(r, kind), "g": {"S": r.choice("gh")}, "l": sort_key(r, kind)}
        if r.random() < 0.2:
            del item[r.choice("gl")]
        made[item["p"]["S"], place(item["s"])] = item
        dynamodb.put_item(TableName=table, Item=item)
    several = list(made.values())
    for _ in range(60):
        index, hash_name, range_name = r.choice([(None, "p", "s"), ("gsi", "g", "s"), ("lsi", "p", "l")])
        value = r.choice("xy" if hash_name == "p" else "gh")
        known = [i[range_name] for i in several if range_name in i]
        a, b = sorted((r.choice([r.choice(known), sort_key(r, kind)]) for _ in "ab"), key=place)
        compare = r.choice(["", "=", "<", "<=", ">", ">=", "BETWEEN", "begins"][:7 if kind == "N" else 8])
        values, condition, holds = {":h": {"S": value}}, f"{hash_name} = :h", lambda i: True
        if compare == "BETWEEN":
            values.update({":a": a, ":b": b})
            condition += f" AND {range_name} BETWEEN :a AND :b"
            holds = lambda i: place(a) <= place(i[range_name]) <= place(b)  # noqa: E731
        elif compare == "begins":
            (t, content), = a.items()
            values[":a"] = {t: content[:r.randint(1, 2)]}
            condition += f" AND begins_with({range_name}, :a)"
            holds = lambda i: place(i[range_name]).startswith(place(values[":a"]))  # noqa: E731
        elif compare:
            values[":a"] = a
            condition += f" AND {range_name} {compare} :a"
            test = {"=": (0,), "<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}[compare]
            holds = lambda i: (place(i[range_name]) > place(a)) - (place(i[range_name]) < place(a)) in test  # noqa: E731
        expected = [i for i in several if hash_name in i and range_name in i and i[hash_name]["S"] == value and holds(i)]
        forward, found, more = r.random() < 0.5, [], {}
        while True:
            page = dynamodb.query(TableName=table, KeyConditionExpression=condition, ExpressionAttributeValues=values, ScanIndexForward=forward,
                                  Limit=r.choice([1, 3, 7, 1000]), **({"IndexName": index} if index else {}), **more)
            found += page["Items"]
            if "LastEvaluatedKey" not in page:
                break
            more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        places = [place(i[range_name]) for i in found]
        assert places == sorted(places, reverse=not forward), (condition, values)
        assert sorted((i["p"]["S"], place(i["s"])) for i in found) == sorted((i["p"]["S"], place(i["s"])) for i in expected), (condition, values)
        assert all({n: plain(v) for n, v in i.items()} == {n: plain(v) for n, v in made[i["p"]["S"], place(i["s"])].items()} for i in found)
