"""What happens to objects is told to whom the bucket names: queues, functions, the default event bus."""

import json

import pytest

from support import error_code, eventually


@pytest.fixture
def queue(virga, name):
    sqs = virga.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": ["s3.amazonaws.com", "events.amazonaws.com"]}, "Action": "sqs:SendMessage", "Resource": arn}]})})

    def bodies(count):
        found = []

        def enough():
            for m in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
                found.append(json.loads(m["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=m["ReceiptHandle"])
            return len(found) >= count

        eventually(enough)
        return found

    bodies.arn = arn
    return bodies


def test_to_a_queue(virga, name, queue):
    s3 = virga.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration={"QueueConfigurations": [{
        "Id": "q", "QueueArn": queue.arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:Delete", "s3:ObjectTagging:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}, {"Name": "Suffix", "Value": ".txt"}]}}}]})
    found = s3.get_bucket_notification_configuration(Bucket=name)
    assert found["QueueConfigurations"][0]["QueueArn"] == queue.arn and found["QueueConfigurations"][0]["Id"] == "q"
    assert [r["Name"] for r in found["QueueConfigurations"][0]["Filter"]["Key"]["FilterRules"]] == ["Prefix", "Suffix"]
    s3.put_object(Bucket=name, Key="out/a.txt", Body=b"x")
    s3.put_object(Bucket=name, Key="in/a b.txt", Body=b"hello")
    s3.copy_object(Bucket=name, Key="in/c.txt", CopySource=f"{name}/out/a.txt")
    s3.put_object_tagging(Bucket=name, Key="in/c.txt", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    s3.delete_object_tagging(Bucket=name, Key="in/c.txt")
    s3.delete_object(Bucket=name, Key="in/c.txt")
    s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "in/never.txt"}]})  # told as well
    told = queue(7)
    assert "in/never.txt" in [r["s3"]["object"]["key"] for body in told for r in body.get("Records", ())]
    test, = [body for body in told if "Records" not in body]
    assert test["Event"] == "s3:TestEvent" and test["Bucket"] == name
    records = {r["eventName"]: r for body in told if body is not test for r in body["Records"]}
    assert set(records) == {"ObjectCreated:Put", "ObjectCreated:Copy", "ObjectTagging:Put", "ObjectTagging:Delete", "ObjectRemoved:Delete"}
    tagged = records["ObjectTagging:Put"]
    assert tagged["eventVersion"] == "2.3" and set(tagged["s3"]["object"]) == {"key", "eTag"}
    put = records["ObjectCreated:Put"]["s3"]
    assert put["object"]["key"] == "in/a+b.txt" and put["object"]["size"] == 5 and put["bucket"]["name"] == name
    assert put["object"]["eTag"] == "5d41402abc4b2a76b9719d911017c592" and put["configurationId"] == "q"


def test_to_the_bus(virga, name, queue):
    s3, events = virga.client("s3"), virga.client("events")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}})
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["aws.s3"], "detail": {"bucket": {"name": [name]}}}))
    events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": queue.arn}])
    s3.put_object(Bucket=name, Key="a b", Body=b"hello")
    s3.put_object_tagging(Bucket=name, Key="a b", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    s3.delete_object_tagging(Bucket=name, Key="a b")
    s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "a b"}, {"Key": "none"}]})
    by_type = {e["detail-type"]: e for e in queue(4)}
    assert set(by_type) == {"Object Created", "Object Tags Added", "Object Tags Deleted", "Object Deleted"}
    created = by_type["Object Created"]
    assert created["detail"]["object"]["key"] == "a b" and created["detail"]["reason"] == "PutObject"
    assert created["resources"] == [f"arn:aws:s3:::{name}"]
    events.remove_targets(Rule=name, Ids=["q"])
    events.delete_rule(Name=name)


# Who doesn't let the bucket tell it is not told about, unless nobody should ask.
def test_targets_are_asked(virga, functions, name):
    s3, sqs = virga.client("s3"), virga.client("sqs")
    s3.create_bucket(Bucket=name)
    sqs.create_queue(QueueName=name)
    function = functions.client.get_function(FunctionName=functions.make("def handler(event, context): pass"))["Configuration"]["FunctionArn"]
    closed = {"QueueConfigurations": [{"QueueArn": f"arn:aws:sqs:us-east-1:000000000000:{name}", "Events": ["s3:ObjectCreated:*"]}]}
    uncallable = {"LambdaFunctionConfigurations": [{"LambdaFunctionArn": function, "Events": ["s3:ObjectCreated:*"]}]}
    for given in (closed, uncallable):
        assert error_code(s3.put_bucket_notification_configuration, Bucket=name, NotificationConfiguration=given) == (
            "InvalidArgument", "Unable to validate the following destination configurations")
        s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration=given, SkipDestinationValidation=True)
    functions.client.add_permission(FunctionName=function, StatementId="s", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
                                    SourceArn=f"arn:aws:s3:::{name}")
    s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration=uncallable)


def test_refused(virga, name):
    s3 = virga.client("s3")
    s3.create_bucket(Bucket=name)
    for arn, event in (("nonsense", "s3:ObjectCreated:*"), ("arn:aws:sqs:us-east-1:000000000000:q", "s3:ObjectRestore:*")):
        assert error_code(s3.put_bucket_notification_configuration, Bucket=name, NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": arn, "Events": [event]}]})[0] == "InvalidArgument"


@pytest.mark.parametrize("one, other, clash", [
    ({}, {}, "Configurations overlap."),
    ({"prefix": "in/"}, {}, "Configuration is ambiguously defined."),
    ({"prefix": "in/"}, {"prefix": "in/a"}, "Configuration is ambiguously defined."),
    ({"prefix": "in/", "suffix": "jpg"}, {"suffix": "pg"}, "Configuration is ambiguously defined."),
    ({"prefix": "in/", "suffix": "jpg"}, {"prefix": "in/", "suffix": "png"}, None),
    ({"prefix": "in/"}, {"prefix": "out/"}, None),
])
def test_filters_must_not_overlap(virga, name, queue, one, other, clash):
    s3 = virga.client("s3")
    s3.create_bucket(Bucket=name)

    def put(first, second):
        s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration={"QueueConfigurations": [
            {"QueueArn": queue.arn, "Events": [event],
             "Filter": {"Key": {"FilterRules": [{"Name": n, "Value": v} for n, v in filters.items()]}}}
            for event, filters in ((first, one), (second, other))]})

    put("s3:ObjectCreated:*", "s3:ObjectRemoved:*")  # of different events nothing overlaps
    put("s3:ObjectCreated:Put", "s3:ObjectCreated:Copy")
    if not clash:
        return put("s3:ObjectCreated:*", "s3:ObjectCreated:Put")
    for events in (("s3:ObjectCreated:*", "s3:ObjectCreated:Put"), ("s3:ObjectCreated:Put", "s3:ObjectCreated:Put")):
        code, words = error_code(put, *events)
        assert code == "InvalidArgument" and words.startswith(clash), words
