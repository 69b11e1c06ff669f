"""One message to a thousand queues: from the publish until the last queue has it."""

import json
import re
import statistics
import subprocess
import threading
import time
import urllib.parse

import cloud

QUEUES = 1000
CHUNK = 100  # queues that get a message in one commit, by the order of their subscriptions' ids
FORM = [("content-type", "application/x-www-form-urlencoded")]


def query(virga, connection, service, **parameters):
    body = urllib.parse.urlencode(parameters).encode()
    return connection.ask(virga.request("POST", "/", service, body, FORM)).decode()


def value(text, element):
    return re.search(f"<{element}>(.*?)</{element}>", text).group(1)


def prepare(virga, connection, count):
    """The topic's ARN and the URLs of one queue of each chunk."""
    topic = value(query(virga, connection, "sns", Action="CreateTopic", Name="bench"), "TopicArn")
    statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
                 "Resource": "*", "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    by_subscription = {}
    for i in range(count):
        url = value(query(virga, connection, "sqs", Action="CreateQueue", QueueName=f"bench-{i}", **{
            "Attribute.1.Name": "Policy", "Attribute.1.Value": policy}), "QueueUrl")
        arn = value(query(virga, connection, "sns", Action="Subscribe", TopicArn=topic, Protocol="sqs",
                          Endpoint=f"arn:aws:sqs:us-east-1:000000000000:bench-{i}"), "SubscriptionArn")
        by_subscription[arn] = url
    return topic, [by_subscription[arn] for arn in sorted(by_subscription)][::CHUNK]


def metric(connection, name):
    return int(re.search(rf"^{name} (\d+)", connection.get("/_virga/metrics")[1].decode(), re.M).group(1))


def receive(virga, url, arrived):
    connection = virga.connect()
    text = query(virga, connection, "sqs", Action="ReceiveMessage", QueueUrl=url, WaitTimeSeconds=10)
    arrived.append(time.perf_counter())
    query(virga, connection, "sqs", Action="DeleteMessage", QueueUrl=url,
          ReceiptHandle=value(text, "ReceiptHandle"))
    connection.close()


def measure(settings, table):
    rounds, took, published = (3 if settings.quick else 15), [], []
    with cloud.Virga(settings) as virga:
        connection = virga.connect()
        topic, urls = prepare(virga, connection, QUEUES)
        commits = metric(connection, "virga_store_commits")
        for i in range(rounds + 1):
            arrived = []
            waiting = [threading.Thread(target=receive, args=(virga, url, arrived)) for url in urls]
            for thread in waiting:
                thread.start()
            time.sleep(0.3)
            before = metric(connection, "virga_store_commits")
            request = virga.request("POST", "/", "sns", urllib.parse.urlencode(
                {"Action": "Publish", "TopicArn": topic, "Message": "m" * 1024}).encode(), FORM)
            began = time.perf_counter()
            connection.timed(request)
            answered = time.perf_counter()
            for thread in waiting:
                thread.join()
            if i:  # the first one makes the key that messages are signed with
                took.append((max(arrived) - began) * 1e3)
                published.append((answered - began) * 1e3)
            commits = metric(connection, "virga_store_commits") - before - 2 * len(urls)
        full = sum(int(value(query(virga, connection, "sqs", Action="GetQueueAttributes", QueueUrl=url, **{
            "AttributeName.1": "ApproximateNumberOfMessages"}), "Value")) == rounds + 1
            for url in (urls[0].rsplit("-", 1)[0] + f"-{i}" for i in range(QUEUES)) if url not in urls)
        if full != QUEUES - len(urls):
            raise SystemExit(f"only {full} of {QUEUES - len(urls)} queues have every message")
    command = [str(settings.build / "kv_bench"), settings.folder, "0.3"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = {row["name"]: row["value"] for row in map(json.loads, said.splitlines())}["kv.commit_128_rocksdb"]
    middle = statistics.median(took)
    table.most(f"one message to {QUEUES:,} queues", middle, 50, "ms",
               f"from the publish to the last queue's receiver, median of {rounds}, best {min(took):.1f}; published in "
               f"{statistics.median(published):.1f} ms; about {commits} commits; {QUEUES / middle * 1e3:,.0f} messages "
               f"a second are {QUEUES / middle * 1e3 / rate:.2f} of RocksDB's {rate:,.0f} durable commits a second")
