import json

import pytest

from support import error_code


def invalid(message):
    return "InvalidParameter", "Invalid parameter: " + message


# A topic shows what AWS adds to it by itself, in AWS's words.
def test_attributes_of_a_new_topic(sns, topic):
    attributes = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert attributes["TopicArn"] == topic and attributes["Owner"] == "000000000000" and attributes["DisplayName"] == ""
    assert [attributes["Subscriptions" + k] for k in ("Pending", "Confirmed", "Deleted")] == ["0", "0", "0"]
    policy = json.loads(attributes["Policy"])
    assert policy["Id"] == "__default_policy_ID" and policy["Statement"][0]["Resource"] == topic
    assert policy["Statement"][0]["Condition"] == {"StringEquals": {"AWS:SourceOwner": "000000000000"}}
    assert json.loads(attributes["EffectiveDeliveryPolicy"])["http"]["defaultHealthyRetryPolicy"]["numRetries"] == 3
    assert "FifoTopic" not in attributes and "DeliveryPolicy" not in attributes


# Creating what is there already answers its ARN, but only when it is the same.
def test_create_is_idempotent(sns, name):
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    arn = sns.create_topic(Name=name, Attributes={"DisplayName": "x"}, Tags=tags)["TopicArn"]
    assert sns.create_topic(Name=name)["TopicArn"] == arn
    assert sns.create_topic(Name=name, Attributes={"DisplayName": "x"}, Tags=tags)["TopicArn"] == arn
    assert sns.create_topic(Name=name, Tags=tags[1:])["TopicArn"] == arn
    assert error_code(sns.create_topic, Name=name, Attributes={"DisplayName": "y"}) == invalid(
        "Attributes Reason: Topic already exists with different attributes")
    assert error_code(sns.create_topic, Name=name, Tags=[{"Key": "a", "Value": "2"}]) == invalid(
        "Tags Reason: Topic already exists with different tags")
    assert arn in [t["TopicArn"] for page in sns.get_paginator("list_topics").paginate() for t in page["Topics"]]
    sns.delete_topic(TopicArn=arn)
    sns.delete_topic(TopicArn=arn)
    assert error_code(sns.get_topic_attributes, TopicArn=arn) == ("NotFound", "Topic does not exist")


@pytest.mark.parametrize("name,attributes", [("", {}), ("a" * 257, {}), ("a b", {}), ("a.fifo", {}),
                                             ("a", {"FifoTopic": "true"}), (".fifo", {"FifoTopic": "true"})])
def test_names(sns, name, attributes):
    assert error_code(sns.create_topic, Name=name, Attributes=attributes) == invalid("Topic Name")


def test_arns(sns, virga, topic):
    get = sns.get_topic_attributes
    assert error_code(get, TopicArn="x") == invalid("TopicArn Reason: An ARN must have at least 6 elements, not 1")
    assert error_code(get, TopicArn="arn:aws:sns:us-east-1:random") == invalid(
        "TopicArn Reason: An ARN must have at least 6 elements, not 5")
    elsewhere = virga.client("sns", region="eu-west-1")
    assert error_code(elsewhere.get_topic_attributes, TopicArn=topic) == invalid("TopicArn")
    assert error_code(get, TopicArn=topic + "x") == ("NotFound", "Topic does not exist")


def test_set_attributes(sns, topic):
    def change(name, value):
        sns.set_topic_attributes(TopicArn=topic, AttributeName=name, AttributeValue=value)
        return sns.get_topic_attributes(TopicArn=topic)["Attributes"].get(name)

    assert change("DisplayName", "News") == "News"
    assert change("SignatureVersion", "2") == "2"
    policy = change("DeliveryPolicy", json.dumps({"http": {"defaultHealthyRetryPolicy": {
        "minDelayTarget": 5, "maxDelayTarget": 6, "numRetries": 1}, "defaultRequestPolicy": None}}))
    assert json.loads(policy) == {"http": {"defaultHealthyRetryPolicy": {
        "minDelayTarget": 5, "maxDelayTarget": 6, "numRetries": 1}, "disableSubscriptionOverrides": False}}
    effective = sns.get_topic_attributes(TopicArn=topic)["Attributes"]["EffectiveDeliveryPolicy"]
    assert json.loads(effective)["http"]["defaultHealthyRetryPolicy"]["backoffFunction"] == "linear"
    assert change("DeliveryPolicy", "") is None
    for name, value in [("FifoTopic", "false"), ("Nonsense", "1")]:
        assert error_code(sns.set_topic_attributes, TopicArn=topic, AttributeName=name, AttributeValue=value) == invalid(
            "AttributeName")
    assert "not served" in error_code(sns.set_topic_attributes, TopicArn=topic, AttributeName="KmsMasterKeyId",
                                      AttributeValue="alias/aws/sns")[1]


def test_tags(sns, topic):
    tag = lambda **tags: sns.tag_resource(ResourceArn=topic, Tags=[{"Key": k, "Value": v} for k, v in tags.items()])
    tag(k1="v1", k2="v2")
    tag(k2="v2b")
    sns.untag_resource(ResourceArn=topic, TagKeys=["k1"])
    assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "k2", "Value": "v2b"}]
    assert error_code(sns.tag_resource, ResourceArn=topic, Tags=[{"Key": "a", "Value": "1"}] * 2) == invalid(
        "Duplicated keys are not allowed.")


def test_permissions(sns, topic):
    sns.add_permission(TopicArn=topic, Label="one", AWSAccountId=["111111111111"], ActionName=["Publish"])
    again = dict(TopicArn=topic, Label="one", AWSAccountId=["111111111111"], ActionName=["Publish"])
    assert error_code(sns.add_permission, **again) == invalid("Statement already exists")
    assert error_code(sns.add_permission, **{**again, "Label": "x", "ActionName": ["Nope"]}) == invalid(
        "Policy statement action out of service scope!")
    policy = lambda: json.loads(sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])
    assert policy()["Statement"][1] == {"Sid": "one", "Effect": "Allow", "Action": "SNS:Publish", "Resource": topic,
                                        "Principal": {"AWS": "arn:aws:iam::111111111111:root"}}
    sns.remove_permission(TopicArn=topic, Label="one")
    assert len(policy()["Statement"]) == 1


# A user may publish by his own policy, or by the topic's.
def test_publish_needs_permission(sns, virga, topic, name):
    iam = virga.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    user = virga.client("sns", access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])
    code, message = error_code(user.publish, TopicArn=topic, Message="m")
    assert code == "AuthorizationError" and "is not authorized to perform" in message and topic in message
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": topic, "Action": "sns:Publish",
              "Principal": {"AWS": iam.get_user(UserName=name)["User"]["Arn"]}}]}
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(policy))
    assert user.publish(TopicArn=topic, Message="m")["MessageId"]


def test_data_protection_policy(sns, topic):
    policy = json.dumps({"Name": "p", "Version": "2021-06-01", "Statement": []})
    sns.put_data_protection_policy(ResourceArn=topic, DataProtectionPolicy=policy)
    assert sns.get_data_protection_policy(ResourceArn=topic)["DataProtectionPolicy"] == policy
