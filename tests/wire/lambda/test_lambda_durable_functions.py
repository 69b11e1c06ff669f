"""Durable functions with the real SDK: every kind of operation, what users see of executions, and restarts in the middle."""

import base64
import json
import time
import urllib.request
import uuid

import pytest

from durable_functions import EFFECTS, DurableFunctions, quoted
from support import eventually, zipped

WORKFLOWS = """
const { withDurableExecution, StepSemantics, createRetryStrategy } = require('@aws/durable-execution-sdk-js');
const soon = createRetryStrategy({ maxAttempts: 3, initialDelay: { seconds: 1 }, maxDelay: { seconds: 1 }, jitter: 'NONE' });
const flows = {
  async steps(event, ctx) {
    const doubled = await ctx.step('double', async () => event.n * 2);
    const tried = await ctx.step('flaky', async (step) => {
      if (step.attempt < 2) throw new Error('not yet');
      return step.attempt;
    }, { retryStrategy: soon });
    let caught;
    try {
      await ctx.step('hopeless', async () => { throw new TypeError('never'); },
                     { retryStrategy: () => ({ shouldRetry: false }) });
    } catch (error) { caught = error.message; }
    return { doubled, tried, caught };
  },
  async wait(event, ctx) {
    const began = await ctx.step(async () => Date.now());
    await ctx.wait('pause', { seconds: event.seconds });
    return await ctx.step(async () => Date.now() - began);
  },
  async callback(event, ctx) {
    try {
      return { got: await ctx.waitForCallback('approval', async (id) => {}, event.options) };
    } catch (error) { return { failed: error.message, kind: error.constructor.name }; }
  },
  async condition(event, ctx) {
    return await ctx.waitForCondition('polling', async (state) => state + 1, {
      initialState: 0,
      waitStrategy: (state) => state >= 3 ? { shouldContinue: false } : { shouldContinue: true, delay: { seconds: 1 } } });
  },
  async concurrent(event, ctx) {
    const parallel = await ctx.parallel('both', [
      async (child) => { await child.wait({ seconds: 1 }); return child.step('left', async () => 'l'); },
      async (child) => child.step('right', async () => 'r')]);
    const mapped = await ctx.map('all', [1, 2, 3, 4], async (child, item) => child.step(async () => item * item), { maxConcurrency: 2 });
    const nested = await ctx.runInChildContext('outer', async (outer) => {
      const inner = await outer.runInChildContext('inner', async (child) => child.step('deep', async () => 'deep'));
      await outer.wait({ seconds: 1 });
      return inner;
    });
    return { parallel: parallel.getResults(), mapped: mapped.getResults(), nested };
  },
  async chained(event, ctx) {
    const out = {};
    for (const [name, target] of Object.entries(event.targets)) {
      try { out[name] = await ctx.invoke(name, target.function, target.input, target.config); }
      catch (error) { out[name] = { error: error.message }; }
    }
    return out;
  },
  async fail(event, ctx) { throw new RangeError('out of it'); },
  async large(event, ctx) { return 'x'.repeat(event.size); },
  async many(event, ctx) {
    for (let i = 0; i < event.count; i++) await ctx.step('s' + i, async () => 'y'.repeat(event.size));
    await ctx.wait({ seconds: 1 });
    return await ctx.step('last', async () => 'read it all');
  },
};
exports.handler = withDurableExecution((event, ctx) => flows[event.flow](event, ctx));
"""


@pytest.fixture(scope="module")
def durable(virga):
    made = DurableFunctions(virga)
    made.name = made.create(WORKFLOWS, made.role([{"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"}]))
    yield made
    made.functions.finish()


def result(durable, event):
    """What an execution gave that ran by itself."""
    execution = durable.ended(durable.start(durable.name, event))
    assert execution["Status"] == "SUCCEEDED", execution
    return json.loads(execution["Result"])


