"""Calls of functions: the first, when nothing runs for it, and warm ones against the bare channel."""

import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

import cloud

REFILL = 0.2  # between first calls, so that a prepared sandbox waits for each
CORE = 0


def measure(settings, table):
    with cloud.Virga(settings) as virga:
        cold(settings, table, virga)
    with cloud.Virga(settings) as virga:
        snapshots(settings, table, virga)
    on_two_cores(settings, table)
    warm(settings, table)


def cold(settings, table, virga):
    connection = virga.connect()
    cloud.make_role(virga, connection)
    for of, runtime, code, promised in (
            ("Python function", "python3.12", cloud.package("python3.12"), 2),
            ("Node function", "nodejs20.x", cloud.package("nodejs20.x"), 3),
            ("static program", cloud.STATIC, cloud.static_program(settings), 2),
            ("static C++ program with glibc", cloud.STATIC, cloud.static_cpp_program(), None)):
        for way, took in first_times(settings, virga, connection, runtime, code).items():
            median = statistics.median(took)
            detail = f"median of {len(took)} functions, best {took[0]:.2f}, p90 {took[int(len(took) * 0.9)]:.2f}"
            if promised:
                table.most(f"first call of a {of}, {way}", median, promised, "ms", detail)
            else:
                table.note(f"first call of a {of}, {way}", median, "ms", detail)


def first_times(settings, virga, connection, runtime, code):
    """Sorted milliseconds of first calls of functions that are the same, by either way."""
    count = 5 if settings.quick else 31
    by_invoke, by_api = [f"first-{i}" for i in range(count)], [f"first-api-{i}" for i in range(count)]
    for name in by_invoke + by_api:
        cloud.create_function(virga, connection, name, runtime, code)
    apis = [cloud.create_api(virga, connection, name) for name in by_api]
    time.sleep(2)
    took = {"Invoke": [], "HTTP API": []}
    for name, request in zip(by_invoke, apis):
        for way, bytes_of in (("Invoke", cloud.invocation(virga, name)), ("HTTP API", request)):
            time.sleep(REFILL)
            took[way].append(connection.timed(bytes_of) / 1000)
    for name in by_invoke + by_api:
        connection.ask(virga.request("DELETE", f"/2015-03-31/functions/{name}", "lambda"))
    return {way: sorted(times) for way, times in took.items()}


BOTO3 = """
import boto3
client = boto3.client("s3")
def handler(event, context): return event
"""


JAVA = """
package example;
import java.time.ZonedDateTime;
import java.util.regex.Pattern;
public class App {
  private static final java.net.http.HttpClient CLIENT = java.net.http.HttpClient.newHttpClient();
  private static final Pattern PATTERN = Pattern.compile("(?<year>[0-9]{4})-.*");
  public String handle(Object event) { return PATTERN.matcher(ZonedDateTime.now().toString()).matches() ? "yes" : "no"; }
}
"""


def snapshots(settings, table, virga):
    """First calls of versions with SnapStart, each of a function of its own: nothing runs, a snapshot waits."""
    connection = virga.connect()
    cloud.make_role(virga, connection)
    first, without = first_calls(settings, virga, connection, 15, "python3.12", "app.handler", cloud.zipped("app.py", BOTO3))
    table.most("first call of a python function with boto3, SnapStart", statistics.median(first), 4, "ms",
               f"median of {len(first)} versions, best {first[0]:.2f}, p90 {first[int(len(first) * 0.9)]:.2f}; without "
               f"{statistics.median(without):.0f} ms")
    if not shutil.which("javac"):
        return
    with tempfile.TemporaryDirectory(dir=settings.folder) as folder:
        pathlib.Path(folder, "App.java").write_text(JAVA)
        subprocess.run(["javac", "--release", "17", "-d", folder, "App.java"], cwd=folder, check=True)
        code = cloud.zipped("example/App.class", pathlib.Path(folder, "example/App.class").read_bytes())
    first, without = first_calls(settings, virga, connection, 7, "java17", "example.App::handle", code)
    table.most("first call of a Java function with SnapStart, times one without",
               statistics.median(first) / statistics.median(without), 0.1, "",
               f"{statistics.median(first):.1f} ms and {statistics.median(without):.0f} ms, medians of {len(first)}")


