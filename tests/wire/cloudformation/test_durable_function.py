"""A durable function in a SAM template: its configuration, its role, and a change of its limits in place."""

import http.client
import json

import botocore.auth
import botocore.awsrequest
import botocore.credentials

from stacks import outputs, physical, status

APP = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Workflow:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      DurableConfig: {ExecutionTimeout: %d, RetentionPeriodInDays: 3}
      AutoPublishAlias: live
      InlineCode: |
        def handler(event, context):
            return {"Status": "SUCCEEDED", "Result": event["DurableExecutionArn"]}
Outputs:
  Name: {Value: !Ref Workflow}
"""


def configuration(virga, name):
    # The packaged boto3 doesn't know DurableConfig.
    url = f"{virga.url}/2015-03-31/functions/{name}/configuration"
    request = botocore.awsrequest.AWSRequest(method="GET", url=url)
    botocore.auth.SigV4Auth(botocore.credentials.Credentials("test", "test"), "lambda", "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection(virga.url.split("//")[1], timeout=10)
    connection.request("GET", url[len(virga.url):], headers=dict(request.prepare().headers))
    return json.loads(connection.getresponse().read())


def test_durable_function(virga, cfn, stack):
    everything = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    cfn.create_stack(StackName=stack, TemplateBody=APP % 60, Capabilities=everything)
    assert status(cfn, stack) == "CREATE_COMPLETE"
    name = outputs(cfn, stack)["Name"]
    assert configuration(virga, name)["DurableConfig"] == {"ExecutionTimeout": 60, "RetentionPeriodInDays": 3}
    answer = virga.client("lambda").invoke(FunctionName=name, Qualifier="live", Payload=b"{}")
    assert f":function:{name}:1/durable-execution/" in answer["Payload"].read().decode()
    role = physical(cfn, stack)["WorkflowRole"]
    attached = virga.client("iam").list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert [p["PolicyName"] for p in attached] == ["AWSLambdaBasicDurableExecutionRolePolicy"]
    cfn.update_stack(StackName=stack, TemplateBody=APP % 90, Capabilities=everything)
    assert status(cfn, stack) == "UPDATE_COMPLETE" and outputs(cfn, stack)["Name"] == name
    assert configuration(virga, name)["DurableConfig"] == {"ExecutionTimeout": 90, "RetentionPeriodInDays": 3}
