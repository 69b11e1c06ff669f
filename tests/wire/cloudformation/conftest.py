"""A client and a stack's name for each test."""

import pytest


@pytest.fixture
def cfn(virga):
    return virga.client("cloudformation")


@pytest.fixture
def stack(virga, cfn, name):
    """A name for one stack, deleted at the end whatever became of it."""
    yield name
    cfn.delete_stack(StackName=name)
