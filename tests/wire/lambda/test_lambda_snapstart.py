"""SnapStart: versions initialised when they are published, restored by calls, with hooks before and after."""

import base64
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

from support import Functions, error_code, eventually, finish, start_virga

SNAP = {"SnapStart": {"ApplyOn": "PublishedVersions"}}
JAVA = pathlib.Path(__file__).parents[3] / "src/sandbox/runtimes/java/source"
API = "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"

HOOKS = """
import os, random, time, uuid
from snapshot_restore_py import register_after_restore, register_before_snapshot
seen, made, number, identity = [], time.time(), random.random(), str(uuid.uuid4())
def before(*what, **named): seen.append(["before", *what, named])
register_before_snapshot(before, 1, a=2)
@register_before_snapshot
def last(): seen.append(["before", "last"])
@register_after_restore
def first(): seen.append(["after", "first"])
register_after_restore(lambda n: seen.append(["after", n, time.time()]), "second")
def handler(event, context):
    if event.get("s"): time.sleep(event["s"])
    return {"seen": seen, "made": made, "number": number, "id": identity, "pid": os.getpid(), "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]}
"""


SLOW = "import time\nmade = time.time()\ntime.sleep(1.5)\ndef handler(e, c): return made\n"


def waiting_snapshots(functions, name):
    log = log_of(functions, name)
    return log.count("INIT_REPORT") - log.count("RESTORE_REPORT")


def publish(functions, name):
    """Publishes and waits as clients do; the version."""
    made = functions.client.publish_version(FunctionName=name)
    assert (made["State"], made["StateReasonCode"], made["SnapStart"]["OptimizationStatus"]) == ("Pending", "Creating", "Off")
    waiter = functions.client.get_waiter("published_version_active")
    waiter.config.delay = 0.2
    waiter.wait(FunctionName=name, Qualifier=made["Version"])
    return made["Version"]


def failed(functions, name, version):
    def check():
        state = functions.client.get_function_configuration(FunctionName=name, Qualifier=version)
        return state["State"] == "Failed" and state
    return eventually(check)


def log_of(functions, name):
    logs = functions.virga.client("logs")
    group = "/aws/lambda/" + name
    try:
        streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
    except logs.exceptions.ResourceNotFoundException:
        return ""
    return "\n".join(event["message"] for s in streams
                     for event in logs.get_log_events(logGroupName=group, logStreamName=s["logStreamName"], startFromHead=True)["events"])


# The configuration belongs to $LATEST and takes effect when a version is published.
def test_configuration(functions):
    client = functions.client
    name = functions.make(HOOKS, runtime="python3.12")
    assert client.get_function_configuration(FunctionName=name)["SnapStart"] == {"ApplyOn": "None", "OptimizationStatus": "Off"}
    changed = client.update_function_configuration(FunctionName=name, **SNAP)
    assert changed["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    assert changed["State"] == "Active" and changed["LastUpdateStatus"] == "InProgress"
    assert functions.call(name)["type"] == "on-demand"
    version = publish(functions, name)
    got = client.get_function_configuration(FunctionName=name, Qualifier=version)
    assert got["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"} and "StateReason" not in got
    client.update_function_configuration(FunctionName=name, SnapStart={"ApplyOn": "None"})
    plain = client.publish_version(FunctionName=name)
    assert plain["State"] == "Active" and functions.call(name, Qualifier=plain["Version"])["type"] == "on-demand"


# Clients wait for functions after they made or changed them; there is nothing to wait for.
def test_waiters(functions):
    name = functions.make(HOOKS, runtime="python3.12", Publish=True, **SNAP)
    for waiter in ("function_active", "function_active_v2", "function_updated", "function_updated_v2", "function_exists"):
        functions.client.get_waiter(waiter).wait(FunctionName=name)
    functions.client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1", WaiterConfig={"Delay": 1})
    changed = functions.client.update_function_code(FunctionName=name, ZipFile=__import__("support").zipped({"index.py": HOOKS + "#"}), Publish=True)
    assert changed["Version"] == "2" and changed["State"] == "Pending"
    functions.client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="2", WaiterConfig={"Delay": 1})


