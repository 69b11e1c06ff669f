"""After kill -9 and the next start and stop, nothing of the functions that ran is left: no process, mount or cgroup."""

import os
import pathlib
import subprocess
import threading

from support import Functions, eventually


def children(pid):
    """All processes below `pid`, as (pid, start time): a number alone may be somebody else's by the time we look."""
    found, parents = [], {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(") ", 1)[1].split()
            except (OSError, IndexError):
                continue
            parents.setdefault(int(fields[1]), []).append((int(entry.name), fields[19]))
    waiting = [pid]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += [child for child, _ in below]
    return found


def alive(process):
    try:
        fields = pathlib.Path(f"/proc/{process[0]}/stat").read_text().rsplit(") ", 1)[1].split()
        return fields[19] == process[1] and fields[0] != "Z"
    except OSError:
        return False


def cgroups(processes):
    """The control groups that these processes are in and that are Virga's."""
    out = set()
    for pid, _ in processes:
        try:
            lines = pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            _, controller, path = line.split(":", 2)
            at = path.find("/virga.")
            if at >= 0:
                out.add(path[at + 1:].split("/")[0])
    return out


def folders_named(names):
    if not names:
        return []
    done = subprocess.run(["find", "/sys/fs/cgroup", "-maxdepth", "6", "-type", "d", "-name", "virga.*"], capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if os.path.basename(line) in names]


def mounts_below(folder):
    return [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if f" {folder}" in line]


def test_nothing_is_left(own_virga):
    functions = Functions(own_virga)
    python = functions.make("import time, subprocess\nsubprocess.Popen(['sleep', '1000'])\ndef handler(event, context): time.sleep(60)", Timeout=100)
    node = functions.make("exports.handler = async () => new Promise((r) => setTimeout(r, 60000));", runtime="nodejs20.x", Timeout=100)
    idle = functions.make("def handler(event, context): return 1")
    assert functions.call(idle) == 1

    def call(name):
        try:
            own_virga.client("lambda").invoke(FunctionName=name)
        except Exception:  # noqa: BLE001: Virga is killed under it
            pass
    clients = [threading.Thread(target=call, args=(name,)) for name in (python, node)]
    for client in clients:
        client.start()

    def command_lines():
        return " ".join(pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace") for pid, _ in children(own_virga.process.pid) if os.path.exists(f"/proc/{pid}"))
    eventually(lambda: "sleep" in command_lines() and "bootstrap.js" in command_lines())
    processes = children(own_virga.process.pid)
    groups = cgroups(processes)
    assert len(processes) >= 4
    own_virga.kill()
    for client in clients:
        client.join()
    own_virga.start()
    eventually(lambda: not any(alive(process) for process in processes))
    later = children(own_virga.process.pid)
    groups |= cgroups(later)
    assert own_virga.stop() == 0
    eventually(lambda: not any(alive(process) for process in later))
    assert mounts_below(own_virga.data) == []
    assert folders_named(groups) == []
    left = [p for p in pathlib.Path(own_virga.data, "data", "run").rglob("*") if p.is_socket() or p.name == "root" and any(p.iterdir())]
    assert left == []
