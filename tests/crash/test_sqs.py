"""kill -9 under load of queues, with an oracle: what was sent and acknowledged arrives, what was deleted and
acknowledged never comes again, FIFO groups stay in order, and a send repeated because its answer was lost is one message.

Senders repeat a send that got no answer with the same deduplication id. Receivers note when they asked, so that a message
that was on its way to one of them while another deleted it is not held against the queue.
"""

import collections
import random
import threading
import time

import botocore.exceptions

from support import start_virga

ROUNDS = 6
GROUPS = 3
VISIBILITY = 2


class Oracle:
    def __init__(self):
        self.lock = threading.Lock()
        self.sent = set()         # acknowledged
        self.tried = set()        # perhaps sent
        self.received = set()
        self.deleted = {}         # body and message id -> when the answer was there: a standard queue may have a body twice
        self.deleting = set()     # tried to delete
        self.ids = collections.defaultdict(set)
        self.wrong = []

    def say(self, text):
        with self.lock:
            self.wrong.append(text)


class Work(threading.Thread):
    """One sender or receiver; goes on over restarts until told to stop."""

    def __init__(self, server, oracle, url):
        super().__init__(daemon=True)
        self.server, self.oracle, self.url = server, oracle, url
        self.fifo = url.endswith(".fifo")
        self.over = False

    def run(self):
        while not self.over:
            try:
                client = self.server.client("sqs", connect_timeout=1, read_timeout=5)
                while not self.over:
                    self.step(client)
            except botocore.exceptions.ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                    return self.oracle.say(f"{type(self).__name__}: {error}")
            except botocore.exceptions.BotoCoreError:
                time.sleep(0.02)
            except Exception as error:  # noqa: BLE001
                return self.oracle.say(f"{type(self).__name__}: {error!r}")


class Sender(Work):
    def __init__(self, server, oracle, url, number):
        super().__init__(server, oracle, url)
        self.number, self.next = number, 0

    def step(self, client):
        bodies = [f"{self.number}:{self.next + i}" for i in range(5)]
        with self.oracle.lock:
            self.oracle.tried.update(bodies)
        extra = [{"MessageGroupId": f"g{self.number}", "MessageDeduplicationId": body.replace(":", "-")} if self.fifo else {}
                 for body in bodies]
        answer = client.send_message_batch(QueueUrl=self.url, Entries=[
            {"Id": str(i), "MessageBody": body, **extra[i]} for i, body in enumerate(bodies)])
        if "Failed" in answer:
            return self.oracle.say(f"failed: {answer['Failed']}")
        with self.oracle.lock:
            self.oracle.sent.update(bodies)
        self.next += 5
        time.sleep(0.02)


class Receiver(Work):
    def step(self, client):
        oracle = self.oracle
        asked = time.monotonic()
        messages = client.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, VisibilityTimeout=VISIBILITY,
                                          WaitTimeSeconds=1).get("Messages", [])
        before = {}  # in this answer, of each sender the last number
        with oracle.lock:
            for message in messages:
                body = message["Body"]
                sender, number = body.split(":")
                if body not in oracle.tried:
                    oracle.wrong.append(f"{body} was never sent")
                if oracle.deleted.get((body, message["MessageId"]), asked) < asked:
                    oracle.wrong.append(f"{body} was deleted and came again")
                oracle.received.add(body)
                oracle.ids[body].add(message["MessageId"])
                if self.fifo:
                    # Whatever is before it in its group is deleted, or being deleted, or came before it here.
                    first = before.get(sender, 0)
                    for earlier in range(first, int(number)):
                        if f"{sender}:{earlier}" not in oracle.deleting:
                            oracle.wrong.append(f"{body} came before {sender}:{earlier}")
                    before[sender] = int(number) + 1
        if not messages:
            return
        # Some come again when their time is over; a FIFO queue's group waits for that.
        half = messages[:-1] if len(messages) > 1 and random.random() < (0.02 if self.fifo else 0.2) else messages
        with oracle.lock:
            oracle.deleting.update(message["Body"] for message in half)
        answer = client.delete_message_batch(QueueUrl=self.url, Entries=[
            {"Id": str(i), "ReceiptHandle": message["ReceiptHandle"]} for i, message in enumerate(half)])
        with oracle.lock:
            now = time.monotonic()
            for entry in answer.get("Successful", []):
                message = half[int(entry["Id"])]
                oracle.deleted.setdefault((message["Body"], message["MessageId"]), now)


def test_queues_over_kills():
    server = start_virga()
    sqs = server.client("sqs")
    made = [(sqs.create_queue(QueueName="standard")["QueueUrl"], Oracle()),
            (sqs.create_queue(QueueName="ordered.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"], Oracle())]
    senders = [Sender(server, oracle, url, n) for url, oracle in made for n in range(GROUPS)]
    receivers = [Receiver(server, oracle, url) for url, oracle in made for _ in range(2)]
    for work in senders + receivers:
        work.start()
    try:
        for _ in range(ROUNDS):
            time.sleep(1.2)
            server.kill()
            server.start()
        for sender in senders:
            sender.over = True
            sender.join(20)
        end = time.monotonic() + 60
        while any(oracle.sent - oracle.deleting for _, oracle in made) and time.monotonic() < end:
            if any(oracle.wrong for _, oracle in made):
                break
            time.sleep(0.2)
        for receiver in receivers:
            receiver.over = True
            receiver.join(20)
        for url, oracle in made:
            assert not oracle.wrong, oracle.wrong[:5]
            assert len(oracle.sent) > 50
            lost = oracle.sent - oracle.received
            assert not lost, f"{url}: {len(lost)} of {len(oracle.sent)} lost: {sorted(lost)[:5]}"
            if url.endswith(".fifo"):
                twice = {body for body, ids in oracle.ids.items() if len(ids) > 1}
                assert not twice, f"sent once, there twice: {sorted(twice)[:5]}"
        sqs = server.client("sqs")
        counted = sqs.get_queue_attributes(QueueUrl=made[1][0], AttributeNames=["All"])["Attributes"]
        left = sum(int(counted[name]) for name in counted if name.startswith("ApproximateNumberOfMessages"))
        assert left <= len(made[1][1].tried - {body for body, _ in made[1][1].deleted})
    finally:
        for work in senders + receivers:
            work.over = True
        server.kill()
