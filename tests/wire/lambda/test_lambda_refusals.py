"""What Lambda answers at the edges of its operations, as recorded of AWS: codes, statuses and words that tools look for."""

import base64
import json

import pytest

from raw import Raw
from support import error_code, eventually, zipped

CODE = "def handler(event, context): return context.invoked_function_arn"


@pytest.fixture
def published(functions):
    """A function with a version 1 and an alias of it: its name and ARN."""
    name = functions.make(CODE)
    arn = functions.client.get_function_configuration(FunctionName=name)["FunctionArn"]
    functions.client.publish_version(FunctionName=name)
    functions.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    return name, arn


def test_arns_have_the_qualifier_asked_by(published, functions):
    name, arn = published
    client = functions.client
    for qualifier in ("live", "1", "$LATEST"):
        assert client.get_function(FunctionName=name, Qualifier=qualifier)["Configuration"]["FunctionArn"] == f"{arn}:{qualifier}"
        assert client.get_function_configuration(FunctionName=f"{arn}:{qualifier}")["FunctionArn"] == f"{arn}:{qualifier}"


def test_an_arn_may_end_with_the_word_function(functions):
    arn = "arn:aws:lambda:us-east-1:000000000000:function"
    assert error_code(functions.client.get_function, FunctionName=arn) == ("ResourceNotFoundException", f"Function not found: {arn}:function")
    assert error_code(functions.client.invoke, FunctionName=arn) == ("ResourceNotFoundException", f"Function not found: {arn}:function:$LATEST")


def test_lists_leave_states_out(published, functions):
    name, _ = published
    for listed in functions.client.list_versions_by_function(FunctionName=name)["Versions"]:
        assert not {"State", "StateReason", "LastUpdateStatus"} & set(listed)


def test_delete(published, functions):
    name, arn = published
    client = functions.client
    for qualifier in ("$LATEST", "live"):
        assert error_code(client.delete_function, FunctionName=name, Qualifier=qualifier)[0] == "InvalidParameterValueException"
    assert error_code(client.delete_function, FunctionName=name + "-x", Qualifier="7") == \
        ("ResourceNotFoundException", f"Function not found: {arn}-x")
    assert error_code(client.delete_function, FunctionName=name + "-x", Qualifier="live") == \
        ("ResourceNotFoundException", f"Function not found: {arn}-x")
    assert client.delete_function(FunctionName=name)["ResponseMetadata"]["HTTPStatusCode"] == 204


