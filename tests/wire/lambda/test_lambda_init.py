"""Initialisation, well and ill: what the log has before an invocation, and that a failed one is tried again within it."""

import base64
import json
import re
import shutil

import pytest

from support import Kept, eventually, log_lines
from test_lambda_custom import API, CUSTOM
from test_lambda_extensions import EXTENSION, LISTENER, READS, make
from test_lambda_logging import make_json, tail_of
from test_lambda_runtimes import java_classes


NODE = {"runtime": "nodejs20.x", "handler": "index.handler"}


def invoke(functions, name):
    """Of one call: the error document or the answer, its log without times, and all of the function's log."""
    answer = functions.client.invoke(FunctionName=name, Payload="{}", LogType="Tail")
    request = answer["ResponseMetadata"]["RequestId"]
    log = eventually(lambda: any("REPORT RequestId: " + request in line for line in log_lines(functions.virga, name)) and
                     log_lines(functions.virga, name))
    return json.loads(answer["Payload"].read()), base64.b64decode(answer["LogResult"]).decode().replace(request, "ID"), log


def number(name, text):
    return float(re.search(name + r": ([\d.]+)", text).group(1))


def reports(tail):
    """Of initialisations, without their times. What a runtime writes may end without a line's end."""
    return re.findall(r"INIT_REPORT Init Duration: [\d.]+ ms\t(.*)\n", tail)


# As recorded of AWS: twice, the second time within the invocation, which begins in the log when that is over.
def test_import_error(functions):
    name = functions.make("print('loading')\nimport nothing_like_it")
    for _ in range(2):
        error, tail, log = invoke(functions, name)
        assert error == {"errorMessage": "Unable to import module 'index': No module named 'nothing_like_it'",
                         "errorType": "Runtime.ImportModuleError", "requestId": "", "stackTrace": []}
        once = (r"loading\n\[ERROR\] Runtime.ImportModuleError: Unable to import module 'index': No module named 'nothing_like_it'\n"
                r"Traceback \(most recent call last\):\n?INIT_REPORT Init Duration: ([\d.]+) ms\tPhase: {}\tStatus: error\t"
                r"Error Type: Runtime.ImportModuleError\n")
        found = re.fullmatch(once.format("init") + once.format("invoke") + r"START RequestId: ID Version: \$LATEST\nEND RequestId: ID\n"
                             r"REPORT RequestId: ID\tDuration: ([\d.]+) ms\tBilled Duration: (\d+) ms\tMemory Size: 128 MB\t"
                             r"Max Memory Used: \d+ MB\tStatus: error\tError Type: Runtime.ImportModuleError\n", tail)
        assert found, tail
        init, again, duration, billed = map(float, found.groups())
        assert init > 0 and again <= duration and duration <= billed < duration + 1
    assert [line.split(" ")[0] for line in log if line.startswith("INIT_")] == ["INIT_START", "INIT_REPORT", "INIT_REPORT"] * 2


# As recorded: the frames of the import come before the module's own, in whichever way it is loaded, and no part of a line is marked.
@pytest.mark.parametrize("file, handler", [("index.py", "index.handler"), ("a/b.py", "a.b.handler")])
def test_trace_of_a_module_that_fails(functions, file, handler):
    name = functions.make({file: "def go(): return [1][2] + 1\ngo()"}, handler=handler)
    trace = functions.fail(name)["stackTrace"]
    assert re.fullmatch(r'  File "\S+/importlib/__init__.py", line \d+, in import_module\n    return _bootstrap._gcd_import\(name\[level:\], package, level\)\n', trace[0])
    assert [re.fullmatch(r'  File "<frozen importlib\._bootstrap(?:_external)?>", line \d+, in (\w+)\n', line)[1] for line in trace[1:-2]] == [
        "_gcd_import", "_find_and_load", "_find_and_load_unlocked", "_load_unlocked", "exec_module", "_call_with_frames_removed"]
    assert trace[-2:] == [f'  File "/var/task/{file}", line 2, in <module>\n    go()\n',
                          f'  File "/var/task/{file}", line 1, in go\n    def go(): return [1][2] + 1\n']


