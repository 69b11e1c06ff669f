"""Files that a crash or a disk cut short: what was never promised goes in silence, what was is missed aloud."""

import os
import pathlib
import shutil
import subprocess
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from support import BINARY, start_virga


@pytest.fixture
def server():
    started = start_virga()
    yield started
    if started.process.poll() is None:
        started.kill()
    shutil.rmtree(started.data, ignore_errors=True)


def fill(server):
    logs = server.client("logs")
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    for n in range(20):
        logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=[{"timestamp": int(time.time() * 1000), "message": str(n)}])


def messages(server):
    events = server.client("logs").get_log_events(logGroupName="g", logStreamName="s", startFromHead=True)["events"]
    return [int(event["message"]) for event in events]


def newest_log(server):
    return max(pathlib.Path(server.data, "data/store").glob("*.log"), key=lambda path: path.stat().st_mtime)


def end_of_records(log):
    """Where a log's records end: its file goes on with zeros. They lie in blocks of 32 KB, each with its length and kind."""
    data, at = log.read_bytes(), 0
    while at + 7 <= len(data):
        length, kind = int.from_bytes(data[at + 4:at + 6], "little"), data[at + 6]
        if kind == 0:
            break
        at += 7 + length
        if at % 32768 > 32768 - 7:
            at += -at % 32768
    return at


# Half a commit at the end of the log is what a kill in the middle of a write leaves.
def test_half_a_commit(server):
    fill(server)
    server.kill()
    log = newest_log(server)
    end = end_of_records(log)
    with open(log, "r+b") as file:
        part = file.read(1000)[-70:]
        file.seek(end)
        file.write(part)
    server.start()
    assert messages(server) == list(range(20))
    fill_more = server.client("logs")
    fill_more.put_log_events(logGroupName="g", logStreamName="s", logEvents=[{"timestamp": int(time.time() * 1000), "message": "20"}])
    server.kill()
    server.start()
    assert messages(server) == list(range(21))


# Commits that somebody was told are safe are gone: it does not start as if nothing were wrong, and says what to do.
def test_a_cut_log(server):
    fill(server)
    server.kill()
    log = newest_log(server)
    os.truncate(log, end_of_records(log) - 400)
    command = [BINARY, "up", "--data", os.path.join(server.data, "data"), "--port", "0"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert refused.returncode == 1 and "commits are missing" in refused.stderr and "ACKNOWLEDGED" in refused.stderr
    # As told: going on without them. What is there is the beginning of what was, without a hole.
    os.remove(os.path.join(server.data, "data/store/ACKNOWLEDGED"))
    server.start()
    found = messages(server)
    assert found == list(range(len(found))) and 10 < len(found) < 20


# A blob that lost its tail, or has a wrong byte, is an error and never a wrong answer; its neighbours are whole.
@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_blob(server, damage):
    s3 = server.client("s3")
    s3.create_bucket(Bucket="bucket")
    for name in ("good", "bad"):
        s3.put_object(Bucket="bucket", Key=name, Body=name.encode() * 100_000)
    server.kill()
    blob = next(path for path in pathlib.Path(server.data, "data/blobs").rglob("*")
                if path.is_file() and path.read_bytes()[:300].find(b"badbadbad") >= 0)
    if damage == "cut":
        os.truncate(blob, blob.stat().st_size - 1000)
    else:
        with open(blob, "r+b") as file:
            file.seek(blob.stat().st_size // 2)
            file.write(b"!")
    server.start()
    assert s3.get_object(Bucket="bucket", Key="good")["Body"].read() == b"good" * 100_000
    with pytest.raises((ClientError, BotoCoreError, OSError)):
        s3.get_object(Bucket="bucket", Key="bad")["Body"].read()
    s3.put_object(Bucket="bucket", Key="bad", Body=b"mended")
    assert s3.get_object(Bucket="bucket", Key="bad")["Body"].read() == b"mended"
