"""Who one is, and becoming somebody else for a while."""

import json

import pytest
import requests
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError


def refused(call, **parameters):
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return raised.value.response["Error"]["Code"], raised.value.response["Error"]["Message"]


def document(**statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


ACCOUNT = {"AWS": "arn:aws:iam::000000000000:root"}


@pytest.fixture(scope="session")
def sts(virga):
    return virga.client("sts")


@pytest.fixture
def role(virga, name):
    """A role that its account may assume and that may list users."""
    iam = virga.client("iam")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(
        Principal=ACCOUNT, Action=["sts:AssumeRole", "sts:TagSession"]))["Role"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(Action="iam:List*", Resource="*"))
    return made


def session_client(virga, service, credentials):
    return virga.client(service, credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])


def test_caller_identity(sts):
    me = sts.get_caller_identity()
    assert (me["Account"], me["UserId"], me["Arn"]) == ("000000000000", "000000000000", "arn:aws:iam::000000000000:root")


def test_unknown_keys(virga):
    assert refused(virga.client("sts", "AKIAUNKNOWN", "x").get_caller_identity) == (
        "InvalidClientTokenId", "The security token included in the request is invalid.")
    assert refused(virga.client("sts", token="nonsense").get_caller_identity)[0] == "InvalidClientTokenId"


def test_assume_role(virga, sts, role, name):
    out = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="job")
    assert out["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::000000000000:assumed-role/{name}/job"
    assert out["AssumedRoleUser"]["AssumedRoleId"] == role["RoleId"] + ":job"
    mine = out["Credentials"]
    assert session_client(virga, "sts", mine).get_caller_identity()["Arn"] == out["AssumedRoleUser"]["Arn"]
    assert session_client(virga, "iam", mine).list_users()
    assert refused(session_client(virga, "iam", mine).create_user, UserName="x")[0] == "AccessDenied"
    # The key alone is worth nothing, nor is another session's token with it.
    assert refused(virga.client("sts", mine["AccessKeyId"], mine["SecretAccessKey"]).get_caller_identity)[0] == "InvalidClientTokenId"
    other = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="other")["Credentials"]
    mixed = virga.client("sts", mine["AccessKeyId"], mine["SecretAccessKey"], other["SessionToken"])
    assert refused(mixed.get_caller_identity)[0] == "InvalidClientTokenId"


def test_session_policy_and_tags(virga, sts, role):
    out = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="job", Tags=[{"Key": "team", "Value": "blue"}],
                          Policy=document(Action="iam:ListRoles", Resource="*",
                                          Condition={"StringEquals": {"aws:PrincipalTag/team": "blue"}}))
    mine = session_client(virga, "iam", out["Credentials"])
    assert mine.list_roles()["Roles"]
    assert refused(mine.list_users)[1].endswith("because no session policy allows the iam:ListUsers action")


def test_only_who_is_trusted(virga, sts, name):
    iam = virga.client("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(
        Principal={"Service": "lambda.amazonaws.com"}, Action="sts:AssumeRole"))["Role"]["Arn"]
    assert refused(sts.assume_role, RoleArn=arn, RoleSessionName="job") == (
        "AccessDenied", f"User: arn:aws:iam::000000000000:root is not authorized to perform: sts:AssumeRole on resource: {arn}")
    assert refused(sts.assume_role, RoleArn=arn + "-none", RoleSessionName="job")[0] == "AccessDenied"


def test_session_token(virga, sts):
    mine = sts.get_session_token(DurationSeconds=900)["Credentials"]
    assert session_client(virga, "sts", mine).get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"


# Presigned GetCallerIdentity is how Kubernetes and Vault authenticate.
def test_presigned(virga):
    request = AWSRequest("GET", virga.url + "/?Action=GetCallerIdentity&Version=2011-06-15")
    SigV4QueryAuth(Credentials("test", "test"), "sts", "us-east-1", expires=60).add_auth(request)
    answer = requests.get(request.prepare().url, timeout=10)
    assert answer.status_code == 200 and "arn:aws:iam::000000000000:root" in answer.text
    tampered = requests.get(request.prepare().url.replace("Version=2011-06-15", "Version=2011-06-16"), timeout=10)
    assert tampered.status_code == 403 and "SignatureDoesNotMatch" in tampered.text


def test_unsigned(virga):
    answer = requests.post(virga.url, data={"Action": "GetCallerIdentity", "Version": "2011-06-15"}, timeout=10)
    assert answer.status_code == 403 and "MissingAuthenticationToken" in answer.text
