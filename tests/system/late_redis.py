"""A Redis some of whose answers come too late, and one that hears too late what it is asked.

SPDX-License-Identifier: Apache-2.0
"""
import asyncio
import threading

from between import PIECE, Between


class BeforeRedis(Between):
    def __init__(self, stack):
        super().__init__()
        host, port = stack.address("redis").rsplit(":", 1)
        self.inner = host, int(port)


class LateRedis(BeforeRedis):
    """What the nth connection that names `word` is answered after it has done so comes `late[n]` seconds late."""

    def __init__(self, stack, word, late):
        super().__init__(stack)
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


class HeldRedis(BeforeRedis):
    """The first request that names what hold() was told does not reach Redis before release(), nor does what its connection asks
    after it."""

    def __init__(self, stack):
        super().__init__(stack)
        self.word = None
        self.holder = None  # the connection to the client
        self.released = asyncio.Event()
        self.held, self.done = threading.Event(), threading.Event()  # it has come; it has been answered

    def hold(self, word):
        self.word = word.encode()

    def release(self):
        self.loop.call_soon_threadsafe(self.released.set)

    async def requests(self, reader, inner, outer):
        while data := await reader.read(PIECE):
            if self.word and self.word in data and not self.held.is_set():
                self.held.set()
                await self.released.wait()
                self.holder = outer
            inner.write(data)
            await inner.drain()

    async def answers(self, reader, outer):
        while data := await reader.read(PIECE):
            outer.write(data)
            await outer.drain()
            if outer is self.holder:
                self.done.set()