# Steps are done once, retried as their strategy says, and their failures are the workflow's to catch.
def test_steps_and_retries(durable):
    status, headers, answer = durable.invoke(durable.name, {"flow": "steps", "n": 21})
    assert (status, answer) == (200, {"doubled": 42, "tried": 2, "caught": "never"})
    assert headers["X-Amz-Executed-Version"] == "$LATEST" and "X-Amz-Function-Error" not in headers
    arn = headers["X-Amz-Durable-Execution-Arn"]
    assert f":function:{durable.name}:$LATEST/durable-execution/" in arn
    events = durable.history(arn)
    assert events[0]["EventType"] == "ExecutionStarted" and events[0]["ExecutionStartedDetails"]["ExecutionTimeout"] == 60
    assert json.loads(events[0]["ExecutionStartedDetails"]["Input"]["Payload"]) == {"flow": "steps", "n": 21}
    assert events[-1]["EventType"] == "ExecutionSucceeded"
    assert [e["EventId"] for e in events] == list(range(1, len(events) + 1))
    flaky = [e for e in events if e.get("Name") == "flaky"]
    assert [e["EventType"] for e in flaky] == ["StepStarted", "StepFailed", "StepStarted", "StepSucceeded"]
    assert flaky[1]["StepFailedDetails"]["RetryDetails"] == {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 1}
    assert flaky[1]["StepFailedDetails"]["Error"]["Payload"]["ErrorMessage"] == "not yet"
    assert flaky[3]["StepSucceededDetails"]["Result"] == {"Payload": "2", "Truncated": False}


# A wait ends the invocation; the next one has the result of what came before it.
def test_wait(durable):
    arn = durable.start(durable.name, {"flow": "wait", "seconds": 2})
    assert 2000 <= int(durable.ended(arn)["Result"]) < 15000
    types = durable.types(arn)
    assert types.count("InvocationCompleted") == 2
    assert types.index("WaitStarted") < types.index("InvocationCompleted") < types.index("WaitSucceeded")


# A callback is answered from outside: with a result, an error, or nothing in time.
def test_callbacks(durable):
    arn = durable.start(durable.name, {"flow": "callback"})
    callback = durable.callback_of(arn)
    assert durable.callback(callback, "heartbeat") == (200, {})
    assert durable.callback(callback, "succeed", b'"yes"') == (200, {})
    assert json.loads(durable.ended(arn)["Result"]) == {"got": '"yes"'}
    status, late = durable.callback(callback, "succeed", b'"no"')
    assert status == 400 and late["Message"] == "The callback is either timed out or already completed"
    assert "CallbackSucceeded" in durable.types(arn)

    arn = durable.start(durable.name, {"flow": "callback"})
    error = json.dumps({"ErrorMessage": "denied", "ErrorType": "Refused"}).encode()
    assert durable.callback(durable.callback_of(arn), "fail", error) == (200, {})
    assert json.loads(durable.ended(arn)["Result"]) == {"failed": "denied", "kind": "CallbackExternalError"}

    for options, message in (({"timeout": {"seconds": 1}}, "Callback timed out"),
                             ({"heartbeatTimeout": {"seconds": 1}}, "Callback timed out on heartbeat")):
        found = result(durable, {"flow": "callback", "options": options})
        assert found == {"failed": message, "kind": "CallbackTimeoutError"}
    status, refused = durable.callback("bm9uc2Vuc2U=", "succeed")
    assert status == 400 and refused["message"] == "Invalid callback id"


def test_wait_for_condition(durable):
    assert result(durable, {"flow": "condition"}) == 3


# Branches run beside each other, contexts within contexts; what lies in a finished context is not read again.
def test_parallel_map_and_contexts(durable):
    assert result(durable, {"flow": "concurrent"}) == {"parallel": ["l", "r"], "mapped": [1, 4, 9, 16], "nested": "deep"}


