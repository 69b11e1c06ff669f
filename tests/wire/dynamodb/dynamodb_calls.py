"""Calls that the installed client does not know."""

import json
import urllib.error
import urllib.request

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def signed_call(virga, operation, body):
    """Operations newer than the client, and bodies that it would not write: `body` is what is to be JSON, or its text."""
    request = AWSRequest("POST", virga.url + "/", data=body if isinstance(body, str) else json.dumps(body), headers={
        "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810." + operation})
    SigV4Auth(Credentials("test", "test"), "dynamodb", "us-east-1").add_auth(request)
    try:
        with urllib.request.urlopen(urllib.request.Request(request.url, request.data.encode() if isinstance(request.data, str) else request.data,
                                                           dict(request.headers))) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)
