"""Code signing configurations as records, and runtime management."""

from raw import Raw
from support import error_code

PROFILE = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/mine/abcdefghij"


def test_code_signing(functions):
    client = functions.client
    made = client.create_code_signing_config(AllowedPublishers={"SigningProfileVersionArns": [PROFILE]}, Description="d")["CodeSigningConfig"]
    arn = made["CodeSigningConfigArn"]
    assert made["CodeSigningPolicies"] == {"UntrustedArtifactOnDeployment": "Warn"} and made["CodeSigningConfigId"] in arn
    name = functions.make("def handler(event, context): return 1", CodeSigningConfigArn=arn)
    assert client.get_function_code_signing_config(FunctionName=name)["CodeSigningConfigArn"] == arn
    assert [a.rsplit(":", 1)[1] for a in client.list_functions_by_code_signing_config(CodeSigningConfigArn=arn)["FunctionArns"]] == [name]
    assert error_code(client.delete_code_signing_config, CodeSigningConfigArn=arn)[0] == "ResourceConflictException"
    client.delete_function_code_signing_config(FunctionName=name)
    assert client.get_function_code_signing_config(FunctionName=name)["CodeSigningConfigArn"] == ""
    client.put_function_code_signing_config(FunctionName=name, CodeSigningConfigArn=arn)
    client.delete_function(FunctionName=name)
    assert client.update_code_signing_config(CodeSigningConfigArn=arn, Description="e")["CodeSigningConfig"]["Description"] == "e"
    assert arn in [c["CodeSigningConfigArn"] for c in client.list_code_signing_configs()["CodeSigningConfigs"]]
    client.delete_code_signing_config(CodeSigningConfigArn=arn)
    assert error_code(client.get_code_signing_config, CodeSigningConfigArn=arn)[0] == "ResourceNotFoundException"
    enforce = {"UntrustedArtifactOnDeployment": "Enforce"}
    assert "not served" in error_code(client.create_code_signing_config, AllowedPublishers={"SigningProfileVersionArns": [PROFILE]}, CodeSigningPolicies=enforce)[1]


def test_runtime_management(functions, virga):
    api = Raw(virga).api
    name = functions.make("def handler(event, context): return 1")
    path = f"/2021-07-20/functions/{name}/runtime-management-config"
    status, got = api("GET", path)
    assert status == 200 and got["UpdateRuntimeOn"] == "Auto" and got["FunctionArn"].endswith(":$LATEST")
    assert api("PUT", path, {"UpdateRuntimeOn": "FunctionUpdate"})[0] == 200
    assert api("GET", path)[1]["UpdateRuntimeOn"] == "FunctionUpdate"
    assert api("PUT", path, {"UpdateRuntimeOn": "Manual"})[0] == 400
