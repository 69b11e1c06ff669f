"""Event sources: from the moment a write is answered to the moment the function it feeds starts. The function may be
faster than the answer: then the figure is negative."""

import base64
import io
import json
import statistics
import time
import zipfile
from urllib.parse import urlencode

import cloud

LIMIT = 2  # ms, p50
ACCOUNT = "000000000000"

# Says when it was started, by the machine's clock, and by what.
CODE = """import time
def handler(event, context):
    at = time.time_ns()
    for record in event["Records"]:
        key = record["body"] if "body" in record else record["dynamodb"]["Keys"]["p"]["S"]
        print("STARTED", key, at)
"""


def measure(settings, table):
    with cloud.Virga(settings) as virga:
        connection = virga.connect()
        cloud.make_role(virga, connection)
        everything = json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["dynamodb:*", "sqs:*"], "Resource": "*"}]})
        connection.ask(virga.request("POST", "/", "iam", urlencode({
            "Action": "PutRolePolicy", "RoleName": "bench", "PolicyName": "sources", "PolicyDocument": everything,
            "Version": "2010-05-08"}), [("content-type", "application/x-www-form-urlencoded")]))
        count = 20 if settings.quick else 200
        stream(virga, connection, table, count)
        queue(virga, connection, table, count)


def package():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("app.py", CODE)
    return base64.b64encode(out.getvalue()).decode()


def json_call(virga, connection, service, target, body):
    return json.loads(connection.ask(virga.request(
        "POST", "/", service, json.dumps(body), [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", target)])))


def feed(virga, connection, name, arn, **more):
    cloud.create_function(virga, connection, name, "python3.12", package(), memory=1769)
    made = json.loads(connection.ask(virga.request(
        "POST", "/2015-03-31/event-source-mappings", "lambda",
        json.dumps({"FunctionName": name, "EventSourceArn": arn, **more}), [("content-type", "application/json")])))
    while True:
        state = json.loads(connection.ask(virga.request(
            "GET", f"/2015-03-31/event-source-mappings/{made['UUID']}", "lambda")))["State"]
        if state == "Enabled":
            return
        time.sleep(0.05)


def started(virga, connection, name, count):
    """When the function started for each key, from its log."""
    end = time.monotonic() + 20
    found = {}
    while len(found) < count and time.monotonic() < end:
        time.sleep(0.5)
        token = {}
        while True:
            page = json_call(virga, connection, "logs", "Logs_20140328.FilterLogEvents",
                             {"logGroupName": f"/aws/lambda/{name}", "filterPattern": "STARTED", **token})
            for event in page.get("events", []):
                _, key, at = event["message"].split()[-3:]
                found[key] = int(at)
            if "nextToken" not in page:
                break
            token = {"nextToken": page["nextToken"]}
    return found


def run(virga, connection, table, what, name, write, count):
    for i in range(20):  # until an instance is warm
        write(f"warm-{i}")
        time.sleep(0.02)
    time.sleep(0.5)
    sent, acknowledged = {}, {}
    for i in range(count):
        sent[f"key-{i}"] = time.time_ns()
        write(f"key-{i}")
        acknowledged[f"key-{i}"] = time.time_ns()
        time.sleep(0.02)
    times = started(virga, connection, name, count + 20)
    took = sorted((times[key] - at) / 1e6 for key, at in acknowledged.items() if key in times)
    whole = [(times[key] - at) / 1e6 for key, at in sent.items() if key in times]
    if len(took) < count:
        raise SystemExit(f"{what}: {count - len(took)} of {count} did not reach the function")
    table.most(f"{what} to function start", statistics.median(took), LIMIT, "ms",
               f"from the write's answer, {count} one at a time; p90 {took[int(count * 0.9)]:.2f}; from sending the write "
               f"{statistics.median(whole):.2f}")


def stream(virga, connection, table, count):
    made = json_call(virga, connection, "dynamodb", "DynamoDB_20120810.CreateTable", {
        "TableName": "source", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}})
    feed(virga, connection, "of-stream", made["TableDescription"]["LatestStreamArn"], StartingPosition="LATEST")

    def write(key):
        json_call(virga, connection, "dynamodb", "DynamoDB_20120810.PutItem",
                  {"TableName": "source", "Item": {"p": {"S": key}}})
    run(virga, connection, table, "stream record", "of-stream", write, count)


def queue(virga, connection, table, count):
    url = json_call(virga, connection, "sqs", "AmazonSQS.CreateQueue", {"QueueName": "source"})["QueueUrl"]
    feed(virga, connection, "of-queue", f"arn:aws:sqs:us-east-1:{ACCOUNT}:source")

    def write(key):
        json_call(virga, connection, "sqs", "AmazonSQS.SendMessage", {"QueueUrl": url, "MessageBody": key})
    run(virga, connection, table, "message", "of-queue", write, count)