@pytest.mark.parametrize("runtime", ["python3.7", "nodejs14.x", "java8", "go1.x", "provided"])
def test_retired_runtimes(functions, runtime):
    name = functions.make(CODE)
    code, message = error_code(functions.client.update_function_configuration, FunctionName=name, Runtime=runtime)
    assert code == "InvalidParameterValueException"
    assert message.startswith(f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions.")
    with pytest.raises(functions.client.exceptions.InvalidParameterValueException, match="no longer supported"):
        functions.make(CODE, runtime=runtime)


def test_unknown_runtimes(functions):
    name = functions.make(CODE)
    code, message = error_code(functions.client.update_function_configuration, FunctionName=name, Runtime="PYTHON3.11")
    assert code == "InvalidParameterValueException" and message.startswith(
        "Value PYTHON3.11 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [nodejs20.x, python3.14, ")
    assert message.endswith("] or be a valid ARN")
    with pytest.raises(functions.client.exceptions.InvalidParameterValueException, match="Value cobol at 'runtime' failed"):
        functions.make(CODE, runtime="cobol")


def test_a_function_that_is_not_there(functions):
    arn = "arn:aws:lambda:us-east-1:000000000000:function:no-such-function"
    call = lambda **options: error_code(functions.client.invoke, FunctionName="no-such-function", **options)
    assert call() == ("ResourceNotFoundException", f"Function not found: {arn}:$LATEST")
    assert call(InvocationType="Event", Qualifier="live") == ("ResourceNotFoundException", f"Function not found: {arn}:live")
    assert error_code(functions.client.get_function, FunctionName="no-such-function")[1] == f"Function not found: {arn}"


def test_a_client_context_is_an_object(functions):
    name = functions.make(CODE)
    for context in ("%%%", base64.b64encode(b"[]").decode(), base64.b64encode(b"{").decode()):
        assert error_code(functions.client.invoke, FunctionName=name, ClientContext=context) == \
            ("InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object.")


# The parser of AWS tells where; what it says inside of a value is not copied.
@pytest.mark.parametrize("payload, fault, column", [
    (b"n\x87r\x9e\xe9", "Invalid UTF-8 start byte 0x87", 3),
    (b"\x99\xeb,j", "Unexpected character ((CTRL-CHAR, code 153)): expected a valid value (JSON String, Number, Array, Object or "
                    "token 'null', 'true' or 'false')", 1),
    (b" what?", "Unrecognized token 'what': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", 6),
    (b"x" * 5_000_000, "Unrecognized token '" + "x" * 256 + "...': was expecting (JSON String, Number, Array, Object or token 'null', "
     "'true' or 'false')", 5_000_001),
    (b'{"a": 1', None, 8),
    (b"true false", None, 6),
], ids=["token", "character", "word", "long", "object", "two"])
def test_a_payload_is_json(functions, payload, fault, column):
    code, message = error_code(functions.client.invoke, FunctionName=functions.make(CODE), Payload=payload)
    start = "Could not parse request body into json: Could not parse payload into json: "
    end = ("\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: %d]" % column)
    assert code == "InvalidRequestContentException" and message.startswith(start) and message.endswith(end), message
    assert fault in (None, message[len(start):-len(end)])


def test_answers_tell_what_was_asked(functions, virga, name):
    client = functions.client
    layer = {"LayerName": name, "Content": {"ZipFile": zipped({"x.txt": ""})}}
    assert not {"CompatibleRuntimes", "CompatibleArchitectures"} & set(client.publish_layer_version(**layer))
    empty = client.publish_layer_version(**layer, CompatibleRuntimes=[], CompatibleArchitectures=[])
    assert (empty["CompatibleRuntimes"], empty["CompatibleArchitectures"]) == ([], [])
    function, raw = functions.make(CODE), Raw(virga)
    url = f"/2021-10-31/functions/{function}/url"
    assert "InvokeMode" not in raw.api("POST", url, {"AuthType": "NONE"})[1]
    assert "InvokeMode" not in raw.api("PUT", url, {"AuthType": "AWS_IAM"})[1]
    assert raw.api("PUT", url, {"InvokeMode": "RESPONSE_STREAM"})[1]["InvokeMode"] == "RESPONSE_STREAM"
    assert raw.api("GET", url)[1]["InvokeMode"] == raw.api("PUT", url, {})[1]["InvokeMode"] == "RESPONSE_STREAM"


def test_words(functions, published):
    name, _ = published
    client = functions.client
    assert error_code(client.update_function_code, FunctionName=name, ZipFile=b"no archive") == (
        "InvalidParameterValueException", "Could not unzip uploaded file. Please check your file, then try to upload again.")
    code, message = error_code(client.update_alias, FunctionName=name, Name="live", RoutingConfig={"AdditionalVersionWeights": {"1": 2}})
    assert (code, message) == (
        "ValidationException",
        "1 validation error detected: Value '{1=2.0}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map "
        "value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or "
        "equal to 0.0, Member must not be null]")
    code, message = error_code(client.update_function_code, FunctionName=name, ZipFile=b"x" * 53_000_000)
    assert code == "RequestEntityTooLargeException"
    assert message == "Request must be smaller than 70167211 bytes for the UpdateFunctionCode operation"


# Of some lists AWS says with what an element must be that it must not be null.
@pytest.mark.parametrize("body, rest", [
    ({"Architectures": ["X86_64"]}, "'[X86_64]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: "
                                    "[Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"),
    ({"Layers": [""]}, ", Member must not be null]"),
])
def test_elements_are_not_null(virga, body, rest):
    status, answer = Raw(virga).api("POST", "/2015-03-31/functions", {"FunctionName": "f", "Role": "arn:aws:iam::000000000000:role/r",
                                                                       "Code": {}, **body})
    assert status == 400 and answer["message"].endswith(rest), answer


@pytest.mark.parametrize("method, path, member, values", [
    ("POST", "/2021-10-31/functions/f/url", "InvokeMode", "[RESPONSE_STREAM, BUFFERED]"),
    ("POST", "/2015-03-31/event-source-mappings", "StartingPosition", "[LATEST, AT_TIMESTAMP, TRIM_HORIZON]"),
    ("PUT", "/2024-08-31/functions/f/recursion-config", "RecursiveLoop", "[Terminate, Allow]"),
])
def test_values_are_listed_as_aws_does(virga, method, path, member, values):
    status, answer = Raw(virga).api(method, path, {"FunctionName": "f", "AuthType": "NONE", member: "x"})
    assert status == 400 and answer["message"].endswith(f"failed to satisfy constraint: Member must satisfy enum value set: {values}")


def test_layers_are_of_the_functions_region(functions, name):
    layer = functions.virga.client("lambda", region="eu-west-1").publish_layer_version(
        LayerName=name, Content={"ZipFile": zipped({"x.txt": ""})})["LayerVersionArn"]
    code, message = error_code(functions.client.update_function_configuration, FunctionName=functions.make(CODE), Layers=[layer])
    assert (code, message) == ("InvalidParameterValueException", "Layers are not in the same region as the function. "
                               "Layers are expected to be in region us-east-1.")


# Versions and aliases don't change.
def test_only_functions_are_changed(published, functions):
    name, arn = published
    package = zipped({"index.py": CODE})
    for which in (name + ":1", arn + ":live"):
        for call, options in ((functions.client.update_function_code, {"ZipFile": package}),
                              (functions.client.update_function_configuration, {"Timeout": 7})):
            code, message = error_code(call, FunctionName=which, **options)
            assert code == "InvalidParameterValueException" and message.startswith("This operation is permitted on Lambda functions only.")
    assert functions.client.get_function_configuration(FunctionName=name)["Timeout"] == 10


@pytest.mark.parametrize("tag, code", [({"aws:mine": "x"}, "InvalidParameterValueException"), ({"k" * 129: "x"}, "ValidationException"),
                                       ({"k": "v" * 257}, "ValidationException"), ({"k!": "v"}, "ValidationException")])
def test_tags_that_cannot_be(published, functions, tag, code):
    name, arn = published
    assert error_code(functions.client.tag_resource, Resource=arn, Tags=tag)[0] == code
    assert functions.client.list_tags(Resource=arn)["Tags"] == {}


def test_aliases(published, functions):
    name, arn = published
    client = functions.client
    same = error_code(client.update_alias, FunctionName=name, Name="live",
                      RoutingConfig={"AdditionalVersionWeights": {"1": 0.5}})
    assert same == ("InvalidParameterValueException",
                    "Invalid function version 1. Function version 1 is already included in routing configuration.")
    assert error_code(client.update_alias, FunctionName=name, Name="none", Description="d") == \
        ("ResourceNotFoundException", f"Alias not found: {arn}:none")


def test_reserved_concurrency_is_a_functions(published, functions):
    name, arn = published
    for qualified in (f"{arn}:live", f"{name}:$LATEST"):
        code, message = error_code(functions.client.put_function_concurrency, FunctionName=qualified, ReservedConcurrentExecutions=1)
        assert code == "InvalidParameterValueException"
        assert message.startswith("This operation is permitted on Lambda functions only.")


def test_provisioned_concurrency_is_a_versions(published, functions):
    name, arn = published
    client = functions.client
    for call in (client.get_provisioned_concurrency_config, client.delete_provisioned_concurrency_config):
        assert error_code(call, FunctionName=name, Qualifier="$LATEST") == \
            ("InvalidParameterValueException", "The function resource provided must be an alias or a published version.")
        assert error_code(call, FunctionName=name, Qualifier="none") == \
            ("ResourceNotFoundException", f"Cannot find alias arn: {arn}:none")
        assert error_code(call, FunctionName=name, Qualifier="7") == \
            ("ResourceNotFoundException", f"Function not found: {arn}:7")
    client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="1")  # which has none


