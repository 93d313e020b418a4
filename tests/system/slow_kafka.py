"""A broker that is far away: a little at a time is let through, when told so. What Toxiproxy's bandwidth toxic
does, without another language's tools in the tests.

SPDX-License-Identifier: Apache-2.0
"""
import asyncio

from between import PIECE
from between_kafka import BetweenKafka

SLOW_PIECE = 16 * 1024


class SlowKafka(BetweenKafka):
    """With delay_s above 0 each piece of up to 16 KiB takes so long, in both directions."""

    delay_s = 0

    async def _pass_slowly(self, reader, writer):
        while data := await reader.read(SLOW_PIECE if self.delay_s else PIECE):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            writer.write(data)
            await writer.drain()

    async def requests(self, reader, inner, outer):
        await self._pass_slowly(reader, inner)

    async def answers(self, reader, outer):
        await self._pass_slowly(reader, outer)
