"""The machine's clock is put forward by a day and back again while things wait for their time: what lasts goes on lasting
as long, what recurs goes on, and nothing is lost, comes twice or is stuck."""

import collections
import datetime
import json
import threading
import time

import botocore.exceptions
import pytest

from moved_clock import moved_clock
from support import error_code, eventually

DAY = 86_400


@pytest.fixture
def clock(tmp_path, monkeypatch):
    with moved_clock(tmp_path, monkeypatch) as clock:
        yield clock


class Queue:
    def __init__(self, virga, name, **attributes):
        self.sqs = virga.client("sqs")
        self.url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"

    def allow(self, service):
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sqs:SendMessage", "Resource": self.arn}]})})
        return self

    def send(self, body, **more):
        return self.sqs.send_message(QueueUrl=self.url, MessageBody=body, **more)["MessageId"]

    def receive(self, wait=0, **more):
        return self.sqs.receive_message(QueueUrl=self.url, WaitTimeSeconds=wait, MaxNumberOfMessages=10,
                                        AttributeNames=["All"], **more).get("Messages", [])

    def delete(self, message):
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])


def test_messages(clock):
    virga = clock.server
    queue, short, empty = Queue(virga, "q"), Queue(virga, "s", VisibilityTimeout="2"), Queue(virga, "e")
    kept = Queue(virga, "kept", MessageRetentionPeriod="60")
    fifo = Queue(virga, "f.fifo", FifoQueue="true", VisibilityTimeout="600")
    kept.send("kept")
    queue.send("hidden")
    hidden, = queue.receive(VisibilityTimeout=600)
    short.send("again")
    once = fifo.send("1", MessageGroupId="g", MessageDeduplicationId="d")
    fifo.send("2", MessageGroupId="g", MessageDeduplicationId="e")
    first, = fifo.sqs.receive_message(QueueUrl=fifo.url)["Messages"]  # and none other of the group is to come
    poll = []

    def wait_for_one():
        while not poll:
            try:
                poll.extend(empty.receive(wait=20))
            except botocore.exceptions.ClientError as error:  # signed before a jump, and there after it
                assert error.response["Error"]["Code"] == "SignatureDoesNotMatch"

    waiting = threading.Thread(target=wait_for_one)
    waiting.start()

    for seconds in (DAY, 0, 37 * DAY, 0, -DAY):
        again, = eventually(lambda: short.receive(wait=1))  # its time-out of before the jump ends, and no later
        queue.send(f"delayed {seconds}", DelaySeconds=1)
        clock.put(seconds)
        delayed, = eventually(lambda: queue.receive(wait=1))
        assert delayed["Body"] == f"delayed {seconds}"  # and nothing of what is hidden
        queue.delete(delayed)
        shown = {name: int(delayed["Attributes"][name]) / 1000 for name in ("SentTimestamp", "ApproximateFirstReceiveTimestamp")}
        real = time.time() + seconds
        assert all(abs(at - real) < 60 for at in shown.values()), (shown, real)
        assert fifo.send("1", MessageGroupId="g", MessageDeduplicationId="d") == once
        assert fifo.receive() == []  # the group's first is in flight
        assert again["Body"] == "again"
    assert int(again["Attributes"]["ApproximateReceiveCount"]) == 5

    empty.send("at last")
    waiting.join()
    assert [m["Body"] for m in poll] == ["at last"]
    assert [m["Body"] for m in kept.receive()] == ["kept"]
    queue.delete(hidden)
    fifo.delete(first)
    second, = fifo.receive()
    assert (first["Body"], second["Body"]) == ("1", "2")
    counts = queue.sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["All"])["Attributes"]
    assert (counts["ApproximateNumberOfMessages"], counts["ApproximateNumberOfMessagesNotVisible"]) == ("0", "0")

    # What it remembers of the jumps is what makes time-outs of before the kill end.
    virga.kill()
    virga.start()
    assert fifo.receive() == []
    eventually(lambda: short.receive(wait=1))


