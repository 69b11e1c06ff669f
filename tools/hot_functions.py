#!/usr/bin/env python3
"""Writes cmake/hot_functions.txt: the functions that requests and functions' first calls run through. The linker lays them
out beside each other, and app/code_pages.h moves them into a large page: a request runs through most of its code once, and
code that lies all over the binary comes from far away in the processor's memory. Their order among themselves makes no
difference that could be measured: the same functions in the order of a first call take as long.
Names that are gone are passed over, so the file may lag. `virga_hot_code_ends` stands before functions of libraries that
come with a whole file of others.

Needs valgrind and a release build."""

import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import types

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/bench"))
import cloud  # noqa: E402
import dynamodb  # noqa: E402

REQUESTS = 200
FIRST_CALLS = 6
MOST_FILE = 16_000  # bytes of a library's file


def with_names(build, folder):
    """The release binary, linked with its symbols, and what the linker put where."""
    command = subprocess.run(["ninja", "-C", build, "-t", "commands", "virga"], capture_output=True, text=True, check=True).stdout
    binary = str(pathlib.Path(folder, "virga"))
    link = command.splitlines()[-1].replace("-Wl,--strip-all", f"-Wl,--strip-debug -Wl,--no-demangle -Wl,-Map={shlex.quote(binary)}.map")
    subprocess.run(link.replace(" -o virga ", f" -o {shlex.quote(binary)} "), shell=True, cwd=build, check=True)
    # The launcher is started as the running program, which is valgrind: a name of the same length in this folder.
    image = pathlib.Path(binary).read_bytes()
    own, other = b"/proc/self/exe\0", b"." + b"/" * 8 + b"virga\0"
    assert image.count(own) == 1 and len(own) == len(other)
    pathlib.Path(binary).write_bytes(image.replace(own, other))
    return binary


def requests(virga, name, watch):
    """Answers of one kind, once all is warm."""
    dynamodb.fill(virga.port)
    messages = {"identity": [cloud.caller_identity(virga.port)], **dynamodb.requests(virga.port)}[name]
    connection = virga.connect()
    for n in range(2 * REQUESTS):
        if n == REQUESTS:
            watch("on")
        connection.ask(messages[n % len(messages)])


def first_calls(virga, runtime, watch):
    """Of functions of a runtime, by Invoke and by an API; each is called once more."""
    connection = virga.connect()
    cloud.make_role(virga, connection)
    code = cloud.static_program(virga.settings) if runtime == cloud.STATIC else cloud.package(runtime)
    for n in range(FIRST_CALLS):
        cloud.create_function(virga, connection, f"function-{n}", runtime, code)
    calls = [cloud.create_api(virga, connection, f"function-{n}") if n % 2 else cloud.invocation(virga, f"function-{n}") for n in range(FIRST_CALLS)]
    for n, call in enumerate(calls):
        time.sleep(4)  # nothing tells when sandboxes are prepared, and under valgrind that takes seconds
        if n == 1:
            watch("on")
        connection.ask(call)
        connection.ask(call)


def profile(binary, folder, name, run):
    """What runs meanwhile: callgrind's files."""
    out = pathlib.Path(folder, f"{name}.out")
    virga = cloud.Virga(types.SimpleNamespace(build=pathlib.Path(binary).parent, folder=folder))
    virga.process = process = subprocess.Popen(
        ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes", "--demangle=no", "--dump-line=no",
         f"--callgrind-out-file={out}", binary, "up", "--data", virga.data, "--port", str(virga.port), "--threads", "1",
         "--output", "json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder)
    process.stdout.readline()
    run(virga, name, lambda state: subprocess.run(["callgrind_control", "-i", state, str(process.pid)], stdout=subprocess.DEVNULL, check=True))
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


def of_large_files(linked):
    """Functions that come with all others of their file, by what the linker tells."""
    names, large = set(), False
    for line in pathlib.Path(linked).read_text().splitlines():
        part = re.match(r"\s*[0-9a-f]+\s+[0-9a-f]+\s+([0-9a-f]+)\s+\d+\s+(\S.*)$", line)
        if part and re.search(r":\(\.[^)]*\)$", part[2]):
            large = part[2].endswith(":(.text)") and int(part[1], 16) > MOST_FILE
        elif part and large:
            names.add(part[2])
    return names


def main():
    build = ROOT / "build" / os.environ.get("PRESET", "release")
    with tempfile.TemporaryDirectory(prefix="hot-", dir=build) as folder:
        binary = with_names(build, folder)
        ours = {line.split()[-1] for line in subprocess.run(["nm", "--defined-only", binary], capture_output=True, text=True, check=True).stdout.splitlines()}
        found = {}
        for name, run in [(name, requests) for name in ("put", "identity", "get", "query")] + [(name, first_calls) for name in (cloud.STATIC, *cloud.RUNTIMES)]:
            for path in profile(binary, folder, name, run):
                found.update(dict.fromkeys(function for function in functions(path) if function in ours))
        last = of_large_files(f"{binary}.map")
    ordered = [name for name in found if name not in last] + ["virga_hot_code_ends"] + [name for name in found if name in last]
    (ROOT / "cmake/hot_functions.txt").write_text("".join(f"{function}\n" for function in ordered))


if __name__ == "__main__":
    main()
