import base64
import concurrent.futures
import datetime
import hashlib
import io
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib

import boto3
import botocore.config
import pytest
import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from s3_helpers import code_of, status_of, with_headers


@pytest.mark.parametrize("key", ["plain", "dir/file.txt", "trailing/", "sp ace+plus&amp=?#%", "ünï/cødé", "//double", "a~b'(c)!*", "..dots/../x"])
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_keys_survive(virga, name, key, style):
    s3 = virga.client("s3", s3={"addressing_style": style})
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key=key, Body=b"v")
    assert s3.get_object(Bucket=name, Key=key)["Body"].read() == b"v"
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=name)["Contents"]] == [key]
    s3.copy_object(Bucket=name, Key="copy", CopySource={"Bucket": name, "Key": key})
    s3.delete_object(Bucket=name, Key=key)
    assert code_of(lambda: s3.get_object(Bucket=name, Key=key)) == "NoSuchKey"


def test_what_is_said_comes_back(s3, bucket):
    body = b"hello world"
    expires = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, ContentType="text/plain", CacheControl="no-cache",
                        ContentDisposition="inline", ContentEncoding="gzip", ContentLanguage="de", Expires=expires,
                        Metadata={"Color": "blue"}, Tagging="a=1&b=2", StorageClass="STANDARD_IA")
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    for got in (s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")):
        assert got["ContentType"] == "text/plain" and got["CacheControl"] == "no-cache"
        assert got["ContentDisposition"] == "inline" and got["ContentEncoding"] == "gzip"
        assert got["ContentLanguage"] == "de" and got["Metadata"] == {"color": "blue"}
        assert got["ContentLength"] == 11 and got["StorageClass"] == "STANDARD_IA"
        assert got["ETag"] == put["ETag"] and got["AcceptRanges"] == "bytes"
        assert "2030" in got["ExpiresString"] if "ExpiresString" in got else got["Expires"] == expires
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 2


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_checksums(s3, bucket, algorithm):
    body = b"x" * 100_000
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm=algorithm)
    field = "Checksum" + algorithm
    expected = {"CRC32": lambda: zlib.crc32(body).to_bytes(4, "big"), "SHA1": lambda: hashlib.sha1(body).digest(),
                "SHA256": lambda: hashlib.sha256(body).digest()}[algorithm]()
    assert base64.b64decode(put[field]) == expected
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got[field] == put[field]
    assert got["ResponseMetadata"]["HTTPHeaders"]["x-amz-checksum-type"] == "FULL_OBJECT"
    assert got["Body"].read() == body
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["ChecksumAlgorithm"] == [algorithm]


# The body streams, and its checksum comes after it.
def test_trailing_checksum(virga, s3, bucket):
    body = bytes(range(256)) * 4096
    put = s3.put_object(Bucket=bucket, Key="k", Body=io.BytesIO(body), ChecksumAlgorithm="CRC32")
    assert base64.b64decode(put["ChecksumCRC32"]) == zlib.crc32(body).to_bytes(4, "big")
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["ContentLength"] == len(body) and "ContentEncoding" not in head


def test_wrong_digests(s3, bucket):
    assert code_of(lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentMD5=base64.b64encode(b"0" * 16).decode())) == "BadDigest"
    assert code_of(lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentMD5="nonsense")) == "InvalidDigest"
    assert code_of(lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumCRC32="AAAAAA==")) == "BadDigest"
    assert code_of(lambda: s3.head_object(Bucket=bucket, Key="k")) == "404"


