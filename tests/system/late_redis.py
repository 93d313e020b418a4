"""A Redis that does what it is asked, and whose answer comes too late, once.

SPDX-License-Identifier: Apache-2.0
"""
import asyncio
import threading

from between import PIECE, Between

LATE_S = 0.4  # more than redis.gate_timeout, less than twice as long


class LateRedis(Between):
    """What a connection is answered after it has named `word` for the first time comes late."""

    def __init__(self, stack, word):
        super().__init__()
        host, port = stack.address("redis").rsplit(":", 1)
        self.inner = host, int(port)
        self.word = word.encode()
        self.late_until = {}  # by the connection to the client
        self.asked = 0
        self.asked_again = threading.Event()

    async def requests(self, reader, inner, outer):
        while data := await reader.read(PIECE):
            if self.word in data:
                self.asked += 1
                if self.asked == 1:
                    self.late_until[outer] = self.loop.time() + LATE_S
                else:
                    self.asked_again.set()
            inner.write(data)
            await inner.drain()

    async def answers(self, reader, outer):
        while data := await reader.read(PIECE):
            await asyncio.sleep(self.late_until.get(outer, 0) - self.loop.time())
            outer.write(data)
            await outer.drain()
