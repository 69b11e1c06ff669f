"""Start, stop, size."""

import statistics
import time

import cloud


def measure(settings, table):
    ready, stopped, resident, whole, again = [], [], [], [], []
    for i in range(3 if settings.quick else 11):
        virga = cloud.Virga(settings).start()
        ready.append(virga.ready_ms)
        if i < 3:
            time.sleep(1)
            processes = cloud.tree(virga.process.pid)
            resident.append(cloud.resident_kb(virga.process.pid) / 1000)
            whole.append(sum(map(cloud.proportional_kb, processes)) / 1000)
        stopped.append(virga.stop(remove=False))
        virga.start()
        again.append(virga.ready_ms)
        virga.stop()
    table.most("ready on an empty data folder", statistics.median(ready), 25, "ms",
               f"from exec to an HTTP answer, median of {len(ready)}, best {min(ready):.1f}")
    table.most("idle memory (RSS)", statistics.median(resident), 20, "MB",
               f"of virga; {statistics.median(whole):.1f} MB with its launcher, shared pages once")
    binary = settings.build / "virga"
    table.most("one binary", binary.stat().st_size / 1e6, 30, "MB", "build/release/virga")
    table.note("ready on a folder with data", statistics.median(again), "ms")
    table.note("stopped when idle", statistics.median(stopped), "ms")
