"""Accounts beside the first: made by Organizations, entered by a role, kept apart, and open to each other by policies."""

import json

import pytest

from support import TRUSTS_LAMBDA, error_code, eventually, zipped


class Account:
    """An account of the organization, as its administrator role."""

    def __init__(self, virga, account, role="OrganizationAccountAccessRole"):
        self.virga = virga
        self.id = account
        self.keys = virga.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{account}:role/{role}", RoleSessionName="admin")["Credentials"]

    def client(self, service, **options):
        return self.virga.client(service, self.keys["AccessKeyId"], self.keys["SecretAccessKey"],
                                 self.keys["SessionToken"], **options)


@pytest.fixture
def organizations(virga):
    client = virga.client("organizations")
    try:
        client.create_organization()
    except client.exceptions.AlreadyInOrganizationException:
        pass
    return client


@pytest.fixture
def other(virga, organizations, name):
    made = organizations.create_account(Email=f"{name}@example.com", AccountName=name)["CreateAccountStatus"]
    assert made["State"] == "SUCCEEDED"
    return Account(virga, made["AccountId"])


@pytest.fixture
def queue_policy():
    def policy(arn, principal, action="sqs:SendMessage"):
        return json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": arn}]})
    return policy


def test_organization(own_virga):
    client = own_virga.client("organizations")
    assert error_code(client.describe_organization)[0] == "AWSOrganizationsNotInUseException"
    assert error_code(client.create_account, Email="a@example.com", AccountName="a")[0] == "AWSOrganizationsNotInUseException"
    made = client.create_organization(FeatureSet="ALL")["Organization"]
    assert made["MasterAccountId"] == "000000000000"
    assert made["Arn"] == "arn:aws:organizations::000000000000:organization/" + made["Id"]
    assert error_code(client.create_organization)[0] == "AlreadyInOrganizationException"

    status = client.create_account(Email="A@example.com", AccountName="a", RoleName="Chief")["CreateAccountStatus"]
    account = status["AccountId"]
    assert client.describe_create_account_status(CreateAccountRequestId=status["Id"])["CreateAccountStatus"] == status
    again = client.create_account(Email="a@example.com", AccountName="b")["CreateAccountStatus"]
    assert (again["State"], again["FailureReason"]) == ("FAILED", "EMAIL_ALREADY_EXISTS")
    failed = client.list_create_account_status(States=["FAILED"])["CreateAccountStatuses"]
    assert [s["Id"] for s in failed] == [again["Id"]]
    pages = client.get_paginator("list_accounts").paginate(PaginationConfig={"PageSize": 1})
    assert {a["Id"] for page in pages for a in page["Accounts"]} == {"000000000000", account}
    described = client.describe_account(AccountId=account)["Account"]
    assert (described["Email"], described["Name"], described["Status"]) == ("A@example.com", "a", "ACTIVE")
    assert described["Arn"] == f"arn:aws:organizations::000000000000:account/{made['Id']}/{account}"
    assert error_code(client.delete_organization)[0] == "OrganizationNotEmptyException"

    # Nothing of it is lost, and members may look and no more.
    own_virga.kill()
    own_virga.start()
    member = Account(own_virga, account, "Chief").client("organizations")
    assert member.describe_organization()["Organization"] == made
    assert error_code(member.create_account, Email="c@example.com", AccountName="c")[0] == "AccessDeniedException"
    assert error_code(member.list_accounts)[0] == "AccessDeniedException"
    assert error_code(member.create_organization)[0] == "AlreadyInOrganizationException"


def test_an_organization_without_members_can_go(own_virga):
    client = own_virga.client("organizations")
    client.create_organization()
    client.delete_organization()
    assert error_code(client.describe_organization)[0] == "AWSOrganizationsNotInUseException"


def test_policies_say_who_makes_accounts(virga, organizations, name):
    iam = virga.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    user = virga.client("organizations", key["AccessKeyId"], key["SecretAccessKey"])
    code, message = error_code(user.create_account, Email=f"{name}@example.com", AccountName=name)
    assert code == "AccessDeniedException" and "organizations:CreateAccount" in message


def test_keys_decide_the_account(virga, other, name):
    assert other.client("sts").get_caller_identity()["Account"] == other.id
    iam = other.client("iam")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    theirs = virga.client("sqs", key["AccessKeyId"], key["SecretAccessKey"])
    assert f"/{other.id}/{name}" in theirs.create_queue(QueueName=name)["QueueUrl"]
    # Nobody sees what is another's, not even the management account.
    assert error_code(virga.client("sqs").get_queue_url, QueueName=name)[0].endswith("NonExistentQueue")
    assert error_code(virga.client("iam").get_user, UserName=name)[0] == "NoSuchEntity"
    assert error_code(virga.client("sqs").send_message, QueueUrl=theirs.get_queue_url(QueueName=name)["QueueUrl"],
                      MessageBody="m")[0] in ("AccessDenied", "AccessDeniedException")


