"""A broker that refuses one request and takes the next, as it does in the moment in which it becomes the leader.

SPDX-License-Identifier: Apache-2.0
"""
import struct
import threading

from between_kafka import BetweenKafka

PRODUCE = 0
VERSIONS = range(5, 9)  # of that request, whose answer is known here
NOT_LEADER = 6


class RefusingKafka(BetweenKafka):
    """Keeps the first request that brings records to the topic (of one partition) from the broker, until the next one is there:
    then answers it that the broker does not lead the partition, and passes the next one on."""

    def __init__(self, stack, topic):
        super().__init__(stack)
        self.topic = topic.encode()
        self.held = None  # (version, correlation id)
        self.is_held, self.is_refused = threading.Event(), threading.Event()

    def _refusal(self):
        version, correlation = self.held
        partition = struct.pack(">ihqqq", 0, NOT_LEADER, -1, -1, -1) + (struct.pack(">ih", 0, -1) if version >= 8 else b"")
        body = struct.pack(">iih", correlation, 1, len(self.topic)) + self.topic + struct.pack(">i", 1) + partition + struct.pack(">i", 0)
        return struct.pack(">i", len(body)) + body

    async def requests(self, reader, inner, outer):
        while True:
            size = await reader.readexactly(4)
            request = await reader.readexactly(struct.unpack(">i", size)[0])
            api, version, correlation = struct.unpack(">hhi", request[:8])
            brings = api == PRODUCE and self.topic in request and not self.is_refused.is_set()
            if brings and not self.is_held.is_set():
                assert version in VERSIONS, version
                self.held = version, correlation
                self.is_held.set()
                continue
            if brings:
                outer.write(self._refusal())
                self.is_refused.set()
            inner.write(size + request)
            await inner.drain()
