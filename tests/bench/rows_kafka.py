"""Rows about records: how far a group is behind, and records that are sent once more.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import signal
import statistics
import time
import uuid

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from measure import OURS, TYPE, rounded, row

LAG_PARTITIONS = 1000
REPLAY_RECORDS = 150_000
REPLAY_HEADERS = 13  # seven of CloudEvents, six of the replay (producers/replay.c)


@row("numerator <= 30 ms")
def lag(bench):
    """one look at the lag of a group in 1,000 partitions, all behind / confluent-kafka asking for their offsets"""
    brokers, topic = bench.stack.address("broker"), f"bench.{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": brokers})
    admin.create_topics([NewTopic(topic, LAG_PARTITIONS, 1)])[topic].result(60)
    places = [TopicPartition(topic, number, 1) for number in range(LAG_PARTITIONS)]
    producer = Producer({"bootstrap.servers": brokers})
    for place in places * 3:
        producer.produce(topic, value=b"x" * 100, partition=place.partition)
    assert producer.flush(60) == 0
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": topic})
    consumer.commit(offsets=places, asynchronous=False)
    consumer.close()
    first = []

    def ours_ms():
        told = bench.stack.errand("lag", "--group", topic, "--watch=100ms", "--looks", 21, "-o", "json", limit_s=120)
        looks = [json.loads(line) for line in told.stdout.splitlines()]
        assert all(look["groups"][0]["lag"] == 2 * LAG_PARTITIONS and look["groups"][0]["how"] == "exact" for look in looks)
        first.append(1000 * looks[0]["took_seconds"])
        return 1000 * statistics.median(look["took_seconds"] for look in looks[1:])

    def raw_once():
        began = time.monotonic()
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest()):
            for future in admin.list_offsets({place: spec for place in places},
                                             isolation_level=IsolationLevel.READ_COMMITTED).values():
                future.result(30)
        admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(topic)])[topic].result(30)
        return 1000 * (time.monotonic() - began)

    def raw_first_ms():
        """What a first look has to do besides: the oldest record of every partition, by a client that has just begun."""
        reader = Consumer({"bootstrap.servers": brokers, "group.id": topic, "enable.auto.commit": False, "fetch.wait.max.ms": 5,
                           "fetch.message.max.bytes": 8192})
        began, seen = time.monotonic(), set()
        reader.assign(places)
        while len(seen) < LAG_PARTITIONS and time.monotonic() < began + 30:
            seen |= {record.partition() for record in reader.consume(LAG_PARTITIONS, 0.01) if not record.error()}
        took = 1000 * (time.monotonic() - began)
        reader.close()
        assert len(seen) == LAG_PARTITIONS
        return took

    def raw_ms():
        return statistics.median([raw_once() for _ in range(21)][1:])
    numerator, denominator = bench.alternately(ours_ms, raw_ms)
    # The first look of a process reads the oldest record of every partition; the others know them.
    return numerator, denominator, "ms", {"partitions": LAG_PARTITIONS, "first_ms": rounded(statistics.median(first)),
                                          "raw_first_ms": rounded(statistics.median(raw_first_ms() for _ in range(3)))}


@row("ratio >= 0.5")
def replay(bench):
    """records replayed into live a second, as fast as it goes, workers stopped / records a second that bare librdkafka produces,
    of the same size and with as many headers"""
    plan = ["replay", "commands.rules", "--type", TYPE, "-o", "json"]
    while json.loads(bench.stack.errand(*plan, limit_s=120).stdout)["records"] < REPLAY_RECORDS:
        bench.load("--connections", 256)
    sizes, stopped = [], [pid for name, pid in bench.processes().items() if name.startswith(OURS)]

    def ours_rate():
        told = json.loads(bench.stack.errand(*plan, "--limit", REPLAY_RECORDS, "--into", "live", "--reason", "a benchmark",
                                            "--execute", limit_s=300).stdout)
        assert told["missing"] == told["repeats"] == 0 and told["sent"] == REPLAY_RECORDS
        sizes.append(told["bytes"] // told["records"])
        return told["sent"] / told["elapsed_seconds"]

    def raw_rate():
        return told_by_raw(REPLAY_HEADERS)["records_per_s"]

    def told_by_raw(headers):
        return bench.tool("raw_produce", bench.stack.address("broker"), bench.make_topics()[0], REPLAY_RECORDS, sizes[-1], headers)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        numbers = bench.alternately(ours_rate, raw_rate)
        return *numbers, "1/s", {"records": REPLAY_RECORDS, "bytes": sizes[0],
                                 "raw_without_headers": rounded(told_by_raw(0)["records_per_s"])}
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        bench.wait_drained("rules")
