"""Policies that say which services may write to log groups: of an account, and of one group."""

import json
import urllib.error
import urllib.request

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from support import deployed, error_code


def document(arn="*", service="events.amazonaws.com"):
    return json.dumps({"Version": "2012-10-17", "Statement": [{
        "Sid": "s", "Effect": "Allow", "Principal": {"Service": service}, "Action": "logs:PutLogEvents", "Resource": arn}]})


@pytest.fixture
def logs(own_virga):
    return own_virga.client("logs")


def say(virga, operation, **body):
    """A call with members that the installed client doesn't know."""
    request = AWSRequest("POST", virga.url + "/", data=json.dumps(body).encode(), headers={
        "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Logs_20140328." + operation})
    SigV4Auth(Credentials("test", "test"), "logs", "us-east-1").add_auth(request)
    try:
        with urllib.request.urlopen(urllib.request.Request(request.url, request.data, dict(request.headers))) as answer:
            return json.loads(answer.read() or "{}")
    except urllib.error.HTTPError as refused:
        return json.load(refused)["__type"]


def test_policies_of_the_account(logs):
    made = logs.put_resource_policy(policyName="p", policyDocument=document())["resourcePolicy"]
    assert (made["policyName"], json.loads(made["policyDocument"])) == ("p", json.loads(document()))
    for i in range(9):
        logs.put_resource_policy(policyName=f"q{i}", policyDocument=document())
    code, message = error_code(logs.put_resource_policy, policyName="eleventh", policyDocument=document())
    assert (code, message) == ("LimitExceededException", "Resource limit exceeded.")
    logs.put_resource_policy(policyName="p", policyDocument=document("arn:aws:logs:us-east-1:000000000000:log-group:x:*"))
    pages, token = [], {}
    while not pages or token:
        page = logs.describe_resource_policies(limit=4, **token)
        pages.append([p["policyName"] for p in page["resourcePolicies"]])
        token = {"nextToken": page["nextToken"]} if "nextToken" in page else {}
    assert [len(p) for p in pages] == [4, 4, 2] and sum(pages, [])[0] == "p"
    assert "log-group:x" in logs.describe_resource_policies()["resourcePolicies"][0]["policyDocument"]
    logs.delete_resource_policy(policyName="p")
    assert error_code(logs.delete_resource_policy, policyName="p")[0] == "ResourceNotFoundException"
    logs.put_resource_policy(policyName="tenth", policyDocument=document())


def test_refusals(logs):
    bad = lambda **given: error_code(logs.put_resource_policy, **given)
    assert bad(policyDocument=document())[0] == "InvalidParameterException"
    assert bad(policyName="p")[0] == "InvalidParameterException"
    for text in ("{", "{}", json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})):
        code, message = bad(policyName="p", policyDocument=text)
        assert code == "InvalidParameterException" and "policy document" in message
    assert logs.describe_resource_policies()["resourcePolicies"] == []


# Only who knows a group's policy as it is changes it; it goes with its group.
def test_policy_of_a_group(own_virga, logs):
    logs.create_log_group(logGroupName="g")
    arn = "arn:aws:logs:us-east-1:000000000000:log-group:g"
    put = lambda **given: say(own_virga, "PutResourcePolicy", **given)
    shown = lambda **given: say(own_virga, "DescribeResourcePolicies", **given)["resourcePolicies"]
    assert put(resourceArn=arn + "-none", policyDocument=document()) == "ResourceNotFoundException"
    made = put(resourceArn=arn, policyDocument=document())
    assert made["resourcePolicy"]["policyScope"] == "RESOURCE" and made["resourcePolicy"]["resourceArn"] == arn
    assert put(resourceArn=arn, policyDocument=document("x")) == "OperationAbortedException"
    second = put(resourceArn=arn, policyDocument=document("*", "x.amazonaws.com"), expectedRevisionId=made["revisionId"])
    assert second["revisionId"] != made["revisionId"]
    assert say(own_virga, "DeleteResourcePolicy", resourceArn=arn, expectedRevisionId=made["revisionId"]) == "OperationAbortedException"
    policy, = shown(resourceArn=arn)
    assert policy["revisionId"] == second["revisionId"] and "x.amazonaws.com" in policy["policyDocument"]
    assert shown() == []
    assert len(shown(policyScope="RESOURCE")) == 1
    logs.delete_log_group(logGroupName="g")
    logs.create_log_group(logGroupName="g")
    assert shown(resourceArn=arn) == []


TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters: {Service: {Type: String}, Name: {Type: String}}
Resources:
  Group:
    Type: AWS::Logs::LogGroup
    Properties:
      LogGroupName: !Sub "/aws/events/${AWS::StackName}"
      Tags: [{Key: service, Value: !Ref Service}]
      ResourcePolicyDocument:
        Version: "2012-10-17"
        Statement: [{Effect: Allow, Principal: {Service: !Ref Service}, Action: "logs:PutLogEvents", Resource: "*"}]
  Policy:
    Type: AWS::Logs::ResourcePolicy
    Properties:
      PolicyName: !Ref Name
      PolicyDocument: !Sub |
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "${Service}"},
         "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "${Group.Arn}"}]}
Outputs: {Policy: {Value: !Ref Policy}}
"""


def test_of_a_stack(own_virga, logs, name):
    cfn = own_virga.client("cloudformation")

    def update(service, policy):
        cfn.update_stack(StackName=name, TemplateBody=TEMPLATE, Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"], Parameters=[
            {"ParameterKey": "Service", "ParameterValue": service}, {"ParameterKey": "Name", "ParameterValue": policy}])
        cfn.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
        return {p["policyName"]: p["policyDocument"] for p in logs.describe_resource_policies()["resourcePolicies"]}

    with deployed(own_virga, name, TEMPLATE, Parameters=[
            {"ParameterKey": "Service", "ParameterValue": "a.amazonaws.com"}, {"ParameterKey": "Name", "ParameterValue": "one"}]) as outputs:
        assert outputs["Policy"] == "one"
        changed = update("b.amazonaws.com", "one")
        assert list(changed) == ["one"] and "b.amazonaws.com" in changed["one"]
        assert list(update("b.amazonaws.com", "two")) == ["two"]
        assert logs.list_tags_log_group(logGroupName="/aws/events/" + name)["tags"]["service"] == "b.amazonaws.com"
    assert logs.describe_resource_policies()["resourcePolicies"] == []
