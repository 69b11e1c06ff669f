"""What the crash tests of DynamoDB read of a table, its indexes and its stream."""


def identity(item):
    return item["p"]["S"], item["s"]["N"]


def everything(client, table, **more):
    """By their keys; what is there twice would be an entry that is left over."""
    items = [item for page in client.get_paginator("scan").paginate(TableName=table, **more) for item in page["Items"]]
    found = {identity(item): item for item in items}
    assert len(found) == len(items)
    return found


def follow_stream(virga, arn, items):
    """Every change of an item begins with what the one before it left, and the last one left what is there. The records."""
    streams = virga.client("dynamodbstreams")
    became, records = {}, []
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        at = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        last = 0
        while at:
            page = streams.get_records(ShardIterator=at)
            for record in page["Records"]:
                change = record["dynamodb"]
                assert int(change["SequenceNumber"]) > last
                last = int(change["SequenceNumber"])
                key = identity(change["Keys"])
                assert became.get(key) == change.get("OldImage")
                assert record["eventName"] == ("INSERT" if "OldImage" not in change else "MODIFY" if "NewImage" in change else "REMOVE")
                became[key] = change.get("NewImage")
            records += page["Records"]
            at = page.get("NextShardIterator") if page["Records"] else None
    assert {key: item for key, item in became.items() if item} == items
    return records
