"""What AWS's front door says to calls that are wrong: who, when, what, in every protocol's own words."""

import base64
import datetime
import hashlib
import json
import re
import urllib.error
import urllib.request
import zlib

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from support import ROOT

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
IDENTITY = "Action=GetCallerIdentity&Version=2011-06-15"


def send(virga, service, method="POST", path="/", body="", headers=None, key="test", secret="test", token=None, minutes=0, spoil=None, sign=True, raw=False, s3=False):
    """A call signed by botocore's own signer; `spoil` may change the signed request, the signer's clock is `minutes` ahead."""
    request = botocore.awsrequest.AWSRequest(method, virga.url + path, data=body.encode() if isinstance(body, str) else body, headers=headers or {})
    if sign:
        signer = (botocore.auth.S3SigV4Auth if s3 else botocore.auth.SigV4Auth)(botocore.credentials.Credentials(key, secret, token), service, "us-east-1")
        real = datetime.datetime

        class Clock(real):
            @classmethod
            def utcnow(cls):
                return real.utcnow() + datetime.timedelta(minutes=minutes)
        botocore.auth.datetime.datetime = Clock
        try:
            signer.add_auth(request)
        finally:
            botocore.auth.datetime.datetime = real
    headers = dict(request.headers.items())
    data = request.data
    if spoil:
        data = spoil(headers, data) or data
    try:
        answer = urllib.request.urlopen(urllib.request.Request(virga.url + path, data or None, headers, method=method))
    except urllib.error.HTTPError as error:
        answer = error
    text = answer.read()
    return answer.status, answer.headers, text if raw else text.decode()


def unserved(service):
    """An operation that the model has and Virga does not serve, and how it is called: (name, method, path)."""
    folder = ROOT / "models" / service
    served = set((folder / "serves.txt").read_text().split())
    operations = json.loads((folder / "model.json").read_text())["operations"]
    for name, operation in operations.items():
        if name not in served:
            return name, operation["http"]["method"], re.sub(r"{[^}]*}", "x", operation["http"]["requestUri"])
    pytest.skip(f"all of {service} is served")


def identity(virga, **options):
    return send(virga, "sts", body=IDENTITY, headers=FORM, **options)


def test_a_good_call(virga):
    status, headers, text = identity(virga)
    assert status == 200 and "<Account>000000000000</Account>" in text


# Each way a signature can be wrong has its own code; SDKs retry some of them and not others.
@pytest.mark.parametrize("options, code", [
    ({"secret": "wrong"}, "SignatureDoesNotMatch"),
    ({"key": "AKIAIOSFODNN7EXAMPLE"}, "InvalidClientTokenId"),
    ({"minutes": -20}, "SignatureDoesNotMatch"),
    ({"minutes": 20}, "SignatureDoesNotMatch"),
    ({"sign": False}, "MissingAuthenticationToken"),
    ({"token": "made-up"}, "InvalidClientTokenId"),
    ({"spoil": lambda headers, data: data.replace(b"2011-06-15", b"2011-06-16")}, "SignatureDoesNotMatch"),
    ({"spoil": lambda headers, data: headers.update(Authorization="AWS4-HMAC-SHA256 nonsense")}, "IncompleteSignature"),
    ({"spoil": lambda headers, data: headers.update({"X-Amz-Date": "20200101T000000Z"})}, "SignatureDoesNotMatch"),
], ids=["secret", "key", "old", "future", "unsigned", "token", "body", "nonsense", "date"])
def test_refused_signatures(virga, options, code):
    status, headers, text = identity(virga, **options)
    assert status == (400 if code == "IncompleteSignature" else 403)
    assert f"<Code>{code}</Code>" in text and "<RequestId>" in text, text


# A little skew is what clocks have.
@pytest.mark.parametrize("minutes", [-4, 4])
def test_a_little_skew(virga, minutes):
    assert identity(virga, minutes=minutes)[0] == 200


