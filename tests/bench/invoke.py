"""Many calls at once, and many functions one after the other."""

import re
import statistics
import subprocess
import time

import cloud
import door

CONNECTIONS, PROMISED = 16, 15_000
FUNCTIONS, WITHIN = 1000, 15
IDLE = 20  # seconds that an instance nobody calls may stay; short, so that its end can be waited for


def measure(settings, table):
    throughput(settings, table)
    streaming(settings, table)
    many_functions(settings, table)


STREAM = """
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.write('<' + process.hrtime.bigint() + '>');
  await new Promise((r) => setTimeout(r, 5));
  stream.end();
});
"""


def streaming(settings, table):
    """The function sends the time of its first write by the clock that both sides share; here is when it came."""
    count = 50 if settings.quick else 500
    with cloud.Virga(settings) as virga:
        connection = virga.connect()
        cloud.make_role(virga, connection)
        cloud.create_function(virga, connection, "stream", "nodejs20.x", cloud.zipped("app.js", STREAM), memory=1769)
        request = virga.request("POST", "/2021-11-15/functions/stream/response-streaming-invocations", "lambda", "{}")
        took = []
        for _ in range(count):
            connection.socket.sendall(request)
            received = b""
            while not (found := re.search(rb"<(\d+)>", received)):
                received += connection.socket.recv(65536)
            took.append((time.monotonic_ns() - int(found.group(1))) / 1e6)
            while not received.endswith(b"0\r\n\r\n"):
                received += connection.socket.recv(65536)
    took = sorted(took[count // 10:])
    table.most("first byte of a streamed answer after its write", statistics.median(took), 1, "ms",
               f"Node, InvokeWithResponseStream; p99 {took[int(len(took) * 0.99)]:.2f} ms")


def throughput(settings, table):
    """wrk, Virga and the functions share two cores. Rounds, because neighbours disturb single ones."""
    payload = '{"key": "' + "x" * 256 + '"}'
    with cloud.Virga(settings) as virga:
        connection = virga.connect()
        cloud.make_role(virga, connection)
        cloud.create_function(virga, connection, "echo", "python3.12", cloud.package("python3.12"), memory=1769)
        request = cloud.invocation(virga, "echo", payload)
        for _ in range(100):
            connection.timed(request)
        script = door.wrk_script(settings, "echo.lua", request)
        command = ["taskset", "-c", "0,1", "wrk", "-t1", f"-c{CONNECTIONS}", "-s", script, "--latency"]
        subprocess.run([*command, "-d2s", f"http://127.0.0.1:{virga.port}/"], capture_output=True, check=True)
        rates, middles = [], []
        for _ in range(1 if settings.quick else 5):
            said = subprocess.run([*command, "-d3s", f"http://127.0.0.1:{virga.port}/"], capture_output=True, text=True,
                                  check=True).stdout
            if "Non-2xx" in said:
                raise SystemExit(f"calls were refused: {said}")
            count, took = re.search(r"(\d+) requests in ([\d.]+)s", said).groups()
            rates.append(int(count) / float(took))
            middles.append(re.search(r"50%\s+(\S+)", said).group(1))
    rate = statistics.median(rates)
    table.least("warm calls of a Python echo", rate, PROMISED, 1, "/s",
                f"{CONNECTIONS} connections, two cores with the client and the functions; rounds from {min(rates):,.0f} to "
                f"{max(rates):,.0f}; p50 {middles[rates.index(rate)]}")


def many_functions(settings, table):
    count = 100 if settings.quick else FUNCTIONS
    with cloud.Virga(settings, options=["--function-idle", str(IDLE)]) as virga:
        pid = virga.process.pid
        connection = virga.connect()
        cloud.make_role(virga, connection)
        code = cloud.package("python3.12")
        for i in range(count):
            cloud.create_function(virga, connection, f"each-{i}", "python3.12", code)
        requests = [cloud.invocation(virga, f"each-{i}") for i in range(count)]
        time.sleep(2)
        before, processes_before = memory(pid), len(cloud.tree(pid))
        began = time.perf_counter()
        took = [connection.timed(request) / 1000 for request in requests]
        seconds = time.perf_counter() - began
        peak, processes = memory(pid), len(cloud.tree(pid))
        table.most(f"{count:,} functions called once each", seconds, WITHIN * count / FUNCTIONS, "s",
                   f"median {statistics.median(took):.1f} ms, slowest {max(took):.0f} ms; none failed; "
                   f"{processes} processes and {peak:.0f} MB at the end")
        end = time.monotonic() + IDLE + 40
        while len(cloud.tree(pid)) > processes_before and time.monotonic() < end:
            time.sleep(1)
        time.sleep(1)
        after = memory(pid)
        table.most("memory kept after their idle time", after - before, 20, "MB",
                   f"{before:.0f} MB before, {after:.0f} MB after; {processes_before} and {len(cloud.tree(pid))} processes")


def memory(pid):
    """Megabytes of Virga and everything it started, with what is shared counted once."""
    total = 0
    for each in cloud.tree(pid):
        try:
            total += cloud.proportional_kb(each)
        except OSError:
            pass
    return total / 1000
