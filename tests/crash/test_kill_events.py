"""kill -9 while events are put and schedules are due: every acknowledged event reaches its target and its archive, and
every acknowledged schedule happens."""

import datetime
import json
import threading
import time

import botocore.exceptions
from support import eventually, finish, start_virga

ROUNDS = 3
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}]})
ALL = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})


def open_queue(server, name):
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}]})})
    return url, arn


def bodies(server, url, wanted):
    """Bodies that came, until all that are wanted have."""
    sqs, found = server.client("sqs"), set()

    def more():
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
        for m in messages:
            found.add(m["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=m["ReceiptHandle"])
        return wanted <= found

    eventually(more)
    return found


def test_events_and_schedules_survive():
    server = start_virga()
    url, queue = open_queue(server, "events")
    _, other = open_queue(server, "more")
    events = server.client("events")
    arn = events.create_event_bus(Name="b")["EventBusArn"]
    events.create_archive(ArchiveName="a", EventSourceArn=arn)
    events.put_rule(Name="r", EventBusName="b", EventPattern='{"source": ["s"]}')
    events.put_targets(Rule="r", EventBusName="b", Targets=[
        {"Id": "1", "Arn": queue, "InputPath": "$.detail"}, {"Id": "2", "Arn": other}])
    iam = server.client("iam")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=ALL)

    put, acknowledged, archived = [0], set(), 0
    for _ in range(ROUNDS):
        stop = threading.Event()

        def writer(server=server, stop=stop):
            bus, clock = server.client("events"), server.client("scheduler")
            while not stop.is_set():
                n = put[0] = put[0] + 1
                try:
                    if n % 5 == 0:
                        when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
                        clock.create_schedule(Name=f"s{n}", ScheduleExpression=when.strftime("at(%Y-%m-%dT%H:%M:%S)"), FlexibleTimeWindow={"Mode": "OFF"},
                                              Target={"Arn": queue, "RoleArn": role, "Input": f'{{"n":{n}}}'})
                    else:
                        answer = bus.put_events(Entries=[{"EventBusName": "b", "Source": "s", "DetailType": "d", "Detail": f'{{"n":{n}}}'}])
                        assert answer["FailedEntryCount"] == 0
                except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                    return
                acknowledged.add(f'{{"n":{n}}}')

        thread = threading.Thread(target=writer)
        thread.start()
        time.sleep(2)
        server.kill()
        stop.set()
        thread.join()
        server.start()
    found = bodies(server, url, set(acknowledged))
    assert len(acknowledged) > 20 and {json.loads(b)["n"] for b in found} <= set(range(1, put[0] + 1))
    archived = server.client("events").describe_archive(ArchiveName="a")["EventCount"]
    sent = sum(1 for b in acknowledged if json.loads(b)["n"] % 5)
    assert sent <= archived <= sent + ROUNDS
    finish(server)
