"""Queues: attributes, listing, purging, deleting, permissions, moves, and their CloudFormation types."""

import base64
import json
import urllib.parse
import urllib.request

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from support import error_code, eventually


@pytest.fixture
def sqs(virga):
    return virga.client("sqs")


@pytest.fixture
def queue(sqs, name):
    return sqs.create_queue(QueueName=name)["QueueUrl"]


def arn_of(sqs, url):
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def call(virga, operation, body, target=True, path="/", form=None, method="POST"):
    """A signed request as newer SDKs send it (JSON), or a form; its status, headers and text."""
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{operation}"}
    data = json.dumps(body)
    if form is not None:
        headers, data = {"Content-Type": "application/x-www-form-urlencoded"}, urllib.parse.urlencode(form)
    request = botocore.awsrequest.AWSRequest(method, virga.url + path, headers=headers, data=data)
    botocore.auth.SigV4Auth(botocore.credentials.Credentials("test", "test"), "sqs", "us-east-1").add_auth(request)
    try:
        answer = urllib.request.urlopen(urllib.request.Request(
            virga.url + path, data.encode(), dict(request.headers), method=method))
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, dict(answer.headers), answer.read().decode()


def move_tasks(virga, arn):
    return json.loads(call(virga, "ListMessageMoveTasks", {"SourceArn": arn})[2])["Results"]


def test_create_again(sqs, name):
    url = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
    assert url.endswith(f"/000000000000/{name}")
    assert sqs.create_queue(QueueName=name)["QueueUrl"] == url
    assert sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "60"})["QueueUrl"] == url
    assert error_code(sqs.create_queue, QueueName=name, Attributes={"VisibilityTimeout": "61"})[0] \
        == "QueueAlreadyExists"
    assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == url


def test_attributes(sqs, queue):
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert found["MaximumMessageSize"] == "1048576" and found["MessageRetentionPeriod"] == "345600"
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"DelaySeconds": "5", "MaximumMessageSize": "1024"})
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["DelaySeconds"])["Attributes"]
    assert found == {"DelaySeconds": "5"}
    assert error_code(sqs.send_message, QueueUrl=queue, MessageBody="x" * 1025)[0] == "InvalidParameterValue"
    assert error_code(sqs.set_queue_attributes, QueueUrl=queue, Attributes={"Nonsense": "1"})[0] \
        == "InvalidAttributeName"
    assert error_code(sqs.set_queue_attributes, QueueUrl=queue, Attributes={"DelaySeconds": "901"})[0] \
        == "InvalidAttributeValue"


def test_list_in_pages(sqs, name):
    made = [sqs.create_queue(QueueName=f"{name}-{i}")["QueueUrl"] for i in range(5)]
    pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix=name, PaginationConfig={"PageSize": 2})
    assert [url for page in pages for url in page.get("QueueUrls", [])] == made


def test_purge(sqs, queue):
    for _ in range(3):
        sqs.send_message(QueueUrl=queue, MessageBody="x")
    taken, = sqs.receive_message(QueueUrl=queue)["Messages"]
    sqs.purge_queue(QueueUrl=queue)
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)
    assert error_code(sqs.purge_queue, QueueUrl=queue)[0] == "AWS.SimpleQueueService.PurgeQueueInProgress"
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=taken["ReceiptHandle"])
    sqs.send_message(QueueUrl=queue, MessageBody="y")
    assert sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "y"


def test_delete(sqs, queue, name):
    sqs.delete_queue(QueueUrl=queue)
    assert error_code(sqs.send_message, QueueUrl=queue, MessageBody="x")[0] == "AWS.SimpleQueueService.NonExistentQueue"
    assert error_code(sqs.create_queue, QueueName=name)[0] == "AWS.SimpleQueueService.QueueDeletedRecently"


def test_tags(sqs, queue):
    sqs.tag_queue(QueueUrl=queue, Tags={"a": "1", "b": "2"})
    sqs.untag_queue(QueueUrl=queue, TagKeys=["a"])
    assert sqs.list_queue_tags(QueueUrl=queue)["Tags"] == {"b": "2"}


