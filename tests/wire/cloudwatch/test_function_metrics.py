"""What functions do, as metrics."""

import datetime

import pytest
from botocore.exceptions import ClientError
from support import Functions

ALL = ["SampleCount", "Sum", "Minimum", "Maximum"]


def total(virga, metric, **dimensions):
    """Statistics over the latest hours, and the unit."""
    now = datetime.datetime.now(datetime.timezone.utc)
    points = virga.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda", MetricName=metric, Dimensions=[{"Name": n, "Value": v} for n, v in dimensions.items()],
        StartTime=now - datetime.timedelta(hours=3), EndTime=now + datetime.timedelta(hours=3), Period=6 * 3600, Statistics=ALL)["Datapoints"]
    assert len(points) <= 1
    return points[0] if points else None


def test_functions_are_measured(virga, functions):
    code = "def handler(event, context):\n    if event.get('fail'):\n        raise ValueError('no')\n    return 1\n"
    name = functions.make(code)
    client = virga.client("lambda")
    for event in (b"{}", b'{"fail": true}', b"{}"):
        client.invoke(FunctionName=name, Payload=event)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError, match="TooManyRequestsException"):
        client.invoke(FunctionName=name)
    invocations = total(virga, "Invocations", FunctionName=name)
    assert (invocations["Sum"], invocations["Unit"]) == (3, "Count")
    errors = total(virga, "Errors", FunctionName=name)
    assert (errors["Sum"], errors["SampleCount"], errors["Maximum"]) == (1, 3, 1)
    throttles = total(virga, "Throttles", FunctionName=name)
    assert (throttles["Sum"], throttles["SampleCount"]) == (1, 4)
    duration = total(virga, "Duration", FunctionName=name)
    assert duration["SampleCount"] == 3 and 0 < duration["Minimum"] <= duration["Maximum"] and duration["Unit"] == "Milliseconds"
    assert total(virga, "ConcurrentExecutions", FunctionName=name)["Maximum"] == 1
    assert total(virga, "Invocations")["Sum"] >= 3  # of all functions
    assert total(virga, "Invocations", FunctionName="nobody") is None
    listed = virga.client("cloudwatch").list_metrics(Namespace="AWS/Lambda", Dimensions=[{"Name": "FunctionName", "Value": name}])["Metrics"]
    assert sorted(m["MetricName"] for m in listed) == ["ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles"]
    # They belong to who has the function.
    assert not virga.client("cloudwatch", region="eu-west-1").list_metrics(Namespace="AWS/Lambda", Dimensions=[{"Name": "FunctionName", "Value": name}])["Metrics"]


def test_measures_outlive_a_stop(own_virga):
    functions = Functions(own_virga)
    name = functions.make("def handler(event, context):\n    return 1\n")
    own_virga.client("lambda").invoke(FunctionName=name)
    assert own_virga.stop() == 0
    own_virga.start()
    assert total(own_virga, "Invocations", FunctionName=name)["Sum"] == 1
