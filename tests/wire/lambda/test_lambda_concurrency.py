"""Reserved and provisioned concurrency, what an account has, and what is counted."""

import json
import threading
import time
import urllib.request

import pytest

from support import error_code, eventually, log_lines

SLOW = "import time, os\ndef handler(event, context):\n    time.sleep(event.get('s', 0)); return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']"
COUNTED = "import time\ntime.sleep(0.3)\nstarted = time.time()\ndef handler(event, context): return started"


def reason(call, **options):
    with pytest.raises(Exception) as caught:
        call(**options)
    return caught.value.response["Error"]["Code"], caught.value.response.get("Reason")


class Busy:
    """Runs a function in the background for a while."""

    def __init__(self, functions, name, seconds=1.5):
        self.thread = threading.Thread(target=lambda: functions.virga.client("lambda").invoke(
            FunctionName=name, Payload=json.dumps({"s": seconds})))
        self.thread.start()
        time.sleep(0.7)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.thread.join()


def test_reserved(functions):
    client = functions.client
    name = functions.make(SLOW)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    with Busy(functions, name):
        assert reason(client.invoke, FunctionName=name) == ("TooManyRequestsException", "ReservedFunctionConcurrentInvocationLimitExceeded")
    assert functions.call(name) == "on-demand"
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert reason(client.invoke, FunctionName=name)[1] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    client.delete_function_concurrency(FunctionName=name)
    assert functions.call(name) == "on-demand"


def test_account(own_virga):
    from support import Functions
    functions = Functions(own_virga)
    client = functions.client
    one, two = functions.make(SLOW), functions.make(SLOW)
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 1000
    client.put_function_concurrency(FunctionName=one, ReservedConcurrentExecutions=900)
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 100
    code, text = error_code(client.put_function_concurrency, FunctionName=two, ReservedConcurrentExecutions=1)
    assert code == "InvalidParameterValueException" and "below its minimum value of [100]" in text
    assert client.put_function_concurrency(FunctionName=one, ReservedConcurrentExecutions=899)
    client.put_function_concurrency(FunctionName=two, ReservedConcurrentExecutions=1)
    client.delete_function(FunctionName=two)
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 101


# A function gets so many new instances in ten seconds; what runs already serves on, and so do other functions.
def test_scaling_rate():
    from support import Functions, finish, start_virga
    server = start_virga(["--function-scaling", "1"])
    functions = Functions(server)
    name, other = functions.make(SLOW), functions.make(SLOW)
    versions = []
    for i in range(3):  # each runs in instances of its own
        functions.client.update_function_configuration(FunctionName=name, Description=str(i))
        versions.append(functions.client.publish_version(FunctionName=name)["Version"])
    assert functions.call(name) == "on-demand"
    refused = []
    for version in versions:
        try:
            functions.call(name, Qualifier=version)
        except functions.client.exceptions.TooManyRequestsException as error:
            refused.append(error.response["Reason"])
    assert refused and set(refused) == {"ConcurrentInvocationLimitExceeded"}
    assert functions.call(name) == "on-demand" and functions.call(other) == "on-demand"
    finish(server)


def provisioned(client, name, qualifier, count):
    made = client.put_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=count)
    assert made["RequestedProvisionedConcurrentExecutions"] == count
    eventually(lambda: client.get_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier)["Status"] == "READY")


def test_provisioned_on_a_version(functions):
    client = functions.client
    name = functions.make(SLOW)
    version = client.publish_version(FunctionName=name)["Version"]
    provisioned(client, name, version, 1)
    got = client.get_provisioned_concurrency_config(FunctionName=name, Qualifier=version)
    assert got["AllocatedProvisionedConcurrentExecutions"] == got["AvailableProvisionedConcurrentExecutions"] == 1
    assert functions.call(name, Qualifier=version) == "provisioned-concurrency"
    assert functions.call(name) == "on-demand"  # $LATEST
    with Busy(functions, name + ":" + version):
        assert functions.call(name, Qualifier=version) == "on-demand"  # spills over
    assert functions.call(name, Qualifier=version) == "provisioned-concurrency"
    client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier=version)
    assert error_code(client.get_provisioned_concurrency_config, FunctionName=name, Qualifier=version)[0] == "ProvisionedConcurrencyConfigNotFoundException"
    assert functions.call(name, Qualifier=version) == "on-demand"


