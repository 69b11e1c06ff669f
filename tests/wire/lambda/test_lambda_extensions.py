"""Extensions in layers and inside functions, what they are told, their telemetry, and how an instance ends."""

import base64
import json
import uuid

import pytest

from support import Functions, eventually, finish, log_lines, start_virga, zipped

API = """
import http.client, json, os, signal, sys, threading, time
def ask(method, path, headers={}, body=None):
    c = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])
    c.request(method, path, body, headers)
    r = c.getresponse()
    return r.status, r.headers, json.loads(r.read() or b'null')
"""
EXTENSION = """#!/usr/bin/python3 -u
""" + API + """
name = os.path.basename(sys.argv[0])
status, headers, told = ask('POST', '/2020-01-01/extension/register',
    {'Lambda-Extension-Name': name, 'Lambda-Extension-Accept-Feature': 'accountId'},
    json.dumps({'events': ['INVOKE', 'SHUTDOWN']}))
me = {'Lambda-Extension-Identifier': headers['Lambda-Extension-Identifier']}
def next(): return ask('GET', '/2020-01-01/extension/event/next', me)[2]
"""
# Notes every event in /tmp, and prints the last.
NOTES = EXTENSION + """
notes = open('/tmp/' + name, 'a', 1)
notes.write(json.dumps(told) + '\\n')
while True:
    event = next()
    notes.write(json.dumps(event) + '\\n')
    if event['eventType'] == 'SHUTDOWN':
        print(name, 'ends for', event['shutdownReason'])
        break
"""
SHELL = """#!/bin/sh
URL=http://$AWS_LAMBDA_RUNTIME_API/2020-01-01/extension
ID=$(curl -sS -D - -o /dev/null -H "Lambda-Extension-Name: $(basename $0)" -d '{"events": ["INVOKE"]}' $URL/register |
  grep -i lambda-extension-identifier | cut -d: -f2 | tr -d '[:space:]')
while true; do
  curl -sS -H "Lambda-Extension-Identifier: $ID" $URL/event/next >> /tmp/shell
  echo >> /tmp/shell
done
"""
READS = "import os\ndef handler(e, c): return {n: open('/tmp/' + n).read().splitlines() for n in os.listdir('/tmp')}"


def layer(functions, files):
    made = functions.client.publish_layer_version(LayerName="l-" + uuid.uuid4().hex[:12],
                                                  Content={"ZipFile": zipped(files)})
    return made["LayerVersionArn"]


def make(functions, code, extensions, **options):
    return functions.make(code, Layers=[layer(functions, {f"extensions/{n}": t for n, t in extensions.items()})], **options)


def log_text(virga, name):
    return "\n".join(log_lines(virga, name))


# Extensions of two layers, in two languages, hear of each call; a managed runtime and one of its own.
@pytest.mark.parametrize("runtime", ["python3.11", "provided.al2023"])
def test_external(functions, virga, runtime):
    code = READS
    if runtime.startswith("provided"):
        code = {"bootstrap": "#!/usr/bin/python3\n" + API + READS + """
while True:
    status, headers, event = ask('GET', '/2018-06-01/runtime/invocation/next')
    ask('POST', '/2018-06-01/runtime/invocation/%s/response' % headers['Lambda-Runtime-Aws-Request-Id'], {},
        json.dumps(handler(event, None)))
"""}
    layers = [layer(functions, {"extensions/one": NOTES}), layer(functions, {"extensions/shell": SHELL, "lib/x": ""})]
    name = functions.make(code, runtime=runtime, Layers=layers)
    first = functions.client.invoke(FunctionName=name, Payload="{}", LogType="Tail")
    ids = [first["ResponseMetadata"]["RequestId"]]
    tail = base64.b64decode(first["LogResult"]).decode()
    assert "FunctionError" not in first, (first["Payload"].read(), tail)
    for line in [f"START RequestId: {ids[0]}", f"END RequestId: {ids[0]}", f"REPORT RequestId: {ids[0]}", "Init Duration"]:
        assert line in tail
    second = functions.client.invoke(FunctionName=name, Payload="{}")
    ids.append(second["ResponseMetadata"]["RequestId"])
    notes = json.loads(second["Payload"].read())
    one = [json.loads(line) for line in notes["one"]]
    assert one[0] == {"functionName": name, "functionVersion": "$LATEST", "accountId": "000000000000",
                      "handler": "index.handler"}
    assert [(e["eventType"], e["requestId"]) for e in one[1:2]] == [("INVOKE", ids[0])]
    assert one[1]["invokedFunctionArn"].endswith(":function:" + name) and one[1]["deadlineMs"] > 0
    assert json.loads(notes["shell"][0])["requestId"] == ids[0]
    text = eventually(lambda: "EXTENSION" in log_text(virga, name) and log_text(virga, name))
    assert "EXTENSION\tName: one\tState: Ready\tEvents: [INVOKE, SHUTDOWN]" in text
    assert "EXTENSION\tName: shell\tState: Ready\tEvents: [INVOKE]" in text


