"""Records as any Kafka client could write them: put together byte by byte, from envelope.proto alone, and produced to a
partition of one's choice.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import time
import uuid

import confluent_kafka
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from stack import NAMESPACE
from waiting import wait_until

RECORD_MAX = 1114112  # what a topic takes, less the batch around it
SUCCEEDED, FAILED = 5, 6  # kinds of events


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def message(*fields):
    """A protobuf message of (number, int or text or bytes)."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def facts(identity=None, tenant="default", job_type="probe.quick", queue="probe", created=None, not_after=None, forget=None):
    """forget=False: says of no time when it is forgotten."""
    now = int(time.time() * 1000)
    fields = [(1, identity or uuid.uuid4().bytes), (2, tenant), (3, job_type), (4, queue),
              (7, now if created is None else created), (9, now + 3_600_000 if not_after is None else not_after)]
    if forget is not False:
        fields.append((10, now + 7_200_000 if forget is None else forget))
    return message(*fields)


def command(of=None, version=1, turn=0, attempt=1, due=0, payload='{"subject": "x", "seed": 1}'):
    return message((1, version), (2, message((1, of or facts()), (2, turn), (3, attempt), (4, due), (5, payload))))


def event(of=None, version=1, kind=SUCCEEDED, turn=0, at=None, result="{}", command_offset_plus_1=1):
    at = int(time.time() * 1000) if at is None else at
    return message((1, version), (3, message((1, of or facts()), (2, kind), (3, turn), (4, 1), (5, at), (8, result),
                                             (13, command_offset_plus_1))))


def produce(stack, topic, values, key=b"foreign", partition=0, timestamp_ms=0):
    """Returns the offsets, in order. `timestamp_ms`: 0 for now."""
    offsets, failures = [], []

    def delivered(error, record):
        failures.append(error) if error else offsets.append(record.offset())
    producer = confluent_kafka.Producer({"bootstrap.servers": stack.brokers(), "message.max.bytes": 2 * RECORD_MAX})
    for value in values:
        producer.produce(f"{NAMESPACE}.{topic}", value=value, key=key, partition=partition, on_delivery=delivered,
                         timestamp=timestamp_ms)
        assert producer.flush(30) == 0 and not failures, failures
    return offsets


def ends(stack, topic, namespace=NAMESPACE):
    """{partition: offset of its end}; of no topic none."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": stack.brokers(), "group.id": "a-test-looks"})
    try:
        name = f"{namespace}.{topic}"

        def end(partition):
            """None of one that was made a moment ago, and is not led yet."""
            with contextlib.suppress(confluent_kafka.KafkaException):
                return consumer.get_watermark_offsets(confluent_kafka.TopicPartition(name, partition), timeout=20)
            return None
        known = consumer.list_topics(timeout=20).topics
        return {p: wait_until(lambda p=p: end(p), 20, f"{name}/{p} has a leader")[1] for p in (known[name].partitions if name in known else ())}
    finally:
        consumer.close()


def committed(stack, group, topic, partition=0):
    consumer = confluent_kafka.Consumer({"bootstrap.servers": stack.brokers(), "group.id": f"{NAMESPACE}.{group}"})
    try:
        place, = consumer.committed([confluent_kafka.TopicPartition(f"{NAMESPACE}.{topic}", partition)], timeout=20)
        return place.offset
    finally:
        consumer.close()


def set_record_limit(stack, topic, size):
    """How large a record the topic takes; None: as the broker has it. Returns once the broker acts so: how large it was before."""
    operation = AlterConfigOpType.DELETE if size is None else AlterConfigOpType.SET
    entry = ConfigEntry("max.message.bytes", str(size or ""), incremental_operation=operation)
    admin = AdminClient({"bootstrap.servers": stack.brokers()})
    described = ConfigResource(ResourceType.TOPIC, f"{NAMESPACE}.{topic}")
    before = int(admin.describe_configs([described])[described].result(20)["max.message.bytes"].value)
    resource = ConfigResource(ResourceType.TOPIC, f"{NAMESPACE}.{topic}", incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(20)

    def acts():
        value = admin.describe_configs([described])[described].result(20)["max.message.bytes"].value
        return (value == str(size)) == (size is not None)
    wait_until(acts, 20, f"{topic} takes records of {size} bytes")
    return before
