"""Topics of one test, an HTTP server that subscribers run, and what was put in the outbox."""

import json
import sys
import pathlib
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))


@pytest.fixture
def sns(virga):
    return virga.client("sns")


@pytest.fixture
def topic(sns, name):
    arn = sns.create_topic(Name=name)["TopicArn"]
    yield arn
    sns.delete_topic(TopicArn=arn)


@pytest.fixture
def fifo(sns, name):
    arn = sns.create_topic(Name=name + ".fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    yield arn
    sns.delete_topic(TopicArn=arn)


@pytest.fixture
def outbox(virga):
    def read(to):
        with urllib.request.urlopen(f"{virga.url}/_virga/outbox?to={urllib.request.quote(to)}") as answer:
            return json.load(answer)["Items"][::-1]
    return read


@pytest.fixture
def status_role(virga, name):
    """A role with which SNS may write what became of deliveries."""
    iam = virga.client("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sts:AssumeRole"}]}))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="logs", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}))
    return arn


class Subscriber:
    """An HTTP endpoint: remembers what it was sent; `answers` are the next statuses, then 200."""

    def __init__(self):
        self.received, self.answers, self.wait = [], [], None
        subscriber = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if subscriber.wait:
                    subscriber.wait.wait(20)
                subscriber.received.append((dict(self.headers.items()), body))
                self.send_response(subscriber.answers.pop(0) if subscriber.answers else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def of_type(self, kind):
        return [(headers, body) for headers, body in self.received
                if {k.lower(): v for k, v in headers.items()}["x-amz-sns-message-type"] == kind]


@pytest.fixture
def subscriber():
    made = Subscriber()
    yield made
    if made.wait:
        made.wait.set()
    made.server.shutdown()
