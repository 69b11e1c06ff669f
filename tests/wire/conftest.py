"""One real Virga for the whole session, on a free port, with its own data folder; clients as users make them."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid

import boto3
import botocore.config
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("VIRGA_BINARY", str(ROOT / "build/dev/virga"))
READY = re.compile(r"(http://\S+?)[\s,]")


class Virga:
    """A running binary. `kill` is SIGKILL: what it acknowledged must still be there after `start`."""

    def __init__(self, data, options=()):
        self.data = data
        self.options = list(options)
        self.port = "0"
        self.process = None
        self.url = None

    def start(self):
        self.log = open(os.path.join(self.data, "stderr.log"), "ab")
        self.process = subprocess.Popen(
            [BINARY, "up", "--data", os.path.join(self.data, "data"), "--port", self.port, *self.options],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        found = READY.search(line)
        assert found, f"not ready: {line!r}; {self.stderr()[-2000:]}"
        self.url = found.group(1)
        self.port = self.url.rsplit(":", 1)[1]
        return self

    def stderr(self):
        return pathlib.Path(self.data, "stderr.log").read_text(errors="replace")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        """A clean stop; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self.process.stdout.close()
        return status

    def client(self, service, access_key="test", secret_key="test", token=None, region="us-east-1", **config):
        return boto3.client(
            service, endpoint_url=self.url, region_name=region, aws_access_key_id=access_key,
            aws_secret_access_key=secret_key, aws_session_token=token,
            config=botocore.config.Config(retries={"max_attempts": 1, "mode": "standard"}, **config))

    def environment(self):
        """What a user's shell has after `eval $(virga env)`."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        env.update(AWS_ENDPOINT_URL=self.url, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test",
                   AWS_DEFAULT_REGION="us-east-1", AWS_REGION="us-east-1", AWS_PAGER="",
                   AWS_CONFIG_FILE="/nonexistent", AWS_SHARED_CREDENTIALS_FILE="/nonexistent")
        return env

    def cli(self, *words, check=True):
        """`aws` as Debian packages it: older than AWS_ENDPOINT_URL, so the endpoint is given as an option."""
        done = subprocess.run(["/usr/bin/aws", "--endpoint-url", self.url, *words], env=self.environment(),
                              capture_output=True, text=True, timeout=120)
        assert not check or done.returncode == 0, done.stderr
        return done


def start_virga(options=()):
    return Virga(tempfile.mkdtemp(prefix="virga-test-"), options).start()


def finish(server):
    """Stops the server and removes its data; fails when it did not stop cleanly."""
    status = server.stop()
    if status == 0:
        shutil.rmtree(server.data, ignore_errors=True)
    assert status == 0, f"exit status {status}: {server.stderr()[-2000:]}"


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


def eventually(check, seconds=10):
    """The first truthy result of `check`, asked until the time is up."""
    end = time.monotonic() + seconds
    while True:
        result = check()
        if result:
            return result
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
