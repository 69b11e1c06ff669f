"""What was promised to be run is run, whatever happens to Virga in between."""

from support import Functions, eventually, log_lines


# 202 is a promise: a SIGKILL right after it doesn't lose the event. It may run twice, as AWS says too.
def test_event_survives_a_kill(own_virga):
    functions = Functions(own_virga)
    name = functions.make("import time\ndef handler(event, context):\n    time.sleep(0.3)\n    print('did', event['n'])")
    for n in range(5):
        assert functions.client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"n": %d}' % n)["StatusCode"] == 202
    own_virga.kill()
    own_virga.start()
    eventually(lambda: {f"did {n}" for n in range(5)} <= set(log_lines(own_virga, name)))


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
        eventually(lambda: "began" in log_lines(own_virga, name))
        assert own_virga.stop() == 0
        assert running.result() == "done"


# Every event that was accepted is answered for: killed again and again in the middle, each has run and its record has
# reached the queue, which holds none of an event that was never sent.
def test_events_and_their_records_survive_kills(own_virga):
    import json
    import random
    functions = Functions(own_virga)
    role = functions.make_role([{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}])
    name = functions.make("def handler(event, context):\n    return event['n']", Role=role)
    sqs = own_virga.client("sqs")
    url = sqs.create_queue(QueueName="records")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    functions.client.put_function_event_invoke_config(FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": arn}})
    chance = random.Random(7)
    accepted = 0
    for _ in range(4):
        for _ in range(chance.randrange(20, 60)):
            functions.client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"n": %d}' % accepted)
            accepted += 1
        own_virga.kill()
        own_virga.start()
    seen = set()

    def all_seen():
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
        for message in found:
            seen.add(json.loads(message["Body"])["responsePayload"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return seen >= set(range(accepted))

    eventually(all_seen)
    assert seen == set(range(accepted))
