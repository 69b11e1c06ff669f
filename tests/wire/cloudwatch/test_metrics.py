"""Metrics: values that are put, which metrics there are, their statistics."""

import datetime
import json
import pathlib
import subprocess
import threading
import uuid

import pytest
from botocore.exceptions import ClientError
from support import ROOT

MINUTE = datetime.timedelta(minutes=1)
ALL = ["SampleCount", "Average", "Sum", "Minimum", "Maximum"]


@pytest.fixture(scope="module")
def cloudwatch(virga):
    return virga.client("cloudwatch")


@pytest.fixture
def space():
    """A fresh namespace."""
    return "test/" + uuid.uuid4().hex[:12]


@pytest.fixture
def hour():
    """The beginning of an hour some hours ago."""
    return datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0) - datetime.timedelta(hours=5)


def put(cloudwatch, space, *data):
    cloudwatch.put_metric_data(Namespace=space, MetricData=[{"MetricName": "m", **datum} for datum in data])


def statistics(cloudwatch, space, start, minutes=60, period=60, name="m", **more):
    if "ExtendedStatistics" not in more:
        more = {"Statistics": ALL, **more}
    told = cloudwatch.get_metric_statistics(Namespace=space, MetricName=name, StartTime=start, EndTime=start + minutes * MINUTE, Period=period, **more)
    assert told["Label"] == name
    return sorted(told["Datapoints"], key=lambda point: (point["Timestamp"], point["Unit"]))


def test_statistics(cloudwatch, space, hour):
    put(cloudwatch, space, {"Value": 3, "Timestamp": hour + 0.5 * MINUTE}, {"Value": -1, "Timestamp": hour},
        {"Values": [1, 2.5], "Counts": [2, 4], "Timestamp": hour + 2 * MINUTE}, {"Value": 7, "Timestamp": hour + 2 * MINUTE, "Unit": "Bytes"},
        {"StatisticValues": {"SampleCount": 4, "Sum": 10, "Minimum": 1, "Maximum": 5}, "Timestamp": hour + 10 * MINUTE})
    put(cloudwatch, space, {"Value": 4, "Timestamp": hour + 10 * MINUTE})
    found = statistics(cloudwatch, space, hour)
    assert [(p["Timestamp"], p["Unit"]) for p in found] == [(hour, "None"), (hour + 2 * MINUTE, "Bytes"), (hour + 2 * MINUTE, "None"), (hour + 10 * MINUTE, "None")]
    assert {s: found[0][s] for s in ALL} == {"SampleCount": 2, "Average": 1, "Sum": 2, "Minimum": -1, "Maximum": 3}
    assert {s: found[2][s] for s in ALL} == {"SampleCount": 6, "Average": 2, "Sum": 12, "Minimum": 1, "Maximum": 2.5}
    assert {s: found[3][s] for s in ALL} == {"SampleCount": 5, "Average": 2.8, "Sum": 14, "Minimum": 1, "Maximum": 5}
    assert [p["Sum"] for p in statistics(cloudwatch, space, hour, Unit="Bytes")] == [7]
    # Periods begin where the report does, at a whole minute.
    found = statistics(cloudwatch, space, hour - MINUTE, period=300, Unit="None")
    assert [(p["Timestamp"], p["SampleCount"]) for p in found] == [(hour - MINUTE, 8), (hour + 9 * MINUTE, 5)]
    assert statistics(cloudwatch, space, hour, minutes=2)[0]["SampleCount"] == 2 and len(statistics(cloudwatch, space, hour, minutes=2)) == 1
    assert statistics(cloudwatch, space, hour, name="other") == []
    assert statistics(cloudwatch, space, hour, Dimensions=[{"Name": "a", "Value": "b"}]) == []


def test_percentiles(cloudwatch, space, hour):
    for tens in range(10):
        put(cloudwatch, space, {"Values": list(range(tens * 10 + 1, tens * 10 + 11)), "Timestamp": hour})
    point, = statistics(cloudwatch, space, hour, ExtendedStatistics=["p50", "p99.9", "p0"])
    told = point["ExtendedStatistics"]
    assert abs(told["p50"] - 50.5) < 1.1 and abs(told["p99.9"] - 100) < 1.1 and told["p0"] == 1 and "Sum" not in point
    put(cloudwatch, space, {"StatisticValues": {"SampleCount": 2, "Sum": 3, "Minimum": 1, "Maximum": 2}, "Timestamp": hour + MINUTE})
    assert "ExtendedStatistics" not in statistics(cloudwatch, space, hour + MINUTE, ExtendedStatistics=["p50"])[0]


