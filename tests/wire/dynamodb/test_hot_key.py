"""One item under 64 writers."""

import threading
import time

WRITERS, EACH = 64, 20


def test_a_hot_key_stays_correct_and_fair(virga, table, p):
    """Every acknowledged ADD counts, none counts twice, and nobody starves: all go on until the last has had its share."""
    client = virga.client("dynamodb", max_pool_connections=WRITERS)
    done = [0] * WRITERS
    failures = []
    end = time.monotonic() + 120

    def write(n):
        while min(done) < EACH and not failures and time.monotonic() < end:
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
    item = client.get_item(TableName=table, Key={"p": p}, ConsistentRead=True)["Item"]
    assert int(item["n"]["N"]) == sum(done)
    assert len(item["who"]["SS"]) == WRITERS
    print(f"{sum(done)} writes, {min(done)} to {max(done)} a writer")
    assert min(done) >= EACH, done
