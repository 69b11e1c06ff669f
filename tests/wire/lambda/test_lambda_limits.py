"""The limits of functions, their code and what they are called; and those of an account that can be set."""

import io
import os
import uuid
import zipfile

import pytest

from support import Functions, error_code, finish, start_virga

H = "def handler(event, context): return 1"


def filled(megabytes, data=None):
    """An archive whose content is so large, and packs well unless `data` says otherwise; always the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {"index.py": H, "data": data or b"\0" * (megabytes << 20)}.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return out.getvalue()


def layer(client, megabytes):
    return client.publish_layer_version(LayerName="l-" + uuid.uuid4().hex[:12], Content={"ZipFile": filled(megabytes)})["LayerVersionArn"]


@pytest.mark.parametrize("options, words", [
    ({"FunctionName": "n" * 65}, "length less than or equal to 64"),
    ({"MemorySize": 10_241}, "less than or equal to 10240"),
    ({"Timeout": 901}, "less than or equal to 900"),
    ({"EphemeralStorage": {"Size": 10_241}}, "less than or equal to 10240"),
    ({"Environment": {"Variables": {"NAME": "x" * 4086}}}, "exceeded the 4KB limit. Measured size: 4097 bytes"),
    ({"Tags": {f"k{i}": "v" for i in range(51)}}, "Number of tags exceeds resource tag limit."),
])
def test_refused(functions, options, words):
    code, message = error_code(functions.make, H, **options)
    assert code in ("InvalidParameterValueException", "ValidationException") and words in message


def test_just_within(functions):
    name = functions.make(H, FunctionName="n" * 32 + uuid.uuid4().hex, MemorySize=10_240, Timeout=900, EphemeralStorage={"Size": 10_240},
                          Environment={"Variables": {"NAME": "x" * 4085}}, Tags={f"k{i}": "v" for i in range(50)})
    client = functions.client
    assert error_code(client.update_function_configuration, FunctionName=name, MemorySize=10_241)[0] == "InvalidParameterValueException"
    arn = client.get_function_configuration(FunctionName=name)["FunctionArn"]
    assert "Number of tags exceeds resource tag limit." in error_code(client.tag_resource, Resource=arn, Tags={"more": "v"})[1]


# Code and layers share 250 MB, unpacked; a layer is there once, and at most five are. Two may have the same content.
def test_code_and_layers(functions):
    client = functions.client
    large, small = [layer(client, 100) for _ in range(2)], [layer(client, 1) for _ in range(4)]
    name = functions.make(H, Layers=large)
    for call in (dict(Layers=large + [layer(client, 60)]), dict(Layers=large + small)):
        code, message = error_code(client.update_function_configuration, FunctionName=name, **call)
        assert code == "InvalidParameterValueException"
    assert "more than 5 layers" in message
    code, message = error_code(client.update_function_code, FunctionName=name, ZipFile=filled(60))
    assert code == "InvalidParameterValueException" and "maximum allowed size of 262144000 bytes" in message
    assert "versions of the same layer" in error_code(client.update_function_configuration, FunctionName=name, Layers=small[:1] * 2)[1]
    assert functions.call(name) == 1


# What an account's archives may take is set as Virga is started, and what is deleted makes room.
def test_code_storage():
    server = start_virga(["--code-storage", "1"])
    functions = Functions(server)
    client = functions.client
    assert client.get_account_settings()["AccountLimit"]["TotalCodeSize"] == 1 << 20
    archive = filled(0, os.urandom(600 << 10))
    make = lambda name: client.create_function(FunctionName=name, Runtime="python3.11", Handler="index.handler", Role=functions.role, Code={"ZipFile": archive})
    make("one")
    for call in (lambda: make("two"), lambda: client.publish_version(FunctionName="one"),
                 lambda: client.publish_layer_version(LayerName="l", Content={"ZipFile": archive})):
        assert error_code(call)[0] == "CodeStorageExceededException"
    assert 600 << 10 < client.get_account_settings()["AccountUsage"]["TotalCodeSize"] < 1 << 20
    client.delete_function(FunctionName="one")
    make("two")
    finish(server)


def test_too_large_an_archive(functions):
    name = functions.make(H)
    code, message = error_code(functions.client.update_function_code, FunctionName=name, ZipFile=b"\0" * ((50 << 20) + 1))
    assert (code, message) == ("RequestEntityTooLargeException", "Zipped size must be smaller than 52428800 bytes")
