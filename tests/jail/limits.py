"""Taking more than one's share."""
import errno
import os
import resource
import signal
import time


def fork_bomb(most):
    children = []
    failure = None
    while len(children) < most:
        try:
            child = os.fork()
        except OSError as e:
            failure = errno.errorcode[e.errno]
            break
        if child == 0:
            signal.pause()
            os._exit(0)
        children.append(child)
    for child in children:
        os.kill(child, signal.SIGKILL)
    for child in children:
        os.waitpid(child, 0)
    return [len(children), failure]


def open_files(most):
    files = []
    try:
        while len(files) < most:
            files.append(os.open("/dev/null", os.O_RDONLY))
        return [len(files), None]
    except OSError as e:
        return [len(files), errno.errorcode[e.errno]]
    finally:
        for f in files:
            os.close(f)


def fill_tmp(most_mb):
    block = bytes(1 << 20)
    written = 0
    try:
        with open("/tmp/full", "wb", buffering=0) as f:
            while written < most_mb:
                if f.write(block) < len(block):
                    return [written, "short"]
                written += 1
        return [written, None]
    except OSError as e:
        return [written, errno.errorcode[e.errno]]
    finally:
        os.unlink("/tmp/full")


# Memory beside files that stay; `hold`: what it has then, it keeps without asking for more.
def outgrow(tmp_mb, memory_mb, hold):
    with open("/tmp/kept", "wb", buffering=0) as f:
        for _ in range(tmp_mb):
            f.write(bytes(1 << 20))
    hoard = bytearray(memory_mb << 20)
    hoard[::4096] = b"x" * len(hoard[::4096])
    time.sleep(hold)
    return len(hoard) >> 20


def many_files(most):
    made = 0
    try:
        os.mkdir("/tmp/many")
        for made in range(most):
            os.close(os.open(f"/tmp/many/{made}", os.O_CREAT | os.O_WRONLY))
        return [made, None]
    except OSError as e:
        return [made, errno.errorcode[e.errno]]


def burn(seconds):
    start = time.monotonic()
    used = time.process_time()
    while time.monotonic() - start < seconds:
        pass
    return time.process_time() - used


def handler(event, context):
    what = event["what"]
    if what == "forks":
        return fork_bomb(event["most"])
    if what == "files":
        return open_files(event["most"])
    if what == "tmp":
        return fill_tmp(event["most"])
    if what == "outgrow":
        return outgrow(event["tmp"], event["memory"], event["hold"])
    if what == "inodes":
        return many_files(event["most"])
    if what == "burn":
        return burn(event["seconds"])
    if what == "child memory":
        child = os.fork()
        if child == 0:
            hoard = []
            while True:
                hoard.append(bytearray(1 << 20))
        return os.waitpid(child, 0)[1]
    if what == "flood":
        for _ in range(event["lines"]):
            print("x" * 100)
        return "done"
    if what == "orphan":
        # A process that outlives the program must end with the sandbox.
        child = os.fork()
        if child == 0:
            os.setsid()
            for fd in range(0, 3):
                os.close(fd)
            time.sleep(60)
        time.sleep(0.05)  # what has its user next starts later
        return open("/proc/self/uid_map").read().split()[1], int(open(f"/proc/{child}/stat").read().split()[21])
    return None
