"""Functions as things that are made, changed, listed and described."""

import base64
import hashlib
import io
import urllib.request
import zipfile

import pytest

from raw import Raw
from support import error_code, zipped

HELLO = "def handler(event, context): return 'hello'"


# What create answers is what get and the configuration say later: tools compare them.
def test_create_and_get(functions, virga):
    package = zipped({"index.py": HELLO})
    name = functions.make(HELLO)
    client = functions.client
    described = client.get_function(FunctionName=name)
    configuration = described["Configuration"]
    assert configuration["FunctionArn"] == f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    assert configuration["State"] == "Active" and configuration["LastUpdateStatus"] == "Successful"
    assert configuration["Version"] == "$LATEST" and configuration["Timeout"] == 10 and configuration["MemorySize"] == 128
    assert configuration["CodeSize"] == len(package) and configuration["PackageType"] == "Zip"
    alone = client.get_function_configuration(FunctionName=name)
    assert {k: alone[k] for k in configuration} == configuration


# AWS works on after these answers and tools look for what they say, so they say it; what was made can be used at once,
# and the next look finds it done.
def test_answers_of_changes(functions, name):
    client = functions.client
    why = "The function is being created."
    states = ("State", "StateReason", "StateReasonCode", "LastUpdateStatus", "LastUpdateStatusReason", "LastUpdateStatusReasonCode")
    pending = {"State": "Pending", "StateReason": why, "StateReasonCode": "Creating"}
    updating = {"State": "Active", "LastUpdateStatus": "InProgress", "LastUpdateStatusReason": why, "LastUpdateStatusReasonCode": "Creating"}
    done = {"State": "Active", "LastUpdateStatus": "Successful"}
    told = lambda configuration: {k: configuration[k] for k in states if k in configuration}
    package = zipped({"index.py": HELLO})
    functions.made.append(name)
    made = client.create_function(FunctionName=name, Runtime="python3.11", Handler="index.handler", Role=functions.role,
                                  Code={"ZipFile": package}, Publish=True)
    assert (made["Version"], told(made)) == ("1", pending)
    assert functions.call(name) == functions.call(name, Qualifier="1") == "hello"
    for qualifier in ("$LATEST", "1"):
        assert told(client.get_function(FunctionName=name, Qualifier=qualifier)["Configuration"]) == done
    assert told(client.update_function_configuration(FunctionName=name, Timeout=5)) == updating
    assert told(client.update_function_code(FunctionName=name, ZipFile=package)) == updating
    assert told(client.get_function_configuration(FunctionName=name)) == done
    published = client.update_function_code(FunctionName=name, ZipFile=package, Publish=True)
    assert (published["Version"], told(published)) == ("2", pending)
    client.update_function_configuration(FunctionName=name, Timeout=6)
    assert told(client.publish_version(FunctionName=name)) == done


# An environment that was given is told of, if there is nothing in it; one that was not is not.
def test_an_empty_environment(functions):
    name = functions.make(HELLO)
    assert "Environment" not in functions.client.get_function_configuration(FunctionName=name)
    assert functions.client.update_function_configuration(FunctionName=name, Environment={})["Environment"] == {"Variables": {}}
    assert functions.client.get_function_configuration(FunctionName=name)["Environment"] == {"Variables": {}}


# The hash is how deployment tools find out whether code has changed: it is of the package as it was sent.
def test_code_hash_is_of_the_package(functions):
    package = zipped({"index.py": HELLO})
    name = functions.make(HELLO)
    answer = functions.client.update_function_code(FunctionName=name, ZipFile=package)
    assert answer["CodeSha256"] == base64.b64encode(hashlib.sha256(package).digest()).decode()


# The location is a link that works without signing anything: consoles and `sam` download packages from it.
def test_code_can_be_downloaded(functions):
    name = functions.make(HELLO)
    location = functions.client.get_function(FunctionName=name)["Code"]["Location"]
    assert urllib.request.urlopen(location).read()[:2] == b"PK"


# A name, a partial ARN and an ARN mean the same function.
@pytest.mark.parametrize("form", ["{}", "function:{}", "000000000000:{}", "000000000000:function:{}", "us-east-1:000000000000:function:{}", "arn:aws:lambda:us-east-1:000000000000:function:{}"])
def test_forms_of_a_name(functions, form):
    name = functions.make(HELLO)
    assert functions.client.get_function_configuration(FunctionName=form.format(name))["FunctionName"] == name


# Pages hold no more than asked for and together hold everything once.
def test_list_pages(functions):
    names = {functions.make(HELLO) for _ in range(5)}
    seen = []
    for page in functions.client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}):
        assert len(page["Functions"]) <= 2
        seen += [f["FunctionName"] for f in page["Functions"]]
    assert names <= set(seen) and len(seen) == len(set(seen))


# A marker is not a key that callers can make up.
def test_list_refuses_a_made_up_marker(functions):
    assert error_code(functions.client.list_functions, Marker="nonsense")[0] == "InvalidParameterValueException"


