"""One test for each thing that must never happen, each made certain by holding the world still at the wrong moment, so
that whoever breaks the product on purpose (docs/MUTANTS.md) is seen.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal
import time

import pytest
import requests

from moments import now_ms
from records import FAILED, command, committed, event, facts, produce, set_record_limit
from stack import NAMESPACE, headers_of, identity
from waiting import wait_until

AHEAD_MS = 20 * 60 * 1000  # less than what a broker takes (message.timestamp.after.max.ms)
QUICK = {"subject": "a promise", "seed": 1}
WOKEN_S = 4  # a wait is woken by the job's end; the re-reading that makes up for a lost wake-up comes after 5 s


@pytest.fixture(scope="module")
def own(module_stack):
    return module_stack("apache")


def identity_bytes(job):
    return bytes.fromhex(job["id"].replace("-", ""))


def events_of(stack, job, topic="replies.probe"):
    found = [headers_of(record) for record in stack.kafka(topic)]
    return [headers for headers in found if headers.get("ce_subject") == job["id"]]


def command_of(stack, job):
    """Its first command's record."""
    return next(record for record in stack.kafka("commands.probe") if headers_of(record).get("ce_subject") == job["id"])


def calls_for(stack, job):
    return stack.calls(key=job["id"])


def pass_by(stack):
    """Whoever stands behind in the same partition is done: what stood before has been looked at."""
    job = stack.submit("probe.quick", QUICK)
    assert stack.wait(job["id"])["state"] == "succeeded"


def consumed(stack, daemon, topic):
    text = requests.get(f"http://{stack.address(daemon)}/metrics", timeout=10).text
    name = f'errand_kafka_consumed_total{{topic="{NAMESPACE}.{topic}"}} '
    return sum(float(line[len(name):]) for line in text.splitlines() if line.startswith(name))


# proves P-35
def test_an_offset_is_done_only_when_its_outcome_is_acknowledged(own):
    """Kafka takes no outcome: the worker may not commit, and whoever comes after it does the job again."""
    pass_by(own)
    set_record_limit(own, "replies.probe", 100)
    try:
        job = own.submit("probe.call", {"simulate": "slow=0"})
        wait_until(lambda: calls_for(own, job), 20, "the third party is called")
        wait_until(lambda: "replies.probe refuses a record" in own.all_logs(), 20, "Kafka refuses the outcome")
        place = own.wait(own.submit("sentence.make", QUICK)["id"])["command"]
        wait_until(lambda: committed(own, "worker.rules", "commands.rules", place["partition"]) > place["offset"], 20,
                   "the worker commits what is done")
        pid = own.kill("worker-1")
    finally:
        set_record_limit(own, "replies.probe", None)
    own.wait_restarted("worker-1", pid)
    assert own.wait(job["id"], deadline_s=30)["state"] == "succeeded"


# proves P-21
def test_the_first_end_stays(own):
    done = own.wait(own.submit("probe.call", {"simulate": "slow=0"})["id"])
    about = facts(identity_bytes(done), job_type="probe.call")
    for turn in 0, 7:  # one that looks like a job's only event, and one that does not
        produce(own, "replies.probe", [event(about, kind=FAILED, turn=turn)])
    pass_by(own)
    assert own.get(done["id"]) == done


# proves P-51
def test_records_and_applied_offset_are_one(own):
    """Redis stands still with the recorder's question before it, and the recorder dies: nothing may be skipped after."""
    pass_by(own)
    before = consumed(own, "recorder-1", "replies.probe")
    redis = own.signal("redis", signal.SIGSTOP)
    try:
        job = own.submit("probe.quick", QUICK)
        wait_until(lambda: consumed(own, "recorder-1", "replies.probe") > before, 20, "the recorder has the outcome")
        recorder = own.kill("recorder-1")
    finally:
        os.kill(redis, signal.SIGCONT)
    own.wait_restarted("recorder-1", recorder)
    assert own.wait(job["id"])["state"] == "succeeded"


# proves P-10, P-23
def test_a_clock_that_is_ahead_does_not_hold_the_view_up(own):
    """Somebody's command is dated in the future; who is queued behind it is in the view all the same."""
    worker = own.signal("worker-1", signal.SIGSTOP)
    try:
        produce(own, "commands.probe", [command()], timestamp_ms=now_ms() + AHEAD_MS)
        job = own.submit("probe.quick", QUICK)
        record = f"{NAMESPACE}:c:{identity(job['id'])}"
        wait_until(lambda: own.redis().exists(record), 10, "the view knows of the job")
        assert own.get(job["id"])["state"] == "queued"
    finally:
        os.kill(worker, signal.SIGCONT)
    assert own.wait(job["id"])["state"] == "succeeded"


