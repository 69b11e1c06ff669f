"""SQS: messages of 1 KB sent, received and deleted over HTTP, synced, beside what the store commits in the same run."""

import json
import subprocess

import cloud

PROMISED = 15_000  # full cycles a second on two cores


def commits(settings):
    """Durable 1 KB commits a second of 128 writers."""
    said = subprocess.run([str(settings.build / "kv_bench"), settings.folder, "0.3"], capture_output=True, text=True,
                          check=True).stdout
    found = {row["name"]: row["value"] for row in map(json.loads, said.splitlines())}
    return found["kv.commit_128_ratio"] * found["kv.commit_128_rocksdb"]


def load(settings, virga, url, connections, batch):
    before = cloud.cpu_seconds(virga.process.pid)
    said = subprocess.run([str(settings.build / "sqs_bench"), str(virga.port), url, str(connections), str(batch),
                           "1" if settings.quick else "5"], capture_output=True, text=True, check=True).stdout
    found = json.loads(said)
    found["rate"] = found["cycles"] / found["seconds"]
    found["cpu_us"] = (cloud.cpu_seconds(virga.process.pid) - before) * 1e6 / max(1, found["cycles"])
    return found


def measure(settings, table):
    limit = commits(settings)
    with cloud.Virga(settings) as virga:
        connection = virga.connect()
        made = connection.ask(virga.request("POST", "/", "sqs", json.dumps({"QueueName": "bench"}), [
            ("content-type", "application/x-amz-json-1.0"), ("x-amz-target", "AmazonSQS.CreateQueue")]))
        url = json.loads(made)["QueueUrl"]
        one = load(settings, virga, url, 64, 1)
        ten = load(settings, virga, url, 32, 10)
        connection.close()
    table.add("SQS send+receive+delete of 1 KB, ten at a time, 32 connections", ten["rate"], "/s", f">= {PROMISED:,}",
              ten["rate"] / PROMISED, ten["rate"] >= PROMISED,
              f"{ten['rate'] / limit:.2f} of the store's {limit:,.0f} commits/s; p50 {ten['p50_us'] / 1000:.1f} ms, "
              f"{ten['cpu_us']:.0f} us of processor each, loader on the same cores")
    table.note("SQS send+receive+delete of 1 KB, one at a time, 64 connections", one["rate"], "/s",
               f"{one['rate'] * 3 / limit:.2f} of the store's commits; p50 {one['p50_us'] / 1000:.1f} ms, "
               f"{one['cpu_us']:.0f} us of processor each")
