"""Durable functions for tests: the real SDK of npm in a deployment package, and the calls that the packaged boto3 lacks."""

import base64
import json
import urllib.parse
import uuid

from raw import Raw
from support import Functions, ROOT, eventually, zipped

SDK = ROOT / "node_modules/@aws/durable-execution-sdk-js/dist-cjs/index.js"
POLICY = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicDurableExecutionRolePolicy"


def quoted(text):
    return urllib.parse.quote(text, safe="")


class DurableFunctions:
    def __init__(self, virga):
        self.virga = virga
        self.raw = Raw(virga)
        self.functions = Functions(virga)
        self.client = self.functions.client

    def role(self, statement=None, policy=POLICY):
        arn = self.functions.make_role(statement)
        if policy:
            self.virga.client("iam").attach_role_policy(RoleName=arn.rsplit("/", 1)[1], PolicyArn=policy)
        return arn

    def create(self, code, role=None, timeout=60, sdk=True, **options):
        """A durable function of this text; its name."""
        name = "d-" + uuid.uuid4().hex[:12]
        files = {"index.js": code}
        if sdk:
            files["node_modules/@aws/durable-execution-sdk-js/index.js"] = SDK.read_text()
        status, answer = self.raw.api("POST", "/2015-03-31/functions", {
            "FunctionName": name, "Runtime": "nodejs22.x", "Handler": "index.handler", "Timeout": 10, "MemorySize": 256,
            "Role": role or self.role(), "Code": {"ZipFile": base64.b64encode(zipped(files)).decode()},
            "DurableConfig": {"ExecutionTimeout": timeout, "RetentionPeriodInDays": 1}, **options})
        assert status == 201, answer
        self.functions.made.append(name)
        return name

    def invoke(self, name, event, qualifier="$LATEST", kind="RequestResponse", execution=None):
        """The status, the headers and the answer's value."""
        path = f"/2015-03-31/functions/{name}/invocations" + (f"?Qualifier={quoted(qualifier)}" if qualifier else "")
        headers = {"X-Amz-Invocation-Type": kind}
        if execution:
            headers["X-Amz-Durable-Execution-Name"] = execution
        body = json.dumps(event).encode()
        answer = self.raw.send("POST", path, body, self.raw.signed("POST", path, body, headers=headers))
        text = answer.read()
        return answer.status, answer.headers, json.loads(text) if text else None

    def start(self, name, event, **options):
        """An execution that nobody waits for: its ARN."""
        status, headers, answer = self.invoke(name, event, kind="Event", **options)
        assert status == 202, answer
        return headers["X-Amz-Durable-Execution-Arn"]

    def call(self, method, arn, what="", value=None, query=""):
        path = f"/2025-12-01/durable-executions/{quoted(arn)}{what}{query}"
        return self.raw.api(method, path, value)

    def get(self, arn):
        status, answer = self.call("GET", arn)
        assert status == 200, answer
        return answer

    def history(self, arn, data=True):
        events, marker = [], ""
        while True:
            status, page = self.call("GET", arn, "/history", query=f"?IncludeExecutionData={str(data).lower()}{marker}")
            assert status == 200, page
            events += page["Events"]
            if not page.get("NextMarker"):
                return events
            marker = "&Marker=" + quoted(page["NextMarker"])

    def types(self, arn):
        return [event["EventType"] for event in self.history(arn, False)]

    def ended(self, arn):
        """The execution, once it has ended."""
        def look():
            found = self.get(arn)
            return found if found["Status"] != "RUNNING" else None
        return eventually(look)

    def callback_of(self, arn):
        """The id of the callback that the execution waits for."""
        def look():
            return [e["CallbackStartedDetails"]["CallbackId"] for e in self.history(arn) if e["EventType"] == "CallbackStarted"]
        return eventually(look)[-1]

    def callback(self, callback, what, body=b""):
        path = f"/2025-12-01/durable-execution-callbacks/{quoted(callback)}/{what}"
        answer = self.raw.send("POST", path, body, self.raw.signed("POST", path, body))
        text = answer.read()
        return answer.status, json.loads(text) if text else {}


EFFECTS = """
const { DynamoDBClient, UpdateItemCommand } = require('@aws-sdk/client-dynamodb');
const dynamo = new DynamoDBClient({});
// Counts that something was done, where it outlives the function.
const effect = (what) => dynamo.send(new UpdateItemCommand({ TableName: process.env.EFFECTS, Key: { id: { S: what } },
  UpdateExpression: 'ADD n :one', ExpressionAttributeValues: { ':one': { N: '1' } } }));
"""
