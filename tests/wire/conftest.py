"""One real Virga for the whole session, on a free port, with its own data folder; clients as users make them."""

import uuid

import pytest

from support import Functions, finish, start_virga


@pytest.fixture(scope="session")
def virga():
    server = start_virga()
    yield server
    finish(server)


@pytest.fixture
def own_virga():
    """A Virga of this test alone: to kill, restart or fill."""
    server = start_virga()
    yield server
    if server.process.poll() is None:
        finish(server)


@pytest.fixture
def name():
    """A fresh lower-case name."""
    return "t-" + uuid.uuid4().hex[:12]


@pytest.fixture
def functions(virga):
    made = Functions(virga)
    yield made
    made.finish()
