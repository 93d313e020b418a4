"""Thousands of connections from one process, each from one of several addresses of this machine.

SPDX-License-Identifier: Apache-2.0
"""
import re
import resource
import select
import socket

from waiting import wait_until

PER_ADDRESS = 500
FILES_BESIDE = 500


class Crowd:
    """Use as a context; then say() what all that are still open say, and see what became of them in `answers`."""

    def __init__(self, address, count):
        self.address = address
        self.count = count
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = count + FILES_BESIDE
        assert hard == resource.RLIM_INFINITY or hard >= wanted, f"this needs {wanted} open files; ulimit -Hn says {hard}"
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        self.open = {}  # {descriptor: socket}
        self.answers = {}  # {descriptor: what came since it spoke}
        self.epoll = select.epoll()

    def __enter__(self):
        for n in range(self.count):
            one = socket.create_connection(self.address, timeout=60, source_address=(f"127.0.3.{1 + n // PER_ADDRESS}", 0))
            one.setblocking(False)
            self.open[one.fileno()] = one
            self.epoll.register(one.fileno(), select.EPOLLIN | select.EPOLLRDHUP)
            self.look(0)
        return self

    def __exit__(self, kind, error, trace):
        for one in self.open.values():
            one.close()
        self.epoll.close()

    def look(self, wait_s=0.1):
        """Reads what has come, forgets those that were closed."""
        for number, _ in self.epoll.poll(wait_s):
            try:
                piece = self.open[number].recv(65536)
            except ConnectionError:
                piece = b""
            self.answers[number] = self.answers.get(number, b"") + piece
            if not piece:
                self.epoll.unregister(number)
                self.open.pop(number).close()

    def say(self, request, deadline_s):
        """Returns the statuses of the answers of those that are open, of each by its last one; 0: it was closed instead."""
        speakers = set(self.open)
        self.answers = {number: b"" for number in speakers}
        for number in speakers:
            try:
                self.open[number].sendall(request)
            except ConnectionError:
                pass
        seen = {}

        def all_answered():
            self.look()
            for number in speakers - set(seen):
                status = re.match(rb"HTTP/1\.1 (\d{3}) .*?\r\n\r\n", self.answers[number], re.S)
                if status:
                    seen[number] = int(status[1])
                elif number not in self.open:
                    seen[number] = 0
            return len(seen) == len(speakers)
        wait_until(all_answered, deadline_s, f"{len(speakers)} connections hear an answer")
        return list(seen.values())
