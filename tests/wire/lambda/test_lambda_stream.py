"""Streamed answers: InvokeWithResponseStream and function URLs."""

import json
import time
import urllib.parse

import pytest

from raw import Raw
from support import error_code

STREAMING = """
const pause = (ms) => new Promise((r) => setTimeout(r, ms));
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  const size = event.size || 0;
  if (event.http || event.requestContext) {
    stream = awslambda.HttpResponseStream.from(stream, {statusCode: 201, headers: {'x-own': 'yes', 'content-type': 'text/plain'},
                                                        cookies: ['a=1', 'b=2']});
  } else {
    stream.setContentType('text/event-stream');
  }
  stream.write('first;');
  await pause(event.pause || 0);
  if (event.fail) throw new Error('midway');
  for (let left = size; left > 0; left -= 65536) {
    if (!stream.write('x'.repeat(Math.min(left, 65536)))) await new Promise((r) => stream.once('drain', r));
  }
  stream.write('last');
  stream.end();
});
"""


@pytest.fixture
def raw(virga):
    return Raw(virga)


def text_of(events):
    return b"".join(payload for _, kind, payload in events if kind == "PayloadChunk").decode()


def test_stream_comes_as_it_is_written(functions, raw):
    name = functions.make(STREAMING, runtime="nodejs20.x")
    answer, events = raw.stream(name, {"pause": 400}, tail=True)
    assert text_of(events) == "first;last"
    assert events[-1][1] == "InvokeComplete" and events[-1][0] - events[0][0] > 0.3
    complete = json.loads(events[-1][2])
    assert "ErrorCode" not in complete and complete["LogResult"]


def test_stream_of_a_function_that_does_not_stream(functions, raw):
    name = functions.make("def handler(event, context): return event")
    _, events = raw.stream(name, {"a": 1})
    assert [kind for _, kind, _ in events] == ["PayloadChunk", "InvokeComplete"]
    assert json.loads(text_of(events)) == {"a": 1}


def test_stream_that_fails(functions, raw):
    name = functions.make(STREAMING, runtime="nodejs20.x")
    _, events = raw.stream(name, {"fail": True})
    assert text_of(events) == "first;"
    complete = json.loads(events[-1][2])
    assert complete["ErrorCode"] == "Error" and "midway" in complete["ErrorDetails"]
    assert functions.client.invoke(FunctionName=name, Payload=b"{}")["Payload"].read() == b"first;last"  # collected


def test_stream_before_a_time_out(functions, raw):
    name = functions.make(STREAMING, runtime="nodejs20.x", Timeout=1)
    _, events = raw.stream(name, {"pause": 5000})
    assert text_of(events) == "first;"
    assert json.loads(events[-1][2])["ErrorCode"] == "Sandbox.Timedout"


def test_large_stream(functions, raw):
    name = functions.make(STREAMING, runtime="nodejs20.x", MemorySize=512, Timeout=60)
    _, events = raw.stream(name, {"size": 20 << 20})
    assert len(text_of(events)) == (20 << 20) + 10
    assert json.loads(events[-1][2]) == {}


def test_a_reader_that_waits_makes_the_function_wait(functions, raw):
    name = functions.make(STREAMING, runtime="nodejs20.x", MemorySize=256, Timeout=5)
    path = f"/2021-11-15/functions/{name}/response-streaming-invocations"
    body = json.dumps({"size": 100 << 20}).encode()
    answer = raw.send("POST", path, body, raw.signed("POST", path, body))
    time.sleep(0.5)  # nothing is read: what came so far waits in bounded buffers
    answer.close()  # and then nobody wants it: the function goes on into nothing, and is there for the next
    assert raw.stream(name, {})[1][-1][1] == "InvokeComplete"


