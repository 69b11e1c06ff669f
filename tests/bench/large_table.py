"""A large table: loading it, and how soon a restart answers from it. Not part of ./bench, which is short:
   python3 tests/bench/large_table.py build/release 1000000"""

import json
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time

import cloud
import dynamodb

WORKERS = 16


class Settings:
    quick = False

    def __init__(self, build):
        self.build = pathlib.Path(build).resolve()
        self.folder = tempfile.mkdtemp(prefix="bench-", dir=self.build)


def item(number):
    return {"pk": {"S": f"customer-{number:09d}"}, "age": {"N": str(number % 90)}, "text": {"S": f"{number:0200d}"}}


def load(virga, begin, end):
    connection = virga.connect()
    for at in range(begin, end, 25):
        body = {"RequestItems": {"bench": [{"PutRequest": {"Item": item(n)}} for n in range(at, min(at + 25, end))]}}
        connection.ask(dynamodb.call(virga.port, "BatchWriteItem", body))
    connection.close()


def main():
    settings, count = Settings(sys.argv[1]), int(sys.argv[2])
    virga = cloud.Virga(settings)
    try:
        virga.start()
        virga.connect().ask(dynamodb.call(virga.port, "CreateTable", dynamodb.tables()[0]))
        began = time.monotonic()
        share = -(-count // WORKERS)
        threads = [threading.Thread(target=load, args=(virga, w * share, min(count, (w + 1) * share))) for w in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - began
        print(f"{count:,} items in {took:.0f} s ({count / took:,.0f}/s), memory {cloud.resident_kb(virga.process.pid) / 1024:.0f} MB")
        virga.process.kill()
        virga.process.wait()
        for what in ("after a kill", "after a clean stop"):
            sample = random.sample(range(count), 200)
            message = dynamodb.call(virga.port, "GetItem", {"TableName": "bench", "Key": {"pk": item(sample[0])["pk"]}})
            began = time.perf_counter()
            virga.start()
            connection = virga.connect()
            assert json.loads(connection.ask(message))["Item"] == item(sample[0])
            answered = (time.perf_counter() - began) * 1e3
            for n in sample:
                found = json.loads(connection.ask(dynamodb.call(virga.port, "GetItem", {"TableName": "bench", "Key": {"pk": item(n)["pk"]}})))
                assert found["Item"] == item(n)
            print(f"{what}: an item is answered {answered:.0f} ms after the start, memory {cloud.resident_kb(virga.process.pid) / 1024:.0f} MB")
            virga.stop(remove=False)
    finally:
        shutil.rmtree(settings.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