def test_seconds(cloudwatch, space):
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) - datetime.timedelta(minutes=10)
    now = now.replace(second=0)
    for second in (0, 1, 9, 30):
        put(cloudwatch, space, {"Value": second, "Timestamp": now + datetime.timedelta(seconds=second), "StorageResolution": 1})
    assert [(p["Timestamp"].second, p["SampleCount"]) for p in statistics(cloudwatch, space, now, minutes=1, period=10)] == [(0, 3), (30, 1)]
    assert [p["Sum"] for p in statistics(cloudwatch, space, now, minutes=1, period=1)] == [0, 1, 9, 30]
    assert [p["Sum"] for p in statistics(cloudwatch, space, now, minutes=1)] == [40]


def test_list(cloudwatch, space):
    def dimensions(**given):
        return [{"Name": name, "Value": value} for name, value in given.items()]
    put(cloudwatch, space, {"Value": 1}, {"Value": 1, "Dimensions": dimensions(b="2", a="1")}, {"Value": 1, "Dimensions": dimensions(a="1", b="2")},
        {"Value": 1, "Dimensions": dimensions(a="3")}, {"Value": 1, "MetricName": "n", "Dimensions": dimensions(a="1")})

    def listed(**given):
        return sorted((m["MetricName"], [(d["Name"], d["Value"]) for d in m["Dimensions"]])
                      for m in cloudwatch.list_metrics(Namespace=space, **given)["Metrics"])
    assert listed() == [("m", []), ("m", [("a", "1"), ("b", "2")]), ("m", [("a", "3")]), ("n", [("a", "1")])]
    assert listed(MetricName="n") == [("n", [("a", "1")])]
    assert listed(Dimensions=[{"Name": "a", "Value": "1"}]) == [("m", [("a", "1"), ("b", "2")]), ("n", [("a", "1")])]
    assert len(listed(Dimensions=[{"Name": "a"}])) == 3 and listed(Dimensions=[{"Name": "z"}]) == []
    assert len(listed(RecentlyActive="PT3H")) == 4
    now = datetime.datetime.now(datetime.timezone.utc)
    both = statistics(cloudwatch, space, now - 10 * MINUTE, minutes=20, period=3600, Dimensions=dimensions(b="2", a="1"))
    assert sum(p["SampleCount"] for p in both) == 2
    many = [{"MetricName": f"m{n:04}", "Value": 1} for n in range(1000)]
    cloudwatch.put_metric_data(Namespace=space + "/many", MetricData=many)
    names = [m["MetricName"] for page in cloudwatch.get_paginator("list_metrics").paginate(Namespace=space + "/many") for m in page["Metrics"]]
    assert names == [m["MetricName"] for m in many]


