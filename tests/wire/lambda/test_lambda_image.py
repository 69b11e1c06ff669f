"""Functions that are container images: given as archives in S3, run without any container engine."""

import gzip
import io
import json
import pathlib
import subprocess
import tarfile
import urllib.request
import uuid

import pytest

from images import EXAMPLE, entry, folder, hard_link, oci, probe, saved, shell, symlink, tar, zstd
from support import BINARY, Functions, error_code, eventually

SOURCE_MESSAGE = "is not valid. Provide a valid source image."
ZSTD_LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"


@pytest.fixture(scope="session")
def program():
    return probe()


class Images(Functions):
    def __init__(self, virga):
        super().__init__(virga)
        self.s3 = virga.client("s3")
        self.bucket = "images-" + uuid.uuid4().hex[:12]
        self.s3.create_bucket(Bucket=self.bucket)

    def put(self, archive):
        key = uuid.uuid4().hex
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=archive)
        return f"s3://{self.bucket}/{key}"

    def image(self, archive, **options):
        """A function of this archive; its name."""
        name = "i-" + uuid.uuid4().hex[:12]
        self.client.create_function(FunctionName=name, PackageType="Image", Code={"ImageUri": self.put(archive)},
                                    **{"Role": self.role, "Timeout": 10, **options})
        self.made.append(name)
        return name

    def refused(self, archive):
        code, message = error_code(self.image, archive)
        assert code == "InvalidParameterValueException" and SOURCE_MESSAGE in message, message
        return message


@pytest.fixture
def images(virga):
    made = Images(virga)
    yield made
    made.finish()


# What the API shows of an image, from its creation over its configuration and new code to a version.
def test_life(images, program):
    client = images.client
    layer = tar(entry("probe", program, 0o755))
    name = images.image(oci([layer], Entrypoint=["/probe"], Cmd=["one", "two"], Env=["COLOUR=red", "SIZE=big"], WorkingDir="/etc"),
                        Environment={"Variables": {"SIZE": "small"}})
    assert images.call(name, "args") == "/probe one two"
    assert [images.call(name, "env " + each) for each in ("COLOUR", "SIZE")] == ["red", "small"]
    assert images.call(name, "env AWS_LAMBDA_FUNCTION_NAME") == name
    got = client.get_function(FunctionName=name)
    configuration = got["Configuration"]
    assert configuration["PackageType"] == "Image" and configuration["CodeSize"] == 0 and configuration["State"] == "Active"
    assert not {"Runtime", "Handler", "ImageConfigResponse"} & configuration.keys()
    uri = got["Code"]["ImageUri"]
    assert got["Code"] == {"RepositoryType": "ECR", "ImageUri": uri,
                           "ResolvedImageUri": f"{uri}@sha256:{configuration['CodeSha256']}"}
    assert len(configuration["CodeSha256"]) == 64

    version = client.publish_version(FunctionName=name)["Version"]
    config = {"EntryPoint": ["probe"], "Command": ["three"], "WorkingDirectory": "/tmp"}
    updated = client.update_function_configuration(FunctionName=name, ImageConfig=config,
                                                   Environment={"Variables": {"PATH": "/nowhere:/"}})
    assert updated["ImageConfigResponse"] == {"ImageConfig": config}
    assert images.call(name, "args") == "probe three" and images.call(name, "cwd") == "/tmp"
    assert images.call(name, "args", Qualifier=version) == "/probe one two"

    empty = {"EntryPoint": [], "Command": [], "WorkingDirectory": ""}  # what the image says counts again
    assert "ImageConfigResponse" not in client.update_function_configuration(FunctionName=name, ImageConfig=empty)
    assert images.call(name, "args") == "/probe one two" and images.call(name, "cwd") == "/etc"

    second = images.put(oci([layer, tar(entry("note", b"second"))], Cmd=["/probe"]))
    assert client.update_function_code(FunctionName=name, ImageUri=second)["CodeSha256"] != configuration["CodeSha256"]
    assert images.call(name, "cat /note") == "second"
    assert images.call(name, "cat /note", Qualifier=version) == "refused: ENOENT"


