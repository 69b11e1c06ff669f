"""What was promised to be run is run, whatever happens to Virga in between."""

from support import Functions, eventually


def lines(server, function):
    logs = server.client("logs")
    try:
        return [e["message"].strip() for e in logs.filter_log_events(logGroupName="/aws/lambda/" + function)["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []


# 202 is a promise: a SIGKILL right after it doesn't lose the event. It may run twice, as AWS says too.
def test_event_survives_a_kill(own_virga):
    functions = Functions(own_virga)
    name = functions.make("import time\ndef handler(event, context):\n    time.sleep(0.3)\n    print('did', event['n'])")
    for n in range(5):
        assert functions.client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"n": %d}' % n)["StatusCode"] == 202
    own_virga.kill()
    own_virga.start()
    eventually(lambda: {f"did {n}" for n in range(5)} <= set(lines(own_virga, name)), 20)


# Functions, versions, aliases, permissions, layers and code are what they were after a SIGKILL; the call needs no warm-up.
def test_functions_survive_a_kill(own_virga):
    functions = Functions(own_virga)
    name = functions.make("import os\ndef handler(event, context): return [os.environ['COLOUR'], context.function_version]",
                          Environment={"Variables": {"COLOUR": "red"}}, Publish=True)
    functions.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    before = functions.client.get_function_configuration(FunctionName=name, Qualifier="1")
    own_virga.kill()
    own_virga.start()
    assert functions.call(name, Qualifier="live") == ["red", "1"]
    after = functions.client.get_function_configuration(FunctionName=name, Qualifier="1")
    assert {k: v for k, v in before.items() if k != "ResponseMetadata"} == {k: v for k, v in after.items() if k != "ResponseMetadata"}


# A clean stop lets a call that runs finish.
def test_stop_finishes_calls(own_virga):
    import concurrent.futures
    functions = Functions(own_virga)
    name = functions.make("import time\ndef handler(event, context):\n    print('began')\n    time.sleep(1)\n    return 'done'")
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(functions.call, name)
        eventually(lambda: "began" in lines(own_virga, name), 5)
        assert own_virga.stop() == 0
        assert running.result() == "done"