# Lists of batches without entries are left out.
def test_json_batches(virga, queue):
    answer = lambda *bodies: json.loads(call(virga, "SendMessageBatch", {"QueueUrl": queue, "Entries": [
        {"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies)]})[2])
    assert sorted(answer("a")) == ["Successful"]
    assert sorted(answer("\x01")) == ["Failed"]
    assert sorted(answer("a", "\x01")) == ["Failed", "Successful"]


def test_a_move_without_its_destination(virga, sqs, name):
    dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    arn = arn_of(sqs, dead)
    sqs.create_queue(QueueName=name, Attributes={
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})})
    gone = sqs.create_queue(QueueName=f"{name}-gone")["QueueUrl"]
    for i in range(9):
        sqs.send_message(QueueUrl=dead, MessageBody=str(i))
    call(virga, "StartMessageMoveTask", {"SourceArn": arn, "DestinationArn": arn_of(sqs, gone),
                                         "MaxNumberOfMessagesPerSecond": 1})
    sqs.delete_queue(QueueUrl=gone)
    failed = eventually(lambda: [t for t in move_tasks(virga, arn) if t["Status"] == "FAILED"])[0]
    assert failed["FailureReason"] == "AWS.SimpleQueueService.NonExistentQueue"


def test_json_protocol(virga, sqs, queue):
    status, _, text = call(virga, "SendMessage", {"QueueUrl": queue, "MessageBody": "j"})
    assert status == 200 and json.loads(text)["MessageId"]
    status, _, text = call(virga, "ReceiveMessage", {"QueueUrl": queue, "MessageSystemAttributeNames": ["All"]})
    message, = json.loads(text)["Messages"]
    assert message["Body"] == "j" and message["Attributes"]["SentTimestamp"]
    status, headers, text = call(virga, "SendMessage", {"QueueUrl": queue + "x", "MessageBody": "j"})
    assert status == 400 and json.loads(text)["__type"] == "com.amazonaws.sqs#QueueDoesNotExist"
    assert {k.lower(): v for k, v in headers.items()}["x-amzn-query-error"] \
        == "AWS.SimpleQueueService.NonExistentQueue;Sender"


def test_the_path_names_the_queue(virga, queue):
    path = urllib.parse.urlparse(queue).path
    status, _, text = call(virga, "", {}, path=path, form={"Action": "SendMessage", "MessageBody": "p",
                                                           "Version": "2012-11-05"})
    assert status == 200 and "<SendMessageResult>" in text
    status, _, text = call(virga, "", {}, path=path, form={"Action": "ReceiveMessage", "Version": "2012-11-05"})
    assert "<Body>p</Body>" in text


def test_query_errors_have_an_empty_detail(virga, name):
    status, _, text = call(virga, "", {}, form={"Action": "GetQueueUrl", "QueueName": name, "Version": "2012-11-05"})
    assert status == 400 and "<Code>AWS.SimpleQueueService.NonExistentQueue</Code>" in text and "<Detail/></Error>" in text
    assert "<Message>The specified queue does not exist for this wsdl version.</Message>" in text


def test_an_address_of_a_queue_refuses_what_is_about_no_queue(virga, queue):
    path = urllib.parse.urlparse(queue).path
    for action in ("CreateQueue", "ListQueues", "Nonsense"):
        status, _, text = call(virga, "", {}, path=path, form={"Action": action, "QueueName": "q", "Version": "2012-11-05"})
        assert status == 400 and "<Code>InvalidAction</Code>" in text
        assert f"<Message>The action {action} is not valid for this endpoint.</Message>" in text
    status, _, text = call(virga, "", {}, path=path, form={})
    assert status == 404 and text == "<UnknownOperationException/>\n"


def test_other_accounts_by_policy(virga, sqs, queue, name):
    arn = arn_of(sqs, queue)
    iam = virga.client("iam")
    user = iam.create_user(UserName=name)["User"]
    key = iam.create_access_key(UserName=name)["AccessKey"]
    other = virga.client("sqs", key["AccessKeyId"], key["SecretAccessKey"])
    assert error_code(other.send_message, QueueUrl=queue, MessageBody="x")[0] in ("AccessDenied", "AccessDeniedException")
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": user["Arn"]},
                                                "Action": "sqs:SendMessage", "Resource": arn}]})})
    other.send_message(QueueUrl=queue, MessageBody="x")
    assert error_code(other.receive_message, QueueUrl=queue)[0] in ("AccessDenied", "AccessDeniedException")


