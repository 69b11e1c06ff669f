"""Management calls as events: "AWS API Call via CloudTrail", on the default bus, for the rules that want them."""

import json

import pytest

from support import error_code, eventually


@pytest.fixture
def calls(virga, events, queues, name):
    """Makes a rule for calls of a service; gives a function that waits for the call of a name."""
    made = []

    def make(service, detail=None, suffix="", **options):
        queue = queues(virga, name + suffix)
        pattern = {"source": [f"aws.{service}"], "detail-type": ["AWS API Call via CloudTrail"]}
        if detail:
            pattern["detail"] = detail
        events.put_rule(Name=name + suffix, EventPattern=json.dumps(pattern), **options)
        events.put_targets(Rule=name + suffix, Targets=[{"Id": "q", "Arn": queue.arn}])
        made.append(name + suffix)
        seen = []

        def wait(call):
            def found():
                seen.extend(json.loads(m["Body"]) for m in queue.sqs.receive_message(
                    QueueUrl=queue.url, WaitTimeSeconds=1, MaxNumberOfMessages=10).get("Messages", []))
                return [e for e in seen if e["detail"]["eventName"] == call]
            return eventually(found)[0]

        wait.seen = seen
        return wait

    yield make
    for rule in made:
        events.remove_targets(Rule=rule, Ids=["q"])
        events.delete_rule(Name=rule)


def test_a_call_that_changes_something(virga, calls, name):
    wait = calls("s3")
    virga.client("s3").create_bucket(Bucket=name)
    event = wait("CreateBucket")
    detail = event["detail"]
    assert (event["source"], event["account"], event["region"]) == ("aws.s3", "000000000000", "us-east-1")
    assert detail["eventSource"] == "s3.amazonaws.com" and detail["eventType"] == "AwsApiCall"
    assert detail["requestParameters"]["bucketName"] == name and detail["readOnly"] is False
    assert detail["userIdentity"] == {"type": "Root", "principalId": "000000000000", "accessKeyId": "test",
                                      "arn": "arn:aws:iam::000000000000:root", "accountId": "000000000000"}
    assert detail["eventID"] == event["id"] and detail["sourceIPAddress"] == "127.0.0.1"
    assert "Boto3" in detail["userAgent"] and detail["requestID"]


def test_reads_are_for_rules_that_ask(virga, calls, name):
    some = calls("dynamodb")
    every = calls("dynamodb", suffix="-all", State="ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS")
    dynamodb = virga.client("dynamodb")
    assert error_code(dynamodb.describe_table, TableName=name)[0] == "ResourceNotFoundException"
    dynamodb.create_table(TableName=name, BillingMode="PAY_PER_REQUEST",
                          KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
                          AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}])
    read = every("DescribeTable")["detail"]
    assert read["readOnly"] is True and read["errorCode"] == "ResourceNotFoundException"
    assert read["requestParameters"] == {"tableName": name} and read["responseElements"] is None
    made = some("CreateTable")["detail"]
    assert made["requestParameters"]["keySchema"] == [{"attributeName": "k", "keyType": "HASH"}]
    assert made["responseElements"]["tableDescription"]["tableName"] == name
    every("CreateTable")
    assert not [e for e in some.seen if e["detail"]["readOnly"]]
    # Data is nobody's business.
    dynamodb.put_item(TableName=name, Item={"k": {"S": "a"}})
    dynamodb.delete_table(TableName=name)
    every("DeleteTable")
    assert not [e for e in every.seen if e["detail"]["eventName"] == "PutItem"]


def test_secrets_stay_secret(virga, calls, name):
    wait = calls("iam", {"requestParameters": {"userName": [name]}})
    iam = virga.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    detail = wait("CreateAccessKey")["detail"]
    assert detail["responseElements"]["accessKey"]["accessKeyId"] == key["AccessKeyId"]
    assert key["SecretAccessKey"] not in json.dumps(wait.seen)


def test_a_functions_calls(virga, functions, calls):
    """Names carry the API's date, code stays out, and a session says whose it is."""
    wait = calls("lambda")
    made = functions.make("def handler(event, context): pass\n", Environment={"Variables": {"SECRET": "hidden value"}})
    functions.client.update_function_configuration(FunctionName=made, Timeout=7)
    functions.client.invoke(FunctionName=made)
    detail = wait("CreateFunction20150331")["detail"]
    assert detail["requestParameters"]["functionName"] == made and "zipFile" not in json.dumps(detail)
    assert wait("UpdateFunctionConfiguration20150331v2")["detail"]["requestParameters"]["timeout"] == 7
    assert "hidden value" not in json.dumps(wait.seen)
    assert not [e for e in wait.seen if e["detail"]["eventName"] == "Invoke"]

    role = "arn:aws:iam::000000000000:role/" + functions.role.rsplit("/", 1)[1]
    own = functions.make("import boto3\ndef handler(event, context):\n"
                         "    try:\n        boto3.client('lambda').delete_function(FunctionName='none')\n"
                         "    except Exception as e:\n        return type(e).__name__\n", Timeout=30)
    functions.call(own)
    identity = wait("DeleteFunction20150331")["detail"]["userIdentity"]
    assert identity["type"] == "AssumedRole" and identity["sessionContext"]["sessionIssuer"]["arn"] == role


def test_calls_outlive_a_restart(own_virga, queues, name):
    """What the rules want is known again after a kill."""
    queue = queues(own_virga, name)
    events = own_virga.client("events")
    events.put_rule(Name=name, EventPattern=json.dumps({"detail": {"eventName": ["CreateLogGroup"]}}))
    events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": queue.arn}])
    own_virga.kill()
    own_virga.start()
    own_virga.client("logs").create_log_group(logGroupName=name)
    assert queue.events()[0]["detail"]["requestParameters"] == {"logGroupName": name}
