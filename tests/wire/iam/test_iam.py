"""Users, roles, policies and keys, and that permissions are enforced on real calls."""

import json

import pytest
from botocore.exceptions import ClientError

from support import zipped


def refused(call, **parameters):
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return raised.value.response["Error"]["Code"], raised.value.response["Error"]["Message"]


def policy(action, resource="*", effect="Allow", **more):
    return json.dumps({"Version": "2012-10-17",
                       "Statement": [{"Effect": effect, "Action": action, "Resource": resource, **more}]})


def trust(principal):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]})


LAMBDA = {"Service": "lambda.amazonaws.com"}


@pytest.fixture(scope="session")
def iam(virga):
    return virga.client("iam")


@pytest.fixture
def user(virga, iam, name):
    """A user without permissions, with a key: (name, a function that makes its clients)."""
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return name, lambda service, **more: virga.client(service, key["AccessKeyId"], key["SecretAccessKey"], **more)


# The life of a user, with what boto3 makes of every answer.
def test_user_lives_and_dies(iam, name):
    made = iam.create_user(UserName=name, Path="/team/", Tags=[{"Key": "a", "Value": "b"}])["User"]
    assert made["Arn"] == f"arn:aws:iam::000000000000:user/team/{name}"
    assert made["UserId"].startswith("AIDA") and made["Tags"] == [{"Key": "a", "Value": "b"}]
    assert iam.get_user(UserName=name)["User"]["CreateDate"].year >= 2024
    assert refused(iam.create_user, UserName=name) == ("EntityAlreadyExists", f"User with name {name} already exists.")
    assert name in [u["UserName"] for page in iam.get_paginator("list_users").paginate(PathPrefix="/team/")
                    for u in page["Users"]]
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy("s3:*"))
    assert iam.get_user_policy(UserName=name, PolicyName="p")["PolicyDocument"]["Statement"][0]["Action"] == "s3:*"
    assert refused(iam.delete_user, UserName=name)[0] == "DeleteConflict"
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.delete_user(UserName=name)
    assert refused(iam.get_user, UserName=name) == ("NoSuchEntity", f"The user with name {name} cannot be found.")


# The model's constraints, in AWS's words.
def test_constraints(iam):
    code, message = refused(iam.create_user, UserName="not a name!")
    assert code == "ValidationError" and "userName" in message
    assert refused(iam.create_role, RoleName="r", AssumeRolePolicyDocument="{")[0] == "MalformedPolicyDocument"


# The path every function's deployment takes.
def test_role_for_a_function(iam, name):
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(LAMBDA), Description="d")["Role"]
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == LAMBDA
    arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == [
        {"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": arn}]
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    assert "logs:PutLogEvents" in document["Statement"][0]["Action"]
    iam.get_waiter("role_exists").wait(RoleName=name)
    assert refused(iam.delete_role, RoleName=name) == (
        "DeleteConflict", "Cannot delete entity, must detach all policies first.")
    iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    iam.delete_role(RoleName=name)


def test_managed_policy_versions(iam, name):
    arn = iam.create_policy(PolicyName=name, PolicyDocument=policy("s3:GetObject"))["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy("s3:*"), SetAsDefault=True)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v2"
    assert [v["VersionId"] for v in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == ["v2", "v1"]
    assert arn in [p["Arn"] for page in iam.get_paginator("list_policies").paginate(Scope="Local", PaginationConfig={"PageSize": 1})
                   for p in page["Policies"]]
    iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    iam.delete_policy(PolicyArn=arn)
    assert refused(iam.get_policy, PolicyArn=arn)[0] == "NoSuchEntity"


# Least privilege is the point: a key opens what its policies say, and no more, at once.
def test_permissions_are_enforced(iam, user):
    name, client = user
    code, message = refused(client("iam").list_users)
    assert code == "AccessDenied"
    assert message == (f"User: arn:aws:iam::000000000000:user/{name} is not authorized to perform: iam:ListUsers on resource: "
                       "* because no identity-based policy allows the iam:ListUsers action")
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy("iam:List*"))
    assert client("iam").list_users()["Users"]
    iam.put_user_policy(UserName=name, PolicyName="no", PolicyDocument=policy("iam:ListUsers", effect="Deny"))
    assert refused(client("iam").list_users)[1].endswith("with an explicit deny in an identity-based policy")


def test_permissions_on_one_table(virga, iam, user, name):
    dynamodb = virga.client("dynamodb")
    for table in (name, name + "-other"):
        dynamodb.create_table(TableName=table, BillingMode="PAY_PER_REQUEST",
                              KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}],
                              AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}])
    who, client = user
    iam.put_user_policy(UserName=who, PolicyName="p", PolicyDocument=policy(
        "dynamodb:*Item", f"arn:aws:dynamodb:us-east-1:000000000000:table/{name}"))
    mine = client("dynamodb")
    mine.put_item(TableName=name, Item={"p": {"S": "1"}})
    code, message = refused(mine.put_item, TableName=name + "-other", Item={"p": {"S": "1"}})
    assert code == "AccessDeniedException"
    assert f"is not authorized to perform: dynamodb:PutItem on resource: arn:aws:dynamodb:us-east-1:000000000000:table/{name}-other" in message


