"""DynamoDB: puts, gets and queries beside an empty signed operation, and beside dynalite, in turns in one run. Dynalite
runs twice: on disk, as whoever wants to find his data again runs it, and in memory, as it comes. It syncs nothing."""

import json
import os
import pathlib
import re
import statistics
import subprocess
import time

import cloud

CONNECTIONS = 64
PUTS, GETS, PARTITIONS = 1000, 1000, 50
TARGET = "DynamoDB_20120810."


def call(port, operation, body):
    return cloud.signed(port, "POST", "/", "dynamodb", json.dumps(body),
                        [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", TARGET + operation)])


def key(number):
    return {"pk": {"S": f"customer-{number:06d}"}}


def item(number):
    """An item of 1 KB, as an application might have it."""
    rest = {"name": {"S": f"name of {number}"}, "age": {"N": str(number % 90)}, "active": {"BOOL": True},
            "tags": {"SS": ["blue", "green", "red"]}, "address": {"M": {"city": {"S": "Bergen"}, "zip": {"N": "5003"}}}}
    return {**key(number), **rest, "text": {"S": "x" * 880}}


def row(partition, number):
    """One of a hundred items of 200 bytes in a partition."""
    return {"pk": {"S": f"order-{partition:04d}"}, "sk": {"N": str(number)}, "status": {"S": "open"}, "total": {"N": "129.50"},
            "text": {"S": "y" * 145}}


def tables():
    simple = {"TableName": "bench", "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
              "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}]}
    sorted_ = {"TableName": "rows", "BillingMode": "PAY_PER_REQUEST",
               "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
               "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "N"}]}
    return [simple, sorted_]


def fill(port):
    connection = cloud.Connection(port)
    for table in tables():
        connection.ask(call(port, "CreateTable", table))
    for table in tables():
        while b'"ACTIVE"' not in connection.ask(call(port, "DescribeTable", {"TableName": table["TableName"]})):
            time.sleep(0.1)
    batches = [("bench", [item(i) for i in range(at, at + 25)]) for at in range(0, GETS, 25)]
    batches += [("rows", [row(p, i) for i in range(at, at + 25)]) for p in range(PARTITIONS) for at in range(0, 100, 25)]
    for table, items in batches:
        connection.ask(call(port, "BatchWriteItem", {"RequestItems": {table: [{"PutRequest": {"Item": i}} for i in items]}}))
    connection.close()


def requests(port):
    """Signed beforehand: the loader's processor time belongs to the server."""
    return {
        "put": [call(port, "PutItem", {"TableName": "bench", "Item": item(i)}) for i in range(PUTS)],
        "get": [call(port, "GetItem", {"TableName": "bench", "Key": key(i)}) for i in range(GETS)],
        "query": [call(port, "Query", {"TableName": "rows", "KeyConditionExpression": "pk = :p",
                                       "ExpressionAttributeValues": {":p": {"S": f"order-{p:04d}"}}}) for p in range(PARTITIONS)],
    }


def script(settings, name, messages):
    path = pathlib.Path(settings.folder) / name.replace(" ", "-")
    listed = ",\n".join('"' + "".join(f"\\{byte:03d}" if byte < 32 or byte in b'"\\' else chr(byte) for byte in m) + '"'
                        for m in messages)
    path.write_text(f"local all = {{{listed}}}\nlocal i = 0\nrequest = function() i = i % #all + 1 return all[i] end\n")
    return str(path)


class Load:
    """One kind of request to one server."""

    def __init__(self, settings, server, name, port, pid, messages):
        self.port, self.pid, self.name = port, pid, f"{server} {name}"
        self.script = script(settings, f"{server}-{name}.lua", messages)
        self.rates, self.per_cpu = [], []

    def run(self, seconds):
        before = cloud.cpu_seconds(self.pid)
        said = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", self.script, f"http://127.0.0.1:{self.port}/"],
                              capture_output=True, text=True, check=True).stdout
        used = cloud.cpu_seconds(self.pid) - before
        if "Non-2xx" in said:
            raise SystemExit(f"{self.name} refused requests: {said}")
        count, took = re.search(r"(\d+) requests in ([\d.]+)s", said).groups()
        self.rates.append(int(count) / float(took))
        self.per_cpu.append(int(count) / max(used, 1e-9))

    def describe(self):
        return f"{statistics.median(self.rates):,.0f}/s, {1e6 / statistics.median(self.per_cpu):.1f} us of processor time"


def through_sdk(settings, table, virga):
    """The same in a program of JavaScript, whose own work is the most of it."""
    inputs = {"identity": [{}], "put": [{"TableName": "bench", "Item": item(i)} for i in range(PUTS)],
              "get": [{"TableName": "bench", "Key": key(i)} for i in range(GETS)]}
    rates = {name: [] for name in inputs}
    for name, all_of in inputs.items():
        pathlib.Path(settings.folder, f"{name}.json").write_text(json.dumps(all_of))
    for _ in range(1 if settings.quick else 3):
        for name in inputs:
            rates[name].append(float(subprocess.run(
                [cloud.node(), "tests/bench/sdk_load.mjs", f"http://127.0.0.1:{virga.port}", name, "1", str(CONNECTIONS),
                 f"{settings.folder}/{name}.json"], capture_output=True, text=True, check=True, cwd=cloud.ROOT,
                env={**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}).stdout))
    base = statistics.median(rates["identity"])
    for name, what in (("put", "PutItem of 1 KB"), ("get", "GetItem of 1 KB")):
        table.least(f"{what} by the JavaScript SDK, of an empty signed operation", ratio(rates[name], rates["identity"]) * base, base,
                    0.5, "/s", f"{CONNECTIONS} connections, two cores with the client")


def ratio(a, b):
    return statistics.median(x / y for x, y in zip(a, b))


class Dynalite:
    def __init__(self, folder=None):
        self.options = ["--path", folder] if folder else []

    def __enter__(self):
        program = cloud.ROOT / "node_modules/dynalite/cli.js"
        if not program.exists():
            raise SystemExit("dynalite is missing: npm ci")
        self.port = cloud.free_port()
        self.process = subprocess.Popen([cloud.node(), str(program), "--port", str(self.port), "--createTableMs", "1", *self.options],
                                        stdout=subprocess.DEVNULL)
        for _ in range(100):
            try:
                cloud.Connection(self.port).close()
                return self
            except OSError:
                time.sleep(0.1)
        raise SystemExit("dynalite did not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def measure(settings, table):
    with cloud.Virga(settings) as virga, Dynalite(settings.folder + "/dynalite") as disk, Dynalite() as memory:
        peers = {"on disk": disk, "in memory": memory}
        for server in (virga, disk, memory):
            fill(server.port)
        pid = virga.process.pid
        empty = Load(settings, "virga", "identity", virga.port, pid, [cloud.caller_identity(virga.port)])
        mine = {name: Load(settings, "virga", name, virga.port, pid, m) for name, m in requests(virga.port).items()}
        theirs = {where: {name: Load(settings, f"dynalite {where}", name, peer.port, peer.process.pid, m)
                          for name, m in requests(peer.port).items()} for where, peer in peers.items()}
        for _ in range(1 if settings.quick else 4):
            for load in (empty, *mine.values()):
                load.run(1 if settings.quick else 2)
            for loads in theirs.values():
                for load in loads.values():
                    load.run(1)
        through_sdk(settings, table, virga)

    base = statistics.median(empty.rates)
    for name, what in (("put", "PutItem of 1 KB, every write synced"), ("get", "GetItem of 1 KB")):
        table.least(f"{what}, of an empty signed operation", ratio(mine[name].rates, empty.rates) * base, base, 0.5, "/s",
                    f"{CONNECTIONS} connections; {mine[name].describe()}; GetCallerIdentity: {empty.describe()}; "
                    f"{ratio(mine[name].per_cpu, empty.per_cpu):.2f} by processor time")
    rate = statistics.median(mine["query"].rates)
    table.least("Query of 100 items of 200 bytes", rate, 5000, 1, "/s", mine["query"].describe())
    for where, loads in theirs.items():
        for name, load in loads.items():
            times = ratio(mine[name].rates, load.rates)
            detail = f"{load.describe()}; {ratio(mine[name].per_cpu, load.per_cpu):.1f} times by the server's processor time"
            if where == "on disk":
                rate = statistics.median(load.rates)
                table.least(f"{name}, of dynalite {where}", times * rate, rate, 20, "/s", detail)
            else:
                table.note(f"{name}, times dynalite {where}", times, "", detail)
