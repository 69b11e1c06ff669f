"""Reaching other processes: the host's, the sandbox's first one, another function's."""
import os
import signal

from attempts import attempt, expect, syscall


def handler(event, context):
    results = {}
    visible = sorted(int(p) for p in os.listdir("/proc") if p.isdigit())
    attempt(results, "see the host's processes", lambda: expect(len(visible) <= 3 and max(visible) < 50, visible))
    attempt(results, "kill a process of the host", lambda: os.kill(event["host_pid"], signal.SIGKILL))
    attempt(results, "read the first process's memory", lambda: open("/proc/1/mem", "rb").read(1))
    attempt(results, "read the first process's environment", lambda: open("/proc/1/environ", "rb").read())
    attempt(results, "enter the first process's root", lambda: os.listdir("/proc/1/root/etc"))
    attempt(results, "read the first process's descriptors", lambda: os.listdir("/proc/1/fd"))
    os.kill(1, signal.SIGKILL)  # the kernel ignores it: whoever reads the answer knows
    attempt(results, "trace the first process", lambda: syscall(101, 16, 1, 0, 0))

    def trace_child():
        child = os.fork()
        if child == 0:
            signal.pause()
        try:
            return syscall(101, 16, child, 0, 0)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    attempt(results, "trace a child", trace_child)
    attempt(results, "be traced by the parent", lambda: syscall(101, 0, 0, 0, 0))
    attempt(results, "read a process's memory", lambda: syscall(310, os.getpid(), 0, 0, 0, 0, 0))
    attempt(results, "take a descriptor of another process", lambda: syscall(438, syscall(434, 1, 0), 0, 0))
    attempt(results, "become root", lambda: os.setuid(0))
    attempt(results, "become another user", lambda: os.setuid(1000))
    attempt(results, "join groups", lambda: os.setgroups([0]))
    return results
