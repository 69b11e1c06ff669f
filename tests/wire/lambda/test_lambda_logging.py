"""Advanced logging controls: the format, levels and group of a function's log, as clients set them and as it looks."""

import base64
import json
import re
import subprocess
import uuid

import pytest

from support import BINARY, ROOT, eventually, log_lines, zipped
from test_lambda_extensions import LISTENER, READS, make

# Commands of the JavaScript SDK, in turn: what each answered, or its error. (The packaged boto3 is older than all this.)
SDK = """
import { createRequire } from 'node:module';
const lambda = createRequire(process.env.SDK_ROOT + '/')('@aws-sdk/client-lambda');
const client = new lambda.LambdaClient({ maxAttempts: 1 });
const out = [];
for (const [command, input] of JSON.parse(process.argv[1])) {
  try {
    const { $metadata, ...answer } = await client.send(new lambda[command + 'Command'](input));
    out.push(answer);
  } catch (e) {
    out.push({ error: e.name, message: e.message });
  }
}
console.log(JSON.stringify(out));
"""


def sdk(virga, *calls):
    done = subprocess.run(["node", "--input-type=module", "-e", SDK, json.dumps(calls)], capture_output=True, text=True,
                          env={**virga.environment(), "SDK_ROOT": str(ROOT)}, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def set_logging(functions, name, **logging):
    answer, = sdk(functions.virga, ["UpdateFunctionConfiguration", {"FunctionName": name, "LoggingConfig": logging}])
    assert answer.get("LoggingConfig", {}).items() >= logging.items(), answer
    return name


def make_json(functions, code, *arguments, application="INFO", system="INFO", **options):
    name = functions.make(code, *arguments, **options)
    return set_logging(functions, name, LogFormat="JSON", ApplicationLogLevel=application, SystemLogLevel=system)


def lines_of(text):
    """The lines of a log: objects where they are JSON."""
    return [json.loads(line) if line.startswith("{") else line for line in text.splitlines()]


def tail_of(functions, name, event=None):
    """The lines that a call answers with, and its answer."""
    answer = functions.client.invoke(FunctionName=name, LogType="Tail", Payload=json.dumps(event or {}))
    return lines_of(base64.b64decode(answer["LogResult"]).decode()), answer


def events_of(lines):
    return {line["type"]: line["record"] for line in lines if isinstance(line, dict) and "type" in line}


def own(lines):
    """Those that the function wrote itself."""
    return [line for line in lines if not isinstance(line, dict) or "type" not in line]


def test_configuration(functions, virga):
    name = "f-" + uuid.uuid4().hex[:12]
    update = lambda **logging: ["UpdateFunctionConfiguration", {"FunctionName": name, "LoggingConfig": logging}]
    get = ["GetFunctionConfiguration", {"FunctionName": name}]
    create = {"FunctionName": name, "Runtime": "python3.11", "Handler": "index.handler", "Role": functions.role,
              "Code": {"S3Bucket": name, "S3Key": "code"}, "LoggingConfig": {"LogFormat": "JSON"}}
    s3 = virga.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="code", Body=zipped({"index.py": "def handler(e, c): return 1"}))
    functions.made.append(name)
    made, levels, published, group, version, text, refused, no_format, no_level, last = sdk(
        virga, ["CreateFunction", create], update(LogFormat="JSON", ApplicationLogLevel="TRACE", SystemLogLevel="WARN"),
        ["PublishVersion", {"FunctionName": name}], update(LogFormat="JSON", LogGroup="/my/group"),
        ["GetFunctionConfiguration", {"FunctionName": name, "Qualifier": "1"}], update(LogFormat="Text"),
        update(LogFormat="Text", SystemLogLevel="INFO"), update(ApplicationLogLevel="DEBUG"),
        update(LogFormat="JSON", SystemLogLevel="ERROR"), get)
    default = {"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", "LogGroup": "/aws/lambda/" + name}
    assert made["LoggingConfig"] == default
    assert levels["LoggingConfig"] == {**default, "ApplicationLogLevel": "TRACE", "SystemLogLevel": "WARN"}
    assert published["LoggingConfig"] == version["LoggingConfig"] == levels["LoggingConfig"]
    # What is given takes the place of all that was said before.
    assert group["LoggingConfig"] == {**default, "LogGroup": "/my/group"}
    assert text["LoggingConfig"] == last["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/" + name}
    for each in (refused, no_format):
        assert each == {"error": "InvalidParameterValueException",
                        "message": 'LogLevel is not supported when LogFormat is set to "Text". Remove LogLevel from your '
                                   'request or change the LogFormat to "JSON" and try again.'}
    assert "error" in no_level and "ystemLogLevel" in no_level["message"], no_level