def test_ranges(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    part = s3.get_object(Bucket=bucket, Key="k", Range="bytes=2-4")
    assert part["Body"].read() == b"234" and part["ContentRange"] == "bytes 2-4/10"
    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert s3.get_object(Bucket=bucket, Key="k", Range="bytes=-3")["Body"].read() == b"789"
    assert s3.get_object(Bucket=bucket, Key="k", Range="bytes=8-100")["Body"].read() == b"89"
    assert code_of(lambda: s3.get_object(Bucket=bucket, Key="k", Range="bytes=10-")) == "InvalidRange"
    assert s3.head_object(Bucket=bucket, Key="k", Range="bytes=2-4")["ContentLength"] == 3


def test_conditions(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    etag, get = put["ETag"], lambda **more: s3.get_object(Bucket=bucket, Key="k", **more)
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    earlier = later - datetime.timedelta(days=1)
    assert status_of(lambda: get(IfMatch=etag)) == 200
    assert code_of(lambda: get(IfMatch='"no"')) == "PreconditionFailed"
    assert code_of(lambda: get(IfNoneMatch=etag)) == "304"
    assert status_of(lambda: get(IfModifiedSince=earlier)) == 200
    assert status_of(lambda: get(IfModifiedSince=later)) == 304
    assert code_of(lambda: get(IfUnmodifiedSince=earlier)) == "PreconditionFailed"
    put = lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"y")
    with with_headers(s3, "PutObject", {"If-None-Match": "*"}):
        assert code_of(put) == "PreconditionFailed"
    with with_headers(s3, "PutObject", {"If-Match": '"no"'}):
        assert code_of(put) == "PreconditionFailed"
    with with_headers(s3, "PutObject", {"If-Match": etag}):
        put()
    assert get()["Body"].read() == b"y"


# Signature Version 2 is what boto3 signs URLs with unless told otherwise.
@pytest.mark.parametrize("version", [None, "s3v4"])
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_presigned_urls(virga, bucket, version, style):
    s3 = virga.client("s3", signature_version=version, s3={"addressing_style": style})
    put = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    assert requests.put(put, data=b"signed").status_code == 200
    get = s3.generate_presigned_url("get_object", Params={
        "Bucket": bucket, "Key": "k", "ResponseContentType": "text/html", "ResponseContentDisposition": "attachment"})
    with urllib.request.urlopen(get) as answer:
        assert answer.read() == b"signed" and answer.headers["Content-Type"] == "text/html"
        assert answer.headers["Content-Disposition"] == "attachment"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(get.replace("/k?", "/other?"))
    assert refused.value.code == 403 and b"SignatureDoesNotMatch" in refused.value.read()
    described = s3.generate_presigned_url("put_object", Params={
        "Bucket": bucket, "Key": "d", "ContentType": "text/plain", "Metadata": {"a": "1"}})
    said = {"Content-Type": "text/plain", "x-amz-meta-a": "1"}
    assert requests.put(described, data=b"x", headers=said).status_code == 200
    head = s3.head_object(Bucket=bucket, Key="d")
    assert head["ContentType"] == "text/plain" and head["Metadata"] == {"a": "1"}
    expired = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=-1 if version is None else 1)
    if version:
        time.sleep(2.1)
    assert "Request has expired" in requests.get(expired).text


# Hosts that name the bucket. Their names need not resolve for this: the request says its host itself.
@pytest.mark.parametrize("endpoint", ["localhost", "s3.localhost", "s3.us-east-1.amazonaws.com"])
@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_hosts_that_name_the_bucket(virga, bucket, endpoint, version):
    config = botocore.config.Config(signature_version=version, s3={"addressing_style": "virtual"})
    client = boto3.client("s3", endpoint_url=f"http://{endpoint}:{virga.port}", region_name="us-east-1",
                          aws_access_key_id="test", aws_secret_access_key="test", config=config)

    def send(method, operation, body=None):
        url = urllib.parse.urlsplit(client.generate_presigned_url(operation, Params={"Bucket": bucket, "Key": "a/b c"}))
        assert url.netloc == f"{bucket}.{endpoint}:{virga.port}"
        return requests.request(method, f"{virga.url}{url.path}?{url.query}", headers={"Host": url.netloc}, data=body)

    assert send("PUT", "put_object", b"x").status_code == 200
    assert send("GET", "get_object").content == b"x"
    assert virga.client("s3").get_object(Bucket=bucket, Key="a/b c")["Body"].read() == b"x"


def test_what_is_not_built_is_named(s3, bucket):
    for more, header in [({"ServerSideEncryption": "aws:kms"}, "x-amz-server-side-encryption"),
                         ({"WebsiteRedirectLocation": "/x"}, "x-amz-website-redirect-location"),
                         ({"ObjectLockLegalHoldStatus": "ON"}, "x-amz-object-lock-legal-hold")]:
        with pytest.raises(s3.exceptions.ClientError) as refused:
            s3.put_object(Bucket=bucket, Key="k", Body=b"x", **more)
        error = refused.value.response["Error"]
        assert error["Code"] == "NotImplemented" and header in error["Message"]
    assert code_of(lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")) == "AccessControlListNotSupported"
    assert code_of(lambda: s3.get_object(Bucket=bucket, Key="k", VersionId="v1")) == "NotImplemented"


def test_tags(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "1"}]
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    assert code_of(lambda: s3.get_object_tagging(Bucket=bucket, Key="no")) == "NoSuchKey"