# What a module leaves to be done at once is done before it is called, and a rejection that nobody handles fails it before.
@pytest.mark.parametrize("rejects", ["Promise.reject(new Error('lost'))", "(async () => { await null; await null; await null; throw new Error('lost'); })()"])
def test_rejection_while_node_initialises(functions, rejects):
    error, tail, _ = invoke(functions, functions.make(rejects + "\nexports.handler = async () => 1", **NODE))
    assert (error["errorType"], error["errorMessage"]) == ("Runtime.UnhandledPromiseRejection", "Error: lost")
    assert len(reports(tail)) == 2
    # As recorded: the reason with a trace of its own, the promise, and where the runtime heard of it.
    first, second = [json.loads(line) for line in re.findall("\tundefined\tERROR\tUnhandled Promise Rejection \t(.*)", tail)]
    assert list(first) == ["errorType", "errorMessage", "reason", "promise", "stack"] == list(second) and first["promise"] == {}
    assert first["reason"]["errorType"] == "Error" and first["reason"]["stack"][0] == "Error: lost" and "/var/task/index.js" in first["reason"]["stack"][1]
    assert first["stack"][0] == "Runtime.UnhandledPromiseRejection: Error: lost"


# Names of AWS's own are told, and few others. Ruby's and Java's errors have none.
RUBY = {"runtime": "ruby3.3", "handler": "app.handler"}
JAVA = {"runtime": "java17", "handler": "example.Nothing", "MemorySize": 256}
POST = f"#!/bin/bash\ncurl -sS -o /dev/null {API}/init/error -d '{{}}' HEADER\nexit 1\n"


@pytest.mark.parametrize("files, options, kind, fault", [
    ("raise ValueError('no')", {}, "ValueError", "Runtime.Unknown"),
    ("raise SystemExit(3)", {}, "Runtime.ExitError", "Runtime.ExitError"),
    ("import os\nos.kill(os.getpid(), 9)", {}, "Runtime.ExitError", "Runtime.ExitError"),
    ("x = bytearray(600 << 20).replace(b'x', b'y')", {}, "Runtime.OutOfMemory", "Runtime.OutOfMemory"),
    ("x = 1", {"handler": "index"}, "Runtime.MalformedHandlerName", "Runtime.MalformedHandlerName"),
    ("exports.handler = (", NODE, "Runtime.UserCodeSyntaxError", "Runtime.UserCodeSyntaxError"),
    ("throw new Error('no')", NODE, "Error", "Runtime.Unknown"),
    ("process.exit(4)", NODE, "Runtime.ExitError", "Runtime.ExitError"),
    ({"app.rb": "require 'nothing_like_it'"}, RUBY, "Init<LoadError>", "Runtime.Unknown"),
    ({"x": ""}, JAVA, "java.lang.ClassNotFoundException", "Runtime.BadFunctionCode"),
    ({"bootstrap": "#!/bin/bash\nexit 7\n"}, CUSTOM, "Runtime.ExitError", "Runtime.ExitError"),
    ({"other": ""}, CUSTOM, "Runtime.InvalidEntrypoint", "Runtime.InvalidEntrypoint"),
    ({"bootstrap": POST.replace("HEADER", "-H 'Lambda-Runtime-Function-Error-Type: Runtime.NoSuchHandler'")}, CUSTOM, None, "Runtime.NoSuchHandler"),
    ({"bootstrap": POST.replace("HEADER", "")}, CUSTOM, None, "Runtime.Unknown"),
], ids=["exception", "exit", "killed", "memory", "handler", "node-syntax", "node-exception", "node-exit", "ruby", "java", "custom-exit",
        "no-bootstrap", "told", "told-without-a-name"])