PYTHON = """
import logging, os, sys
log = logging.getLogger("mine")
log.info("starting")
def handler(event, context):
    if event.get("exit"): sys.exit(3)
    if event.get("raise"): raise KeyError("nö")
    print("printed")
    log.debug("detail")
    log.info("seen %s", 1, extra={"order": {"id": 7}})
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("failed")
    logging.critical("über")
    return [os.environ.get("AWS_LAMBDA_LOG_FORMAT"), os.environ.get("AWS_LAMBDA_LOG_LEVEL"), log.getEffectiveLevel()]
"""


def test_python(functions, virga):
    name = make_json(functions, PYTHON)
    lines, answer = tail_of(functions, name)
    request = answer["ResponseMetadata"]["RequestId"]
    assert json.loads(answer["Payload"].read()) == ["JSON", "INFO", 20]
    start, printed, seen, failed, critical = own(lines)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", seen.pop("timestamp"))
    assert list(failed) == ["timestamp", "level", "message", "logger", "stackTrace", "errorType", "errorMessage", "requestId",
                            "location"]
    assert (start["message"], start["logger"], start["requestId"]) == ("starting", "mine", "")
    assert printed == "printed"
    assert seen == {"level": "INFO", "message": "seen 1", "logger": "mine", "requestId": request, "order": {"id": 7}}
    assert (failed["level"], failed["message"], failed["errorType"], failed["errorMessage"]) == (
        "ERROR", "failed", "ZeroDivisionError", "division by zero")
    assert failed["location"] == "/var/task/index.py:handler:14" and "1 / 0" in "".join(failed["stackTrace"])
    assert (critical["level"], critical["message"], critical["logger"]) == ("CRITICAL", "über", "root")
    # What the call answered is what the log has.
    logs = virga.client("logs")
    events = lambda: [e["message"] for e in logs.filter_log_events(logGroupName="/aws/lambda/" + name)["events"]]
    first = base64.b64decode(answer["LogResult"]).decode()
    eventually(lambda: logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/" + name)["logGroups"])
    eventually(lambda: first == "".join(message.removesuffix("\n") + "\n" for message in events()))
    # A failure of the handler is an object too.
    lines, answer = tail_of(functions, name, {"raise": 1})
    error, = own(lines)
    assert (error["log_level"], error["errorType"], error["errorMessage"]) == ("ERROR", "KeyError", "'nö'")
    assert error["requestId"] == answer["ResponseMetadata"]["RequestId"] and error["stackTrace"]
    # The level is that of the whole logging module, and of what is printed.
    set_logging(functions, name, LogFormat="JSON", ApplicationLogLevel="ERROR")
    lines, answer = tail_of(functions, name)
    assert json.loads(answer["Payload"].read()) == ["JSON", "ERROR", 40]
    assert [line["message"] for line in own(lines)] == ["failed", "über"]
    set_logging(functions, name, LogFormat="JSON", ApplicationLogLevel="DEBUG")
    assert "detail" in [line["message"] for line in own(tail_of(functions, name)[0]) if line != "printed"]
    # As text it looks as it always did.
    set_logging(functions, name, LogFormat="Text")
    lines, answer = tail_of(functions, name)
    assert json.loads(answer["Payload"].read()) == [None, None, 30]
    assert any(line.startswith("START RequestId: ") for line in lines) and any(line.startswith("[ERROR]\t") for line in lines)
    assert not events_of(lines)


NODE = """
class Own extends Error { constructor(m) { super(m); this.code = 'E1'; } }
exports.handler = async (event) => {
  if (event.fail) throw new Own('no luck');
  console.debug('detail');
  console.log('plain', 1);
  console.info({ order: { id: 7 } });
  console.warn(new Own('alone'));
  console.error('with', new Own('others'));
  const round = {}; round.round = round;
  console.log(round);
  process.stdout.write('written\\n');
  return process.env.AWS_LAMBDA_LOG_LEVEL;
};
"""


def test_node(functions):
    name = make_json(functions, NODE, runtime="nodejs20.x", application="DEBUG")
    lines, answer = tail_of(functions, name)
    request = answer["ResponseMetadata"]["RequestId"]
    assert json.loads(answer["Payload"].read()) == "DEBUG"
    detail, plain, value, alone, others, round_, written = own(lines)
    assert list(plain) == ["timestamp", "level", "requestId", "message"]
    assert (plain["level"], plain["requestId"], plain["message"]) == ("INFO", request, "plain 1")
    assert (detail["level"], value["message"]) == ("DEBUG", {"order": {"id": 7}})
    trace = alone["message"].pop("stackTrace")
    assert trace[0] == "Error: alone" and len(trace) > 1
    assert alone["message"] == {"errorType": "Own", "errorMessage": "alone", "code": "E1"} and alone["level"] == "WARN"
    assert list(others) == ["timestamp", "level", "requestId", "message", "errorType", "errorMessage", "stackTrace"]
    assert re.match(r"with .*Error\]?: others\n", others["message"]) and others["errorType"] == "Own"
    assert "Circular" in round_["message"] and written == "written"
    lines, answer = tail_of(functions, name, {"fail": 1})
    error, = own(lines)
    assert answer["FunctionError"] and error["level"] == "ERROR" and error["message"]["errorMessage"] == "no luck"
    set_logging(functions, name, LogFormat="JSON", ApplicationLogLevel="WARN")
    assert [line["level"] for line in own(tail_of(functions, name)[0])] == ["WARN", "ERROR"]


ALL = ["platform.initStart", "platform.initRuntimeDone", "platform.initReport", "platform.start", "platform.runtimeDone",
       "platform.report"]


@pytest.mark.parametrize("level, cold, warm, slow", [
    ("DEBUG", ALL, ALL[3:], ALL[3:]),
    ("INFO", [ALL[0], ALL[3], ALL[5]], [ALL[3], ALL[5]], ALL[3:]),
    ("WARN", [], [], ALL[4:])])
def test_system_levels(functions, level, cold, warm, slow):
    name = make_json(functions, "import time\ndef handler(e, c): time.sleep(e.get('s', 0))", system=level, Timeout=1)
    lines, answer = tail_of(functions, name)
    request = answer["ResponseMetadata"]["RequestId"]
    events = events_of(lines)
    assert list(events) == cold and not own(lines)
    for kind in ALL[3:]:
        assert events.get(kind, {"requestId": request})["requestId"] == request
    if level != "WARN":
        start = events["platform.initStart"]
        assert start["runtimeVersionArn"] == f"arn:aws:lambda:us-east-1::runtime:{start['runtimeVersion'].replace(':', '')}"
        assert start["runtimeVersion"].startswith("python:3.11.")
        assert events["platform.start"]["version"] == "$LATEST"
        report = events["platform.report"]
        assert report["status"] == "success" and report["metrics"]["memorySizeMB"] == 128
        assert {"durationMs", "billedDurationMs", "maxMemoryUsedMB", "initDurationMs"} <= report["metrics"].keys()
    assert list(events_of(tail_of(functions, name)[0])) == warm
    # What went wrong is told at every level.
    lines, answer = tail_of(functions, name, {"s": 20})
    assert "Task timed out after 1.00 seconds" in json.loads(answer["Payload"].read())["errorMessage"]
    events = events_of(lines)
    assert list(events) == slow and not own(lines)
    report = events["platform.report"]
    assert (report["status"], report["metrics"]["durationMs"]) == ("timeout", 1000)


def test_failures(functions):
    name = make_json(functions, PYTHON, application="FATAL", system="WARN")
    lines, answer = tail_of(functions, name, {"exit": 1})
    events = events_of(lines)
    assert json.loads(answer["Payload"].read())["errorType"] == "Runtime.ExitError"
    for kind in ("platform.runtimeDone", "platform.report"):
        assert (events[kind]["status"], events[kind]["errorType"]) == ("error", "Runtime.ExitError")
    name = make_json(functions, "import nothing_of_this_name", system="DEBUG")
    for _ in range(2):
        lines, answer = tail_of(functions, name)
        assert json.loads(answer["Payload"].read())["errorType"] == "Runtime.ImportModuleError"
        events = events_of(lines)
        assert sorted(events) == sorted(ALL)
        for kind in ("platform.initRuntimeDone", "platform.initReport", "platform.runtimeDone", "platform.report"):
            assert (events[kind]["status"], events[kind]["errorType"]) == ("error", "Runtime.ImportModuleError")
        errors = own(lines)  # of both tries
        assert [(e["errorType"], e["log_level"]) for e in errors] == [("Runtime.ImportModuleError", "ERROR")] * 2


# What AWS keeps of a log: lines have their ends, and what a runtime tells as a whole is as it told it.
def test_events_of_text(functions, virga):
    code = """
import logging, sys
def handler(event, context):
    print("multi\\nline\\n")
    sys.stdout.write("another\\rline\\n")
    logging.getLogger().warning("two\\nlines")
    raise ValueError("no")
"""
    name = functions.make(code)
    logs = virga.client("logs")
    answer = functions.client.invoke(FunctionName=name, LogType="Tail")
    tail = base64.b64decode(answer["LogResult"]).decode()

    def events():
        groups = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/" + name)["logGroups"]
        found = groups and logs.filter_log_events(logGroupName="/aws/lambda/" + name)["events"]
        return found and found[-1]["message"].startswith("REPORT") and [event["message"] for event in found]

    start, *rest = eventually(events)
    assert re.fullmatch(r"INIT_START Runtime Version: python:\S+\tRuntime Version ARN: arn:\S+\n", start)
    assert "".join(rest) == tail
    request = answer["ResponseMetadata"]["RequestId"]
    assert rest[:5] == [f"START RequestId: {request} Version: $LATEST\n", "multi\n", "line\n", "\n", "another\rline\n"]
    assert re.fullmatch(r"\[WARNING\]\t\S+Z\t" + request + "\ttwo\nlines\n", rest[5])
    assert rest[6:-1] == ["[ERROR] ValueError: no\nTraceback (most recent call last):\n"
                          "\xa0\xa0File \"/var/task/index.py\", line 7, in handler\n"
                          "\xa0\xa0\xa0\xa0raise ValueError(\"no\")", f"END RequestId: {request}\n"]
    assert re.fullmatch(r"REPORT RequestId: " + request + r"\t.*\tInit Duration: \d+\.\d\d ms\t\n", rest[-1])
    shown = subprocess.run([BINARY, "logs", name], env=virga.environment(), capture_output=True, text=True).stdout
    assert "" not in shown.splitlines() and shown.count("RequestId") == 3


# Several functions may write to one group: the names of their streams say whose they are.
def test_shared_group(functions, virga):
    group = "/shared/" + uuid.uuid4().hex[:12]
    code = "def handler(e, c): return [c.log_group_name, c.log_stream_name]"
    names = [set_logging(functions, functions.make(code), LogFormat=format, LogGroup=group) for format in ("JSON", "Text")]
    logs = virga.client("logs")
    for name in names:
        said = functions.call(name)
        assert said[0] == group
        assert re.fullmatch(r"\d{4}/\d\d/\d\d/" + name + r"\[\$LATEST\]\[[0-9a-f]{32}\]", said[1])
        eventually(lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"])
        eventually(lambda: said[1] in [s["logStreamName"] for s in logs.describe_log_streams(logGroupName=group)["logStreams"]])
    assert not logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/" + names[0])["logGroups"]
    shown = lambda name: subprocess.run([BINARY, "logs", name], env=virga.environment(), capture_output=True, text=True).stdout
    eventually(lambda: "REPORT RequestId" in shown(names[1]))
    assert "platform.report" not in shown(names[1])
    eventually(lambda: '"platform.report"' in shown(names[0]))


# A runtime of its own writes objects with a level, by which they are kept.
def test_custom_runtime(functions):
    bootstrap = """#!/bin/sh
URL=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while true; do
  ID=$(curl -sS -D - -o /dev/null $URL/next | grep -i lambda-runtime-aws-request-id | cut -d: -f2 | tr -d '[:space:]')
  for level in trace DEBUG info Warn ERROR none; do echo '{"level": "'$level'", "msg": "m"}'; done
  echo plain
  curl -sS -d "\\"$AWS_LAMBDA_LOG_FORMAT $AWS_LAMBDA_LOG_LEVEL\\"" $URL/$ID/response > /dev/null
done
"""
    name = make_json(functions, {"bootstrap": bootstrap}, "provided.al2023")
    lines, answer = tail_of(functions, name)
    assert json.loads(answer["Payload"].read()) == "JSON INFO"
    assert [line if line == "plain" else line["level"] for line in own(lines)] == ["info", "Warn", "ERROR", "none", "plain"]
    assert events_of(lines)["platform.initStart"]["runtimeVersion"] == "provided:al2023"
    set_logging(functions, name, LogFormat="JSON", ApplicationLogLevel="WARN")
    assert [line["level"] for line in own(tail_of(functions, name)[0])] == ["Warn", "ERROR"]


def test_snap_start(functions):
    name = make_json(functions, "def handler(e, c): return 1", "python3.12", system="DEBUG",
                     SnapStart={"ApplyOn": "PublishedVersions"})
    version = functions.client.publish_version(FunctionName=name)["Version"]
    functions.client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier=version)
    functions.call(name, Qualifier=version)

    def events():
        lines = log_lines(functions.virga, name, filterPattern="{ $.type = platform.* }")
        messages = [json.loads(line) for line in lines]
        return messages if "platform.report" in [m["type"] for m in messages] else None

    seen = eventually(events)
    restored = [m["type"] for m in seen if "estore" in m["type"]]
    assert restored[:3] == ["platform.restoreStart", "platform.restoreRuntimeDone", "platform.restoreReport"]
    told = {m["type"]: m["record"] for m in seen}
    assert told["platform.initReport"]["initializationType"] == "snap-start"
    assert told["platform.restoreReport"]["status"] == "success"
    assert told["platform.report"]["metrics"].keys() >= {"restoreDurationMs", "billedRestoreDurationMs"}


# Subscribers of the later schemas get objects; those of the first, and text, stay strings.
@pytest.mark.parametrize("schema", ["2022-07-01", "2022-12-13"])
def test_telemetry(functions, schema):
    code = "import logging\nlogging.getLogger().error('loud')\nprint('plain')\n" + READS
    name = make(functions, code, {"listener": LISTENER.replace("2022-12-13", schema)})
    set_logging(functions, name, LogFormat="JSON", SystemLogLevel="WARN")

    def lines():
        got = [json.loads(line) for line in functions.call(name).get("events", [])]
        told = "platform.report" in [e["type"] for e in got]  # whatever the level of the log
        return told and [e["record"] for e in got if e["type"] == "function"]

    loud, plain = eventually(lines)
    assert plain == "plain\n"
    assert (loud if schema == "2022-12-13" else json.loads(loud))["message"] == "loud"


TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters: {Role: {Type: String}, Group: {Type: String}}
Globals:
  Function:
    LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: WARN, LogGroup: !Ref Group}