def test_schedules(clock):
    virga = clock.server
    iam, scheduler, events = virga.client("iam"), virga.client("scheduler"), virga.client("events")
    queue = Queue(virga, "q").allow("events.amazonaws.com")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}]}))["Role"]["Arn"]
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}]}))
    later = clock.now() + datetime.timedelta(hours=2)
    much_later = later + datetime.timedelta(days=3)

    def schedule(name, expression):
        scheduler.create_schedule(Name=f"{name}-{clock.jumps}", ScheduleExpression=expression, FlexibleTimeWindow={"Mode": "OFF"},
                                  Target={"Arn": queue.arn, "RoleArn": role, "Input": f'"{name}"'})

    for name, expression in (("rate", "rate(1 hour)"), ("cron", f"cron({(later.minute + 30) % 60} * * * ? *)"), ("once", f"at({later:%Y-%m-%dT%H:%M:%S})"),
                             ("someday", f"at({much_later:%Y-%m-%dT%H:%M:%S})")):
        schedule(name, expression)
    events.put_rule(Name="rule", ScheduleExpression="rate(1 hour)")
    events.put_targets(Rule="rule", Targets=[{"Id": "1", "Arn": queue.arn, "Input": '"rule"'}])
    seen = collections.Counter()

    def come(**expected):
        """What was told since the last call."""
        def all_there():
            for message in queue.receive(wait=1):
                seen[json.loads(message["Body"])] += 1
                queue.delete(message)
            return all(seen[name] >= count for name, count in expected.items())
        eventually(all_there)
        assert seen == collections.Counter(expected)
        seen.clear()

    def put_back(seconds):
        clock.put(seconds)
        schedule("after", f"at({clock.now() + datetime.timedelta(seconds=2):%Y-%m-%dT%H:%M:%S})")
        come(after=1)  # so that all the others were asked anew

    come(rate=1)  # a rate begins with its first time
    clock.put(DAY)  # past a day of hours, which are not made up for
    come(rate=1, cron=1, rule=1, once=1)
    put_back(0)
    clock.put(3600)  # what recurs does so by the hour that it now is
    come(rate=1, cron=1, rule=1)
    clock.put(2 * DAY)
    come(rate=1, cron=1, rule=1)
    put_back(-DAY)
    clock.put(4 * DAY)  # which is after all of them; what was to be once was
    come(rate=1, cron=1, rule=1, someday=1)


def test_retries(clock, endpoint):
    virga = clock.server
    sns, topic = virga.client("sns"), virga.client("sns").create_topic(Name="t")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint.url, Attributes={"DeliveryPolicy": json.dumps(
        {"healthyRetryPolicy": {"minDelayTarget": 2, "maxDelayTarget": 2, "numRetries": 50}})})
    eventually(lambda: endpoint.requests)
    sns.confirm_subscription(TopicArn=topic, Token=json.loads(endpoint.requests[0]["body"])["Token"])
    # Answers that were thought of before the jump: each is a failure that is put off.
    for seconds in (DAY, -DAY, 0):
        before = len(endpoint.requests)
        endpoint.answers.append((500, ""))
        sns.publish(TopicArn=topic, Message=str(seconds))
        eventually(lambda: len(endpoint.requests) == before + 1)
        clock.put(seconds)
        eventually(lambda: len(endpoint.requests) == before + 2)
        assert json.loads(endpoint.requests[-1]["body"])["Message"] == str(seconds)


def test_signatures_and_credentials(clock):
    virga = clock.server
    iam, sts = virga.client("iam"), virga.client("sts")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "sts:AssumeRole"}]}))["Role"]["Arn"]
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"}]}))
    got = sts.assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    mine = (got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"])
    virga.client("sqs", *mine).list_queues()

    clock.put(DAY)
    assert error_code(virga.client("sqs", *mine).list_queues)[0] == "ExpiredToken"
    virga.client("sqs").list_queues()
    clock.put(0)
    virga.client("sqs", *mine).list_queues()

    clock.put(DAY)
    clock.seconds = 0  # a client whose clock stays where it was
    code, words = error_code(virga.client("sqs").list_queues)
    assert code in ("SignatureDoesNotMatch", "InvalidSignatureException") and words.startswith("Signature expired: "), (code, words)
    assert error_code(virga.client("s3").list_buckets)[0] == "RequestTimeTooSkewed"
    clock.put(0)
    virga.client("sqs").list_queues()


def test_expiring_items(clock):
    virga = clock.server
    dynamodb = virga.client("dynamodb")
    dynamodb.create_table(TableName="items", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST",
                          AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}])
    dynamodb.update_time_to_live(TableName="items", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})
    for key, hours in (("soon", 12), ("late", 48)):
        dynamodb.put_item(TableName="items", Item={"k": {"S": key}, "ttl": {"N": str(int(time.time()) + hours * 3600)}})
    clock.put(DAY)

    def keys():
        return [item["k"]["S"] for item in dynamodb.scan(TableName="items")["Items"]]

    eventually(lambda: keys() == ["late"])
    clock.put(0)
    assert keys() == ["late"]