def make_url(functions, raw, name, auth="NONE", permit=True, **options):
    """The path of a function's URL on Virga's own port."""
    url = functions.client.create_function_url_config(FunctionName=name, AuthType=auth, **{k: v for k, v in options.items() if k != "InvokeMode"})
    if "InvokeMode" in options:
        path = f"/2021-10-31/functions/{name}/url"
        body = json.dumps({"InvokeMode": options["InvokeMode"]}).encode()
        answer = raw.send("PUT", path, body, raw.signed("PUT", path, body))
        assert answer.status == 200 and json.loads(answer.read())["InvokeMode"] == options["InvokeMode"]
    if permit:
        functions.client.add_permission(FunctionName=name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*",
                                        FunctionUrlAuthType=auth)
        functions.client.add_permission(FunctionName=name, StatementId="function", Action="lambda:InvokeFunction", Principal="*")
    host = urllib.parse.urlparse(url["FunctionUrl"]).hostname
    return host, "/_aws/lambda-url/" + host.split(".")[0]


ECHO = """
def handler(event, context):
    if event['rawPath'] == '/plain':
        return {'hello': 'a "b  c', 'list': [1, 2]}
    return {'statusCode': 202, 'headers': {'x-own': 'yes'}, 'cookies': ['c=1', 'd=2'], 'body': __import__('json').dumps(event)}
"""


def test_url_event_and_answer(functions, raw):
    name = functions.make(ECHO)
    host, path = make_url(functions, raw, name)
    answer = raw.send("POST", path + "/a%20b/c?x=1&x=2&y=", b"\xff\x00", {"Content-Type": "image/png", "Cookie": "k=v; l=w", "X-Two": "2",
                                                                                 "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"})
    event = json.loads(answer.read())
    assert answer.status == 202 and answer.getheader("x-own") == "yes"
    assert answer.headers.get_all("set-cookie") == ["c=1", "d=2"]
    assert event["version"] == "2.0" and event["rawPath"] == "/a b/c" and event["rawQueryString"] == "x=1&x=2&y="
    assert event["queryStringParameters"] == {"x": "1,2", "y": ""} and event["cookies"] == ["k=v", "l=w"]
    assert event["body"] == "/wA=" and event["isBase64Encoded"] is True and event["headers"]["x-two"] == "2"
    forwarded = {part: event["headers"]["x-forwarded-" + part] for part in ("for", "port", "proto")}
    assert forwarded == {"for": "203.0.113.7, 127.0.0.1", "port": raw.host.split(":")[1], "proto": "http"} and "connection" not in event["headers"]
    context = event["requestContext"]
    assert context["accountId"] == "anonymous" and context["http"]["method"] == "POST" and context["stage"] == "$default"
    assert event["headers"]["x-amzn-trace-id"].startswith("Root=1-")
    traced = json.loads(raw.send("GET", path + "//x//y", headers={"X-Amzn-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793"}).read())
    assert traced["rawPath"] == traced["requestContext"]["http"]["path"] == "/x//y"
    assert traced["headers"]["x-amzn-trace-id"] == "Root=1-5759e988-bd862e3fe1be46a994272793"
    by_host = raw.send("GET", "/plain", host=f"{host}:{raw.virga.port}")
    assert by_host.status == 200 and by_host.read() == b'{"hello":"a \\"b  c","list":[1,2]}'
    assert by_host.getheader("content-type") == "application/json"


