"""Versions, aliases and layers."""

import collections
import json

from support import error_code, zipped


def numbered(n):
    return f"def handler(event, context): return [{n}, context.function_version]"


# A published version keeps its code and settings whatever happens to $LATEST.
def test_version_is_frozen(functions):
    name = functions.make(numbered(1), Description="first")
    published = functions.client.publish_version(FunctionName=name)
    assert published["Version"] == "1" and published["FunctionArn"].endswith(":1")
    functions.client.update_function_code(FunctionName=name, ZipFile=zipped({"index.py": numbered(2)}))
    functions.client.update_function_configuration(FunctionName=name, Description="second")
    assert functions.call(name, Qualifier="1") == [1, "1"]
    assert functions.call(name) == [2, "$LATEST"]
    assert functions.client.get_function_configuration(FunctionName=name, Qualifier="1")["Description"] == "first"
    assert functions.client.get_function_configuration(FunctionName=name + ":1")["Version"] == "1"


# Publishing what hasn't changed since gives the same version, so that deployments can be repeated.
def test_publish_without_a_change(functions):
    name = functions.make(numbered(1))
    publish = functions.client.publish_version
    assert publish(FunctionName=name)["Version"] == publish(FunctionName=name)["Version"] == "1"
    functions.client.update_function_configuration(FunctionName=name, Timeout=5)
    assert publish(FunctionName=name)["Version"] == "2"
    versions = functions.client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [v["Version"] for v in versions] == ["$LATEST", "1", "2"]


def test_publish_guards_the_code(functions):
    name = functions.make(numbered(1))
    code, _ = error_code(functions.client.publish_version, FunctionName=name, CodeSha256="bm8=")
    assert code == "InvalidParameterValueException"


# Numbers are not used again: an alias must never mean other code than it did.
def test_version_numbers_go_up(functions):
    name = functions.make(numbered(1))
    functions.client.publish_version(FunctionName=name)
    functions.client.delete_function(FunctionName=name, Qualifier="1")
    assert error_code(functions.client.invoke, FunctionName=name, Qualifier="1")[0] == "ResourceNotFoundException"
    functions.client.update_function_configuration(FunctionName=name, Timeout=5)
    assert functions.client.publish_version(FunctionName=name)["Version"] == "2"


# An alias moves from version to version; callers keep its name.
def test_alias(functions):
    name = functions.make(numbered(1), Publish=True)
    made = functions.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert made["AliasArn"].endswith(f":{name}:live")
    assert functions.call(name, Qualifier="live") == [1, "1"]
    functions.client.update_function_code(FunctionName=name, ZipFile=zipped({"index.py": numbered(2)}), Publish=True)
    assert functions.call(name + ":live") == [1, "1"]
    functions.client.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    assert functions.call(name, Qualifier="live") == [2, "2"]
    assert [a["Name"] for a in functions.client.list_aliases(FunctionName=name)["Aliases"]] == ["live"]
    assert error_code(functions.client.create_alias, FunctionName=name, Name="live", FunctionVersion="1")[0] == "ResourceConflictException"
    assert error_code(functions.client.delete_function, FunctionName=name, Qualifier="2")[0] == "ResourceConflictException"
    functions.client.delete_alias(FunctionName=name, Name="live")
    assert error_code(functions.client.get_alias, FunctionName=name, Name="live")[0] == "ResourceNotFoundException"


# The arn a function sees is the one it was called by.
def test_invoked_arn_has_the_alias(functions):
    name = functions.make("def handler(event, context): return context.invoked_function_arn", Publish=True)
    functions.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert functions.call(name).endswith(":" + name)
    assert functions.call(name, Qualifier="live").endswith(f":{name}:live")


# Weights send a share of calls to the second version; the executed version is said in the answer.
def test_alias_weights(functions):
    name = functions.make(numbered(1), Publish=True)
    functions.client.update_function_code(FunctionName=name, ZipFile=zipped({"index.py": numbered(2)}), Publish=True)
    functions.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
    counts = collections.Counter()
    for _ in range(60):
        answer = functions.client.invoke(FunctionName=name, Qualifier="live")
        counts[answer["ExecutedVersion"]] += 1
    assert counts["1"] > 10 and counts["2"] > 10, counts