def test_create_twice_conflicts(functions):
    name = functions.make(HELLO)
    assert error_code(functions.make, HELLO, FunctionName=name)[0] == "ResourceConflictException"


def test_unknown_function(functions, name):
    for call in (functions.client.get_function, functions.client.delete_function, functions.client.get_function_configuration):
        code, message = error_code(call, FunctionName=name)
        assert code == "ResourceNotFoundException" and f"function:{name}" in message


# Deleted means gone for calls too, and the name is free again.
def test_delete(functions):
    name = functions.make(HELLO)
    assert functions.call(name) == "hello"
    functions.client.delete_function(FunctionName=name)
    assert error_code(functions.client.invoke, FunctionName=name)[0] == "ResourceNotFoundException"
    functions.make("def handler(event, context): return 'second'", FunctionName=name)
    assert functions.call(name) == "second"


# The first call after an update runs the new code, however warm an instance of the old one is.
def test_updated_code_is_used_at_once(functions):
    name = functions.make("def handler(event, context): return 0")
    for n in range(1, 6):
        assert functions.call(name) == n - 1
        functions.client.update_function_code(FunctionName=name, ZipFile=zipped({"index.py": f"def handler(event, context): return {n}"}))
    assert functions.call(name) == 5


# A dry run validates and changes nothing.
def test_dry_run_of_an_update(functions):
    name = functions.make(HELLO)
    functions.client.update_function_code(FunctionName=name, DryRun=True, ZipFile=zipped({"index.py": HELLO.replace("hello", "other")}))
    assert functions.call(name) == "hello"


# Settings reach the code: environment, handler, memory.
def test_updated_configuration_is_used(functions):
    name = functions.make("import os\ndef handler(event, context): return os.environ.get('COLOUR')\n"
                          "def other(event, context): return int(context.memory_limit_in_mb)",
                          Environment={"Variables": {"COLOUR": "red"}})
    assert functions.call(name) == "red"
    answer = functions.client.update_function_configuration(FunctionName=name, Environment={"Variables": {"COLOUR": "blue"}})
    assert answer["Environment"]["Variables"] == {"COLOUR": "blue"}
    assert functions.call(name) == "blue"
    functions.client.update_function_configuration(FunctionName=name, Handler="index.other", MemorySize=256)
    assert functions.call(name) == 256


# Two writers with the same revision: the second is told, and overwrites nothing.
def test_revision_guards_an_update(functions):
    name = functions.make(HELLO)
    get = lambda qualifier="$LATEST": functions.client.get_function(
        FunctionName=name, Qualifier=qualifier)["Configuration"]["RevisionId"]
    changes = [
        functions.client.update_function_configuration(FunctionName=name, Description="zero")["RevisionId"], get(),
        functions.client.update_function_code(FunctionName=name, ZipFile=zipped({"index.py": "def handler(e, c): pass"}))[
            "RevisionId"], get(),  # the answer is that of a change in progress, which is over then
        functions.client.publish_version(FunctionName=name, RevisionId=get())["RevisionId"], get()]
    assert len(set(changes)) == 6 and get("1") == changes[4]
    functions.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert (get(), get("1")) == (changes[5], changes[4])
    first = get()
    functions.client.update_function_configuration(FunctionName=name, Description="one", RevisionId=first)
    code, _ = error_code(functions.client.update_function_configuration, FunctionName=name, Description="two", RevisionId=first)
    assert code == "PreconditionFailedException"
    assert functions.client.get_function_configuration(FunctionName=name)["Description"] == "one"


# What AWS documents as reserved stays the runtime's.
def test_reserved_variables_are_refused(functions):
    code, message = error_code(functions.make, HELLO, Environment={"Variables": {"AWS_LAMBDA_FUNCTION_NAME": "x"}})
    assert code == "InvalidParameterValueException" and "AWS_LAMBDA_FUNCTION_NAME" in message


# The limit of 4 KB is on names and values together, as JSON.
def test_environment_has_a_limit(functions):
    assert error_code(functions.make, HELLO, Environment={"Variables": {"AA": "x" * 4096}})[0] == "InvalidParameterValueException"


