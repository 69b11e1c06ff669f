import base64
import json
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

import pytest

from support import error_code, eventually

QUICK = {"healthyRetryPolicy": {"minDelayTarget": 1, "maxDelayTarget": 1, "numRetries": 3, "numNoDelayRetries": 2}}


def signed_text(message):
    """What a verifier rebuilds from the envelope."""
    names = (["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"] if message["Type"] == "Notification"
             else ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"])
    return "".join(f"{name}\n{message[name]}\n" for name in names if name in message)


def verify(message):
    """As a subscriber does, with nothing but the message and openssl."""
    pem = urllib.request.urlopen(message["SigningCertURL"]).read()
    digest = {"1": "-sha1", "2": "-sha256"}[message["SignatureVersion"]]
    with tempfile.TemporaryDirectory() as folder:
        files = {"cert": pem, "sig": base64.b64decode(message["Signature"]), "text": signed_text(message).encode()}
        for file, content in files.items():
            with open(f"{folder}/{file}", "wb") as out:
                out.write(content)
        public = subprocess.run(["openssl", "x509", "-in", "cert", "-pubkey", "-noout"], cwd=folder, check=True,
                                capture_output=True).stdout
        with open(f"{folder}/key", "wb") as out:
            out.write(public)
        done = subprocess.run(["openssl", "dgst", digest, "-verify", "key", "-signature", "sig", "text"], cwd=folder,
                              capture_output=True, text=True)
    assert done.stdout == "Verified OK\n", (done, message)


def confirm(sns, topic, subscriber, **attributes):
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=subscriber.url, Attributes=attributes)
    _, body = eventually(lambda: subscriber.of_type("SubscriptionConfirmation"))[-1]
    message = json.loads(body)
    answer = sns.confirm_subscription(TopicArn=topic, Token=message["Token"])
    return answer["SubscriptionArn"], message


@pytest.mark.parametrize("version", ["1", "2"])
def test_everything_sent_is_signed(sns, topic, subscriber, version):
    sns.set_topic_attributes(TopicArn=topic, AttributeName="SignatureVersion", AttributeValue=version)
    arn, confirmation = confirm(sns, topic, subscriber)
    verify(confirmation)
    assert confirmation["Message"].startswith(f"You have chosen to subscribe to the topic {topic}.\nTo confirm")
    sns.publish(TopicArn=topic, Message='say "hi"\n', Subject="S",
                MessageAttributes={"a": {"DataType": "Number", "StringValue": "1"}})
    headers, body = eventually(lambda: subscriber.of_type("Notification"))[0]
    message = json.loads(body)
    verify(message)
    assert list(message) == ["Type", "MessageId", "TopicArn", "Subject", "Message", "Timestamp", "SignatureVersion",
                             "Signature", "SigningCertURL", "UnsubscribeURL", "MessageAttributes"]
    assert message["MessageAttributes"] == {"a": {"Type": "Number", "Value": "1"}}
    headers = {k.lower(): v for k, v in headers.items()}
    assert headers["content-type"] == "text/plain; charset=UTF-8" and headers["x-amz-sns-subscription-arn"] == arn
    assert headers["user-agent"] == "Amazon Simple Notification Service Agent"
    urllib.request.urlopen(message["UnsubscribeURL"]).read()
    _, body = eventually(lambda: subscriber.of_type("UnsubscribeConfirmation"))[0]
    verify(json.loads(body))


def test_raw_delivery(sns, topic, subscriber):
    confirm(sns, topic, subscriber, RawMessageDelivery="true",
            DeliveryPolicy=json.dumps({"requestPolicy": {"headerContentType": "text/csv"}}))
    sns.publish(TopicArn=topic, Message="a,b")
    headers, body = eventually(lambda: subscriber.of_type("Notification"))[0]
    headers = {k.lower(): v for k, v in headers.items()}
    assert body == "a,b" and headers["x-amz-sns-rawdelivery"] == "true" and headers["content-type"] == "text/csv"


def test_a_token_is_of_its_topic(sns, topic, subscriber):
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=subscriber.url)
    message = json.loads(eventually(lambda: subscriber.of_type("SubscriptionConfirmation"))[0][1])
    for other in ("not-an-arn", topic.replace("us-east-1", "eu-central-1")):
        assert error_code(sns.confirm_subscription, TopicArn=other, Token=message["Token"]) == (
            "InvalidParameter", "Invalid parameter: Topic")
    # As on AWS the name is not read: the token has it.
    sns.confirm_subscription(TopicArn=topic + "x", Token=message["Token"], AuthenticateOnUnsubscribe="true")
    arn = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"][0]["SubscriptionArn"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(message["SubscribeURL"].split("?")[0] + f"?Action=Unsubscribe&SubscriptionArn={arn}")
    assert refused.value.code == 403
    sns.unsubscribe(SubscriptionArn=arn)


# Server errors are tried again as the delivery policy says; a client error is not.
def test_retries(sns, topic, subscriber):
    confirm(sns, topic, subscriber, DeliveryPolicy=json.dumps(QUICK))
    subscriber.answers = [500, 429, 503]
    sns.publish(TopicArn=topic, Message="again")
    eventually(lambda: len(subscriber.of_type("Notification")) == 4)
    subscriber.answers = [404]
    sns.publish(TopicArn=topic, Message="once")
    eventually(lambda: len(subscriber.of_type("Notification")) == 5)
    time.sleep(0.3)
    assert len(subscriber.of_type("Notification")) == 5


def test_throttle(sns, topic, subscriber):
    confirm(sns, topic, subscriber, DeliveryPolicy=json.dumps({"throttlePolicy": {"maxReceivesPerSecond": 5}}))
    began = time.monotonic()
    for i in range(6):
        sns.publish(TopicArn=topic, Message=str(i))
    eventually(lambda: len(subscriber.of_type("Notification")) == 6)
    assert time.monotonic() - began > 0.9


# An endpoint that doesn't answer, and one that isn't there, keep nobody waiting.
def test_slow_endpoints_delay_nobody(sns, topic, subscriber, outbox, name):
    confirm(sns, topic, subscriber, DeliveryPolicy=json.dumps(QUICK))
    number = "+49152" + str(abs(hash(name)))[:8]
    sns.subscribe(TopicArn=topic, Protocol="sms", Endpoint=number)
    subscriber.wait = threading.Event()
    for i in range(200):
        sns.publish(TopicArn=topic, Message=str(i))
    eventually(lambda: len(outbox(number)) == 100)  # a page of the outbox
    assert subscriber.of_type("Notification") == []
    subscriber.wait.set()
    # Some twice, when an answer took longer than SNS waits for it.
    eventually(lambda: len({json.loads(body)["MessageId"] for _, body in subscriber.of_type("Notification")}) == 200)


def test_an_endpoint_that_only_says_that_it_will_answer_is_left(sns, topic):
    """Interim answers count as the head of the answer: without a bound, such an endpoint is read for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}")
    connection, _ = listener.accept()
    connection.settimeout(30)
    with pytest.raises(OSError):  # the other side closes
        while True:
            connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000)
    connection.close()
    listener.close()