def test_faults(functions, files, options, kind, fault):
    for program, runtime in (("ruby", "ruby"), ("javac", "java")):
        if options.get("runtime", "").startswith(runtime) and not shutil.which(program):
            pytest.skip(f"this machine has no {program}")
    error, tail, _ = invoke(functions, functions.make(files, **options))
    assert error.get("errorType") == kind
    assert reports(tail) == [f"Phase: {phase}\tStatus: error\tError Type: {fault}" for phase in ("init", "invoke")]
    assert tail.splitlines()[-3:-1] == ["START RequestId: ID Version: $LATEST", "END RequestId: ID"]
    assert tail.endswith(f"\tStatus: error\tError Type: {fault}\n") and "Init Duration" not in tail.splitlines()[-1]


# What fails once and not again is a call that took longer: the time that is left tells.
AGAIN = Kept.CODE + """
import sys, time
print('loading')
if times_kept() == 0:
    keep('here')
    FAIL
time.sleep(0.5)
def handler(event, context): return context.get_remaining_time_in_millis()
"""


def test_second_try(functions, virga):
    kept = Kept(virga)
    name = functions.make(AGAIN.replace("FAIL", "sys.exit(1)"), Timeout=30, Environment={"Variables": {"KEPT": kept.name}})
    left, tail, _ = invoke(functions, name)
    assert 0 < left < 29_500
    assert re.fullmatch(r"loading\nINIT_REPORT Init Duration: [\d.]+ ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError\n"
                        r"loading\nSTART RequestId: ID .*\nEND RequestId: ID\nREPORT RequestId: ID\t.*MB\t\n", tail), tail
    duration = number("Duration", tail.splitlines()[-1])
    assert duration > 500 and 0 <= number("Billed Duration", tail) - duration <= 1  # the duration is told as hundredths
    left_when_warm, tail, log = invoke(functions, name)
    assert left_when_warm > left and "loading" not in tail
    streams = virga.client("logs").describe_log_streams(logGroupName="/aws/lambda/" + name)["logStreams"]
    assert len(streams) == 1 and sum(line.startswith("INIT_START") for line in log) == 1


