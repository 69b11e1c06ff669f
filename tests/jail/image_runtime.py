"""The program of an image whose function is one of this folder: python3 image_runtime.py NAME."""
import http.client
import importlib
import json
import os
import sys

handler = importlib.import_module(sys.argv[1]).handler
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    event = api.getresponse()
    about = "/2018-06-01/runtime/invocation/" + event.headers["Lambda-Runtime-Aws-Request-Id"]
    api.request("POST", about + "/response", json.dumps(handler(json.loads(event.read()), None)))
    api.getresponse().read()
