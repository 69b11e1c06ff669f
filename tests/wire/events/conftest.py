"""A bus, and queues that may be sent events."""

import json

import pytest

from support import eventually


class Queue:
    """A queue that EventBridge may send to."""

    def __init__(self, virga, name, open_to_events=True):
        self.sqs = virga.client("sqs")
        self.url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
        if open_to_events:
            self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": json.dumps({
                "Version": "2012-10-17", "Statement": [{
                    "Effect": "Allow", "Principal": {"Service": ["events.amazonaws.com"]}, "Action": "sqs:SendMessage",
                    "Resource": self.arn}]})})

    def messages(self, count=1):
        """As many messages as asked for, once they are there."""
        found = []

        def enough():
            page = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"],
                                            WaitTimeSeconds=1).get("Messages", [])
            for message in page:
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
            found.extend(page)
            return len(found) >= count

        eventually(enough)
        return found

    def bodies(self, count=1):
        return [m["Body"] for m in self.messages(count)]

    def events(self, count=1):
        return [json.loads(body) for body in self.bodies(count)]


@pytest.fixture
def events(virga):
    return virga.client("events")


@pytest.fixture
def bus(events, name):
    events.create_event_bus(Name=name)
    return name


@pytest.fixture
def queues():
    """Makes queues that EventBridge may send to, of any Virga."""
    return Queue


@pytest.fixture
def queue(virga, name):
    return Queue(virga, name)


@pytest.fixture
def route(events, bus):
    """Makes a rule of the bus with one target, and gives the rule's ARN."""

    def make(target, pattern=None, rule="rule", **options):
        arn = events.put_rule(Name=rule, EventBusName=bus, EventPattern=json.dumps(pattern or {"source": ["shop"]}))["RuleArn"]
        answer = events.put_targets(Rule=rule, EventBusName=bus, Targets=[{"Id": "1", "Arn": target, **options}])
        assert answer["FailedEntryCount"] == 0
        return arn

    return make


@pytest.fixture
def put(events, bus):
    """Puts one event on the bus and gives its id."""

    def one(detail=None, **entry):
        answer = events.put_events(Entries=[{
            "EventBusName": bus, "Source": "shop", "DetailType": "Order", "Detail": json.dumps(detail or {}), **entry}])
        assert answer["FailedEntryCount"] == 0, answer
        return answer["Entries"][0]["EventId"]

    return one
