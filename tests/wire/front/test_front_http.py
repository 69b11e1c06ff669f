"""The door against clients that are broken, slow, many or hostile. Raw sockets: no client library would send this."""

import concurrent.futures
import json
import socket
import subprocess
import urllib.error
import urllib.request

import pytest

from support import eventually


class Raw:
    """One connection, byte by byte."""

    def __init__(self, virga, timeout=10):
        self.socket = socket.create_connection(("127.0.0.1", int(virga.port)), timeout=timeout)
        self.received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def answer(self):
        """One response: status, headers by lower-case name, body."""
        while b"\r\n\r\n" not in self.received:
            chunk = self.socket.recv(65536)
            assert chunk, f"closed after {self.received!r}"
            self.received += chunk
        head, self.received = self.received.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        status = int(lines[0].split()[1])
        length = int(headers.get("content-length", 0)) if status not in (100, 204) else 0
        while len(self.received) < length:
            chunk = self.socket.recv(65536)
            assert chunk, "closed in the middle of a body"
            self.received += chunk
        body, self.received = self.received[:length], self.received[length:]
        return status, headers, body

    def closed(self):
        """Whether the other side closes (after whatever it still sends)."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True


HEALTH = "GET /_virga/health HTTP/1.1\r\nHost: x\r\n\r\n"


# Requests that two readers could understand differently, or that nobody should send: refused, and the connection ended.
@pytest.mark.parametrize("request_, status", [
    ("GET\r\n\r\n", 400),
    ("GET /\r\n\r\n", 400),
    ("GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505),
    ("GE T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nName : 1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc", 400),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 501),
    ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
])
def test_malformed_requests(virga, request_, status):
    with Raw(virga) as raw:
        got, headers, _ = raw.send(request_.encode("latin-1")).answer()
        assert got == status and headers.get("connection") == "close" and raw.closed()


# Heads have an end: in bytes, in fields, in the length of a path.
@pytest.mark.parametrize("request_, status", [
    ("GET / HTTP/1.1\r\nHost: x\r\nA: " + "x" * 70_000 + "\r\n\r\n", 431),
    ("GET / HTTP/1.1\r\nHost: x\r\n" + "A: b\r\n" * 200 + "\r\n", 431),
    ("GET /" + "x" * 40_000 + " HTTP/1.1\r\nHost: x\r\n\r\n", 414),
])
def test_huge_heads(virga, request_, status):
    with Raw(virga) as raw:
        raw.socket.sendall(request_.encode())
        assert raw.answer()[0] == status and raw.closed()


# A chunked body that isn't: the request fails, and what follows is not taken for a request.
def test_malformed_chunks(virga):
    with Raw(virga) as raw:
        raw.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + HEALTH)
        assert raw.answer()[0] == 400 and raw.closed()


# Several requests in one packet are answered in order, on one connection.
def test_pipelining(virga):
    with Raw(virga) as raw:
        raw.send(HEALTH * 20 + "GET /_virga/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        for _ in range(21):
            status, _, body = raw.answer()
            assert status == 200 and json.loads(body)["status"] == "ready"
        assert raw.closed()


# A body in pieces is one body; the next request on the connection begins where it ends.
def test_bodies_are_framed(virga):
    body = "Action=GetCallerIdentity&Version=2011-06-15"
    chunks = "".join(f"{len(c):x};ext=1\r\n{c}\r\n" for c in (body[:1], body[1:20], body[20:])) + "0\r\nTrailer: x\r\n\r\n"
    with Raw(virga) as raw:
        raw.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
        status, _, text = raw.answer()
        assert status == 403 and b"MissingAuthenticationToken" in text
        raw.send(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}")
        assert raw.answer()[0] == 403
        assert raw.send(HEALTH).answer()[0] == 200


# 100 is said before the body, so that a refusal comes before a large upload.
def test_expect_continue(virga):
    with Raw(virga) as raw:
        raw.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n")
        assert raw.answer()[0] == 100
        assert raw.send("Action=X").answer()[0] in (400, 403)
    with Raw(virga) as raw:
        raw.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\nX-Amz-Target: Logs_20140328.PutLogEvents\r\nExpect: 100-continue\r\n\r\n")
        assert raw.answer()[0] in (400, 413)


# A body over the limit is refused by what its length says, before a byte of it is read.
def test_body_over_the_limit(virga):
    with Raw(virga) as raw:
        raw.send("POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: Logs_20140328.PutLogEvents\r\nContent-Type: application/x-amz-json-1.1\r\n"
                 "Content-Length: 99000000\r\n\r\n")
        status, headers, body = raw.answer()
        assert status in (400, 413) and "__type" in json.loads(body)


# The same without a length: cut off where the limit is.
def test_chunked_body_over_the_limit(virga):
    with Raw(virga, 20) as raw:
        raw.send("POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: Logs_20140328.PutLogEvents\r\nContent-Type: application/x-amz-json-1.1\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n")
        piece = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        try:
            for _ in range(40):
                raw.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # that is how a refusal looks to somebody who doesn't listen
        else:
            assert raw.answer()[0] in (400, 413)
    assert urllib.request.urlopen(virga.url + "/_virga/health").status == 200


# A slow client hurts nobody but itself.
def test_slow_client(virga):
    with Raw(virga) as slow:
        for byte in HEALTH[:-2].encode():
            slow.send(bytes([byte]))
            assert byte % 16 or urllib.request.urlopen(virga.url + "/_virga/health").status == 200
        assert slow.send("\r\n").answer()[0] == 200


# A client that leaves in the middle costs nothing: head, body or answer.
def test_clients_that_leave(virga):
    for data in ("GET /_virga/hea", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc", HEALTH * 50):
        for _ in range(20):
            with Raw(virga) as raw:
                raw.send(data)
    assert urllib.request.urlopen(virga.url + "/_virga/health").status == 200

    def open_connections():
        text = urllib.request.urlopen(virga.url + "/_virga/metrics").read().decode()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("virga_connections "))
    eventually(lambda: open_connections() < 50)


# Two thousand idle connections take no thread and hold nobody up.
def test_idle_connections(virga):
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    idle = []
    try:
        for _ in range(2000):
            idle.append(socket.create_connection(("127.0.0.1", int(virga.port))))
        sts = virga.client("sts")
        for _ in range(50):
            sts.get_caller_identity()
    finally:
        for connection in idle:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# HTTP/1.0 gets its answer and the end of the connection.
def test_http_1_0(virga):
    with Raw(virga) as raw:
        status, _, body = raw.send("GET /_virga/health HTTP/1.0\r\n\r\n").answer()
        assert status == 200 and body and raw.closed()


# HEAD has the headers and no body; the next answer isn't taken for it.
def test_head(virga):
    with Raw(virga) as raw:
        raw.send("HEAD /_virga/health HTTP/1.1\r\nHost: x\r\n\r\n")
        while b"\r\n\r\n" not in raw.received:
            raw.received += raw.socket.recv(65536)
        head, rest = raw.received.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 200") and rest == b""
        raw.received = b""
        assert raw.send(HEALTH).answer()[0] == 200


# HTTP/2 without TLS: many requests at once on one connection, and more after them.
def test_http_2(virga):
    script = """
