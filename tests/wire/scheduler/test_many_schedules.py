"""Thousands of schedules due in the same second all happen, in memory that doesn't grow with them. VIRGA_MANY=100000
tries as many as the promise says (minutes)."""

import concurrent.futures
import datetime
import os
import re
import time

from support import eventually

MANY = int(os.environ.get("VIRGA_MANY", "2000"))


def resident(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024


def test_many_in_one_second(virga, scheduler, queue, role, name):
    wait = max(10, MANY // 150)
    when = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=wait)).strftime("at(%Y-%m-%dT%H:%M:%S)")
    clients = [virga.client("scheduler") for _ in range(8)]

    def make(worker):
        for n in range(worker, MANY, len(clients)):
            clients[worker].create_schedule(Name=f"{name}-{n}", ScheduleExpression=when, FlexibleTimeWindow={"Mode": "OFF"},
                                            Target={"Arn": queue.arn, "RoleArn": role, "Input": f'"{n}"'})

    with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(make, range(len(clients))))
    before = resident(virga.process)

    def count():
        found = queue.sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(found["Attributes"]["ApproximateNumberOfMessages"])

    most, begin = before, None
    deadline = time.monotonic() + wait + 60 + MANY / 10
    while (seen := count()) < MANY:
        begin = begin or (time.monotonic() if seen else None)
        most = max(most, resident(virga.process))
        assert time.monotonic() < deadline, f"{seen} of {MANY}"
        time.sleep(0.1)
    print(f"{MANY} schedules in {time.monotonic() - (begin or time.monotonic()):.1f} s, from {before:.0f} to {most:.0f} MB")
    assert most - before < 200
    eventually(lambda: count() == MANY)