def test_copies(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"a": "1"}, ContentType="text/plain")
    copy = s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k")
    assert copy["CopyObjectResult"]["ETag"] == s3.head_object(Bucket=bucket, Key="k")["ETag"]
    assert s3.head_object(Bucket=bucket, Key="c")["Metadata"] == {"a": "1"}
    s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k", MetadataDirective="REPLACE", Metadata={"b": "2"})
    head = s3.head_object(Bucket=bucket, Key="c")
    assert head["Metadata"] == {"b": "2"} and head["ContentType"] == "binary/octet-stream"
    assert code_of(lambda: s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k")) == "InvalidRequest"
    assert code_of(lambda: s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/no")) == "NoSuchKey"


def test_delete_many(s3, bucket):
    for i in range(3):
        s3.put_object(Bucket=bucket, Key=f"k{i}", Body=b"x")
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k0"}, {"Key": "no"}]})
    assert sorted(d["Key"] for d in gone["Deleted"]) == ["k0", "no"] and "Errors" not in gone
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Quiet": True, "Objects": [{"Key": "k1"}, {"Key": "k2", "VersionId": "v"}]})
    assert "Deleted" not in quiet and quiet["Errors"][0]["Code"] == "NotImplemented"
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k2"]


# What was acknowledged outlives SIGKILL: small content in the record, large content in a blob.
def test_kill(own_virga):
    s3 = own_virga.client("s3")
    s3.create_bucket(Bucket="bucket")
    contents = {"small": b"s", "large": b"l" * 3_000_000, "replaced": b"new"}
    s3.put_object(Bucket="bucket", Key="replaced", Body=b"o" * 100_000)
    for key, content in contents.items():
        s3.put_object(Bucket="bucket", Key=key, Body=content)
    own_virga.kill()
    own_virga.start()
    s3 = own_virga.client("s3")
    for key, content in contents.items():
        assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == content


# Writers of one key leave one of their contents whole, and its blob where readers find it.
def test_many_on_one_key(s3, bucket):
    contents = [bytes([i]) * (100_000 if i % 2 else 900) for i in range(8)]
    s3.put_object(Bucket=bucket, Key="k", Body=contents[0])

    def work(i):
        if i % 4 == 3:
            s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")
        s3.put_object(Bucket=bucket, Key="k", Body=contents[i % 8])
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() in contents

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(100)))
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() in contents


def put_in_chunks(virga, bucket, key, chunks, length=None):
    """An upload in the aws-chunked coding, unsigned with a trailer, as newer SDKs send streams: (status, body)."""
    whole = b"".join(chunks)
    checksum = base64.b64encode(zlib.crc32(whole).to_bytes(4, "big"))
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nx-amz-checksum-crc32:" + checksum + b"\r\n\r\n"
    request = AWSRequest("PUT", f"{virga.url}/{bucket}/{key}", data=body, headers={
        "Content-Encoding": "aws-chunked", "X-Amz-Trailer": "x-amz-checksum-crc32",
        **({} if length == "" else {"X-Amz-Decoded-Content-Length": length or str(len(whole))})})
    request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    S3SigV4Auth(Credentials("test", "test"), "s3", "us-east-1").add_auth(request)
    answer = requests.put(request.url, body, headers=dict(request.headers.items()))
    return answer.status_code, answer.text


# All chunks but the last have at least 8 KB.
def test_small_chunks(virga, s3, bucket):
    assert put_in_chunks(virga, bucket, "k", [b"a" * 8192, b"b" * 8192, b"c"])[0] == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"a" * 8192 + b"b" * 8192 + b"c"
    assert put_in_chunks(virga, bucket, "k", [b"small"])[0] == 200
    status, text = put_in_chunks(virga, bucket, "k", [b"a" * 8192, b"b" * 8191, b"c"])
    assert status == 403 and "<Code>InvalidChunkSizeError</Code>" in text
    assert "<Chunk>3</Chunk>" in text and "<BadChunkSize>8191</BadChunkSize>" in text
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"small"


@pytest.mark.parametrize("length", ["abc", "-1", "1.5", ""])
def test_decoded_length_is_a_number(virga, s3, bucket, length):
    status, text = put_in_chunks(virga, bucket, "k", [b"small"], length)
    assert status == 411 and "<Code>MissingContentLength</Code>" in text
    assert code_of(lambda: s3.get_object(Bucket=bucket, Key="k")) == "NoSuchKey"
