import pytest

from support import error_code


def invalid(message):
    return "InvalidParameter", "Invalid parameter: " + message


ATTRIBUTES = [
    ({"a": {"DataType": "String", "StringValue": ""}},
     "The message attribute 'a' must contain non-empty message attribute value for message attribute type 'String'."),
    ({"a": {"DataType": "Binary", "BinaryValue": b""}},
     "The message attribute 'a' must contain non-empty message attribute value for message attribute type 'Binary'."),
    ({"a": {"DataType": "Number", "BinaryValue": b"1"}},
     "The message attribute 'a' with type 'Number' must use field 'String'."),
    ({"a": {"DataType": "Binary", "StringValue": "1"}},
     "The message attribute 'a' with type 'Binary' must use field 'Binary'."),
    ({"a": {"DataType": "Nope", "StringValue": "1"}},
     "The message attribute 'a' has an invalid message attribute type, the set of supported type prefixes is Binary, "
     "Number, and String."),
    ({"a": {"DataType": "String.", "StringValue": "1"}},
     "The message attribute 'a' has an invalid message attribute type, the set of supported type prefixes is Binary, "
     "Number, and String."),
    ({"a" * 257: {"DataType": "String", "StringValue": "1"}},
     "Length of message attribute name must be less than 256 bytes."),
    ({"a^": {"DataType": "String", "StringValue": "1"}},
     "Invalid non-alphanumeric character '#x5E' was found in the message attribute name. Can only include alphanumeric "
     "characters, hyphens, underscores, or dots."),
    ({".a": {"DataType": "String", "StringValue": "1"}},
     "Invalid message attribute name starting with character '.' was found."),
    ({"a..b": {"DataType": "String", "StringValue": "1"}},
     "Message attribute name can not have successive '.' character."),
]


@pytest.mark.parametrize("attributes,message", ATTRIBUTES)
def test_bad_attributes(sns, topic, attributes, message):
    refused = "ParameterValueInvalid", message
    assert error_code(sns.publish, TopicArn=topic, Message="m", MessageAttributes=attributes) == refused
    entries = [{"Id": "1", "Message": "m", "MessageAttributes": attributes}, {"Id": "2", "Message": "m"}]
    assert error_code(sns.publish_batch, TopicArn=topic, PublishBatchRequestEntries=entries) == refused


@pytest.mark.parametrize("arguments,message", [
    ({"Message": ""}, "Empty message"),
    ({"Message": "m" * 262145}, "Message too long"),
    ({"Message": "m", "Subject": ""}, "Subject"),
    ({"Message": "m", "Subject": "s" * 101}, "Subject"),
    ({"Message": "m", "Subject": "a\nb"}, "Subject"),
    ({"Message": "{", "MessageStructure": "json"}, "Message Structure - JSON message body failed to parse"),
    ({"Message": '{"sqs": "x"}', "MessageStructure": "json"},
     "Message Structure - No default entry in JSON message body"),
    ({"Message": '{"default": {}}', "MessageStructure": "json"},
     "Message Structure - No default entry in JSON message body"),
    ({"Message": "m", "MessageDeduplicationId": "d"},
     "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this "
     "topic type"),
])
def test_bad_messages(sns, topic, arguments, message):
    assert error_code(sns.publish, TopicArn=topic, **arguments) == invalid(message)


def test_fifo_needs_group_and_deduplication(sns, fifo):
    assert error_code(sns.publish, TopicArn=fifo, Message="m") == invalid(
        "The MessageGroupId parameter is required for FIFO topics")
    assert error_code(sns.publish, TopicArn=fifo, Message="m", MessageGroupId="g") == invalid(
        "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")


# A repetition gets the first one's answer; sequence numbers grow.
def test_deduplication(sns, fifo):
    def publish(**options):
        answer = sns.publish(**{"TopicArn": fifo, "Message": "m", "MessageGroupId": "g", **options})
        return answer["MessageId"], answer["SequenceNumber"]

    first = publish(MessageDeduplicationId="1")
    assert publish(MessageDeduplicationId="1", Message="other") == first
    second = publish(MessageDeduplicationId="2")
    assert len(first[1]) == 20 and int(second[1]) > int(first[1]) and second[0] != first[0]
    sns.set_topic_attributes(TopicArn=fifo, AttributeName="ContentBasedDeduplication", AttributeValue="true")
    third = publish(Message="content")
    assert publish(Message="content", MessageGroupId="h") == third and publish(Message="content 2") != third


def test_batches(sns, topic):
    def batch(*entries):
        return dict(TopicArn=topic, PublishBatchRequestEntries=[{"Message": "m", **e} for e in entries])

    answer = sns.publish_batch(**batch({"Id": "a"}, {"Id": "b"}))
    assert [e["Id"] for e in answer["Successful"]] == ["a", "b"] and answer["Failed"] == []
    assert error_code(sns.publish_batch, **batch({"Id": "a"}, {"Id": "a"})) == (
        "BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.")
    assert error_code(sns.publish_batch, **batch(*({"Id": str(i)} for i in range(11)))) == (
        "TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible.")
    assert error_code(sns.publish_batch, **batch({"Id": "a.b"})) == (
        "InvalidBatchEntryId", "The Id of a batch entry in the batch request contains an impermissible character: a.b")
    assert error_code(sns.publish_batch, **batch({"Id": "a" * 81}))[0] == "InvalidBatchEntryId"
    halves = [{"Id": str(i), "Message": "m" * 140_000} for i in range(2)]
    assert error_code(sns.publish_batch, **batch(*halves)) == (
        "BatchRequestTooLong", "The length of all the messages put together is more than the limit.")


def test_where_to(sns, topic):
    assert sns.publish(TargetArn=topic, Message="m")["MessageId"]
    assert error_code(sns.publish, Message="m") == invalid(
        "TopicArn or TargetArn Reason: no value for required parameter")
    assert error_code(sns.publish, TopicArn="", Message="m") == invalid(
        "TopicArn Reason: An ARN must have at least 6 elements, not 1")
    assert error_code(sns.publish, TopicArn=topic + "x", Message="m") == ("NotFound", "Topic does not exist")
    assert error_code(sns.publish, PhoneNumber="+1a234", Message="m") == invalid(
        "PhoneNumber Reason: +1a234 is not valid to publish to")