# Other functions are called once and waited for without an invocation: a plain one, durable ones, and none.
def test_chained_invokes(durable):
    plain = durable.functions.make("def handler(event, context):\n    if event == 'bad': raise ValueError('child exploded')\n    return {'echo': event}")
    targets = {"plain": {"function": plain, "input": {"a": 1}},
               "bad": {"function": plain, "input": "bad"},
               "durable": {"function": durable.name + ":$LATEST", "input": {"flow": "wait", "seconds": 1}},
               "failing": {"function": durable.name + ":$LATEST", "input": {"flow": "fail"}},
               "unqualified": {"function": durable.name, "input": {}},
               "missing": {"function": "no-such-function", "input": {}}}
    arn = durable.start(durable.name, {"flow": "chained", "targets": targets})
    execution = durable.ended(arn)
    assert execution["Status"] == "SUCCEEDED", execution
    out = json.loads(execution["Result"])
    assert out.pop("durable") >= 1000
    assert out.pop("missing")["error"].startswith("Function not found: ")
    assert out == {"plain": {"echo": {"a": 1}}, "bad": {"error": "child exploded"}, "failing": {"error": "out of it"},
                   "unqualified": {"error": "You cannot invoke a durable function using an unqualified ARN."}}
    started = {e["Name"]: e["ChainedInvokeStartedDetails"] for e in durable.history(arn) if e["EventType"] == "ChainedInvokeStarted"}
    assert started["plain"]["ExecutedVersion"] == "$LATEST" and "DurableExecutionArn" not in started["plain"]
    child = durable.get(started["durable"]["DurableExecutionArn"])
    assert child["Status"] == "SUCCEEDED" and json.loads(child["InputPayload"]) == {"flow": "wait", "seconds": 1}


