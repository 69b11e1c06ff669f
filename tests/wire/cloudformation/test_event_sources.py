"""Functions of a template that queues and streams feed: the mappings, and the roles' permissions to read."""

from stacks import outputs, status
from support import eventually, log_lines

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals: {Function: {Runtime: python3.12, Handler: index.handler}}
Resources:
  Jobs: {Type: AWS::SQS::Queue, Properties: {VisibilityTimeout: 20}}
  Orders:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: p, AttributeType: S}]
      KeySchema: [{AttributeName: p, KeyType: HASH}]
      StreamSpecification: {StreamViewType: KEYS_ONLY}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: |
        def handler(event, context):
            for r in event["Records"]:
                print("GOT", r.get("body") or r["dynamodb"]["Keys"]["p"]["S"])
      Events:
        Job: {Type: SQS, Properties: {Queue: !GetAtt Jobs.Arn, BatchSize: SIZE}}
        Order: {Type: DynamoDB, Properties: {Stream: !GetAtt Orders.StreamArn, StartingPosition: TRIM_HORIZON}}
Outputs:
  Worker: {Value: !Ref Worker}
  Jobs: {Value: !Ref Jobs}
  Orders: {Value: !Ref Orders}
"""


def test_a_function_fed_by_a_queue_and_a_stream(virga, cfn, stack):
    options = {"StackName": stack, "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]}
    cfn.create_stack(TemplateBody=TEMPLATE.replace("SIZE", "5"), **options)
    assert status(cfn, stack) == "CREATE_COMPLETE", cfn.describe_stack_events(StackName=stack)["StackEvents"]
    made = outputs(cfn, stack)
    virga.client("sqs").send_message(QueueUrl=made["Jobs"], MessageBody="job")
    virga.client("dynamodb").put_item(TableName=made["Orders"], Item={"p": {"S": "order"}})

    eventually(lambda: {"GOT job", "GOT order"} <= set(log_lines(virga, made["Worker"])))

    functions = virga.client("lambda")

    def mappings():
        return functions.list_event_source_mappings(FunctionName=made["Worker"])["EventSourceMappings"]
    assert len(mappings()) == 2
    cfn.update_stack(TemplateBody=TEMPLATE.replace("SIZE", "3"), **options)
    assert {m["BatchSize"] for m in mappings()} == {3, 100}
    cfn.delete_stack(StackName=stack)
    eventually(lambda: not mappings())
