import json

import pytest

from support import error_code

QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"


def invalid(message):
    return "InvalidParameter", "Invalid parameter: " + message


def test_attributes(sns, topic):
    arn = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=QUEUE,
                        Attributes={"RawMessageDelivery": "True"})["SubscriptionArn"]
    assert arn.startswith(topic + ":")
    attributes = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert attributes == {
        "ConfirmationWasAuthenticated": "true", "Endpoint": QUEUE, "Owner": "000000000000",
        "PendingConfirmation": "false", "Protocol": "sqs", "RawMessageDelivery": "true", "SubscriptionArn": arn,
        "SubscriptionPrincipal": "arn:aws:iam::000000000000:root", "TopicArn": topic}
    listed = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert listed == [{"SubscriptionArn": arn, "Owner": "000000000000", "Protocol": "sqs", "Endpoint": QUEUE,
                       "TopicArn": topic}]
    mine = [s["SubscriptionArn"] for p in sns.get_paginator("list_subscriptions").paginate() for s in p["Subscriptions"]]
    assert arn in mine
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsConfirmed"] == "1"
    sns.unsubscribe(SubscriptionArn=arn)
    sns.unsubscribe(SubscriptionArn=arn)
    assert error_code(sns.get_subscription_attributes, SubscriptionArn=arn) == ("NotFound", "Subscription does not exist")
    counted = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert counted["SubscriptionsConfirmed"] == "0" and counted["SubscriptionsDeleted"] == "1"


# The same endpoint twice is the same subscription, unless it is asked for differently.
def test_idempotent(sns, topic):
    subscribe = lambda **attributes: sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=QUEUE,
                                                   Attributes=attributes)["SubscriptionArn"]
    arn = subscribe(RawMessageDelivery="True")
    assert subscribe(RawMessageDelivery="true", FilterPolicyScope="MessageAttributes") == arn == subscribe()
    with pytest.raises(sns.exceptions.InvalidParameterException, match="already exists with different attributes"):
        subscribe(RawMessageDelivery="false")


@pytest.mark.parametrize("protocol,endpoint,message", [
    ("test-protocol", "x", "Invalid parameter: Amazon SNS does not support this protocol string: test-protocol"),
    ("sqs", "http://localhost/q", "Invalid parameter: SQS endpoint ARN"),
    ("sqs", QUEUE + ".fifo", "Invalid parameter: Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be "
                             "subscribed to standard SNS topics"),
    ("sms", "NAA+15551234567", "Invalid SMS endpoint: NAA+15551234567"),
    ("sms", "+15--551234567", "Invalid SMS endpoint: +15--551234567"),
    ("sms", "+15551234567.", "Invalid SMS endpoint: +15551234567."),
    ("http", "https://x", "Invalid parameter: Endpoint must match the specified protocol"),
    ("email", "nobody", "Invalid parameter: Email address"),
    ("firehose", "arn:aws:firehose:us-east-1:000000000000:deliverystream/x",
     "Invalid parameter: Protocol Reason: firehose subscriptions are not served here"),
])
def test_bad_endpoints(sns, topic, protocol, endpoint, message):
    assert error_code(sns.subscribe, TopicArn=topic, Protocol=protocol, Endpoint=endpoint) == (
        "InvalidParameter", message)


# An ARN is looked at before what else is missing.
def test_missing_arns_and_attributes(virga):
    careless = virga.client("sns", parameter_validation=False)
    assert error_code(careless.unsubscribe) == invalid("SubscriptionArn Reason: no value for required parameter")
    change = careless.set_platform_application_attributes
    assert error_code(change, PlatformApplicationArn="app", Attributes={}) == invalid(
        "PlatformApplicationArn Reason: An ARN must have at least 6 elements, not 1")
    code, message = error_code(change, PlatformApplicationArn=QUEUE.replace("sqs", "sns").replace(":q", ":app/GCM/x"),
                               Attributes={})
    assert code == "ValidationError" and "Value null at 'attributes'" in message


def test_bad_arns(sns, topic):
    unsubscribe = sns.unsubscribe
    assert error_code(unsubscribe, SubscriptionArn="randomstring") == invalid(
        "SubscriptionArn Reason: An ARN must have at least 6 elements, not 1")
    assert error_code(unsubscribe, SubscriptionArn="arn:aws:sns:us-east-1:000000000000:random") == invalid(
        "SubscriptionId")
    assert error_code(sns.subscribe, TopicArn=topic + "x", Protocol="sqs", Endpoint=QUEUE) == (
        "NotFound", "Topic does not exist")
    assert error_code(sns.confirm_subscription, TopicArn=topic, Token="randomtoken") == (
        "InvalidParameter", "Invalid token")
    assert error_code(sns.confirm_subscription, TopicArn=topic, Token="ab" * 80) == invalid("Token")