Resources:
  One:
    Type: AWS::Serverless::Function
    Properties: {Runtime: python3.11, Handler: index.handler, Role: !Ref Role, InlineCode: "CODE"}
  Two:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      Role: !Ref Role
      Code: {ZipFile: "CODE"}
      LoggingConfig: {LogFormat: JSON, SystemLogLevel: DEBUG}
Outputs: {One: {Value: !Ref One}, Two: {Value: !Ref Two}}
""".replace("CODE", r"import logging\ndef handler(e, c):\n  logging.info('quiet')\n  logging.warning('loud')\n")


# In templates; and how tools show it.
def test_templates(functions, virga, name):
    cfn = virga.client("cloudformation")
    group = "/stack/" + name
    cfn.create_stack(StackName=name, TemplateBody=TEMPLATE, Capabilities=["CAPABILITY_AUTO_EXPAND"],
                     Parameters=[{"ParameterKey": "Role", "ParameterValue": functions.role},
                                 {"ParameterKey": "Group", "ParameterValue": group}])
    cfn.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 0.2})
    made = {o["OutputKey"]: o["OutputValue"] for o in cfn.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]}
    one, two = sdk(virga, *(["GetFunctionConfiguration", {"FunctionName": made[key]}] for key in ("One", "Two")))
    assert one["LoggingConfig"] == {"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "SystemLogLevel": "INFO",
                                    "LogGroup": group}
    assert two["LoggingConfig"] == {"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "DEBUG",
                                    "LogGroup": "/aws/lambda/" + made["Two"]}
    lines, _ = tail_of(functions, made["One"])
    assert [line["message"] for line in own(lines)] == ["loud"]
    logs = virga.client("logs")
    pattern = '{ $.type = "platform.report" && $.record.status = "success" }'
    eventually(lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
               and logs.filter_log_events(logGroupName=group, filterPattern=pattern)["events"])
    shown = subprocess.run([BINARY, "logs", group, "--filter", '{ $.level = "WARNING" }'], env=virga.environment(),
                           capture_output=True, text=True, check=True).stdout
    assert json.loads(shown.split(" ", 1)[1])["message"] == "loud"
    tail = virga.cli("logs", "tail", group, "--format", "short").stdout
    assert '"type":"platform.start"' in tail and '"message": "loud"' in tail
    cfn.delete_stack(StackName=name)
