"""SAM applications: deployed as they are, called, changed, and gone without a trace."""

import io
import json
import pathlib
import urllib.request
import zipfile

from stacks import outputs, physical, status
from support import eventually, log_lines

EVERYTHING = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
GUESTBOOK = pathlib.Path(__file__).resolve().parents[3] / "examples/guestbook"


def call(url, body=None):
    request = urllib.request.Request(url, data=body and json.dumps(body).encode(), headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status, json.loads(answer.read())


def by_path(virga, stack_outputs, path):
    """The API reached by path, which needs no name below localhost."""
    api = stack_outputs["Api"]
    return f"{virga.url}/_aws/execute-api/{api}{path}"


APP = """
Transform: AWS::Serverless-2016-10-31
Globals: {Function: {Runtime: python3.12, Handler: index.handler}}
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: |
        def handler(event, context):
            return {"version": VERSION, "route": event["routeKey"], "function": context.invoked_function_arn.split(":")[7:]}
      AutoPublishAlias: live
      Events:
        Get: {Type: HttpApi, Properties: {Path: /hello, Method: get}}
        All: {Type: HttpApi}
Outputs:
  Api: {Value: !Ref ServerlessHttpApi}
  Version: {Value: !Ref Hello.Version}
"""


def test_http_api_alias_and_versions(virga, cfn, stack):
    cfn.create_stack(StackName=stack, TemplateBody=APP.replace("VERSION", "1"), Capabilities=EVERYTHING)
    assert status(cfn, stack) == "CREATE_COMPLETE"
    first = outputs(cfn, stack)
    assert first["Version"].endswith(":1")
    assert call(by_path(virga, first, "/hello")) == (200, {"version": 1, "route": "GET /hello", "function": ["live"]})
    assert call(by_path(virga, first, "/anything/else"))[1]["route"] == "$default"
    cfn.update_stack(StackName=stack, TemplateBody=APP.replace("VERSION", "2"), Capabilities=EVERYTHING)
    assert status(cfn, stack) == "UPDATE_COMPLETE"
    second = outputs(cfn, stack)
    assert second["Api"] == first["Api"] and second["Version"].endswith(":2")
    assert call(by_path(virga, second, "/hello"))[1]["version"] == 2
    processed = cfn.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
    assert "HelloAliaslive" in processed["Resources"] and "Transform" not in processed


def test_routes_follow_the_template(virga, cfn, stack):
    cfn.create_stack(StackName=stack, TemplateBody=APP.replace("VERSION", "1"), Capabilities=EVERYTHING)
    api = outputs(cfn, stack)["Api"]
    gateway = virga.client("apigatewayv2")
    routes = lambda: sorted(r["RouteKey"] for r in gateway.get_routes(ApiId=api)["Items"])
    assert routes() == ["$default", "GET /hello"]
    cfn.update_stack(StackName=stack, TemplateBody=APP.replace("VERSION", "1").replace("Path: /hello", "Path: /other"), Capabilities=EVERYTHING)
    assert routes() == ["$default", "GET /other"]
    assert len(gateway.get_integrations(ApiId=api)["Items"]) == 2


def test_nothing_is_left(virga, cfn, stack):
    cfn.create_stack(StackName=stack, TemplateBody=APP.replace("VERSION", "1"), Capabilities=EVERYTHING)
    made = physical(cfn, stack)
    cfn.delete_stack(StackName=stack)
    functions = [f["FunctionName"] for f in virga.client("lambda").list_functions()["Functions"]]
    roles = [r["RoleName"] for r in virga.client("iam").list_roles()["Roles"]]
    apis = [a["ApiId"] for a in virga.client("apigatewayv2").get_apis()["Items"]]
    assert made["Hello"] not in functions and made["HelloRole"] not in roles and made["ServerlessHttpApi"] not in apis


def test_unserved_parts_are_named(cfn, stack):
    body = APP.replace("All: {Type: HttpApi}", "All: {Type: Api, Properties: {Path: /x, Method: get}}")
    try:
        cfn.create_stack(StackName=stack, TemplateBody=body, Capabilities=EVERYTHING)
        raise AssertionError("accepted")
    except cfn.exceptions.ClientError as error:
        assert "Event with id [All]: the event type Api is not served by Virga" in str(error)


def test_the_cli_deploys_the_guestbook(virga, cfn, stack, tmp_path):
    """Its Python function writes what the table then has, with a role that allows that and no more."""
    s3 = virga.client("s3")
    bucket = stack + "-code"
    s3.create_bucket(Bucket=bucket)
    # What `aws cloudformation package` does; Debian's version of it can't be pointed at another S3.
    text = (GUESTBOOK / "template.yaml").read_text()
    for folder in ("sign", "read"):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as z:
            for file in (GUESTBOOK / folder).iterdir():
                z.write(file, file.name)
        s3.put_object(Bucket=bucket, Key=folder, Body=archive.getvalue())
        text = text.replace(f"CodeUri: {folder}/", f"CodeUri: s3://{bucket}/{folder}")
    packaged = tmp_path / "packaged.yaml"
    packaged.write_text(text)
    virga.cli("cloudformation", "deploy", "--template-file", str(packaged), "--stack-name", stack, "--capabilities", "CAPABILITY_NAMED_IAM")
    assert status(cfn, stack) == "CREATE_COMPLETE"
    made = physical(cfn, stack)
    url = f"{virga.url}/_aws/execute-api/{made['ServerlessHttpApi']}/entries"
    code, entry = call(url, {"name": "Ada", "text": "It runs!"})
    assert (code, entry["name"]) == (201, "Ada")
    items = virga.client("dynamodb").scan(TableName=outputs(cfn, stack)["Table"])["Items"]
    assert [i["text"]["S"] for i in items] == ["It runs!"]
    role = made["SignRole"]
    denied = virga.client("iam").simulate_principal_policy(
        PolicySourceArn=virga.client("iam").get_role(RoleName=role)["Role"]["Arn"], ActionNames=["dynamodb:DeleteItem"], ResourceArns=["*"])
    assert denied["EvaluationResults"][0]["EvalDecision"] == "implicitDeny"
    cfn.delete_stack(StackName=stack)
    for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=entry["Key"])
    s3.delete_bucket(Bucket=bucket)


