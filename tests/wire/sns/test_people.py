"""What leaves for people: mail, text messages, push. It goes to the outbox."""

import json
import subprocess
import urllib.request

import pytest

from support import BINARY, error_code, eventually, log_lines


def test_mail_is_confirmed_by_following_its_link(sns, topic, outbox, name):
    address = name + "@example.com"
    assert sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=address)["SubscriptionArn"] == "pending confirmation"
    sns.publish(TopicArn=topic, Message="too early")
    mail = eventually(lambda: outbox(address))[0]
    assert mail["Subject"] == "AWS Notification - Subscription Confirmation" and mail["SubscribeURL"] in mail["Body"]
    answer = urllib.request.urlopen(mail["SubscribeURL"]).read().decode()
    assert "<ConfirmSubscriptionResult><SubscriptionArn>" + topic in answer
    sns.publish(TopicArn=topic, Message="hello", Subject="News")
    mail = eventually(lambda: outbox(address)[1:])[0]
    assert mail["Subject"] == "News" and mail["Body"].startswith("hello\n")
    assert "Action=Unsubscribe&SubscriptionArn=" + topic in mail["Body"]
    link = [line for line in mail["Body"].splitlines() if "Action=Unsubscribe" in line][0]
    urllib.request.urlopen(link).read()
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []
    # And back again, by whoever did not want that.
    mail = eventually(lambda: outbox(address)[2:])[0]
    urllib.request.urlopen(mail["SubscribeURL"]).read()
    assert len(sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]) == 1


def test_text_messages(sns, topic, outbox):
    number = "+4915100000001"
    sns.subscribe(TopicArn=topic, Protocol="sms", Endpoint=number)
    sns.publish(TopicArn=topic, MessageStructure="json", Message=json.dumps({"default": "long", "sms": "short"}))
    assert [m["Body"] for m in eventually(lambda: outbox(number))] == ["short"]
    sns.publish(PhoneNumber="+4915100000002", Message="direct")
    assert outbox("+4915100000002")[-1]["Body"] == "direct"
    sns.set_sms_attributes(attributes={"DefaultSMSType": "Promotional", "DefaultSenderID": "Virga"})
    assert sns.get_sms_attributes()["attributes"] == {
        "DefaultSMSType": "Promotional", "DefaultSenderID": "Virga", "MonthlySpendLimit": "1"}
    assert error_code(sns.set_sms_attributes, attributes={"Nope": "1"}) == (
        "InvalidParameter", "Nope is not a valid attribute")
    assert sns.check_if_phone_number_is_opted_out(phoneNumber=number)["isOptedOut"] is False
    assert sns.list_phone_numbers_opted_out()["phoneNumbers"] == []


# Whoever answers STOP gets no more from the account, directly or by topic, until the account opts the number in.
def test_opting_out(sns, topic, outbox, virga, status_role):
    number = "+4915100000077"
    sns.subscribe(TopicArn=topic, Protocol="sms", Endpoint="+49 151-00000077")
    sns.publish(PhoneNumber=number, Message="one")
    reply = lambda text, to=number: subprocess.run([BINARY, "outbox", "--to", to, "--reply", text], env=virga.environment()).returncode
    out = lambda: sns.check_if_phone_number_is_opted_out(phoneNumber=number)["isOptedOut"]
    assert reply("How do I stop this?") == 0 and reply(" Stop ") == 0
    eventually(out)
    assert number in sns.list_phone_numbers_opted_out()["phoneNumbers"]
    sns.set_sms_attributes(attributes={"DeliveryStatusIAMRole": status_role})
    lines = lambda group: [line for text in log_lines(virga, "sns/us-east-1/000000000000/" + group)
                           if (line := json.loads(text))["delivery"]["destination"] == number]
    sent = sns.publish(PhoneNumber=number, Message="two")["MessageId"]
    sns.publish(TopicArn=topic, Message="three")
    told, = eventually(lambda: lines("DirectPublishToPhoneNumber/Failure"))
    assert told["notification"]["messageId"] == sent and told["delivery"]["providerResponse"] == "Phone number is opted out"
    assert told["status"] == "FAILURE" and eventually(lambda: lines(topic.rsplit(":", 1)[1] + "/Failure"))
    assert error_code(sns.create_sms_sandbox_phone_number, PhoneNumber=number)[0] == "OptedOut"
    sns.opt_in_phone_number(phoneNumber=number)
    assert not out()
    sns.publish(PhoneNumber=number, Message="four")
    assert [m["Body"] for m in outbox(number)] == ["one", "four"]
    assert eventually(lambda: lines("DirectPublishToPhoneNumber"))[0]["status"] == "SUCCESS"
    sns.set_sms_attributes(attributes={"DeliveryStatusIAMRole": ""})
    assert reply("STOP", "+4915199999999") != 0


