"""One item under 64 writers."""

import threading
import time

WRITERS = 64


def test_a_hot_key_stays_correct_and_fair(virga, dynamodb, table, p):
    """Every acknowledged ADD counts, none counts twice, and nobody starves."""
    done = [0] * WRITERS
    failures = []
    stop = time.monotonic() + 4

    def write(n):
        client = virga.client("dynamodb")
        while time.monotonic() < stop:
            try:
                client.update_item(TableName=table, Key={"p": p}, UpdateExpression="ADD n :one, who :me",
                                   ExpressionAttributeValues={":one": {"N": "1"}, ":me": {"SS": [str(n)]}})
            except Exception as error:  # noqa: BLE001: told below
                failures.append(error)
                return
            done[n] += 1

    threads = [threading.Thread(target=write, args=(n,)) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]
    item = dynamodb.get_item(TableName=table, Key={"p": p}, ConsistentRead=True)["Item"]
    assert int(item["n"]["N"]) == sum(done)
    assert len(item["who"]["SS"]) == WRITERS
    print(f"{sum(done)} writes, {min(done)} to {max(done)} a writer")
    assert min(done) * 4 >= sum(done) / WRITERS, done