def test_hooks_and_report(functions):
    name = functions.make(HOOKS, runtime="python3.12", **SNAP)
    version = publish(functions, name)
    called = time.time()
    answer = functions.client.invoke(FunctionName=name, Qualifier=version, LogType="Tail")
    out = json.loads(answer["Payload"].read())
    assert out["made"] < called and out["type"] == "snap-start"
    restored = out["seen"][3].pop()
    assert called < restored < time.time()
    assert out["seen"] == [["before", "last"], ["before", 1, {"a": 2}], ["after", "first"], ["after", "second"]]
    tail = base64.b64decode(answer["LogResult"]).decode()
    report = re.search(r"\tDuration: ([\d.]+) ms\tBilled Duration: (\d+) ms\t.*\tRestore Duration: ([\d.]+) ms\tBilled Restore Duration: (\d+) ms", tail)
    assert report and "Init Duration" not in tail, tail
    assert int(report[2]) >= int(report[4]) > 0
    again = functions.client.invoke(FunctionName=name, Qualifier=version, LogType="Tail")
    assert json.loads(again["Payload"].read())["id"] == out["id"] and b"Restore" not in base64.b64decode(again["LogResult"])
    log = eventually(lambda: "RESTORE_REPORT" in (text := log_of(functions, name)) and text)
    assert re.search(r"INIT_REPORT Init Duration: [\d.]+ ms\tPhase: init[^\t].*RESTORE_START .*RESTORE_REPORT Restore Duration: [\d.]+ ms.*START RequestId", log, re.S), log


# Each instance was initialised for itself, so nothing that should be unique is shared.
def test_burst_and_uniqueness(functions):
    name = functions.make(HOOKS, runtime="python3.12", **SNAP)
    version = publish(functions, name)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        client = functions.virga.client("lambda", max_pool_connections=8)
        one = lambda _: json.loads(client.invoke(FunctionName=name, Qualifier=version, Payload=b'{"s": 1}')["Payload"].read())
        answers = list(pool.map(one, range(6)))
    assert all(a["type"] == "snap-start" and len(a["seen"]) == 4 for a in answers)
    for what in ("number", "id"):
        assert len({a[what] for a in answers}) == 6


# As many wait as the last bursts needed: each call of the next one is restored, once what served the first has ended.
def test_second_burst():
    calls = 5
    server = start_virga(["--function-idle", "1"])
    functions = Functions(server)
    name = functions.make(HOOKS, runtime="python3.12", **SNAP)
    version = publish(functions, name)
    client = server.client("lambda", max_pool_connections=calls)
    known = set()

    def burst():
        one = lambda _: client.invoke(FunctionName=name, Qualifier=version, Payload=b'{"s": 2}', LogType="Tail")
        with concurrent.futures.ThreadPoolExecutor(calls) as pool:
            answers = list(pool.map(one, range(calls)))
        return [(json.loads(a["Payload"].read()), base64.b64decode(a["LogResult"]).decode()) for a in answers]

    fresh = []
    while len(fresh) < calls:  # otherwise an instance of the last burst still ran
        known.update(out["id"] for out, _ in burst())
        eventually(lambda: waiting_snapshots(functions, name) >= calls)
        time.sleep(1.5)
        began = time.time()
        fresh = [(out, tail) for out, tail in burst() if out["id"] not in known]
        for out, tail in fresh:
            assert out["made"] < began and "Restore Duration" in tail and "Init Duration" not in tail
    assert len({out["id"] for out, _ in fresh}) == calls
    finish(server)


# After a snapshot was used another one waits.
def test_next_snapshot(functions):
    name = functions.make(HOOKS, runtime="python3.12", **SNAP)
    version = publish(functions, name)
    client = functions.virga.client("lambda", max_pool_connections=2)
    one = lambda s: json.loads(client.invoke(FunctionName=name, Qualifier=version, Payload=json.dumps({"s": s}))["Payload"].read())
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        for seconds in (2, 4, 8, 16):  # until the first is still busy when another snapshot was made
            busy = pool.submit(one, seconds)
            eventually(lambda: "RESTORE_REPORT" in log_of(functions, name) and waiting_snapshots(functions, name) >= 1)
            called = time.time()
            second = one(0)
            if second["id"] != busy.result()["id"]:
                break
    assert second["made"] < called and second["id"] != busy.result()["id"]