def test_sandbox_numbers(sns, outbox):
    number = "+4915100000003"
    sns.create_sms_sandbox_phone_number(PhoneNumber=number)
    password = outbox(number)[-1]["Body"].split()[-1]
    assert error_code(sns.verify_sms_sandbox_phone_number, PhoneNumber=number, OneTimePassword="0000000")[0] == (
        "VerificationException")
    sns.verify_sms_sandbox_phone_number(PhoneNumber=number, OneTimePassword=password)
    assert {"PhoneNumber": number, "Status": "Verified"} in sns.list_sms_sandbox_phone_numbers()["PhoneNumbers"]
    sns.delete_sms_sandbox_phone_number(PhoneNumber=number)
    assert sns.get_sms_sandbox_account_status()["IsInSandbox"] is False


def test_push(sns, topic, outbox, name):
    app = sns.create_platform_application(Name=name, Platform="GCM", Attributes={"PlatformCredential": "c"})
    app = app["PlatformApplicationArn"]
    assert sns.get_platform_application_attributes(PlatformApplicationArn=app)["Attributes"] == {"Enabled": "true"}
    create = lambda **more: sns.create_platform_endpoint(PlatformApplicationArn=app, Token=name, **more)["EndpointArn"]
    endpoint = create()
    assert create() == endpoint and ":endpoint/GCM/" + name in endpoint
    with pytest.raises(sns.exceptions.InvalidParameterException, match="already exists with the same Token"):
        create(CustomUserData="other")
    both = sns.create_platform_endpoint(PlatformApplicationArn=app, Token=name + "2", CustomUserData="parameter",
                                        Attributes={"CustomUserData": "attribute"})["EndpointArn"]
    assert sns.get_endpoint_attributes(EndpointArn=both)["Attributes"]["CustomUserData"] == "attribute"
    sns.delete_endpoint(EndpointArn=both)
    message = json.dumps({"default": "d", "GCM": '{"notification": 1}'})
    sns.publish(TargetArn=endpoint, Message=message, MessageStructure="json")
    assert outbox(name)[-1]["Body"] == '{"notification": 1}' and outbox(name)[-1]["EndpointArn"] == endpoint
    sns.subscribe(TopicArn=topic, Protocol="application", Endpoint=endpoint)
    sns.publish(TopicArn=topic, Message="by topic")
    assert eventually(lambda: outbox(name)[1:])[0]["Body"] == "by topic"
    sns.set_endpoint_attributes(EndpointArn=endpoint, Attributes={"Enabled": "False"})
    assert error_code(sns.publish, TargetArn=endpoint, Message="m") == ("EndpointDisabled", "Endpoint is disabled")
    assert sns.list_endpoints_by_platform_application(PlatformApplicationArn=app)["Endpoints"][0]["Attributes"] == {
        "Enabled": "false", "Token": name}
    sns.delete_endpoint(EndpointArn=endpoint)
    assert error_code(sns.get_endpoint_attributes, EndpointArn=endpoint) == ("NotFound", "Endpoint does not exist")
    sns.delete_platform_application(PlatformApplicationArn=app)
    assert error_code(sns.publish, TargetArn=endpoint, Message="m")[1].startswith("Invalid parameter: TargetArn")
