#!/usr/bin/env python3
"""Writes sigv4_vectors.inc: requests signed by botocore, the oracle of sigv4_test.cc.

Run with any recent botocore; the result is committed, so a build needs neither Python packages nor this script."""
import datetime
import json
import pathlib
from unittest import mock

import botocore.auth
from botocore.auth import HmacV1Auth, HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

NOW = datetime.datetime(2024, 5, 1, 12, 0, 0, tzinfo=datetime.timezone.utc)
KEY = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "FQoGZXIvYXdzE/+session==token"


def case(name, method, url, service="dynamodb", region="us-east-1", headers=None, body=b"", token=None, query=None, s3=False,
         unsigned=False, auth_path=None, version2=False):
    request = AWSRequest(method=method, url=url, headers=headers or {}, data=body)
    credentials = Credentials(KEY, SECRET, token)
    if version2:
        request.auth_path = auth_path
        auth = HmacV1QueryAuth(credentials, expires=query) if query else HmacV1Auth(credentials)
    elif s3 and not query:
        auth = S3SigV4Auth(credentials, service, region)
        if unsigned:
            auth.payload = lambda _: "UNSIGNED-PAYLOAD"
    elif s3:
        auth = S3SigV4QueryAuth(credentials, service, region, expires=query)
    elif query:
        auth = SigV4QueryAuth(credentials, service, region, expires=query)
    else:
        auth = SigV4Auth(credentials, service, region)
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda: NOW, create=True), \
            mock.patch("time.time", lambda: NOW.timestamp()), \
            mock.patch.object(botocore.auth, "formatdate", lambda **_: "Wed, 01 May 2024 12:00:00 GMT"):
        auth.add_auth(request)
    prepared = request.prepare()
    rest = prepared.url.split("://", 1)[1]
    host, _, target = rest.partition("/")
    sent = [["Host", host]]
    for key, value in prepared.headers.items():
        if key.lower() in ("content-length", "host"):
            continue
        sent.append([key, value.decode() if isinstance(value, bytes) else value])
    return {"name": name, "method": method, "target": "/" + target, "s3": s3, "headers": sent,
            "body": body.decode(), "service": service, "region": "" if version2 else region}


def main():
    ddb = "https://dynamodb.us-east-1.amazonaws.com/"
    s3 = "https://bucket.s3.us-east-1.amazonaws.com"
    lam = "https://lambda.eu-west-1.amazonaws.com"
    cases = [
        case("json post", "POST", ddb, headers={"X-Amz-Target": "DynamoDB_20120810.ListTables",
                                                "Content-Type": "application/x-amz-json-1.0"}, body=b"{}"),
        case("session token", "POST", ddb, headers={"X-Amz-Target": "DynamoDB_20120810.ListTables"}, body=b"{}", token=TOKEN),
        case("blanks in a header", "POST", ddb, headers={"X-Amz-Meta": "  a   b\tc  "}, body=b"x"),
        case("double encoded path", "GET", lam + "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A000000000000%3Afunction%3Af",
             service="lambda", region="eu-west-1"),
        case("path with dots and doubled slashes", "GET", lam + "/a//b/./c/../d/", service="execute-api", region="eu-west-1"),
        case("path with blanks and unicode", "GET", lam + "/caf%C3%A9/a%20b/~x", service="execute-api", region="eu-west-1"),
        case("query sorted", "GET", lam + "/x?b=2&a=1&a=0&empty&c=%20%2F%3D%26&A=upper&a-b=1&a%2Cb=2", service="lambda",
             region="eu-west-1"),
        case("query form body", "POST", "https://sts.amazonaws.com/", service="sts",
             headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
             body=b"Action=GetCallerIdentity&Version=2011-06-15"),
        case("port in host", "POST", "http://localhost:4566/", service="sqs", body=b"Action=ListQueues"),
        case("s3 get", "GET", s3 + "/", service="s3", s3=True),
        case("s3 put", "PUT", s3 + "/a/b%20c/%2B%28x%29/d%C3%A9.txt", service="s3", s3=True, body=b"hello"),
        case("s3 keeps dots and slashes", "PUT", s3 + "/a//b/./../c", service="s3", s3=True, body=b"hello"),
        case("s3 subresource", "GET", s3 + "/?acl", service="s3", s3=True, token=TOKEN),
        case("s3 list", "GET", s3 + "/?list-type=2&prefix=a%2Fb%20c&delimiter=%2F&encoding-type=url", service="s3", s3=True),
        case("s3 unsigned payload", "PUT", "https://bucket.s3.us-east-1.amazonaws.com/big", service="s3", s3=True, unsigned=True,
             body=b"whatever"),
        case("s3 presigned get", "GET", s3 + "/a%20b.txt?versionId=x%2Fy", service="s3", s3=True, query=3600),
        case("s3 presigned put with token", "PUT", s3 + "/k", service="s3", s3=True, query=60, token=TOKEN,
             headers={"Content-Type": "text/plain", "x-amz-acl": "private"}),
        case("v2 get", "GET", s3 + "/a%20b?acl&x=1", service="s3", s3=True, version2=True, auth_path="/bucket/a%20b", token=TOKEN,
             headers={"X-Amz-Meta-A": "1"}),
        case("v2 put", "PUT", "http://localhost:4566/bucket/k%2B?tagging", service="s3", s3=True, version2=True,
             headers={"Content-Type": "text/plain"}, body=b"x"),
        case("v2 presigned", "GET", s3 + "/a%20b?versionId=x%2Fy&response-content-type=a%2Fb", service="s3", s3=True, version2=True,
             query=60, auth_path="/bucket/a%20b"),
        case("v2 presigned with token", "PUT", "http://localhost:4566/bucket/k", service="s3", s3=True, version2=True, query=60,
             token=TOKEN, headers={"Content-Type": "text/plain"}),
        case("presigned sts", "GET", "https://sts.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15", service="sts",
             query=60, token=TOKEN),
    ]
    out = pathlib.Path(__file__).with_name("sigv4_vectors.inc")
    lines = ",\n".join(json.dumps(c) for c in cases)
    out.write_text('R"vectors([\n' + lines + '\n])vectors"\n')


main()