# A layer's Python modules can be imported, from the function's own imports too; a later layer lies over an earlier one.
def test_layers(functions, name):
    publish = functions.client.publish_layer_version
    one = publish(LayerName=name, Content={"ZipFile": zipped({"python/shared.py": "value = 'one'", "data.txt": "first"})}, CompatibleRuntimes=["python3.11"])
    newer = publish(LayerName=name, Content={"ZipFile": zipped({"data.txt": "newer"})})
    two = publish(LayerName=name + "-2", Content={"ZipFile": zipped({"python/extra.py": "value = 'two'", "data.txt": "second"})})
    assert one["Version"] == 1 and newer["Version"] == 2 and one["LayerVersionArn"].endswith(":1")
    function = functions.make("import shared, extra\ndef handler(event, context): return [shared.value, extra.value, open('/opt/data.txt').read()]",
                              Layers=[one["LayerVersionArn"], two["LayerVersionArn"]])
    assert functions.call(function) == ["one", "two", "second"]
    layers = functions.client.get_function_configuration(FunctionName=function)["Layers"]
    assert [layer["Arn"] for layer in layers] == [one["LayerVersionArn"], two["LayerVersionArn"]]
    listed = functions.client.list_layer_versions(LayerName=name)["LayerVersions"]
    assert [v["Version"] for v in listed] == [2, 1]
    assert name in [layer["LayerName"] for layer in functions.client.list_layers()["Layers"]]
    assert functions.client.get_layer_version_by_arn(Arn=one["LayerVersionArn"])["CompatibleRuntimes"] == ["python3.11"]


# A function keeps a layer that is deleted after it was made: AWS says so, and code must not vanish.
def test_deleted_layer_stays_in_use(functions, name):
    arn = functions.client.publish_layer_version(LayerName=name, Content={"ZipFile": zipped({"python/shared.py": "value = 1"})})["LayerVersionArn"]
    function = functions.make("import shared\ndef handler(event, context): return shared.value", Layers=[arn])
    functions.client.delete_layer_version(LayerName=name, VersionNumber=1)
    assert functions.call(function) == 1
    assert error_code(functions.make, "", Layers=[arn])[0] == "InvalidParameterValueException"


def test_unknown_layer(functions, name):
    code, message = error_code(functions.make, "", Layers=[f"arn:aws:lambda:us-east-1:000000000000:layer:{name}:1"])
    assert code == "InvalidParameterValueException" and name in message


# A layer's code is read by whoever runs it: adding it takes the permission to read it.
def test_layers_take_permission(virga, functions, name):
    arn = functions.client.publish_layer_version(LayerName=name, Content={"ZipFile": zipped({"python/shared.py": "value = 1"})})["LayerVersionArn"]
    function = functions.make(numbered(1))
    iam = virga.client("iam")
    iam.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": ["lambda:UpdateFunctionConfiguration"], "Resource": "*"}
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    theirs = virga.client("lambda", key["AccessKeyId"], key["SecretAccessKey"])
    code, message = error_code(theirs.update_function_configuration, FunctionName=function, Layers=[arn])
    assert code == "AccessDeniedException" and "lambda:GetLayerVersion" in message
    statement["Action"].append("lambda:GetLayerVersion")
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert theirs.update_function_configuration(FunctionName=function, Layers=[arn])["Layers"][0]["Arn"] == arn


# The policy of a layer's version changes under revisions like a function's, and has the same limit.
def test_layer_policy(functions, name):
    client, version = functions.client, {"LayerName": name, "VersionNumber": 1}
    client.publish_layer_version(LayerName=name, Content={"ZipFile": zipped({"python/shared.py": "value = 1"})})
    assert error_code(client.get_layer_version_policy, **version)[0] == "ResourceNotFoundException"

    def add(statement, **options):
        return client.add_layer_version_permission(
            **version, StatementId=statement, Action="lambda:GetLayerVersion", Principal="*", **options)

    first = add("a")
    shown = client.get_layer_version_policy(**version)
    assert shown["RevisionId"] == first["RevisionId"]
    assert [s["Sid"] for s in json.loads(shown["Policy"])["Statement"]] == ["a"]
    assert error_code(add, "a")[0] == "ResourceConflictException"
    second = add("b", RevisionId=first["RevisionId"])
    assert error_code(add, "c", RevisionId=first["RevisionId"])[0] == "PreconditionFailedException"
    code, message = error_code(lambda: [add("s" * 90 + str(n)) for n in range(120)])
    assert code == "PolicyLengthExceededException" and "20480" in message
    assert error_code(client.remove_layer_version_permission, **version, StatementId="a",
                      RevisionId=second["RevisionId"])[0] == "PreconditionFailedException"
    for statement in json.loads(client.get_layer_version_policy(**version)["Policy"])["Statement"]:
        client.remove_layer_version_permission(**version, StatementId=statement["Sid"])
    assert error_code(client.get_layer_version_policy, **version)[0] == "ResourceNotFoundException"
    assert error_code(client.remove_layer_version_permission, **version, StatementId="a")[0] == "ResourceNotFoundException"
