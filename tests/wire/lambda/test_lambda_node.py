"""Node.js functions: every shape of handler AWS documents, and what their failures look like."""

import json

import pytest

NODE = {"runtime": "nodejs20.x"}


# Promises, callbacks, plain modules and ES modules are all in use.
@pytest.mark.parametrize("files", [
    {"index.js": "exports.handler = async (event) => ({got: event.n});"},
    {"index.js": "exports.handler = (event, context, callback) => setImmediate(() => callback(null, {got: event.n}));"},
    {"index.mjs": "export const handler = async (event) => ({got: event.n});"},
    {"index.mjs": "const n = await Promise.resolve(1); export const handler = async (event) => ({got: event.n * n});"},
    {"index.js": "export const handler = async (event) => ({got: event.n});", "package.json": '{"type": "module"}'},
    {"index.js": "const {twice} = require('./lib/twice'); exports.handler = async (event) => ({got: twice(event.n) / 2});",
     "lib/twice.js": "exports.twice = (n) => 2 * n;"},
], ids=["async", "callback", "esm", "top-level-await", "type-module", "require"])
def test_handlers(functions, files):
    assert functions.call(functions.make(files, **NODE), {"n": 7}) == {"got": 7}


# The SDK is there for ES modules too, which know nothing of NODE_PATH; and for what a package imports when it runs.
@pytest.mark.parametrize("code", [
    {"index.mjs": "import { LambdaClient } from '@aws-sdk/client-lambda'; export const handler = async () => LambdaClient.name;"},
    {"index.js": "exports.handler = async () => (await import('@aws-sdk/client-lambda')).LambdaClient.name;"}], ids=["module", "import"])
def test_sdk_in_modules(functions, code):
    assert functions.call(functions.make(code, **NODE)) == "LambdaClient"


# A returned nothing is null; timers that run on don't hold a promise's answer back.
def test_answers(functions):
    name = functions.make("exports.handler = async (event) => { setTimeout(() => {}, 60000); return event.nothing; };", **NODE)
    assert functions.call(name) is None


# A callback's answer waits for the event loop unless told not to: the documented trap of open connections.
def test_callback_waits_for_the_event_loop(functions):
    name = functions.make("""
exports.handler = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = event.wait;
  const began = Date.now();
  if (!event.wait) setTimeout(() => {}, 5000);
  setTimeout(() => { exports.late = true; }, event.wait ? 50 : 5000);
  callback(null, {began});
};""", **NODE)
    assert functions.call(name, {"wait": True})["began"] > 0
    assert functions.call(name, {"wait": False})["began"] > 0


def test_context(functions):
    name = functions.make("""
exports.handler = async (event, context) => ({
  name: context.functionName, id: context.awsRequestId, left: context.getRemainingTimeInMillis(), memory: context.memoryLimitInMB,
  arn: context.invokedFunctionArn, group: context.logGroupName, region: process.env.AWS_REGION, file: __filename});""", **NODE)
    answer = functions.client.invoke(FunctionName=name)
    got = json.loads(answer["Payload"].read())
    assert got["id"] == answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    assert got["name"] == name and got["memory"] == "128" and 5000 < got["left"] <= 10_000 and got["file"] == "/var/task/index.js"


# From Node.js 24 on handlers give their answer or a promise of it; what they were called back by is gone.
def test_handlers_of_node_24(functions):
    modern = {"runtime": "nodejs24.x"}
    error = functions.fail(functions.make("exports.handler = async (event, context, callback) => 1", **modern))
    assert error["errorType"] == "Runtime.CallbackHandlerDeprecated"
    name = functions.make("exports.handler = (event, context) => [event.n, 'done' in context, 'callbackWaitsForEmptyEventLoop' in context]", **modern)
    assert functions.call(name, {"n": 1}) == [1, False, False]
    name = functions.make("exports.handler = function () { setTimeout(() => {}, 60000); return {then: (to) => to(arguments.length)}; }", **modern)
    assert functions.call(name) == 2
    assert functions.fail(functions.make("exports.handler = () => { throw new Error('no') }", **modern))["errorMessage"] == "no"
    streams = "exports.handler = awslambda.streamifyResponse(async (event, stream, context) => { stream.write('\"in parts\"'); stream.end(); })"
    assert functions.call(functions.make(streams, **modern)) == "in parts"


