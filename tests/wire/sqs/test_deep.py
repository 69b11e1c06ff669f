"""A long queue costs disk, not memory, and is received from, counted and purged as fast as a short one."""

import concurrent.futures
import pathlib

MESSAGES, BODY = 30_000, "x" * 4096  # 120 MB


def resident(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(dict(line.split(":", 1) for line in status.splitlines())["VmRSS"].split()[0]) << 10


def test_length_costs_no_memory(own_virga, name):
    sqs = own_virga.client("sqs", max_pool_connections=8)
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]

    def send(_):
        for _ in range(MESSAGES // 80):
            sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(i), "MessageBody": BODY} for i in range(10)])

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(8)))
    assert resident(own_virga.process.pid) < 120 << 20
    own_virga.kill()
    own_virga.start()
    sqs = own_virga.client("sqs")
    assert len(sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]) == 10
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert found["ApproximateNumberOfMessages"] == str(MESSAGES - 10)
    assert found["ApproximateNumberOfMessagesNotVisible"] == "10"
    sqs.purge_queue(QueueUrl=queue)
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)
    assert resident(own_virga.process.pid) < 120 << 20
