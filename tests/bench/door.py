"""The HTTP door against nginx on the same core: requests for each second of that core's time, in turns."""

import pathlib
import re
import statistics
import subprocess
import time

import cloud

SERVER_CORE, CLIENT_CORE = 0, 1

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ default_type text/plain; return 200 "{body}"; }} }}
}}
"""


class Server:
    def __init__(self, name, pid, port, script=None):
        self.name, self.pid, self.port, self.script = name, pid, port, script
        self.rates, self.per_cpu = [], []

    def load(self, seconds):
        """One round of wrk: requests a second, and for each second of the server's processor time."""
        command = ["taskset", "-c", str(CLIENT_CORE), "wrk", "-t1", "-c64", f"-d{seconds}s", f"http://127.0.0.1:{self.port}/"]
        if self.script:
            command[4:4] = ["-s", self.script]
        before = cloud.cpu_seconds(self.pid)
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        used = cloud.cpu_seconds(self.pid) - before
        if "Non-2xx" in said:
            raise SystemExit(f"{self.name} refused requests: {said}")
        count, took = re.search(r"(\d+) requests in ([\d.]+)s", said).groups()
        self.rates.append(int(count) / float(took))
        self.per_cpu.append(int(count) / used)

    def describe(self):
        return f"{statistics.median(self.rates):,.0f}/s, {1e6 / statistics.median(self.per_cpu):.1f} us"


def wrk_script(settings, name, request):
    """A wrk script that sends these bytes."""
    path = pathlib.Path(settings.folder) / name
    text = "".join(f"\\{byte:03d}" for byte in request)
    path.write_text(f'local bytes = "{text}"\nrequest = function() return bytes end\n')
    return str(path)


def start_nginx(settings, size):
    port = cloud.free_port()
    config = pathlib.Path(settings.folder) / "nginx.conf"
    config.write_text(NGINX.format(folder=settings.folder, port=port, body="x" * size))
    return port, subprocess.Popen(["taskset", "-c", str(SERVER_CORE), "/usr/sbin/nginx", "-c", str(config)])


def measure(settings, table):
    with cloud.Virga(settings, core=SERVER_CORE) as virga:
        connection = virga.connect()
        page = len(connection.get("/")[1])
        connection.close()
        nginx_port, nginx = start_nginx(settings, page)
        identity = wrk_script(settings, "identity.lua", cloud.caller_identity(virga.port))
        health = wrk_script(settings, "health.lua", b"GET /_virga/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        pid = virga.process.pid
        servers = [Server("nginx", nginx.pid, nginx_port), Server("page", pid, virga.port),
                   Server("identity", pid, virga.port, identity), Server("health", pid, virga.port, health)]
        time.sleep(0.5)
        for _ in range(2 if settings.quick else 5):
            for server in servers:
                server.load(1 if settings.quick else 2)
    nginx.terminate()
    nginx.wait()

    peer, plain, signed, health = servers
    # Neighbours in time compare: the ratio of each round, and then their median.
    for server, promise, share, what in (
            (plain, "an unsigned 1 KB answer", 0.9, f"GET / of virga up, {page} bytes"),
            (signed, "a signed GetCallerIdentity", 0.4, "virga up")):
        ratio = statistics.median(mine / theirs for mine, theirs in zip(server.per_cpu, peer.per_cpu))
        rate = statistics.median(peer.per_cpu)
        table.least(promise, ratio * rate, rate, share, "/cpu s",
                    f"{what}: {server.describe()} each; nginx return 200 of that size: {peer.describe()}; same core, 64 connections")
    table.note("/_virga/health", statistics.median(health.per_cpu), "/cpu s", health.describe())
