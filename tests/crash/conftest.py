"""Crash tests drive the same binary as the wire tests, so they share their support."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "wire"))

import pytest  # noqa: E402

from support import finish, start_virga  # noqa: E402


@pytest.fixture
def own_virga():
    """A Virga of this test alone: to kill, restart or fill."""
    server = start_virga()
    yield server
    if server.process.poll() is None:
        finish(server)
