"""kill -9 at any moment: what was acknowledged is there afterwards, and what was not is there whole or not at all.

Each worker writes numbered changes to something of its own and remembers the last acknowledged number. A change that
got no answer may have happened or not; the check after the restart accepts both, and nothing in between.
"""

import json
import random
import shutil
import signal
import threading
import time

import botocore.exceptions
from support import TRUSTS_LAMBDA, Functions, start_virga, zipped

ROUNDS = 8
KILL_POINTS = ["kv.rocks.before_write", "kv.rocks.after_write", "kv.rocks.after_publish", "blob.before_sync", "blob.after_sync", "blob.before_remove",
               "blob.after_remove"]


class Worker:
    """`write(n)` makes change n in one call; `read()` gives the number it finds."""

    service = None

    def __init__(self, server, name):
        self.server, self.name = server, name
        self.client = server.client(self.service)
        self.acknowledged = 0
        self.tried = 0
        self.stop = False
        self.failure = None
        self.prepare()

    def prepare(self):
        pass

    def run(self):
        while not self.stop:
            self.tried = self.acknowledged + 1
            try:
                self.write(self.tried)
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
                # A 4xx would be a wrong answer; a connection that broke, or a 5xx while it ends, is a kill.
                if isinstance(error, botocore.exceptions.ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                    self.failure = error
                return
            except Exception as error:  # noqa: BLE001: whatever it is, the test must say it
                self.failure = error
                return
            self.acknowledged = self.tried

    def check(self):
        """Compares with what is there, and goes on from it."""
        found = self.read()
        assert self.acknowledged <= found <= self.tried, f"{type(self).__name__}: {self.acknowledged} was acknowledged, {self.tried} tried, {found} found"
        self.acknowledged = self.tried = found


class Logs(Worker):
    """A batch of three events is one change; batches are there in order, without a hole."""

    service = "logs"

    def prepare(self):
        self.client.create_log_group(logGroupName=self.name)
        self.client.create_log_stream(logGroupName=self.name, logStreamName="s")
        self.at = int(time.time() * 1000)

    def write(self, n):
        self.client.put_log_events(logGroupName=self.name, logStreamName="s", logEvents=[
            {"timestamp": self.at + n, "message": f"{n} {part}"} for part in range(3)])

    def read(self):
        messages, token = [], None
        while True:
            more = {"nextToken": token} if token else {}
            page = self.client.get_log_events(logGroupName=self.name, logStreamName="s", startFromHead=True, **more)
            messages += [e["message"] for e in page["events"]]
            if page["nextForwardToken"] == token:
                break
            token = page["nextForwardToken"]
        assert len(messages) % 3 == 0 and messages == [f"{n} {part}" for n in range(1, len(messages) // 3 + 1) for part in range(3)]
        return len(messages) // 3


class Roles(Worker):
    """A role is made with its tags or not made; every role made before is still there."""

    service = "iam"

    def write(self, n):
        self.client.create_role(RoleName=f"{self.name}-{n}", AssumeRolePolicyDocument=TRUSTS_LAMBDA,
                                              Tags=[{"Key": k, "Value": str(n)} for k in ("a", "b")])

    def read(self):
        names = [r["RoleName"] for page in self.client.get_paginator("list_roles").paginate() for r in page["Roles"]]
        numbers = sorted(int(name.rsplit("-", 1)[1]) for name in names if name.startswith(self.name + "-"))
        assert numbers == list(range(1, len(numbers) + 1))
        if numbers:
            tags = self.client.list_role_tags(RoleName=f"{self.name}-{numbers[-1]}")["Tags"]
            assert tags == [{"Key": k, "Value": str(numbers[-1])} for k in ("a", "b")]
        return len(numbers)


class Configuration(Worker):
    """Three settings of a function in one call: all of the same change."""

    service = "lambda"

    def prepare(self):
        self.function = Functions(self.server).make("def handler(event, context): return 1", FunctionName=self.name, Description="0")

    def write(self, n):
        self.client.update_function_configuration(
            FunctionName=self.name, Description=str(n), MemorySize=128 + n % 1000, Environment={"Variables": {"NN": str(n)}})

    def read(self):
        found = self.client.get_function_configuration(FunctionName=self.name)
        n = int(found["Description"])
        if n:
            assert found["MemorySize"] == 128 + n % 1000 and found["Environment"]["Variables"] == {"NN": str(n)}
        return n


class Code(Worker):
    """Code and a published version in one call; what the function answers is what was stored last."""

    service = "lambda"

    def prepare(self):
        Functions(self.server).make("def handler(event, context): return 0", FunctionName=self.name)

    def write(self, n):
        package = zipped({"index.py": f"def handler(event, context): return {n}", "padding.txt": str(random.random()) * 1000})
        self.client.update_function_code(FunctionName=self.name, ZipFile=package, Publish=True)

    def read(self):
        pages = self.client.get_paginator("list_versions_by_function").paginate(FunctionName=self.name)
        versions = [v["Version"] for page in pages for v in page["Versions"]]
        n = len(versions) - 1
        assert versions == ["$LATEST"] + [str(v) for v in range(1, n + 1)]
        for qualifier in {"$LATEST", versions[-1]}:
            answer = self.client.invoke(FunctionName=self.name, Qualifier=qualifier)
            text = answer["Payload"].read()
            assert json.loads(text) == n, (n, qualifier, text)
        return n


class Items(Worker):
    """A transaction over three items and a counter: all or none."""

    service = "dynamodb"

    def prepare(self):
        self.client.create_table(
            TableName=self.name, BillingMode="PAY_PER_REQUEST", AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}])

    def write(self, n):
        puts = [{"Put": {"TableName": self.name, "Item": {"id": {"S": f"k{i}"}, "n": {"N": str(n)}}}} for i in range(3)]
        add = {"Update": {"TableName": self.name, "Key": {"id": {"S": "count"}}, "UpdateExpression": "ADD n :one",
                          "ExpressionAttributeValues": {":one": {"N": "1"}}}}
        self.client.transact_write_items(TransactItems=[*puts, add])

    def read(self):
        items = self.client.scan(TableName=self.name, ConsistentRead=True)["Items"]
        numbers = {item["n"]["N"] for item in items}
        assert len(items) in (0, 4) and len(numbers) <= 1, items
        return int(numbers.pop()) if numbers else 0


class Objects(Worker):
    """An object's body is one version of it, whole; five keys in turn, so that older ones are checked too."""

    service = "s3"

    def prepare(self):
        self.client.create_bucket(Bucket=self.name)

    @staticmethod
    def body(n):
        return random.Random(n).randbytes(20_000 + n % 7 * 50_000)

    def write(self, n):
        self.client.put_object(Bucket=self.name, Key=f"k{n % 5}", Body=self.body(n), Metadata={"n": str(n)})

    def read(self):
        numbers = []
        for entry in self.client.list_objects_v2(Bucket=self.name).get("Contents", []):
            found = self.client.get_object(Bucket=self.name, Key=entry["Key"])
            n = int(found["Metadata"]["n"])
            assert found["Body"].read() == self.body(n) and entry["Key"] == f"k{n % 5}"
            numbers.append(n)
        newest = max(numbers, default=0)
        assert sorted(numbers) == list(range(max(1, newest - 4), newest + 1))
        return newest


def start(server, options=()):
    server.options = list(options)
    server.start()


def work(workers, end):
    """Lets the workers write until `end` returns; then waits for them to notice."""
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for worker in workers:
        worker.stop = False
    for thread in threads:
        thread.start()
    end()
    for worker in workers:
        worker.stop = True
    for thread in threads:
        thread.join()
    for worker in workers:
        assert worker.failure is None, f"{type(worker).__name__}: {worker.failure}"


def crash(server, workers, dice, point):
    """One life: armed to die at `point` after some passings, or killed at any moment."""
    start(server, ["--fault", f"{point}=kill:{dice.randint(4, 12) if point.startswith('blob') else dice.randint(20, 120)}"] if point else [])
    before = sum(worker.acknowledged for worker in workers)

    def end():
        if not point:
            time.sleep(dice.uniform(0.2, 1.0))
            return server.kill()
        try:
            server.process.wait(4)
            server.process.stdout.close()
        except Exception:  # noqa: BLE001: this life never came by the point so often
            server.kill()
    work(workers, end)
    return sum(worker.acknowledged for worker in workers) - before


def test_kill():
    seed = random.randrange(1 << 32)
    print("seed", seed)  # shown when it fails
    dice = random.Random(seed)
    server = start_virga()
    kinds = [Logs, Logs, Roles, Configuration, Code, Items, Items, Objects]
    workers = [kind(server, f"w{n}-{kind.__name__.lower()}") for n, kind in enumerate(kinds)]
    server.kill()
    written = 0
    points = dice.sample(KILL_POINTS, ROUNDS - 3) + [None] * 3
    dice.shuffle(points)
    for point in points:
        written += crash(server, workers, dice, point)
        start(server)
        for worker in workers:
            worker.check()
        server.kill()
    start(server)
    for worker in workers:
        worker.check()
    assert written > 100 and all(worker.acknowledged > 5 for worker in workers), "too little was written for the test to mean something"
    assert server.stop() == 0
    shutil.rmtree(server.data)


# Whether the check above would notice: a store that says yes and writes nothing, a few times, must not pass it.
def test_a_lost_write_is_noticed():
    server = start_virga()
    workers = [kind(server, f"w-{kind.__name__.lower()}") for kind in (Logs, Roles, Items)]
    server.kill()
    start(server, ["--fault", "kv.rocks.write_is_lost=fail:40:4"])

    def end():
        time.sleep(1.5)
        server.kill()
    work(workers, end)
    assert sum(worker.acknowledged for worker in workers) > 60
    start(server)
    noticed = []
    for worker in workers:
        try:
            worker.check()
        except AssertionError as error:
            noticed.append(error)
    assert noticed
    server.kill()
    shutil.rmtree(server.data)


# Halted in the middle of it all, as by a debugger or a laptop's lid: then it goes on as if nothing had been.
def test_halted_and_continued():
    server = start_virga()
    workers = [kind(server, f"w-{kind.__name__.lower()}") for kind in (Logs, Items, Objects)]
    counts = []

    def end():
        for _ in range(2):
            time.sleep(0.4)
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(0.2)  # what was on its way has arrived
            halted = [worker.acknowledged for worker in workers]
            time.sleep(1.5)
            assert [worker.acknowledged for worker in workers] == halted
            counts.append(sum(halted))
            server.process.send_signal(signal.SIGCONT)
        time.sleep(0.4)
    work(workers, end)
    counts.append(sum(worker.acknowledged for worker in workers))
    assert 0 < counts[0] < counts[1] < counts[2], counts
    for worker in workers:
        worker.check()
    assert server.stop() == 0
    shutil.rmtree(server.data)


# The same, but for calls that end while Virga stops cleanly: what was answered is there.
def test_stop_under_load():
    server = start_virga()
    workers = [kind(server, f"w-{kind.__name__.lower()}") for kind in (Logs, Configuration, Items, Objects)]

    def end():
        time.sleep(0.5)
        assert server.stop() == 0
    work(workers, end)
    start(server)
    for worker in workers:
        worker.check()
    assert server.stop() == 0
