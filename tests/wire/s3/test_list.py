import concurrent.futures

from s3_helpers import code_of


def fill(s3, bucket, keys):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b"x"), keys))


def shown(page):
    return [o["Key"] for o in page.get("Contents", [])], [p["Prefix"] for p in page.get("CommonPrefixes", [])]


def test_prefix_and_delimiter(s3, bucket):
    fill(s3, bucket, ["a", "b/1", "b/2", "b/c/3", "d"])
    assert shown(s3.list_objects_v2(Bucket=bucket, Delimiter="/")) == (["a", "d"], ["b/"])
    assert shown(s3.list_objects_v2(Bucket=bucket, Delimiter="/", Prefix="b/")) == (["b/1", "b/2"], ["b/c/"])
    assert shown(s3.list_objects_v2(Bucket=bucket, StartAfter="b/2")) == (["b/c/3", "d"], [])
    assert shown(s3.list_objects(Bucket=bucket, Marker="b/", Delimiter="/")) == (["d"], [])
    empty = s3.list_objects_v2(Bucket=bucket, Prefix="zzz")
    assert empty["KeyCount"] == 0 and not empty["IsTruncated"] and "Contents" not in empty


def test_pages(s3, bucket):
    keys = sorted(f"{i % 7}/{i:03}" for i in range(40))
    fill(s3, bucket, keys)
    for version in ("list_objects", "list_objects_v2"):
        pages = list(s3.get_paginator(version).paginate(Bucket=bucket, PaginationConfig={"PageSize": 9}))
        assert [k for page in pages for k in shown(page)[0]] == keys and len(pages) == 5
        pages = list(s3.get_paginator(version).paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 3}))
        assert [p for page in pages for p in shown(page)[1]] == [f"{i}/" for i in range(7)] and len(pages) == 3
    assert code_of(lambda: s3.list_objects_v2(Bucket=bucket, ContinuationToken="forged")) == "InvalidArgument"
    assert code_of(lambda: s3.list_objects_v2(Bucket=bucket, MaxKeys=-1)) == "InvalidArgument"


# Keys come in the order of their bytes, and through XML unharmed.
def test_order_and_encoding(s3, bucket):
    keys = ["a b+c", "a&<>\"'", "a\u0001", "ä", "z", "\U0001f600", "\uffee"]
    fill(s3, bucket, keys)
    assert shown(s3.list_objects_v2(Bucket=bucket))[0] == sorted(keys, key=lambda k: k.encode())


def test_owner(s3, bucket):
    fill(s3, bucket, ["a"])
    assert "Owner" not in s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert len(s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"][0]["Owner"]["ID"]) == 64
    assert len(s3.list_objects(Bucket=bucket)["Contents"][0]["Owner"]["ID"]) == 64
