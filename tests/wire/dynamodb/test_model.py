"""Random conditions and updates against an independent model of what they mean, in a few lines of Python."""

import random
import uuid
from decimal import Decimal

import pytest

NAMES = "abcdef"
SCALARS = "SNB"


def value(r, depth=0):
    kind = r.choice(["S", "N", "N", "B", "BOOL", "NULL", "SS", "NS"] + ([] if depth else ["L", "M"]))
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
        name = r.choice(NAMES)
        kind = r.choice(["=", "<>", "<", "<=", ">", ">=", "path", "between", "in", "exists", "missing", "type", "begins", "contains", "size"])
        if kind in ("=", "<>"):
            v = value(r)
            same = lambda i: name in i and plain(i[name]) == plain(v)  # noqa: E731
            return f"{name} {kind} {self.hold(v)}", same if kind == "=" else lambda i: not same(i)
        if kind in ("<", "<=", ">", ">="):
            v = self.scalar()
            test = {"<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}[kind]
            return f"{name} {kind} {self.hold(v)}", lambda i: ordered(i.get(name), v) in test
        if kind == "path":
            other = r.choice([n for n in NAMES if n != name])
            return f"{name} <= {other}", lambda i: ordered(i.get(name), i.get(other)) in (-1, 0)
        if kind == "between":
            low = self.scalar()
            high = self.scalar()
            while ordered(low, high) not in (-1, 0):
                low, high = self.scalar(), self.scalar()
            return (f"{name} BETWEEN {self.hold(low)} AND {self.hold(high)}",
                    lambda i: ordered(i.get(name), low) in (0, 1) and ordered(i.get(name), high) in (-1, 0))
        if kind == "in":
            several = [value(r) for _ in range(3)]
            return (f"{name} IN ({', '.join(self.hold(v) for v in several)})",
                    lambda i: name in i and plain(i[name]) in [plain(v) for v in several])
        if kind == "exists":
            return f"attribute_exists({name})", lambda i: name in i
        if kind == "missing":
            return f"attribute_not_exists({name})", lambda i: name not in i
        if kind == "type":
            t = r.choice(["S", "N", "B", "BOOL", "NULL", "SS", "NS", "L", "M"])
            return f"attribute_type({name}, {self.hold({'S': t})})", lambda i: name in i and t in i[name]
        if kind == "begins":
            v = {"S": r.choice(["", "x", "xy", "é"])}
            return f"begins_with({name}, {self.hold(v)})", lambda i: "S" in i.get(name, {}) and i[name]["S"].startswith(v["S"])
        if kind == "contains":
            v = value(r, 1)

            def has(i):
                (t, content), = i.get(name, {"NULL": True}).items()
                (vt, part), = v.items()
                if t == vt and t in "SB":
                    return part in content
                if t == "SS" and vt == "S" or t == "NS" and vt == "N":
                    return plain(v)[1] in plain(i[name])[1]
                return t == "L" and plain(v) in plain(i[name])[1]
            return f"contains({name}, {self.hold(v)})", has

        n = r.randrange(4)

        def size(i):
            (t, content), = i.get(name, {"NULL": True}).items()
            return t in ("S", "B", "SS", "NS", "L", "M") and len(content) >= n
        return f"size({name}) >= {self.hold({'N': str(n)})}", size


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
        after, sets, removes, adds, values = dict(state), [], [], [], {}
        for n, name in enumerate(targets):
            v, now = f":v{n}", state.get(name)
            kind = r.choice(["set", "if", "copy", "plus", "append", "remove", "add"])
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
            elif kind == "add" and "SS" in now:
                values[v] = {"SS": ["x", "new"]}
                after[name] = {"SS": sorted({*now["SS"], "x", "new"})}
                adds.append(f"{name} {v}")
        text = " ".join(f"{word} {', '.join(parts)}" for word, parts in (("SET", sets), ("REMOVE", removes), ("ADD", adds)) if parts)
        if not text:
            continue
        got = dynamodb.update_item(TableName=table, Key={"p": p}, UpdateExpression=text, ReturnValues="ALL_NEW",
                                   **({"ExpressionAttributeValues": values} if values else {}))["Attributes"]
        assert {n: plain(v) for n, v in got.items()} == {n: plain(v) for n, v in after.items()}, (text, values, state)
        state = after