def test_queues(virga, other, queue_policy, name):
    sqs = virga.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    theirs = other.client("sqs")
    assert error_code(theirs.send_message, QueueUrl=url, MessageBody="m")[0] in ("AccessDenied", "AccessDeniedException")
    arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": queue_policy(arn, {"AWS": other.id})})
    theirs.send_message(QueueUrl=url, MessageBody="from another account")
    assert error_code(theirs.receive_message, QueueUrl=url)[0] in ("AccessDenied", "AccessDeniedException")
    assert sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"][0]["Body"] == "from another account"


def test_topics(virga, other, queue_policy, name):
    """A queue of one account gets what is published to a topic of the other."""
    sns, theirs = virga.client("sns"), other.client("sns")
    topic = sns.create_topic(Name=name)["TopicArn"]
    assert error_code(theirs.publish, TopicArn=topic, Message="m")[0] == "AuthorizationError"
    sns.add_permission(TopicArn=topic, Label="l", AWSAccountId=[other.id], ActionName=["Publish", "Subscribe"])
    queues = other.client("sqs")
    url = queues.create_queue(QueueName=name)["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{other.id}:{name}"
    queues.set_queue_attributes(QueueUrl=url, Attributes={
        "Policy": queue_policy(arn, {"Service": "sns.amazonaws.com"})})
    subscribed = theirs.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    assert subscribed["SubscriptionArn"].startswith(topic)
    theirs.publish(TopicArn=topic, Message="hello")
    assert queues.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"][0]["Body"] == "hello"


def test_buses(virga, other, queue_policy, name):
    """Events of one account's bus go to the other's."""
    mine, theirs = virga.client("events"), other.client("events")
    mine.create_event_bus(Name=name)
    bus = f"arn:aws:events:us-east-1:000000000000:event-bus/{name}"
    event = {"EventBusName": bus, "Source": "shop", "DetailType": "Order", "Detail": "{}"}
    assert error_code(theirs.put_events, Entries=[event])[0] == "AccessDeniedException"
    mine.put_permission(EventBusName=name, Action="events:PutEvents", Principal=other.id, StatementId="s")
    sqs = virga.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": queue_policy(arn, {"Service": "events.amazonaws.com"})})
    mine.put_rule(Name=name, EventBusName=name, EventPattern=json.dumps({"account": [other.id]}))
    mine.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "q", "Arn": arn}])
    theirs.put_events(Entries=[event])
    theirs.put_rule(Name=name, EventPattern=json.dumps({"source": ["warehouse"]}))
    theirs.put_targets(Rule=name, Targets=[{"Id": "b", "Arn": bus}])
    theirs.put_events(Entries=[{**event, "EventBusName": "default", "Source": "warehouse"}])
    seen = set()

    def both():
        for m in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MaxNumberOfMessages=10).get("Messages", []):
            got = json.loads(m["Body"])
            assert got["account"] == other.id
            seen.add(got["source"])
        return seen == {"shop", "warehouse"}

    eventually(both)


def test_functions(virga, functions, other, name):
    made = functions.make("def handler(event, context):\n    return context.invoked_function_arn\n")
    arn = functions.client.get_function(FunctionName=made)["Configuration"]["FunctionArn"]
    theirs = other.client("lambda")
    assert error_code(theirs.invoke, FunctionName=arn)[0] == "AccessDeniedException"
    functions.client.add_permission(FunctionName=made, StatementId="s", Action="lambda:InvokeFunction", Principal=other.id)
    assert json.loads(theirs.invoke(FunctionName=arn)["Payload"].read()) == arn
    # A function of the other account runs there, under a role of that account, and finds its own things.
    role = other.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=TRUSTS_LAMBDA)["Role"]["Arn"]
    code = "import boto3\ndef handler(event, context):\n    return boto3.client('sts').get_caller_identity()['Account']\n"
    theirs.create_function(FunctionName=made, Runtime="python3.11", Handler="index.handler", Role=role, Timeout=30,
                           Code={"ZipFile": zipped({"index.py": code})})
    assert json.loads(theirs.invoke(FunctionName=made)["Payload"].read()) == other.id
    theirs.delete_function(FunctionName=made)
