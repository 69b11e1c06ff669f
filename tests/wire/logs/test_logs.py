"""CloudWatch Logs: groups, streams, events."""

import time

import pytest

from support import error_code


@pytest.fixture
def logs(virga):
    return virga.client("logs")


@pytest.fixture
def group(logs, name):
    logs.create_log_group(logGroupName=name)
    yield name
    try:
        logs.delete_log_group(logGroupName=name)
    except logs.exceptions.ResourceNotFoundException:
        pass


def now():
    return int(time.time() * 1000)


def put(logs, group, stream, messages, at=None):
    at = at or now()
    try:
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
    except logs.exceptions.ResourceAlreadyExistsException:
        pass
    return logs.put_log_events(logGroupName=group, logStreamName=stream,
                               logEvents=[{"timestamp": at + i, "message": m} for i, m in enumerate(messages)])


# As they are billed: 26 bytes for each event beside its message.
def test_stored_bytes(logs, group):
    stored = lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["storedBytes"]
    assert stored() == 0
    put(logs, group, "a", ["hello", "é"])
    put(logs, group, "b", ["x"])
    assert stored() == 5 + 2 + 1 + 3 * 26
    logs.delete_log_stream(logGroupName=group, logStreamName="a")
    assert stored() == 1 + 26


# In pages, in both directions; streams without events come first.
def test_streams_by_time(logs, group):
    at = now()
    for stream, second in (("late", 9), ("early", 1), ("middle", 5), ("same", 5)):
        put(logs, group, stream, ["m"], at - 10_000 + second * 1000)
    logs.create_log_stream(logGroupName=group, logStreamName="empty")
    expected = ["empty", "early", "middle", "same", "late"]
    for descending in (False, True):
        for limit in (1, 2, 5):
            names, token = [], {}
            while True:
                page = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=descending, limit=limit, **token)
                assert len(page["logStreams"]) <= limit
                names += [stream["logStreamName"] for stream in page["logStreams"]]
                if "nextToken" not in page:
                    break
                token = {"nextToken": page["nextToken"]}
            assert names == (expected[::-1] if descending else expected)


def test_group(logs, group):
    found = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert len(found) == 1 and found[0]["arn"] == f"arn:aws:logs:us-east-1:000000000000:log-group:{group}:*"
    assert abs(found[0]["creationTime"] - now()) < 60_000 and "retentionInDays" not in found[0]
    assert error_code(logs.create_log_group, logGroupName=group)[0] == "ResourceAlreadyExistsException"
    logs.delete_log_group(logGroupName=group)
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []
    assert error_code(logs.delete_log_group, logGroupName=group)[0] == "ResourceNotFoundException"


# Only the periods AWS offers.
def test_retention(logs, group):
    logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["retentionInDays"] == 7
    assert error_code(logs.put_retention_policy, logGroupName=group, retentionInDays=8)[0] == "InvalidParameterException"
    logs.delete_retention_policy(logGroupName=group)
    assert "retentionInDays" not in logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]


# Both generations of the tagging operations see the same tags.
def test_tags(logs, name):
    logs.create_log_group(logGroupName=name, tags={"a": "1"})
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{name}"
    logs.tag_resource(resourceArn=arn, tags={"b": "2"})
    logs.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2"}
    logs.tag_log_group(logGroupName=name, tags={"c": "3"})
    assert logs.list_tags_log_group(logGroupName=name)["tags"] == {"b": "2", "c": "3"}


def test_pages_of_streams(logs, group):
    for n in range(5):
        logs.create_log_stream(logGroupName=group, logStreamName=f"s{n}")
    seen = []
    for page in logs.get_paginator("describe_log_streams").paginate(logGroupName=group, PaginationConfig={"PageSize": 2}):
        seen += [s["logStreamName"] for s in page["logStreams"]]
    assert seen == [f"s{n}" for n in range(5)]
    assert [s["logStreamName"] for s in logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="s3")["logStreams"]] == ["s3"]


# The console's order: the stream that was written last comes first.
def test_streams_by_last_event(logs, group):
    for n, stream in enumerate(["b", "c", "a"]):
        put(logs, group, stream, ["x"], now() - 10_000 + 1000 * n)
    streams = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True)["logStreams"]
    assert [s["logStreamName"] for s in streams] == ["a", "c", "b"]
    assert streams[0]["lastEventTimestamp"] >= streams[1]["lastEventTimestamp"]


# Events come back in time order, with their text unharmed.
def test_events(logs, group):
    messages = ["one", "zwei – 🦆", '{"n": 3}', "x" * 10_000]
    put(logs, group, "s", messages)
    got = logs.get_log_events(logGroupName=group, logStreamName="s", startFromHead=True)["events"]
    assert [e["message"] for e in got] == messages
    assert all(e["ingestionTime"] >= e["timestamp"] - 1000 for e in got)


# Forward with tokens; the end is where the token no longer changes, and what comes later is found from there.
def test_tokens_of_get(logs, group):
    put(logs, group, "s", [str(n) for n in range(7)])
    first = logs.get_log_events(logGroupName=group, logStreamName="s", startFromHead=True, limit=3)
    assert [e["message"] for e in first["events"]] == ["0", "1", "2"]
    seen, token = [], first["nextForwardToken"]
    while True:
        page = logs.get_log_events(logGroupName=group, logStreamName="s", startFromHead=True, limit=3, nextToken=token)
        seen += [e["message"] for e in page["events"]]
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
    assert seen == ["3", "4", "5", "6"]
    put(logs, group, "s", ["later"], now() + 1000)
    assert [e["message"] for e in logs.get_log_events(logGroupName=group, logStreamName="s", nextToken=token)["events"]] == ["later"]
    last = logs.get_log_events(logGroupName=group, logStreamName="s", limit=2)
    assert [e["message"] for e in last["events"]] == ["6", "later"]