# An extension within a function of Node.js: registers, waits for the initialisation's end with the others, and is there
# for each call. SIGTERM lets it end.
def test_internal(functions, virga):
    name = functions.make({"index.mjs": """
const API = 'http://' + process.env.AWS_LAMBDA_RUNTIME_API + '/2020-01-01/extension/';
const seen = [];
const registered = await fetch(API + 'register', { method: 'POST', headers: { 'Lambda-Extension-Name': 'inner' },
  body: '{"events": ["INVOKE"]}' });
const id = registered.headers.get('lambda-extension-identifier');
(async () => { for (;;) {
  const event = await (await fetch(API + 'event/next', { headers: { 'Lambda-Extension-Identifier': id } })).json();
  seen.push(event.requestId);
} })();
process.on('SIGTERM', () => { console.log('terminated, having seen ' + seen.length); process.exit(0); });
export const handler = async (event, context) => {
  while (!seen.includes(context.awsRequestId)) await new Promise((resolve) => setTimeout(resolve, 5));
  const late = await fetch(API + 'register', { method: 'POST', headers: { 'Lambda-Extension-Name': 'late' }, body: '{}' });
  return [late.status, (await late.json()).errorType];
};
"""}, runtime="nodejs20.x")
    for _ in range(2):
        assert functions.call(name) == [403, "Extension.RegistrationClosed"]
    functions.client.delete_function(FunctionName=name)
    eventually(lambda: "terminated, having seen 2" in log_text(virga, name))


LISTENER = EXTENSION + """
import http.server
class Listener(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        batch = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        with open('/tmp/events', 'ab', 0) as out:
            out.write(''.join(json.dumps(event) + '\\n' for event in batch).encode())
        self.send_response(200)
        self.end_headers()
    def log_message(self, *a): pass
server = http.server.HTTPServer(('sandbox.localdomain', 4243), Listener)
threading.Thread(target=server.serve_forever, daemon=True).start()
answer = ask('PUT', '/2022-07-01/telemetry', me, json.dumps({'schemaVersion': '2022-12-13',
    'types': ['platform', 'function', 'extension'], 'buffering': {'maxItems': 1000, 'maxBytes': 262144, 'timeoutMs': 25},
    'destination': {'protocol': 'HTTP', 'URI': 'http://sandbox.localdomain:4243/events'}}))
print('subscribed', answer[0], answer[2])
while next()['eventType'] != 'SHUTDOWN': pass
"""