def test_permissions(sqs, queue):
    sqs.add_permission(QueueUrl=queue, Label="p", AWSAccountIds=["111111111111"], Actions=["SendMessage"])
    policy = json.loads(sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"])["Attributes"]["Policy"])
    assert policy["Statement"][0]["Principal"] == {"AWS": "arn:aws:iam::111111111111:root"}
    assert error_code(sqs.add_permission, QueueUrl=queue, Label="p", AWSAccountIds=["111111111111"],
                      Actions=["SendMessage"])[0] == "InvalidParameterValue"
    sqs.remove_permission(QueueUrl=queue, Label="p")
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"])


@pytest.mark.parametrize("suffix", ["", ".fifo"])
def test_dead_letters_go_back(virga, sqs, name, suffix):
    fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if suffix else {}
    group = {"MessageGroupId": "g"} if suffix else {}
    dead = sqs.create_queue(QueueName=f"{name}-dead{suffix}", Attributes=fifo)["QueueUrl"]
    arn = arn_of(sqs, dead)
    url = sqs.create_queue(QueueName=name + suffix, Attributes={
        **fifo, "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})})["QueueUrl"]
    for i in range(5):
        sqs.send_message(QueueUrl=url, MessageBody=str(i), **group)
    for _ in range(12):
        sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    count = ["ApproximateNumberOfMessages"]
    assert sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=count)["Attributes"][count[0]] == "5"
    status, _, text = call(virga, "StartMessageMoveTask", {"SourceArn": arn})
    assert status == 200, text
    task = eventually(lambda: [t for t in move_tasks(virga, arn) if t["Status"] == "COMPLETED"])[0]
    assert task["ApproximateNumberOfMessagesMoved"] == 5
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [m["Body"] for m in messages] == [str(i) for i in range(5)]
    status, _, text = call(virga, "StartMessageMoveTask", {"SourceArn": arn_of(sqs, url)})
    assert status == 400 and "Dead Letter" in text


def test_cancel_a_move(virga, sqs, name):
    dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    arn = arn_of(sqs, dead)
    url = sqs.create_queue(QueueName=name, Attributes={
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})})["QueueUrl"]
    for i in range(20):
        sqs.send_message(QueueUrl=dead, MessageBody=str(i))
    _, _, text = call(virga, "StartMessageMoveTask", {"SourceArn": arn, "DestinationArn": arn_of(sqs, url),
                                                      "MaxNumberOfMessagesPerSecond": 2})
    handle = json.loads(text)["TaskHandle"]
    status, _, text = call(virga, "StartMessageMoveTask", {"SourceArn": arn})
    assert status == 400 and json.loads(text)["__type"].endswith("#InvalidParameterValueException")
    status, _, text = call(virga, "CancelMessageMoveTask", {"TaskHandle": handle})
    assert status == 200 and json.loads(text)["ApproximateNumberOfMessagesMoved"] < 20
    assert move_tasks(virga, arn)[0]["Status"] == "CANCELLED"
    gone = base64.b64encode(json.dumps({"taskId": "x", "sourceArn": arn + "x"}).encode()).decode()
    status, _, text = call(virga, "CancelMessageMoveTask", {"TaskHandle": gone})
    assert status == 404 and "SourceArn" in text


def test_cloudformation(virga, sqs, name):
    template = {"Resources": {
        "Dead": {"Type": "AWS::SQS::Queue"},
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {
            "VisibilityTimeout": 77, "Tags": [{"Key": "k", "Value": "v"}],
            "RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 3}}},
        "Fifo": {"Type": "AWS::SQS::Queue", "Properties": {"FifoQueue": True}},
        "Policy": {"Type": "AWS::SQS::QueuePolicy", "Properties": {
            "Queues": [{"Ref": "Queue"}], "PolicyDocument": {"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
                "Resource": {"Fn::GetAtt": ["Queue", "Arn"]}}]}}}},
        "Outputs": {"Url": {"Value": {"Ref": "Queue"}}, "Fifo": {"Value": {"Fn::GetAtt": ["Fifo", "QueueName"]}}}}
    cfn = virga.client("cloudformation")
    cfn.create_stack(StackName=name, TemplateBody=json.dumps(template))
    cfn.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    outputs = {o["OutputKey"]: o["OutputValue"] for o in cfn.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]}
    assert outputs["Fifo"].endswith(".fifo")
    found = sqs.get_queue_attributes(QueueUrl=outputs["Url"], AttributeNames=["All"])["Attributes"]
    assert found["VisibilityTimeout"] == "77" and "sns.amazonaws.com" in found["Policy"]
    assert json.loads(found["RedrivePolicy"])["maxReceiveCount"] == 3
    assert sqs.list_queue_tags(QueueUrl=outputs["Url"])["Tags"]["k"] == "v"
    del template["Resources"]["Policy"]
    template["Resources"]["Queue"]["Properties"].pop("VisibilityTimeout")
    cfn.update_stack(StackName=name, TemplateBody=json.dumps(template))
    cfn.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    found = sqs.get_queue_attributes(QueueUrl=outputs["Url"], AttributeNames=["All"])["Attributes"]
    assert found["VisibilityTimeout"] == "30" and "Policy" not in found
    cfn.delete_stack(StackName=name)
    cfn.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    assert error_code(sqs.get_queue_attributes, QueueUrl=outputs["Url"])[0] == "AWS.SimpleQueueService.NonExistentQueue"


def test_aws_cli(virga, name):
    made = json.loads(virga.cli("sqs", "create-queue", "--queue-name", name).stdout)
    virga.cli("sqs", "send-message", "--queue-url", made["QueueUrl"], "--message-body", "from the shell")
    got = json.loads(virga.cli("sqs", "receive-message", "--queue-url", made["QueueUrl"]).stdout)
    assert got["Messages"][0]["Body"] == "from the shell"
