"""Managed instances: capacity providers, and functions that take several requests in one execution environment."""

import base64
import concurrent.futures
import json
import subprocess
import time

import pytest

from raw import Raw
from support import ROOT, Functions, error_code, eventually, log_lines, zipped

# Answers when `together` requests of its process are under way.
NODE = """
const waiting = [];
exports.handler = async (event, context) => {
  console.log('saw', event.n);
  await new Promise((go) => {
    waiting.push(go);
    if (waiting.length >= event.together) waiting.splice(0).forEach((f) => f());
  });
  return [process.pid, context.awsRequestId, process.env.AWS_LAMBDA_MAX_CONCURRENCY];
};
"""
PYTHON = """
import os, time
me = os.urandom(8).hex()  # this process
def handler(event, context):
    print("began", event.get("seconds", 0))
    time.sleep(event.get("seconds", 0))
    return [me, context.aws_request_id]
"""
# A runtime of its own with as many threads as it is told, each asking for its next invocation.
CUSTOM = {"bootstrap": """#!/usr/bin/python3
import os, threading, urllib.request
API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
together = threading.Barrier(3, timeout=10)
def serve():
    while True:
        with urllib.request.urlopen(API + "next") as event:
            request = event.headers["Lambda-Runtime-Aws-Request-Id"]
            event.read()
        together.wait()
        urllib.request.urlopen(API + request + "/response", data=b'"%d"' % os.getpid()).read()
threads = [threading.Thread(target=serve) for _ in range(int(os.environ["AWS_LAMBDA_MAX_CONCURRENCY"]))]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""}


class Managed:
    """A capacity provider, and functions on it."""

    def __init__(self, virga, functions, name):
        self.raw, self.functions, self.name = Raw(virga), functions, name
        self.client = virga.client("lambda")
        status, made = self.raw.api("POST", "/2025-11-30/capacity-providers", {
            "CapacityProviderName": name, "VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
            "PermissionsConfig": {"CapacityProviderOperatorRoleArn": functions.role}})
        assert status == 202, made
        self.arn = made["CapacityProvider"]["CapacityProviderArn"]

    def create(self, code, runtime, concurrency=None, handler="index.handler", instances=(1, 1), **options):
        """A published function; `instances`: least and most. The status and document of a refusal otherwise."""
        name = "f-" + str(time.time_ns())
        files = code if isinstance(code, dict) else {"index.js" if runtime.startswith("node") else "index.py": code}
        config = {"CapacityProviderArn": self.arn, **({"PerExecutionEnvironmentMaxConcurrency": concurrency} if concurrency else {})}
        status, made = self.raw.api("POST", "/2015-03-31/functions", {
            "FunctionName": name, "Runtime": runtime, "Handler": handler, "Role": self.functions.role, "Timeout": 10,
            "Code": {"ZipFile": base64.b64encode(zipped(files)).decode()},
            "CapacityProviderConfig": {"LambdaManagedInstancesCapacityProviderConfig": config}, **options})
        if status != 201:
            return status, made
        self.functions.made.append(name)
        applied = made["CapacityProviderConfig"]["LambdaManagedInstancesCapacityProviderConfig"]
        most = concurrency or {"pyt": 16, "jav": 32}.get(runtime[:3], 64)
        assert applied == {**config, "PerExecutionEnvironmentMaxConcurrency": most, "ExecutionEnvironmentMemoryGiBPerVCpu": 2.0}
        assert made["MemorySize"] == options.get("MemorySize", 2048)
        status, published = self.raw.api("POST", f"/2015-03-31/functions/{name}/versions", {"PublishTo": "LATEST_PUBLISHED"})
        assert (status, published["Version"]) == (201, "$LATEST.PUBLISHED"), published
        self.scale(name, *instances)
        return name

    def scale(self, name, least, most):
        status, made = self.raw.api("PUT", f"/2025-11-30/functions/{name}/function-scaling-config?Qualifier=%24LATEST.PUBLISHED", {
            "FunctionScalingConfig": {"MinExecutionEnvironments": least, "MaxExecutionEnvironments": most}})
        assert status == 202, made
        return made["FunctionState"]

    def call(self, name, event):
        status, value = self.raw.api("POST", f"/2015-03-31/functions/{name}/invocations", event)
        assert status == 200, value
        return value

    def together(self, name, events):
        with concurrent.futures.ThreadPoolExecutor(len(events)) as pool:
            return list(pool.map(lambda event: self.raw.api("POST", f"/2015-03-31/functions/{name}/invocations", event), events))


@pytest.fixture
def managed(virga, functions, name):
    return Managed(virga, functions, name)


# Several requests at a time in one Node.js process; each line of the log says whose it is.
def test_node_shares_a_process(virga, managed):
    name = managed.create(NODE, "nodejs22.x", concurrency=5)
    answers = managed.together(name, [{"n": n, "together": 5} for n in range(5)])
    assert [status for status, _ in answers] == [200] * 5
    assert len({value[0] for _, value in answers}) == 1 and len({value[1] for _, value in answers}) == 5
    assert answers[0][1][2] == "5"

    def seen():
        return {json.loads(line)["requestId"] for line in log_lines(virga, name) if '"saw ' in line}

    eventually(lambda: seen() == {value[1] for _, value in answers})


# Python takes each in a process of its own, as on AWS.
def test_python_has_processes(managed):
    name = managed.create(PYTHON, "python3.13", concurrency=3)
    answers = managed.together(name, [{"seconds": 1}] * 3)
    processes = {value[0] for _, value in answers}
    assert len(processes) == 3 and len({value[1] for _, value in answers}) == 3
    assert managed.call(name, {})[0] in processes


def test_custom_runtime_asks_for_several(managed):
    name = managed.create(CUSTOM, "provided.al2023", concurrency=3, handler="main")
    answers = managed.together(name, [{}] * 3)
    assert [status for status, _ in answers] == [200] * 3 and len({value for _, value in answers}) == 1


# A time-out is one request's: what runs beside it ends well, in the same process.
def test_time_out_of_one(managed):
    code = """
exports.handler = async (event) => { await new Promise((go) => setTimeout(go, event.hang ? 60000 : 1500)); return process.pid; };
"""
    name = managed.create(code, "nodejs22.x", concurrency=2, Timeout=2)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        hung = pool.submit(managed.call, name, {"hang": True})
        time.sleep(1)
        fine = pool.submit(managed.call, name, {})
        assert "Task timed out after 2.00 seconds" in hung.result()["errorMessage"]
        first = fine.result()
    assert isinstance(first, int)
    assert isinstance(eventually(lambda: managed.call(name, {})), int)


# A crash fails all requests of its instance, and another instance takes its place.
def test_crash_fails_all_in_flight(managed):
    code = """
let together = 0;
exports.handler = async (event) => {
  if (event.fine) return 'fine';
  if (++together === 3) process.exit(7);
  await new Promise((go) => setTimeout(go, 60000));
};
"""
    name = managed.create(code, "nodejs22.x", concurrency=3)
    answers = managed.together(name, [{}] * 3)
    assert {value["errorType"] for _, value in answers} == {"Runtime.ExitError"}
    assert managed.call(name, {"fine": True}) == "fine"


# As many instances as the requests in flight need, and no more than allowed.
def test_scales_by_requests_in_flight(managed):
    name = managed.create(PYTHON, "python3.13", concurrency=2, instances=(1, 2))
    managed.call(name, {})
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for seconds in (3, 9):  # until all four were under way together
            busy = [pool.submit(managed.call, name, {"seconds": seconds}) for _ in range(4)]
            eventually(lambda: log_lines(managed.functions.virga, name).count(f"began {seconds}") == 4)
            status, refused = managed.raw.api("POST", f"/2015-03-31/functions/{name}/invocations", {})
            processes = {each.result()[0] for each in busy}
            if status == 429:
                break
    assert len(processes) == 4
    assert (status, refused["Reason"]) == (429, "ConcurrentInvocationLimitExceeded")
    assert managed.scale(name, 0, 0) == "Deactivated"
    assert managed.raw.api("POST", f"/2015-03-31/functions/{name}/invocations", {})[0] == 502
    assert managed.scale(name, 1, 1) == "Active"
    managed.call(name, {})


# Instances are there before anybody calls: no request waits for a start.
def test_no_cold_starts(managed):
    code = "import time\nstarted = time.time()\ndef handler(event, context): return started"
    name = managed.create(code, "python3.13", concurrency=1, instances=(2, 2))
    eventually(lambda: sum("platform.initReport" in line for line in log_lines(managed.functions.virga, name)) >= 2)
    called = time.time()
    answer = managed.client.invoke(FunctionName=name, LogType="Tail")
    assert json.loads(answer["Payload"].read()) < called
    assert answer["ExecutedVersion"] == "$LATEST.PUBLISHED" and b"Init Duration" not in base64.b64decode(answer["LogResult"])


def test_failed_start_is_told(managed):
    name = managed.create("import nothing_like_it", "python3.13", concurrency=2)
    assert managed.call(name, {})["errorType"] == "Runtime.ImportModuleError"


def test_published_versions(managed):
    name = managed.create("def handler(event, context): return [context.function_version, 1]", "python3.13", concurrency=1)
    client = managed.client
    assert managed.call(name, {}) == ["$LATEST.PUBLISHED", 1]
    assert client.publish_version(FunctionName=name)["Version"] == "1"
    assert managed.call(name + ":1", {}) == ["1", 1]
    client.update_function_code(FunctionName=name, ZipFile=zipped({"index.py": "def handler(event, context): return [context.function_version, 2]"}))
    assert managed.call(name, {}) == ["$LATEST.PUBLISHED", 1]
    managed.raw.api("POST", f"/2015-03-31/functions/{name}/versions", {"PublishTo": "LATEST_PUBLISHED"})
    assert managed.call(name, {}) == ["$LATEST.PUBLISHED", 2]
    status, listed = managed.raw.api("GET", f"/2025-11-30/capacity-providers/{managed.name}/function-versions")
    assert [v["FunctionArn"].split(":", 7)[7] for v in listed["FunctionVersions"]] == ["1", "$LATEST.PUBLISHED"]
    status, config = managed.raw.api("GET", f"/2025-11-30/functions/{name}/function-scaling-config?Qualifier=%24LATEST.PUBLISHED")
    assert config["AppliedFunctionScalingConfig"] == {"MinExecutionEnvironments": 1, "MaxExecutionEnvironments": 1}


def test_what_is_refused(managed, functions):
    for runtime in ("python3.12", "java17"):
        status, refused = managed.create(PYTHON, runtime, handler="a::b")
        assert status == 400 and refused["message"] == f"Runtime Enum {runtime} does not support specified feature: Lambda Managed Instances"
    status, refused = managed.create(PYTHON, "python3.13", MemorySize=1024)
    assert status == 400 and "at least 2048 MB" in refused["message"]
    name = managed.create(PYTHON, "python3.13", concurrency=1)
    managed.client.publish_version(FunctionName=name)
    for call in (managed.client.put_function_concurrency, {"ReservedConcurrentExecutions": 1}), (
            managed.client.put_provisioned_concurrency_config, {"ProvisionedConcurrentExecutions": 1, "Qualifier": "1"}):
        assert "not supported for functions with a capacity provider" in error_code(call[0], FunctionName=name, **call[1])[1]
    plain = functions.make(PYTHON)
    status, refused = managed.raw.api("POST", f"/2015-03-31/functions/{plain}/versions", {"PublishTo": "LATEST_PUBLISHED"})
    assert status == 400 and "capacity provider" in refused["message"]
    status, refused = managed.raw.api("PUT", f"/2015-03-31/functions/{plain}/configuration", {
        "CapacityProviderConfig": {"LambdaManagedInstancesCapacityProviderConfig": {"CapacityProviderArn": managed.arn}}})
    assert status == 400 and refused["message"] == "CapacityProviderConfig isn't supported for Lambda Default functions."
    for field, value in (("PropagateTags", {"Mode": "Explicit", "ExplicitTags": {"a": "b"}}), ("TelemetryConfig", {"LoggingConfig": {}})):
        status, refused = managed.raw.api("PUT", f"/2025-11-30/capacity-providers/{managed.name}", {field: value})
        assert status == 400 and refused["message"] == f"{field} is not served by Virga."
    status, refused = managed.raw.api("DELETE", f"/2025-11-30/capacity-providers/{managed.name}")
    assert status == 409 and "in use" in refused["message"]


# The newest SDK, through a provider's life.
def test_capacity_provider_in_the_javascript_sdk(virga, functions, name):
    script = """
const {LambdaClient, CreateCapacityProviderCommand: Create, GetCapacityProviderCommand: Get, UpdateCapacityProviderCommand: Update,
  ListCapacityProvidersCommand: List, DeleteCapacityProviderCommand: Delete, ListTagsCommand: Tags} = require(process.env.SDK_ROOT + "/node_modules/@aws-sdk/client-lambda");
const client = new LambdaClient({});
const [name, role] = process.argv.slice(1);
const shape = {CapacityProviderName: name, VpcConfig: {SubnetIds: ["subnet-1"], SecurityGroupIds: ["sg-1"]},
  PermissionsConfig: {CapacityProviderOperatorRoleArn: role}, InstanceRequirements: {AllowedInstanceTypes: ["m7i.large"]}, Tags: {a: "b"}};
(async () => {
  const out = {};
  out.made = (await client.send(new Create(shape))).CapacityProvider;
  out.again = await client.send(new Create(shape)).catch((e) => e.name);
  out.changed = (await client.send(new Update({CapacityProviderName: name, CapacityProviderScalingConfig: {MaxVCpuCount: 8}}))).CapacityProvider.CapacityProviderScalingConfig;
  out.listed = (await client.send(new List({}))).CapacityProviders.filter((p) => p.CapacityProviderArn === out.made.CapacityProviderArn).length;
  out.tags = (await client.send(new Tags({Resource: out.made.CapacityProviderArn}))).Tags;
  out.deleted = (await client.send(new Delete({CapacityProviderName: name}))).CapacityProvider.State;
  out.gone = await client.send(new Get({CapacityProviderName: name})).catch((e) => e.name);
  out.kms = await client.send(new Create({...shape, KmsKeyArn: "arn:aws:kms:us-east-1:000000000000:key/x"})).catch((e) => e.message);
  console.log(JSON.stringify(out));
})();
"""
    done = subprocess.run(["node", "-e", script, name, functions.role], env={**virga.environment(), "SDK_ROOT": str(ROOT)},
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    assert out["made"]["State"] == "Active" and out["made"]["InstanceRequirements"] == {"AllowedInstanceTypes": ["m7i.large"]}
    assert out["again"] == "ResourceConflictException" and out["changed"] == {"MaxVCpuCount": 8, "ScalingMode": "Auto"}
    assert out["listed"] == 1 and out["tags"] == {"a": "b"}
    assert out["deleted"] == "Deleting" and out["gone"] == "ResourceNotFoundException" and "KmsKeyArn is not served" in out["kms"]


# After a kill the instances are there again, without anybody asking.
def test_fleets_survive_a_kill(own_virga, name):
    functions = Functions(own_virga)
    managed = Managed(own_virga, functions, name)
    function = managed.create(PYTHON, "python3.13", concurrency=2)
    first = managed.call(function, {})
    own_virga.kill()
    own_virga.start()
    assert managed.call(function, {})[1] != first[1]