# An initialisation is given 10 seconds by itself, and within a call the call's time.
def test_too_slow(functions, virga):
    kept = Kept(virga)
    slow_once = functions.make(AGAIN.replace("FAIL", "time.sleep(60)"), Timeout=30, Environment={"Variables": {"KEPT": kept.name}})
    left, tail, _ = invoke(functions, slow_once)
    assert 0 < left < 29_500
    assert reports(tail) == ["Phase: init\tStatus: timeout"] and number("Init Duration", tail) >= 10_000

    error, tail, _ = invoke(functions, functions.make("import time\ntime.sleep(60)", Timeout=1))
    assert error["errorType"] == "Sandbox.Timedout" and error["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert reports(tail) == ["Phase: init\tStatus: timeout", "Phase: invoke\tStatus: timeout"]
    assert "\tDuration: 1000.00 ms\tBilled Duration: 1000 ms\t" in tail and tail.endswith("\tStatus: timeout\n")


# The events of a log that is JSON, and of subscribers, tell in which phase an initialisation was.
def test_events(functions):
    name = make_json(functions, "import nothing_like_it", system="DEBUG")
    tail, answer = tail_of(functions, name)
    events = [(line["type"].removeprefix("platform."), line["record"]) for line in tail if line.get("type", "").startswith("platform.")]
    assert [kind for kind, _ in events] == ["initStart", "initRuntimeDone", "initReport"] * 2 + ["start", "runtimeDone", "report"]
    assert [record["phase"] for _, record in events[:6]] == ["init"] * 3 + ["invoke"] * 3
    for _, record in (*events[1:3], *events[4:6], *events[7:]):
        assert (record["status"], record["errorType"]) == ("error", "Runtime.ImportModuleError")
    report = events[-1][1]
    assert report["requestId"] == answer["ResponseMetadata"]["RequestId"] and "initDurationMs" not in report["metrics"]
    assert report["metrics"]["durationMs"] >= events[5][1]["metrics"]["durationMs"] > 0
    # What a function's log has without being asked for more.
    tail, _ = tail_of(functions, make_json(functions, "import nothing_like_it"))
    assert [line["record"]["phase"] for line in tail if line.get("type") == "platform.initReport"] == ["init", "invoke"]


def test_subscriber_to_a_second_try(functions, virga):
    kept = Kept(virga)
    name = make(functions, AGAIN.replace("FAIL", "sys.exit(1)") + READS.replace("handler", "seen") + "\ndef handler(e, c): return seen(e, c)\n",
                {"listener": LISTENER}, Timeout=30, Environment={"Variables": {"KEPT": kept.name}})

    def seen():
        got = [json.loads(line) for line in functions.call(name).get("events", [])]
        return [e for e in got if e["type"] == "platform.report"] and [e["record"] for e in got if e["type"].startswith("platform.init")]

    assert [record["phase"] for record in eventually(seen)] == ["invoke"] * 3


def test_failing_extension(functions):
    name = make(functions, "def handler(e, c): return 1", {"bad": EXTENSION + "raise SystemExit(3)"})
    error, tail, log = invoke(functions, name)
    assert error["errorType"] == "Extension.Crash"
    assert reports(tail) == [f"Phase: {phase}\tStatus: error\tError Type: Extension.Crash" for phase in ("init", "invoke")]
    assert tail.endswith("\tStatus: error\tError Type: Extension.Crash\n")


# What a function writes while it is initialised comes before the line that its first invocation begins with.
@pytest.mark.parametrize("files, options", [
    ("import os\nprint('one')\nos.system('echo two')\nprint('open', end='')\ndef handler(e, c): os.write(1, b'three\\n')", {}),
    ("console.log('one'); console.log('two'); process.stdout.write('open'); exports.handler = async () => console.log('three')", NODE),
    ({"app.rb": "puts 'one', 'two'\nprint 'open'\ndef handler(event:, context:) = puts('three')"}, RUBY),
    ({"bootstrap": f"#!/bin/bash\necho one; echo two; printf open\ncurl -sS -D /tmp/head {API}/invocation/next >/dev/null\necho three\n"
                   "ID=$(grep -i lambda-runtime-aws-request-id /tmp/head | tr -d '[:space:]' | cut -d: -f2)\n"
                   f"curl -sS -o /dev/null {API}/invocation/$ID/response -d null\nsleep 60"}, CUSTOM),
], ids=["python", "node", "ruby", "custom"])
def test_lines_of_the_initialisation(functions, files, options):
    if options == RUBY and not shutil.which("ruby"):
        pytest.skip("this machine has no Ruby")
    answer, _, log = invoke(functions, functions.make(files, **options))
    lines = [re.sub("RequestId.*", "", line.split("\t")[-1]).strip() for line in log if not line.startswith(("INIT_START", "REPORT"))]
    # What ends no line is of the line that ends it, where nobody tells that the initialisation is over.
    assert answer is None
    assert lines == ["one", "two", *(["START", "openthree"] if options == CUSTOM else ["open", "START", "three"]), "END"]


@pytest.mark.skipif(not shutil.which("javac"), reason="this machine has no JDK")
def test_lines_of_java(functions, tmp_path):
    classes = java_classes(tmp_path, """
        public class App implements RequestHandler<Object, Object> {
          public App() { System.out.println("one"); }
          public Object handleRequest(Object in, Context context) { System.out.println("two"); return null; }
        }""")
    _, tail, _ = invoke(functions, functions.make(classes, runtime="java17", handler="example.App", MemorySize=256, Timeout=20))
    assert [line.split(" ")[0].split("\t")[0] for line in tail.splitlines()] == ["one", "START", "two", "END", "REPORT"], tail
