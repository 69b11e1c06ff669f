"""Contributor insights: which keys are accessed and throttled most, asked for here and shown by CloudWatch."""

import datetime
import json
import re
import subprocess

import pytest
from botocore.exceptions import ClientError
from support import ROOT

EVERYTHING = ["UniqueContributors", "MaxContributorValue", "SampleCount", "Sum", "Minimum", "Maximum", "Average"]
GSI = {"IndexName": "gsi", "Projection": {"ProjectionType": "ALL"},
       "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}]}


@pytest.fixture(scope="module")
def cloudwatch(virga):
    return virga.client("cloudwatch")


@pytest.fixture
def keyed(dynamodb, create_table, name):
    """p (S) and s (N), global index gsi by g (S), local index lsi."""
    local = {"IndexName": "lsi", "Projection": {"ProjectionType": "ALL"},
             "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "g", "KeyType": "RANGE"}]}
    create_table(dynamodb, name, ["p", "s"], {"p": "S", "s": "N", "g": "S"}, GlobalSecondaryIndexes=[GSI], LocalSecondaryIndexes=[local])
    yield name
    dynamodb.delete_table(TableName=name)


def update(client, table, action, index=None):
    given = {"IndexName": index} if index else {}
    return client.update_contributor_insights(TableName=table, ContributorInsightsAction=action, **given)["ContributorInsightsStatus"]


def rules(client, table, **index):
    return client.describe_contributor_insights(TableName=table, **index).get("ContributorInsightsRuleList", [])


def rule(client, table, kind, **index):
    return next(r for r in rules(client, table, **index) if f"-{kind}-" in r)


def report(cloudwatch, rule_name, **more):
    now = datetime.datetime.now(datetime.timezone.utc)
    more = {"StartTime": now - datetime.timedelta(minutes=20), "EndTime": now + datetime.timedelta(minutes=20), "Period": 3600, **more}
    return cloudwatch.get_insight_rule_report(RuleName=rule_name, **more)


def contributors(cloudwatch, rule_name, **more):
    return {tuple(c["Keys"]): c["ApproximateAggregateValue"] for c in report(cloudwatch, rule_name, **more)["Contributors"]}


def test_states(dynamodb, keyed):
    fresh = dynamodb.describe_contributor_insights(TableName=keyed)
    assert fresh["ContributorInsightsStatus"] == "DISABLED" and "LastUpdateDateTime" not in fresh and "ContributorInsightsRuleList" not in fresh
    assert dynamodb.list_contributor_insights(TableName=keyed)["ContributorInsightsSummaries"] == []
    assert update(dynamodb, keyed, "DISABLE") == "DISABLED"
    assert update(dynamodb, keyed, "ENABLE") == "ENABLING"
    told = dynamodb.describe_contributor_insights(TableName=keyed)
    assert told["ContributorInsightsStatus"] == "ENABLED" and told["TableName"] == keyed
    shape = re.compile(r"DynamoDBContributorInsights-(PKC|SKC|PKT|SKT)-%s-(\d{13})$" % re.escape(keyed))
    assert [shape.match(r).group(1) for r in told["ContributorInsightsRuleList"]] == ["PKC", "SKC", "PKT", "SKT"]
    assert update(dynamodb, keyed, "ENABLE") == "ENABLED"  # nothing to do
    again = dynamodb.describe_contributor_insights(TableName=keyed)
    assert again["LastUpdateDateTime"] == told["LastUpdateDateTime"]
    arn = dynamodb.describe_table(TableName=keyed)["Table"]["TableArn"]
    assert update(dynamodb, arn, "ENABLE", "gsi") == "ENABLING"
    kinds = [r.split("-")[1] for r in rules(dynamodb, keyed, IndexName="gsi")]
    assert kinds == ["PKC", "PKT"] and all(f"-{keyed}-gsi-" in r for r in rules(dynamodb, keyed, IndexName="gsi"))

    first = dynamodb.list_contributor_insights(TableName=keyed, MaxResults=1)
    assert first["ContributorInsightsSummaries"] == [{"TableName": keyed, "ContributorInsightsStatus": "ENABLED"}]
    second = dynamodb.list_contributor_insights(TableName=keyed, MaxResults=1, NextToken=first["NextToken"])
    assert [s["IndexName"] for s in second["ContributorInsightsSummaries"]] == ["gsi"] and "NextToken" not in second
    assert update(dynamodb, keyed, "DISABLE") == "DISABLING"
    assert dynamodb.describe_contributor_insights(TableName=keyed)["ContributorInsightsStatus"] == "DISABLED"
    whole = [s for s in dynamodb.list_contributor_insights()["ContributorInsightsSummaries"] if s["TableName"] == keyed]
    assert [s.get("IndexName") for s in whole] == ["gsi"]
    dynamodb.update_table(TableName=keyed, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "gsi"}}])
    assert dynamodb.list_contributor_insights(TableName=keyed)["ContributorInsightsSummaries"] == []


