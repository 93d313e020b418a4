"""What stands between a broker and everybody else.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import socket

from between import Between
from waiting import wait_until


class BetweenKafka(Between):
    """On a stack with one Apache broker: the broker moves to another port and goes on telling the old one, at which this
    listens."""

    def __init__(self, stack):
        super().__init__()
        self.stack = stack

    def __enter__(self):
        host, port = self.stack.address("broker").rsplit(":", 1)
        with self.stack.nobody_restarted():
            pid = self.stack.kill("broker")
            self._move_broker(port)
            wait_until(lambda: self.listen(host, int(port)), 20, "the broker has left its port")
        self.stack.wait_restarted("broker", pid, deadline_s=60)
        return self

    def _move_broker(self, port):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.inner = one.getsockname()
        path = os.path.join(self.stack.folder, "kafka", "server.properties")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        text, moved = re.subn(rf"^(listeners=PLAINTEXT://127\.0\.0\.1:){port},", rf"\g<1>{self.inner[1]},", text, flags=re.M)
        assert moved == 1 and f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n" in text
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
