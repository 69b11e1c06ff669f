"""Requests that the packaged boto3 is too old for, or that no client makes: signed and sent by hand."""

import http.client
import json
import time

import botocore.auth
import botocore.awsrequest
import botocore.credentials
from botocore.eventstream import EventStreamBuffer


class Raw:
    def __init__(self, virga):
        self.virga = virga
        self.host = virga.url.split("//")[1]

    def signed(self, method, path, body, service="lambda", host=None, keys=("test", "test"), headers=None):
        url = f"http://{host or self.host}{path}"
        request = botocore.awsrequest.AWSRequest(method=method, url=url, data=body, headers=headers or {})
        credentials = botocore.credentials.Credentials(*keys)
        botocore.auth.SigV4Auth(credentials, service, "us-east-1").add_auth(request)
        return dict(request.prepare().headers)

    def send(self, method, path, body=b"", headers=None, host=None):
        connection = http.client.HTTPConnection(self.host, timeout=30)
        connection.request(method, path, body, {**(headers or {}), "Host": host or self.host})
        return connection.getresponse()

    def stream(self, name, event, tail=False):
        """The events of an InvokeWithResponseStream, with the time each came at."""
        path = f"/2021-11-15/functions/{name}/response-streaming-invocations"
        body = json.dumps(event).encode()
        headers = self.signed("POST", path, body, headers={"X-Amz-Log-Type": "Tail"} if tail else {})
        answer = self.send("POST", path, body, headers)
        assert answer.status == 200, answer.read()
        assert answer.getheader("content-type") == "application/vnd.amazon.eventstream"
        buffer, events = EventStreamBuffer(), []
        while chunk := answer.read1(65536):
            buffer.add_data(chunk)
            for message in buffer:
                events.append((time.monotonic(), message.headers[":event-type"], message.payload))
        return answer, events

    def api(self, method, path, value=None):
        """A signed call of Lambda's API: the status and the answer's document."""
        body = b"" if value is None else json.dumps(value).encode()
        answer = self.send(method, path, body, self.signed(method, path, body))
        text = answer.read()
        return answer.status, json.loads(text) if text else None
