"""A SAM function with a URL and provisioned concurrency on its alias."""

import json
import urllib.parse
import urllib.request

from stacks import outputs, status
from support import error_code

APP = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      InlineCode: |
        import os
        def handler(event, context):
            return {"start": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], "path": event["rawPath"]}
      AutoPublishAlias: live
      %s
      FunctionUrlConfig: {AuthType: NONE, Cors: {AllowOrigins: ["*"]}}
Outputs:
  Url: {Value: !GetAtt HelloUrl.FunctionUrl}
  Name: {Value: !Ref Hello}
"""


def test_url_and_provisioned_concurrency(virga, cfn, stack):
    everything = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    provisioned = "ProvisionedConcurrencyConfig: {ProvisionedConcurrentExecutions: 1}"
    cfn.create_stack(StackName=stack, TemplateBody=APP % provisioned, Capabilities=everything)
    assert status(cfn, stack) == "CREATE_COMPLETE"
    out = outputs(cfn, stack)
    host = urllib.parse.urlparse(out["Url"]).hostname
    answer = urllib.request.urlopen(f"{virga.url}/_aws/lambda-url/{host.split('.')[0]}/a", timeout=20)
    assert json.loads(answer.read()) == {"start": "provisioned-concurrency", "path": "/a"}
    client = virga.client("lambda")
    got = client.get_provisioned_concurrency_config(FunctionName=out["Name"], Qualifier="live")
    assert got["Status"] == "READY" and got["AllocatedProvisionedConcurrentExecutions"] == 1
    cfn.update_stack(StackName=stack, TemplateBody=APP % "MemorySize: 256", Capabilities=everything)
    assert status(cfn, stack) == "UPDATE_COMPLETE"
    gone = error_code(client.get_provisioned_concurrency_config, FunctionName=out["Name"], Qualifier="live")
    assert gone[0] == "ProvisionedConcurrencyConfigNotFoundException"