def first_calls(settings, virga, connection, count, runtime, handler, code):
    """Milliseconds of the first calls of versions with SnapStart, and of their functions' $LATEST; each sorted."""
    names = [f"snap-{runtime[:4]}-{i}" for i in range(3 if settings.quick else count)]
    for name in names:
        cloud.create_function(virga, connection, name, runtime, code, memory=512, Handler=handler,
                              SnapStart={"ApplyOn": "PublishedVersions"})
        cloud.publish(virga, connection, name)
    time.sleep(2)
    took = {"1": [], None: []}
    for name in names:
        for qualifier in took:
            time.sleep(REFILL * 3)
            took[qualifier].append(connection.timed(cloud.invocation(virga, name, qualifier=qualifier)) / 1000)
    return sorted(took["1"]), sorted(took[None])


def warm(settings, table):
    """All on one core, one call after the other; the function may use the whole core, here as there."""
    count, pause, rounds = (200, 0, 1) if settings.quick else (2000, 0, 5)
    payload = '{"key": "' + "x" * 256 + '"}'
    with cloud.Virga(settings, core=CORE) as virga:
        connection = virga.connect()
        cloud.make_role(virga, connection)
        for runtime, (file, source) in cloud.RUNTIMES.items():
            language = runtime.rstrip("0123456789.x")
            cloud.create_function(virga, connection, language, runtime, cloud.package(runtime), memory=1769)
            request = cloud.invocation(virga, language, payload)
            code = tempfile.mkdtemp(dir=settings.folder)
            pathlib.Path(code, file).write_text(source)
            for _ in range(200):
                connection.timed(request)
            by_http, bare = [], []
            for _ in range(rounds):
                by_http.append(http_round(connection, request, count, pause))
                bare.append(channel_round(settings, code, runtime, count, pause, payload))
            added = statistics.median(mine - channel for mine, channel in zip(by_http, bare))
            table.most(f"a warm {language} call over the channel", added, 60, "us",
                       f"Invoke {statistics.median(by_http):.0f} us, HTTP in to HTTP out; channel alone "
                       f"{statistics.median(bare):.0f} us; one core, one call after the other")
            table.note(f"a warm {language} call, times its channel's round trip",
                       statistics.median(mine / channel for mine, channel in zip(by_http, bare)), "", "the same calls")


def on_two_cores(settings, table):
    """Client, Virga and function where the system puts them, as are the two processes of the bare round trip."""
    count, rounds = (500, 3) if settings.quick else (3000, 9)
    program = pathlib.Path(settings.folder, "socketpair")
    subprocess.run(["clang-19", "-O2", "-o", program, pathlib.Path(__file__).parent / "socketpair.c"], check=True)
    with cloud.Virga(settings) as virga:
        connection = virga.connect()
        cloud.make_role(virga, connection)
        cloud.create_function(virga, connection, "python", "python3.12", cloud.package("python3.12"), memory=1769)
        request = cloud.invocation(virga, "python", '{"key": "' + "x" * 256 + '"}')
        for _ in range(200):
            connection.timed(request)
        calls, bare = [], []
        for _ in range(rounds):
            calls.append(statistics.median(connection.timed(request) for _ in range(count)))
            bare.append(float(subprocess.run([program, str(count)], capture_output=True, text=True, check=True).stdout))
    table.most("a warm Python call on two cores, p50, times a bare socketpair round trip",
               statistics.median(call / trip for call, trip in zip(calls, bare)), 3, "",
               f"{statistics.median(calls):.0f} us, HTTP in to HTTP out, and {statistics.median(bare):.0f} us; "
               f"{rounds} rounds of {count} in turns, one call after the other")


def http_round(connection, request, count, pause):
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CORE})
    took = []
    for _ in range(count):
        took.append(connection.timed(request))
        if pause:
            time.sleep(pause / 1e6)
    os.sched_setaffinity(0, everywhere)
    return statistics.median(took)


def channel_round(settings, code, runtime, count, pause, payload):
    state = tempfile.mkdtemp(dir=settings.folder)
    said = subprocess.run(["taskset", "-c", str(CORE), str(settings.build / "sandbox_bench"), state, code, runtime, str(count),
                           str(pause), payload], capture_output=True, text=True)
    if said.returncode != 0:
        raise SystemExit(f"sandbox_bench: {said.stderr}")
    return float(said.stdout)