# A version of an image is initialised when it is published, and restored by a call.
def test_snapshot(images, program):
    name = images.image(oci([tar(entry("probe", program, 0o755))], Cmd=["/probe"]), SnapStart={"ApplyOn": "PublishedVersions"}, Publish=True)
    images.client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1", WaiterConfig={"Delay": 1})
    assert images.call(name, "env AWS_LAMBDA_INITIALIZATION_TYPE", Qualifier="1") == "snap-start"


# Both kinds of archive, plain and gzipped.
@pytest.mark.parametrize("kind", ["oci", "oci plain", "oci gzipped whole", "saved", "saved gzipped"])
def test_archives(images, program, kind):
    layers = [tar(entry("probe", program, 0o755)), tar(entry("etc/app.conf", b"here"))]
    archive = {"oci": lambda: oci(layers, Cmd=["/probe"]), "oci plain": lambda: oci(layers, gzipped=False, Cmd=["/probe"]),
               "oci gzipped whole": lambda: gzip.compress(oci(layers, Cmd=["/probe"]), 1),
               "saved": lambda: saved(layers, Cmd=["/probe"]),
               "saved gzipped": lambda: gzip.compress(saved(layers, Cmd=["/probe"]), 1)}[kind]()
    assert images.call(images.image(archive), "cat /etc/app.conf") == "here"


# Layers above others: replaced, hidden, linked, and through links of the layers below.
def test_layers(images, program):
    lower = tar(entry("probe", program, 0o755), folder("usr"), folder("usr/lib"), symlink("lib", "usr/lib"),
                symlink("absolute", "/usr/lib"), entry("usr/lib/a", b"a", mtime=1234567890), entry("gone", b"x"),
                folder("emptied"), entry("emptied/old", b"x"), folder("whole"), entry("whole/deep/file", b"x"),
                entry("becomes-folder", b"x"), folder("becomes-file"), entry("becomes-file/x", b"x"))
    upper = tar(entry("lib/b", b"b"), entry("absolute/c", b"c"), hard_link("usr/lib/a2", "usr/lib/a"),
                entry("emptied/new", b"new"), entry("emptied/.wh..wh..opq"), entry(".wh.gone"), entry(".wh.whole"),
                folder("becomes-folder"), entry("becomes-folder/y", b"y"), entry("becomes-file", b"z"),
                entry("n" * 90 + "/" + "m" * 90, b"long"), entry("./dotted//name", b"dots"))
    name = images.image(oci([lower, upper], Cmd=["/probe"]))
    assert images.call(name, "ls /usr/lib") == "a a2 b c"
    assert images.call(name, "cat /usr/lib/a2") == "a" and images.call(name, "cat /lib/c") == "c"
    assert images.call(name, "stat /usr/lib/a").split()[2] == "1234567890"
    assert images.call(name, "ls /emptied") == "new"
    assert images.call(name, "cat /becomes-folder/y") == "y" and images.call(name, "cat /becomes-file") == "z"
    assert images.call(name, "cat /" + "n" * 90 + "/" + "m" * 90) == "long" and images.call(name, "cat /dotted/name") == "dots"
    root = images.call(name, "ls /").split()
    assert "gone" not in root and "whole" not in root


# The program is our user, sees the sandbox's own /proc, /dev, /tmp and names, and its image read-only.
def test_sandbox(images, program):
    name = images.image(oci([tar(entry("probe", program, 0o755), entry("etc/hosts", b"theirs"))], Cmd=["/probe"], User="root"))
    assert images.call(name, "uid") == "993 993 990"
    assert images.call(name, "ls /dev") == "fd full null random stderr stdin stdout urandom zero"
    assert "sandbox.localdomain" in images.call(name, "cat /etc/hosts")
    assert "127.0.0.1" in images.call(name, "cat /etc/resolv.conf")
    assert images.call(name, "cat /proc/self/comm") == "probe\n"
    assert images.call(name, "write /tmp/mine") == "ESCAPED"  # which is meant to be written
    assert images.call(name, "write /etc/passwd") == "refused: EROFS"
    assert images.call(name, "ls /usr") == "refused: ENOENT"  # nothing of the host


