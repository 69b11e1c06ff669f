"""One real Virga for the whole session, on a free port, with its own data folder; clients as users make them."""

import http.server
import threading
import uuid

import pytest

from support import Functions, finish, start_virga


@pytest.fixture(scope="session")
def virga():
    server = start_virga()
    yield server
    finish(server)


@pytest.fixture
def own_virga():
    """A Virga of this test alone: to kill, restart or fill."""
    server = start_virga()
    yield server
    if server.process.poll() is None:
        finish(server)


@pytest.fixture
def name():
    """A fresh lower-case name."""
    return "t-" + uuid.uuid4().hex[:12]


@pytest.fixture
def functions(virga):
    made = Functions(virga)
    yield made
    made.finish()


@pytest.fixture
def endpoint():
    """An HTTP server of this test: `requests` it got, `answers` it gives next (200 when there is none left)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            server.requests.append({"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body})
            status, text = server.answers.pop(0) if server.answers else (200, "{}")
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET = do_PUT = handle_any

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests, server.answers = [], []
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
