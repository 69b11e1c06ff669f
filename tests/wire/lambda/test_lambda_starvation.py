"""A slow function with a long queue of asynchronous events leaves room for the events of others."""

from support import eventually

SLOW = "import time\ndef handler(event, context):\n    time.sleep(2)\n"
QUICK = """
import boto3, os
def handler(event, context):
    boto3.client('dynamodb').put_item(TableName=event['table'], Item={'id': {'S': 'here'}})
"""


def test_events_of_others_are_not_held_up(virga, functions, name):
    tables = virga.client("dynamodb")
    tables.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}])
    slow = functions.make(SLOW)
    functions.client.put_function_concurrency(FunctionName=slow, ReservedConcurrentExecutions=2)
    role = functions.make_role([{"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": "*"}])
    quick = functions.make(QUICK, Role=role)
    for _ in range(300):
        functions.client.invoke(FunctionName=slow, InvocationType="Event", Payload=b"{}")
    functions.client.invoke(FunctionName=quick, InvocationType="Event", Payload=f'{{"table": "{name}"}}'.encode())
    eventually(lambda: "Item" in tables.get_item(TableName=name, Key={"id": {"S": "here"}}))