# A function with tenant isolation is called for a tenant; who names none, or too much, is told so.
def test_chained_invokes_of_tenants(durable):
    name = "t-" + uuid.uuid4().hex[:12]
    code = base64.b64encode(zipped({"index.py": "def handler(event, context): return context.tenant_id"})).decode()
    status, made = durable.raw.api("POST", "/2015-03-31/functions", {
        "FunctionName": name, "Runtime": "python3.12", "Handler": "index.handler", "Role": durable.functions.role,
        "Code": {"ZipFile": code}, "TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}})
    assert status == 201, made
    durable.functions.made.append(name)
    plain = durable.functions.make("def handler(event, context): return 1")
    out = result(durable, {"flow": "chained", "targets": {
        "blue": {"function": name, "input": {}, "config": {"tenantId": "blue"}},
        "none": {"function": name, "input": {}},
        "much": {"function": plain, "input": {}, "config": {"tenantId": "blue"}}}})
    assert out["blue"] == "blue"
    assert "Add a valid tenant ID" in out["none"]["error"] and "Remove the tenant ID" in out["much"]["error"]


# What is counted of executions, ready for CloudWatch.
def test_metrics(durable):
    result(durable, {"flow": "steps", "n": 1})
    with urllib.request.urlopen(durable.virga.url + "/_virga/metrics") as answer:
        lines = [line for line in answer.read().decode().splitlines() if f'function="{durable.name}"' in line]
    counts = {line.split('event="')[1].split('"')[0]: float(line.split()[-1]) for line in lines if "durable_executions_total" in line}
    assert counts["started"] >= counts["succeeded"] >= 1
    assert any("durable_execution_seconds_count" in line for line in lines)


# A failure is the caller's function error, and the execution's.
def test_failure(durable):
    status, headers, answer = durable.invoke(durable.name, {"flow": "fail"})
    assert status == 200 and headers["X-Amz-Function-Error"] == "Unhandled"
    assert (answer["errorMessage"], answer["errorType"]) == ("out of it", "RangeError")
    execution = durable.get(headers["X-Amz-Durable-Execution-Arn"])
    assert execution["Status"] == "FAILED" and execution["Error"]["ErrorMessage"] == "out of it"
    assert "ExecutionFailed" in durable.types(headers["X-Amz-Durable-Execution-Arn"])


# The same name and input is the same execution, whether it runs or has ended; another input is refused.
def test_names_are_idempotent(durable):
    event = {"flow": "wait", "seconds": 1}
    first = durable.start(durable.name, event, execution="once")
    assert first.split("/")[-2] == "once"
    assert durable.start(durable.name, event, execution="once") == first
    status, headers, answer = durable.invoke(durable.name, event, execution="once")
    assert status == 200 and headers["X-Amz-Durable-Execution-Arn"] == first and answer >= 1000
    assert durable.invoke(durable.name, event, execution="once")[2] == answer
    status, _, refused = durable.invoke(durable.name, {"flow": "fail"}, execution="once")
    assert status == 409 and refused["Message"] == "Execution already started: " + first
    listed = durable.raw.api("GET", f"/2025-12-01/functions/{durable.name}/durable-executions?DurableExecutionName=once")[1]
    assert [e["DurableExecutionArn"] for e in listed["DurableExecutions"]] == [first]
    assert durable.types(first).count("ExecutionStarted") == 1


# A stopped execution stays stopped, and its function isn't invoked again.
def test_stop(durable):
    arn = durable.start(durable.name, {"flow": "wait", "seconds": 1})
    eventually(lambda: "WaitStarted" in durable.types(arn))
    status, stopped = durable.call("POST", arn, "/stop", {"ErrorMessage": "enough", "ErrorType": "Test"})
    assert status == 200
    assert durable.call("POST", arn, "/stop", {"ErrorMessage": "again"}) == (200, stopped)
    execution = durable.get(arn)
    assert execution["Status"] == "STOPPED" and execution["Error"] == {"ErrorMessage": "enough", "ErrorType": "Test"}
    time.sleep(1.2)
    assert durable.types(arn).count("InvocationCompleted") <= 1 and "WaitSucceeded" not in durable.types(arn)
    assert durable.call("GET", arn + "0")[0] == 404


def test_time_out(durable):
    name = durable.create(WORKFLOWS, timeout=1)
    status, headers, answer = durable.invoke(name, {"flow": "wait", "seconds": 100})
    assert status == 200 and headers["X-Amz-Function-Error"] == "Unhandled"
    assert answer["errorMessage"] == "Execution timed out after 1 seconds."
    arn = headers["X-Amz-Durable-Execution-Arn"]
    assert durable.get(arn)["Status"] == "TIMED_OUT" and "ExecutionTimedOut" in durable.types(arn)


# An execution's state is larger than an event: the function reads the rest page by page.
def test_large_state_and_result(durable):
    assert result(durable, {"flow": "many", "count": 30, "size": 150_000}) == "read it all"
    status, _, answer = durable.invoke(durable.name, {"flow": "large", "size": 2_000_000})
    assert status == 200 and len(answer) == 2_000_000


# Lists and histories come in pages, whose markers are good for nothing else.
def test_lists_and_pages(durable):
    name = durable.create(WORKFLOWS)
    arns = [durable.start(name, {"flow": "wait", "seconds": 60}, execution=f"n{i}") for i in range(5)]
    durable.call("POST", arns[0], "/stop", {})
    path = f"/2025-12-01/functions/{name}/durable-executions"

    def names(query):
        found, marker = [], ""
        while True:
            status, page = durable.raw.api("GET", f"{path}?MaxItems=2{query}{marker}")
            assert status == 200, page
            found += [e["DurableExecutionName"] for e in page["DurableExecutions"]]
            if not page.get("NextMarker"):
                return found
            marker = "&Marker=" + quoted(page["NextMarker"])

    assert names("") == ["n4", "n3", "n2", "n1", "n0"]
    assert names("&ReverseOrder=true") == ["n0", "n1", "n2", "n3", "n4"]
    assert names("&Statuses=STOPPED") == ["n0"]
    assert names("&Qualifier=%24LATEST&Statuses=RUNNING&Statuses=FAILED") == ["n4", "n3", "n2", "n1"]
    early, late = quoted("2000-01-01T00:00:00Z"), quoted("2100-01-01T00:00:00Z")
    assert names(f"&StartedAfter={early}&StartedBefore={late}&DurableExecutionName=n3") == ["n3"]
    assert names("&StartedAfter=" + late) == names("&StartedBefore=" + early) == []
    started = durable.call("GET", arns[0], "/history")[1]["Events"][0]["ExecutionStartedDetails"]["Input"]
    assert json.loads(started["Payload"])["flow"] == "wait" and started["Truncated"] is False
    first = durable.call("GET", arns[0], "/history", query="?MaxItems=1&ReverseOrder=true")[1]
    assert len(first["Events"]) == 1 and first["NextMarker"]
    for marker in (first["NextMarker"], "forged"):
        status, refused = durable.call("GET", arns[1], "/history", query="?MaxItems=1&ReverseOrder=true&Marker=" + quoted(marker))
        assert status == 400 and refused["message"] == "Invalid Marker"
    assert durable.raw.api("GET", path + "?MaxItems=1001")[0] == 400


# What a durable function may be called by, and how it is configured.
def test_configuration_and_qualifiers(durable):
    status, configuration = durable.raw.api("GET", f"/2015-03-31/functions/{durable.name}/configuration")
    assert configuration["DurableConfig"] == {"ExecutionTimeout": 60, "RetentionPeriodInDays": 1}
    for body in ({"RetentionPeriodInDays": 3}, {"ExecutionTimeout": 0}, {"ExecutionTimeout": 31_622_401}):
        status, refused = durable.raw.api("POST", "/2015-03-31/functions", {
            "FunctionName": "d-bad", "Runtime": "nodejs22.x", "Handler": "index.handler", "Role": durable.functions.role,
            "Code": {"ZipFile": "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=="}, "DurableConfig": body})
        assert status == 400, refused
    status, _, refused = durable.invoke(durable.name, {}, qualifier=None)
    assert status == 400 and refused["message"] == "You cannot invoke a durable function using an unqualified ARN."
    name = durable.create(WORKFLOWS, timeout=901)
    status, _, refused = durable.invoke(name, {})
    assert status == 400 and refused["message"] == (
        "You cannot synchronously invoke a durable function with an executionTimeout greater than 15 minutes.")
    path = f"/2015-03-31/functions/{name}/configuration"
    assert durable.raw.api("PUT", path, {"DurableConfig": {"ExecutionTimeout": 30}})[1]["DurableConfig"] == {
        "ExecutionTimeout": 30, "RetentionPeriodInDays": 1}
    execution = durable.get(durable.start(name, {"flow": "wait", "seconds": 20}))
    assert execution["DurableConfig"] == {"ExecutionTimeout": 30, "RetentionPeriodInDays": 1}
    assert execution["ExecutionDataIncluded"] is True and json.loads(execution["InputPayload"])["flow"] == "wait"
    status, bare = durable.call("GET", execution["DurableExecutionArn"], query="?IncludeExecutionData=false")
    assert bare["ExecutionDataIncluded"] is False and "InputPayload" not in bare and bare["Status"] == "RUNNING"
    durable.call("POST", execution["DurableExecutionArn"], "/stop", {})
    version = durable.client.publish_version(FunctionName=name)["Version"]
    durable.client.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    status, headers, _ = durable.invoke(name, {"flow": "steps", "n": 1}, qualifier="live")
    assert status == 200 and f":function:{name}:1/durable-execution/" in headers["X-Amz-Durable-Execution-Arn"]
    plain = durable.functions.make("def handler(event, context): return 1")
    assert durable.invoke(plain, {}, execution="x")[0] == 400
    assert durable.raw.api("PUT", f"/2015-03-31/functions/{plain}/configuration", {"DurableConfig": {"ExecutionTimeout": 30}})[0] == 400


# Without the permission on the execution a checkpoint is refused, and that is the execution's end.
def test_permissions(durable):
    name = durable.create(WORKFLOWS, durable.role(policy=None))
    status, headers, answer = durable.invoke(name, {"flow": "steps", "n": 1})
    assert headers["X-Amz-Function-Error"] == "Unhandled"
    assert "lambda:CheckpointDurableExecution on resource: " + headers["X-Amz-Durable-Execution-Arn"] in answer["errorMessage"]
    own = durable.role([{"Effect": "Allow", "Action": "lambda:CheckpointDurableExecution",
                         "Resource": "arn:aws:lambda:*:*:function:d-*:$LATEST/durable-execution/*"}], policy=None)
    name = durable.create(WORKFLOWS, own)
    assert durable.invoke(name, {"flow": "steps", "n": 1})[2]["doubled"] == 2
    # May not call the other function, and is told so where it can be caught; may call one whose own policy allows it.
    open_to_it = durable.functions.make("def handler(event, context): return 'welcome'")
    durable.client.add_permission(FunctionName=open_to_it, StatementId="s", Action="lambda:InvokeFunction", Principal=own)
    targets = {"x": {"function": durable.name + ":$LATEST", "input": {}}, "y": {"function": open_to_it, "input": {}}}
    out = durable.invoke(name, {"flow": "chained", "targets": targets})[2]
    assert "lambda:InvokeFunction" in out["x"]["error"] and out["y"] == "welcome"


# The protocol itself, spoken by a function without the SDK: tokens are good once, and lies end the execution.
RAW = """
const { LambdaClient, CheckpointDurableExecutionCommand, GetDurableExecutionStateCommand } = require('@aws-sdk/client-lambda');
const client = new LambdaClient({ maxAttempts: 1 });
exports.handler = async (event) => {
  const input = JSON.parse(event.InitialExecutionState.Operations[0].ExecutionDetails.InputPayload);
  if (input.answer) return input.answer;
  const send = (CheckpointToken, Updates, more) => client.send(new CheckpointDurableExecutionCommand({
    DurableExecutionArn: event.DurableExecutionArn, CheckpointToken, Updates, ...more })).catch((e) => e);
  const step = { Id: 's', Type: 'STEP', Action: 'START' };
  const first = await send(event.CheckpointToken, [step], { ClientToken: 'c' });
  const repeated = await send(event.CheckpointToken, [step], { ClientToken: 'c' });
  const stale = await send(event.CheckpointToken, []);
  const state = await client.send(new GetDurableExecutionStateCommand({
    DurableExecutionArn: event.DurableExecutionArn, CheckpointToken: repeated.CheckpointToken }));
  const refused = await send(repeated.CheckpointToken, [step]);
  const empty = await send(repeated.CheckpointToken, []);
  const end = await send(empty.CheckpointToken, [{ Id: 'e', Type: 'EXECUTION', Action: 'SUCCEED', Payload: JSON.stringify({
    arn: event.DurableExecutionArn, keys: Object.keys(event).sort(), first: first.NewExecutionState.Operations.map((o) => [o.Id, o.Status]),
    repeated: repeated.NewExecutionState?.Operations.map((o) => o.Id), stale: stale.message, state: state.Operations.map((o) => o.Type),
    refused: refused.message, empty: empty.NewExecutionState.Operations.length }) }]);
  return { Status: 'SUCCEEDED', Result: end.CheckpointToken === undefined ? '' : 'a token' };
};
"""


def test_protocol(durable):
    name = durable.create(RAW, sdk=False)
    status, headers, answer = durable.invoke(name, {})
    arn = answer.pop("arn")
    assert arn == headers["X-Amz-Durable-Execution-Arn"]
    assert answer == {"keys": ["CheckpointToken", "DurableExecutionArn", "InitialExecutionState", "UpdatedOperationIds"],
                      "first": [["s", "STARTED"]], "repeated": ["s"], "stale": "Invalid Checkpoint Token",
                      "state": ["EXECUTION", "STEP"], "refused": "Invalid current STEP state to start.", "empty": 0}
    assert durable.types(arn) == ["ExecutionStarted", "StepStarted", "ExecutionSucceeded", "InvocationCompleted"] or \
        eventually(lambda: durable.types(arn)[-1] == "InvocationCompleted")
    for lie, message in (({"statusCode": 200}, "Invalid Status in invocation output."),
                         ({"Status": "PENDING"}, "Cannot return PENDING status with no pending operations.")):
        _, headers, answer = durable.invoke(name, {"answer": lie})
        assert headers["X-Amz-Function-Error"] == "Unhandled" and answer["errorMessage"] == message
    status, refused = durable.call("POST", arn, "/checkpoint", {"CheckpointToken": "bm9uc2Vuc2U=", "Updates": []})
    assert status == 400 and refused["message"] == "Invalid Checkpoint Token"


HASTY = """
const { LambdaClient, CheckpointDurableExecutionCommand, SendDurableExecutionCallbackSuccessCommand } = require('@aws-sdk/client-lambda');
const client = new LambdaClient({ maxAttempts: 1 });
exports.handler = async (event) => {
  const kept = event.InitialExecutionState.Operations.find((o) => o.Id === 'c');
  if (kept) return { Status: 'SUCCEEDED', Result: JSON.stringify([kept.Status, event.UpdatedOperationIds]) };
  let CheckpointToken = event.CheckpointToken;
  const send = async (update) => {
    const answer = await client.send(new CheckpointDurableExecutionCommand({
      DurableExecutionArn: event.DurableExecutionArn, CheckpointToken, Updates: [update] }));
    CheckpointToken = answer.CheckpointToken;
    return answer.NewExecutionState.Operations;
  };
  const [callback] = await send({ Id: 'c', Type: 'CALLBACK', Action: 'START' });
  await client.send(new SendDurableExecutionCallbackSuccessCommand({ CallbackId: callback.CallbackDetails.CallbackId, Result: '1' }));
  const told = await send({ Id: 's', Type: 'STEP', Action: 'SUCCEED' });
  if (!told.some((o) => o.Id === 'c' && o.Status === 'SUCCEEDED')) throw new Error('not told');
  return { Status: 'PENDING' };
};
"""


# What a function is told of with its last checkpoint, and suspends without a look at, it is invoked with again: so does
# version 1 of the SDK when a callback is answered while its submitter runs.
def test_a_function_suspends_after_what_it_waited_for(durable):
    name = durable.create(HASTY, durable.role([{"Effect": "Allow", "Action": "lambda:SendDurableExecutionCallbackSuccess", "Resource": "*"}]),
                          sdk=False)
    status, headers, answer = durable.invoke(name, {})
    assert (status, answer) == (200, ["SUCCEEDED", ["c"]])
    assert durable.types(headers["X-Amz-Durable-Execution-Arn"]).count("InvocationCompleted") == 2


# Destinations and the event bus are told of an execution's end.
def test_destinations_and_events(durable):
    sqs = durable.virga.client("sqs")
    urls = {}
    for what in ("good", "bad", "bus"):
        urls[what] = sqs.create_queue(QueueName=f"{durable.name}-{what}")["QueueUrl"]
    arns = {what: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"] for what, url in urls.items()}
    sqs.set_queue_attributes(QueueUrl=urls["bus"], Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "*"}]})})
    name = durable.create(WORKFLOWS, durable.role([{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}]))
    durable.client.put_function_event_invoke_config(FunctionName=name, Qualifier="$LATEST", DestinationConfig={
        "OnSuccess": {"Destination": arns["good"]}, "OnFailure": {"Destination": arns["bad"]}})
    events = durable.virga.client("events")
    events.put_rule(Name=name, EventPattern=json.dumps({
        "source": ["aws.lambda"], "detail-type": ["Durable Execution Status Change"],
        "detail": {"functionArn": [{"prefix": f"arn:aws:lambda:us-east-1:000000000000:function:{name}"}]}}))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arns["bus"]}])

    def take(what, count):
        found = []

        def some():
            for message in sqs.receive_message(QueueUrl=urls[what], MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=urls[what], ReceiptHandle=message["ReceiptHandle"])
            return len(found) >= count
        eventually(some)
        return found

    good = durable.start(name, {"flow": "steps", "n": 1})
    durable.ended(good)
    bad = durable.start(name, {"flow": "fail"})
    record = take("good", 1)[0]
    assert record["responsePayload"]["doubled"] == 2 and record["requestPayload"] == {"flow": "steps", "n": 1}
    assert record["requestContext"]["condition"] == "Success"
    assert take("bad", 1)[0]["responsePayload"]["errorMessage"] == "out of it"
    changes = take("bus", 4)
    assert [c["detail"]["status"] for c in changes if c["detail"]["durableExecutionArn"] == good] == ["RUNNING", "SUCCEEDED"]
    last = next(c for c in changes if c["detail"]["durableExecutionArn"] == bad and c["detail"]["status"] == "FAILED")
    assert last["detail"]["endTimestamp"] >= last["detail"]["startTimestamp"] and last["source"] == "aws.lambda"
    events.remove_targets(Rule=name, Ids=["1"])
    events.delete_rule(Name=name)


