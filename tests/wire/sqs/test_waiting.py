"""Ten thousand receives that wait for a message: in bounded memory, without a thread each, woken at once, and no
hindrance to a stop."""

import json
import pathlib
import resource
import select
import socket
import time
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

WAITING = 10_000


def memory(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    found = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(found["VmRSS"].split()[0]) * 1024, int(found["Threads"])


def request(url, queue):
    host = urllib.parse.urlparse(url).netloc
    body = json.dumps({"QueueUrl": queue, "WaitTimeSeconds": 20})
    signed = botocore.awsrequest.AWSRequest("POST", url + "/", data=body, headers={
        "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.ReceiveMessage"})
    botocore.auth.SigV4Auth(botocore.credentials.Credentials("test", "test"), "sqs", "us-east-1").add_auth(signed)
    head = "".join(f"{name}: {value}\r\n" for name, value in signed.headers.items())
    return f"POST / HTTP/1.1\r\nHost: {host}\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < WAITING + 500:
        pytest.skip("too few open files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_ten_thousand_wait(many_files, own_virga, name):
    sqs = own_virga.client("sqs")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    before, threads = memory(own_virga.process.pid)
    address = urllib.parse.urlparse(own_virga.url)
    data = request(own_virga.url, queue)
    waiting = []
    for _ in range(WAITING):
        connection = socket.create_connection((address.hostname, address.port))
        connection.sendall(data)
        waiting.append(connection)
    # All wait: nothing has been answered, and the queue still answers others at once.
    sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
    after, threads_then = memory(own_virga.process.pid)
    each = (after - before) / WAITING
    print(f"{each:.0f} bytes for each that waits, connection included")
    assert threads_then <= threads + 4
    assert each < 60_000
    begun = time.monotonic()
    for part in range(10):
        sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(i), "MessageBody": f"{part}-{i}"} for i in range(10)])
    poll, bodies = select.poll(), set()
    by_fd = {connection.fileno(): connection for connection in waiting}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    while len(bodies) < 100 and time.monotonic() < begun + 15:
        for fd, _ in poll.poll(100):
            answer = by_fd[fd].recv(65536)
            poll.unregister(fd)
            bodies.update(m["Body"] for m in json.loads(answer.split(b"\r\n\r\n", 1)[1]).get("Messages", []))
    print(f"100 messages reached 100 of {WAITING} in {time.monotonic() - begun:.2f} s")
    assert len(bodies) == 100
    begun = time.monotonic()
    assert own_virga.stop() == 0
    assert time.monotonic() - begun < 15
    for connection in waiting:
        connection.close()