@pytest.mark.parametrize("code, kind", [
    ("raise ValueError('not today')\n", "ValueError: not today"),
    ("from snapshot_restore_py import register_before_snapshot as before\nbefore(lambda: 1 / 0)\ndef handler(e, c): pass\n",
     "Runtime.BeforeSnapshotError: ZeroDivisionError"),
    ("import os\nos._exit(3)\n", "exit status 3"),
])
def test_initialisation_fails(functions, code, kind):
    client = functions.client
    name = functions.make(code, runtime="python3.12", **SNAP)
    version = client.publish_version(FunctionName=name)["Version"]
    state = failed(functions, name, version)
    assert state["StateReasonCode"] == "FunctionError" and kind in state["StateReason"], state
    assert state["SnapStart"]["OptimizationStatus"] == "Off"
    code, message = error_code(client.invoke, FunctionName=name, Qualifier=version)
    assert code == "ResourceConflictException" and message.endswith("in the following state: Failed")
    log = eventually(lambda: "INIT_REPORT" in (text := log_of(functions, name)) and text)
    assert re.search(r"INIT_REPORT Init Duration: [\d.]+ ms\tPhase: init\tStatus: error", log)


def test_pending_is_not_invoked(functions):
    client = functions.client
    name = functions.make("import time\ntime.sleep(3)\ndef handler(e, c): return 1\n", runtime="python3.12", **SNAP)
    version = client.publish_version(FunctionName=name)["Version"]
    for kind in ("RequestResponse", "Event"):
        code, message = error_code(client.invoke, FunctionName=name, Qualifier=version, InvocationType=kind)
        assert code == "SnapStartNotReadyException" and "ACTIVE" in message
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier=version, WaiterConfig={"Delay": 1})
    assert functions.call(name, Qualifier=version) == 1


def test_restore_fails(functions):
    client = functions.client
    code = "from snapshot_restore_py import register_after_restore as after\nafter(lambda: [][0])\ndef handler(e, c): return 1\n"
    name = functions.make(code, runtime="python3.12", **SNAP)
    version = publish(functions, name)
    code, message = error_code(client.invoke, FunctionName=name, Qualifier=version)
    assert code == "SnapStartException" and "afterRestore()" in message
    log = eventually(lambda: "RESTORE_REPORT" in (text := log_of(functions, name)) and text)
    assert "Runtime.AfterRestoreError: IndexError" in log and "Status: error" in log


def test_exclusions(functions):
    client = functions.client
    code, message = error_code(functions.make, HOOKS, runtime="python3.12", EphemeralStorage={"Size": 1024}, **SNAP)
    assert code == "InvalidParameterValueException" and "512 MB" in message
    name = functions.make(HOOKS, runtime="python3.12", **SNAP)
    assert error_code(client.update_function_configuration, FunctionName=name, EphemeralStorage={"Size": 1024})[0] == "InvalidParameterValueException"
    version = publish(functions, name)
    code, message = error_code(client.put_provisioned_concurrency_config, FunctionName=name, Qualifier=version, ProvisionedConcurrentExecutions=1)
    assert code == "InvalidParameterValueException" and "not supported for SnapStart enabled functions" in message


# A custom runtime asks when it may go on, and says when it can't.
CUSTOM = f"""#!/bin/bash
[ "$AWS_LAMBDA_INITIALIZATION_TYPE" = snap-start ] || curl -sS -o /dev/null {API}/init/error -d '{{"errorType":"Not.Snap","errorMessage":"no"}}'
MADE=$(date +%s%N)
STATUS=$(curl -sS -o /dev/null -w '%{{http_code}}' {API}/restore/next)
RESTORED=$(date +%s%N)
AFTER
while true; do
  curl -sS -o /dev/null -D /tmp/head {API}/invocation/next
  ID=$(grep -i lambda-runtime-aws-request-id /tmp/head | tr -d '[:space:]' | cut -d: -f2)
  curl -sS -o /dev/null {API}/invocation/$ID/response -d "[$STATUS, $MADE, $RESTORED]"
done
"""


def test_custom_runtime(functions):
    made = dict(runtime="provided.al2023", handler="main", **SNAP)
    name = functions.make({"bootstrap": CUSTOM.replace("AFTER", "")}, **made)
    version = publish(functions, name)
    called = time.time_ns()
    status, began, restored = functions.call(name, Qualifier=version)
    assert status == 200 and began < called < restored
    report = f"curl -sS -o /dev/null {API}/restore/error -d '{{\"errorType\":\"Own.Broken\",\"errorMessage\":\"broken\"}}'"
    name = functions.make({"bootstrap": CUSTOM.replace("AFTER", report)}, **made)
    version = publish(functions, name)
    assert error_code(functions.client.invoke, FunctionName=name, Qualifier=version)[0] == "SnapStartException"


