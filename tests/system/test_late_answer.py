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
from stack import NAMESPACE, headers_of, identity
from waiting import wait_until

JOBS = 20
# More than redis.gate_timeout, less than twice as long; and more than all three of them, when the gate counts as silent: for whom a
# rebalance on the way takes the partition, for whom has it then, and when it is asked anew because the view knows what had finished.
LATE = {"once": [0.4], "silent": [1.2] * 3}


@pytest.fixture
def guests(stack):
    with Guests(stack) as some:
        yield some


class Unseen:
    """Jobs that have ended, of which the view does not know, since the recorder stands still; one more that runs keeps their worker
    from committing them. Use as a context, which ends with a recorder that goes on."""

    def __init__(self, stack, folder):
        self.stack = stack
        self.folder = folder

    def __enter__(self):
        self.recorder = self.stack.signal("recorder-1", signal.SIGSTOP)
        try:
            self.slow = self.stack.submit("probe.call", {"simulate": "slow=20000"})
            self.ids = submit_many(self.stack, self.folder, {"n": 1}, JOBS)
            wait_until(self.published, 30, "every outcome is in the log")
        except BaseException:
            self.__exit__()
            raise
        return self

    def published(self):
        return set(self.ids) <= {headers_of(record).get("ce_subject") for record in self.stack.kafka("replies.probe")}

    def finish(self, guests):
        """The recorder goes on, and all of them are seen; the guest that has them leaves."""
        os.kill(self.recorder, signal.SIGCONT)
        for job_id in self.ids:
            assert self.stack.wait(job_id)["state"] == "succeeded"
        wait_until(lambda: self.stack.request("DELETE", f"/v1/jobs/{self.slow['id']}").status_code == 200, 30, "it is cancelled")
        assert self.stack.wait(self.slow["id"])["state"] == "cancelled"
        guests.all[0].terminate()
        guests.all[0].wait(20)

    def __exit__(self, *_):
        os.kill(self.recorder, signal.SIGCONT)

    def assert_one_call_each(self):
        called = [call["idempotency_key"] for call in self.stack.calls(path="/echo")]
        assert {job_id: called.count(job_id) for job_id in self.ids} == dict.fromkeys(self.ids, 1)


# proves P-38f
@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_what_had_finished_is_not_done_again_because_the_gate_s_answer_was_late(stack, guests, tmp_path, late):
    """A worker is told to stop; another, whose Redis is late, gets its partition."""
    with Unseen(stack, tmp_path) as jobs, LateRedis(stack, identity(jobs.ids[0]), late) as redis, stack.nobody_restarted():
        pid = stack.signal("worker-1", signal.SIGTERM)
        guests.come(ERRAND_REDIS_ADDRESSES=f"127.0.0.1:{redis.listen()}", ERRAND_WORKER_REDELIVERY_WAIT="30s")
        assert redis.asked_again.wait(30)
        jobs.finish(guests)
    stack.wait_restarted("worker-1", pid)
    jobs.assert_one_call_each()


# proves P-38f
def test_what_had_finished_is_not_done_again_because_its_claim_is_lost(stack, guests, tmp_path):
    """The gate answers at once; but Redis has forgotten who claimed the jobs, or was away when they began."""
    with Unseen(stack, tmp_path) as jobs, stack.nobody_restarted():
        pid = stack.kill("worker-1")
        claims = [f"{NAMESPACE}:g:{identity(job_id)}" for job_id in jobs.ids]
        assert stack.redis().delete(*claims) == JOBS
        name, _ = guests.come(ERRAND_WORKER_REDELIVERY_WAIT="30s")
        wait_until(lambda: name in members(stack, f"{NAMESPACE}.worker.probe"), 30, "it has the partition")
        wait_until(lambda: stack.redis().exists(claims[0]), 30, "it has asked the gate")
        jobs.finish(guests)
    stack.wait_restarted("worker-1", pid)
    jobs.assert_one_call_each()
