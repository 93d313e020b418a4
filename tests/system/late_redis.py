"""A Redis that does what it is asked, and some of whose answers come too late.

SPDX-License-Identifier: Apache-2.0
"""
import asyncio
import threading

from between import PIECE, Between


class LateRedis(Between):
    """What the nth connection that names `word` is answered after it has done so comes `late[n]` seconds late."""

    def __init__(self, stack, word, late):
        super().__init__()
        host, port = stack.address("redis").rsplit(":", 1)
        self.inner = host, int(port)
        self.word = word.encode()
        self.late = list(late)
        self.late_until = {}  # by the connection to the client
        self.asked = 0
        self.asked_again = threading.Event()

    async def requests(self, reader, inner, outer):
        while data := await reader.read(PIECE):
            if self.word in data:
                self.asked += 1
                if self.late and outer not in self.late_until:
                    self.late_until[outer] = self.loop.time() + self.late.pop(0)
                if self.asked > 1:
                    self.asked_again.set()
            inner.write(data)
            await inner.drain()

    async def answers(self, reader, outer):
        while data := await reader.read(PIECE):
            await asyncio.sleep(self.late_until.get(outer, 0) - self.loop.time())
            outer.write(data)
            await outer.drain()