PERMISSION = {"Action": "lambda:InvokeFunction", "StatementId": "s", "Principal": "s3.amazonaws.com"}


@pytest.mark.parametrize("qualifier", [None, "1", "live"])
def test_a_permission_changes_the_revision_of_what_it_is_about(published, functions, qualifier):
    name, _ = published
    client = functions.client
    about = {"FunctionName": name, **({"Qualifier": qualifier} if qualifier else {})}

    def revision():
        if qualifier == "live":
            return client.get_alias(FunctionName=name, Name="live")["RevisionId"]
        return client.get_function_configuration(**about)["RevisionId"]

    before = revision()
    assert error_code(client.add_permission, **about, **PERMISSION, RevisionId="wrong")[0] == "PreconditionFailedException"
    client.add_permission(**about, **PERMISSION, RevisionId=before)
    added = revision()
    assert added != before and client.get_policy(**about)["RevisionId"] == added
    assert error_code(client.remove_permission, **about, StatementId="s", RevisionId=before)[0] == "PreconditionFailedException"
    client.remove_permission(**about, StatementId="s", RevisionId=added)
    assert revision() not in (before, added)
    if not qualifier:
        client.update_function_configuration(FunctionName=name, Description="d", RevisionId=revision())


# A policy has the revision of its last change, whatever else becomes of the function.
def test_a_policy_keeps_its_revision(functions):
    name = functions.make(CODE)
    client = functions.client
    wrong = "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id"
    assert error_code(client.add_permission, FunctionName=name, **PERMISSION, RevisionId="wrong") == ("PreconditionFailedException", wrong)
    client.add_permission(FunctionName=name, **PERMISSION)
    revision = client.get_policy(FunctionName=name)["RevisionId"]
    client.publish_version(FunctionName=name)
    assert client.get_function_configuration(FunctionName=name)["RevisionId"] != revision
    assert client.get_policy(FunctionName=name)["RevisionId"] == revision
    assert error_code(client.remove_permission, FunctionName=name, StatementId="s", RevisionId="wrong") == ("PreconditionFailedException", wrong)
    client.add_permission(FunctionName=name, **{**PERMISSION, "StatementId": "t"}, RevisionId=revision)
    left = client.get_policy(FunctionName=name)["RevisionId"]
    client.remove_permission(FunctionName=name, StatementId="s", RevisionId=left)
    assert client.get_policy(FunctionName=name)["RevisionId"] == client.get_function_configuration(FunctionName=name)["RevisionId"]