# A function with executions that run is deleted when they have ended, and takes no more meanwhile.
def test_delete_waits_for_executions(durable):
    name = durable.create(WORKFLOWS)
    arn = durable.start(name, {"flow": "callback"})
    callback = durable.callback_of(arn)
    assert durable.raw.api("DELETE", f"/2015-03-31/functions/{name}")[0] == 202
    configuration = durable.raw.api("GET", f"/2015-03-31/functions/{name}/configuration")[1]
    assert (configuration["State"], configuration["StateReasonCode"]) == ("Deleting", "DrainingDurableExecutions")
    assert durable.invoke(name, {"flow": "fail"})[0] == 409
    durable.callback(callback, "succeed", b"1")
    assert durable.ended(arn)["Status"] == "SUCCEEDED"
    eventually(lambda: durable.raw.api("GET", f"/2015-03-31/functions/{name}/configuration")[0] == 404)
    assert durable.get(arn)["Status"] == "SUCCEEDED"


RESTARTED = """
const { withDurableExecution, StepSemantics } = require('@aws/durable-execution-sdk-js');
""" + EFFECTS + """
const once = { semantics: StepSemantics.AtMostOncePerRetry, retryStrategy: () => ({ shouldRetry: false }) };
exports.handler = withDurableExecution(async (event, ctx) => {
  const id = event.id;
  await ctx.step('before', () => effect(id + '/before'));
  // Killed in the middle: done again, or not at all, as each says.
  await ctx.step('again', async () => { await effect(id + '/again'); await new Promise((r) => setTimeout(r, event.slow)); });
  let interrupted = false;
  try {
    await ctx.step('once', async () => { await effect(id + '/once'); await new Promise((r) => setTimeout(r, event.slow)); }, once);
  } catch (error) { interrupted = true; }
  const results = await ctx.map('all', [0, 1, 2], async (child, n) => {
    await child.wait({ seconds: 1 });
    return child.step(() => effect(id + '/map' + n).then(() => n));
  });
  const called = await ctx.invoke('called', process.env.CALLED, { id });
  await ctx.step('after', () => effect(id + '/after'));
  return { results: results.getResults(), interrupted, called };
});
"""


