import json

import pytest

from support import eventually


@pytest.fixture
def pipes(virga):
    return virga.client("pipes")



def make_role(virga, name, statement):
    iam = virga.client("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "pipes.amazonaws.com"}, "Action": "sts:AssumeRole"}]}))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": statement}))
    return arn


@pytest.fixture
def role(virga, name):
    """A role that pipes assume and that may do everything."""
    return make_role(virga, name, [{"Effect": "Allow", "Action": "*", "Resource": "*"}])


@pytest.fixture
def roles(virga, name):
    """Makes roles that pipes assume and that may do what a statement says."""
    return lambda suffix, statement: make_role(virga, name + suffix, statement)


class Queue:
    def __init__(self, virga, name, **attributes):
        self.sqs = virga.client("sqs")
        self.url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"

    def send(self, body):
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body if isinstance(body, str) else json.dumps(body))

    def message(self):
        found = eventually(lambda: self.sqs.receive_message(
            QueueUrl=self.url, AttributeNames=["All"], WaitTimeSeconds=1).get("Messages"))[0]
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=found["ReceiptHandle"])
        return found["Body"]

    def empty(self):
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])["Attributes"]
        return found["ApproximateNumberOfMessages"] == found["ApproximateNumberOfMessagesNotVisible"] == "0"


@pytest.fixture
def world(own_virga, name):
    """A Virga to kill, with two queues and a role."""
    role = make_role(own_virga, name, [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
    return own_virga, Queue(own_virga, name + "-source", VisibilityTimeout="3"), Queue(own_virga, name + "-target"), role


@pytest.fixture
def source(virga, name):
    return Queue(virga, name + "-source")


@pytest.fixture
def target(virga, name):
    return Queue(virga, name + "-target")


class Running:
    def __init__(self, pipes, name):
        self.pipes = pipes
        self.name = name

    def state(self):
        return self.pipes.describe_pipe(Name=self.name)["CurrentState"]

    def until(self, state):
        eventually(lambda: self.state() == state)


@pytest.fixture
def pipe(pipes, name, role):
    """Makes the test's pipe and waits until it is what it should be."""
    def make(source, target, until="RUNNING", **options):
        options.setdefault("RoleArn", role)
        made = pipes.create_pipe(Name=name, Source=source, Target=target, **options)
        assert made["CurrentState"] == "CREATING"
        running = Running(pipes, name)
        running.until(until)
        return running
    return make
