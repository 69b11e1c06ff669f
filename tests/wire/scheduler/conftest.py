import json

import pytest



@pytest.fixture
def scheduler(virga):
    return virga.client("scheduler")


@pytest.fixture
def role(virga, name):
    """A role that the scheduler assumes and that may do everything."""
    iam = virga.client("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}]}))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}))
    return arn


class Queue:
    def __init__(self, virga, name):
        self.sqs = virga.client("sqs")
        self.url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"

    def message(self):
        from support import eventually
        found = eventually(lambda: self.sqs.receive_message(
            QueueUrl=self.url, MessageAttributeNames=["All"], WaitTimeSeconds=1).get("Messages"))[0]
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=found["ReceiptHandle"])
        return found


@pytest.fixture
def queue(virga, name):
    return Queue(virga, name)
