#!/usr/bin/env python3
"""What `errand verify` of a million jobs takes: puts their commands and their ends on the topics of a stack on Apache Kafka
as any client could, waits until the view has them all, and asks for the books. A row of the benchmark, and by itself:

    make MODE=release programs && tests/venv.sh && build/venv/bin/python tests/bench/verify.py --many 1000000

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time

import confluent_kafka

from measure import NAMESPACE, PAYLOAD, ROOT, ROWS, row, stack_with, wait_until
from put import NOBODY, identities, put
from records import command, event, facts

MANY = 1_000_000


def put_ended(stack, count):
    """`count` jobs that have ended, each a command and an event."""
    told, text = facts(NOBODY, job_type="order.price", queue="default"), json.dumps(PAYLOAD)
    whose = list(identities(count))
    put(stack, "commands.default", command(told, payload=text), whose)
    put(stack, "replies.default", event(told, result=text), whose)


def peak_mib(pid):
    """What a process has had in memory at most; 0 when it has ended. What wait4 tells would not do: a child counts what it was born with."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return max((int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:")), default=0)


def books(stack, *options):
    """(seconds, MiB that it had at most, certificate)"""
    began = time.monotonic()
    peak = 0
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        process = subprocess.Popen([os.path.join(stack.bin_folder, "errand"), "verify", "-o", "json", *options], stdout=out,
                                   env={**os.environ, "ERRAND_DIR": stack.folder})
        while process.poll() is None:
            peak = max(peak, peak_mib(process.pid))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
        took = time.monotonic() - began
        out.seek(0)
        certificate = json.load(out)
    assert process.returncode == 0 and certificate["balanced"], certificate["findings"][:3]
    return took, peak, certificate


def raw_s(stack):
    """Seconds until confluent-kafka has read the same records."""
    reader = confluent_kafka.Consumer({"bootstrap.servers": stack.brokers(), "group.id": "raw", "enable.auto.commit": False})
    left, places = 0, []
    began = time.monotonic()
    for name, topic in reader.list_topics(timeout=20).topics.items():
        if not name.startswith((f"{NAMESPACE}.commands.", f"{NAMESPACE}.replies.")):
            continue
        for number in topic.partitions:
            low, high = reader.get_watermark_offsets(confluent_kafka.TopicPartition(name, number), timeout=20)
            left += high - low
            places += [confluent_kafka.TopicPartition(name, number, low)] if high > low else []
    reader.assign(places)
    while left > 0:
        left -= sum(1 for record in reader.consume(10_000, 0.2) if not record.error())
    took = time.monotonic() - began
    reader.close()
    return took


def measure(stack, jobs, rounds):
    """(records a second, records a second of the bare client, more)"""
    worker = stack.signal("worker-1", signal.SIGSTOP)  # these jobs have ended: nobody is to do them
    try:
        client = stack.redis()
        put_ended(stack, jobs)
        wait_until(lambda: client.dbsize() >= jobs, 1200, "the view has them all")
        told = [(books(stack), books(stack, "--no-view"), raw_s(stack)) for _ in range(rounds)]
    finally:
        os.kill(worker, signal.SIGCONT)
    certificate = told[0][0][2]
    assert certificate["total"]["succeeded"] == jobs == certificate["view"]["compared"]
    records = certificate["commands"] + certificate["events"]
    took, log_took, raw = (statistics.median(values) for values in zip(*((whole[0], log[0], bare) for whole, log, bare in told)))
    return records / took, records / raw, {
        "jobs": jobs, "records": records, "peak_mib": round(max(whole[1] for whole, _, _ in told), 1),
        "seconds": round(took, 1), "no_view_seconds": round(log_took, 1)}


@row("peak_mib <= 244 MiB")  # 256 MB
def verify(bench):
    """records a second that `errand verify` accounts for, the view compared with them / records a second that confluent-kafka reads"""
    # A stack of its own: the books of one that other rows have filled with what nobody submitted do not balance.
    with stack_with(bench.stack.bin_folder) as stack:
        numerator, denominator, more = measure(stack, bench.many, bench.rounds)
        return numerator, denominator, "1/s", more


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=os.path.join(ROOT, "build", "release", "bin"))
    parser.add_argument("--many", type=int, default=MANY)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    arguments.stack = argparse.Namespace(bin_folder=arguments.bin)
    print(json.dumps(ROWS["verify"].measure(arguments)))


if __name__ == "__main__":
    main()
