"""EventBridge: rules found per event, and the way of an event from PutEvents to the first line of a function."""

import base64
import io
import json
import re
import statistics
import subprocess
import time
import zipfile

import cloud

FUNCTION = """
import json, time
def handler(event, context):
    print("late", time.time() * 1000 - event["detail"]["at"])
"""


def package():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("app.py", FUNCTION)
    return base64.b64encode(out.getvalue()).decode()


def measure(settings, table):
    matching(settings, table)
    with cloud.Virga(settings) as virga:
        to_function(settings, table, virga)


def matching(settings, table):
    done = subprocess.run([settings.build / "kernel_bench"], capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        found = re.match(r"event_pattern (\w+) rules=(\d+) bytes=(\d+) events_per_second=(\d+) matches_per_event=([\d.]+)", line)
        if not found:
            continue
        kind, rules, size, rate, matches = found.groups()
        detail = f"{rules} rules, events of {size} bytes, {matches} matches each, one thread's processor time"
        table.least(f"rule matching, {kind}", float(rate), 500_000, 1, "events/s", detail)


def to_function(settings, table, virga):
    connection = virga.connect()
    cloud.make_role(virga, connection)
    cloud.create_function(virga, connection, "late", "python3.12", package())

    def ask(service, target, version, body):
        kind = [("content-type", f"application/x-amz-json-{version}"), ("x-amz-target", target)]
        return json.loads(connection.ask(virga.request("POST", "/", service, json.dumps(body), kind)) or b"{}")

    rule = ask("events", "AWSEvents.PutRule", "1.1", {"Name": "late", "EventPattern": '{"source": ["bench"]}'})["RuleArn"]
    ask("events", "AWSEvents.PutTargets", "1.1", {"Rule": "late", "Targets": [
        {"Id": "1", "Arn": "arn:aws:lambda:us-east-1:000000000000:function:late"}]})
    connection.ask(virga.request("POST", "/2015-03-31/functions/late/policy", "lambda", json.dumps({
        "StatementId": "e", "Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com", "SourceArn": rule})))
    count = 20 if settings.quick else 200
    for _ in range(count + 5):
        ask("events", "AWSEvents.PutEvents", "1.1", {"Entries": [
            {"Source": "bench", "DetailType": "tick", "Detail": json.dumps({"at": time.time() * 1000})}]})
        time.sleep(0.02)
    time.sleep(2)
    answer = ask("logs", "Logs_20140328.FilterLogEvents", "1.1", {"logGroupName": "/aws/lambda/late"})
    late = [float(e["message"].split()[1]) for e in answer["events"] if e["message"].startswith("late")][5:]
    late.sort()
    table.most("event to the start of a warm function, p50", statistics.median(late), 3, "ms",
               f"{len(late)} events, p90 {late[int(len(late) * 0.9)]:.2f}")