# A window is from its start up to but not including its end.
def test_time_window(logs, group):
    at = now() - 10_000
    put(logs, group, "s", ["0", "1", "2", "3"], at)
    got = logs.get_log_events(logGroupName=group, logStreamName="s", startTime=at + 1, endTime=at + 3, startFromHead=True)["events"]
    assert [e["message"] for e in got] == ["1", "2"]


# Filtering goes over all streams in time order, page by page, each event once.
def test_filter(logs, group):
    at = now() - 10_000
    put(logs, group, "a", ["ERROR one", "fine", "error small"], at)
    put(logs, group, "b", ["ERROR two", "ERROR DEBUG three", "fine"], at)
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, filterPattern="ERROR", PaginationConfig={"PageSize": 2})
    events = [e for page in pages for e in page["events"]]
    assert sorted(e["message"] for e in events) == ["ERROR DEBUG three", "ERROR one", "ERROR two"]
    assert [e["timestamp"] for e in events] == sorted(e["timestamp"] for e in events)
    assert len({e["eventId"] for e in events}) == 3

    def matching(pattern, **more):
        return sorted(e["message"] for e in logs.filter_log_events(logGroupName=group, filterPattern=pattern, **more)["events"])
    assert matching("ERROR -DEBUG") == ["ERROR one", "ERROR two"]
    assert matching('"DEBUG three"') == ["ERROR DEBUG three"]
    assert matching("?one ?small") == ["ERROR one", "error small"]
    assert matching("ERROR", logStreamNames=["a"]) == ["ERROR one"]
    assert len(matching("")) == 6
    put(logs, group, "c", ['{"level": "ERROR", "n": 5}', '{"level": "INFO", "n": 50}'], at)
    assert matching('{ $.level = "ERROR" || $.n > 60 }') == ['{"level": "ERROR", "n": 5}']
    code, message = error_code(logs.filter_log_events, logGroupName=group, filterPattern="{ $.level = }")
    assert code == "InvalidParameterException" and "no value" in message


# Patterns that Virga can't match are refused; matching nothing, or all, would be a lie.
@pytest.mark.parametrize("pattern", ["{ $.level = %5.% }", "[ip, user]", "%a+%"])
def test_patterns_that_are_not_served(logs, group, pattern):
    code, message = error_code(logs.filter_log_events, logGroupName=group, filterPattern=pattern)
    assert code == "InvalidParameterException" and "not served" in message


# What is too old or too new is dropped and said; the rest of the batch is kept.
def test_rejected_events(logs, group):
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    old, good, new = now() - 20 * 86_400_000, now(), now() + 3 * 3_600_000
    answer = logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=[{"timestamp": old, "message": "old"}])
    assert answer["rejectedLogEventsInfo"]["tooOldLogEventEndIndex"] == 1
    answer = logs.put_log_events(logGroupName=group, logStreamName="s",
                                 logEvents=[{"timestamp": good, "message": "good"}, {"timestamp": new, "message": "new"}])
    assert answer["rejectedLogEventsInfo"]["tooNewLogEventStartIndex"] == 1
    assert [e["message"] for e in logs.get_log_events(logGroupName=group, logStreamName="s")["events"]] == ["good"]


# A batch that breaks a rule is refused as a whole.
@pytest.mark.parametrize("events, why", [
    ([(5, "a"), (0, "b")], "chronological"),
    ([(0, "a"), (86_400_001, "b")], "24 hours"),
    ([(i, "x" * 250_000) for i in range(5)], "Upload too large"),
])
def test_batches_that_are_refused(logs, group, events, why):
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    at = now() - 86_500_000
    code, message = error_code(logs.put_log_events, logGroupName=group, logStreamName="s",
                               logEvents=[{"timestamp": at + offset, "message": m} for offset, m in events])
    assert code == "InvalidParameterException" and why in message
    assert logs.get_log_events(logGroupName=group, logStreamName="s")["events"] == []


def test_unknown_places(logs, group, name):
    event = [{"timestamp": now(), "message": "x"}]
    for call in (lambda: logs.put_log_events(logGroupName=group, logStreamName="no", logEvents=event),
                 lambda: logs.put_log_events(logGroupName=name + "x", logStreamName="no", logEvents=event),
                 lambda: logs.get_log_events(logGroupName=group, logStreamName="no"),
                 lambda: logs.filter_log_events(logGroupName=name + "x")):
        assert error_code(call)[0] == "ResourceNotFoundException"


# Deleting a stream or a group takes its events along; a new one of the same name is empty.
def test_deleted_events_are_gone(logs, group):
    put(logs, group, "s", ["x"])
    logs.delete_log_stream(logGroupName=group, logStreamName="s")
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    assert logs.get_log_events(logGroupName=group, logStreamName="s")["events"] == []
    put(logs, group, "s", ["y"])
    logs.delete_log_group(logGroupName=group)
    logs.create_log_group(logGroupName=group)
    assert logs.filter_log_events(logGroupName=group)["events"] == []


# An operation that AWS knows and Virga doesn't serve is refused by name.
def test_operation_that_is_not_served(logs, group):
    _, message = error_code(logs.start_query, logGroupName=group, startTime=0, endTime=1, queryString="fields @message")
    assert "StartQuery" in message
