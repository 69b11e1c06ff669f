"""Who may call a function, and what a function may call."""

import json
import uuid

import pytest

from support import BASIC, TRUSTS_LAMBDA, error_code, eventually, zipped

CALLS = """
import boto3
lambdas, logs, sts = boto3.client('lambda'), boto3.client('logs'), boto3.client('sts')
def handler(event, context):
    try:
        if event['do'] == 'whoami': return sts.get_caller_identity()['Arn']
        if event['do'] == 'list': return len(lambdas.list_functions()['Functions'])
        if event['do'] == 'group': return logs.create_log_group(logGroupName=event['group'])['ResponseMetadata']['HTTPStatusCode']
        if event['do'] == 'invoke': return lambdas.invoke(FunctionName=event['name'])['Payload'].read().decode()
    except Exception as e:
        return e.response['Error']['Code'] + ' ' + e.response['Error']['Message']
"""


# The SDK inside a function finds Virga and its role's credentials without a word of configuration.
def test_function_is_its_role(functions):
    name = functions.make(CALLS, MemorySize=512)
    role = functions.role.rsplit("/", 1)[1]
    assert functions.call(name, {"do": "whoami"}) == f"arn:aws:sts::000000000000:assumed-role/{role}/{name}"
    short = functions.make(CALLS, FunctionName="b", MemorySize=512)  # shorter than a session's name may be
    assert functions.call(short, {"do": "whoami"}) == f"arn:aws:sts::000000000000:assumed-role/{role}/b@lambda_function"


# The role's policy is enforced: allowed calls pass, every other is denied with AWS's sentence.
def test_role_is_enforced(functions):
    role = functions.make_role([{"Effect": "Allow", "Action": "lambda:ListFunctions", "Resource": "*"}])
    name = functions.make(CALLS, Role=role, MemorySize=512)
    assert functions.call(name, {"do": "list"}) >= 1
    denied = functions.call(name, {"do": "invoke", "name": name})
    assert denied.startswith("AccessDenied") and "lambda:InvokeFunction" in denied and "is not authorized to perform" in denied


# Resources count: the same action on one function and not on another.
def test_role_is_enforced_by_resource(functions):
    target = functions.make("def handler(event, context): return 'reached'")
    other = functions.make("def handler(event, context): return 'reached'")
    role = functions.make_role([{"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": f"arn:aws:lambda:*:*:function:{target}"}])
    name = functions.make(CALLS, Role=role, MemorySize=512)
    assert functions.call(name, {"do": "invoke", "name": target}) == '"reached"'
    assert functions.call(name, {"do": "invoke", "name": other}).startswith("AccessDenied")


# A policy that changes is in force for instances that run already.
def test_change_of_policy_reaches_warm_instances(functions, virga):
    name = functions.make(CALLS, Role=functions.make_role(), MemorySize=512)
    role = functions.client.get_function_configuration(FunctionName=name)["Role"].rsplit("/", 1)[1]
    assert str(functions.call(name, {"do": "list"})).startswith("AccessDenied")
    virga.client("iam").put_role_policy(RoleName=role, PolicyName="list", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "lambda:List*", "Resource": "*"}}))
    assert functions.call(name, {"do": "list"}) >= 1


def retired(functions, name):
    """Calls from now on start instances."""
    functions.client.update_function_configuration(FunctionName=name, Environment={"Variables": {"CHANGED": uuid.uuid4().hex}})
    functions.client.get_waiter("function_updated_v2").wait(FunctionName=name)


# A session is made ahead of the start that uses it: one may still run once the role trusts Lambda no more, and no other.
def test_role_that_trusts_no_more(functions, virga):
    role = functions.make_role()
    name = functions.make(CALLS, Role=role, MemorySize=512)
    assert functions.call(name, {"do": "whoami"})
    virga.client("iam").update_assume_role_policy(RoleName=role.rsplit("/", 1)[1], PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}}))
    retired(functions, name)

    def refused():
        try:
            return not functions.call(name, {"do": "whoami"})
        except functions.client.exceptions.InvalidParameterValueException as e:
            return "cannot be assumed by Lambda" in str(e)
    eventually(refused)
    assert refused()


# A role of the same name is another: instances that have the former's session don't stay.
def test_role_that_was_made_anew(functions, virga):
    iam = virga.client("iam")
    role = functions.make_role()
    name = functions.make(CALLS, Role=role, MemorySize=512)
    role_name = role.rsplit("/", 1)[1]
    iam.detach_role_policy(RoleName=role_name, PolicyArn=BASIC)
    iam.delete_role(RoleName=role_name)
    iam.create_role(RoleName=role_name, AssumeRolePolicyDocument=TRUSTS_LAMBDA)
    iam.put_role_policy(RoleName=role_name, PolicyName="list", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "lambda:List*", "Resource": "*"}}))
    eventually(lambda: not str(functions.call(name, {"do": "list"})).startswith(("AccessDenied", "InvalidClientTokenId")))