def test_url_needs_both_permissions(functions, raw):
    name = functions.make(ECHO)
    _, path = make_url(functions, raw, name, permit=False)
    grant = functions.client.add_permission
    refused = raw.send("GET", path + "/plain")
    assert refused.status == 403 and refused.getheader("x-amzn-errortype") == "AccessDeniedException"
    assert json.loads(refused.read())["Message"] == ("Forbidden. For troubleshooting Function URL authorization issues, see: "
                                                     "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html")
    grant(FunctionName=name, StatementId="other", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="AWS_IAM")
    grant(FunctionName=name, StatementId="function", Action="lambda:InvokeFunction", Principal="*")
    assert raw.send("GET", path + "/plain").status == 403
    grant(FunctionName=name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")
    assert raw.send("GET", path + "/plain").status == 200
    functions.client.remove_permission(FunctionName=name, StatementId="function")
    assert raw.send("GET", path + "/plain").status == 403


def test_permission_through_the_url_only(functions, raw):
    name = functions.make(ECHO)
    _, path = make_url(functions, raw, name, permit=False)
    functions.client.add_permission(FunctionName=name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*",
                                    FunctionUrlAuthType="NONE")
    body = json.dumps({"StatementId": "via", "Action": "lambda:InvokeFunction", "Principal": "*", "InvokedViaFunctionUrl": True}).encode()
    policy = f"/2015-03-31/functions/{name}/policy"
    assert raw.send("POST", policy, body, raw.signed("POST", policy, body)).status == 201
    assert raw.send("GET", path + "/plain").status == 200
    invoke = f"/2015-03-31/functions/{name}/invocations"
    assert raw.send("POST", invoke, b"{}").status == 403  # the same stranger, not through the URL


def test_signed_url(functions, raw, virga):
    name = functions.make(ECHO)
    host, path = make_url(functions, raw, name, auth="AWS_IAM", permit=False)
    assert raw.send("GET", path + "/").status == 403
    answer = raw.send("GET", path + "/", headers=raw.signed("GET", path + "/", b""))
    event = json.loads(answer.read())
    assert answer.status == 202 and event["requestContext"]["authorizer"]["iam"]["accountId"] == "000000000000"
    wrong = raw.send("GET", path + "/", headers=raw.signed("GET", path + "/", b"", keys=("test", "wrong")))
    assert wrong.status == 403
    other = raw.send("GET", path + "/", headers=raw.signed("GET", path + "/", b"", service="s3"))
    assert other.status == 403
    iam = virga.client("iam")
    user = "u-" + name
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    keys = (key["AccessKeyId"], key["SecretAccessKey"])
    assert raw.send("GET", path + "/", headers=raw.signed("GET", path + "/", b"", keys=keys)).status == 403
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"], "Resource": "*"}]}))
    answer = raw.send("GET", path + "/", headers=raw.signed("GET", path + "/", b"", keys=keys))
    assert answer.status == 202
    assert json.loads(answer.read())["requestContext"]["authorizer"]["iam"]["userArn"].endswith(user)


def test_url_streams(functions, raw):
    name = functions.make(STREAMING.replace("event.pause || 0", "400"), runtime="nodejs20.x")
    _, path = make_url(functions, raw, name, InvokeMode="RESPONSE_STREAM")
    answer = raw.send("GET", path + "/")
    assert answer.status == 201 and answer.getheader("x-own") == "yes" and answer.getheader("content-type") == "text/plain"
    assert answer.headers.get_all("set-cookie") == ["a=1", "b=2"]
    began = time.monotonic()
    assert answer.read1(100) == b"first;"
    assert answer.read() == b"last" and time.monotonic() - began > 0.3


def test_url_buffers_what_streams(functions, raw):
    name = functions.make(STREAMING, runtime="nodejs20.x")
    _, path = make_url(functions, raw, name)
    answer = raw.send("GET", path + "/")
    assert answer.status == 201 and answer.read() == b"first;last" and answer.getheader("content-length") == "10"


def test_url_of_a_function_that_fails(functions, raw):
    name = functions.make("def handler(event, context): raise ValueError('no')")
    _, path = make_url(functions, raw, name)
    answer = raw.send("GET", path + "/")
    assert (answer.status, answer.read()) == (502, b"Internal Server Error")
    assert raw.send("GET", "/_aws/lambda-url/" + "a" * 32 + "/").status == 403
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert raw.send("GET", path + "/").status == 429


def test_url_cors(functions, raw):
    name = functions.make(ECHO)
    _, path = make_url(functions, raw, name, Cors={"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "MaxAge": 60,
                                                  "AllowHeaders": ["x-two"], "AllowCredentials": True})
    preflight = raw.send("OPTIONS", path + "/", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "GET"})
    assert preflight.status == 200 and preflight.getheader("access-control-allow-methods") == "GET"
    assert preflight.getheader("access-control-max-age") == "60"
    assert preflight.getheader("content-type") == "application/json" and preflight.getheader("x-amzn-requestid") and preflight.read() == b""
    answer = raw.send("GET", path + "/", headers={"Origin": "https://a.example"})
    assert answer.getheader("access-control-allow-origin") == "https://a.example"
    assert answer.getheader("access-control-allow-credentials") == "true"
    assert raw.send("GET", path + "/", headers={"Origin": "https://b.example"}).getheader("access-control-allow-origin") is None


