"""What stands between a server and its clients, on this machine.

SPDX-License-Identifier: Apache-2.0
"""
import asyncio
import threading

PIECE = 64 * 1024


class Between:
    """Use as a context: listens at `listen()` and passes on what comes to the address that `inner` has by then."""

    inner = None  # (host, port)

    def __init__(self):
        self.server = None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def listen(self, host="127.0.0.1", port=0):
        """Returns the port, or None when it is taken."""
        if not self.thread.is_alive():
            self.thread.start()
        try:
            self.server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, host, port), self.loop).result(20)
        except OSError:
            return None
        return self.server.sockets[0].getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result(20)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def _end(self):
        if self.server:
            self.server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        try:
            inner_reader, inner_writer = await asyncio.open_connection(*self.inner)
        except OSError:  # it has not begun yet
            writer.close()
            return
        await asyncio.gather(self._pass(self.requests(reader, inner_writer, writer), inner_writer),
                             self._pass(self.answers(inner_reader, writer), writer))

    @staticmethod
    async def _pass(passing, writer):
        try:
            await passing
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def requests(self, reader, inner, outer):
        """Passes on what a client sends, to the server (`inner`), until there is no more; may answer itself (`outer`)."""
        raise NotImplementedError

    async def answers(self, reader, outer):
        """Passes on what the server sends, until there is no more."""
        while data := await reader.read(PIECE):
            outer.write(data)
            await outer.drain()
