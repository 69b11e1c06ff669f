"""A log group's events sent to functions as they come."""

import json

from support import deployed, error_code, eventually

# Tells a queue what it is given, unpacked.
CODE = """
import base64, boto3, gzip, json, os
def handler(event, context):
    data = gzip.decompress(base64.b64decode(event["awslogs"]["data"])).decode()
    boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody=data)
"""


def subscriber(virga, functions, name):
    """A function that logs may call, and the queue that it tells."""
    sqs = virga.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    functions.role = functions.make_role([{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}])
    made = functions.make(CODE, Environment={"Variables": {"QUEUE": url}}, Timeout=30)
    return functions.client.get_function(FunctionName=made)["Configuration"]["FunctionArn"], lambda: json.loads(
        eventually(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages"))[0]["Body"])


def test_events_reach_a_function(virga, functions, name):
    logs = virga.client("logs")
    arn, told = subscriber(virga, functions, name)
    logs.create_log_group(logGroupName=name)
    logs.create_log_stream(logGroupName=name, logStreamName="s")
    put = dict(logGroupName=name, filterName="errors", filterPattern="ERROR -ignored", destinationArn=arn)
    code, message = error_code(logs.put_subscription_filter, **put)
    assert code == "InvalidParameterException" and "permission" in message
    functions.client.add_permission(
        FunctionName=arn, StatementId="s", Action="lambda:InvokeFunction", Principal="logs.amazonaws.com",
        SourceArn=f"arn:aws:logs:us-east-1:000000000000:log-group:{name}:*")
    logs.put_subscription_filter(**put)
    shown = logs.describe_subscription_filters(logGroupName=name)["subscriptionFilters"]
    assert [(f["filterName"], f["filterPattern"], f["destinationArn"]) for f in shown] == [("errors", "ERROR -ignored", arn)]

    now = shown[0]["creationTime"]
    logs.put_log_events(logGroupName=name, logStreamName="s", logEvents=[
        {"timestamp": now, "message": m} for m in ("fine", "ERROR one", "ERROR ignored", "ERROR two")])
    data = told()
    assert [e["message"] for e in data["logEvents"]] == ["ERROR one", "ERROR two"]
    assert (data["messageType"], data["owner"], data["logGroup"], data["logStream"], data["subscriptionFilters"]) == (
        "DATA_MESSAGE", "000000000000", name, "s", ["errors"])
    assert len({e["id"] for e in data["logEvents"]}) == 2 and data["logEvents"][0]["timestamp"] == now

    logs.put_subscription_filter(**{**put, "filterPattern": ""})
    logs.put_subscription_filter(**{**put, "filterName": "second"})
    assert error_code(logs.put_subscription_filter, **{**put, "filterName": "third"})[0] == "LimitExceededException"
    logs.delete_subscription_filter(logGroupName=name, filterName="errors")
    assert error_code(logs.delete_subscription_filter, logGroupName=name, filterName="errors")[0] == "ResourceNotFoundException"
    left = logs.describe_subscription_filters(logGroupName=name, filterNamePrefix="s")["subscriptionFilters"]
    assert [f["filterName"] for f in left] == ["second"]


def test_refusals(virga, name):
    logs = virga.client("logs")
    logs.create_log_group(logGroupName=name)

    def refused(**change):
        return error_code(logs.put_subscription_filter, **{
            "logGroupName": name, "filterName": "f", "filterPattern": "",
            "destinationArn": "arn:aws:lambda:us-east-1:000000000000:function:none", **change})

    assert refused()[0] == "InvalidParameterException"
    assert "kinesis" in refused(destinationArn="arn:aws:kinesis:us-east-1:000000000000:stream/s")[1]
    assert "roleArn" in refused(roleArn="arn:aws:iam::000000000000:role/r")[1]
    assert "pattern" in refused(filterPattern="{ $.a }")[1]
    assert error_code(logs.describe_subscription_filters, logGroupName=name + "-none")[0] == "ResourceNotFoundException"


TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Group:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: !Ref AWS::StackName}
  Seen: {Type: AWS::SQS::Queue}
  Function:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      InlineCode: |
CODE
      Environment: {Variables: {QUEUE: !Ref Seen}}
      Policies: [{SQSSendMessagePolicy: {QueueName: !GetAtt Seen.QueueName}}]
      Events:
        OnLine:
          Type: CloudWatchLogs
          Properties: {LogGroupName: !Ref Group, FilterPattern: ERROR}
Outputs:
  Seen: {Value: !Ref Seen}
""".replace("CODE", "\n".join("        " + line for line in CODE.strip().splitlines()))


def test_event_of_a_template(virga, name):
    logs, sqs = virga.client("logs"), virga.client("sqs")
    with deployed(virga, name, TEMPLATE) as said:
        logs.create_log_stream(logGroupName=name, logStreamName="s")
        now = logs.describe_log_streams(logGroupName=name)["logStreams"][0]["creationTime"]
        logs.put_log_events(logGroupName=name, logStreamName="s", logEvents=[
            {"timestamp": now, "message": "fine"}, {"timestamp": now, "message": "ERROR"}])
        got = eventually(lambda: sqs.receive_message(QueueUrl=said["Seen"], WaitTimeSeconds=1).get("Messages"))
        assert [e["message"] for e in json.loads(got[0]["Body"])["logEvents"]] == ["ERROR"]
