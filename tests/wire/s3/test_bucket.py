import json
import re
import urllib.error
import urllib.parse
import urllib.request

import botocore.exceptions
import pytest

from s3_helpers import code_of


# The rules of where a bucket is made differ by endpoint; clients rely on each.
def test_location_constraint(virga, s3, name):
    london = virga.client("s3", region="eu-west-2")
    assert code_of(lambda: london.create_bucket(Bucket=name)) == "IllegalLocationConstraintException"
    assert code_of(lambda: london.create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})) == "IllegalLocationConstraintException"
    made = london.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    assert made["Location"].endswith("/" + name)
    assert london.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-west-2"
    assert code_of(lambda: london.create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})) == "BucketAlreadyOwnedByYou"
    assert code_of(lambda: s3.create_bucket(
        Bucket=name + "x", CreateBucketConfiguration={"LocationConstraint": "us-east-1"})) == "InvalidLocationConstraint"


# boto3 finds the right region by itself, with a body and without.
def test_client_of_another_region_is_redirected(virga, s3, name):
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket=name, Key="k", Body=b"hello")
    other = virga.client("s3", region="us-west-2")
    assert other.head_object(Bucket=name, Key="k")["ContentLength"] == 5
    assert other.get_object(Bucket=name, Key="k")["Body"].read() == b"hello"


def test_create_again_in_the_first_region(s3, bucket):
    s3.create_bucket(Bucket=bucket)
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None


def test_head_says_the_region_and_nothing_else(s3, bucket):
    head = s3.head_bucket(Bucket=bucket)
    assert head["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "us-east-1"
    assert code_of(lambda: s3.head_bucket(Bucket=bucket + "-no")) == "404"


def test_errors_name_the_bucket(s3, bucket):
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        s3.list_objects_v2(Bucket=bucket + "-no")
    error = refused.value.response["Error"]
    assert error["Code"] == "NoSuchBucket" and error["BucketName"] == bucket + "-no"


def test_names(virga):
    # boto3 itself refuses most bad names before sending.
    s3 = virga.client("s3")
    for bad in ["Upper-Case", "ab", "two..dots", "192.168.1.1"]:
        assert code_of(lambda: s3.create_bucket(Bucket=bad)) in ("InvalidBucketName", "ParamValidation"), bad


def list_page(virga, **query):
    """The names and the token of a page; Debian's boto3 doesn't know the parameters."""
    s3, token = virga.client("s3"), []
    s3.meta.events.register("before-call.s3.ListBuckets", lambda params, **_: params.update(
        url=params["url"] + "?" + urllib.parse.urlencode(query)))
    s3.meta.events.register("after-call.s3.ListBuckets", lambda http_response, **_: token.extend(
        re.findall("<ContinuationToken>(.*?)<", http_response.text)))
    return [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]], token


def test_list_pages(virga, s3, name):
    for i in range(3):
        s3.create_bucket(Bucket=f"{name}-{i}")
    page = {"prefix": name, "max-buckets": 2}
    names, token = list_page(virga, **page)
    assert names == [f"{name}-0", f"{name}-1"] and len(token) == 1
    assert list_page(virga, **page, **{"continuation-token": token[0]}) == ([f"{name}-2"], [])
    assert len(s3.list_buckets()["Owner"]["ID"]) == 64


def test_delete_only_when_empty(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert code_of(lambda: s3.delete_bucket(Bucket=bucket)) == "BucketNotEmpty"
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    assert code_of(lambda: s3.delete_bucket(Bucket=bucket)) == "NoSuchBucket"


def test_policy_opens_a_bucket(virga, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"open")
    url = f"{virga.url}/{bucket}/k"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url)
    assert refused.value.code == 403 and b"<Code>AccessDenied</Code>" in refused.value.read()
    assert code_of(lambda: s3.get_bucket_policy(Bucket=bucket)) == "NoSuchBucketPolicy"
    policy = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}]})
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]) == json.loads(policy)
    assert urllib.request.urlopen(url).read() == b"open"
    assert code_of(lambda: s3.put_bucket_policy(Bucket=bucket, Policy="{")) == "MalformedPolicy"
    s3.delete_bucket_policy(Bucket=bucket)
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(url)


def test_tags(s3, bucket):
    assert code_of(lambda: s3.get_bucket_tagging(Bucket=bucket)) == "NoSuchTagSet"
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "a", "Value": "1"}]
    s3.delete_bucket_tagging(Bucket=bucket)
    assert code_of(lambda: s3.get_bucket_tagging(Bucket=bucket)) == "NoSuchTagSet"
