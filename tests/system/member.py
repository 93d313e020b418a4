"""A member of a consumer group that does as told and no more: Kafka's protocol by hand (JoinGroup 2, SyncGroup 1, Heartbeat 1),
because clients that mean well cannot be made to hang in the middle of a rebalance.

SPDX-License-Identifier: Apache-2.0
"""
import socket
import struct
import threading

JOIN, HEARTBEAT, SYNC = 11, 12, 14
HEARTBEAT_EVERY_S = 0.5
REJOIN_MS = 1000  # what it wants others to wait for it; the longest wish of a member counts


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def blob(value):
    return struct.pack(">i", len(value)) + value


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, code):
        value, = struct.unpack_from(">" + code, self.data, self.at)
        self.at += struct.calcsize(code)
        return value

    def text(self):
        size = self.number("h")
        self.at += size
        return self.data[self.at - size:self.at].decode()


class Member:
    """Joined when made, for which the others have to come too; heartbeats go out until it is closed, on a connection of their own."""

    def __init__(self, broker, group, topic, session_ms, limit_s):
        self.group, self.over = group, threading.Event()
        self.broker = broker.rsplit(":", 1)
        self.socket = socket.create_connection((self.broker[0], int(self.broker[1])), timeout=limit_s)
        subscription = struct.pack(">hi", 0, 1) + text(topic) + blob(b"")
        answer = self.ask(self.socket, JOIN, 2, text(group) + struct.pack(">ii", session_ms, REJOIN_MS) + text("")
                          + text("consumer") + struct.pack(">i", 1) + text("roundrobin") + blob(subscription))
        answer.number("i")  # throttled for so long
        assert answer.number("h") == 0, f"{group} does not take it in"
        self.generation = answer.number("i")
        answer.text()
        answer.text()
        self.identity = answer.text()

    @staticmethod
    def ask(connection, key, version, body):
        request = struct.pack(">hhi", key, version, 1) + text("a-test's-member") + body
        connection.sendall(blob(request))
        answer = b""
        while len(answer) < 4 or len(answer) < 4 + struct.unpack_from(">i", answer)[0]:
            piece = connection.recv(65536)
            assert piece, "the broker closed the connection"
            answer += piece
        return Reader(answer[8:])

    def sync(self):
        """Takes what is assigned to it, and does nothing about it."""
        self.ask(self.socket, SYNC, 1, text(self.group) + struct.pack(">i", self.generation) + text(self.identity) + struct.pack(">i", 0))

    def live(self):
        """Heartbeats from now on, whatever the group says."""
        def beat():
            with socket.create_connection((self.broker[0], int(self.broker[1])), timeout=10) as connection:
                while not self.over.wait(HEARTBEAT_EVERY_S):
                    self.ask(connection, HEARTBEAT, 1, text(self.group) + struct.pack(">i", self.generation) + text(self.identity))
        self.beating = threading.Thread(target=beat, daemon=True)
        self.beating.start()

    def close(self):
        self.over.set()
        self.socket.close()
