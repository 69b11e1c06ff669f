"""The aws cli that Debian packages, as a user types it."""

import json

from support import eventually, zipped


def test_sts(virga):
    assert json.loads(virga.cli("sts", "get-caller-identity").stdout)["Account"] == "000000000000"
    assert virga.cli("sts", "get-caller-identity", "--query", "Arn", "--output", "text").stdout == "arn:aws:iam::000000000000:root\n"


def test_lambda(virga, functions, tmp_path, name):
    package, answer = tmp_path / "package.zip", tmp_path / "answer.json"
    package.write_bytes(zipped({"index.py": "def handler(event, context):\n    print('from the cli')\n    return event"}))
    made = json.loads(virga.cli("lambda", "create-function", "--function-name", name, "--runtime", "python3.11", "--handler", "index.handler",
                                "--role", functions.role, "--zip-file", f"fileb://{package}").stdout)
    assert made["State"] == "Pending"
    virga.cli("lambda", "wait", "function-active-v2", "--function-name", name)
    told = json.loads(virga.cli("lambda", "invoke", "--function-name", name, "--cli-binary-format", "raw-in-base64-out",
                                "--payload", '{"n": 1}', str(answer)).stdout)
    assert told["StatusCode"] == 200 and json.loads(answer.read_text()) == {"n": 1}
    lines = eventually(lambda: (lambda t: t if "REPORT" in t else None)(
        virga.cli("logs", "tail", f"/aws/lambda/{name}", "--since", "5m", "--format", "short", check=False).stdout))
    assert "from the cli" in lines
    virga.cli("lambda", "delete-function", "--function-name", name)


# An error is the one line that scripts look for.
def test_errors(virga):
    failed = virga.cli("lambda", "get-function", "--function-name", "no-such-function", check=False)
    assert failed.returncode != 0 and "An error occurred (ResourceNotFoundException) when calling the GetFunction operation: Function not found" in failed.stderr


def test_dynamodb(virga, name):
    virga.cli("dynamodb", "create-table", "--table-name", name, "--billing-mode", "PAY_PER_REQUEST",
              "--attribute-definitions", "AttributeName=id,AttributeType=S", "--key-schema", "AttributeName=id,KeyType=HASH")
    virga.cli("dynamodb", "wait", "table-exists", "--table-name", name)
    virga.cli("dynamodb", "put-item", "--table-name", name, "--item", '{"id": {"S": "1"}, "n": {"N": "5"}}')
    assert json.loads(virga.cli("dynamodb", "scan", "--table-name", name).stdout)["Items"] == [{"id": {"S": "1"}, "n": {"N": "5"}}]
    virga.cli("dynamodb", "delete-table", "--table-name", name)


def test_cloudformation(virga, tmp_path, name):
    template = tmp_path / "template.yaml"
    template.write_text("Resources:\n  Group:\n    Type: AWS::Logs::LogGroup\n    Properties:\n      RetentionInDays: 7\n"
                        "Outputs:\n  Name:\n    Value: !Ref Group\n")
    virga.cli("cloudformation", "deploy", "--stack-name", name, "--template-file", str(template))
    stack = json.loads(virga.cli("cloudformation", "describe-stacks", "--stack-name", name).stdout)["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE" and stack["Outputs"][0]["OutputValue"]
    virga.cli("cloudformation", "delete-stack", "--stack-name", name)
    virga.cli("cloudformation", "wait", "stack-delete-complete", "--stack-name", name)


def test_iam(virga, name):
    virga.cli("iam", "create-user", "--user-name", name)
    assert json.loads(virga.cli("iam", "get-user", "--user-name", name).stdout)["User"]["UserName"] == name
    virga.cli("iam", "delete-user", "--user-name", name)
