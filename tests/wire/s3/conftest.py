"""What the tests of S3 share: clients in both styles, and a bucket for each test."""

import pytest


@pytest.fixture
def s3(virga):
    return virga.client("s3", s3={"addressing_style": "path"})


@pytest.fixture
def bucket(s3, name):
    s3.create_bucket(Bucket=name)
    return name