@pytest.fixture
def user(virga):
    """A user without permissions, and a client of theirs."""
    iam = virga.client("iam")
    name = "u-" + uuid.uuid4().hex[:12]
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    key = iam.create_access_key(UserName=name)["AccessKey"]

    def client(service):
        return virga.client(service, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])
    return arn, client


# Without a policy nothing is allowed; the error names who, what and which function.
def test_user_without_permission(functions, user):
    name = functions.make("def handler(event, context): return 1")
    arn, client = user
    code, message = error_code(client("lambda").invoke, FunctionName=name)
    assert code == "AccessDeniedException"
    assert arn in message and "lambda:InvokeFunction" in message and name in message


# A permission on the function is enough within the account; its removal takes it back.
def test_resource_policy(functions, user):
    name = functions.make("def handler(event, context): return 'in'")
    arn, client = user
    statement = functions.client.add_permission(FunctionName=name, StatementId="let", Action="lambda:InvokeFunction", Principal=arn)
    assert json.loads(statement["Statement"])["Principal"] == {"AWS": arn}
    assert json.loads(client("lambda").invoke(FunctionName=name)["Payload"].read()) == "in"
    policy = json.loads(functions.client.get_policy(FunctionName=name)["Policy"])
    assert [s["Sid"] for s in policy["Statement"]] == ["let"]
    assert error_code(functions.client.add_permission, FunctionName=name, StatementId="let", Action="lambda:InvokeFunction",
                      Principal=arn)[0] == "ResourceConflictException"
    functions.client.remove_permission(FunctionName=name, StatementId="let")
    assert error_code(client("lambda").invoke, FunctionName=name)[0] == "AccessDeniedException"
    assert error_code(functions.client.get_policy, FunctionName=name)[0] == "ResourceNotFoundException"


# A statement that nobody can read would keep the owner out too.
def test_principals_that_are_none(functions):
    name = functions.make("def handler(event, context): return 'in'")
    for principal in ("abc", "123", "arn:bogus", "{}", 'a"b'):
        code, message = error_code(functions.client.add_permission, FunctionName=name, StatementId="let",
                                   Action="lambda:InvokeFunction", Principal=principal)
        assert code == "InvalidParameterValueException" and message.startswith("The provided principal was invalid.")
    assert functions.call(name) == "in"


# Passing a role to a function is a right of its own: else anybody who may create functions has every role.
def test_pass_role(functions, user, virga):
    _, client = user
    iam = virga.client("iam")
    name = user[0].rsplit("/", 1)[1]

    def allow(*actions):
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": list(actions), "Resource": "*"}}))
    allow("lambda:*")
    code, message = error_code(client("lambda").create_function, FunctionName=name, Runtime="python3.11", Role=functions.role,
                               Handler="index.handler", Code={"ZipFile": zipped({"index.py": "def handler(event, context): return 1"})})
    assert code == "AccessDeniedException" and "iam:PassRole" in message and functions.role in message
    own = functions.make("def handler(event, context): return 1")
    assert error_code(client("lambda").update_function_configuration, FunctionName=own, Role=functions.role)[0] == "AccessDeniedException"
    allow("lambda:*", "iam:PassRole")
    client("lambda").update_function_configuration(FunctionName=own, Role=functions.role)


ESCAPES = """
import boto3, os, urllib.error, urllib.request
def handler(event, context):
    out = {}
    root = boto3.client('sts', aws_access_key_id='test', aws_secret_access_key='test', aws_session_token=None)
    try:
        out['key'] = root.get_caller_identity()['Arn']
    except Exception as e:
        out['key'] = e.response['Error']['Code']
    for path in ('health', 'metrics'):
        try:
            out[path] = urllib.request.urlopen(os.environ['AWS_ENDPOINT_URL'] + '/_virga/' + path).status
        except urllib.error.HTTPError as e:
            out[path] = e.code
    return out
"""


# The development key is the operator's: a function that tries it, or Virga's own paths, gets nowhere.
def test_function_is_not_the_operator(functions):
    name = functions.make(ESCAPES, MemorySize=512)
    found = functions.call(name)
    assert found["key"] == "InvalidClientTokenId"
    assert found["health"] >= 400 and found["metrics"] >= 400
