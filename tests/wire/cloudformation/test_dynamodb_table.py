"""AWS::DynamoDB::Table: what is set beside CreateTable."""

import json
import uuid

from support import eventually


def stack_of(client, template, name=None, call="create_stack"):
    name = name or "s-" + uuid.uuid4().hex[:8]
    getattr(client, call)(StackName=name, TemplateBody=json.dumps(template))

    def settled():
        found = client.describe_stacks(StackName=name)["Stacks"][0]
        return None if found["StackStatus"].endswith("IN_PROGRESS") else found
    return name, eventually(settled)


def test_contributor_insights(virga):
    client, dynamodb = virga.client("cloudformation"), virga.client("dynamodb")
    table = "t-" + uuid.uuid4().hex[:8]

    def index(name, **more):
        return {"IndexName": name, "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}, **more}

    def listed():
        return [s.get("IndexName") for s in dynamodb.list_contributor_insights(TableName=table)["ContributorInsightsSummaries"]]
    enabled = {"ContributorInsightsSpecification": {"Enabled": True}}
    narrow = {"ContributorInsightsSpecification": {"Enabled": True, "Mode": "THROTTLED_KEYS"}}
    properties = {
        "TableName": table, "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}, {"AttributeName": "g", "AttributeType": "S"}],
        "GlobalSecondaryIndexes": [index("a", **enabled), index("b")], **narrow}
    template = {"Resources": {"Table": {"Type": "AWS::DynamoDB::Table", "Properties": properties}}}
    name, stack = stack_of(client, template)
    assert stack["StackStatus"] == "CREATE_COMPLETE", client.describe_stack_events(StackName=name)
    assert listed() == [None, "a"]
    rules = dynamodb.describe_contributor_insights(TableName=table)["ContributorInsightsRuleList"]
    assert [rule.split("-")[1] for rule in rules] == ["PKT"]
    properties["GlobalSecondaryIndexes"] = [index("a"), index("b"), index("c", **enabled)]
    properties.update(enabled)
    _, stack = stack_of(client, template, name, "update_stack")
    assert stack["StackStatus"] == "UPDATE_COMPLETE", client.describe_stack_events(StackName=name)
    assert listed() == [None, "c"]
    assert len(dynamodb.describe_contributor_insights(TableName=table)["ContributorInsightsRuleList"]) == 2
    del properties["ContributorInsightsSpecification"]
    _, stack = stack_of(client, template, name, "update_stack")
    assert stack["StackStatus"] == "UPDATE_COMPLETE" and listed() == ["c"]
    client.delete_stack(StackName=name)


def test_recovery_policy_and_throughput(virga):
    client, dynamodb = virga.client("cloudformation"), virga.client("dynamodb")
    table = "t-" + uuid.uuid4().hex[:8]
    properties = {
        "TableName": table, "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        "OnDemandThroughput": {"MaxReadRequestUnits": 50},
        "ResourcePolicy": {"PolicyDocument": {"Version": "2012-10-17", "Statement": [
            {"Effect": "Deny", "Principal": "*", "Action": "dynamodb:DeleteItem", "Resource": "*"}]}}}
    template = {"Resources": {"Table": {"Type": "AWS::DynamoDB::Table", "Properties": properties}}}
    name, stack = stack_of(client, template)
    assert stack["StackStatus"] == "CREATE_COMPLETE", client.describe_stack_events(StackName=name)
    recovery = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"
    try:
        dynamodb.delete_item(TableName=table, Key={"p": {"S": "x"}})
        raise AssertionError("the policy was not attached")
    except dynamodb.exceptions.ClientError as refused:
        assert "AccessDenied" in str(refused)
    del properties["ResourcePolicy"]
    properties["PointInTimeRecoverySpecification"] = {"PointInTimeRecoveryEnabled": False}
    _, stack = stack_of(client, template, name, "update_stack")
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    dynamodb.delete_item(TableName=table, Key={"p": {"S": "x"}})

    properties["KinesisStreamSpecification"] = {"StreamArn": "arn:aws:kinesis:us-east-1:000000000000:stream/s"}
    _, stack = stack_of(client, template, name, "update_stack")
    assert "ROLLBACK" in stack["StackStatus"]
    client.delete_stack(StackName=name)