# AWS's base images: an entry script that names the handler, and a bootstrap where theirs is.
def test_base_image(images, program):
    script = b"#!/bin/sh\nexport _HANDLER=\"$1\"\nexec /var/runtime/bootstrap started\n"
    layer = tar(*shell(), folder("var"), folder("var/task"),
                entry("var/runtime/bootstrap", program, 0o755), entry("lambda-entrypoint.sh", script, 0o755))
    name = images.image(oci([layer], Entrypoint=["/lambda-entrypoint.sh"], Cmd=["app.handler"], WorkingDir="/var/task",
                            Env=["LAMBDA_TASK_ROOT=/var/task", "PATH=/bin"]))
    assert images.call(name, "env _HANDLER") == "app.handler" and images.call(name, "cwd") == "/var/task"
    assert images.call(name, "args") == "/var/runtime/bootstrap started"


# An image is as good as its files: lost ones are made again, and what nothing names is dropped at the next start.
def test_restart(own_virga, program):
    images = Images(own_virga)
    name = images.image(oci([tar(entry("probe", program, 0o755))], Cmd=["/probe"]))
    other = images.image(oci([tar(entry("probe", program, 0o755), entry("x", b"x"))], Cmd=["/probe"]))
    assert images.call(name, "uid") == "993 993 990"
    digest = images.client.get_function_configuration(FunctionName=name)["CodeSha256"]
    unpacked = next(pathlib.Path(own_virga.data).rglob(digest))
    images.client.delete_function(FunctionName=other)
    own_virga.kill()
    subprocess.run(["rm", "-r", str(unpacked)], check=True)
    own_virga.start()
    assert images.call(name, "uid") == "993 993 990"
    assert [each.name for each in unpacked.parent.iterdir()] == [digest]


def test_refused_requests(images, program, functions):
    client = images.client
    make = {"FunctionName": "never", "Role": images.role}
    ecr = "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:latest"
    for uri in (ecr, "file:///etc/passwd", "/etc/passwd", "s3://", "s3://bucket"):
        code, message = error_code(client.create_function, PackageType="Image", Code={"ImageUri": uri}, **make)
        assert code == "InvalidParameterValueException" and f"Source image {uri} is not valid" in message and "s3://bucket/key" in message
    uri = images.put(oci([tar(entry("probe", program, 0o755))], Cmd=["/probe"]))
    for more in ({"Runtime": "python3.12"}, {"Handler": "x"}, {"Layers": ["arn:aws:lambda:us-east-1:123456789012:layer:x:1"]}):
        assert "PackageType is Image" in error_code(client.create_function, PackageType="Image", Code={"ImageUri": uri}, **make, **more)[1]
    assert error_code(client.create_function, Code={"ImageUri": uri}, **make)[0] == "InvalidParameterValueException"
    assert "S3 Error Code: NoSuchKey" in error_code(client.create_function, PackageType="Image", Code={"ImageUri": f"s3://{images.bucket}/none"}, **make)[1]
    zipped = functions.make("def handler(event, context): return 1")
    assert "packageType Zip" in error_code(client.update_function_code, FunctionName=zipped, ImageUri=uri)[1]
    assert "ImageConfig" in error_code(client.update_function_configuration, FunctionName=zipped, ImageConfig={"Command": ["x"]})[1]
    name = images.image(oci([tar(entry("probe", program, 0o755))], Cmd=["/probe"]))
    assert "Please provide ImageUri" in error_code(client.update_function_code, FunctionName=name, ZipFile=b"x")[1]
    assert "PackageType is Image" in error_code(client.update_function_configuration, FunctionName=name, Handler="x")[1]