const session = require('http2').connect(process.argv[1]);
session.on('error', (e) => { console.log(String(e)); process.exit(1); });
const get = () => new Promise((done) => {
  const stream = session.request({':path': '/_virga/health'});
  let status; stream.on('response', (h) => { status = h[':status']; }); stream.resume(); stream.on('end', () => done(status));
});
(async () => {
  const all = [];
  for (let round = 0; round < 3; ++round) all.push(...await Promise.all(Array.from({length: 50}, get)));
  console.log(all.length, all.every((s) => s === 200));
  session.close();
})();"""
    done = subprocess.run(["node", "-e", script, virga.url], capture_output=True, text=True, timeout=30)
    assert done.stdout == "150 true\n", done


# A signed call over HTTP/2 is a call like any other.
def test_signed_call_over_http_2(virga):
    done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--aws-sigv4", "aws:amz:us-east-1:sts", "--user", "test:test",
                           "-d", "Action=GetCallerIdentity&Version=2011-06-15", virga.url + "/"], capture_output=True, text=True, timeout=30)
    assert "arn:aws:iam::000000000000:root" in done.stdout, done


# A hundred clients at once.
def test_many_clients(virga):
    def call(_):
        with Raw(virga) as raw:
            return [raw.send(HEALTH).answer()[0] for _ in range(10)]
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        assert all(status == 200 for statuses in pool.map(call, range(100)) for status in statuses)


def test_health_and_metrics(virga):
    health = json.loads(urllib.request.urlopen(virga.url + "/_virga/health").read())
    assert health["status"] == "ready" and health["version"] and health["pid"] == virga.process.pid
    assert {"lambda", "logs", "sts", "iam", "apigatewayv2", "dynamodb", "s3", "cloudformation"} <= set(health["services"])
    virga.client("sts").get_caller_identity()
    text = urllib.request.urlopen(virga.url + "/_virga/metrics").read().decode()
    count = next(line for line in text.splitlines()
                 if line.startswith("virga_call_milliseconds_count") and 'service="sts",operation="GetCallerIdentity"' in line)
    assert int(count.split()[1]) >= 1
    for metric in ("virga_connections", "virga_requests", "virga_store_commits", "virga_store_disk_bytes"):
        assert any(line.startswith(metric + " ") for line in text.splitlines()), metric


# Who opens the address in a browser is told what it is; every other use of the path goes where it went.
def test_front_page(virga):
    with urllib.request.urlopen(virga.url) as answer:
        page = answer.read().decode()
        assert answer.status == 200 and answer.headers["content-type"].startswith("text/plain")
    assert page.startswith("Virga ") and "virga env" in page and 900 < len(page) < 1600
    assert "Buckets" in virga.client("s3").list_buckets()
    url = virga.client("s3").generate_presigned_url("list_buckets")
    assert b"<ListAllMyBucketsResult" in urllib.request.urlopen(url).read()
    for options in ({"headers": {"Host": "nobody.s3.localhost"}}, {"headers": {"Host": "abc.execute-api.localhost"}},
                    {"data": b"Action=GetCallerIdentity&Version=2011-06-15"}):
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(urllib.request.Request(virga.url + "/", **options))
        assert raised.value.code in (403, 404)
