"""System calls that sandboxed code has no business making."""
import ctypes
import fcntl
import os

from attempts import attempt, syscall

NEW_NAMESPACES = {"user": 0x10000000, "mount": 0x00020000, "pid": 0x20000000, "net": 0x40000000, "ipc": 0x08000000,
                  "uts": 0x04000000, "cgroup": 0x02000000}


def clone(flags):
    child = syscall(56, flags | 17, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


def clone3(flags):
    arguments = (ctypes.c_uint64 * 11)(flags, 0, 0, 0, 17)
    child = syscall(435, ctypes.byref(arguments), ctypes.sizeof(arguments))
    if child == 0:
        os._exit(0)
    return child


def handler(event, context):
    results = {}
    for name, flag in NEW_NAMESPACES.items():
        attempt(results, f"unshare {name}", lambda: syscall(272, flag))
        attempt(results, f"clone {name}", lambda: clone(flag))
    attempt(results, "clone3 user", lambda: clone3(NEW_NAMESPACES["user"]))
    attempt(results, "setns", lambda: syscall(308, os.open("/proc/self/ns/net", os.O_RDONLY), 0))
    attempt(results, "mount", lambda: syscall(165, b"none", b"/tmp", b"tmpfs", 0, 0))
    attempt(results, "umount", lambda: syscall(166, b"/proc", 2))
    attempt(results, "pivot_root", lambda: syscall(155, b"/tmp", b"/tmp"))
    attempt(results, "chroot", lambda: syscall(161, b"/tmp"))
    attempt(results, "open_tree", lambda: syscall(428, -100, b"/usr", 1))
    attempt(results, "move_mount", lambda: syscall(429, -100, b"/usr", -100, b"/tmp", 0))
    attempt(results, "fsopen", lambda: syscall(430, b"tmpfs", 0))
    attempt(results, "mount_setattr", lambda: syscall(442, -100, b"/usr", 0, 0, 0))
    attempt(results, "bpf", lambda: syscall(321, 0, 0, 0))
    attempt(results, "io_uring_setup", lambda: syscall(425, 8, ctypes.create_string_buffer(120)))
    attempt(results, "userfaultfd", lambda: syscall(323, 0))
    attempt(results, "perf_event_open", lambda: syscall(298, ctypes.create_string_buffer(128), 0, -1, -1, 0))
    attempt(results, "keyctl", lambda: syscall(250, 0, -3, 1))
    attempt(results, "add_key", lambda: syscall(248, b"user", b"k", b"v", 1, -3))
    attempt(results, "request_key", lambda: syscall(249, b"user", b"k", 0, 0))
    attempt(results, "name_to_handle_at", lambda: syscall(303, -100, b"/usr", ctypes.create_string_buffer(256), ctypes.byref(ctypes.c_int()), 0))
    attempt(results, "open_by_handle_at", lambda: syscall(304, -100, ctypes.create_string_buffer(256), 0))
    attempt(results, "init_module", lambda: syscall(175, b"x", 1, b""))
    attempt(results, "finit_module", lambda: syscall(313, 0, b"", 0))
    attempt(results, "kexec_load", lambda: syscall(246, 0, 0, 0, 0))
    attempt(results, "reboot", lambda: syscall(169, 0xfee1dead, 672274793, 0, 0))
    attempt(results, "swapon", lambda: syscall(167, b"/tmp/x", 0))
    attempt(results, "settimeofday", lambda: syscall(164, ctypes.create_string_buffer(16), 0))
    attempt(results, "clock_settime", lambda: syscall(227, 0, ctypes.create_string_buffer(16)))
    attempt(results, "sethostname", lambda: syscall(170, b"mine", 4))
    attempt(results, "iopl", lambda: syscall(172, 3))
    attempt(results, "modify_ldt", lambda: syscall(154, 0, 0, 0))
    attempt(results, "acct", lambda: syscall(163, b"/tmp/x"))
    attempt(results, "quotactl", lambda: syscall(179, 0, 0, 0, 0))
    attempt(results, "syslog", lambda: syscall(103, 3, ctypes.create_string_buffer(64), 64))
    attempt(results, "fanotify_init", lambda: syscall(300, 0, 0))
    attempt(results, "kcmp", lambda: syscall(312, 1, 1, 0, 0, 0))
    attempt(results, "memfd_secret", lambda: syscall(447, 0))
    attempt(results, "another personality", lambda: syscall(135, 0x0040000))
    attempt(results, "a system call of the 32-bit table", lambda: syscall(0x40000000 + 39))
    attempt(results, "type into a terminal", lambda: fcntl.ioctl(0, 0x5412, b"x"))
    attempt(results, "type into a terminal, upper bits set", lambda: syscall(16, 0, 0x100005412, b"x"))
    attempt(results, "raise a limit", lambda: __import__("resource").setrlimit(__import__("resource").RLIMIT_CORE, (1 << 30, 1 << 30)))
    attempt(results, "raise priority", lambda: os.nice(-5))
    attempt(results, "run in real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10)))
    return results
