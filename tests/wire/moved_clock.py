"""A Virga whose wall clock a test puts forward and back; clients sign by it too, but for those that are told to stay behind."""

import contextlib
import datetime
import pathlib
import struct
import subprocess
import sys
import types

import botocore.auth

from support import eventually, finish, start_virga

HERE = pathlib.Path(__file__).resolve().parent


class Clock:
    def __init__(self, folder):
        self.path = folder / "moved"
        self.path.write_bytes(struct.pack("<q", 0))
        self.seconds = self.jumps = 0
        self.server = None

    def put(self, seconds):
        """To so many seconds from real time; returns once Virga has seen it."""
        self.set(seconds)
        self.jumps += 1
        eventually(lambda: self.server.stderr().count("the clock was moved") == self.jumps)

    def set(self, seconds):
        """The same, of a Virga that doesn't run."""
        with open(self.path, "r+b") as file:
            file.write(struct.pack("<q", seconds * 1_000_000))
        self.seconds = seconds

    def now(self):
        return datetime.datetime.utcnow() + datetime.timedelta(seconds=self.seconds)


@contextlib.contextmanager
def moved_clock(folder, monkeypatch):
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", folder / "moved_clock.so", HERE / "moved_clock.c"], check=True)
    clock = Clock(folder)
    monkeypatch.setenv("LD_PRELOAD", str(folder / "moved_clock.so"))
    monkeypatch.setenv("VIRGA_TEST_CLOCK", str(clock.path))
    clock.server = start_virga()
    signed_at = type("SignedAt", (datetime.datetime,), {"utcnow": classmethod(lambda cls: clock.now())})
    module = types.SimpleNamespace(**{**vars(datetime), "datetime": signed_at})
    for signer in {botocore.auth.AUTH_TYPE_MAPS[kind].__module__ for kind in ("v4", "s3v4")}:
        monkeypatch.setattr(sys.modules[signer], "datetime", module)
    yield clock
    if clock.server.process.poll() is None:
        finish(clock.server)