@pytest.mark.parametrize("name,value,message", [
    ("Fake", "x", "AttributeName"),
    ("RawMessageDelivery", "x", "RawMessageDelivery: Invalid value [x]. Must be true or false."),
    ("RawMessageDelivery", "", "RawMessageDelivery: Invalid value []. Must be true or false."),
    ("RedrivePolicy", '{"deadLetterTargetArn": "fake"}', "RedrivePolicy: deadLetterTargetArn is an invalid arn"),
    ("FilterPolicyScope", "x",
     "FilterPolicyScope: Invalid value [x]. Please use either MessageBody or MessageAttributes"),
    ("FilterPolicy", '{"a": {"b": ["x"]}}',
     "Filter policy scope MessageAttributes does not support nested filter policy"),
    ("FilterPolicy", '{"key_a":"value_one"}', 'FilterPolicy: "key_a" must be an object or an array\n'
     ' at [Source: (String)"{"key_a":"value_one"}"; line: 1, column: 11]'),
    ("FilterPolicy", '{"key": [{"numeric": []}]}', 'FilterPolicy: Invalid member in numeric match: ]\n'
     ' at [Source: (String)"{"key":[{"numeric":[]}]}"; line: 1, column: 22]'),
    ("FilterPolicy", '{"key": [{"cidr": "xx.11.xx/8"}]}', "FilterPolicy: Nonstandard IP address: xx.11.xx"),
    ("FilterPolicy", '{"key": [{"anything-but": {"suffix": "test"}}]}',
     'FilterPolicy: Unsupported anything-but pattern: suffix\n'
     ' at [Source: (String)"{"key":[{"anything-but":{"suffix":"test"}}]}"; line: 1, column: 36]'),
    ("FilterPolicy", '{"key": [{"wildcard": "a*"}]}', 'FilterPolicy: Unrecognized match type wildcard\n'
     ' at [Source: (String)"{"key":[{"wildcard":"a*"}]}"; line: 1, column: 22]'),
    ("FilterPolicy", json.dumps({"k%d" % i: ["v"] for i in range(6)}),
     "FilterPolicy: Filter policy can not have more than 5 keys"),
    ("FilterPolicy", json.dumps({"k": ["v%d" % i for i in range(151)]}), "FilterPolicy: Filter policy is too complex"),
    ("ReplayPolicy", '{"PointType":"Timestamp"}', "ReplayPolicy: the topic does not have an archive policy"),
])
def test_bad_attributes(sns, topic, name, value, message):
    arn = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=QUEUE)["SubscriptionArn"]
    assert error_code(sns.set_subscription_attributes, SubscriptionArn=arn, AttributeName=name,
                      AttributeValue=value) == invalid(message)
    attributes = {"FilterPolicyScope": "MessageAttributes", name: value}
    code, text = error_code(sns.subscribe, TopicArn=topic, Protocol="sqs", Endpoint=QUEUE + "2", Attributes=attributes)
    assert code == "InvalidParameter" and text.startswith("Invalid parameter: Attributes Reason: ")


# A scope is shown with a policy only, and both can come together.
def test_filter_scope(sns, topic):
    arn = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=QUEUE, Attributes={
        "FilterPolicy": '{"a": {"b": ["x"]}}', "FilterPolicyScope": "MessageBody"})["SubscriptionArn"]
    shown = lambda: sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert shown()["FilterPolicyScope"] == "MessageBody"
    sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="FilterPolicy", AttributeValue="{}")
    assert "FilterPolicy" not in shown() and "FilterPolicyScope" not in shown()


def test_pages(sns, topic):
    for i in range(101):
        sns.subscribe(TopicArn=topic, Protocol="sms", Endpoint=f"+49151{i:08}")
    first = sns.list_subscriptions_by_topic(TopicArn=topic)
    assert len(first["Subscriptions"]) == 100
    rest = sns.list_subscriptions_by_topic(TopicArn=topic, NextToken=first["NextToken"])
    assert len(rest["Subscriptions"]) == 1 and "NextToken" not in rest
    assert error_code(sns.list_subscriptions_by_topic, TopicArn=topic, NextToken="nonsense") == invalid("NextToken")