# Who may not read the object may not run it either.
def test_needs_the_object(virga, images, program):
    uri = images.put(oci([tar(entry("probe", program, 0o755))], Cmd=["/probe"]))
    iam = virga.client("iam")
    user = "u-" + uuid.uuid4().hex[:12]
    iam.create_user(UserName=user)
    statement = [{"Effect": "Allow", "Action": ["lambda:*", "iam:PassRole"], "Resource": "*"}]
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statement}))
    key = iam.create_access_key(UserName=user)["AccessKey"]
    client = virga.client("lambda", key["AccessKeyId"], key["SecretAccessKey"])
    code, message = error_code(client.create_function, FunctionName="never", Role=images.role, PackageType="Image", Code={"ImageUri": uri})
    assert code == "InvalidParameterValueException" and "AccessDenied" in message


def test_refused_archives(images, program):
    layer = tar(entry("probe", program[:1000], 0o755))
    good = oci([layer], gzipped=False, Cmd=["/probe"])
    other = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + "0" * 64, "size": 1,
             "platform": {"os": "linux", "architecture": "arm64"}}
    images.image(oci([layer], others=[other], Cmd=["/probe"]))  # the one for this machine is taken
    assert "no tar archive" in images.refused(b"nothing of the kind" * 100)
    assert "cut off" in images.refused(good[:1500])
    assert "valid gzip" in images.refused(gzip.compress(good)[:-20])
    assert "neither an OCI layout" in images.refused(tar(entry("readme", b"x")))
    at = good.index(program[:64])
    assert "digest" in images.refused(good[:at] + b"\0" + good[at + 1:])
    assert "arm64" in images.refused(oci([layer], architecture="arm64", Cmd=["/probe"]))
    assert "valid zstd" in images.refused(oci([layer], pack=lambda data: zstd(data)[:-10], media_type=ZSTD_LAYER, Cmd=["/probe"]))
    assert "brotli" in images.refused(oci([layer], media_type="application/vnd.oci.image.layer.v1.tar+brotli", Cmd=["/probe"]))
    assert "more than 65536 bytes" in error_code(images.image, oci([layer], Cmd=["/probe"], Env=["X=" + "x" * 70000]))[1]
    assert "names no program" in error_code(images.image, oci([layer]))[1]
    twice = tar(entry("index.json", json.dumps({"manifests": [dict(other, platform={"os": "linux", "architecture": "amd64"}, digest="sha256:" + c * 64) for c in "ab"]}).encode()))
    assert "several images" in images.refused(twice)


def test_layers_of_zstd(images, program):
    layers = [tar(entry("probe", program, 0o755), entry("text", b"below")), tar(entry("text", b"above" * 100_000))]
    name = images.image(oci(layers, pack=zstd, media_type=ZSTD_LAYER, Cmd=["/probe"]))
    assert images.call(name, "cat /text").startswith("aboveabove") and images.call(name, "cat /etc/hosts")


# An extension that an image brings along.
EXTENSION = """#!/bin/bash
exec 3<>/dev/tcp/${AWS_LAMBDA_RUNTIME_API/://}
answer() {
  while IFS=$': \\r' read -r key value <&3 && [ -n "$key" ]; do
    case ${key,,} in content-length) length=$value;; lambda-extension-identifier) id=$value;; esac
  done
  IFS= read -r -N "$length" body <&3
}
printf 'POST /2020-01-01/extension/register HTTP/1.1\\r\\nHost: x\\r\\nLambda-Extension-Name: note\\r\\nContent-Length: 21\\r\\n\\r\\n{"events":["INVOKE"]}' >&3
answer
while true; do
  printf 'GET /2020-01-01/extension/event/next HTTP/1.1\\r\\nHost: x\\r\\nLambda-Extension-Identifier: %s\\r\\n\\r\\n' "$id" >&3
  answer
  echo "$body" >> /tmp/notes
done
"""


def test_extension(images, program):
    files = tar(entry("probe", program, 0o755), *shell("bash"), entry("opt/extensions/note", EXTENSION.encode(), 0o755))
    name = images.image(oci([files], Cmd=["/probe"]))
    asked = []

    def noted():  # an event of an earlier call, by whichever instance answers
        answer = images.client.invoke(FunctionName=name, Payload='"cat /tmp/notes"')
        text = answer["Payload"].read().decode()
        assert "FunctionError" not in answer, text
        found = any(request in text for request in asked)
        asked.append(answer["ResponseMetadata"]["RequestId"])
        return found
    eventually(noted)