def test_data(cloudwatch, space, hour):
    put(cloudwatch, space, *({"Value": n, "Timestamp": hour + n * MINUTE} for n in range(10)))

    def query(name, stat="Sum", period=60, **more):
        metric = {"Namespace": space, "MetricName": "m"}
        return {"Id": name, "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}, **more}

    def data(*queries, **more):
        return cloudwatch.get_metric_data(MetricDataQueries=list(queries), StartTime=hour, EndTime=hour + 60 * MINUTE, **more)
    told = data(query("a"), query("b", "Maximum", 300, Label="most"), query("c", ReturnData=False), query("d", "p100", 3600), ScanBy="TimestampAscending")
    a, b, d = told["MetricDataResults"]
    assert (a["Id"], a["Label"], a["StatusCode"], a["Values"]) == ("a", "m", "Complete", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert (b["Label"], b["Values"], b["Timestamps"]) == ("most", [4, 9], [hour, hour + 5 * MINUTE]) and d["Values"] == [9]
    assert data(query("a", period=300))["MetricDataResults"][0]["Timestamps"] == [hour + 5 * MINUTE, hour]
    # Pages of a few points, over the ends of queries.
    values, more = {"a": [], "b": []}, {}
    while True:
        page = data(query("a"), query("b", period=300), ScanBy="TimestampAscending", MaxDatapoints=3, **more)
        assert sum(len(r["Values"]) for r in page["MetricDataResults"]) <= 3
        for result in page["MetricDataResults"]:
            values[result["Id"]] += result["Values"]
        if "NextToken" not in page:
            break
        assert page["MetricDataResults"][-1]["StatusCode"] == "PartialData"
        more = {"NextToken": page["NextToken"]}
    assert values == {"a": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], "b": [10, 35]}
    for wrong in ([query("A")], [query("a"), query("a")], [{"Id": "e", "Expression": "a + 1"}], [{"Id": "e"}]):
        with pytest.raises(ClientError, match="ValidationError"):
            data(*wrong)
    with pytest.raises(ClientError, match="InvalidNextToken"):
        data(query("a"), NextToken="x")


def test_refusals(cloudwatch, space, hour):
    now = datetime.datetime.now(datetime.timezone.utc)
    for code, datum in (("MissingParameter", {}), ("InvalidParameterCombination", {"Value": 1, "Values": [1]}),
                        ("InvalidParameterValue", {"Value": 2.0 ** 361}), ("InvalidParameterValue", {"Values": [1, 2], "Counts": [1]}),
                        ("InvalidParameterValue", {"Values": [1], "Counts": [0]}), ("InvalidParameterValue", {"Values": [1] * 151}),
                        ("InvalidParameterValue", {"Value": 1, "Timestamp": now - datetime.timedelta(days=15)}),
                        ("InvalidParameterValue", {"Value": 1, "Timestamp": now + datetime.timedelta(hours=3)}),
                        ("InvalidParameterValue", {"Value": 1, "StorageResolution": 30}),
                        ("InvalidParameterValue", {"StatisticValues": {"SampleCount": 1, "Sum": 1, "Minimum": 2, "Maximum": 1}}),
                        ("InvalidParameterValue", {"Value": 1, "Dimensions": [{"Name": "a", "Value": "1"}, {"Name": "a", "Value": "2"}]})):
        with pytest.raises(ClientError) as refused:
            put(cloudwatch, space, {"Value": 5}, datum)
        assert refused.value.response["Error"]["Code"] == code, datum
    assert cloudwatch.list_metrics(Namespace=space)["Metrics"] == []
    with pytest.raises(ClientError, match="InvalidParameterValue.*AWS/Lambda"):
        put(cloudwatch, "AWS/Lambda", {"Value": 1})
    with pytest.raises(ClientError, match="InvalidParameterValue.*1000"):
        put(cloudwatch, space, *[{"Value": 1}] * 1001)
    with pytest.raises(ClientError, match="InvalidParameterCombination.*exceeds the limit of 1,440"):
        statistics(cloudwatch, space, hour, minutes=1441)
    for wrong in ({"period": 61}, {"minutes": 0}, {"ExtendedStatistics": ["tm99"]}, {"ExtendedStatistics": ["Sum"]}):
        with pytest.raises(ClientError, match="InvalidParameterValue"):
            statistics(cloudwatch, space, hour, **wrong)
    with pytest.raises(ClientError, match="PutMetricAlarm"):
        cloudwatch.put_metric_alarm(AlarmName="a", ComparisonOperator="GreaterThanThreshold", EvaluationPeriods=1)


def test_writers_of_one_metric_lose_nothing(own_virga, space, hour):
    """Also over a kill: what was acknowledged is counted once."""
    def write():
        client = own_virga.client("cloudwatch")
        for _ in range(25):
            put(client, space, {"Value": 2, "Timestamp": hour})
    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    own_virga.kill()
    own_virga.start()
    point, = statistics(own_virga.client("cloudwatch"), space, hour)
    assert (point["SampleCount"], point["Sum"]) == (200, 400)


def test_javascript(virga, space):
    """In the protocol of current SDKs, with a body that they pack."""
    script = pathlib.Path(__file__).with_name("metrics.mjs")
    done = subprocess.run(["node", script, space], env={**virga.environment(), "SDK_ROOT": str(ROOT)}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["sum"] == 500 * 501 / 2 and found["listed"] == 500 and found["values"] == [7, 3] and found["percentile"] == 3
    assert found["refused"] == found["notANumber"] == {"name": "InvalidParameterValueException", "status": 400}


def test_cli(virga, space):
    virga.cli("cloudwatch", "put-metric-data", "--namespace", space, "--metric-name", "m", "--value", "1.5", "--unit", "Seconds", "--dimensions", "a=b")
    metric, = json.loads(virga.cli("cloudwatch", "list-metrics", "--namespace", space).stdout)["Metrics"]
    assert metric == {"Namespace": space, "MetricName": "m", "Dimensions": [{"Name": "a", "Value": "b"}]}
