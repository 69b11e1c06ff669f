"""API destinations: requests to the world outside with the connection's credentials."""

import base64
import json

import pytest

from support import error_code, eventually

TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}]})


@pytest.fixture
def role(virga, name):
    iam = virga.client("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "events:InvokeApiDestination", "Resource": "*"}]}))
    return arn


@pytest.fixture
def destination(events, name, endpoint):
    def make(kind, parameters, path="/hook", method="POST"):
        connection = events.create_connection(Name=name, AuthorizationType=kind, AuthParameters=parameters)
        assert connection["ConnectionState"] == ("AUTHORIZING" if kind == "OAUTH_CLIENT_CREDENTIALS" else "AUTHORIZED")
        become(events, name, "AUTHORIZED")
        return events.create_api_destination(Name=name, ConnectionArn=connection["ConnectionArn"], HttpMethod=method,
                                             InvocationEndpoint=endpoint.url + path)["ApiDestinationArn"]
    return make


def become(events, name, state):
    """The connection once it is in that state."""
    return eventually(lambda: (c := events.describe_connection(Name=name))["ConnectionState"] == state and c)


def arrived(endpoint, count=1):
    eventually(lambda: len(endpoint.requests) >= count)
    return endpoint.requests


def test_basic(events, destination, endpoint, route, put, role, name):
    arn = destination("BASIC", {
        "BasicAuthParameters": {"Username": "u", "Password": "p"},
        "InvocationHttpParameters": {
            "HeaderParameters": [{"Key": "X-C", "Value": "c", "IsValueSecret": True}],
            "QueryStringParameters": [{"Key": "q", "Value": "a b"}], "BodyParameters": [{"Key": "extra", "Value": "1"}]}},
        path="/orders/*/items")
    route(arn, RoleArn=role, InputPath="$.detail",
          HttpParameters={"PathParameterValues": ["a/b"], "HeaderParameters": {"X-T": "t"}, "QueryStringParameters": {"z": "1"}})
    put({"n": 1})
    request = arrived(endpoint)[0]
    assert request["path"] == "/orders/a%2Fb/items?q=a%20b&z=1" and request["method"] == "POST"
    assert request["headers"]["Authorization"] == "Basic " + base64.b64encode(b"u:p").decode()
    assert request["headers"]["X-C"] == "c" and request["headers"]["X-T"] == "t"
    assert request["headers"]["User-Agent"] == "Amazon/EventBridge/ApiDestinations"
    assert json.loads(request["body"]) == {"n": 1, "extra": "1"}
    described = events.describe_connection(Name=name)["AuthParameters"]
    assert described["BasicAuthParameters"] == {"Username": "u"}
    assert described["InvocationHttpParameters"]["HeaderParameters"] == [{"Key": "X-C", "IsValueSecret": True}]


# Values of a target may be paths into the event, and the connection's win over them.
def test_values_of_the_event(destination, endpoint, route, put, role):
    arn = destination("API_KEY", {
        "ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "k"},
        "InvocationHttpParameters": {"QueryStringParameters": [{"Key": "who", "Value": "connection"}]}}, path="/*/*")
    route(arn, RoleArn=role, Input='"constant"', HttpParameters={
        "PathParameterValues": ["$.detail.list[1]", "literal"], "HeaderParameters": {"X-N": "$.detail.n", "X-None": "$.detail.none"},
        "QueryStringParameters": {"who": "target", "from": "$.source"}})
    put({"n": 5, "list": ["a", "b c"]})
    request = arrived(endpoint)[0]
    assert request["path"] == "/b%20c/literal?from=shop&who=connection"
    assert request["headers"]["X-N"] == "5" and request["headers"]["X-None"] == "" and request["body"] == '"constant"'


def test_key_and_retry(destination, endpoint, route, put, role):
    endpoint.answers[:] = [(503, "busy"), (200, "{}")]
    route(destination("API_KEY", {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "secret"}}), RoleArn=role)
    put({"n": 1})
    requests = arrived(endpoint, 2)
    assert [r["headers"]["X-Key"] for r in requests] == ["secret", "secret"]


# What won't change is not tried again.
def test_refused_for_good(destination, endpoint, queue, route, put, role):
    endpoint.answers[:] = [(400, "no")]
    route(destination("API_KEY", {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "s"}}), RoleArn=role,
          DeadLetterConfig={"Arn": queue.arn})
    put({"n": 1})
    message, = queue.messages()
    assert "400" in message["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"] and len(endpoint.requests) == 1


def test_oauth(destination, endpoint, route, put, role):
    endpoint.answers[:] = [(200, '{"access_token": "one", "expires_in": 3600}'), (200, "{}"), (200, "{}"),
                           (401, "old"), (200, '{"access_token": "two"}'), (200, "{}")]
    route(destination("OAUTH_CLIENT_CREDENTIALS", {"OAuthParameters": {
        "ClientParameters": {"ClientID": "id", "ClientSecret": "sec&ret"}, "AuthorizationEndpoint": endpoint.url + "/token",
        "HttpMethod": "POST", "OAuthHttpParameters": {"BodyParameters": [
            {"Key": "scope", "Value": "all"}, {"Key": "grant_type", "Value": "client_credentials"}]}}}), RoleArn=role)
    put({"n": 1})
    first = arrived(endpoint, 2)
    assert first[0]["path"] == "/token"
    assert first[0]["body"] == "client_id=id&client_secret=sec%26ret&grant_type=client_credentials&scope=all"
    assert first[1]["headers"]["Authorization"] == "Bearer one"
    put({"n": 2})
    assert arrived(endpoint, 3)[2]["headers"]["Authorization"] == "Bearer one"
    put({"n": 3})
    assert arrived(endpoint, 6)[5]["headers"]["Authorization"] == "Bearer two"


