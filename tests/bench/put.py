"""Many records that differ in whose they are only, put on a topic as fast as Python goes, as any Kafka client could.

SPDX-License-Identifier: Apache-2.0
"""
import itertools
import os

import confluent_kafka

from measure import NAMESPACE

NOBODY = b"\x00nobody's own\x00\x00\x00"  # 16 bytes, to be replaced
assert len(NOBODY) == 16


def identities(count):
    """New ones, with the version and variant bits of a UUID 7."""
    noise = os.urandom(14 * count)
    for at in range(0, 14 * count, 14):
        yield noise[at:at + 6] + b"\x70" + noise[at + 6:at + 7] + b"\x80" + noise[at + 7:at + 14]


def put(stack, topic, template, whose):
    """The template with NOBODY exchanged for each of them, spread over the partitions; returns when Kafka has all."""
    producer = confluent_kafka.Producer({"bootstrap.servers": stack.brokers(), "linger.ms": 50, "acks": "all",
                                         "queue.buffering.max.messages": 200_000})
    name = f"{NAMESPACE}.{topic}"
    partitions = itertools.cycle(range(len(producer.list_topics(name, timeout=20).topics[name].partitions)))
    before, found, after = template.partition(NOBODY)
    assert found, "a template has a place for whose it is"
    for identity, partition in zip(whose, partitions):
        while True:
            try:
                producer.produce(name, value=before + identity + after, partition=partition)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(300) == 0
