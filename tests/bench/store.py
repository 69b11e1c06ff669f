"""Durable commits against RocksDB's own, grouped the same."""

import json
import subprocess


def measure(settings, table):
    command = [str(settings.build / "kv_bench"), settings.folder, "0.3" if settings.quick else "1"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {row["name"]: row["value"] for row in map(json.loads, said.splitlines())}
    peer = found["kv.commit_128_rocksdb"]
    table.least("durable 1 KB commits, 128 writers", found["kv.commit_128_ratio"] * peer, peer, 0.75, "/s",
                f"median of rounds beside RocksDB's; {found['kv.commit_128_group']:.0f} a sync, "
                f"p50 {found['kv.commit_128_p50'] / 1000:.2f} ms, p99 {found['kv.commit_128_p99'] / 1000:.2f} ms")
    table.note("durable 1 KB commits, 2 writers", found["kv.commit_2"], "/s", f"p50 {found['kv.commit_2_p50']:.0f} us")
