"""What functions cost that nobody calls."""

import concurrent.futures
import threading
import time

import cloud

FUNCTIONS = 2000


def settled(pid):
    """Resident memory in KB once it no longer changes."""
    last = cloud.resident_kb(pid)
    for _ in range(20):
        time.sleep(0.5)
        now = cloud.resident_kb(pid)
        if abs(now - last) < 100:
            return now
        last = now
    return last


def measure(settings, table):
    count = 200 if settings.quick else FUNCTIONS
    with cloud.Virga(settings) as virga:
        pid = virga.process.pid
        connection = virga.connect()
        cloud.make_role(virga, connection)
        code = cloud.package("python3.12")
        # The first function of a runtime makes Virga prepare sandboxes for it, so there is one before.
        cloud.create_function(virga, connection, "first", "python3.12", code)
        time.sleep(1)
        before, processes_before = settled(pid), len(cloud.tree(pid))
        own = threading.local()

        def create(i):
            if not hasattr(own, "connection"):
                own.connection = virga.connect()
            cloud.create_function(virga, own.connection, f"idle-{i}", "python3.12", code)

        began = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(4) as workers:
            list(workers.map(create, range(count)))
        took = time.perf_counter() - began
        after, processes_after = settled(pid), len(cloud.tree(pid))
        table.most("processes of idle functions", processes_after - processes_before, 0, "",
                   f"{processes_before} before and {processes_after} after deploying {count:,}")
        table.most("memory of an idle function", max(0, after - before) * 1.024 / count, 10, "KB",
                   f"{before / 1000:.1f} MB before, {after / 1000:.1f} MB after; deployed {count / took:,.0f}/s")
        virga.stop(remove=False)
        virga.start()
        table.note(f"ready with {count:,} functions", virga.ready_ms, "ms", f"{settled(virga.process.pid) / 1000:.1f} MB")