def test_refusals(dynamodb, cloudwatch, keyed):
    for call in (dynamodb.describe_contributor_insights, lambda **given: dynamodb.update_contributor_insights(ContributorInsightsAction="ENABLE", **given)):
        with pytest.raises(ClientError, match="ResourceNotFoundException.*Table: nowhere not found"):
            call(TableName="nowhere")
        for index in ("lsi", "ghost"):
            with pytest.raises(ClientError, match=f"ResourceNotFoundException.*Index: {index} not found for table: {keyed}"):
                call(TableName=keyed, IndexName=index)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        dynamodb.list_contributor_insights(TableName="nowhere")
    with pytest.raises(ClientError, match="ValidationException.*maxResults"):
        dynamodb.list_contributor_insights(MaxResults=0)
    with pytest.raises(ClientError, match="ValidationException.*NextToken"):
        dynamodb.list_contributor_insights(NextToken="x")
    with pytest.raises(ClientError, match="ResourceNotFoundException.*does not exist"):
        report(cloudwatch, "nowhere")
    update(dynamodb, keyed, "ENABLE")
    some = rule(dynamodb, keyed, "PKC")
    now = datetime.datetime.now(datetime.timezone.utc)
    for wrong in ({"StartTime": now, "EndTime": now}, {"Period": 61}, {"MaxContributorCount": 26}, {"MaxContributorCount": 0}, {"Metrics": ["Median"]},
                  {"OrderBy": "Name"}, {"Period": 60, "StartTime": now - datetime.timedelta(days=2)}):
        with pytest.raises(ClientError, match="InvalidParameterValue"):
            report(cloudwatch, some, **wrong)
    with pytest.raises(ClientError, match="InvalidNextToken"):
        cloudwatch.describe_insight_rules(NextToken="x")
    with pytest.raises(ClientError, match="PutInsightRule"):
        cloudwatch.put_insight_rule(RuleName="r", RuleDefinition="{}")


def test_accesses_are_counted_by_what_they_cost(dynamodb, cloudwatch, keyed):
    update(dynamodb, keyed, "ENABLE")
    update(dynamodb, keyed, "ENABLE", "gsi")

    def key(p, s):
        return {"p": {"S": p}, "s": {"N": str(s)}}
    put = {"TableName": keyed, "Item": {**key("hot", 1), "text": {"S": "x" * 1500}}}
    dynamodb.put_item(**put)  # two units of writing, each three of reading
    dynamodb.put_item(TableName=keyed, Item=key("hot", 1))  # over the larger item: two again
    for _ in range(3):
        dynamodb.get_item(TableName=keyed, Key=key("hot", 1), ConsistentRead=True)
    dynamodb.get_item(TableName=keyed, Key=key("hot", 2))
    dynamodb.batch_write_item(RequestItems={keyed: [{"PutRequest": {"Item": {**key("cold", n), "g": {"S": "G"}}}} for n in range(2)]})
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
        dynamodb.delete_item(TableName=keyed, Key=key("lock", 1.5), ConditionExpression="attribute_exists(p)")
    dynamodb.transact_write_items(TransactItems=[{"Update": {"TableName": keyed, "Key": key("lock", 1.5), "UpdateExpression": "SET a = p"}}])
    dynamodb.execute_statement(Statement=f'UPDATE "{keyed}" SET b=1 WHERE p=\'lock\' AND s=1.5')  # statements aren't counted
    # The local index has rows of the two cold items, at the table's expense.
    assert contributors(cloudwatch, rule(dynamodb, keyed, "PKC")) == {("hot",): 15.5, ("cold",): 12, ("lock",): 9}
    assert contributors(cloudwatch, rule(dynamodb, keyed, "SKC")) == {
        ("hot", "1"): 15, ("hot", "2"): 0.5, ("cold", "0"): 6, ("cold", "1"): 6, ("lock", "1.5"): 9}
    assert contributors(cloudwatch, rule(dynamodb, keyed, "PKC", IndexName="gsi")) == {("G",): 6}

    # A query is one access of its partition, a scan one of each item it reads.
    dynamodb.query(TableName=keyed, KeyConditionExpression="p = :p", ExpressionAttributeValues={":p": {"S": "cold"}}, ConsistentRead=True)
    dynamodb.query(TableName=keyed, IndexName="gsi", KeyConditionExpression="g = :g", ExpressionAttributeValues={":g": {"S": "G"}})
    dynamodb.query(TableName=keyed, IndexName="lsi", KeyConditionExpression="p = :p", ExpressionAttributeValues={":p": {"S": "cold"}})
    dynamodb.batch_get_item(RequestItems={keyed: {"Keys": [key("hot", 3)]}})
    dynamodb.transact_get_items(TransactItems=[{"Get": {"TableName": keyed, "Key": key("hot", 3)}}])
    told = contributors(cloudwatch, rule(dynamodb, keyed, "PKC"))
    assert told == {("hot",): 18, ("cold",): 13.5, ("lock",): 9}
    assert contributors(cloudwatch, rule(dynamodb, keyed, "PKC", IndexName="gsi")) == {("G",): 6.5}
    assert contributors(cloudwatch, rule(dynamodb, keyed, "SKC"))[("cold", "0")] == 6
    dynamodb.scan(TableName=keyed)
    scanned = contributors(cloudwatch, rule(dynamodb, keyed, "SKC"))
    assert 6 < scanned[("cold", "0")] < 6.5 and len(scanned) == 6
    assert contributors(cloudwatch, rule(dynamodb, keyed, "PKT")) == {}