# What can't be run says so as AWS does.
@pytest.mark.parametrize("settings, kind, text", [
    ({"Cmd": ["/none"]}, "Runtime.InvalidEntrypoint", "fork/exec /none: no such file or directory"),
    ({"Cmd": ["/text"]}, "Runtime.InvalidEntrypoint", "fork/exec /text: permission denied"),
    ({"Cmd": ["/probe"], "WorkingDir": "/none"}, "Runtime.InvalidWorkingDir", "chdir /none: no such file or directory"),
])
def test_program_that_does_not_run(images, program, settings, kind, text):
    error = images.fail(images.image(oci([tar(entry("probe", program, 0o755), entry("text", b"x"))], **settings)))
    assert error["errorType"] == kind and text in error["errorMessage"], error


HOSTILE = {
    "a name that leaves": [entry("../../escaped", b"x")],
    "a name that leaves in the middle": [entry("a/../../../escaped", b"x")],
    "a link to nowhere outside": [hard_link("stolen", "../../../etc/passwd")],
    "a hard link to what is not there": [hard_link("stolen", "/etc/shadow")],
    "a file below a file": [entry("a", b"x"), entry("a/b", b"x")],
    "a folder in a loop of links": [symlink("a", "b"), symlink("b", "a"), entry("a/b", b"x")],
    "a name that goes deep": [entry("d/" * 300 + "x", b"x")],
    "a whiteout of nothing": [entry("a/.wh.", b"")],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_names(images, program, case):
    images.refused(oci([tar(entry("probe", program, 0o755), *HOSTILE[case])], Cmd=["/probe"]))


# Links out of the image lead inside it, when it is unpacked and when it runs; devices and set-user-id bits are not made.
def test_hostile_content(images, program, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "secret").write_text("secret")
    up = "../" * 12
    layers = [
        tar(entry("probe", program, 0o6755), symlink("out", str(victim)), symlink("up", up + str(victim)[1:]),
            symlink("proc", "/etc"), symlink("dev", str(victim)), folder("usr"), folder("usr/etc"), symlink("etc", up + "usr/etc"),
            entry("disk", kind=tarfile.BLKTYPE, devmajor=254, devminor=0, mode=0o666),
            entry("mem", kind=tarfile.CHRTYPE, devmajor=1, devminor=1, mode=0o666), entry("pipe", kind=tarfile.FIFOTYPE),
            folder(str(victim)[1:]), folder("a"), entry("a/file", b"x"), symlink("a2", "a")),
        tar(entry("out/made", b"inside"), entry("up/made2", b"inside"), hard_link("stolen", "out/made"),
            entry("etc/hosts", b"theirs"), entry("a2/.wh.file"), entry("out/.wh.secret")),
    ]
    name = images.image(oci(layers, Cmd=["/probe"]))
    assert sorted(each.name for each in victim.iterdir()) == ["secret"]
    assert images.call(name, "cat /stolen") == "inside"
    assert images.call(name, "cat /out/secret") == "refused: ENOENT"
    assert images.call(name, "ls /a") == ""
    for gone in ("disk", "mem", "pipe"):
        assert images.call(name, f"stat /{gone}") == "refused: ENOENT"
    assert images.call(name, "stat /probe").split()[:2] == ["100755", "993"]
    assert images.call(name, "run /probe") == "0"  # not as root
    assert "sandbox.localdomain" in images.call(name, "cat /etc/hosts")
    assert images.call(name, "cat /proc/self/comm") == "probe\n"
    assert images.call(name, "ls /dev") == "fd full null random stderr stdin stdout urandom zero"
    for attempt in ("write /probe", "write /etc/hosts", "write /dev/null2", "write /proc/sys/kernel/hostname", "mount /tmp",
                    "umount /proc", "umount /etc/hosts", "chroot /", "cat /proc/1/environ"):
        assert images.call(name, attempt).startswith("refused"), attempt
    assert images.call(name, "ls /..") == images.call(name, "ls /")


# Where a sandbox mounts its own, an image's links and files are nothing.
def test_hostile_mount_points(images, program):
    layer = tar(entry("probe", program, 0o755), folder("var"), symlink("tmp", "/var"), entry("proc", b"x"),
                symlink("dev", "/proc/self"), folder("etc"), symlink("etc/hosts", "/probe"), folder("etc/resolv.conf"))
    name = images.image(oci([layer], Cmd=["/probe"]))
    assert images.call(name, "write /tmp/mine") == "ESCAPED" and images.call(name, "ls /var") == ""  # is what it may
    assert "sandbox.localdomain" in images.call(name, "cat /etc/hosts")
    assert images.call(name, "cat /proc/self/comm") == "probe\n" and "zero" in images.call(name, "ls /dev")


# A few kilobytes that would be more than an image may be are refused before anything is written.
def test_bomb(images, program):
    zeros = tarfile.TarInfo("zeros")
    zeros.size = 11 << 30
    message = images.refused(oci([zeros.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20)], Cmd=["/zeros"]))
    assert "larger than 10737418240 bytes" in message


