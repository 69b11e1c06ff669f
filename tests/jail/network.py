"""Leaving by the network, and forging what goes over it."""
import socket

from attempts import attempt, expect


def connect(host, port):
    with socket.socket() as s:
        s.settimeout(1)
        s.connect((host, port))
        return s.getpeername()


def datagram(host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        return s.sendto(b"out", (host, 9))


def handler(event, context):
    results = {}
    attempt(results, "raw socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
    attempt(results, "packet socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    attempt(results, "vsock", lambda: socket.socket(40, socket.SOCK_STREAM))
    attempt(results, "kernel crypto", lambda: socket.socket(38, socket.SOCK_SEQPACKET))
    attempt(results, "netlink audit", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9))
    attempt(results, "netlink netfilter", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12))
    attempt(results, "reach another network by datagrams", lambda: datagram("192.0.2.1"))
    attempt(results, "reach the world when cut off", lambda: connect(event["host"], event["host_port"]))
    attempt(results, "reach the cloud's metadata", lambda: connect("169.254.169.254", 80))
    attempt(results, "reach a listener of the host", lambda: connect("127.0.0.1", event["host_port"]))
    attempt(results, "see interfaces", lambda: expect([n for _, n in socket.if_nameindex()] == ["lo"], socket.if_nameindex()))

    def reach_host_socket():
        with socket.socket(socket.AF_UNIX) as s:
            s.connect("\0" + event["abstract"])
            return True

    attempt(results, "reach an abstract socket of the host", reach_host_socket)
    attempt(results, "take the network down", lambda: __import__("fcntl").ioctl(socket.socket().fileno(), 0x8914, b"lo" + bytes(30)))
    return results
