"""Every daemon is restarted, one after the other, as a deployment does: nobody is refused or told of an outage, nothing is done
twice, no job waits long.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import random
import signal
import socket
import threading
import time

import pytest

import processes
from chaos import KINDS, RATE, Chaos, assert_clean, mark
from client import Client
from moments import instant
from stack import TERMINAL
from waiting import wait_until

pytestmark = pytest.mark.loaded

SEED = 60
CLIENTS = 12
PAUSE_S_MAX = 0.1  # of a client, so that some have nothing under way when their connection is closed
DELAY_S = 2.5  # of some: so long that they wait with the delayer
DELAYED_MAX_S = 10
DAEMONS = ["gateway-1", "worker-1", "recorder-1", "worker-2", "delayer-1"]
WORKERS = ["worker-1", "worker-2"]


class Careful(threading.Thread):
    """Submits and reads, one job after the other, until it is told to end. What it cannot get it raises."""

    def __init__(self, stack, number, over):
        super().__init__(daemon=True)
        self.client = Client(stack, f"careful-{number}")
        self.over = over
        self.chance = random.Random(SEED + number)
        self.jobs = []
        self.failure = None

    def one(self, n):
        later = {"delay": DELAY_S} if n % 3 == 0 else {}
        status, job = self.client.submit("probe.call", {"n": n}, key=f"{self.client.name}-{n}", **later)
        assert status in (200, 202), (status, job)
        self.jobs.append(job["id"])
        for wait_s in (0, 1, 0):
            self.over.wait(self.chance.uniform(0, PAUSE_S_MAX))
            status, job = self.client.read(self.jobs[-1], wait_s)
            assert status == 200, (status, job)

    def run(self):
        n = 0
        try:
            while not self.over.is_set():
                n += 1
                self.one(n)
        except (AssertionError, OSError) as error:
            self.failure = f"{self.client.name}: {type(error).__name__} {error}"


def ended(client, job_id):
    def terminal():
        status, job = client.read(job_id, wait_s=5)
        return job if status == 200 and job["state"] in TERMINAL else None
    return wait_until(terminal, 60, f"{job_id} ends")


def suspected(stack):
    """Of each worker, by its pid, how many jobs came to it that may have killed another."""
    return {stack.pid(name): stack.metric(name, "errand_suspects_total") for name in WORKERS}


# proves P-16a, P-35a, P-53
def test_every_daemon_is_restarted_under_load_and_nobody_notices(swift_stack, tmp_path, long_run):
    """There are no fault lines in the history: no call may be made twice."""
    rounds = 5 if long_run else 1
    kinds = [(job_type, payload, [*options, "--careful"], share) for job_type, payload, options, share in KINDS]
    chaos = Chaos(swift_stack, tmp_path, RATE, duration_s=120 * rounds, seed=SEED, kinds=kinds, since=mark(swift_stack, tmp_path))
    over = threading.Event()
    clients = [Careful(swift_stack, number, over) for number in range(CLIENTS)]
    took, suspects = {}, suspected(swift_stack)
    with chaos:
        for client in clients:
            client.start()
        for name in DAEMONS * rounds:
            began = time.monotonic()
            pid = swift_stack.signal(name, signal.SIGTERM)
            swift_stack.wait_restarted(name, pid, deadline_s=60)
            took[name] = max(took.get(name, 0), round(time.monotonic() - began, 1))
            chaos.let_run(0.5, 1)
            before, suspects = suspects, suspected(swift_stack)
            assert all(count == before.get(pid, 0) for pid, count in suspects.items()), "a restart suspects nobody"
        over.set()
        for client in clients:
            client.join(60)
        chaos.end_loads()
    jobs = [ended(client.client, job) for client in clients for job in client.jobs]
    chaos.others += [line for client in clients for line in client.client.lines]
    verdict = chaos.verdict()
    lives = chaos.lives(len(KINDS))
    longest_ms = max(done - at for at, done in lives)
    late_s = [instant(job["finished_at"]) - instant(job.get("run_at") or job["created_at"]) for job in jobs]
    told = [line for line in chaos.history() + chaos.others if line["do"] in ("submitted", "read")]
    retried = sum(client.client.retried for client in clients)
    print(f"restarted in {took} s; {len(lives)} jobs, the longest took {longest_ms} ms; {len(jobs)} of careful clients, the latest by "
          f"{max(late_s):.2f} s, {retried} requests sent again, {len(told)} answers; "
          f"repeats {verdict['repeats']} of {verdict['repeats_bound']}")
    assert not [client.failure for client in clients if client.failure], [client.failure for client in clients]
    wrong = [line for line in told if not 0 < line["status"] < 500]
    assert not wrong, f"{len(wrong)} of {len(told)}: {wrong[:5]}"
    assert_clean(verdict)
    assert longest_ms <= DELAYED_MAX_S * 1000 and max(late_s) <= DELAYED_MAX_S


class Raw:
    """A connection on which a request can be left half sent."""

    def __init__(self, stack):
        host, port = stack.address("gateway-1").rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.file = self.socket.makefile("rb")

    def send(self, text):
        self.socket.sendall(text.encode())
        return self

    def answer(self):
        """(status, {header: value}, body)"""
        status = int(self.file.readline().split()[1])
        headers = {}
        while (line := self.file.readline().decode().strip()):
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, self.file.read(int(headers.get("content-length", 0)))


BODY = json.dumps({"type": "order.price", "payload": {"region": "DE", "lines": [{"sku": "pen", "quantity": 1, "unit_cents": 199}]}})
POST = f"POST /v1/jobs HTTP/1.1\r\nHost: errand\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"


def get(job_id):
    return f"GET /v1/jobs/{job_id} HTTP/1.1\r\nHost: errand\r\n\r\n"


# proves P-16a
def test_who_comes_before_the_gateway_is_ready_waits_for_it(stack):
    """They connect while no gateway runs: the supervisor holds the socket, and the next gateway hears them before Kafka and Redis."""
    job_id = stack.submit("order.price", {"region": "DE", "lines": [{"sku": "pen", "quantity": 1, "unit_cents": 199}]}, wait_s=10)["id"]
    with stack.nobody_restarted():
        pid = stack.kill("gateway-1")
        early = [Raw(stack).send(text) for text in [get(job_id), POST + "\r\n" + BODY, POST + 'Idempotency-Key: "early"\r\n\r\n' + BODY]]
    answers = [connection.answer() for connection in early]
    assert [status for status, _, _ in answers] == [200, 202, 202], answers
    stack.wait_restarted("gateway-1", pid)
    for _, _, body in answers:
        assert stack.wait(json.loads(body)["id"])["state"] == "succeeded"


# proves P-16a
def test_who_comes_while_the_gateway_ends_is_served(stack):
    """On connections that were open before; each answer closes its own. One request that is half sent holds the gateway that long. Who
    has asked nothing finds its connection closed, and is heard when it asks again."""
    job_id = stack.submit("order.price", {"region": "DE", "lines": [{"sku": "pen", "quantity": 1, "unit_cents": 199}]}, wait_s=10)["id"]
    idle = [Client(stack, f"idle-{n}") for n in range(2)]
    for client in idle:
        assert client.read(job_id)[0] == 200
    slow, *others = [Raw(stack) for _ in range(5)]
    for connection in others:
        assert connection.send(get(job_id)).answer()[0] == 200
    slow.send(POST + "Expect: 100-continue\r\n\r\n" + BODY[:10])
    assert slow.answer()[0] == 100
    log = os.path.join(stack.folder, "log", "gateway-1.log")
    begun = os.path.getsize(log)
    pid = stack.signal("gateway-1", signal.SIGTERM)

    def draining():
        with open(log, encoding="utf-8") as file:
            file.seek(begun)
            return "draining" in file.read()
    wait_until(draining, 10, "the gateway is ending")
    for connection, text, expected in zip(others, [get(job_id), POST + "\r\n" + BODY, POST + 'Idempotency-Key: "late"\r\n\r\n' + BODY,
                                                   f"DELETE /v1/jobs/{job_id} HTTP/1.1\r\nHost: errand\r\n\r\n"], [200, 202, 202, 409]):
        status, headers, body = connection.send(text).answer()
        assert status == expected and headers["connection"] == "close", (status, headers, body)
        assert connection.file.read() == b""
    assert processes.is_alive(pid)
    assert slow.send(BODY[10:]).answer()[0] == 202
    stack.wait_restarted("gateway-1", pid)
    assert idle[0].read(job_id)[0] == 200
    assert idle[1].submit("order.price", json.loads(BODY)["payload"], key="idle")[0] == 202
    assert [client.retried for client in idle] == [1, 1]