# Every answer has an id, good or bad, and no two are alike: it is what support asks for.
def test_request_ids(virga):
    ids = set()
    for options in ({}, {"secret": "wrong"}, {"sign": False}):
        _, headers, text = identity(virga, **options)
        ids.add(headers["x-amzn-requestid"])
        assert headers["x-amzn-requestid"] in text
    assert len(ids) == 3 and all(re.fullmatch(r"[0-9a-f-]{36}", i) for i in ids)


def json_call(virga, operation, body, **options):
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Logs_20140328." + operation}
    status, headers, text = send(virga, "logs", body=body, headers=headers, **options)
    return status, json.loads(text)["__type"].split("#")[-1], json.loads(text)


def rest_call(virga, method, path, body="", **options):
    status, headers, text = send(virga, "lambda", method=method, path=path, body=body, headers={"Content-Type": "application/json"}, **options)
    return status, headers.get("x-amzn-errortype", "").split(":")[0], json.loads(text or "{}")


# awsJson: an operation nobody knows, one that AWS knows, and bodies that are no request.
def test_json_protocol(virga):
    assert json_call(virga, "FlyToTheMoon", "{}")[:2] == (400, "UnknownOperationException")
    name, _, _ = unserved("logs")
    status, code, document = json_call(virga, name, "{}")
    assert status == 501 and f"{name} is not served" in document["message"]
    for body in ("{", "[]", "nonsense", '{"logGroupName": 5}', '{"logGroupName": {}}'):
        assert json_call(virga, "CreateLogGroup", body)[:2] == (400, "SerializationException"), body
    status, code, document = json_call(virga, "CreateLogGroup", "{}")
    assert status == 400 and code in ("InvalidParameterException", "ValidationException") and "logGroupName" in str(document)


# Deeply nested JSON must not exhaust the stack.
def test_deep_json(virga):
    assert json_call(virga, "CreateLogGroup", '{"tags":' + "[" * 100_000)[0] == 400
    assert identity(virga)[0] == 200


# restJson: unknown paths, methods, and bodies.
def test_rest_protocol(virga):
    assert rest_call(virga, "GET", "/2015-03-31/nonsense")[0] in (400, 403, 404)
    name, method, path = unserved("lambda")
    status, _, document = rest_call(virga, method, path)
    assert status == 501 and f"{name} is not served" in str(document)
    status, code, _ = rest_call(virga, "POST", "/2015-03-31/functions", "{")
    assert status == 400 and code in ("SerializationException", "InvalidRequestContentException")


# restXml: what S3 does not know, does not serve, and can't read.
def test_rest_xml_protocol(virga, name):
    def call(method, path, body="", headers=None):
        status, headers, text = send(virga, "s3", method=method, path=path, body=body, s3=True, headers=headers)
        return status, re.search("<Code>(.*?)</Code>", text), headers, text
    virga.client("s3").create_bucket(Bucket=name)
    status, code, headers, text = call("PATCH", f"/{name}/k")
    assert (status, code[1]) == (405, "MethodNotAllowed") and headers["x-amz-request-id"] in text
    for body in ("<", "<Delete>", "nonsense", "<Delete><Object><Key>a</Key></Object></Other>"):
        digest = base64.b64encode(hashlib.md5(body.encode()).digest()).decode()
        status, code, headers, text = call("POST", f"/{name}?delete", body, {"Content-MD5": digest})
        assert (status, code[1]) == (400, "MalformedXML"), text
        assert headers["Content-Type"] == "application/xml" and "<RequestId>" in text
    operation, method, path = unserved("s3")
    status, code, _, text = call(method, path)
    assert (status, code[1]) == (501, "NotImplemented") and f"{operation} is not served" in text


