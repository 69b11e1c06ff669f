"""Calling functions: invocation types, logs, payloads, and how each kind of failure is told."""

import base64
import concurrent.futures
import json
import re
import time

import pytest

from support import error_code, eventually, log_lines


# The event arrives and the answer leaves as JSON, unharmed.
@pytest.mark.parametrize("value", [None, True, 0, -1.5, "é – 🦆", [], {"a": {"b": [1, 2]}}, "x" * 100_000])
def test_echo(functions, value):
    name = functions.make("def handler(event, context): return event")
    answer = functions.client.invoke(FunctionName=name, Payload=json.dumps(value))
    assert json.loads(answer["Payload"].read()) == value
    assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST" and "FunctionError" not in answer


# No payload at all is an empty event.
def test_no_payload(functions):
    name = functions.make("def handler(event, context): return event")
    assert json.loads(functions.client.invoke(FunctionName=name)["Payload"].read()) == {}


# Something that isn't JSON is the caller's mistake and never reaches the function.
@pytest.mark.parametrize("payload", [b"{", b"{'a': 1}", b"\xff", b"1 2"])
def test_malformed_payload(functions, payload):
    name = functions.make("def handler(event, context): return 1")
    assert error_code(functions.client.invoke, FunctionName=name, Payload=payload)[0] == "InvalidRequestContentException"


# DryRun checks and doesn't run.
def test_dry_run(functions):
    name = functions.make("raise Exception('must not run')")
    assert functions.client.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204


# Event answers before the function ends; what it did is seen in its log.
def test_event(functions, virga):
    name = functions.make("def handler(event, context): print('did', event['n'])")
    answer = functions.client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"n": 7}')
    assert answer["StatusCode"] == 202 and answer["Payload"].read() == b""
    eventually(lambda: "did 7" in log_lines(virga, name))


# The tail has what the function printed between the lines that the platform writes.
def test_log_tail(functions):
    name = functions.make("def handler(event, context):\n    print('to stdout')\n    import sys; print('to stderr', file=sys.stderr)")
    answer = functions.client.invoke(FunctionName=name, LogType="Tail")
    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    request = answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    assert f"START RequestId: {request} Version: $LATEST" in lines and f"END RequestId: {request}" in lines
    assert "to stdout" in lines and "to stderr" in lines
    report = next(line for line in lines if line.startswith(f"REPORT RequestId: {request}"))
    for part in ("Duration: ", "Billed Duration: ", "Memory Size: 128 MB", "Max Memory Used: ", "Init Duration: "):
        assert part in report
    second = functions.client.invoke(FunctionName=name, LogType="Tail")
    assert "Init Duration" not in base64.b64decode(second["LogResult"]).decode()


# At most 4 KB of the end, as documented.
def test_log_tail_is_cut(functions):
    name = functions.make("def handler(event, context):\n    for i in range(1000): print('line', i)")
    tail = base64.b64decode(functions.client.invoke(FunctionName=name, LogType="Tail")["LogResult"])
    assert len(tail) <= 4096 and b"line 999" in tail and b"line 1\n" not in tail


# What the context and the environment tell the function about itself.
def test_context(functions):
    name = functions.make("""
import os
def handler(event, context):
    return {"name": context.function_name, "arn": context.invoked_function_arn, "id": context.aws_request_id,
            "memory": context.memory_limit_in_mb, "left": context.get_remaining_time_in_millis(),
            "group": context.log_group_name, "stream": context.log_stream_name,
            "region": os.environ["AWS_REGION"], "root": os.environ["LAMBDA_TASK_ROOT"], "cwd": os.getcwd(),
            "client": context.client_context.custom if context.client_context else None,
            "file": __file__, "user": os.getuid() != 0}
""")
    client_context = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    answer = functions.client.invoke(FunctionName=name, ClientContext=client_context)
    got = json.loads(answer["Payload"].read())
    assert got["id"] == answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    assert got["name"] == name and got["arn"].endswith(f":function:{name}") and got["memory"] == "128"
    assert 5000 < got["left"] <= 10_000 and got["group"] == f"/aws/lambda/{name}" and "[$LATEST]" in got["stream"]
    assert got["region"] == "us-east-1" and got["root"] == "/var/task" == got["cwd"] and got["file"] == "/var/task/index.py"
    assert got["client"] == {"k": "v"} and got["user"]


