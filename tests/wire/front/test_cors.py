"""Web pages that call AWS's APIs: what browsers ask before, and what they need to find in the answers."""

import json
import urllib.error
import urllib.request

import pytest

from test_front_aws import FORM, IDENTITY, send

PAGE = {"Origin": "http://localhost:3000"}
OTHER = {"Origin": "https://example.com"}
EXPOSED = "x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date"
TARGET = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.ListTables"}


def ask(virga, path="/", method="OPTIONS", host=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if host:
        headers["Host"] = host
    try:
        answer = urllib.request.urlopen(urllib.request.Request(virga.url + path, None, headers, method=method))
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.headers, answer.read().decode()


# Paths of query and JSON services, of a REST service, of a queue, and of the CBOR protocol.
@pytest.mark.parametrize("path, method", [
    ("/", "POST"), ("/2015-03-31/functions/f/invocations", "POST"), ("/2015-03-31/functions/f", "GET"),
    ("/000000000000/queue", "POST"), ("/service/GraniteServiceVersion20100801/operation/PutMetricData", "POST")])
def test_preflight(virga, path, method):
    asked = {"Access_Control_Request_Method": method, "Access_Control_Request_Headers": "authorization,x-amz-target"}
    status, headers, body = ask(virga, path, Origin="https://example.com", **asked)
    assert status == 200 and body == ""
    assert headers["Access-Control-Allow-Origin"] == "*" and headers["Access-Control-Max-Age"] == "172800"
    assert headers["Access-Control-Allow-Methods"] == method
    assert headers["Access-Control-Allow-Headers"] == "authorization,x-amz-target"
    assert headers["Access-Control-Expose-Headers"] == EXPOSED
    # Without a page that asks there is nothing to allow.
    assert not any(name.startswith("Access-Control") for name in ask(virga, path, **asked)[1])


# A bucket's CORS is the bucket's own.
def test_no_preflight_for_buckets(virga):
    status, headers, _ = ask(virga, "/some-bucket/key", Origin="https://example.com", Access_Control_Request_Method="PUT")
    assert status >= 400


def test_answers(virga):
    status, headers, _ = send(virga, "dynamodb", body="{}", headers={**TARGET, **PAGE})
    assert status == 200 and headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Access-Control-Expose-Headers"] == EXPOSED and "Access-Control-Max-Age" not in headers
    status, headers, _ = send(virga, "dynamodb", body="{", headers={**TARGET, **PAGE})
    assert status == 400 and headers["Access-Control-Allow-Origin"] == "*"
    status, headers, _ = send(virga, "lambda", path="/2015-03-31/functions/none/invocations", body="{}", headers=PAGE)
    assert status == 404 and "X-Amz-Function-Error" in headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Origin" not in send(virga, "dynamodb", body="{}", headers=TARGET)[1]
    assert "Access-Control-Allow-Origin" not in send(virga, "s3", "GET", headers=PAGE, s3=True)[1]


# The development key is known to everybody: no page that a person happens to look at may use it. Other keys may be used
# from wherever they were given to.
@pytest.mark.parametrize("origin", ["https://example.com", "null", "http://localhost.example.com", "http://127.0.0.1.example.com"])
def test_root_keys_are_not_for_foreign_pages(virga, origin):
    status, headers, text = send(virga, "dynamodb", body="{}", headers={**TARGET, "Origin": origin})
    assert status == 400 and "AccessDeniedException" in text and origin in text
    assert headers["Access-Control-Allow-Origin"] == "*"
    key = virga.client("iam")
    name = "page-" + str(abs(hash(origin)))
    key.create_user(UserName=name)
    key.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "dynamodb:ListTables", "Resource": "*"}]}))
    made = key.create_access_key(UserName=name)["AccessKey"]
    assert send(virga, "dynamodb", body="{}", headers={**TARGET, "Origin": origin}, key=made["AccessKeyId"],
                secret=made["SecretAccessKey"])[0] == 200


@pytest.mark.parametrize("origin", ["http://localhost", "http://app.localhost:8080", "https://127.0.0.1:3000", "http://[::1]:5173"])
def test_root_keys_are_for_pages_of_this_machine(virga, origin):
    assert send(virga, "sts", body=IDENTITY, headers={**FORM, "Origin": origin})[0] == 200


# DynamoDB's hosts tell health checks that they are well.
def test_healthy(virga):
    status, headers, text = ask(virga, method="GET", host="dynamodb.us-east-1.amazonaws.com", Origin="https://example.com")
    assert status == 200 and text.strip() == "healthy: dynamodb.us-east-1.amazonaws.com"
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "virga --help" in ask(virga, method="GET")[2]