# AWS adds the configured headers to those of the function, also where that makes two; a preflight has the configured alone.
def test_url_cors_of_a_function_with_its_own(functions, raw):
    name = functions.make("""def handler(event, context):
    return {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "PATCH"}, "body": ""}""")
    _, path = make_url(functions, raw, name, Cors={"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "ExposeHeaders": ["x-n"]})
    origin = {"Origin": "https://a.example"}
    answer = raw.send("GET", path + "/", headers=origin)
    assert answer.headers.get_all("access-control-allow-origin") == ["*", "https://a.example"]
    assert answer.headers.get_all("access-control-allow-methods") == ["PATCH"] and answer.getheader("vary") == "Origin"
    assert answer.getheader("access-control-expose-headers") == "x-n"
    preflight = raw.send("OPTIONS", path + "/", headers={**origin, "Access-Control-Request-Method": "GET"})
    assert preflight.headers.get_all("access-control-allow-origin") == ["https://a.example"]
    assert preflight.headers.get_all("access-control-allow-methods") == ["GET"]


# Whoever must sign need not sign what browsers send by themselves; and the page may read that it was refused.
def test_url_cors_of_a_signed_url(functions, raw):
    name = functions.make(ECHO)
    made = functions.client.create_function_url_config(FunctionName=name, AuthType="AWS_IAM", Cors={"AllowOrigins": ["*"], "AllowMethods": ["PUT"]})
    path = "/_aws/lambda-url/" + urllib.parse.urlparse(made["FunctionUrl"]).hostname.split(".")[0]
    preflight = raw.send("OPTIONS", path + "/", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"})
    assert (preflight.status, preflight.getheader("access-control-allow-origin")) == (200, "*")
    refused = raw.send("PUT", path + "/", headers={"Origin": "https://a.example"})
    assert (refused.status, refused.getheader("access-control-allow-origin")) == (403, "*")


def test_url_configuration(functions, raw):
    client = functions.client
    name = functions.make(ECHO)
    assert error_code(client.get_function_url_config, FunctionName=name)[0] == "ResourceNotFoundException"
    made = client.create_function_url_config(FunctionName=name, AuthType="NONE")
    assert made["FunctionUrl"].startswith("http://") and made["FunctionArn"].endswith(":" + name)
    assert error_code(client.create_function_url_config, FunctionName=name, AuthType="NONE")[0] == "ResourceConflictException"
    client.publish_version(FunctionName=name)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    aliased = client.create_function_url_config(FunctionName=name, Qualifier="live", AuthType="AWS_IAM")
    assert aliased["FunctionArn"].endswith(":live") and aliased["FunctionUrl"] != made["FunctionUrl"]
    assert error_code(client.create_function_url_config, FunctionName=name, Qualifier="none", AuthType="NONE")[0] == "ResourceNotFoundException"
    assert len(client.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]) == 2
    changed = client.update_function_url_config(FunctionName=name, AuthType="AWS_IAM", Cors={"AllowOrigins": ["*"]})
    assert changed["AuthType"] == "AWS_IAM" and changed["Cors"]["AllowOrigins"] == ["*"]
    assert client.get_function_url_config(FunctionName=name)["LastModifiedTime"]
    client.delete_function_url_config(FunctionName=name)
    assert len(client.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]) == 1
    # As recorded: an alias takes its URL with it, which then answers as one that may not be used; and not as one that never was.
    client.delete_alias(FunctionName=name, Name="live")
    assert error_code(client.get_function_url_config, FunctionName=name, Qualifier="live")[0] == "ResourceNotFoundException"
    for address, text in (made["FunctionUrl"], "Forbidden. For troubleshooting"), (aliased["FunctionUrl"], "Forbidden. For troubleshooting"), ("//" + "0" * 32, "null"):
        answer = raw.send("GET", "/_aws/lambda-url/" + urllib.parse.urlparse(address).hostname.split(".")[0] + "/")
        assert (answer.status, answer.getheader("x-amzn-errortype")) == (403, "AccessDeniedException")
        assert str(json.loads(answer.read())["Message"] or "null").startswith(text)