def deploy(virga, where, stack):
    """The outputs of a stack that is made of a folder."""
    done = subprocess.run([BINARY, "deploy", str(where), "--stack", stack, "--output", "json"], env=virga.environment(),
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])["outputs"]


def delete(virga, stack):
    subprocess.run([BINARY, "delete", stack], env=virga.environment(), check=True, capture_output=True, timeout=120)


# A SAM application with an image: an archive, or the folder of an OCI layout.
@pytest.mark.parametrize("layout", ["archive", "folder"])
def test_deploy(virga, images, program, layout, tmp_path):
    archive = oci([tar(entry("probe", program, 0o755))], Cmd=["/probe"])
    if layout == "archive":
        (tmp_path / "app.tar").write_bytes(archive)
    else:
        tarfile.open(fileobj=io.BytesIO(archive)).extractall(tmp_path / "app")
    template = f"""
Transform: AWS::Serverless-2016-10-31
Resources:
  App:
    Type: AWS::Serverless::Function
    Properties:
      PackageType: Image
      ImageUri: {'app.tar' if layout == 'archive' else 'app/'}
      ImageConfig:
        Command: [/probe, deployed]
Outputs:
  Name:
    Value: !Ref App
"""
    (tmp_path / "template.yaml").write_text(template)
    stack = "s-" + uuid.uuid4().hex[:12]

    assert images.call(deploy(virga, tmp_path, stack)["Name"], "args") == "/probe deployed"
    if layout == "archive":
        (tmp_path / "app.tar").write_bytes(oci([tar(entry("probe", program, 0o755), entry("note", b"new"))], Cmd=["/probe"]))
        (tmp_path / "template.yaml").write_text(template.replace("ImageConfig:", "").replace("  Command: [/probe, deployed]", ""))
        name = deploy(virga, tmp_path, stack)["Name"]
        assert images.call(name, "cat /note") == "new" and images.call(name, "args") == "/probe"
    delete(virga, stack)


# The example of a function in C++, built and deployed as its README says.
def test_cpp_example(virga, images, tmp_path):
    subprocess.run(["cp", "-r", str(EXAMPLE), str(tmp_path / "cpp")], check=True)
    subprocess.run(["make", "-B"], cwd=tmp_path / "cpp", check=True, capture_output=True)
    stack = "s-" + uuid.uuid4().hex[:12]
    outputs = deploy(virga, tmp_path / "cpp", stack)
    assert images.call(outputs["Function"], {"below": 1000}) == {"below": 1000, "primes": 168}
    assert "below is no number" in images.fail(outputs["Function"], {"below": "x"})["errorMessage"]
    host = outputs["Url"].split("/")[2]
    with urllib.request.urlopen(f"{virga.url}/_aws/lambda-url/{host.split('.')[0]}/?below=100") as answer:
        assert json.loads(answer.read()) == {"below": 100, "primes": 25}
    delete(virga, stack)
