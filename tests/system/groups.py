"""Topics, records and consumer groups of nobody's but the test's, made with another client than Errand's: whatever they
hold is known, to the millisecond, and so is how far behind a group is.

SPDX-License-Identifier: Apache-2.0
"""
import itertools

import confluent_kafka
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from moments import now_ms
from waiting import wait_until

NUMBERS = itertools.count(1)
DEADLINE_S = 20  # for one answer of the broker


def members(stack, group):
    """Which clients the group has, joined or joining."""
    admin = AdminClient({"bootstrap.servers": stack.brokers()})
    return {member.client_id for member in admin.describe_consumer_groups([group])[group].result(20).members}


class Scene:
    """One topic, one group of one consumer that commits what it is told."""

    def __init__(self, stack, partitions=1, settings=None):
        self.stack = stack
        self.brokers = stack.brokers()
        name = f"scene-{now_ms()}-{next(NUMBERS)}"
        self.topic, self.group = f"{name}-topic", f"{name}-group"
        self.admin = AdminClient({"bootstrap.servers": self.brokers})
        self.admin.create_topics([NewTopic(self.topic, partitions, 1, config=settings or {})])[self.topic].result(DEADLINE_S)
        wait_until(lambda: self.leaders() == partitions, 20, f"{self.topic} has leaders")

    def leaders(self):
        told = self.admin.list_topics(timeout=DEADLINE_S).topics.get(self.topic)
        return sum(one.leader >= 0 for one in told.partitions.values()) if told else 0

    def producer(self, **settings):
        return confluent_kafka.Producer({"bootstrap.servers": self.brokers, "linger.ms": 5, **settings})

    def produce(self, times_ms, partition=0, value=b"x"):
        """A record for each of these moments."""
        producer = self.producer()
        for at in times_ms:
            producer.produce(self.topic, value=value, partition=partition, timestamp=at)
        assert producer.flush(30) == 0

    def consumer(self, **settings):
        return confluent_kafka.Consumer({
            "bootstrap.servers": self.brokers, "group.id": self.group, "enable.auto.commit": False,
            "auto.offset.reset": "earliest", "session.timeout.ms": 6000, **settings})

    def commit(self, offset, partition=0):
        """As a consumer that has read so far, and is not there any more."""
        consumer = self.consumer()
        try:
            consumer.commit(offsets=[TopicPartition(self.topic, partition, offset)], asynchronous=False)
        finally:
            consumer.close()

    def truth(self, group=None, topic=None, partitions=1, isolation="read_committed"):
        """{partition: (committed, start, end)} as confluent-kafka sees it now; committed None where there is none."""
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.brokers, "group.id": group or self.group,
                                             "enable.auto.commit": False, "isolation.level": isolation})
        try:
            places = [TopicPartition(topic or self.topic, number) for number in range(partitions)]
            told = {}
            for place in consumer.committed(places, timeout=DEADLINE_S):
                start, end = consumer.get_watermark_offsets(place, timeout=DEADLINE_S, cached=False)
                told[place.partition] = (place.offset if place.offset >= 0 else None, start, end)
            return told
        finally:
            consumer.close()
