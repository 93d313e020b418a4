"""A partition's log on a broker's disk, while that broker is down: it is made to forget what a producer has sent it last,
though it keeps every record. So it answers the producer's next batch with OUT_OF_ORDER_SEQUENCE_NUMBER, as one does that has
lost the end of its log, and that is fatal to a librdkafka 2.0.2 client.

SPDX-License-Identifier: Apache-2.0
"""
import collections
import os
import pathlib
import struct

# One batch: base offset, length of what follows, leader epoch, magic, checksum (of all that comes after it), attributes, last
# offset delta, two timestamps; then producer id, its epoch, its sequence number.
LENGTH = struct.Struct(">8xi")
LENGTH_END = 12
CHECKSUM_AT = 17
CHECKED_AT = 21
PRODUCER_AT = 43
PRODUCER = struct.Struct(">qhi")
NOBODY = PRODUCER.pack(-1, -1, -1)
POLYNOMIAL = 0x82F63B78  # CRC-32C


def _table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


TABLE = _table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def batches(log):
    """Where each whole batch begins and ends."""
    found, at = [], 0
    while at + PRODUCER_AT + PRODUCER.size <= len(log):
        end = at + LENGTH_END + LENGTH.unpack_from(log, at)[0]
        if end == at + LENGTH_END or end > len(log):
            break
        found.append((at, end))
        at = end
    return found


def _by_producer(log):
    """{producer id: where its batches begin and end}"""
    found = collections.defaultdict(list)
    for at, end in batches(log):
        found[PRODUCER.unpack_from(log, at + PRODUCER_AT)[0]].append((at, end))
    found.pop(-1, None)
    return found


def most_sent(folder):
    """How many batches the producer has in this log, also of a broker that runs, that has sent the most to it."""
    segment, = pathlib.Path(folder).glob("*.log")
    return max(map(len, _by_producer(segment.read_bytes()).values()), default=0)


def forget_last(folder, count):
    """Takes the name off the last `count` batches of the producer that has sent the most to this partition, which must have
    sent more than those; returns how many batches it keeps."""
    segment, = pathlib.Path(folder).glob("*.log")
    log = bytearray(segment.read_bytes())
    sent = max(_by_producer(log).values(), key=len)
    assert len(sent) > count, f"only {len(sent)} batches"
    for at, end in sent[-count:]:
        log[at + PRODUCER_AT:at + PRODUCER_AT + PRODUCER.size] = NOBODY
        struct.pack_into(">I", log, at + CHECKSUM_AT, crc32c(log[at + CHECKED_AT:end]))
    segment.write_bytes(log)
    for snapshot in pathlib.Path(folder).glob("*.snapshot"):  # what it remembers beside the log
        os.remove(snapshot)
    return len(sent) - count