def test_layers(virga, cfn, stack):
    bucket = stack + "-layers"
    s3 = virga.client("s3")
    s3.create_bucket(Bucket=bucket)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr("python/shared.py", "GREETING = 'from the layer'\n")
    s3.put_object(Bucket=bucket, Key="layer.zip", Body=archive.getvalue())
    body = f"""
Transform: AWS::Serverless-2016-10-31
Resources:
  Shared: {{Type: AWS::Serverless::LayerVersion, Properties: {{ContentUri: 's3://{bucket}/layer.zip', RetentionPolicy: Delete}}}}
  F:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      Layers: [!Ref Shared]
      InlineCode: "import shared\\ndef handler(e, c): return shared.GREETING\\n"
Outputs: {{F: {{Value: !Ref F}}}}
"""
    cfn.create_stack(StackName=stack, TemplateBody=body, Capabilities=EVERYTHING)
    answer = virga.client("lambda").invoke(FunctionName=outputs(cfn, stack)["F"])
    assert json.loads(answer["Payload"].read()) == "from the layer"
    cfn.delete_stack(StackName=stack)
    s3.delete_object(Bucket=bucket, Key="layer.zip")
    s3.delete_bucket(Bucket=bucket)


EVENTS = """
Transform: AWS::Serverless-2016-10-31
Globals: {Function: {Runtime: python3.12, Handler: index.handler}}
Parameters: {Queue: {Type: String}}
Resources:
  Sink:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: "def handler(event, context): print('sink', event['requestContext']['condition'])"
  Source:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: |
        def handler(event, context):
            if "why" in event: raise ValueError(event["why"])
      DeadLetterQueue: {Type: SQS, TargetArn: !Ref Queue}
      EventInvokeConfig:
        MaximumRetryAttempts: RETRIES
        DestinationConfig: {OnSuccess: {Type: Lambda, Destination: !GetAtt Sink.Arn}}
Outputs:
  Source: {Value: !Ref Source}
  Sink: {Value: !Ref Sink}
"""


# What a template says of asynchronous events holds: retries, the dead-letter queue, destinations, and the role for them.
def test_asynchronous_events(virga, cfn, stack, name):
    sqs, functions = virga.client("sqs"), virga.client("lambda")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    options = {"StackName": stack, "Parameters": [{"ParameterKey": "Queue", "ParameterValue": queue}], "Capabilities": EVERYTHING}
    cfn.create_stack(TemplateBody=EVENTS.replace("RETRIES", "0"), **options)
    assert status(cfn, stack) == "CREATE_COMPLETE"
    source, sink = outputs(cfn, stack)["Source"], outputs(cfn, stack)["Sink"]
    functions.invoke(FunctionName=source, InvocationType="Event", Payload=b'{"why": "bad luck"}')
    functions.invoke(FunctionName=source, InvocationType="Event", Payload=b"{}")
    letter = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20, MessageAttributeNames=["All"])["Messages"][0]
    assert letter["MessageAttributes"]["ErrorMessage"]["StringValue"] == "bad luck"
    eventually(lambda: "sink Success" in log_lines(virga, sink))
    cfn.update_stack(TemplateBody=EVENTS.replace("RETRIES", "1"), **options)
    assert functions.get_function_event_invoke_config(FunctionName=source)["MaximumRetryAttempts"] == 1
    sqs.delete_queue(QueueUrl=url)