def oauth(endpoint, secret="s"):
    return {"OAuthParameters": {"ClientParameters": {"ClientID": "id", "ClientSecret": secret},
                                "AuthorizationEndpoint": endpoint.url + "/token", "HttpMethod": "POST"}}


# The endpoint is asked before a connection is said to be authorized, and asked again at each update.
def test_authorizing(events, endpoint, name):
    endpoint.answers[:] = [(401, "no"), (500, "later"), (200, '{"access_token": "t"}'), (200, '{"no": "token"}')]
    made = events.create_connection(Name=name, AuthorizationType="OAUTH_CLIENT_CREDENTIALS", AuthParameters=oauth(endpoint))
    assert made["ConnectionState"] == "AUTHORIZING"
    refused = become(events, name, "DEAUTHORIZED")
    assert "401" in refused["StateReason"]
    hook = events.create_api_destination(Name=name, ConnectionArn=made["ConnectionArn"], HttpMethod="GET",
                                         InvocationEndpoint=endpoint.url)
    active = lambda: events.describe_api_destination(Name=name)["ApiDestinationState"]
    assert hook["ApiDestinationState"] == active() == "INACTIVE"
    assert [c["StateReason"] for c in events.list_connections(NamePrefix=name)["Connections"]] == [refused["StateReason"]]
    again = events.update_connection(Name=name, AuthParameters=oauth(endpoint, "better"))
    assert again["ConnectionState"] == "AUTHORIZING"
    settled = become(events, name, "AUTHORIZED")
    assert "StateReason" not in settled and settled["LastAuthorizedTime"] >= again["LastModifiedTime"]
    assert active() == "ACTIVE"
    assert ["better" in r["body"] for r in endpoint.requests] == [False, True, True]
    events.deauthorize_connection(Name=name)
    events.update_connection(Name=name, Description="without a secret")
    assert events.describe_connection(Name=name)["ConnectionState"] == "DEAUTHORIZED"
    assert len(endpoint.requests) == 3


# A connection whose endpoint was not heard before a kill is authorized after it.
def test_authorizing_over_a_kill(own_virga, endpoint, name):
    endpoint.answers[:] = [(503, "busy")] * 2 + [(200, '{"access_token": "t"}')]
    events = own_virga.client("events")
    events.create_connection(Name=name, AuthorizationType="OAUTH_CLIENT_CREDENTIALS", AuthParameters=oauth(endpoint))
    own_virga.kill()
    own_virga.start()
    become(own_virga.client("events"), name, "AUTHORIZED")


# A target that doesn't know the credentials makes the connection useless.
def test_unauthorized(events, destination, endpoint, route, put, role, name, queue):
    endpoint.answers[:] = [(401, "who?")]
    route(destination("API_KEY", {"ApiKeyAuthParameters": {"ApiKeyName": "k", "ApiKeyValue": "wrong"}}), RoleArn=role,
          DeadLetterConfig={"Arn": queue.arn})
    put({"n": 1})
    assert "401" in become(events, name, "DEAUTHORIZED")["StateReason"]
    queue.messages()
    assert len(endpoint.requests) == 1
    update = events.update_connection(Name=name, AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "k", "ApiKeyValue": "right"}})
    assert update["ConnectionState"] == "AUTHORIZED"


def test_connections_and_destinations(events, destination, name):
    arn = destination("API_KEY", {"ApiKeyAuthParameters": {"ApiKeyName": "k", "ApiKeyValue": "v"}})
    assert arn.startswith(f"arn:aws:events:us-east-1:000000000000:api-destination/{name}/")
    assert events.describe_api_destination(Name=name)["ApiDestinationState"] == "ACTIVE"
    events.update_api_destination(Name=name, InvocationRateLimitPerSecond=5, HttpMethod="PUT")
    found = events.describe_api_destination(Name=name)
    assert found["InvocationRateLimitPerSecond"] == 5 and found["HttpMethod"] == "PUT"
    assert [d["Name"] for d in events.list_api_destinations(NamePrefix=name)["ApiDestinations"]] == [name]
    assert [c["Name"] for c in events.list_connections(NamePrefix=name)["Connections"]] == [name]
    assert events.deauthorize_connection(Name=name)["ConnectionState"] == "DEAUTHORIZING"
    assert events.describe_connection(Name=name)["ConnectionState"] == "DEAUTHORIZED"
    events.delete_api_destination(Name=name)
    events.delete_connection(Name=name)
    assert error_code(events.describe_connection, Name=name)[0] == "ResourceNotFoundException"
    assert error_code(events.create_connection, Name=name, AuthorizationType="BASIC", AuthParameters={
        "ApiKeyAuthParameters": {"ApiKeyName": "k", "ApiKeyValue": "v"}})[0] == "ValidationException"
