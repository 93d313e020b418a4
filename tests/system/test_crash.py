"""Anything may die at any moment: nothing that was accepted is lost, and no answer changes once given.

SPDX-License-Identifier: Apache-2.0
"""
import collections
import fcntl
import os
import struct
import threading

import pytest
import requests

import processes
from load import Load, assert_all_succeed, states
from stack import TERMINAL
from waiting import wait_until

RATE = 100


@pytest.fixture
def crash_stack(fresh_stack):
    return fresh_stack("apache", workers=2)


# proves P-21, P-35
def test_killed_under_load_nothing_is_lost(crash_stack, tmp_path):
    """A worker, the recorder and Redis's whole memory go, one after the other, while jobs come in."""
    stack = crash_stack
    load = Load(stack, "probe.call", {"simulate": "slow=50"}, tmp_path / "ids", rate=RATE)
    load.wait_accepted(RATE)
    worker = stack.kill("worker-1")
    load.wait_accepted(3 * RATE)
    recorder = stack.kill("recorder-1")
    load.wait_accepted(5 * RATE)
    before = {i: s for i, s in states(stack, load.ids()[:100]).items() if s in TERMINAL}
    stack.redis().flushall()
    ids = load.finish()
    assert len(ids) == len(set(ids))
    assert_all_succeed(stack, ids)
    assert states(stack, before) == before, "no answer changes once given"
    stack.wait_restarted("worker-1", worker)
    stack.wait_restarted("recorder-1", recorder)

    counts = collections.Counter(call["idempotency_key"] for call in stack.calls(path="/echo"))
    repeated = sum(count - 1 for count in counts.values())
    assert len(counts) >= len(ids), "every accepted job reached the third party"
    assert repeated <= RATE, f"{repeated} calls were repeated: more than can have been under way"


# proves P-9, P-52, P-53
def test_an_emptied_redis_is_rebuilt_to_the_same_answers(stack):
    jobs = [stack.submit("order.price", {"region": "DE", "lines": [{"sku": "pen", "quantity": n, "unit_cents": 99}]})
            for n in range(1, 40)]
    before = {job["id"]: stack.wait(job["id"]) for job in jobs}
    answers = {i: stack.read(i).content for i in before}
    stack.redis().flushall()
    seen = []

    def rebuilt():
        responses = {i: stack.read(i) for i in before}
        seen.extend(r.status_code for r in responses.values())
        return all(r.status_code == 200 for r in responses.values()) and responses
    after = wait_until(rebuilt, 60, "all answers are back")
    assert {i: r.content for i, r in after.items()} == answers, "byte for byte"
    assert set(seen) <= {200, 503}, "unknown for a moment, never a wrong answer"


def test_a_killed_gateway_comes_back_at_its_address(fresh_stack):
    stack = fresh_stack("embedded")
    address = stack.address("gateway-1")
    job = stack.submit("sentence.make", {"subject": "a survivor", "seed": 1})
    done = stack.wait(job["id"])
    pid = stack.kill("gateway-1")
    assert stack.wait_restarted("gateway-1", pid)["address"] == address
    assert requests.get(f"http://{address}/v1/jobs/{job['id']}", timeout=30).json() == done


def test_down_and_up_again_finds_the_same_jobs(fresh_stack):
    stack = fresh_stack("apache")
    job = stack.submit("sentence.make", {"subject": "a keeper", "seed": 1})
    done = stack.wait(job["id"])
    stack.down()
    assert not processes.of_folder(stack.folder)
    stack.up()
    assert stack.wait(job["id"]) == done


def test_up_waits_for_a_supervisor_that_is_dying(fresh_stack):
    """A killed process holds its locks until its last thread has ended."""
    stack = fresh_stack("embedded")
    stack.down()
    with open(os.path.join(stack.folder, "lock"), "r+b") as dying:
        fcntl.fcntl(dying, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        soon = threading.Timer(1, dying.close)
        soon.start()
        stack.up()
        soon.join()
    assert stack.wait(stack.submit("sentence.make", {"subject": "a stack", "seed": 1})["id"])["state"] == "succeeded"
