"""Policies of tables, and permissions of PartiQL by rows and attributes."""

import json
import uuid

import pytest
from botocore.exceptions import ClientError
from dynamodb_calls import signed_call


@pytest.fixture
def user(virga):
    """A user without permissions: (client, arn, a function that gives it a policy)."""
    iam = virga.client("iam")
    name = "u-" + uuid.uuid4().hex[:8]
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    key = iam.create_access_key(UserName=name)["AccessKey"]
    client = virga.client("dynamodb", key["AccessKeyId"], key["SecretAccessKey"])

    def allow(**statement):
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}))
    return client, arn, allow


def test_a_table_policy_allows_and_denies(virga, dynamodb, table, user, p):
    client, arn, allow = user
    table_arn = dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    get = {"TableName": table, "Key": {"p": p}}
    with pytest.raises(ClientError, match="AccessDenied"):
        client.get_item(**get)
    policy = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "dynamodb:GetItem", "Resource": table_arn}]})
    status, out = signed_call(virga, "PutResourcePolicy", {"ResourceArn": table_arn, "Policy": policy})
    assert status == 200
    client.get_item(**get)
    client.get_item(TableName=table_arn, Key={"p": p})
    with pytest.raises(ClientError, match="AccessDenied"):
        client.put_item(TableName=table, Item={"p": p})
    assert signed_call(virga, "GetResourcePolicy", {"ResourceArn": table_arn}) == (200, {"Policy": policy, "RevisionId": out["RevisionId"]})
    status, refused = signed_call(virga, "DeleteResourcePolicy", {"ResourceArn": table_arn, "ExpectedRevisionId": "x"})
    assert status == 400 and "PolicyNotFoundException" in refused["__type"]
    assert refused["message"] == (
        "Resource-based policy not found for the provided ResourceArn: Requested update for policy with revision id x, but the policy "
        f"associated to target table {table} has revision id {out['RevisionId']}.")
    status, refused = signed_call(virga, "PutResourcePolicy", {"ResourceArn": table_arn, "Policy": policy, "ExpectedRevisionId": "NO_POLICY"})
    assert status == 400 and refused["message"].endswith(
        f"expecting none to be present for table {table}, but a policy exists with revision id {out['RevisionId']}.")
    status, refused = signed_call(virga, "GetResourcePolicy", {"ResourceArn": table_arn + "-not"})
    assert refused["message"] == f"Requested resource not found: Table: {table}-not not found"
    allow(Action="dynamodb:*", Resource="*")
    client.put_item(TableName=table, Item={"p": p})
    deny = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Principal": "*", "Action": "dynamodb:PutItem", "Resource": table_arn}]})
    status, later = signed_call(virga, "PutResourcePolicy", {"ResourceArn": table_arn, "Policy": deny, "ExpectedRevisionId": out["RevisionId"]})
    assert status == 200 and int(later["RevisionId"]) > int(out["RevisionId"])
    with pytest.raises(ClientError, match="AccessDenied"):
        client.put_item(TableName=table, Item={"p": p})
    assert signed_call(virga, "DeleteResourcePolicy", {"ResourceArn": table_arn})[0] == 200
    client.put_item(TableName=table, Item={"p": p})
    assert signed_call(virga, "GetResourcePolicy", {"ResourceArn": table_arn})[0] == 400
    assert signed_call(virga, "PutResourcePolicy", {"ResourceArn": table_arn, "Policy": "{"})[0] == 400


# A stream has a policy of its own, which neither follows from its table's nor opens the table.
def test_a_stream_policy_allows_and_denies(virga, dynamodb, create_table, user):
    client, arn, allow = user
    name = create_table(dynamodb, "t-" + arn.rsplit("/", 1)[1], ["p"], {"p": "S"},
                        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    stream = dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"]
    key = client._request_signer._credentials
    streams = virga.client("dynamodbstreams", key.access_key, key.secret_key)

    def read():
        shards = [s["ShardId"] for s in streams.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"]]
        iterators = [streams.get_shard_iterator(StreamArn=stream, ShardId=s, ShardIteratorType="TRIM_HORIZON")["ShardIterator"] for s in shards]
        return [record for i in iterators for record in streams.get_records(ShardIterator=i)["Records"]]
    dynamodb.put_item(TableName=name, Item={"p": {"S": "x"}})
    with pytest.raises(ClientError, match="AccessDenied"):
        read()
    policy = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": ["dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords"],
         "Resource": stream}]})
    status, out = signed_call(virga, "PutResourcePolicy", {"ResourceArn": stream, "Policy": policy})
    assert status == 200
    assert [r["dynamodb"]["Keys"] for r in read()] == [{"p": {"S": "x"}}]
    with pytest.raises(ClientError, match="AccessDenied"):
        client.get_item(TableName=name, Key={"p": {"S": "x"}})
    assert signed_call(virga, "GetResourcePolicy", {"ResourceArn": stream}) == (200, {"Policy": policy, "RevisionId": out["RevisionId"]})
    assert signed_call(virga, "GetResourcePolicy", {"ResourceArn": stream.split("/stream/")[0]})[0] == 400
    assert signed_call(virga, "GetResourcePolicy", {"ResourceArn": stream + "0"})[1]["__type"].endswith("ResourceNotFoundException")
    assert signed_call(virga, "DeleteResourcePolicy", {"ResourceArn": stream})[0] == 200
    with pytest.raises(ClientError, match="AccessDenied"):
        read()


def test_partiql_asks_for_rows_and_attributes(dynamodb, sorted_table, user, p):
    client, _, allow = user
    t = f'"{sorted_table}"'
    dynamodb.put_item(TableName=sorted_table, Item={"p": p, "s": {"N": "1"}, "open": {"S": "o"}, "secret": {"S": "x"}})

    def run(text, *parameters):
        return client.execute_statement(Statement=text, **({"Parameters": list(parameters)} if parameters else {}))["Items"]

    mine = f"SELECT p, s, open FROM {t} WHERE p = ?"
    with pytest.raises(ClientError, match="AccessDenied.*dynamodb:PartiQLSelect"):
        run(mine, p)
    allow(Action="dynamodb:PartiQLSelect", Resource="*", Condition={
        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [p["S"]], "dynamodb:Attributes": ["p", "s", "open"]},
        "StringEquals": {"dynamodb:Select": "SPECIFIC_ATTRIBUTES"}, "Bool": {"dynamodb:FullTableScan": "false"}})
    assert run(mine, p) == [{"p": p, "s": {"N": "1"}, "open": {"S": "o"}}]
    for text, parameters in ((mine, ({"S": "somebody-else"},)), (f"SELECT secret FROM {t} WHERE p = ?", (p,)),
                             (f"SELECT * FROM {t} WHERE p = ?", (p,)), (f"SELECT p FROM {t}", ()),
                             (f"SELECT p FROM {t} WHERE p = ? OR s = 1", (p,)),
                             (f"UPDATE {t} SET open = 'n' WHERE p = ? AND s = 1", (p,))):
        with pytest.raises(ClientError, match="AccessDenied"):
            run(text, *parameters)