def test_reports(dynamodb, cloudwatch, virga, name, create_table):
    create_table(dynamodb, name, ["p"], {"p": "B"})
    update(dynamodb, name, "ENABLE")
    for key, times in ((b"a", 4), (b"\xff", 2), (b"b", 1)):
        for _ in range(times):
            dynamodb.get_item(TableName=name, Key={"p": {"B": key}}, ConsistentRead=True)
    some = rule(dynamodb, name, "PKC")
    told = report(cloudwatch, some, Metrics=EVERYTHING, MaxContributorCount=2, OrderBy="SUM")
    assert told["KeyLabels"] == ["PartitionKey"] and told["AggregationStatistic"] == "Sum"
    assert told["AggregateValue"] == 7 and told["ApproximateUniqueCount"] == 3
    assert [(c["Keys"], c["ApproximateAggregateValue"]) for c in told["Contributors"]] == [(["YQ=="], 4), (["/w=="], 2)]
    points = told["MetricDatapoints"]
    assert sum(p["Sum"] for p in points) == 7 and sum(p["SampleCount"] for p in points) == 7
    assert all(p["Minimum"] == p["Maximum"] == p["Average"] == 1 and p["UniqueContributors"] <= 3 for p in points)
    for contributor in told["Contributors"]:
        assert sum(p["ApproximateValue"] for p in contributor["Datapoints"]) == contributor["ApproximateAggregateValue"]
        assert all(p["Timestamp"].timestamp() % 3600 == 0 for p in contributor["Datapoints"])
    assert report(cloudwatch, some, Period=60, MaxContributorCount=25)["MetricDatapoints"] == []

    known, token = {}, {}
    while token is not None:
        page = cloudwatch.describe_insight_rules(MaxResults=1, **token)
        known.update({r["Name"]: r for r in page["InsightRules"]})
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else None
    assert known[some]["State"] == "ENABLED" and json.loads(known[some]["Definition"])["Contribution"]["Keys"] == ["$.PartitionKey"]
    words = ["--start-time", "2020-01-01T00:00:00Z", "--end-time", "2020-01-01T01:00:00Z", "--period", "60"]
    old = json.loads(virga.cli("cloudwatch", "get-insight-rule-report", "--rule-name", some, *words).stdout)
    assert old["Contributors"] == [] and old["AggregateValue"] == 0
    dynamodb.delete_table(TableName=name)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        report(cloudwatch, some)


