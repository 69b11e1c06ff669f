"""One function looking for another that runs at the same time."""
import socket

from attempts import attempt, expect, syscall

kept = []


def handler(event, context):
    if event["role"] == "leave":
        with open("/tmp/secret", "w") as f:
            f.write("secret")
        s = socket.socket(socket.AF_UNIX)
        s.bind("\0neighbour")
        s.listen()
        t = socket.socket()
        t.bind(("127.0.0.1", 7777))
        t.listen()
        kept.extend([s, t])
        syscall(29, 4242, 4096, 0o1666)  # shmget, made
        return {"uid": open("/proc/self/uid_map").read().split()[1]}
    results = {}
    attempt(results, "read its /tmp", lambda: open("/tmp/secret").read())

    def connect_abstract():
        s = socket.socket(socket.AF_UNIX)
        s.connect("\0neighbour")
        return True

    attempt(results, "reach its socket", connect_abstract)
    attempt(results, "reach its port", lambda: socket.create_connection(("127.0.0.1", 7777), 1).getpeername())
    attempt(results, "share its memory", lambda: syscall(29, 4242, 4096, 0))
    attempt(results, "be the same user", lambda: expect(open("/proc/self/uid_map").read().split()[1] != event["uid"], event["uid"]))
    return results