# Errors keep type, message and trace, thrown, rejected or handed to the callback; also what is no Error at all.
@pytest.mark.parametrize("body, kind, message", [
    ("throw new TypeError('bad')", "TypeError", "bad"),
    ("return Promise.reject(new RangeError('far'))", "RangeError", "far"),
    ("class Mine extends Error { constructor(m) { super(m); this.name = 'Mine'; } } throw new Mine('own')", "Mine", "own"),
])
def test_errors(functions, body, kind, message):
    error = functions.fail(functions.make(f"exports.handler = async (event) => {{ {body} }};", **NODE))
    assert error["errorType"] == kind and error["errorMessage"] == message
    assert any("/var/task/index.js" in line for line in error["trace"])


def test_error_by_callback(functions):
    error = functions.fail(functions.make("exports.handler = (event, context, callback) => callback(new Error('called back'));", **NODE))
    assert (error["errorType"], error["errorMessage"]) == ("Error", "called back")


# A rejection nobody awaits and an exception outside any handler end the instance, as AWS's runtime does.
@pytest.mark.parametrize("body, kind", [
    ("Promise.reject(new Error('nobody')); await new Promise(r => setTimeout(r, 1000));", "Runtime.UnhandledPromiseRejection"),
    ("setTimeout(() => { throw new Error('outside'); }, 10); await new Promise(r => setTimeout(r, 1000));", "Error"),
    ("process.exit(3);", "Runtime.ExitError"),
])
def test_errors_outside(functions, body, kind):
    name = functions.make("exports.handler = async (event) => { if (event.fail) { " + body + " } return 'alive'; };", **NODE)
    assert functions.fail(name, {"fail": True})["errorType"] == kind
    assert functions.call(name) == "alive"


@pytest.mark.parametrize("files, handler, kind", [
    ({"index.js": "exports.other = 1;"}, "index.handler", "Runtime.HandlerNotFound"),
    ({"index.js": "exports.handler = async () => 1;"}, "nowhere.handler", "Runtime.ImportModuleError"),
    ({"index.js": "require('nothing-like-it');"}, "index.handler", "Runtime.ImportModuleError"),
    ({"index.js": "exports.handler = (;"}, "index.handler", "Runtime.UserCodeSyntaxError"),
    ({"index.js": "throw new Error('at start');"}, "index.handler", "Error"),
])
def test_code_that_does_not_load(functions, files, handler, kind):
    assert functions.fail(functions.make(files, handler=handler, **NODE))["errorType"] == kind


def test_timeout(functions):
    name = functions.make("exports.handler = async () => { for (;;); };", Timeout=1, **NODE)
    assert functions.fail(name)["errorType"] == "Sandbox.Timedout"


# console.log lines have time, request and level before them; the SDK finds Virga by itself.
def test_console(functions):
    import base64
    name = functions.make("exports.handler = async () => { console.log('said', {a: 1}); console.error('cried'); };", **NODE)
    answer = functions.client.invoke(FunctionName=name, LogType="Tail")
    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    request = answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    assert any(line.endswith(f"Z\t{request}\tINFO\tsaid {{ a: 1 }}") for line in lines), lines
    assert any(line.endswith(f"Z\t{request}\tERROR\tcried") for line in lines), lines


# AWS's Node runtimes carry the SDK, and so do ours: with the role's credentials and the endpoint from the environment.
def test_sdk_inside(functions):
    name = functions.make("""
const {STSClient, GetCallerIdentityCommand} = require('@aws-sdk/client-sts');
exports.handler = async () => (await new STSClient({}).send(new GetCallerIdentityCommand({}))).Arn;""", MemorySize=1024, **NODE)
    assert functions.call(name).endswith("/" + name)
