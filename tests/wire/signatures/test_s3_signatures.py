"""Signatures as clients make them for S3: header, presigned by both versions, streamed; and what must not pass."""

import io
import json
import time
import uuid

import pytest
import requests
from botocore.exceptions import ClientError

# Keys that canonicalisation can get wrong.
KEYS = ["a b", "a+b", "é/ü", "a//b", "!*'()", "~tilde", "a%20b", "ключ", "a=b&c?d#e", "a;b,c:d@e$f"]


def refused(call, **parameters):
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return raised.value.response["Error"]["Code"]


@pytest.fixture(scope="session")
def clients(virga):
    def make(version, *key):
        return virga.client("s3", *key, s3={"addressing_style": "path"}, signature_version=version)
    return make


@pytest.fixture(scope="session")
def bucket(clients):
    bucket = "t-" + uuid.uuid4().hex[:12]
    clients("s3v4").create_bucket(Bucket=bucket)
    return bucket


@pytest.mark.parametrize("version", ["s3v4", "s3"])
@pytest.mark.parametrize("key", KEYS)
def test_odd_keys(clients, bucket, version, key):
    s3 = clients(version)
    s3.put_object(Bucket=bucket, Key=key, Body=b"x", Metadata={"k": "  two  blanks "})
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"x"
    where = {"Bucket": bucket, "Key": key}
    assert requests.get(s3.generate_presigned_url("get_object", Params=where), timeout=60).content == b"x"
    put = s3.generate_presigned_url("put_object", Params=where | {"ContentType": "text/plain"})
    assert requests.put(put, data=b"y", headers={"Content-Type": "text/plain"}, timeout=60).status_code == 200
    assert requests.put(put, data=b"y", headers={"Content-Type": "text/html"}, timeout=60).status_code == 403


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned_ends(clients, bucket, version):
    s3 = clients(version)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    where = {"Bucket": bucket, "Key": "k"}
    url = s3.generate_presigned_url("get_object", Params=where)
    assert requests.delete(url, timeout=60).status_code == 403
    assert "SignatureDoesNotMatch" in requests.get(url.replace("/k?", "/other?"), timeout=60).text
    url = s3.generate_presigned_url("get_object", Params=where, ExpiresIn=1)
    time.sleep(2.1)
    answer = requests.get(url, timeout=60)
    assert answer.status_code == 403 and "Request has expired" in answer.text


def test_streams(clients, bucket):
    s3 = clients("s3v4")
    s3.upload_fileobj(io.BytesIO(b"y" * 9_000_000), bucket, "big")
    assert s3.head_object(Bucket=bucket, Key="big")["ContentLength"] == 9_000_000


def test_wrong_keys(clients):
    assert refused(clients("s3v4", "AKIAUNKNOWN", "x").list_buckets) == "InvalidAccessKeyId"
    assert refused(clients("s3v4", "test", "x").list_buckets) == "SignatureDoesNotMatch"
    assert refused(clients("s3", "test", "x").list_buckets) == "SignatureDoesNotMatch"


# A user without policies of its own, let in by the bucket's.
def test_bucket_policy(virga, clients, bucket, name):
    iam = virga.client("iam")
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    key = iam.create_access_key(UserName=name)["AccessKey"]
    mine = clients("s3v4", key["AccessKeyId"], key["SecretAccessKey"])
    clients("s3v4").put_object(Bucket=bucket, Key="shared/k", Body=b"x")
    assert refused(mine.get_object, Bucket=bucket, Key="shared/k") == "AccessDenied"
    clients("s3v4").put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/shared/*"}]}))
    assert mine.get_object(Bucket=bucket, Key="shared/k")["Body"].read() == b"x"
    assert refused(mine.put_object, Bucket=bucket, Key="shared/k", Body=b"y") == "AccessDenied"


def test_a_link_to_an_object_opens_nothing_else(virga, clients, bucket):
    """Presigned for S3 is presigned for S3: no header turns the link into a call of another service."""
    tables = virga.client("dynamodb")
    table = "t-" + uuid.uuid4().hex[:12]
    tables.create_table(TableName=table, BillingMode="PAY_PER_REQUEST",
                        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
                        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}])
    for method in ("get_object", "put_object"):
        url = clients("s3v4").generate_presigned_url(method, Params={"Bucket": bucket, "Key": "k"})
        headers = {"X-Amz-Target": "DynamoDB_20120810.DeleteTable", "Content-Type": "application/x-amz-json-1.0",
                   "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}
        answer = requests.request(method[:3].upper(), url, headers=headers, data=json.dumps({"TableName": table}), timeout=60)
        assert answer.status_code == 400 and "Credential should be scoped to correct service" in answer.text
    assert tables.describe_table(TableName=table)["Table"]["TableStatus"] == "ACTIVE"


def test_an_old_link_keeps_to_its_bucket(clients, bucket):
    """Version 2 signs no host: another Host must not turn a key's first part into a bucket."""
    s3 = clients("s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"secret")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "uploads", "Key": bucket + "/k"})
    answer = requests.get(url.replace("/uploads/", "/"), headers={"Host": "uploads.example"}, timeout=60)
    assert answer.status_code == 403 and "SignatureDoesNotMatch" in answer.text