# A runtime without hooks is initialised ahead all the same.
@pytest.mark.parametrize("runtime, files, handler", [
    ("nodejs20.x", {"index.js": "const made = Date.now(); exports.handler = async () => made;"}, "index.handler"),
    pytest.param("ruby3.3", {"app.rb": "MADE = (Time.now.to_f * 1000).to_i\ndef handler(event:, context:) = MADE\n"}, "app.handler",
                 marks=pytest.mark.skipif(not shutil.which("ruby"), reason="this machine has no Ruby")),
    ("provided.al2023", {"bootstrap": CUSTOM.replace("restore/next", "nothing").replace("AFTER", "MADE=$((MADE / 1000000))")
                         .replace("[$STATUS, $MADE, $RESTORED]", "$MADE")}, "main"),
])
def test_other_runtimes(functions, runtime, files, handler):
    name = functions.make(files, runtime=runtime, handler=handler, **SNAP)
    version = publish(functions, name)
    called = time.time() * 1000
    assert functions.call(name, Qualifier=version) < called


@pytest.mark.skipif(not shutil.which("javac"), reason="this machine has no JDK")
def test_java(functions, tmp_path):
    (tmp_path / "App.java").write_text("""
        package example;
        import com.amazonaws.services.lambda.runtime.*;
        import java.util.*;
        import org.crac.*;
        public class App implements RequestHandler<Map<String, Object>, List<Object>>, Resource {
          private final List<Object> seen = new ArrayList<>();
          private final Resource other = new Resource() {
            public void beforeCheckpoint(org.crac.Context<? extends Resource> c) { seen.add("before other"); }
            public void afterRestore(org.crac.Context<? extends Resource> c) { seen.add("after other"); }
          };
          public App() { Core.getGlobalContext().register(this); Core.getGlobalContext().register(other); seen.add("made"); }
          public void beforeCheckpoint(org.crac.Context<? extends Resource> c) { seen.add("before"); }
          public void afterRestore(org.crac.Context<? extends Resource> c) {
            if (System.getenv("BROKEN") != null) throw new IllegalStateException("broken");
            seen.add("after");
          }
          public List<Object> handleRequest(Map<String, Object> in, com.amazonaws.services.lambda.runtime.Context context) { return seen; }
        }""")
    subprocess.run(["javac", "-d", ".", "-cp", str(JAVA), "-implicit:none", "-proc:none", "App.java"], cwd=tmp_path, check=True)
    classes = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*.class")}
    made = dict(runtime="java17", handler="example.App", MemorySize=256, Timeout=30, **SNAP)
    name = functions.make(classes, **made)
    version = publish(functions, name)
    assert functions.call(name, Qualifier=version) == ["made", "before other", "before", "after", "after other"]
    assert functions.call(name) == ["made"]  # $LATEST has no snapshot
    broken = functions.make(classes, Environment={"Variables": {"BROKEN": "1"}}, **made)
    version = publish(functions, broken)
    assert error_code(functions.client.invoke, FunctionName=broken, Qualifier=version)[0] == "SnapStartException"


# What was being published goes on after a kill; what was published has its snapshot again.
def test_restart(own_virga):
    functions = Functions(own_virga)
    active = functions.make(HOOKS, runtime="python3.12", **SNAP)
    pending = functions.make(SLOW, runtime="python3.12", **SNAP)
    version = publish(functions, active)
    assert functions.client.publish_version(FunctionName=pending)["State"] == "Pending"
    own_virga.kill()
    own_virga.start()
    functions = Functions(own_virga)
    assert functions.client.get_function_configuration(FunctionName=pending, Qualifier="1")["State"] == "Pending"
    functions.client.get_waiter("published_version_active").wait(FunctionName=pending, Qualifier="1", WaiterConfig={"Delay": 1})
    called = time.time()
    assert functions.call(pending, Qualifier="1") < called - 1.4
    assert len(functions.call(active, Qualifier=version)["seen"]) == 4


