import hashlib
import os

import boto3.s3.transfer

from s3_helpers import code_of

MIB = 1 << 20


def parts_of(etags):
    return {"Parts": [{"PartNumber": n, "ETag": e} for n, e in etags]}


def test_a_whole_upload(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", Metadata={"a": "1"}, ContentType="text/plain")["UploadId"]
    contents = {1: os.urandom(5 * MIB), 3: os.urandom(5 * MIB + 17), 10: b"end"}
    ids = dict(Bucket=bucket, Key="k", UploadId=upload)
    etags = [(n, s3.upload_part(**ids, PartNumber=n, Body=c)["ETag"]) for n, c in contents.items()]
    assert [p["PartNumber"] for p in s3.list_parts(**ids)["Parts"]] == [1, 3, 10]
    assert s3.list_multipart_uploads(Bucket=bucket)["Uploads"][0]["UploadId"] == upload
    assert code_of(lambda: s3.complete_multipart_upload(**ids, MultipartUpload=parts_of(reversed(etags)))) == "InvalidPartOrder"
    assert code_of(lambda: s3.complete_multipart_upload(**ids, MultipartUpload=parts_of([(2, etags[0][1])]))) == "InvalidPart"
    done = s3.complete_multipart_upload(**ids, MultipartUpload=parts_of(etags))
    digests = b"".join(hashlib.md5(c).digest() for c in contents.values())
    assert done["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"".join(contents.values()) and got["Metadata"] == {"a": "1"}
    part = s3.get_object(Bucket=bucket, Key="k", PartNumber=2)
    assert part["Body"].read() == contents[3] and part["PartsCount"] == 3
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    assert code_of(lambda: s3.upload_part(**ids, PartNumber=1, Body=b"x")) == "NoSuchUpload"


def test_too_small(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    ids = dict(Bucket=bucket, Key="k", UploadId=upload)
    etags = [(n, s3.upload_part(**ids, PartNumber=n, Body=b"x")["ETag"]) for n in (1, 2)]
    assert code_of(lambda: s3.complete_multipart_upload(**ids, MultipartUpload=parts_of(etags))) == "EntityTooSmall"
    s3.abort_multipart_upload(**ids)
    assert code_of(lambda: s3.abort_multipart_upload(**ids)) == "NoSuchUpload"


def test_part_copy(s3, bucket):
    s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    ids = dict(Bucket=bucket, Key="k", UploadId=upload)
    part = s3.upload_part_copy(**ids, PartNumber=1, CopySource=f"{bucket}/source", CopySourceRange="bytes=3-5")
    s3.complete_multipart_upload(**ids, MultipartUpload=parts_of([(1, part["CopyPartResult"]["ETag"])]))
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"345"


# What most programs use: boto3's own transfers, parts in parallel, checksums in trailers.
def test_transfer(s3, bucket, tmp_path):
    content = os.urandom(20 * MIB + 5)
    (tmp_path / "in").write_bytes(content)
    config = boto3.s3.transfer.TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
    s3.upload_file(str(tmp_path / "in"), bucket, "k", Config=config, ExtraArgs={"ChecksumAlgorithm": "CRC32"})
    s3.download_file(bucket, "k", str(tmp_path / "out"), Config=config)
    assert (tmp_path / "out").read_bytes() == content
    s3.copy({"Bucket": bucket, "Key": "k"}, bucket, "copy", Config=config)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == content
