#!/usr/bin/env python3
"""What a page of `GET /v1/jobs` costs with many jobs, and what the lists cost: puts outcomes on the topics of a stack on
Apache Kafka as any client could, waits until the view has them all, and asks.

    make MODE=release programs && tests/venv.sh && build/venv/bin/python tests/bench/list_page.py --jobs 1000000

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import os
import statistics
import time
import uuid

import confluent_kafka

from measure import NAMESPACE, ROOT, stack_with, wait_until
from records import FAILED, SUCCEEDED, event, facts

TYPES = [f"bench.{n}" for n in range(20)]
ROUNDS = 200
FAILED_EVERY = 1000


def put(stack, count):
    """`count` jobs that have ended, over an hour, in a queue's partitions."""
    producer = confluent_kafka.Producer({"bootstrap.servers": stack.brokers(), "linger.ms": 50, "queue.buffering.max.messages": 200000})
    partitions = len(producer.list_topics(f"{NAMESPACE}.replies.default", timeout=20).topics[f"{NAMESPACE}.replies.default"].partitions)
    now = int(time.time() * 1000)
    for n in range(count):
        created = now - 3_600_000 + n * 3_600_000 // count
        value = event(facts(uuid.uuid4().bytes[:6] + b"\x70\x00\x80" + uuid.uuid4().bytes[9:], job_type=TYPES[n % len(TYPES)],
                            queue="default", created=created),
                      kind=FAILED if n % FAILED_EVERY == 0 else SUCCEEDED, at=created + 5)
        while True:
            try:
                producer.produce(f"{NAMESPACE}.replies.default", value=value, partition=n % partitions)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(120) == 0


def entries(client):
    return sum(client.zcard(key) for key in client.scan_iter(f"{NAMESPACE}:l:*", 10000))


def ask(stack, parameters):
    began = time.perf_counter()
    response = stack.request("GET", "/v1/jobs", params=parameters)
    assert response.status_code == 200, response.text
    return (time.perf_counter() - began) * 1000, response.json()


def report(stack, name, parameters):
    told = [ask(stack, parameters) for _ in range(ROUNDS)]
    times = sorted(ms for ms, _ in told)
    print(f"{name:<42} {len(told[0][1]['jobs']):>5} {statistics.median(times):>8.2f} {times[int(0.99 * ROUNDS)]:>8.2f}", flush=True)
    return told[0][1]


def measure(stack, count):
    client = stack.redis()
    ask(stack, {})
    before, began = client.info("memory")["used_memory"], time.monotonic()
    put(stack, count)
    wait_until(lambda: entries(client) >= count, 900, "the view has them all")
    taken = time.monotonic() - began
    memory = client.info("memory")["used_memory"] - before
    print(f"{count} jobs, produced and folded in {taken:.0f} s; Redis: {memory / count:.0f} bytes a job with a result of 2")
    keys = [*client.scan_iter(f"{NAMESPACE}:[jl]:*", 10000)]
    of_lists = sum(client.memory_usage(key, samples=0) or 0 for key in keys)
    print(f"of them lists: {of_lists / count:.1f}, in {len(keys)} keys")
    print(f"{'page':<42} {'jobs':>5} {'p50 ms':>8} {'p99 ms':>8}")
    report(stack, "newest 50", {})
    report(stack, "newest 200", {"limit": 200})
    middle = int(time.time() * 1000) - 1_800_000
    report(stack, "50 in the middle", {"cursor": f"{middle}-{'0' * 24}"})
    report(stack, "50 of one type", {"type": TYPES[7]})
    report(stack, "50 failed (one in a thousand)", {"state": "failed"})
    report(stack, "50 failed of one type, in the middle", {"state": "failed", "type": TYPES[0], "cursor": f"{middle}-{'0' * 24}"})
    report(stack, "a label nobody has (5000 looked at)", {"label": "no=where"})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=os.path.join(ROOT, "build", "release", "bin"))
    parser.add_argument("--jobs", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with stack_with(arguments.bin) as stack:
        measure(stack, arguments.jobs)


if __name__ == "__main__":
    main()
