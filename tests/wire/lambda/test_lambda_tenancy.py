"""Tenant isolation: instances serve one tenant each. And what came before Invoke, and the limit of an account."""

import base64
import json

from raw import Raw
from support import Functions, error_code, eventually, finish, log_lines, start_virga, zipped

CODE = """
import os
seen = []
def handler(event, context):
    seen.append(context.tenant_id)
    print("tenant", context.tenant_id)
    return [os.getpid(), seen]
"""


def isolated(virga, functions, name, **options):
    status, made = Raw(virga).api("POST", "/2015-03-31/functions", {
        "FunctionName": name, "Runtime": "python3.12", "Handler": "index.handler", "Role": functions.role,
        "Code": {"ZipFile": base64.b64encode(zipped({"index.py": CODE})).decode()},
        "TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}, **options})
    assert status == 201 and made["TenancyConfig"] == {"TenantIsolationMode": "PER_TENANT"}, made
    functions.made.append(name)


def call(virga, name, tenant=None, kind="RequestResponse"):
    raw = Raw(virga)
    path = f"/2015-03-31/functions/{name}/invocations"
    headers = {"X-Amz-Invocation-Type": kind, **({"X-Amz-Tenant-Id": tenant} if tenant else {})}
    answer = raw.send("POST", path, b"{}", raw.signed("POST", path, b"{}", headers=headers))
    text = answer.read()
    return answer.status, json.loads(text) if text else None


def test_tenants_never_share(virga, functions, name):
    isolated(virga, functions, name)
    for _ in range(2):
        for tenant in ("blue", "green"):
            status, (_, seen) = call(virga, name, tenant)
            assert status == 200 and set(seen) == {tenant}
    assert call(virga, name, "blue")[1][1] == ["blue"] * 3


def test_tenant_must_be_named(virga, functions, name):
    isolated(virga, functions, name, Publish=True)
    for kind in ("RequestResponse", "Event"):
        status, refused = call(virga, name, kind=kind)
        assert status == 400 and refused["message"].startswith("The invoked function is enabled with tenancy configuration.")
    plain = functions.make("def handler(event, context): return 1")
    status, refused = call(virga, plain, "blue")
    assert status == 400 and "not enabled with tenancy configuration" in refused["message"]
    client = functions.client
    assert "tenant isolation" in error_code(client.put_provisioned_concurrency_config, FunctionName=name, Qualifier="1",
                                            ProvisionedConcurrentExecutions=1)[1]
    assert "tenant isolation" in error_code(client.create_function_url_config, FunctionName=name, AuthType="NONE")[1]


# Records of a queue name no tenant.
def test_no_event_source_mapping(virga, functions, name):
    isolated(virga, functions, name)
    sqs = virga.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    code, message = error_code(functions.client.create_event_source_mapping, FunctionName=name, EventSourceArn=arn)
    assert code == "InvalidParameterValueException" and "tenant isolation" in message


# An event keeps its tenant.
def test_events_of_tenants(virga, functions, name):
    isolated(virga, functions, name)
    assert call(virga, name, "blue", kind="Event")[0] == 202
    eventually(lambda: "tenant blue" in log_lines(virga, name))


def test_invoke_async(virga, functions):
    name = functions.make("def handler(event, context): print('got', event['n'])")
    assert functions.client.invoke_async(FunctionName=name, InvokeArgs=b'{"n": 7}')["Status"] == 202
    eventually(lambda: "got 7" in log_lines(virga, name))
    assert error_code(functions.client.invoke_async, FunctionName=name, InvokeArgs=b"no json")[0] == "InvalidRequestContentException"
    assert error_code(functions.client.invoke_async, FunctionName="nobody", InvokeArgs=b"{}")[0] == "ResourceNotFoundException"


def test_concurrency_of_the_account():
    server = start_virga(["--function-concurrency", "50"])
    try:
        functions = Functions(server)
        name = functions.make("def handler(event, context): return 1")
        limit = functions.client.get_account_settings()["AccountLimit"]
        assert (limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]) == (50, 50)
        code, text = error_code(functions.client.put_function_concurrency, FunctionName=name, ReservedConcurrentExecutions=1)
        assert code == "InvalidParameterValueException" and "below its minimum value of [50]" in text
    finally:
        finish(server)
