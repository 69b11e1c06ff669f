"""A full disk: writes fail with errors, reads go on, nothing acknowledged is lost, and it works again with space."""

import os
import pathlib
import subprocess
import tempfile

import botocore.exceptions
import pytest

from support import Virga, eventually


@pytest.fixture
def small_disk():
    """A file system of 256 MB."""
    folder = tempfile.mkdtemp(prefix="virga-disk-")
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", folder], capture_output=True).returncode != 0:
        os.rmdir(folder)
        pytest.skip("needs the right to mount a small file system")
    yield pathlib.Path(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)
    os.rmdir(folder)


@pytest.fixture
def server(small_disk):
    started = Virga(str(small_disk), []).start()
    yield started
    if started.process.poll() is None:
        started.kill()


def fill(path):
    """Takes all the space there is."""
    with open(path, "wb", buffering=0) as out:
        for size in (1 << 20, 4096, 1):
            try:
                while out.write(b"x" * size) == size:
                    pass
            except OSError:
                pass


def test_full_disk(server, small_disk):
    table, objects = server.client("dynamodb"), server.client("s3")
    table.create_table(TableName="table", BillingMode="PAY_PER_REQUEST", AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                       KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}])
    objects.create_bucket(Bucket="bucket")
    kept = []

    def put(n):
        table.put_item(TableName="table", Item={"id": {"S": str(n)}, "padding": {"S": "x" * 20_000}})
        kept.append(n)

    def store(n):
        objects.put_object(Bucket="bucket", Key=str(n), Body=b"x" * 200_000)
        kept.append(-n)

    def big(n):
        objects.put_object(Bucket="bucket", Key=f"big-{n}", Body=bytes(4_000_000))

    def written(function, numbers):
        """How many were written before the first refusal, which must be an error of ours and not a broken connection."""
        for done, n in enumerate(numbers):
            try:
                function(n)
            except botocore.exceptions.ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500, error
                return done
        return len(numbers)

    def intact():
        items = {int(i["id"]["S"]) for page in table.get_paginator("scan").paginate(TableName="table") for i in page["Items"]}
        keys = {-int(o["Key"]) for o in objects.list_objects_v2(Bucket="bucket").get("Contents", []) if o["Key"].isdigit()}
        assert set(kept) <= items | keys
        for key in keys:
            assert len(objects.get_object(Bucket="bucket", Key=str(-key))["Body"].read()) == 200_000

    # Deleted objects take their space until no reader can be on the way to them, a minute later: this gives some sooner.
    (small_disk / "margin").write_bytes(bytes(8 << 20))
    assert written(put, range(1, 20)) == 19 and written(store, range(1, 10)) == 9
    # Objects fill the disk up to what is kept for the store: so what fills it can be deleted.
    written(big, range(500))
    assert written(big, [500]) == 0
    intact()
    for n in range(500):
        objects.delete_object(Bucket="bucket", Key=f"big-{n}")
    os.remove(small_disk / "margin")
    assert eventually(lambda: written(store, [101]))
    # Somebody else fills it to the last byte.
    fill(small_disk / "filler")
    for _ in range(20):
        assert written(put, [1000]) == 0 and written(store, [1000]) == 0
    intact()
    os.remove(small_disk / "filler")

    def writes_again():
        return written(put, [10_000]) and written(store, [10_000])
    eventually(writes_again, 30)
    intact()
    server.kill()
    server.start()
    intact()
    put(10_001)
    assert server.stop() == 0
