import json

import pytest

from s3_helpers import code_of, status_of


@pytest.fixture
def user(virga, name):
    """A client of a user with one inline policy."""
    iam = virga.client("iam")

    def make(*statements):
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": list(statements)}))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return virga.client("s3", access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])

    return make


def allow(action, resource, **condition):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **({"Condition": condition} if condition else {})}


# The actions are not the operations' names: each is one a policy that works on AWS would name.
def test_reading_below_a_prefix(s3, bucket, user):
    s3.put_object(Bucket=bucket, Key="mine/k", Body=b"x")
    s3.put_object(Bucket=bucket, Key="other/k", Body=b"x")
    arn = f"arn:aws:s3:::{bucket}"
    reader = user(allow("s3:GetObject", f"{arn}/mine/*"), allow("s3:ListBucket", arn, StringLike={"s3:prefix": "mine/*"}))
    assert reader.get_object(Bucket=bucket, Key="mine/k")["Body"].read() == b"x"
    assert reader.head_object(Bucket=bucket, Key="mine/k")["ContentLength"] == 1
    assert [o["Key"] for o in reader.list_objects_v2(Bucket=bucket, Prefix="mine/")["Contents"]] == ["mine/k"]
    assert code_of(lambda: reader.list_objects_v2(Bucket=bucket)) == "AccessDenied"
    assert code_of(lambda: reader.get_object(Bucket=bucket, Key="other/k")) == "AccessDenied"
    assert code_of(lambda: reader.put_object(Bucket=bucket, Key="mine/k", Body=b"y")) == "AccessDenied"
    # Who may not list the whole bucket does not learn that a key is missing.
    assert code_of(lambda: reader.get_object(Bucket=bucket, Key="mine/missing")) == "AccessDenied"
    assert status_of(lambda: reader.head_object(Bucket=bucket, Key="mine/missing")) == 403
    assert code_of(lambda: s3.get_object(Bucket=bucket, Key="mine/missing")) == "NoSuchKey"


def test_writing(s3, bucket, user):
    arn = f"arn:aws:s3:::{bucket}"
    s3.put_object(Bucket=bucket, Key="secret", Body=b"x")
    writer = user(allow(["s3:PutObject", "s3:DeleteObject"], f"{arn}/w/*"), allow("s3:AbortMultipartUpload", f"{arn}/w/*"))
    writer.put_object(Bucket=bucket, Key="w/k", Body=b"x")
    upload = writer.create_multipart_upload(Bucket=bucket, Key="w/m")["UploadId"]
    writer.upload_part(Bucket=bucket, Key="w/m", UploadId=upload, PartNumber=1, Body=b"x")
    assert code_of(lambda: writer.list_parts(Bucket=bucket, Key="w/m", UploadId=upload)) == "AccessDenied"
    writer.abort_multipart_upload(Bucket=bucket, Key="w/m", UploadId=upload)
    # A copy reads its source.
    assert code_of(lambda: writer.copy_object(Bucket=bucket, Key="w/c", CopySource=f"{bucket}/secret")) == "AccessDenied"
    # Tags need a permission of their own.
    assert code_of(lambda: writer.put_object(Bucket=bucket, Key="w/k", Body=b"x", Tagging="a=1")) == "AccessDenied"
    # Each key of a batch is asked about alone.
    gone = writer.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "w/k"}, {"Key": "secret"}]})
    assert [d["Key"] for d in gone["Deleted"]] == ["w/k"]
    assert [(e["Key"], e["Code"]) for e in gone["Errors"]] == [("secret", "AccessDenied")]
    assert s3.head_object(Bucket=bucket, Key="secret")


def test_a_bucket_policy_denies_even_so(s3, bucket, user):
    arn = f"arn:aws:s3:::{bucket}"
    everything = user(allow("s3:*", "*"))
    everything.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": f"{arn}/*"}]}))
    assert code_of(lambda: everything.delete_object(Bucket=bucket, Key="k")) == "AccessDenied"
    assert everything.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_what_comes_from_this_machine_is_secure(s3, bucket, user):
    arn = f"arn:aws:s3:::{bucket}"
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [arn, f"{arn}/*"],
         "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}))
    everything = user(allow("s3:*", "*"))
    everything.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert everything.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
