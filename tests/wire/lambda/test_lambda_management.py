"""Code signing configurations as records, and runtime management."""

import pytest

from raw import Raw
from support import error_code, zipped

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
    without = client.get_function_code_signing_config(FunctionName=name)
    assert without.keys() == {"ResponseMetadata"}
    client.put_function_code_signing_config(FunctionName=name, CodeSigningConfigArn=arn)
    client.delete_function(FunctionName=name)
    assert client.update_code_signing_config(CodeSigningConfigArn=arn, Description="e")["CodeSigningConfig"]["Description"] == "e"
    assert arn in [c["CodeSigningConfigArn"] for c in client.list_code_signing_configs()["CodeSigningConfigs"]]
    client.delete_code_signing_config(CodeSigningConfigArn=arn)
    assert error_code(client.get_code_signing_config, CodeSigningConfigArn=arn)[0] == "ResourceNotFoundException"


def test_enforced_code_signing_takes_no_unsigned_code(functions):
    client = functions.client
    publishers = {"SigningProfileVersionArns": [PROFILE]}
    made = client.create_code_signing_config(AllowedPublishers=publishers)["CodeSigningConfig"]
    arn = made["CodeSigningConfigArn"]
    name = functions.make("def handler(event, context): return 1", CodeSigningConfigArn=arn)
    changed = client.update_code_signing_config(
        CodeSigningConfigArn=arn, CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"})["CodeSigningConfig"]
    assert changed["CodeSigningPolicies"]["UntrustedArtifactOnDeployment"] == "Enforce"
    other = {"ZipFile": zipped({"index.py": "def handler(event, context): return 2"})}
    layer = client.publish_layer_version(LayerName=name, Content={"ZipFile": zipped({"python/more.py": ""})})["LayerVersionArn"]
    for call, options in ((client.update_function_code, other), (client.update_function_configuration, {"Layers": [layer]})):
        assert error_code(call, FunctionName=name, **options)[0] == "CodeVerificationFailedException"
    with pytest.raises(client.exceptions.CodeVerificationFailedException):
        functions.make("def handler(event, context): return 1", CodeSigningConfigArn=arn)
    assert functions.call(name) == 1  # what was there before goes on
    client.delete_function_code_signing_config(FunctionName=name)
    client.update_function_code(FunctionName=name, **other)
    client.update_function_configuration(FunctionName=name, Layers=[layer])
    assert functions.call(name) == 2
    client.delete_code_signing_config(CodeSigningConfigArn=arn)


def test_tags_of_code_signing(functions, virga):
    client = functions.client
    arn = client.create_code_signing_config(AllowedPublishers={"SigningProfileVersionArns": [PROFILE]})["CodeSigningConfig"]["CodeSigningConfigArn"]
    client.tag_resource(Resource=arn, Tags={"a": "1", "b": "2"})
    client.untag_resource(Resource=arn, TagKeys=["a"])
    assert client.list_tags(Resource=arn)["Tags"] == {"b": "2"}
    client.delete_code_signing_config(CodeSigningConfigArn=arn)
    assert error_code(client.list_tags, Resource=arn)[0] == "ResourceNotFoundException"


def test_runtime_management(functions, virga):
    api = Raw(virga).api
    name = functions.make("def handler(event, context): return 1")
    path = f"/2021-07-20/functions/{name}/runtime-management-config"
    status, got = api("GET", path)
    assert status == 200 and got["UpdateRuntimeOn"] == "Auto" and got["FunctionArn"].endswith(":$LATEST")
    assert api("PUT", path, {"UpdateRuntimeOn": "FunctionUpdate"})[0] == 200
    assert api("GET", path)[1]["UpdateRuntimeOn"] == "FunctionUpdate"
    assert api("PUT", path, {"UpdateRuntimeOn": "Manual"})[0] == 400


# What runs here is what it runs on, and nothing else can be asked for.
def test_runtime_version(functions, virga):
    api = Raw(virga).api
    name = functions.make("import platform\ndef handler(event, context): return platform.python_version()")
    arn = f"arn:aws:lambda:us-east-1::runtime:python{functions.call(name)}"
    path = f"/2021-07-20/functions/{name}/runtime-management-config"
    function = f"/2015-03-31/functions/{name}"
    told = api("GET", function)[1]["Configuration"], api("POST", f"{function}/versions", {})[1], api("GET", f"{function}/configuration")[1]
    assert [t["RuntimeVersionConfig"] for t in told] == [{"RuntimeVersionArn": arn}] * 3
    assert "RuntimeVersionConfig" not in api("GET", f"{function}/versions")[1]["Versions"][0]
    status, answer = api("PUT", path, {"UpdateRuntimeOn": "Manual", "RuntimeVersionArn": arn + "9"})
    assert status == 400 and "is not served by Virga" in answer["message"]
    pinned = {"UpdateRuntimeOn": "Manual", "RuntimeVersionArn": arn}
    assert {**api("PUT", path, pinned)[1], **pinned} == api("GET", path)[1]
