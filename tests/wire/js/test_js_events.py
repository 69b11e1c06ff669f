"""The AWS SDK for JavaScript with queues, topics, buses and schedules: it checks SQS's MD5s in both directions itself."""

import json
import pathlib
import subprocess
import uuid

import pytest

from support import ROOT


@pytest.fixture(scope="module")
def found(virga):
    """What events.mjs found: it runs once, the tests below each look at a part."""
    script = pathlib.Path(__file__).with_name("events.mjs")
    done = subprocess.run(["node", script, "j-" + uuid.uuid4().hex[:12]], env={**virga.environment(), "SDK_ROOT": str(ROOT)},
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# awsJson1.0, with errors that have a name of the query protocol besides.
def test_sqs(found):
    assert found["message"] == {"body": "héllo <&> 🎈", "same": True, "colour": "röd", "raw": [0, 255, 7], "md5": True,
                                "count": "1", "sender": "000000000000"}
    assert found["again"] == ["héllo <&> 🎈"]
    assert found["batch"] == {"good": ["a", "b"], "bad": [["c", True, "InvalidMessageContents"]], "bodies": ["one", "two"]}
    assert found["noQueue"]["status"] == 400 and found["noQueue"]["name"] in (
        "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")
    assert found["noQueueType"] is True
    assert found["badHandle"]["name"] == "ReceiptHandleIsInvalid"
    assert len(found["queues"]) == 1
    assert found["fifo"] == {"same": True, "sequence": True}


# awsQuery.
def test_sns(found):
    assert found["notified"] == {"body": "från ämnet", "raw": [0, 255, 7], "good": ["1", "2"]}
    assert found["empty"] == {"name": "InvalidParameterException", "status": 400, "kind": "client"}
    assert found["subscription"] and found["topics"] == 1
    assert found["noTopic"] == {"name": "NotFoundException", "status": 404, "kind": "client"}
    assert found["noTopicType"] is True


# awsJson1.1.
def test_eventbridge(found):
    assert found["event"] == {"body": [{"paid": 12.5}], "refused": 0, "failed": 1, "codes": [None, None, "MalformedDetail"]}
    assert found["pattern"] is True and found["archive"]
    assert found["badPattern"] == {"name": "InvalidEventPatternException", "status": 400, "kind": "client"}
    assert found["noRule"] == {"name": "ResourceNotFoundException", "status": 400, "kind": "client"}


# restJson1.
def test_scheduler(found):
    assert found["schedule"] == {"created": True, "start": "2026-01-01T00:00:00.000Z", "state": "ENABLED"}
    assert found["twice"] == {"name": "ConflictException", "status": 409, "kind": "client"}
    assert found["scheduled"] == ["on time"]
    assert found["noSchedule"] == {"name": "ResourceNotFoundException", "status": 404, "kind": "client"}
    assert found["badSchedule"] == {"name": "ValidationException", "status": 400, "kind": "client"}