def test_tags_change_the_revision(functions):
    name = functions.make("import uuid\nMINE = str(uuid.uuid4())\ndef handler(event, context): return MINE")
    client = functions.client
    arn, first = client.get_function_configuration(FunctionName=name)["FunctionArn"], functions.call(name)
    revisions = {client.get_function_configuration(FunctionName=name)["RevisionId"]}
    for change in (lambda: client.tag_resource(Resource=arn, Tags={"a": "1"}), lambda: client.untag_resource(Resource=arn, TagKeys=["a"])):
        change()
        revisions.add(client.get_function_configuration(FunctionName=name)["RevisionId"])
    assert len(revisions) == 3 and functions.call(name) == first


def test_a_permission_ends_no_instance(functions):
    name = functions.make("import uuid\nMINE = str(uuid.uuid4())\ndef handler(event, context): return MINE")
    first = functions.call(name)
    functions.client.add_permission(FunctionName=name, **PERMISSION)
    assert functions.call(name) == first


def test_permissions(published, functions):
    name, arn = published
    client = functions.client
    assert error_code(client.add_permission, FunctionName=name, Qualifier="$LATEST", **PERMISSION) == \
        ("InvalidParameterValueException", "We currently do not support adding policies for $LATEST.")
    assert error_code(client.add_permission, FunctionName=name, **{**PERMISSION, "Principal": "some.other.com"})[0] == "InvalidParameterValueException"
    assert error_code(client.add_permission, FunctionName=name, **PERMISSION, FunctionUrlAuthType="NONE") == \
        ("InvalidParameterValueException", "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")
    assert error_code(client.add_permission, FunctionName=f"{name}:none", **PERMISSION) == \
        ("ResourceNotFoundException", f"Cannot find alias arn: {arn}:none")
    assert error_code(client.get_policy, FunctionName=name + "-x")[0] == "ResourceNotFoundException"


