"""What tests share that is not a fixture: a running Virga, packages of code, and waiting for a condition."""

import contextlib
import io
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
import uuid
import zipfile

import boto3
import botocore.config
import botocore.exceptions

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("VIRGA_BINARY", str(ROOT / "build/dev/virga"))
READY = re.compile(r"(https?://\S+?)[\s,]")


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
        if not found:
            self.kill()
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
            config=botocore.config.Config(retries={"total_max_attempts": 1}, **config))

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


def eventually(check):
    """The first truthy result of `check`, asked until even a machine ten times busier would have it."""
    end = time.monotonic() + 120
    while True:
        result = check()
        if result:
            return result
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def next_second():
    """The coming whole second, once it is over: all that clients can say of a time."""
    then = int(time.time()) + 1
    while time.time() < then + 0.02:
        time.sleep(0.01)
    return then


def log_lines(virga, group, **options):
    """The messages of a log group, or of the group of a function's name; none while there is no such group."""
    logs = virga.client("logs")
    group = group if "/" in group else "/aws/lambda/" + group
    try:
        return [e["message"].strip() for e in logs.filter_log_events(logGroupName=group, **options)["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []


def zipped(files):
    """A deployment package in memory; `files` maps paths to text. Everything in it may be executed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in files.items():
            info = zipfile.ZipInfo(path)
            info.external_attr = 0o100755 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, text)
    return out.getvalue()


class Kept:
    """What the functions of a test saw: a bucket that is open to anybody, an object for each value. Without an SDK, whose
    import takes longer than a function may on a very busy machine."""

    # Of such a function, whose variables have the bucket's name in KEPT.
    CODE = """
import http.client, json, os, time
def kept(method, path="", body=None):
    connection = http.client.HTTPConnection(os.environ["AWS_ENDPOINT_URL"].split("//")[1])
    connection.request(method, "/" + os.environ["KEPT"] + path, body)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200: raise Exception(text)
    return text
def keep(value): kept("PUT", f"/{time.time_ns()}-{os.urandom(4).hex()}", json.dumps(value))
def times_kept(): return kept("GET").count(b"<Key>")
"""

    def __init__(self, virga):
        self.virga, self.name, self.read = virga, "kept-" + uuid.uuid4().hex[:10], {}
        s3 = virga.client("s3")
        s3.create_bucket(Bucket=self.name)
        s3.put_bucket_policy(Bucket=self.name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "s3:*",
             "Resource": [f"arn:aws:s3:::{self.name}", f"arn:aws:s3:::{self.name}/*"]}]}))

    def get(self, path):
        with urllib.request.urlopen(f"{self.virga.url}/{self.name}{path}") as answer:
            return answer.read().decode()

    def values(self):
        """In the order in which they were kept; a dict by names, which begin with the time in ns."""
        names, page = [], None
        while page is None or "<IsTruncated>true" in page:
            page = self.get("?list-type=2&start-after=" + urllib.parse.quote(names[-1] if names else ""))
            names += re.findall("<Key>(.*?)</Key>", page)
        self.read.update({name: json.loads(self.get("/" + name)) for name in names if name not in self.read})
        return {name: self.read[name] for name in names}


TRUSTS_LAMBDA = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]})
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


class Functions:
    """Makes functions out of a few lines of code, with a role that may write logs, and calls them."""

    def __init__(self, virga):
        self.virga = virga
        self.client = virga.client("lambda")
        self.made = []
        self.role = self.make_role()

    def make_role(self, statement=None):
        """A role that Lambda can assume; `statement` is what else it may do."""
        iam = self.virga.client("iam")
        name = "r-" + uuid.uuid4().hex[:12]
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUSTS_LAMBDA)["Role"]["Arn"]
        iam.attach_role_policy(RoleName=name, PolicyArn=BASIC)
        if statement:
            document = json.dumps({"Version": "2012-10-17", "Statement": statement})
            iam.put_role_policy(RoleName=name, PolicyName="more", PolicyDocument=document)
        return arn

    def make(self, code, runtime="python3.11", handler="index.handler", **options):
        """`code` is the text of the one file, or a dict of files. The function's name."""
        name = options.pop("FunctionName", None) or "f-" + uuid.uuid4().hex[:12]
        file = "index.js" if runtime.startswith("node") else "index.py"
        files = code if isinstance(code, dict) else {file: code}
        self.client.create_function(FunctionName=name, Runtime=runtime, Handler=handler, Code={"ZipFile": zipped(files)},
                                    **{"Role": self.role, "Timeout": 10, **options})
        self.made.append(name)
        return name

    def call(self, name, event=None, **options):
        """The answer's value; a failure of the function is an assertion failure of the test."""
        answer = self.client.invoke(FunctionName=name, Payload=json.dumps(event if event is not None else {}), **options)
        text = answer["Payload"].read()
        assert "FunctionError" not in answer, text
        return json.loads(text)

    def fail(self, name, event=None):
        """The error document of a function that is meant to fail."""
        answer = self.client.invoke(FunctionName=name, Payload=json.dumps(event if event is not None else {}))
        text = answer["Payload"].read()
        assert answer["StatusCode"] == 200 and answer.get("FunctionError") == "Unhandled", (answer, text)
        return json.loads(text)

    def finish(self):
        for name in self.made:
            try:
                self.client.delete_function(FunctionName=name)
            except self.client.exceptions.ResourceNotFoundException:
                pass


@contextlib.contextmanager
def deployed(virga, stack, template, **options):
    """A stack for as long as the block: its outputs."""
    cfn = virga.client("cloudformation")
    patience = {"Delay": 1, "MaxAttempts": 60}
    cfn.create_stack(StackName=stack, TemplateBody=template,
                     Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"], **options)
    cfn.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig=patience)
    made = cfn.describe_stacks(StackName=stack)["Stacks"][0]
    yield {o["OutputKey"]: o["OutputValue"] for o in made.get("Outputs", [])}
    cfn.delete_stack(StackName=stack)
    cfn.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig=patience)


def error_code(call, *arguments, **options):
    """The code of the error that a client's call fails with; and its message."""
    try:
        call(*arguments, **options)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"]["Message"]
    raise AssertionError("it did not fail")