# rpc-v2-cbor: the same four, answered in CBOR.
def test_cbor_protocol(virga):
    def call(operation, body=b"\xa0", service="Logs_20140328"):
        path = f"/service/{service}/operation/{operation}"
        status, headers, text = send(virga, "logs", path=path, body=body, raw=True,
                                     headers={"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"})
        assert headers["smithy-protocol"] == "rpc-v2-cbor" and headers["Content-Type"] == "application/cbor", text
        assert headers["x-amzn-requestid"]
        return status, text
    status, text = call("DescribeLogGroups")
    assert status == 200 and b"logGroups" in text
    status, text = call("FlyToTheMoon")
    assert status == 404 and b"UnknownOperationException" in text and b"FlyToTheMoon" in text
    status, text = call("DescribeLogGroups", service="Quantum")
    assert status == 404 and b"UnknownOperationException" in text
    unknown, _, _ = unserved("logs")
    status, text = call(unknown)
    assert status == 501 and f"{unknown} is not served".encode() in text
    # Cut off, no map, a text that isn't one, a length that promises more than there is, and what follows the end.
    for body in (b"\xa1", b"\x80", b"\xff\xff", b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff", b"\xa0\xa0",
                 b"\xa1llogGroupName\x05"):
        status, text = call("CreateLogGroup", body)
        assert status == 400 and b"SerializationException" in text, (body, text)
    assert call("DescribeLogGroups")[0] == 200


# What is signed is the path without dots and empty parts, so that is what is served.
def test_paths_are_served_as_signed(virga):
    for path in ("/2015-03-31/functions/", "//2015-03-31/./functions/", "/2015-03-31/functions/nobody/../"):
        status, _, document = rest_call(virga, "GET", path)
        assert status == 200 and "Functions" in document, path
    status, _, document = rest_call(virga, "DELETE", "/2015-03-31/functions/one/../two")
    assert status == 404 and ":function:two" in str(document)
    status, _, document = rest_call(virga, "DELETE", "/2015-03-31/functions/..")
    assert status in (404, 405) and "UnknownOperation" in str(document) + _


# DynamoDB's clients compare a checksum with every answer's body.
def test_dynamodb_checksum(virga):
    for operation, body in (("ListTables", "{}"), ("ListTables", "{"), ("DescribeTable", '{"TableName": "nobody"}')):
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810." + operation}
        _, headers, text = send(virga, "dynamodb", body=body, headers=headers, raw=True)
        assert int(headers["x-amz-crc32"]) == zlib.crc32(text)


# query: no action, an unknown one, a known one that isn't served, a malformed number.
def test_query_protocol(virga):
    for body, code in (("Version=2011-06-15", None), ("Action=Fly&Version=2011-06-15", "InvalidAction")):
        status, _, text = send(virga, "sts", body=body, headers=FORM)
        assert status in (400, 404) and (code is None or f"<Code>{code}</Code>" in text), text
    status, _, text = send(virga, "sts", body="Action=DecodeAuthorizationMessage&Version=2011-06-15&EncodedMessage=x", headers=FORM)
    assert status >= 400 and "DecodeAuthorizationMessage" in text
    status, _, text = send(virga, "sts", body="Action=GetSessionToken&Version=2011-06-15&DurationSeconds=soon", headers=FORM)
    assert status == 400 and "<ErrorResponse" in text


# Signed for a service that isn't here: said so, with its name.
def test_unknown_service(virga):
    status, _, text = send(virga, "quantum", body="{}", headers={"Content-Type": "application/json"})
    assert status in (400, 404) and "quantum" in text


# A session's credentials work with their token and not without.
def test_session_credentials(virga):
    credentials = virga.client("sts").get_session_token()["Credentials"]
    good = {"key": credentials["AccessKeyId"], "secret": credentials["SecretAccessKey"], "token": credentials["SessionToken"]}
    assert identity(virga, **good)[0] == 200
    status, _, text = identity(virga, **{**good, "token": None})
    assert status == 403 and "InvalidClientTokenId" in text