# Globals live as long as the instance: connections and caches are made once.
def test_warm_instance_keeps_its_state(functions):
    name = functions.make("n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n")
    assert [functions.call(name) for _ in range(3)] == [1, 2, 3]


# The package is read-only, /tmp is not.
def test_file_system(functions):
    name = functions.make("""
def handler(event, context):
    open('/tmp/x', 'w').write('y')
    try:
        open('/var/task/x', 'w')
    except OSError as e:
        return [open('/tmp/x').read(), type(e).__name__]
""")
    kept, refused = functions.call(name)
    assert kept == "y" and refused in ("OSError", "PermissionError")


# An exception: type, message and the trace of the function's own lines; the instance goes on.
def test_exception(functions):
    name = functions.make("n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    if n == 1: raise KeyError('missing')\n    return n")
    error = functions.fail(name)
    assert error["errorType"] == "KeyError" and error["errorMessage"] == "'missing'"
    assert any("/var/task/index.py" in line for line in error["stackTrace"]) and not any("bootstrap" in line for line in error["stackTrace"])
    assert functions.call(name) == 2


# Failures of loading the code have types of their own, the ones that AWS's runtime reports.
@pytest.mark.parametrize("code, handler, kind, text", [
    ("x = 1", "index.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'index'"),
    ("import nothing_like_it", "index.handler", "Runtime.ImportModuleError", "No module named 'nothing_like_it'"),
    ("x = 1", "other.handler", "Runtime.ImportModuleError", "Unable to import module 'other'"),
    ("def handler(:", "index.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'index'"),
    ("x = 1", "index", "Runtime.MalformedHandlerName", "Bad handler 'index'"),
    ("raise ValueError('at start')", "index.handler", "ValueError", "at start"),
])
def test_code_that_does_not_load(functions, code, handler, kind, text):
    error = functions.fail(functions.make(code, handler=handler))
    assert error["errorType"] == kind and text in error["errorMessage"]
    assert error["requestId"] == ""  # the initialisation has none


# An answer that is not JSON is the function's failure.
def test_answer_that_is_not_json(functions):
    error = functions.fail(functions.make("def handler(event, context): return {1, 2}"))
    assert error["errorType"] == "Runtime.MarshalError" and "not JSON serializable" in error["errorMessage"]


# The process ends: said with its status, and the next call gets a new process.
def test_exit(functions):
    name = functions.make("import sys\ndef handler(event, context):\n    if event.get('end'): sys.exit(3)\n    return 'alive'")
    error = functions.fail(name, {"end": True})
    assert error["errorType"] == "Runtime.ExitError" and "exit status 3" in error["errorMessage"]
    assert functions.call(name) == "alive"


def test_crash(functions):
    name = functions.make("import os, signal\ndef handler(event, context): os.kill(os.getpid(), signal.SIGSEGV)")
    error = functions.fail(name)
    assert error["errorType"] == "Runtime.ExitError" and "segmentation fault" in error["errorMessage"]


# The time-out ends the instance when it is due, and the next call isn't hurt.
def test_timeout(functions):
    name = functions.make("import time\ndef handler(event, context):\n    time.sleep(event.get('s', 0))\n    return 'done'", Timeout=1)
    began = time.monotonic()
    error = functions.fail(name, {"s": 30})
    assert 0.9 < time.monotonic() - began < 20
    assert error["errorType"] == "Sandbox.Timedout" and "Task timed out after 1.00 seconds" in error["errorMessage"]
    assert functions.call(name) == "done"


# A busy loop is no shelter from the time-out.
def test_timeout_of_a_busy_loop(functions):
    name = functions.make("def handler(event, context):\n    while True: pass", Timeout=1)
    assert functions.fail(name)["errorType"] == "Sandbox.Timedout"


# Memory over the limit kills this function only, and is told apart from a crash.
def test_memory(functions):
    name = functions.make("def handler(event, context):\n    return len(bytearray(event['mb'] << 20).replace(b'x', b'y')) >> 20")
    assert functions.call(name, {"mb": 20}) == 20
    error = functions.fail(name, {"mb": 600})
    assert error["errorType"] == "Runtime.OutOfMemory" and "signal: killed" in error["errorMessage"]
    assert functions.call(name, {"mb": 20}) == 20


