"""The AWS SDK for JavaScript: another implementation of every protocol, in its current version."""

import base64
import json
import pathlib
import subprocess

import pytest

from support import ROOT, zipped


@pytest.fixture(scope="module")
def found(virga):
    """What sdk.mjs found: it runs once, the tests below each look at a part."""
    import uuid
    code = base64.b64encode(zipped({"index.js": "exports.handler = async (event) => ({got: event});"})).decode()
    script = pathlib.Path(__file__).with_name("sdk.mjs")
    done = subprocess.run(["node", script, "j-" + uuid.uuid4().hex[:12], code], env={**virga.environment(), "SDK_ROOT": str(ROOT)},
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# awsQuery.
def test_sts_and_iam(found):
    assert found["identity"]["account"] == "000000000000" and found["identity"]["id"]
    assert found["role"]["created"] and found["role"]["same"] and found["roles"] >= 1
    assert found["assumed"].startswith("arn:aws:sts::000000000000:assumed-role/j-")


# restJson1, with a type of error that the SDK knows by name.
def test_lambda(found):
    assert found["invoked"] == {"value": {"got": {"n": 1}}, "tail": True}
    assert found["missing"] == {"name": "ResourceNotFoundException", "status": 404, "kind": "client"}
    assert found["denied"]["name"] == "AccessDeniedException" and found["denied"]["status"] == 403


# awsJson1.1.
def test_logs(found):
    assert found["events"] == ["héllo"]


# awsJson1.0, with the document client's types.
def test_dynamodb(found):
    assert found["item"] == {"list": [1, "two", None, True], "map": {"deep": {"er": 1.5}}, "set": ["a", "b"], "bytes": [0, 255]}
    assert found["condition"] == {"name": "ConditionalCheckFailedException", "status": 400, "kind": "client"}
    assert found["cancelled"] == ["None", "ConditionalCheckFailed"]


# restXml, with the checksums that current SDKs add by themselves.
def test_s3(found):
    assert found["object"] == {"text": "text", "colour": "red", "type": "text/plain"} and found["keys"] == ["a/ö b.txt"]
    assert found["noKey"]["name"] == "NoSuchKey" and found["head"]["name"] == "NotFound"


def test_cloudformation(found):
    assert found["stack"] == "CREATE_COMPLETE"


def test_http_api(found):
    assert found["api"] == "/x"
