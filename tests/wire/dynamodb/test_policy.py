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
    assert signed_call(virga, "GetResourcePolicy", {"ResourceArn": table_arn}) == (200, {
        "Policy": policy.replace(": ", ":").replace(", ", ","), "RevisionId": out["RevisionId"]})
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
    assert signed_call(virga, "GetResourcePolicy", {"ResourceArn": stream}) == (200, {
        "Policy": policy.replace(": ", ":").replace(", ", ","), "RevisionId": out["RevisionId"]})
    assert signed_call(virga, "GetResourcePolicy", {"ResourceArn": stream.split("/stream/")[0]})[0] == 400
    assert signed_call(virga, "GetResourcePolicy", {"ResourceArn": stream + "0"})[1]["__type"].endswith("ResourceNotFoundException")
    assert signed_call(virga, "DeleteResourcePolicy", {"ResourceArn": stream})[0] == 200
    with pytest.raises(ClientError, match="AccessDenied"):
        read()


@pytest.fixture
def put_policy(virga):
    """Puts a policy of one statement, a good one but for what is given (None: left out); gives the status and the answer."""

    def put(arn, **changed):
        statement = {"Sid": "A", "Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "dynamodb:GetItem", "Resource": arn, **changed}
        return signed_call(virga, "PutResourcePolicy", {"ResourceArn": arn, "Policy": json.dumps(
            {"Version": "2012-10-17", "Statement": [{k: v for k, v in statement.items() if v is not None}]})})
    return put


def test_a_policy_is_kept_in_one_form(virga, dynamodb, create_table, put_policy, name):
    create_table(dynamodb, name, ["p"], {"p": "S"})
    arn = f"arn:aws:dynamodb:us-east-1:000000000000:table/{name}"
    root = "arn:aws:iam::000000000000:root"
    first = put_policy(arn)[1]["RevisionId"]
    alike = put_policy(arn, Effect="allow", Action=["dynamodb:GetItem"], Resource=[arn], Principal={"AWS": ["000000000000", root]})
    assert alike == (200, {"RevisionId": first})
    assert signed_call(virga, "GetResourcePolicy", {"ResourceArn": arn})[1]["Policy"] == (
        '{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow","Principal":{"AWS":"' + root + '"},"Action":"dynamodb:GetItem",'
        f'"Resource":"{arn}"}}]}}')
    # One without a version is another, though it is told with the first version there was.
    old = json.dumps({"Statement": {"Effect": "Deny", "Principal": "*", "Action": "dynamodb:Scan", "Resource": "*"}})
    for _ in range(2):
        second = signed_call(virga, "PutResourcePolicy", {"ResourceArn": arn, "Policy": old})[1]["RevisionId"]
    shown = signed_call(virga, "GetResourcePolicy", {"ResourceArn": arn})[1]
    assert shown == {"RevisionId": second, "Policy": '{"Version":"2008-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"dynamodb:Scan","Resource":"*"}]}'}
    assert signed_call(virga, "PutResourcePolicy", {"ResourceArn": arn, "Policy": shown["Policy"]})[1]["RevisionId"] > second
    # That there is none any more has a revision of its own.
    deleted = [signed_call(virga, "DeleteResourcePolicy", {"ResourceArn": arn})[1]["RevisionId"] for _ in range(3)]
    assert deleted[0] < deleted[1] == deleted[2]
    assert signed_call(virga, "DeleteResourcePolicy", {"ResourceArn": arn, "ExpectedRevisionId": "1"})[1]["message"].endswith(
        f"Requested update for policy with revision id 1, but table {name} has no associated policy.")


def test_what_no_policy_may_say_is_refused(virga, table, put_policy):
    arn = f"arn:aws:dynamodb:us-east-1:000000000000:table/{table}"
    unbounded = ("Resource-based policy grants unbounded access in one or more elements. Please revise the policy to ensure "
                 "least-privilege form of access")
    document = "One or more parameter values were invalid: Invalid policy document: "
    stream = arn + "/stream/2026-01-01T00:00:00.000"
    for said, changed in (
            (unbounded, {"Principal": "*"}), (unbounded, {"Principal": {"AWS": ["*"]}}),
            (unbounded, {"Principal": "*", "Condition": {"StringLike": {"aws:PrincipalAccount": "*"}}}),
            (unbounded, {"Principal": "*", "Condition": {"StringNotEquals": {"aws:PrincipalAccount": "000000000000"}}}),
            (document + "Missing required field Resource", {"Resource": None}),
            (document + 'The following action names are invalid: "dynamodb:GetRecords", "s3:GetObject"', {"Action": ["dynamodb:GetRecords", "s3:GetObject"]}),
            (document + f'The relative-id "table/{table}/stream/2026-01-01T00:00:00.000" is invalid for ARN "{stream}".', {"Resource": stream})):
        assert put_policy(arn, **changed)[1].get("message") == said
    for changed in ({"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalAccount": "000000000000"}}}, {"Resource": "*"},
                    {"Resource": [arn + "/index/*", arn]}, {"Action": "dynamodb:Get*"}):
        assert put_policy(arn, **changed)[0] == 200
    for text, said in (("{", "This policy contains invalid Json"), ('{"Statement":[]}', "Could not parse the policy: Statement is empty!"),
                       (json.dumps({"Statement": [{"Sid": "A", "Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}] * 2}),
                        "The Statement Ids in the policy are not unique")):
        assert signed_call(virga, "PutResourcePolicy", {"ResourceArn": arn, "Policy": text})[1]["message"] == document + said
    values = "One or more parameter values were invalid: "
    for given, said in (
            (table, values + f"ARNs must start with 'arn:': {table}"), (arn.replace("us-east-1", "us-west-2"), values + "Invalid resource Arn: "),
            (arn.replace("000000000000", "111111111111"), "This action is only supported by accounts that match the resource owner’s account."),
            (arn + "/index/i", values + "Invalid resource arn provided, only table or stream is accepted. Provided resource arn: "),
            (arn + "/backup/1", values + "Provided Arn is not a DynamoDB resource arn: "),
            (stream, f"Requested resource not found: Stream: 2026-01-01T00:00:00.000 not found for Table: {table}")):
        assert signed_call(virga, "GetResourcePolicy", {"ResourceArn": given})[1]["message"].startswith(said)
    signed_call(virga, "DeleteResourcePolicy", {"ResourceArn": arn})


# Who would shut themselves out has to mean it. The account's root is never shut out.
def test_nobody_is_shut_out_by_accident(virga, dynamodb, create_table, user):
    client, arn, allow = user
    allow(Action="dynamodb:*", Resource="*")
    name = create_table(dynamodb, "t-" + arn.rsplit("/", 1)[1], ["p"], {"p": "S"})
    table_arn = f"arn:aws:dynamodb:us-east-1:000000000000:table/{name}"

    def call(operation, **more):
        # The installed client does not know the operation: another one carries it.
        def rename(request, **_):
            request.headers.replace_header("X-Amz-Target", "DynamoDB_20120810." + operation)
            request.data = json.dumps({"ResourceArn": table_arn, **more}).encode()
        client.meta.events.register("before-sign.dynamodb.ListTables", rename)
        try:
            return client.list_tables()
        finally:
            client.meta.events.unregister("before-sign.dynamodb.ListTables", rename)

    def deny(*actions, **more):
        return {"Effect": "Deny", "Principal": "*", "Action": ["dynamodb:" + a for a in actions], "Resource": table_arn, **more}

    def put(statement, **more):
        return call("PutResourcePolicy", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}), **more)
    for statement in (deny("PutResourcePolicy"), deny("*"), deny("PutResourcePolicy", Condition={"ArnEquals": {"aws:PrincipalArn": arn}})):
        for more in ({}, {"ConfirmRemoveSelfResourceAccess": False}):
            with pytest.raises(ClientError, match="AccessDeniedException.*The new resource policy will not allow you to update the resource policy in the future."):
                put(statement, **more)
    put(deny("PutResourcePolicy", Condition={"ArnEquals": {"aws:PrincipalArn": arn + "-not"}}))
    put(deny("DeleteResourcePolicy"))
    with pytest.raises(ClientError, match="AccessDenied.*explicit deny in a resource-based policy"):
        call("DeleteResourcePolicy")
    put(deny("*"), ConfirmRemoveSelfResourceAccess=True)
    for operation in ("GetResourcePolicy", "DeleteResourcePolicy"):
        with pytest.raises(ClientError, match="AccessDenied"):
            call(operation)
    with pytest.raises(ClientError, match="AccessDenied"):
        dynamodb.describe_table(TableName=name)
    assert signed_call(virga, "DeleteResourcePolicy", {"ResourceArn": table_arn})[0] == 200
    dynamodb.describe_table(TableName=name)


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


def test_rows_are_asked_for_in_every_way_to_reach_them(dynamodb, sorted_table, user):
    client, arn, allow = user
    mine, yours = arn.rsplit("/", 1)[1], "not-" + arn.rsplit("/", 1)[1]
    t = sorted_table
    for whose in (mine, yours):
        dynamodb.put_item(TableName=t, Item={"p": {"S": whose}, "s": {"N": "1"}, "g": {"S": whose}, "l": {"S": "l"}})

    def ways(whose):
        p, key = {":p": {"S": whose}}, {"p": {"S": whose}, "s": {"N": "1"}}
        text = f"SELECT * FROM \"{t}\" WHERE p = '{whose}' AND s = 1"
        of_both = {"p": {"S": mine}, "s": {"N": "2"}}
        yield lambda: client.get_item(TableName=t, Key=key)
        yield lambda: client.query(TableName=t, KeyConditionExpression="p = :p", ExpressionAttributeValues=p)
        yield lambda: client.query(TableName=t, IndexName="lsi", KeyConditionExpression="p = :p", ExpressionAttributeValues=p)
        yield lambda: client.query(TableName=t, IndexName="gsi", KeyConditionExpression="#g = :p", ExpressionAttributeValues=p, ExpressionAttributeNames={"#g": "g"})
        yield lambda: client.query(TableName=t, KeyConditions={"p": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": whose}]}})
        yield lambda: client.batch_get_item(RequestItems={t: {"Keys": [of_both, key]}})
        yield lambda: client.batch_write_item(RequestItems={t: [{"DeleteRequest": {"Key": of_both}}, {"PutRequest": {"Item": {**key, "s": {"N": "3"}}}}]})
        yield lambda: client.transact_get_items(TransactItems=[{"Get": {"TableName": t, "Key": of_both}}, {"Get": {"TableName": t, "Key": key}}])
        yield lambda: client.transact_write_items(TransactItems=[{"ConditionCheck": {"TableName": t, "Key": key, "ConditionExpression": "attribute_exists(p)"}}])
        yield lambda: client.execute_statement(Statement=text)
        yield lambda: client.execute_statement(Statement=f"SELECT * FROM \"{t}\" WHERE p IN ('{mine}', '{whose}0')" if whose != mine else text)
        yield lambda: client.execute_statement(Statement=f"SELECT * FROM \"{t}\".gsi WHERE g = '{whose}'")
        yield lambda: client.execute_statement(Statement=f"INSERT INTO \"{t}\" VALUE {{'p': '{whose}', 's': 4}}")
        yield lambda: client.execute_statement(Statement=f"UPDATE \"{t}\" SET a = 1 WHERE p = '{whose}' AND s = 4")
        yield lambda: client.execute_statement(Statement=f"DELETE FROM \"{t}\" WHERE p = '{whose}' AND s = 4")
        yield lambda: client.execute_transaction(TransactStatements=[{"Statement": text}])
    allow(Action="dynamodb:*", Resource="*", Condition={
        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [mine]}, "Null": {"dynamodb:LeadingKeys": "false"}})
    for way in ways(mine):
        way()
    for way in ways(yours):
        with pytest.raises(ClientError, match="AccessDenied"):
            way()
    for way in (lambda: client.scan(TableName=t), lambda: client.execute_statement(Statement=f'SELECT * FROM "{t}"')):
        with pytest.raises(ClientError, match="AccessDenied"):
            way()
    # Of a batch of statements each is allowed or refused for itself.
    out = client.batch_execute_statement(Statements=[{"Statement": f"SELECT * FROM \"{t}\" WHERE p = '{p}' AND s = 1"} for p in (yours, mine)])["Responses"]
    assert out[0]["Error"]["Code"] == "AccessDenied" and "dynamodb:PartiQLSelect" in out[0]["Error"]["Message"]
    assert out[1]["Item"]["p"] == {"S": mine}


def test_attributes_and_what_is_returned_are_asked_for(dynamodb, sorted_table, user, p):
    client, _, allow = user
    t, key = sorted_table, {"p": p, "s": {"N": "1"}}
    dynamodb.put_item(TableName=t, Item={**key, "open": {"S": "o"}, "secret": {"S": "x"}})
    allow(Action="dynamodb:*", Resource="*", Condition={
        "ForAllValues:StringEquals": {"dynamodb:Attributes": ["p", "s", "open"]},
        "StringEqualsIfExists": {"dynamodb:Select": "SPECIFIC_ATTRIBUTES", "dynamodb:ReturnValues": ["NONE", "UPDATED_OLD", "UPDATED_NEW"]}})
    update = {"TableName": t, "Key": key, "UpdateExpression": "SET #o = :v", "ExpressionAttributeNames": {"#o": "open"}, "ExpressionAttributeValues": {":v": {"S": "n"}}}
    where = f"""WHERE p = '{p["S"]}' AND s = 1"""
    some = {"ProjectionExpression": "#o", "ExpressionAttributeNames": {"#o": "open"}}
    secret = {"ProjectionExpression": "#o", "ExpressionAttributeNames": {"#o": "secret"}}
    of_p = {"KeyConditionExpression": "p = :p", "ExpressionAttributeValues": {":p": p}}
    for way in (lambda: client.get_item(TableName=t, Key=key, **some), lambda: client.get_item(TableName=t, Key=key, AttributesToGet=["open"]),
                lambda: client.batch_get_item(RequestItems={t: {"Keys": [key], **some}}), lambda: client.query(TableName=t, **of_p, **some),
                lambda: client.put_item(TableName=t, Item={**key, "s": {"N": "2"}, "open": {"S": "o"}}), lambda: client.update_item(**update),
                lambda: client.update_item(**update, ReturnValues="UPDATED_NEW"),
                lambda: client.execute_statement(Statement=f'UPDATE "{t}" SET open = 1 {where} RETURNING MODIFIED OLD *')):
        way()
    for way in (lambda: client.get_item(TableName=t, Key=key), lambda: client.get_item(TableName=t, Key=key, **secret),
                lambda: client.batch_get_item(RequestItems={t: {"Keys": [key]}}), lambda: client.batch_get_item(RequestItems={t: {"Keys": [key], **secret}}),
                lambda: client.transact_get_items(TransactItems=[{"Get": {"TableName": t, "Key": key}}]),
                lambda: client.query(TableName=t, **of_p), lambda: client.query(TableName=t, **of_p, Select="COUNT"),
                lambda: client.query(TableName=t, **of_p, **some, FilterExpression="secret = :p"), lambda: client.scan(TableName=t),
                lambda: client.put_item(TableName=t, Item={**key, "secret": p}), lambda: client.update_item(**update, ReturnValues="ALL_NEW"),
                lambda: client.update_item(**update, ConditionExpression="attribute_exists(secret)"),
                lambda: client.execute_statement(Statement=f'UPDATE "{t}" SET open = 1 {where} RETURNING ALL OLD *')):
        with pytest.raises(ClientError, match="AccessDenied"):
            way()
    # Transactions and what is told of the cost are conditions too.
    allow(Action="dynamodb:*", Resource="*", Condition={
        "StringEquals": {"dynamodb:EnclosingOperation": ["TransactWriteItems", "ExecuteTransaction"]},
        "StringEqualsIfExists": {"dynamodb:ReturnConsumedCapacity": "NONE"}})
    put = {"TransactItems": [{"Put": {"TableName": t, "Item": {**key, "s": {"N": "3"}}}}]}
    client.transact_write_items(**put)
    client.execute_transaction(TransactStatements=[{"Statement": f'SELECT * FROM "{t}" {where}'}])
    for way in (lambda: client.transact_write_items(**put, ReturnConsumedCapacity="TOTAL"), lambda: client.put_item(TableName=t, Item=key),
                lambda: client.transact_get_items(TransactItems=[{"Get": {"TableName": t, "Key": key}}]),
                lambda: client.execute_statement(Statement=f'SELECT * FROM "{t}" {where}')):
        with pytest.raises(ClientError, match="AccessDenied"):
            way()