def test_provisioned_is_initialised_ahead(functions):
    client = functions.client
    name = functions.make(COUNTED)
    version = client.publish_version(FunctionName=name)["Version"]
    client.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    provisioned(client, name, "live", 1)
    called = time.time()
    answer = client.invoke(FunctionName=name, Qualifier="live", LogType="Tail")
    assert json.loads(answer["Payload"].read()) < called
    import base64
    assert b"Init Duration" not in base64.b64decode(answer["LogResult"])
    eventually(lambda: any(line.startswith("INIT_REPORT Init Duration: ") and line.endswith("\tPhase: init")
                           for line in log_lines(functions.virga, name)))
    # The alias moves on, and its instances with it.
    client.update_function_configuration(FunctionName=name, Description="two")
    second = client.publish_version(FunctionName=name)["Version"]
    client.update_alias(FunctionName=name, Name="live", FunctionVersion=second)
    eventually(lambda: client.get_provisioned_concurrency_config(FunctionName=name, Qualifier="live")["Status"] == "READY")
    called = time.time()
    assert functions.call(name, Qualifier="live") < called
    listed = client.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"]
    assert [each["FunctionArn"].rsplit(":", 1)[1] for each in listed] == ["live"]


def test_provisioned_refusals(functions):
    client = functions.client
    put = client.put_provisioned_concurrency_config
    name = functions.make(SLOW)
    assert error_code(put, FunctionName=name, Qualifier="$LATEST", ProvisionedConcurrentExecutions=1)[0] in ("InvalidParameterValueException", "ValidationException")
    version = client.publish_version(FunctionName=name)["Version"]
    client.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    provisioned(client, name, version, 1)
    assert error_code(put, FunctionName=name, Qualifier="live", ProvisionedConcurrentExecutions=1)[0] == "ResourceConflictException"
    assert error_code(client.put_function_concurrency, FunctionName=name, ReservedConcurrentExecutions=0)[0] == "InvalidParameterValueException"
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    assert error_code(put, FunctionName=name, Qualifier=version, ProvisionedConcurrentExecutions=2)[0] == "InvalidParameterValueException"
    client.delete_function_concurrency(FunctionName=name)
    assert "below its minimum" in error_code(put, FunctionName=name, Qualifier=version, ProvisionedConcurrentExecutions=950)[1]
    assert error_code(put, FunctionName=name, Qualifier="99", ProvisionedConcurrentExecutions=1)[0] == "ResourceNotFoundException"


def test_provisioned_that_cannot_start(functions):
    client = functions.client
    name = functions.make("raise ValueError('no')")
    version = client.publish_version(FunctionName=name)["Version"]
    client.put_provisioned_concurrency_config(FunctionName=name, Qualifier=version, ProvisionedConcurrentExecutions=1)
    status = eventually(lambda: (s := client.get_provisioned_concurrency_config(FunctionName=name, Qualifier=version)) and s["Status"] == "FAILED" and s)
    assert "INIT" in status["StatusReason"]


def test_provisioned_after_a_restart(own_virga):
    from support import Functions
    functions = Functions(own_virga)
    name = functions.make(SLOW)
    version = functions.client.publish_version(FunctionName=name)["Version"]
    provisioned(functions.client, name, version, 2)
    own_virga.kill()
    own_virga.start()
    client = own_virga.client("lambda")
    eventually(lambda: client.get_provisioned_concurrency_config(FunctionName=name, Qualifier=version)["Status"] == "READY")
    assert json.loads(client.invoke(FunctionName=name, Qualifier=version)["Payload"].read()) == "provisioned-concurrency"


def test_counters(functions, virga):
    name = functions.make("def handler(event, context): return 1 / event['by']")
    functions.call(name, {"by": 1})
    functions.fail(name, {"by": 0})
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    error_code(functions.client.invoke, FunctionName=name)
    page = urllib.request.urlopen(virga.url + "/_virga/metrics").read().decode()
    lines = {line.split("{")[0]: line.rsplit(" ", 1)[1] for line in page.splitlines() if f'"{name}"' in line}
    assert lines["virga_lambda_invocations_total"] == "2" and lines["virga_lambda_errors_total"] == "1"
    assert lines["virga_lambda_throttles_total"] == "1" and lines["virga_lambda_concurrent_executions"] == "0"
    assert lines["virga_lambda_duration_milliseconds_count"] == "2"
