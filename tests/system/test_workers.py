"""Who works: what the gateway tells of workers, held against Kafka's groups and the processes themselves.

SPDX-License-Identifier: Apache-2.0
"""
import json
import signal
import socket
import time

import pytest
from confluent_kafka.admin import AdminClient

import processes
from stack import NAMESPACE
from waiting import wait_until

SESSION_S = 6  # kafka.session_timeout
BOTH = ["worker-1", "worker-2"]


@pytest.fixture(scope="module")
def own(module_stack):
    return module_stack("apache", workers=2)


def workers(stack):
    response = stack.request("GET", "/v1/workers")
    assert response.status_code == 200, response.text
    return {worker["name"]: worker for worker in response.json()["workers"]}


def assigned(stack, pids):
    """{name: how many partitions Kafka says the process's clients have}; a client id is the process's name."""
    admin = AdminClient({"bootstrap.servers": stack.brokers()})
    groups = [g.group_id for g in admin.list_consumer_groups().result(20).valid if f"{NAMESPACE}.worker." in g.group_id]
    found = dict.fromkeys(pids, 0)
    for described in admin.describe_consumer_groups(groups).values():
        for member in described.result(20).members:
            if member.client_id in found:
                found[member.client_id] += len(member.assignment.topic_partitions)
    return found


# proves P-24
def test_workers_are_told_as_they_are(own):
    stack = own
    wait_until(lambda: sorted(workers(stack)) == BOTH, 30, "both are told")
    pids = {name: stack.pid(name) for name in BOTH}
    jobs = [stack.submit("probe.call", {"simulate": "slow=8000"}) for _ in range(5)]
    wait_until(lambda: sum(worker["in_flight"] for worker in workers(stack).values()) == len(jobs), 20, "what runs is told")
    wait_until(lambda: {name: worker["partitions"] for name, worker in workers(stack).items()} == assigned(stack, pids), 30,
               "their partitions are those that Kafka says")
    version = stack.errand("version").stdout.split()[1]
    for name, worker in workers(stack).items():
        assert worker["pid"] == pids[name] and worker["host"] == socket.gethostname()
        assert version in worker["version"] or worker["version"] in version
        assert "probe" in worker["queues"] and "line" in worker["queues"]
        assert 0 <= worker["beat_seconds_ago"] < SESSION_S / 2
        assert stack.redis().get(f"{NAMESPACE}:i:{worker['incarnation']}").startswith(b"alive ")
    for job in jobs:
        assert stack.wait(job["id"])["state"] == "succeeded"
    wait_until(lambda: not sum(worker["in_flight"] for worker in workers(stack).values()), 20, "nothing runs any more")
    told = json.loads(stack.errand("workers", "-o", "json").stdout)
    assert told["schema"] == "errand.workers/1" and [worker["name"] for worker in told["workers"]] == BOTH
    lines = stack.errand("workers").stdout.splitlines()
    assert lines[0].split()[0] == "NAME" and [line.split()[0] for line in lines[1:]] == BOTH
    stack.redis().flushall()
    wait_until(lambda: sorted(workers(stack)) == BOTH, SESSION_S, "they are back with their next beat")


# proves P-24
def test_one_that_was_killed_vanishes_and_one_that_was_stopped_at_once(own):
    stack = own
    wait_until(lambda: sorted(workers(stack)) == BOTH, 30, "both are told")
    with stack.nobody_restarted():
        stack.kill("worker-1")
        died = time.monotonic()
        assert "worker-1" in workers(stack), "nobody knows yet"
        wait_until(lambda: sorted(workers(stack)) == ["worker-2"], SESSION_S / 2 + 1, "it has vanished")
        assert time.monotonic() - died < SESSION_S / 2 + 1
        pid = stack.signal("worker-2", signal.SIGTERM)
        wait_until(lambda: not processes.is_alive(pid), 20, "the other one ends")
        assert workers(stack) == {}, "it took its leave before it ended"
    wait_until(lambda: sorted(workers(stack)) == BOTH, 30, "both are there again")
    assert all(worker["pid"] == stack.pid(name) for name, worker in workers(stack).items())
