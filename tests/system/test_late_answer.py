"""The gate is asked by a new owner whether a command was begun before. It claims the command for the one who asks, and its answer
comes too late; when it is asked again it tells of that claim.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal

import pytest

from groups import members
from guests import Guests
from late_redis import LateRedis
from load import submit_many
from stack import NAMESPACE, headers_of
from waiting import wait_until

JOBS = 20
# More than redis.gate_timeout, less than twice as long; and more than all three of them, when the gate counts as silent: for whom a
# rebalance on the way takes the partition, for whom has it then, and when it is asked anew because the view knows what had finished.
LATE = {"once": [0.4], "silent": [1.2] * 3}


@pytest.fixture
def guests(stack):
    with Guests(stack) as some:
        yield some


def identity(job_id):
    return job_id.replace("-", "")[:24]


def all_is_over(stack, guests, ids, slow):
    for job_id in ids:
        assert stack.wait(job_id)["state"] == "succeeded"
    stack.request("DELETE", f"/v1/jobs/{slow['id']}")
    assert stack.wait(slow["id"])["state"] == "cancelled"
    guests.all[0].terminate()
    guests.all[0].wait(20)


def published(stack, ids):
    return set(ids) <= {headers_of(record).get("ce_subject") for record in stack.kafka("replies.probe")}


def one_call_each(stack, ids):
    called = [call["idempotency_key"] for call in stack.calls(path="/echo")]
    assert {job_id: called.count(job_id) for job_id in ids} == dict.fromkeys(ids, 1)


# proves P-38f
@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_what_had_finished_is_not_done_again_because_the_gate_s_answer_was_late(stack, guests, tmp_path, late):
    """A worker is told to stop; another, whose Redis is late, gets its partition. A job that runs keeps it from committing the
    others, and the view does not know of them."""
    recorder = stack.signal("recorder-1", signal.SIGSTOP)
    try:
        slow = stack.submit("probe.call", {"simulate": "slow=20000"})
        ids = submit_many(stack, tmp_path, {"n": 1}, JOBS)
        wait_until(lambda: published(stack, ids), 30, "every outcome is in the log")
        with LateRedis(stack, identity(ids[0]), late) as redis, stack.nobody_restarted():
            pid = stack.signal("worker-1", signal.SIGTERM)
            guests.come(ERRAND_REDIS_ADDRESSES=f"127.0.0.1:{redis.listen()}", ERRAND_WORKER_REDELIVERY_WAIT="30s")
            assert redis.asked_again.wait(30)
            os.kill(recorder, signal.SIGCONT)
            all_is_over(stack, guests, ids, slow)
    finally:
        os.kill(recorder, signal.SIGCONT)
    stack.wait_restarted("worker-1", pid)
    one_call_each(stack, ids)


# proves P-38f
def test_what_had_finished_is_not_done_again_because_its_claim_is_lost(stack, guests, tmp_path):
    """The same, and the gate answers at once; but Redis has forgotten who claimed the jobs, or was away when they began."""
    recorder = stack.signal("recorder-1", signal.SIGSTOP)
    try:
        slow = stack.submit("probe.call", {"simulate": "slow=20000"})
        ids = submit_many(stack, tmp_path, {"n": 1}, JOBS)
        wait_until(lambda: published(stack, ids), 30, "every outcome is in the log")
        with stack.nobody_restarted():
            pid = stack.kill("worker-1")
            assert stack.redis().delete(*(f"{NAMESPACE}:g:{identity(job_id)}" for job_id in ids)) == JOBS
            name, _ = guests.come(ERRAND_WORKER_REDELIVERY_WAIT="30s")
            wait_until(lambda: name in members(stack, f"{NAMESPACE}.worker.probe"), 30, "it has the partition")
            wait_until(lambda: stack.redis().exists(f"{NAMESPACE}:g:{identity(ids[0])}"), 30, "it has asked the gate")
            os.kill(recorder, signal.SIGCONT)
            all_is_over(stack, guests, ids, slow)
    finally:
        os.kill(recorder, signal.SIGCONT)
    stack.wait_restarted("worker-1", pid)
    one_call_each(stack, ids)