# Six megabytes go out; more is the function's failure, not a broken connection.
def test_large_answers(functions):
    name = functions.make("def handler(event, context): return 'x' * event['n']")
    assert len(functions.call(name, {"n": 6_000_000})) == 6_000_000
    error = functions.fail(name, {"n": 7_000_000})
    assert error["errorType"] == "Function.ResponseSizeTooLarge" and "6291556" in error["errorMessage"]


def test_large_event(functions):
    name = functions.make("def handler(event, context): return len(event)")
    assert functions.call(name, "x" * 6_000_000) == 6_000_000
    large = lambda size, kind: error_code(functions.client.invoke, FunctionName=name, InvocationType=kind, Payload=json.dumps("x" * size))
    assert large(7_000_000, "RequestResponse") == (
        "RequestEntityTooLargeException", "Request must be smaller than 6291456 bytes for the InvokeFunction operation")
    assert large(1_100_000, "Event") == (
        "RequestEntityTooLargeException", "1100002 byte payload is too large for the Event invocation type (limit 1048576 bytes)")


# Calls at the same time each get an instance.
def test_concurrency(functions, virga):
    name = functions.make("import time\ndef handler(event, context):\n    began = time.time()\n    time.sleep(1)\n"
                          "    return event['n'], began, time.time()", MemorySize=1769)
    client = virga.client("lambda", max_pool_connections=20)

    def call(n):
        return json.loads(client.invoke(FunctionName=name, Payload=json.dumps({"n": n}))["Payload"].read())
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        calls = sorted(pool.map(call, range(20)))
    assert [n for n, _, _ in calls] == list(range(20))
    assert max(sum(began <= at < ended for _, began, ended in calls) for _, at, _ in calls) > 5


# Reserved concurrency of nothing is the switch that stops a function: every call is throttled, with the reason.
def test_reserved_concurrency_of_zero(functions):
    name = functions.make("def handler(event, context): return 1")
    client = functions.client
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 0
    with pytest.raises(client.exceptions.TooManyRequestsException) as refused:
        client.invoke(FunctionName=name)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert refused.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    client.delete_function_concurrency(FunctionName=name)
    assert functions.call(name) == 1


# A reservation is a ceiling as well: with one, the second call at the same time is throttled.
def test_reserved_concurrency_is_a_ceiling(functions, virga):
    name = functions.make("import time\ndef handler(event, context):\n    time.sleep(event.get('s', 0))\n    return 1")
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    assert functions.call(name) == 1
    client = virga.client("lambda")

    def slow(_):
        try:
            return json.loads(client.invoke(FunctionName=name, Payload=b'{"s": 2}')["Payload"].read())
        except client.exceptions.TooManyRequestsException:
            return "throttled"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert sorted(map(str, pool.map(slow, range(2)))) == ["1", "throttled"]
    assert functions.call(name) == 1


# The account keeps 100 for functions without a reservation.
def test_reservation_leaves_some(functions):
    name = functions.make("def handler(event, context): return 1")
    code, message = error_code(functions.client.put_function_concurrency, FunctionName=name, ReservedConcurrentExecutions=950)
    assert code == "InvalidParameterValueException" and "UnreservedConcurrentExecution" in message


# What the function writes is in its log group, in order, in a stream named after date and version.
def test_log_group(functions, virga):
    name = functions.make("def handler(event, context):\n    print('one')\n    print('two')")
    functions.call(name)

    def whole():
        lines = log_lines(virga, name)
        return lines if any("REPORT" in line for line in lines) else None
    found = eventually(whole)
    kinds = [line.split()[0] for line in found]
    assert kinds == ["INIT_START", "START", "one", "two", "END", "REPORT"], found
    assert re.fullmatch(r"INIT_START Runtime Version: python:3\.11\.\d+\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:python3\.11\.\d+", found[0])


# Settings that Invoke doesn't serve are refused by name, not ignored.
def test_unknown_qualifier(functions):
    name = functions.make("def handler(event, context): return 1")
    for qualifier in ("9", "nobody"):
        assert error_code(functions.client.invoke, FunctionName=name, Qualifier=qualifier)[0] == "ResourceNotFoundException"