# proves P-34
def test_the_same_command_twice_is_one_attempt(own):
    job = own.submit("probe.call", {"simulate": "slow=1500"})
    wait_until(lambda: calls_for(own, job), 20, "it is called")
    first = command_of(own, job)
    produce(own, "commands.probe", [first.value()], key=first.key())  # while it runs
    pass_by(own)
    assert own.wait(job["id"])["state"] == "succeeded"
    produce(own, "commands.probe", [first.value()], key=first.key())  # and when it is over
    pass_by(own)
    wait_until(lambda: committed(own, "worker.probe", "commands.probe") > first.offset() + 3, 20, "both are passed")
    assert len(calls_for(own, job)) == 1


# proves P-34
def test_an_earlier_turn_that_comes_again_is_not_begun_beside_the_later_one(own):
    job = own.submit("probe.call", {"simulate": "fail=1,slow=1500"})
    wait_until(lambda: len(calls_for(own, job)) == 2, 20, "it is called for the second time")
    first = command_of(own, job)
    produce(own, "commands.probe", [first.value()], key=first.key())
    pass_by(own)
    assert own.wait(job["id"])["state"] == "succeeded"
    wait_until(lambda: committed(own, "worker.probe", "commands.probe") > first.offset() + 2, 20, "all of them are passed")
    assert [call["attempt"] for call in calls_for(own, job)] == [1, 2]


# proves P-34
def test_a_later_turn_of_the_same_attempt_is_taken(own):
    """Two lineages of one job: the later turn goes its way while an earlier one hangs, and the first end counts."""
    job = own.submit("probe.call", {"simulate": "slow=6000"})
    wait_until(lambda: calls_for(own, job), 20, "the first turn hangs")
    of = facts(identity_bytes(job), job_type="probe.call")
    produce(own, "commands.probe", [command(of, turn=1, attempt=1, payload='{"simulate": "slow=0"}')])
    done = own.wait(job["id"], deadline_s=5)
    assert done["state"] == "succeeded"

    def ends():
        return [record for record in own.kafka("replies.probe") if headers_of(record).get("ce_subject") == job["id"] and
                headers_of(record)["ce_type"] == "errand.event.succeeded"]
    wait_until(lambda: len(ends()) == 2, 20, "the first turn has ended too")
    assert len(calls_for(own, job)) == 2
    pass_by(own)
    assert own.get(job["id"]) == done, "the first end counts"


# proves P-36
def test_nothing_begins_after_its_last_moment(own):
    now = int(time.time() * 1000)
    late = facts(job_type="probe.call", not_after=now - 1000)
    before = len(own.calls(path="/echo"))
    offset, = produce(own, "commands.probe", [command(late, payload='{"simulate": "slow=0"}')])
    pass_by(own)
    wait_until(lambda: committed(own, "worker.probe", "commands.probe") > offset, 20, "it is passed")
    assert len(own.calls(path="/echo")) == before


# proves P-36
def test_a_command_that_comes_again_too_late_leaves_no_dead_letter_of_a_job_that_ended(own):
    done = own.wait(own.submit("probe.call", {"simulate": "slow=0"})["id"])
    late = facts(identity_bytes(done), job_type="probe.call", not_after=int(time.time() * 1000) - 1000)
    offset, = produce(own, "commands.probe", [command(late, payload='{"simulate": "slow=0"}')])
    pass_by(own)
    wait_until(lambda: committed(own, "worker.probe", "commands.probe") > offset, 20, "it is passed")
    assert not events_of(own, done, "dead.probe")
    assert own.get(done["id"]) == done


# proves P-7
def test_a_wait_is_woken_and_does_not_chance_upon_the_end(own):
    for pause_ms in (0, 1, 2, 5, 10, 20, 50, 100):
        began = time.monotonic()
        job = own.submit("probe.call", {"simulate": f"slow={pause_ms}"}, wait_s=20)
        assert job["state"] == "succeeded"
        assert time.monotonic() - began < WOKEN_S


# proves P-41
def test_a_dead_letter_that_is_missing_is_made_good(own):
    """Kafka takes the `failed` but not the dead letter, and the worker dies."""
    pass_by(own)
    set_record_limit(own, "dead.probe", 100)
    try:
        job = own.submit("probe.call", {"simulate": "status=400"})
        assert own.wait(job["id"])["state"] == "failed"
        pid = own.kill("worker-1")
    finally:
        set_record_limit(own, "dead.probe", None)
    own.wait_restarted("worker-1", pid)
    letters = wait_until(lambda: events_of(own, job, "dead.probe"), 30, "the dead letter is there")
    assert {letter["errand-reason"] for letter in letters} == {"target_rejected"}