# A version that nobody calls for long is Inactive, also after a restart. The next call is refused, and wakes it.
def test_inactive():
    server = start_virga(["--snapshot-idle", "1", "--function-idle", "1"])
    functions = Functions(server)
    client = functions.client
    name = functions.make(HOOKS, runtime="python3.12", **SNAP)
    client.publish_version(FunctionName=name)
    state = lambda: server.client("lambda").get_function_configuration(FunctionName=name, Qualifier="1")
    idle = eventually(lambda: (now := state())["State"] == "Inactive" and now)
    assert idle["StateReasonCode"] == "Idle" and idle["SnapStart"]["OptimizationStatus"] == "Off"
    assert functions.call(name)["type"] == "on-demand"  # $LATEST has no snapshot to give up
    server.kill()
    server.options = []
    server.start()
    client = server.client("lambda")
    assert state()["State"] == "Inactive"
    assert error_code(client.invoke, FunctionName=name, Qualifier="1")[0] == "SnapStartNotReadyException"
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1", WaiterConfig={"Delay": 1})
    assert Functions(server).call(name, Qualifier="1")["type"] == "snap-start"
    finish(server)


# Snapshots that are lost are made again, and so is one that was being made.
def test_launcher_killed(own_virga):
    functions = Functions(own_virga)
    active, pending = functions.make(HOOKS, runtime="python3.12", **SNAP), functions.make(SLOW, runtime="python3.12", **SNAP)
    version = publish(functions, active)
    functions.client.publish_version(FunctionName=pending)
    time.sleep(0.5)
    children = pathlib.Path(f"/proc/{own_virga.process.pid}/task").glob("*/children")
    launcher = [pid for each in children for pid in each.read_text().split()
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "virga-launcher"]
    os.kill(int(launcher[0]), 9)
    functions.client.get_waiter("published_version_active").wait(FunctionName=pending, Qualifier="1", WaiterConfig={"Delay": 1})

    def answers():
        try:
            return functions.call(active, Qualifier=version)
        except functions.client.exceptions.ServiceException:
            return None
    assert len(eventually(answers)["seen"]) == 4


# A deleted version or function leaves no instance of it.
def test_deleted(functions):
    client = functions.client
    name = functions.make(HOOKS, runtime="python3.12", **SNAP)
    version = publish(functions, name)
    client.delete_function(FunctionName=name, Qualifier=version)
    assert error_code(client.invoke, FunctionName=name, Qualifier=version)[0] == "ResourceNotFoundException"
    slow = functions.make("import time\ntime.sleep(1)\ndef handler(e, c): pass\n", runtime="python3.12", **SNAP)
    client.publish_version(FunctionName=slow)
    client.delete_function(FunctionName=slow)
    time.sleep(1.5)
    assert error_code(client.get_function, FunctionName=slow, Qualifier="1")[0] == "ResourceNotFoundException"


# A stack is complete when its version can be called; a version that fails fails its stack.
def test_stack(functions, name):
    stacks = functions.virga.client("cloudformation")

    def template(code):
        return json.dumps({"Resources": {
            "Function": {"Type": "AWS::Lambda::Function", "Properties": {
                "FunctionName": name, "Runtime": "python3.12", "Handler": "index.handler", "Role": functions.role, **SNAP, "Code": {"ZipFile": code}}},
            "Version": {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Function"}}},
            "Alias": {"Type": "AWS::Lambda::Alias", "Properties": {
                "FunctionName": {"Ref": "Function"}, "FunctionVersion": {"Fn::GetAtt": ["Version", "Version"]}, "Name": "live"}}}})
    stacks.create_stack(StackName=name, TemplateBody=template("import os\ndef handler(e, c): return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']"))
    stacks.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    assert functions.call(name, Qualifier="live") == "snap-start"
    stacks.delete_stack(StackName=name)
    stacks.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    stacks.create_stack(StackName=name + "-bad", TemplateBody=template("raise ValueError('never')"))

    def failed():
        return stacks.describe_stacks(StackName=name + "-bad")["Stacks"][0]["StackStatus"] == "ROLLBACK_COMPLETE"
    eventually(failed)
    reasons = [e.get("ResourceStatusReason", "") for e in stacks.describe_stack_events(StackName=name + "-bad")["StackEvents"]]
    assert any("ValueError: never" in reason for reason in reasons), reasons
    stacks.delete_stack(StackName=name + "-bad")