# Killed again and again while workflows are in steps, waits and chained invokes, Virga finishes each of them. A step
# whose end was checkpointed is never done again; one that was cut off is done again, or at most once where that was asked.
def test_restarts_in_the_middle(own_virga):
    durable = DurableFunctions(own_virga)
    dynamo = own_virga.client("dynamodb")
    dynamo.create_table(TableName="effects", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}])
    role = durable.role([{"Effect": "Allow", "Action": ["dynamodb:UpdateItem", "lambda:InvokeFunction"], "Resource": "*"}])
    called = durable.functions.make("def handler(event, context): return event['id']")
    name = durable.create(RESTARTED, role, timeout=600, Environment={"Variables": {"EFFECTS": "effects", "CALLED": called}})

    def effects():
        return {i["id"]["S"]: int(i["n"]["N"]) for i in own_virga.client("dynamodb").scan(TableName="effects", ConsistentRead=True)["Items"]}

    arns = {f"w{n}": durable.start(name, {"id": f"w{n}", "slow": 200 + 100 * n}, execution=f"w{n}") for n in range(3)}
    cut = 0
    for what in ("w0/again", "w2/once", "w1/map0"):
        eventually(lambda: what in effects())
        own_virga.kill()
        own_virga.start()
        cut += 1
    for id, arn in arns.items():
        execution = durable.ended(arn)
        assert execution["Status"] == "SUCCEEDED", execution
        out = json.loads(execution["Result"])
        assert out["results"] == [0, 1, 2] and out["called"] == id
        done, events = effects(), durable.history(arn)
        assert [e["EventId"] for e in events] == list(range(1, len(events) + 1))
        # At most once: an effect without an end is an interruption that the workflow was told of.
        assert done.get(f"{id}/once", 0) <= 1
        assert out["interrupted"] == any(e["EventType"] == "StepFailed" and e["Name"] == "once" for e in events)
        for step in ("before", "again", "map0", "map1", "map2", "after"):
            assert 1 <= done[f"{id}/{step}"] <= 1 + cut, (step, done)
        ended = [e["Id"] for e in events if e["EventType"] == "StepSucceeded"]
        assert len(ended) == len(set(ended)), "a step that had succeeded was done again"
    assert durable.start(name, {"id": "w0", "slow": 200}, execution="w0") == arns["w0"]
