"""How much memory a daemon may take at most, made from the limits of its configuration, and how much it does take.

SPDX-License-Identifier: Apache-2.0
"""
from beside import Beside

MIB = 1024 * 1024
KIB = 1024

BASE = 32 * MIB  # an idle daemon: its code, the libraries', threads
BESIDE_A_CONNECTION = 4 * KIB  # what we and libmicrohttpd keep of it beside its pool
SURPLUS = 128  # connections beyond connections_max
KEPT_TWICE = 2  # what waits for Kafka is ours, for another try, and librdkafka's
UNEVEN = 1.5  # what the allocator keeps of what came and went
OF_OPERATORS = {"connections_max": 64, "senders": 64, "body_max": 4 * KIB}  # what a daemon without clients listens for
FETCHED = {"worker": 16 * MIB, "recorder": 32 * MIB, "delayer": 8 * MIB}  # FETCH_BYTES_MAX: read ahead of what is taken


def bound(kind, limits):
    """Bytes. `limits` are those of the configuration, in bytes: connections_max, connection_pool, body_max, send_queue (and
    how many send a body at the same time, when it is known that not all connections do: senders), for a worker held_max, consumers (its queues), in_flight and response_max, for a recorder batch_max and partitions."""
    count = limits["connections_max"] + SURPLUS
    connections = count * (limits["connection_pool"] + BESIDE_A_CONNECTION) + limits.get("senders", count) * limits["body_max"]
    of_its_own = FETCHED.get(kind, 0) * limits.get("consumers", 1)
    if kind == "worker":
        of_its_own += KEPT_TWICE * limits["held_max"] + limits["in_flight"] * limits["response_max"]
    if kind == "recorder":
        of_its_own += limits["batch_max"] * limits["partitions"]
    return int(BASE + UNEVEN * (connections + KEPT_TWICE * limits["send_queue"] + of_its_own))


def resident(pid):
    """Bytes of memory that a process has now."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) * KIB


class Watch(Beside):
    """Use as a context: most[name] is the most that was seen of each of these daemons, none of which may end meanwhile."""

    EVERY_S = 0.1

    def __init__(self, stack, names):
        super().__init__()
        self.stack = stack
        self.pids = {name: stack.pid(name) for name in names}
        self.most = dict.fromkeys(names, 0)

    def look(self):
        for name, pid in self.pids.items():
            try:
                self.most[name] = max(self.most[name], resident(pid))
            except OSError:
                return False  # judge() tells of it
        return True

    def judge(self):
        assert {name: self.stack.pid(name) for name in self.pids} == self.pids, "none has ended and been started again"

    def assert_bounded(self, limits):
        """None took more than its limits allow: `limits` are those of bound(), as far as clients come in the gateway's."""
        for name, most in self.most.items():
            kind = name.rpartition("-")[0]
            limit = bound(kind, limits if kind == "gateway" else limits | OF_OPERATORS)
            assert most <= limit, f"{name}: {most / MIB:.0f} MiB, at most {limit / MIB:.0f} are allowed"