# Conditions on where a call comes from.
def test_conditions(iam, user):
    name, client = user
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy(
        "iam:ListUsers", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    assert refused(client("iam").list_users)[0] == "AccessDenied"
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy(
        "iam:ListUsers", Condition={"IpAddress": {"aws:SourceIp": ["127.0.0.0/8", "::1/128"]},
                                    "StringEquals": {"aws:username": name}}))
    assert client("iam").list_users()["Users"]


def test_keys(virga, iam, user, name):
    who, client = user
    client("sts").get_caller_identity()
    (key,) = iam.list_access_keys(UserName=who)["AccessKeyMetadata"]
    iam.update_access_key(UserName=who, AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert refused(client("sts").get_caller_identity)[0] == "InvalidClientTokenId"
    assert refused(client("dynamodb").list_tables)[0] == "UnrecognizedClientException"
    iam.update_access_key(UserName=who, AccessKeyId=key["AccessKeyId"], Status="Active")
    client("sts").get_caller_identity()
    wrong = virga.client("sts", key["AccessKeyId"], "wrong")
    assert refused(wrong.get_caller_identity)[0] == "SignatureDoesNotMatch"
    assert refused(virga.client("dynamodb", key["AccessKeyId"], "wrong").list_tables)[0] == "InvalidSignatureException"
    iam.create_access_key(UserName=who)
    assert refused(iam.create_access_key, UserName=who) == ("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")


def test_simulator(iam):
    results = iam.simulate_custom_policy(PolicyInputList=[policy("s3:Get*", "arn:aws:s3:::b/*")],
                                         ActionNames=["s3:GetObject", "s3:PutObject"],
                                         ResourceArns=["arn:aws:s3:::b/k"])["EvaluationResults"]
    assert [r["EvalDecision"] for r in results] == ["allowed", "implicitDeny"]


# What was acknowledged survives a kill, keys and their secrets too.
def test_survives_a_kill(own_virga, name):
    iam = own_virga.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    own_virga.kill()
    own_virga.start()
    sts = own_virga.client("sts", key["AccessKeyId"], key["SecretAccessKey"])
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::000000000000:user/{name}"


# Requests name a role without its path; what protects a path protects what is in it, and so does passing a role on.
def test_paths_protect(virga, iam, user, name):
    user_name, client = user
    role = iam.create_role(RoleName=name, Path="/admin/", AssumeRolePolicyDocument=trust(LAMBDA))["Role"]
    iam.create_user(UserName=name + "-a", Path="/admin/")
    iam.create_role(RoleName=name + "-plain", AssumeRolePolicyDocument=trust(LAMBDA))
    iam.put_user_policy(UserName=user_name, PolicyName="p", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["iam:*", "lambda:*"], "Resource": "*"},
            {"Effect": "Deny", "Action": "iam:*",
             "Resource": ["arn:aws:iam::*:role/admin/*", "arn:aws:iam::*:user/admin/*"]}]}))
    theirs = client("iam")
    for call, parameters in [
            (theirs.get_role, {"RoleName": name}),
            (theirs.update_assume_role_policy, {"RoleName": name, "PolicyDocument": trust({"AWS": "*"})}),
            (theirs.put_role_policy, {"RoleName": name, "PolicyName": "p", "PolicyDocument": policy("*")}),
            (theirs.delete_role, {"RoleName": name}),
            (theirs.create_access_key, {"UserName": name + "-a"}),
            (theirs.update_user, {"UserName": user_name, "NewPath": "/admin/"})]:
        code, message = refused(call, **parameters)
        assert code == "AccessDenied" and "explicit deny" in message and "/admin/" in message
    assert theirs.get_role(RoleName=name + "-plain")
    function = {"FunctionName": name, "Runtime": "python3.11", "Handler": "index.handler",
                "Code": {"ZipFile": zipped({"index.py": "def handler(e, c): return 1"})}}
    code, message = refused(client("lambda").create_function, Role=role["Arn"], **function)
    assert code == "AccessDeniedException" and "iam:PassRole" in message
    # Nor is it passed under an ARN without the path: that is no role.
    code, message = refused(client("lambda").create_function, Role=role["Arn"].replace("admin/", ""), **function)
    assert code == "InvalidParameterValueException" and "cannot be assumed" in message