def test_throttled_keys(dynamodb, cloudwatch, name):
    dynamodb.create_table(
        TableName=name, ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}, Tags=[{"Key": "virga:enforce-capacity", "Value": "true"}],
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}], AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}])
    update(dynamodb, name, "ENABLE")
    dynamodb.put_item(TableName=name, Item={"p": {"S": "big"}, "text": {"S": "x" * 350_000}})
    for p, times in (("a", 3), ("b", 2)):
        for _ in range(times):
            with pytest.raises(ClientError, match="ProvisionedThroughputExceededException"):
                dynamodb.put_item(TableName=name, Item={"p": {"S": p}})
    with pytest.raises(ClientError, match="ProvisionedThroughputExceededException"):
        dynamodb.batch_write_item(RequestItems={name: [{"DeleteRequest": {"Key": {"p": {"S": "b"}}}}]})
    for _ in range(5):
        try:
            dynamodb.get_item(TableName=name, Key={"p": {"S": "big"}}, ConsistentRead=True)
        except ClientError:
            break
    assert contributors(cloudwatch, rule(dynamodb, name, "PKT"))[("a",)] == 3
    assert contributors(cloudwatch, rule(dynamodb, name, "PKT"))[("b",)] == 3
    dynamodb.delete_table(TableName=name)


# What was counted is moved to the store once a minute and when Virga stops.
def test_counts_outlive_a_stop(own_virga, create_table, name):
    dynamodb = own_virga.client("dynamodb")
    create_table(dynamodb, name, ["p"], {"p": "S"})
    update(dynamodb, name, "ENABLE")
    some = rule(dynamodb, name, "PKC")
    for turn in (1, 2):
        dynamodb.get_item(TableName=name, Key={"p": {"S": "a"}}, ConsistentRead=True)
        assert own_virga.stop() == 0
        own_virga.start()
        dynamodb = own_virga.client("dynamodb")
        assert contributors(own_virga.client("cloudwatch"), some) == {("a",): turn}
        assert rule(dynamodb, name, "PKC") == some
    update(dynamodb, name, "DISABLE")
    update(dynamodb, name, "ENABLE")
    assert contributors(own_virga.client("cloudwatch"), rule(dynamodb, name, "PKC")) == {}


def test_an_account_has_a_hundred_rules(own_virga, create_table):
    dynamodb = own_virga.client("dynamodb")
    for i in range(26):
        create_table(dynamodb, f"table-{i}", ["p", "s"], {"p": "S", "s": "S"})
        assert update(dynamodb, f"table-{i}", "ENABLE") == "ENABLING"
    told = dynamodb.describe_contributor_insights(TableName="table-25")
    assert told["ContributorInsightsStatus"] == "FAILED" and told["FailureException"]["ExceptionName"] == "LimitExceededException"
    assert "ContributorInsightsRuleList" not in told
    statuses = [s["ContributorInsightsStatus"] for s in dynamodb.list_contributor_insights(MaxResults=100)["ContributorInsightsSummaries"]]
    assert sorted(statuses) == ["ENABLED"] * 25 + ["FAILED"]
    assert len(own_virga.client("cloudwatch").describe_insight_rules()["InsightRules"]) == 100
    update(dynamodb, "table-0", "DISABLE")
    assert update(dynamodb, "table-25", "ENABLE") == "ENABLING"
    assert dynamodb.describe_contributor_insights(TableName="table-25")["ContributorInsightsStatus"] == "ENABLED"


def test_javascript(virga, dynamodb, create_table, name):
    """Modes, which botocore here is too old for, and CloudWatch in the protocol of current SDKs."""
    create_table(dynamodb, name, ["p"], {"p": "S"})
    script = ROOT / "tests/wire/dynamodb/insights.mjs"
    done = subprocess.run(["node", script, name], env={**virga.environment(), "SDK_ROOT": str(ROOT)}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["narrowed"] == {"status": "ENABLING", "mode": "THROTTLED_KEYS"} and found["narrow"] == ["PKT"]
    assert found["kept"] and found["widened"] == ["PKC", "PKT"]
    assert found["listed"] == ["ACCESSED_AND_THROTTLED_KEYS"]
    assert found["disabled"] == {"status": "DISABLING", "mode": "ACCESSED_AND_THROTTLED_KEYS"}
    assert found["contributors"] == [[["a"], 2], [["b"], 1]] and found["unique"] == 2
    assert found["rule"] == {"managed": True, "state": "ENABLED"}
    assert found["missing"]["name"] == "ResourceNotFoundException" and found["missing"]["status"] == 404
    assert found["invalid"]["name"] == "InvalidParameterValueException" and found["invalid"]["status"] == 400
    dynamodb.delete_table(TableName=name)
