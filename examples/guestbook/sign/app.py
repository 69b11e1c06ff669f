"""POST /entries: puts one entry into the guestbook."""

import base64
import json
import os
from datetime import datetime, timezone

import boto3

BOOK = "guests"
table = boto3.resource("dynamodb").Table(os.environ["TABLE"])


def handler(event, context):
    try:
        entry = read_entry(event)
    except ValueError as error:
        return answer(400, {"error": str(error)})
    # The time orders the entries; the request's id keeps two in the same microsecond apart.
    now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
    table.put_item(Item={"book": BOOK, "at": f"{now}#{context.aws_request_id}", **entry})
    print(f"{entry['name']} signed the guestbook")
    return answer(201, {**entry, "at": now})


def read_entry(event):
    """The name and text of the request's JSON body. Raises ValueError when they are not there."""
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body).decode()
    given = json.loads(body)
    entry = {}
    for field, longest in (("name", 100), ("text", 1000)):
        value = given.get(field) if isinstance(given, dict) else None
        if not isinstance(value, str) or not value.strip() or len(value) > longest:
            raise ValueError(f"'{field}' must be text of 1 to {longest} characters")
        entry[field] = value.strip()
    return entry


def answer(status, body):
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