# What a subscriber gets tells of the whole life of an instance, with AWS's fields.
def test_telemetry(functions, virga):
    name = make(functions, "print('starting')\n" + READS, {"listener": LISTENER}, MemorySize=256)
    first = functions.client.invoke(FunctionName=name, Payload="{}", LogType="Tail")
    request = first["ResponseMetadata"]["RequestId"]
    tail = base64.b64decode(first["LogResult"]).decode()
    assert "FunctionError" not in first, (first["Payload"].read(), tail)

    def events():
        got = [json.loads(line) for line in functions.call(name).get("events", [])]
        return [e for e in got if e["type"] == "platform.report"] and got

    got = eventually(events)
    kinds = [event["type"] for event in got]
    order = ["platform.initStart", "platform.initRuntimeDone", "platform.extension", "platform.initReport",
             "platform.start", "platform.runtimeDone", "platform.report"]
    assert [kind for kind in kinds if kind in order][:7] == order
    first_of = {event["type"]: event["record"] for event in reversed(got)}
    assert first_of["platform.initStart"]["functionName"] == name
    assert first_of["platform.initStart"]["initializationType"] == "on-demand"
    assert first_of["platform.initStart"]["instanceMaxMemory"] == 256 << 20
    assert first_of["platform.telemetrySubscription"] == {"name": "listener", "state": "Subscribed",
                                                          "types": ["platform", "function", "extension"]}
    assert first_of["platform.extension"] == {"name": "listener", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]}
    assert first_of["function"] == "starting\n" and first_of["extension"] == "subscribed 200 OK\n"
    assert first_of["platform.start"]["requestId"] == request
    done = first_of["platform.runtimeDone"]
    assert (done["requestId"], done["status"]) == (request, "success")
    assert [span["name"] for span in done["spans"]] == ["responseLatency", "responseDuration"]
    report = first_of["platform.report"]
    assert (report["requestId"], report["status"]) == (request, "success")
    metrics = report["metrics"]
    # The same figures as the log's line.
    line = next(line for line in tail.splitlines() if line.startswith("REPORT"))
    assert f"Billed Duration: {metrics['billedDurationMs']} ms" in line
    assert f"Memory Size: {metrics['memorySizeMB']} MB" in line and f"Max Memory Used: {metrics['maxMemoryUsedMB']} MB" in line
    assert all(event["time"].endswith("Z") for event in got)
    eventually(lambda: "TELEMETRY\tName: listener\tState: Subscribed" in log_text(virga, name))


# The caller's error names the extension's failure, and the next call starts afresh.
@pytest.mark.parametrize("body, kind, message", [
    ("raise SystemExit(3)", "Extension.Crash", "exit status 3"),
    ("next(); raise SystemExit(4)", "Extension.Crash", "exit status 4"),
    ("ask('POST', '/2020-01-01/extension/init/error', {**me, 'Lambda-Extension-Function-Error-Type': 'Mine'}); "
     "raise SystemExit(5)", "Extension.InitError", "exit status 5"),
])
def test_failing_extension(functions, virga, body, kind, message):
    name = make(functions, "import time\ndef handler(e, c): time.sleep(5)", {"bad": EXTENSION + body})
    for _ in range(2):
        answer = functions.client.invoke(FunctionName=name, Payload="{}")
        document = json.loads(answer["Payload"].read())
        request = answer["ResponseMetadata"]["RequestId"]
        assert answer["FunctionError"] == "Unhandled"
        assert document == {"errorType": kind, "errorMessage": f"RequestId: {request} Error: {message}"}
    eventually(lambda: "REPORT RequestId" in log_text(virga, name))


# One that ends when the caller has its answer fails the invocation, and says why if it likes.
@pytest.mark.parametrize("body, kind", [
    ("next(); raise SystemExit(0)", "Extension.Crash"),
    ("next(); ask('POST', '/2020-01-01/extension/exit/error', {**me, 'Lambda-Extension-Function-Error-Type': 'Mine'}); "
     "time.sleep(0.3); raise SystemExit(1)", "Extension.ExitError"),
])
def test_extension_that_fails_after_the_answer(functions, body, kind):
    name = make(functions, "def handler(e, c): return 1", {"bad": EXTENSION + body})
    for _ in range(2):
        answer = functions.client.invoke(FunctionName=name, Payload="{}", LogType="Tail")
        assert base64.b64decode(answer["LogResult"]).decode().endswith(f"\tStatus: error\tError Type: {kind}\n")


# After a time-out the caller is answered at once; the runtime and then the extension are told, with the reason.
def test_time_out(functions, virga):
    function = """
import signal, time
signal.signal(signal.SIGTERM, lambda *a: (print('runtime terminated', flush=True), exit(0)))
def handler(e, c): time.sleep(20)
"""
    name = make(functions, function, {"one": NOTES}, Timeout=1)
    assert functions.fail(name)["errorType"] == "Sandbox.Timedout"
    text = eventually(lambda: "one ends for timeout" in log_text(virga, name) and log_text(virga, name))
    assert text.index("runtime terminated") < text.index("one ends for timeout")
    assert "Status: timeout" in text


# A clean stop of Virga gives extensions their time, and their last words are in the log afterwards.
def test_stop_of_virga():
    server = start_virga()
    functions = Functions(server)
    name = make(functions, "def handler(e, c): return 1", {"one": NOTES})
    assert functions.call(name) == 1
    assert server.stop() == 0
    server.start()
    assert "one ends for spindown" in log_text(server, name)
    finish(server)
