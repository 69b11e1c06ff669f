"""Event source mappings over DynamoDB Streams: from a write to the function, and what becomes of what it refuses.
"""

import json
import time
import uuid

import botocore.exceptions
import pytest

from support import Kept, eventually

CODE = Kept.CODE + """
def keys(event):
    return [r["dynamodb"]["Keys"]["p"]["S"] for r in event["Records"]]
def handler(event, context):
    keep(event)
"""


class Source:
    """A table with a stream, a function fed by it, and the events that the function saw."""

    def __init__(self, virga, functions, does="return {}", view="NEW_AND_OLD_IMAGES", provisioned=True, **mapping):
        self.db, self.client, self.kept = virga.client("dynamodb"), functions.client, Kept(virga)
        self.table = "s-" + uuid.uuid4().hex[:10]
        capacity = {"BillingMode": "PAY_PER_REQUEST"} if not provisioned else {
            "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}
        schema = {"AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
                  "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}]}
        self.stream = self.db.create_table(
            TableName=self.table, StreamSpecification={"StreamEnabled": True, "StreamViewType": view}, **schema,
            **capacity)["TableDescription"]["LatestStreamArn"]
        role = functions.make_role([{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"},
                                    {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}])
        self.function = functions.make(f"{CODE}    {does}", Role=role, Timeout=10,
                                       Environment={"Variables": {"KEPT": self.kept.name}})
        self.before = mapping.pop("before", [])
        self.put(*self.before)
        mapping.setdefault("StartingPosition", "TRIM_HORIZON")
        made = self.client.create_event_source_mapping(FunctionName=self.function, EventSourceArn=self.stream, **mapping)
        assert made["State"] == "Creating"
        self.uuid = made["UUID"]

    def put(self, *keys, **more):
        for key in keys:
            self.db.put_item(TableName=self.table, Item={"p": {"S": key}, **more})

    def put_together(self, *keys):
        self.db.batch_write_item(RequestItems={self.table: [{"PutRequest": {"Item": {"p": {"S": k}}}} for k in keys]})

    def events(self):
        return list(self.kept.values().values())

    def batches(self):
        return [[r["dynamodb"]["Keys"]["p"]["S"] for r in e["Records"]] for e in self.events()]

    def keys(self):
        return [k for batch in self.batches() for k in batch]

    def state(self):
        return self.client.get_event_source_mapping(UUID=self.uuid)

    def wait_for(self, state):
        return eventually(lambda: self.state()["State"] == state)


def test_a_write_reaches_the_function(virga, functions):
    s = Source(virga, functions, before=["early"])
    s.put("a", n={"N": "1"})
    eventually(lambda: s.keys() == ["early", "a"])
    record = s.events()[-1]["Records"][-1]
    assert record["eventSource"] == "aws:dynamodb" and record["eventName"] == "INSERT"
    assert record["eventSourceARN"] == s.stream and record["awsRegion"] == "us-east-1"
    assert record["dynamodb"]["NewImage"] == {"p": {"S": "a"}, "n": {"N": "1"}}
    assert isinstance(record["dynamodb"]["ApproximateCreationDateTime"], float)
    s.wait_for("Enabled")
    assert s.state()["StateTransitionReason"] == "User action"
    assert eventually(lambda: s.state()["LastProcessingResult"] == "OK")


def test_latest_skips_what_was_there(virga, functions):
    s = Source(virga, functions, before=["early"], StartingPosition="LATEST")
    s.put("a")
    eventually(lambda: s.keys() == ["a"])


def test_states_follow_the_user(virga, functions):
    s = Source(virga, functions, Enabled=False, BatchSize=7)
    s.wait_for("Disabled")
    s.put("a")
    assert s.client.update_event_source_mapping(UUID=s.uuid, Enabled=True)["State"] == "Enabling"
    s.wait_for("Enabled")
    eventually(lambda: s.keys() == ["a"])
    updated = s.client.update_event_source_mapping(UUID=s.uuid, Enabled=False)
    assert updated["State"] == "Disabling" and updated["BatchSize"] == 7
    s.wait_for("Disabled")
    s.put("b")
    s.client.update_event_source_mapping(UUID=s.uuid, Enabled=True, BatchSize=3)
    eventually(lambda: s.keys() == ["a", "b"])
    listed = s.client.list_event_source_mappings(FunctionName=s.function)["EventSourceMappings"]
    assert [m["UUID"] for m in listed] == [s.uuid] and listed[0]["BatchSize"] == 3
    assert s.client.delete_event_source_mapping(UUID=s.uuid)["State"] == "Deleting"

    def gone():
        try:
            s.state()
        except s.client.exceptions.ResourceNotFoundException:
            return True
    eventually(gone)
    s.put("c")
    time.sleep(0.3)
    assert s.keys() == ["a", "b"]


def test_batches_are_as_long_as_asked(virga, functions):
    s = Source(virga, functions, Enabled=False, BatchSize=4)
    s.wait_for("Disabled")
    s.put_together(*"abcdefghij")
    s.client.update_event_source_mapping(UUID=s.uuid, Enabled=True)
    eventually(lambda: len(s.keys()) == 10)
    assert [len(b) for b in s.batches()] == [4, 4, 2]


def test_a_window_gathers_a_batch(virga, functions):
    s = Source(virga, functions, MaximumBatchingWindowInSeconds=1)
    s.wait_for("Enabled")
    s.put("a"), s.put("b"), s.put("c")
    assert s.batches() == []
    eventually(lambda: len(s.keys()) == 3)
    assert s.batches() == [["a", "b", "c"]]


def test_a_batch_is_retried_until_it_succeeds(virga, functions):
    # A failure does not let later records by.
    s = Source(virga, functions, does="""
    if keys(event)[0] == "a" and times_kept() < 3:
        raise ValueError("not yet")""", BatchSize=1)
    s.put_together("a")
    s.put("b")
    eventually(lambda: s.batches()[-1:] == [["b"]])
    assert s.batches() == [["a"], ["a"], ["a"], ["b"]]


def test_bisecting_finds_the_record_and_retries_run_out(virga, functions):
    s = Source(virga, functions, does="""
    if "bad" in keys(event): raise ValueError("bad")""", Enabled=False, BisectBatchOnFunctionError=True,
               MaximumRetryAttempts=1)
    s.wait_for("Disabled")
    for key in ("a", "b", "bad", "c"):
        s.put(key)
    s.client.update_event_source_mapping(UUID=s.uuid, Enabled=True)
    eventually(lambda: s.batches()[-1:] == [["c"]])
    assert s.batches() == [["a", "b", "bad", "c"], ["a", "b"], ["bad", "c"], ["bad"], ["bad"], ["c"]]


REPORTS = """
    %s
    bad = [r["dynamodb"]["SequenceNumber"] for r in event["Records"] if r["dynamodb"]["Keys"]["p"]["S"] == "bad"]
    if bad and times_kept() < 3:
        return {"batchItemFailures": [{"itemIdentifier": n} for n in bad]}"""


def test_reported_failures_go_on_from_the_lowest(virga, functions):
    s = Source(virga, functions, does=REPORTS % "", Enabled=False, FunctionResponseTypes=["ReportBatchItemFailures"])
    s.wait_for("Disabled")
    for key in ("a", "bad", "c"):
        s.put(key)
    s.client.update_event_source_mapping(UUID=s.uuid, Enabled=True)
    eventually(lambda: len(s.batches()) == 3)
    assert s.batches() == [["a", "bad", "c"], ["bad", "c"], ["bad", "c"]]


# As AWS was recorded: what a partial failure leaves is a batch that has not been tried yet.
def test_attempts_of_what_is_left_begin_anew(virga, functions):
    s = Source(virga, functions, does="""
    bad = [r["dynamodb"]["SequenceNumber"] for r in event["Records"] if r["dynamodb"]["Keys"]["p"]["S"] == "bad"]
    return {"batchItemFailures": [{"itemIdentifier": n} for n in bad]}""", Enabled=False, MaximumRetryAttempts=1,
               FunctionResponseTypes=["ReportBatchItemFailures"])
    s.wait_for("Disabled")
    for key in ("a", "bad"):
        s.put(key)
    s.client.update_event_source_mapping(UUID=s.uuid, Enabled=True)
    eventually(lambda: len(s.batches()) == 3)
    s.put("b")
    eventually(lambda: s.batches()[-1:] == [["b"]])
    assert s.batches() == [["a", "bad"], ["bad"], ["bad"], ["b"]]


@pytest.mark.parametrize("answer, again", [
    ("{'batchItemFailures': []}", False), ("{'batchItemFailures': None}", False), ("{}", False), ("None", False),
    ("{'batchItemFailures': [{'itemIdentifier': ''}]}", True), ("{'batchItemFailures': [{'wrong': 'x'}]}", True),
    ("{'batchItemFailures': [{'itemIdentifier': None}]}", True), ("{'batchItemFailures': [{'itemIdentifier': '9'}]}", True)])
def test_answers_mean_what_is_documented(virga, functions, answer, again):
    s = Source(virga, functions, does="return " + answer, MaximumRetryAttempts=1,
               FunctionResponseTypes=["ReportBatchItemFailures"])
    s.put("a")
    eventually(lambda: len(s.batches()) >= 1 + again)
    s.put("b")
    eventually(lambda: "b" in s.keys())
    assert s.keys()[:3] == (["a", "a", "b"] if again else ["a", "b"])


def test_a_divided_shard_keeps_the_order_of_keys(virga, functions):
    s = Source(virga, functions, ParallelizationFactor=4, BatchSize=3)
    for turn in range(5):
        for key in "abcdefgh":
            s.put(key, turn={"N": str(turn)})
    eventually(lambda: len(s.keys()) == 40)
    turns = {}
    for event in s.events():
        for r in event["Records"]:
            turns.setdefault(r["dynamodb"]["Keys"]["p"]["S"], []).append(int(r["dynamodb"]["NewImage"]["turn"]["N"]))
    assert all(t == [0, 1, 2, 3, 4] for t in turns.values())


def test_dividing_a_shard_otherwise_leaves_nothing_out(virga, functions):
    s = Source(virga, functions, BatchSize=2)
    for turn in range(6):
        for key in "abcd":
            s.put(key, turn={"N": str(turn)})
        if turn in (1, 3):
            s.client.update_event_source_mapping(UUID=s.uuid, ParallelizationFactor=3 if turn == 1 else 2)

    def turns():
        found = {}
        for event in s.events():
            for r in event["Records"]:
                found.setdefault(r["dynamodb"]["Keys"]["p"]["S"], set()).add(r["dynamodb"]["NewImage"]["turn"]["N"])
        return found
    eventually(lambda: turns() == {key: set("012345") for key in "abcd"})


def test_shards_share_a_function_that_runs_once_at_a_time(virga, functions):
    s = Source(virga, functions, provisioned=False, Enabled=False)
    s.wait_for("Disabled")
    functions.client.put_function_concurrency(FunctionName=s.function, ReservedConcurrentExecutions=1)
    s.put(*map(str, range(20)))
    s.client.update_event_source_mapping(UUID=s.uuid, Enabled=True)
    eventually(lambda: sorted(map(int, s.keys())) == list(range(20)))


def test_a_role_that_loses_its_permission_loses_no_record(virga, functions):
    s = Source(virga, functions)
    s.put("a")
    eventually(lambda: s.keys() == ["a"])
    iam = virga.client("iam")
    role = functions.client.get_function_configuration(FunctionName=s.function)["Role"].split("/")[-1]
    policy = iam.get_role_policy(RoleName=role, PolicyName="more")["PolicyDocument"]
    only_writes = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": "*"}]}
    iam.put_role_policy(RoleName=role, PolicyName="more", PolicyDocument=json.dumps(only_writes))
    s.put("b")
    eventually(lambda: s.state()["LastProcessingResult"].startswith("PROBLEM"))
    assert s.keys() == ["a"]
    iam.put_role_policy(RoleName=role, PolicyName="more", PolicyDocument=json.dumps(policy))
    eventually(lambda: s.keys() == ["a", "b"])


def test_a_tumbling_window_carries_its_state(virga, functions):
    s = Source(virga, functions, does="""
    total = event["state"].get("total", 0) + len(event["Records"])
    return {"state": {"total": total}}""", TumblingWindowInSeconds=2, BatchSize=1)
    s.wait_for("Enabled")
    # Most likely all in one window.
    time.sleep(2 - time.time() % 2 + 0.05)
    s.put("a"), s.put("b"), s.put("c")
    finals = lambda: [e for e in s.events() if e["isFinalInvokeForWindow"]]
    eventually(lambda: sum(final["state"]["total"] for final in finals()) == 3)
    for final in finals():
        assert final["Records"] == [] and not final["isWindowTerminatedEarly"]
        assert final["eventSourceARN"] == s.stream and final["shardId"].startswith("shardId-")
        assert final["window"]["start"] < final["window"]["end"]
        states = [e["state"].get("total", 0) for e in s.events() if e["window"] == final["window"]]
        assert states == list(range(final["state"]["total"] + 1))


def test_filters_let_by_what_matches(virga, functions):
    s = Source(virga, functions, FilterCriteria={"Filters": [
        {"Pattern": json.dumps({"eventName": ["INSERT"], "dynamodb": {"Keys": {"p": {"S": [{"prefix": "a"}]}}}})},
        {"Pattern": json.dumps({"eventName": ["REMOVE"]})}]})
    s.put("a1", "b1", "a1", "a2")
    s.put("a1", n={"N": "1"})
    s.db.delete_item(TableName=s.table, Key={"p": {"S": "b1"}})
    eventually(lambda: s.keys() == ["a1", "a2", "b1"])
    code, message = refused(functions.client.update_event_source_mapping, UUID=s.uuid,
                            FilterCriteria={"Filters": [{"Pattern": "{\"eventName\": \"INSERT\"}"}]})
    assert (code, message) == ("InvalidParameterValueException", "Invalid filter pattern definition.")


def test_a_slow_mapping_does_not_hold_up_another(virga, functions):
    bad = Source(virga, functions, does="raise ValueError()")
    bad.put("x")
    good = Source(virga, functions)
    eventually(lambda: bad.batches())
    good.put("a")
    eventually(lambda: good.keys() == ["a"])
    assert eventually(lambda: bad.state()["LastProcessingResult"] == "PROBLEM: Function call failed")
    bad.client.delete_event_source_mapping(UUID=bad.uuid)


def refused(call, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**parameters)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def test_refusals_are_in_lambdas_words(virga, functions):
    s = Source(virga, functions)
    create = functions.client.create_event_source_mapping
    code, message = refused(create, FunctionName=s.function, EventSourceArn=s.stream, StartingPosition="LATEST")
    assert code == "ResourceConflictException" and s.uuid in message
    code, message = refused(create, FunctionName=s.function, EventSourceArn=s.stream)
    assert code == "InvalidParameterValueException" and "startingPosition" in message
    nobody = functions.make("def handler(e, c): pass")
    code, message = refused(create, FunctionName=nobody, EventSourceArn=s.stream, StartingPosition="LATEST")
    assert (code, message) == (
        "InvalidParameterValueException",
        f"Cannot access stream {s.stream}. Please ensure the role can perform the GetRecords, GetShardIterator, "
        "DescribeStream, and ListStreams Actions on your stream in IAM.")
    code, message = refused(create, FunctionName=s.function, EventSourceArn=s.stream[:-3] + "999",
                            StartingPosition="LATEST")
    assert code == "InvalidParameterValueException" and "not found" in message
    kafka = "arn:aws:kafka:us-east-1:000000000000:cluster/c/1"
    assert "not served" in refused(create, FunctionName=s.function, EventSourceArn=kafka,
                                   StartingPosition="LATEST")[1]
    assert "SelfManagedEventSource" in refused(
        create, FunctionName=s.function, StartingPosition="LATEST", Topics=["topic"],
        SelfManagedEventSource={"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["h:9092"]}})[1]
    assert refused(functions.client.get_event_source_mapping, UUID=str(uuid.uuid4()))[0] == "ResourceNotFoundException"
    assert refused(create, FunctionName="nobody-home", EventSourceArn=s.stream,
                   StartingPosition="LATEST") == ("InvalidParameterValueException", "Function does not exist")
