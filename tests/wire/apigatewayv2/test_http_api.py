"""API Gateway HTTP APIs: from a URL through routes and stages to a function and back."""

import http.client
import json
import urllib.parse

import pytest

from support import Functions, error_code, zipped

ECHO = """
import json
def handler(event, context):
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(event)}
"""


class Web:
    """Plain HTTP to an API, by path or by host name; nothing follows redirects or decodes anything."""

    def __init__(self, virga):
        self.virga = virga

    def get(self, api, path="/", method="GET", body=None, headers=None, by="path"):
        connection = http.client.HTTPConnection("127.0.0.1", int(self.virga.port), timeout=20)
        headers = dict(headers or {})
        if by == "host":
            headers["Host"] = f"{api}.execute-api.localhost:{self.virga.port}"
        connection.request(method, path if by == "host" else f"/_aws/execute-api/{api}{path}", body, headers)
        answer = connection.getresponse()
        answer.text = answer.read()
        connection.close()
        return answer

    def json(self, *arguments, **options):
        answer = self.get(*arguments, **options)
        assert answer.status == 200, (answer.status, answer.text)
        return json.loads(answer.text)


@pytest.fixture(scope="module")
def web(virga):
    return Web(virga)


class Apis:
    def __init__(self, virga, functions):
        self.client = virga.client("apigatewayv2")
        self.functions = functions
        self.made = []

    def let(self, function, api="*", path="*"):
        self.functions.client.add_permission(
            FunctionName=function, StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:us-east-1:000000000000:{api}/{path}")

    def quick(self, code=ECHO, permit=True, **options):
        """An API that hands everything to one function."""
        function = self.functions.make(code)
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{function}"
        api = self.client.create_api(Name=function, ProtocolType="HTTP", Target=arn, **options)["ApiId"]
        self.made.append(api)
        if permit:
            self.let(function)
        return api

    def routed(self, routes, payload="2.0", stage="$default", code=ECHO):
        """An API with these routes, all to one function, which answers its event."""
        function = self.functions.make(code)
        self.let(function)
        api = self.client.create_api(Name=function, ProtocolType="HTTP")["ApiId"]
        self.made.append(api)
        integration = self.client.create_integration(
            ApiId=api, IntegrationType="AWS_PROXY", PayloadFormatVersion=payload,
            IntegrationUri=f"arn:aws:lambda:us-east-1:000000000000:function:{function}")["IntegrationId"]
        for route in routes:
            self.client.create_route(ApiId=api, RouteKey=route, Target=f"integrations/{integration}")
        self.client.create_stage(ApiId=api, StageName=stage, AutoDeploy=True)
        return api

    def finish(self):
        for api in self.made:
            self.client.delete_api(ApiId=api)


@pytest.fixture
def apis(virga, functions):
    made = Apis(virga, functions)
    yield made
    made.finish()


# Quick create: one call makes an API that works, under a host name of its own and by path.
def test_quick_create(apis, web):
    api = apis.quick("def handler(event, context): return {'hello': event['rawPath']}")
    assert web.json(api, "/any/thing") == {"hello": "/any/thing"}
    assert web.json(api, "/any/thing", by="host") == {"hello": "/any/thing"}
    endpoint = apis.client.get_api(ApiId=api)["ApiEndpoint"]
    assert urllib.parse.urlsplit(endpoint).hostname == f"{api}.execute-api.localhost"
    assert [r["RouteKey"] for r in apis.client.get_routes(ApiId=api)["Items"]] == ["$default"]


# The event of format 2.0, member by member as AWS documents it.
def test_event_2(apis, web):
    api = apis.routed(["POST /pets/{id}"])
    event = web.json(api, "/pets/a%20b?x=1&x=2&y=%C3%A9", method="POST", body=b'{"n": 1}', by="host",
                     headers={"Content-Type": "application/json", "Cookie": "c=1; d=2", "X-Two": "v", "User-Agent": "test/1"})
    assert event["version"] == "2.0" and event["routeKey"] == "POST /pets/{id}" and event["rawPath"] == "/pets/a b"
    assert event["rawQueryString"] == "x=1&x=2&y=%C3%A9" and event["queryStringParameters"] == {"x": "1,2", "y": "é"}
    assert event["cookies"] == ["c=1", "d=2"] and event["headers"]["x-two"] == "v"
    assert event["pathParameters"] == {"id": "a b"} and event["body"] == '{"n": 1}' and event["isBase64Encoded"] is False
    context = event["requestContext"]
    assert context["accountId"] == "000000000000" and context["apiId"] == api and context["stage"] == "$default"
    assert context["http"]["method"] == "POST" and context["http"]["sourceIp"] == "127.0.0.1" and context["http"]["userAgent"] == "test/1"
    assert context["domainName"] == f"{api}.execute-api.localhost" and context["requestId"] and context["timeEpoch"] > 1.6e12


# The event of format 1.0, for functions written for REST APIs.
def test_event_1(apis, web):
    api = apis.routed(["ANY /pets/{id}"], payload="1.0")
    event = web.json(api, "/pets/7?x=1&x=2", headers={"X-Two": "v"})
    assert event["version"] == "1.0" and event["resource"] == "/pets/{id}" and event["httpMethod"] == "GET"
    assert event["queryStringParameters"] == {"x": "2"} and event["multiValueQueryStringParameters"] == {"x": ["1", "2"]}
    assert event["pathParameters"] == {"id": "7"} and event["requestContext"]["apiId"] == api
    headers = {k.lower(): v for k, v in event["headers"].items()}
    assert headers["x-two"] == "v" and event["body"] is None


@pytest.fixture(scope="module")
def many_routes(virga):
    functions = Functions(virga)
    made = Apis(virga, functions)
    yield made.routed(["GET /pets", "GET /pets/dog", "GET /pets/{id}", "ANY /pets/{id}", "ANY /pets/{proxy+}", "ANY /{proxy+}", "$default"])
    made.finish()
    functions.finish()


# Which of several routes takes a request: a full match before a greedy one, literal before variable, own method before ANY.
@pytest.mark.parametrize("asked, route", [
    ("GET /pets", "GET /pets"),
    ("GET /pets/dog", "GET /pets/dog"),
    ("GET /pets/cat", "GET /pets/{id}"),
    ("PUT /pets/cat", "ANY /pets/{id}"),
    ("GET /pets/cat/toys/1", "ANY /pets/{proxy+}"),
    ("GET /other/deep/path", "ANY /{proxy+}"),
    ("GET /", "$default"),
    ("DELETE /pets", "ANY /{proxy+}"),
])
def test_route_selection(many_routes, web, asked, route):
    method, path = asked.split()
    assert web.json(many_routes, path, method=method)["routeKey"] == route


# A greedy variable takes the rest of the path.
def test_greedy_variable(apis, web):
    api = apis.routed(["GET /files/{path+}"])
    assert web.json(api, "/files/a/b/c.txt")["pathParameters"] == {"path": "a/b/c.txt"}
    assert web.get(api, "/files").status == 404


# Nothing there: AWS's words.
def test_not_found(apis, web):
    api = apis.routed(["GET /only"])
    for path, method in (("/other", "GET"), ("/only", "POST")):
        answer = web.get(api, path, method=method)
        assert answer.status == 404 and json.loads(answer.text) == {"message": "Not Found"}
    assert web.get("nosuchapi0", "/").status == 404


# A named stage is the first part of the path; the function sees its name and variables.
def test_stage(apis, web):
    api = apis.routed(["GET /x"], stage="prod")
    event = web.json(api, "/prod/x", by="host")
    assert event["requestContext"]["stage"] == "prod" and event["rawPath"] == "/prod/x"
    assert web.json(api, "/prod/x")["requestContext"]["stage"] == "prod"
    assert web.get(api, "/x").status == 404
    apis.client.update_stage(ApiId=api, StageName="prod", StageVariables={"colour": "red"})
    assert web.json(api, "/prod/x")["stageVariables"] == {"colour": "red"}


# Without auto-deploy a change is seen only when it is deployed.
def test_deployment(apis, web):
    api = apis.routed(["GET /one"], stage="auto")
    deployment = apis.client.create_deployment(ApiId=api)["DeploymentId"]
    apis.client.create_stage(ApiId=api, StageName="fixed", DeploymentId=deployment)
    target = apis.client.get_routes(ApiId=api)["Items"][0]["Target"]
    apis.client.create_route(ApiId=api, RouteKey="GET /two", Target=target)
    assert web.get(api, "/auto/two").status == 200
    assert web.get(api, "/fixed/one").status == 200 and web.get(api, "/fixed/two").status == 404
    apis.client.create_deployment(ApiId=api, StageName="fixed")
    assert web.get(api, "/fixed/two").status == 200


# Format 2.0 guesses: what has no statusCode is the body, as JSON; a string is a body too.
@pytest.mark.parametrize("value, status, body, kind", [
    ("{'a': 1}", 200, '{"a":1}', "application/json"),
    ("'text'", 200, "text", "application/json"),
    ("None", 200, "null", "application/json"),
    ("[1, 2]", 200, "[1,2]", "application/json"),
    ("{'statusCode': 201, 'body': 'made', 'headers': {'content-type': 'text/plain'}}", 201, "made", "text/plain"),
])
def test_answers_2(apis, web, value, status, body, kind):
    answer = web.get(apis.quick(f"def handler(event, context): return {value}"))
    assert (answer.status, answer.getheader("content-type"), answer.text.decode().replace(" ", "")) == (status, kind, body)


# Headers, cookies and status of an answer.
def test_answer_with_everything(apis, web):
    api = apis.quick("def handler(event, context): return {'statusCode': 302, 'headers': {'Location': '/there', 'x-n': 5}, "
                     "'cookies': ['a=1', 'b=2; Secure'], 'body': ''}")
    answer = web.get(api)
    assert answer.status == 302 and answer.getheader("location") == "/there" and answer.getheader("x-n") == "5"
    assert answer.headers.get_all("set-cookie") == ["a=1", "b=2; Secure"] and answer.getheader("apigw-requestid")


# Format 1.0 takes multiValueHeaders and insists on its form.
def test_answers_1(apis, web):
    api = apis.routed(["GET /good", "GET /bad"], payload="1.0", code="""
def handler(event, context):
    if event['path'].endswith('bad'): return {'no': 'status'}
    return {'statusCode': 418, 'body': 'tea', 'multiValueHeaders': {'X-M': ['1', '2']}}""")
    answer = web.get(api, "/good")
    assert answer.status == 418 and answer.text == b"tea" and answer.headers.get_all("x-m") == ["1", "2"]
    assert web.get(api, "/bad").status == 500


# Bytes go in and out as base64.
def test_bytes(apis, web):
    api = apis.quick("""
import base64
def handler(event, context):
    assert event['isBase64Encoded']
    body = base64.b64decode(event['body'])[::-1]
    return {'statusCode': 200, 'isBase64Encoded': True, 'body': base64.b64encode(body).decode(), 'headers': {'content-type': 'image/png'}}""")
    sent = bytes(range(256))
    assert web.get(api, method="POST", body=sent, headers={"Content-Type": "application/octet-stream"}).text == sent[::-1]


# What the function does wrong is a 500 without a word about why.
@pytest.mark.parametrize("code", [
    "def handler(event, context): raise Exception('secret')",
    "syntax error",
    "import sys\ndef handler(event, context): sys.exit(1)",
    "def handler(event, context): return {'statusCode': 'x'}",
])
def test_function_errors(apis, web, code):
    answer = web.get(apis.quick(code))
    assert answer.status == 500 and json.loads(answer.text) == {"message": "Internal Server Error"}


# API Gateway needs the function's permission, as on AWS; the answer doesn't say so, it is the owner's affair.
def test_missing_permission(apis, web):
    api = apis.quick(permit=False)
    assert web.get(api).status == 500
    apis.let(apis.client.get_api(ApiId=api)["Name"], api)
    assert web.get(api).status == 200


# A permission for one route is no permission for another.
def test_permission_by_route(apis, web, functions):
    api = apis.routed(["GET /a", "GET /b"])
    function = apis.client.get_api(ApiId=api)["Name"]
    functions.client.remove_permission(FunctionName=function, StatementId="api")
    apis.let(function, api, "*/GET/a")
    assert web.get(api, "/a").status == 200 and web.get(api, "/b").status == 500


# The preflight is answered without the function; the function's own answers get the headers too.
def test_cors(apis, web):
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET", "POST"], "AllowHeaders": ["content-type"], "MaxAge": 600,
            "ExposeHeaders": ["x-n"], "AllowCredentials": True}
    api = apis.quick("def handler(event, context): return {'statusCode': 200, 'body': 'ran', 'headers': {'access-control-allow-origin': 'evil'}}",
                     CorsConfiguration=cors)
    preflight = web.get(api, method="OPTIONS", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST"})
    assert preflight.status == 204 and preflight.text == b""
    assert preflight.getheader("access-control-allow-origin") == "https://a.example" and preflight.getheader("access-control-max-age") == "600"
    assert set(preflight.getheader("access-control-allow-methods").split(",")) == {"GET", "POST"}
    answer = web.get(api, headers={"Origin": "https://a.example"})
    assert answer.text == b"ran" and answer.headers.get_all("access-control-allow-origin") == ["https://a.example"]
    assert answer.getheader("access-control-allow-credentials") == "true" and answer.getheader("access-control-expose-headers") == "x-n"
    other = web.get(api, headers={"Origin": "https://b.example"})
    assert other.getheader("access-control-allow-origin") is None


# Ten megabytes are the documented end of a body.
def test_large_bodies(apis, web):
    api = apis.quick("def handler(event, context): return len(event['body'])")
    assert web.get(api, method="POST", body=b"x" * 4_000_000, headers={"Content-Type": "text/plain"}).text == b"4000000"
    # Refused by its length alone: the client need not send it.
    connection = http.client.HTTPConnection("127.0.0.1", int(web.virga.port), timeout=20)
    connection.putrequest("POST", f"/_aws/execute-api/{api}/")
    connection.putheader("Content-Length", "10500000")
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


# Changing a function's code changes what the API answers; deleting the API ends it.
def test_life_of_an_api(apis, web, name):
    api = apis.quick("def handler(event, context): return 'one'")
    assert web.get(api).text == b"one"
    function = apis.client.get_api(ApiId=api)["Name"]
    apis.functions.client.update_function_code(FunctionName=function, ZipFile=zipped({"index.py": "def handler(event, context): return 'two'"}))
    assert web.get(api).text == b"two"
    apis.client.update_api(ApiId=api, Name=name, Description="d")
    assert apis.client.get_api(ApiId=api)["Name"] == name
    apis.client.update_api(ApiId=api, DisableExecuteApiEndpoint=True)
    assert web.get(api).status == 404
    apis.client.delete_api(ApiId=api)
    apis.made.remove(api)
    assert error_code(apis.client.get_api, ApiId=api)[0] == "NotFoundException"


def test_list_pages(apis):
    made = {apis.client.create_api(Name=f"n{n}", ProtocolType="HTTP")["ApiId"] for n in range(4)}
    apis.made += made
    seen = []
    for page in apis.client.get_paginator("get_apis").paginate(PaginationConfig={"PageSize": 2}):
        assert len(page["Items"]) <= 2
        seen += [item["ApiId"] for item in page["Items"]]
    assert made <= set(seen) and len(seen) == len(set(seen))


def test_tags(apis):
    api = apis.client.create_api(Name="n", ProtocolType="HTTP", Tags={"a": "1"})["ApiId"]
    apis.made.append(api)
    arn = f"arn:aws:apigateway:us-east-1::/apis/{api}"
    apis.client.tag_resource(ResourceArn=arn, Tags={"b": "2"})
    apis.client.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert apis.client.get_tags(ResourceArn=arn)["Tags"] == {"b": "2"} == apis.client.get_api(ApiId=api)["Tags"]


# What isn't served is refused by name.
def test_options_that_are_not_served(apis, name):
    code, message = error_code(apis.client.create_api, Name=name, ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action")
    assert code == "BadRequestException" and "WEBSOCKET" in message
    api = apis.quick()
    code, message = error_code(apis.client.create_integration, ApiId=api, IntegrationType="HTTP_PROXY", IntegrationUri="https://example.com",
                               PayloadFormatVersion="1.0", IntegrationMethod="GET")
    assert code == "BadRequestException" and "HTTP_PROXY" in message
    code, message = error_code(apis.client.create_integration, ApiId=api, IntegrationType="AWS_PROXY", IntegrationSubtype="SQS-SendMessage",
                               PayloadFormatVersion="1.0", CredentialsArn="arn:aws:iam::000000000000:role/r")
    assert code == "BadRequestException" and "SQS-SendMessage" in message
    _, message = error_code(apis.client.create_authorizer, ApiId=api, AuthorizerType="JWT", Name="j", IdentitySource=["$request.header.Authorization"])
    assert "CreateAuthorizer" in message


# Mistakes that AWS refuses.
def test_mistakes(apis):
    api = apis.routed(["GET /a"])
    client = apis.client
    assert error_code(client.create_route, ApiId=api, RouteKey="GET /a")[0] == "ConflictException"
    assert error_code(client.create_route, ApiId=api, RouteKey="FETCH /b")[0] == "BadRequestException"
    assert error_code(client.create_route, ApiId=api, RouteKey="GET /{x+}/y")[0] == "BadRequestException"
    assert error_code(client.create_stage, ApiId=api, StageName="$default")[0] == "ConflictException"
    integration = client.get_integrations(ApiId=api)["Items"][0]["IntegrationId"]
    assert error_code(client.delete_integration, ApiId=api, IntegrationId=integration)[0] == "ConflictException"
    assert error_code(client.get_route, ApiId=api, RouteId="nothing")[0] == "NotFoundException"