def test_destinations_exist(published, functions):
    name, arn = published
    code, message = error_code(functions.client.put_function_event_invoke_config, FunctionName=name,
                               DestinationConfig={"OnSuccess": {"Destination": arn + "-x"}})
    assert (code, message) == ("InvalidParameterValueException", f"The destination ARN {arn}-x is invalid.")


def test_tags_are_a_functions(published, functions):
    _, arn = published
    client = functions.client
    for qualified in (f"{arn}:1", f"{arn}:live"):
        assert error_code(client.tag_resource, Resource=qualified, Tags={"a": "1"})[0] == "InvalidParameterValueException"
    assert error_code(client.tag_resource, Resource=arn, Tags={})[0] == "InvalidParameterValueException"


def test_layer_versions(functions):
    client = functions.client
    for number in (0, -1):
        assert error_code(client.get_layer_version, LayerName="none", VersionNumber=number) == \
            ("InvalidParameterValueException", "Layer Version Cannot be less than 1")
    code, message = error_code(client.get_layer_version_policy, LayerName="none", VersionNumber=1)
    assert code == "ResourceNotFoundException" and message.endswith(":layer:none:1 does not exist.")


def test_sources_that_are_not_there(published, functions):
    name, _ = published
    client = functions.client
    queue = "arn:aws:sqs:us-east-1:000000000000:none"
    assert error_code(client.create_event_source_mapping, FunctionName=name + "-x", EventSourceArn=queue) == \
        ("InvalidParameterValueException", "Function does not exist")
    stream = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
    code, message = error_code(client.create_event_source_mapping, FunctionName=name, EventSourceArn=stream, StartingPosition="LATEST")
    assert code == "InvalidParameterValueException" and message == "Amazon Kinesis event sources are not served by Virga."


def test_code_hash_of_another(published, functions):
    name, _ = published
    client = functions.client
    hashed = client.get_function_configuration(FunctionName=name)["CodeSha256"]
    code, message = error_code(client.publish_version, FunctionName=name, CodeSha256="another")
    assert code == "InvalidParameterValueException" and f"$LATEST ({hashed})." in message


def test_what_is_reserved_and_provisioned_is_for_its_version(functions, published):
    name, arn = published
    client = functions.client
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    assert functions.call(name) == arn
    client.put_provisioned_concurrency_config(FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=1)
    eventually(lambda: client.get_provisioned_concurrency_config(FunctionName=name, Qualifier="1")["Status"] == "READY")
    with pytest.raises(client.exceptions.TooManyRequestsException) as refused:
        client.invoke(FunctionName=name)
    assert refused.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    answer = client.invoke(FunctionName=name, Qualifier="1")
    assert json.loads(answer["Payload"].read()) == f"{arn}:1"


def test_an_alias_with_weights_is_described_by_its_own_version(published, functions):
    name, _ = published
    client = functions.client
    client.update_function_configuration(FunctionName=name, Description="second")
    assert client.publish_version(FunctionName=name)["Version"] == "2"
    client.update_alias(FunctionName=name, Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 1.0}})
    assert {client.get_function(FunctionName=f"{name}:live")["Configuration"]["Version"] for _ in range(3)} == {"1"}
    assert client.invoke(FunctionName=name, Qualifier="live")["ExecutedVersion"] == "2"
