#!/usr/bin/env python3
"""Writes cmake/hot_functions.txt: the functions that requests run through, in the order in which they first do. The release
build lays them out so, beside each other: a request runs through most of its code once, and code that lies all over the
binary comes from far away in the processor's memory. Names that are gone are passed over, so the file may lag.

Needs valgrind and a release build."""

import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/bench"))
import cloud  # noqa: E402
import dynamodb  # noqa: E402

REQUESTS = 200


def with_names(build, folder):
    """The release binary, linked with its symbols."""
    command = subprocess.run(["ninja", "-C", build, "-t", "commands", "virga"], capture_output=True, text=True, check=True).stdout
    binary = str(pathlib.Path(folder, "virga"))
    link = command.splitlines()[-1].replace("-Wl,--strip-all", "-Wl,--strip-debug").replace(" -o virga ", f" -o {shlex.quote(binary)} ")
    subprocess.run(link, shell=True, cwd=build, check=True)
    return binary


def profile(binary, folder, name):
    """What runs when requests called `name` are answered: callgrind's files."""
    port, out = cloud.free_port(), pathlib.Path(folder, f"{name}.out")
    process = subprocess.Popen(
        ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes", "--demangle=no", "--dump-line=no",
         f"--callgrind-out-file={out}", binary, "up", "--data", f"{folder}/{name}", "--port", str(port), "--threads", "1",
         "--output", "json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdout.readline()
    dynamodb.fill(port)
    messages = {"identity": [cloud.caller_identity(port)], **dynamodb.requests(port)}[name]
    connection = cloud.Connection(port)
    for n in range(2 * REQUESTS):
        if n == REQUESTS:
            subprocess.run(["callgrind_control", "-i", "on", str(process.pid)], stdout=subprocess.DEVNULL, check=True)
        connection.ask(messages[n % len(messages)])
    subprocess.run(["callgrind_control", "-d", str(process.pid)], stdout=subprocess.DEVNULL, check=True)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    return sorted(pathlib.Path(folder).glob(f"{name}.out.1-*"))


def functions(path):
    names = {}
    for line in path.read_text().splitlines():
        # A name stands where its number is used first.
        called = re.match(r"c?fn=\((\d+)\)(?: ([^']*))?", line)
        if called and called[2]:
            names[called[1]] = called[2].strip()
        if called and line.startswith("fn="):
            yield names[called[1]]


def main():
    build = ROOT / "build" / os.environ.get("PRESET", "release")
    with tempfile.TemporaryDirectory(prefix="hot-", dir=build) as folder:
        binary = with_names(build, folder)
        ours = {line.split()[-1] for line in subprocess.run(["nm", "--defined-only", binary], capture_output=True, text=True, check=True).stdout.splitlines()}
        found = {}
        for name in ("put", "identity", "get", "query"):
            for path in profile(binary, folder, name):
                found.update(dict.fromkeys(function for function in functions(path) if function in ours))
    (ROOT / "cmake/hot_functions.txt").write_text("".join(f"{function}\n" for function in found))


if __name__ == "__main__":
    main()
