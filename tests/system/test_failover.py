"""Redis with a replica: the master dies, the replica is promoted, and nobody is told anything that is not so.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal
import socket
import subprocess

import pytest
import redis

from chaos import RATE, Chaos, assert_clean, submit_told
from stack import identity
from waiting import wait_until

pytestmark = pytest.mark.loaded

PASSWORD = "a-test-s-own"
QUICK = ("sentence.make", {"subject": "a record", "seed": 1})


class Server:
    """A redis-server of the test's own."""

    def __init__(self, folder):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        os.mkdir(folder)
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", PASSWORD, "--masterauth",
             PASSWORD, "--save", "", "--repl-diskless-sync-delay", "0", "--dir", str(folder)],
            stdout=subprocess.DEVNULL)
        self.client = redis.Redis(port=self.port, password=PASSWORD, socket_timeout=10)
        wait_until(self.answers, 20, "redis-server answers")

    def answers(self):
        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def pair(tmp_path):
    """A master and its replica."""
    first, second = Server(tmp_path / "first"), Server(tmp_path / "second")
    second.client.replicaof("127.0.0.1", first.port)
    wait_until(lambda: second.client.info("replication")["master_link_status"] == "up", 20, "the replica follows")
    yield first, second
    first.kill()
    second.kill()


def read_is_true(stack, before):
    """Whether the job is read as it was; if not it is a 503, and nothing else."""
    response = stack.read(before["id"])
    assert response.status_code in (200, 503), response.text
    if response.status_code == 503:
        assert response.json()["code"] in ("view_unavailable", "view_behind") and response.headers["Retry-After"]
        return False
    assert response.json() == before
    return True


# proves P-9, P-52
def test_a_promoted_replica_heals_reads_and_submissions_never_stop(fresh_stack, pair):
    first, second = pair
    addresses = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
    stack = fresh_stack("embedded", options=["--redis", f"redis://:{PASSWORD}@{addresses}", "--no-restart"])
    done = [stack.wait(stack.submit(*QUICK)["id"]) for _ in range(20)]
    first.client.wait(1, 5000)
    first.kill()
    meanwhile = [stack.submit(*QUICK) for _ in range(10)]
    wait_until(lambda: not read_is_true(stack, done[0]), 30, "reads say that they cannot know")
    meanwhile += [stack.submit(*QUICK) for _ in range(10)]
    second.client.replicaof("NO", "ONE")
    wait_until(lambda: all([read_is_true(stack, job) for job in done]), 30, "finished jobs are read as before")
    for job in meanwhile:
        assert stack.wait(job["id"])["state"] == "succeeded"
    wait_until(lambda: stack.is_ready("recorder-1"), 30, "the view is whole again")
    assert stack.errand("status").returncode == 0
    last = stack.submit(*QUICK, idempotency_key="after the failover", wait_s=10)
    assert last["state"] == "succeeded", "claims, gate and view are on the new master"
    assert second.client.exists(f"errand:r:{identity(last['id'])}")


def falls_behind(first, second):
    """The replica hears no more of its master, and keeps what it has."""
    second.client.config_set("masterauth", "wrong")
    first.client.client_kill_filter(_type="slave")
    wait_until(lambda: second.client.info("replication")["master_link_status"] == "down", 20, "the replica is on its own")


def done_jobs(stack, lines, count):
    return [stack.wait(submit_told(stack, lines, *QUICK).json()["id"]) for _ in range(count)]


# proves P-9, P-52, P-53
def test_a_replica_that_is_behind_is_promoted_under_load_and_nobody_sees_a_state_go_back(fresh_stack, swift_bin, pair, tmp_path):
    first, second = pair
    addresses = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
    stack = fresh_stack("apache", workers=2, programs=swift_bin, options=["--redis", f"redis://:{PASSWORD}@{addresses}"])
    chaos = Chaos(stack, tmp_path, RATE, duration_s=120, seed=41)
    with chaos:
        known = done_jobs(stack, chaos.others, 10)
        first.client.wait(1, 5000)
        falls_behind(first, second)
        chaos.let_run(3)
        missed = done_jobs(stack, chaos.others, 10)
        with chaos.fault("failover", "redis"):
            recorder = stack.signal("recorder-1", signal.SIGSTOP)
            try:
                first.kill()
                chaos.let_run(1)
                second.client.replicaof("NO", "ONE")
                wait_until(lambda: all([read_is_true(stack, job) for job in known]), 30, "what the replica has is read as before")
                assert not any([read_is_true(stack, job) for job in missed]), "the rest cannot be known yet"
            finally:
                os.kill(recorder, signal.SIGCONT)
            wait_until(lambda: all([read_is_true(stack, job) for job in known + missed]), 30, "all is read as before")
        chaos.let_run(1)
        chaos.end_loads()
    told = [line["status"] for line in chaos.history() if line["do"] == "submitted"]
    assert set(told) == {202}, "submissions go on"
    assert_clean(chaos.verdict())
    assert all([read_is_true(stack, job) for job in known + missed])


# proves P-9, P-52
def test_a_master_that_was_made_a_replica_is_left_by_those_who_only_read(fresh_stack, pair):
    first, second = pair
    addresses = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
    stack = fresh_stack("embedded", options=["--redis", f"redis://:{PASSWORD}@{addresses}", "--no-restart"])
    done = stack.wait(stack.submit(*QUICK)["id"])
    first.client.wait(1, 5000)
    second.client.replicaof("NO", "ONE")
    first.client.replicaof("127.0.0.1", second.port)
    later = stack.submit(*QUICK)
    assert stack.wait(later["id"])["state"] == "succeeded"
    wait_until(lambda: read_is_true(stack, done), 30, "the finished job is read as before")
    for name in ("gateway-1", "worker-1", "recorder-1"):
        wait_until(lambda name=name: stack.is_ready(name), 30, f"{name} is ready")
    wait_until(lambda: not [c for c in first.client.client_list() if c["name"] == "errand"], 30,
               "nobody of ours is left at the old master")
