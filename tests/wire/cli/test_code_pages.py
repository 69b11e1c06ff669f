"""The code that requests run through moves to a large page as soon as Virga is ready, while it runs."""

import concurrent.futures
import pathlib
import re
import urllib.request

from support import eventually, finish, start_virga

LARGE_PAGES = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")


def code_without_a_file(pid):
    """Bytes of memory that runs and is no file's: the moved code."""
    found = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ 00:00 0 *$", pathlib.Path(f"/proc/{pid}/maps").read_text(), re.M)
    return sum(int(end, 16) - int(begin, 16) for begin, end in found)


def test_requests_are_answered_while_the_code_moves():
    server = start_virga()
    with concurrent.futures.ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda _: urllib.request.urlopen(f"{server.url}/_virga/health").status, range(400)))
    assert answers == [200] * 400
    if LARGE_PAGES.exists() and "[never]" not in LARGE_PAGES.read_text():
        eventually(lambda: code_without_a_file(server.process.pid) >= 2 << 20)
    finish(server)