# An option that would be ignored is refused, and the refusal names it.
@pytest.mark.parametrize("option, named", [
    ({"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}}, "VpcConfig"),
    ({"KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/1"}, "KMSKeyArn"),
    ({"FileSystemConfigs": [{"Arn": "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-00000000000000000", "LocalMountPath": "/mnt/x"}]},
     "FileSystemConfigs"),
])
def test_options_that_are_not_served(functions, option, named):
    code, message = error_code(functions.make, HELLO, **option)
    assert code == "InvalidParameterValueException" and named in message and "not served" in message


# Interpreted functions may ask for the other architecture, as many templates do; a program can't be turned into another.
def test_architectures(functions):
    name = functions.make(HELLO, Architectures=["arm64"])
    assert functions.client.get_function_configuration(FunctionName=name)["Architectures"] == ["arm64"]
    assert functions.call(name)
    code, message = error_code(functions.client.update_function_configuration, FunctionName=name, Runtime="provided.al2023")
    assert code == "InvalidParameterValueException" and "arm64" in message and "not served" in message
    code, message = error_code(functions.make, HELLO, runtime="provided.al2023", Architectures=["arm64"])
    assert code == "InvalidParameterValueException" and "arm64" in message and "not served" in message


# A runtime AWS has and this machine has not: said when the function is made, not when it is called.
def test_runtime_that_cannot_run_here(functions):
    for runtime in "dotnet8", "python2.7":
        code, message = error_code(functions.make, HELLO, runtime=runtime)
        assert code == "InvalidParameterValueException" and runtime in message


# Constraints are checked before anything is stored, also those that AWS has and its public model has not.
def test_constraints(functions):
    code, message = error_code(functions.make, HELLO, Timeout=901)
    assert code == "ValidationException" and "'timeout'" in message and "less than or equal to 900" in message


# A role that isn't there or doesn't trust Lambda fails the creation, as on AWS.
def test_role_must_be_assumable(functions, name, virga):
    code, message = error_code(functions.make, HELLO, Role="arn:aws:iam::000000000000:role/" + name)
    assert code == "InvalidParameterValueException" and "role" in message


# Something that is no zip file is refused when it is sent.
def test_package_must_be_a_zip_file(functions, name):
    code, message = error_code(functions.client.create_function, FunctionName=name, Role=functions.role, Runtime="python3.11",
                               Handler="index.handler", Code={"ZipFile": b"this is no archive"})
    assert code == "InvalidParameterValueException" and "zip" in message


# A package must not write outside its folder.
def test_package_must_not_climb_out(functions):
    code, _ = error_code(functions.make, {"../../evil.py": "x = 1"})
    assert code == "InvalidParameterValueException"


# Versions of objects are S3's to serve: the one that is named is read or refused, never another.
def test_code_is_of_the_objects_version(functions, name, virga):
    s3 = virga.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="code.zip", Body=zipped({"index.py": "def handler(event, context): return 2"}))
    place = {"S3Bucket": name, "S3Key": "code.zip"}
    function = functions.make("def handler(event, context): return 1")
    for call, named in ((functions.client.update_function_code, {"FunctionName": function, **place, "S3ObjectVersion": "v1"}),
                        (functions.client.publish_layer_version, {"LayerName": name, "Content": {**place, "S3ObjectVersion": "v1"}})):
        code, message = error_code(call, **named)
        assert code == "InvalidParameterValueException" and message.startswith("Error occurred while GetObject. S3 Error Code: ")
    assert functions.call(function) == 1
    functions.client.update_function_code(FunctionName=function, **place, S3ObjectVersion="null")
    assert functions.call(function) == 2
    status, refused = Raw(virga).api("PUT", f"/2015-03-31/functions/{function}/code", {**place, "S3ObjectStorageMode": "REFERENCE"})
    assert (status, refused["message"]) == (400, "The S3ObjectStorageMode REFERENCE is not served by Virga.")


def test_tags(functions):
    name = functions.make(HELLO, Tags={"team": "one", "stage": "test"})
    arn = functions.client.get_function_configuration(FunctionName=name)["FunctionArn"]
    functions.client.tag_resource(Resource=arn, Tags={"team": "two", "more": "yes"})
    functions.client.untag_resource(Resource=arn, TagKeys=["stage"])
    assert functions.client.list_tags(Resource=arn)["Tags"] == {"team": "two", "more": "yes"}
    assert functions.client.get_function(FunctionName=name)["Tags"] == {"team": "two", "more": "yes"}


# Other regions are other places: a function of one is not seen from another.
def test_regions_are_apart(functions, virga):
    name = functions.make(HELLO)
    elsewhere = virga.client("lambda", region="eu-west-1")
    assert error_code(elsewhere.get_function, FunctionName=name)[0] == "ResourceNotFoundException"
    assert name not in [f["FunctionName"] for f in elsewhere.list_functions()["Functions"]]


def linked(entries):
    """A package of symbolic links and files, in this order: path to (target, is a link)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, content, is_link in entries:
            info = zipfile.ZipInfo(path)
            info.external_attr = (0o120777 if is_link else 0o100644) << 16
            archive.writestr(info, content)
    return out.getvalue()


# What unpacks the archive is the operator's process: no entry may land outside the function's own folder.
def test_archives_reach_nothing_through_links(functions, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    source = "def handler(event, context): return open('link').read()"
    name = functions.make(source)
    update = functions.client.update_function_code
    for entries in ([("d", str(outside), True), ("d/x", "/etc/passwd", True)],
                    [("d", str(outside), True), ("d/x/y", "/etc/passwd", True)],
                    [("d", str(outside), True), ("d/x", "content", False)],
                    [("a", "1", False), ("a", "2", False)], [("l", "x" * 5000, True)]):
        code, message = error_code(update, FunctionName=name, ZipFile=linked([("index.py", source, False), *entries]))
        assert code == "InvalidParameterValueException", message
    assert not list(outside.iterdir())
    update(FunctionName=name, ZipFile=linked([("index.py", source, False), ("data", "text", False), ("link", "data", True)]))
    assert functions.call(name) == "text"
