"""A log that outlives the view: commands that are read again when their jobs have ended, or are forgotten, call nobody; and
a key that is used again when its job is forgotten stands for a new job, whatever the log still says of the one before.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal

import pytest
import requests
from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from records import committed, ends
from stack import NAMESPACE, headers_of, identity
from test_metrics import value
from waiting import wait_until

GROUPS = {"worker.probe": "commands.probe", "recorder.commands": "commands.probe", "delayer": "delay.1s"}
DAEMONS = ["worker-1", "recorder-1", "delayer-1"]
# Jobs that are forgotten a few seconds after they were submitted.
BRIEF = {"queue": "probe", "handler": "call", "example": {}, "max_age": "4s", "retention": "4s",
         "call": {"target": "probe", "method": "POST", "path": "/echo", "headers": {"X-Simulate": "{{simulate|slow=0}}"},
                  "body": "{{payload}}"},
         "retry": {"attempts": 2, "backoff": "100ms", "backoff_max": "200ms"}}
PATIENT = {**BRIEF, "max_age": "10m", "retention": "10m", "retry": {"attempts": 2, "backoff": "100ms", "backoff_max": "2m"}}
PAYLOADS = [{"n": 1}, {"simulate": "status=400"}, {"simulate": "fail=1"}]


@pytest.fixture(scope="module")
def brief(module_stack):
    return module_stack("apache", config={"types": {"probe.brief": BRIEF, "probe.patient": PATIENT}, "worker": {"redelivery_wait": "1m"}})


def waits(stack):
    try:
        return value(stack, "worker-1", "errand_redelivery_waits_total")
    except (KeyError, requests.RequestException):  # it has not begun yet
        return 0


def here(stack):
    """Where a test begins in a log that others have written to: what is read again is its own."""
    return {topic: ends(stack, topic) for topic in GROUPS.values()}


def attempts(stack, jobs):
    """Of these jobs, of which others called too: which attempts were called, in order."""
    ids = {job["id"] for job in jobs}
    return [call["attempt"] for call in stack.calls(path="/echo") if call["idempotency_key"] in ids]


def set_back(stack, groups, start):
    """As an operator might, whose daemons are down."""
    admin = AdminClient({"bootstrap.servers": stack.brokers()})
    for group, topic in groups.items():
        full = f"{NAMESPACE}.{group}"
        wait_until(lambda full=full: admin.describe_consumer_groups([full])[full].result(20).state ==
                   ConsumerGroupState.EMPTY, 60, f"{full} has no members")
        places = [TopicPartition(f"{NAMESPACE}.{topic}", partition, offset) for partition, offset in start[topic].items()]
        admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(full, places)])[full].result(20)


def begin_again(stack, start, unknown=0, under_load=False):
    """The groups that read commands are set back, as an operator might; returns when all is read once more: under load, all that
    was there. Until the worker has got so many that it cannot know, Redis says nothing."""
    admin = AdminClient({"bootstrap.servers": stack.brokers()})
    pids = {name: stack.pid(name) for name in DAEMONS}
    with stack.nobody_restarted():
        for name in DAEMONS:
            stack.signal(name, signal.SIGTERM)
        set_back(stack, GROUPS, start)
        silent = stack.signal("redis", signal.SIGSTOP) if unknown else None
    if silent:
        try:
            wait_until(lambda: waits(stack) >= unknown, 30, f"{unknown} commands wait for a gate that says nothing")
        finally:
            os.kill(silent, signal.SIGCONT)
    for name, pid in pids.items():
        stack.wait_restarted(name, pid)
    there = here(stack)

    def caught_up():
        upto = there if under_load else here(stack)
        for group, topic in GROUPS.items():
            full = f"{NAMESPACE}.{group}"
            told = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(full)])[full].result(20)
            at = {place.partition: place.offset for place in told.topic_partitions if place.topic == f"{NAMESPACE}.{topic}"}
            if any(at.get(partition, 0) < end for partition, end in upto[topic].items()):
                return False
        return True
    wait_until(caught_up, 60, "every command has been read again")


# proves P-36, P-50
def test_commands_read_again_call_nobody_and_nothing_comes_back(brief):
    stack, start = brief, here(brief)
    known = [stack.submit("probe.call", payload) for payload in PAYLOADS * 10]
    jobs = [stack.submit("probe.brief", payload) for payload in PAYLOADS * 10]
    jobs.append(stack.submit("probe.brief", {"n": 2}, delay=2.5))  # passes the delayer
    known = {job["id"]: stack.wait(job["id"]) for job in known}
    for job in jobs:
        stack.wait(job["id"])
    ids = {*known, *(job["id"] for job in jobs)}

    def calls():
        return len(attempts(stack, [*known.values(), *jobs]))
    called = calls()

    def log():
        # A dead letter may be written twice: whoever reads a failed job's command again makes sure that it is there. And the
        # delayer hands on once more what it reads once more.
        told = {topic: [headers_of(record)["ce_subject"] for record in stack.kafka(topic)] for topic in ("commands.probe", "dead.probe", "replies.probe")}
        own = {topic: [subject for subject in subjects if subject in ids] for topic, subjects in told.items()}
        return {topic: len(subjects) if topic == "replies.probe" else set(subjects) for topic, subjects in own.items()}
    before = log()
    assert stack.kafka("delay.1s")
    begin_again(stack, start, unknown=len(known))
    assert calls() == called and log() == before
    assert {job_id: stack.get(job_id) for job_id in known} == known
    wait_until(lambda: all(stack.read(job["id"]).status_code in (404, 410) for job in jobs), 30, "they are forgotten")
    begin_again(stack, start)
    assert calls() == called and log() == before
    assert {stack.read(job["id"]).status_code for job in jobs} <= {404, 410}
    assert {job_id: stack.get(job_id) for job_id in known} == known
    assert [stack.redis().exists(f"{NAMESPACE}:{kind}:{identity(job['id'])}")
            for job in jobs for kind in "rcg"] == [0] * 3 * len(jobs)


# proves P-38f
def test_a_command_that_its_delayer_hands_on_twice_waits_for_a_gate_that_is_silent(brief):
    """The second copy lies where nobody has read before. For the worker it is new, but for what the delayer says of it."""
    stack, start, waited = brief, here(brief), waits(brief)
    job = stack.submit("probe.call", {"n": 1}, delay=2.5)

    def copies():
        return [record for record in stack.kafka("commands.probe") if headers_of(record).get("ce_subject") == job["id"]]
    stack.wait(job["id"])
    handed_on = len(copies())
    silent = stack.signal("redis", signal.SIGSTOP)
    try:
        with stack.nobody_restarted():
            pid = stack.signal("delayer-1", signal.SIGTERM)
            set_back(stack, {"delayer": GROUPS["delayer"]}, start)
        stack.wait_restarted("delayer-1", pid)
        wait_until(lambda: len(copies()) > handed_on, 30, "it is handed on once more")
        wait_until(lambda: waits(stack) > waited or len(attempts(stack, [job])) > 1, 30, "it waits")
    finally:
        os.kill(silent, signal.SIGCONT)
    last = max(record.offset() for record in copies())
    wait_until(lambda: committed(stack, "worker.probe", "commands.probe") > last, 30, "both copies are done")
    assert attempts(stack, [job]) == [1]


# proves P-34b
@pytest.mark.parametrize("lost", ["unheard", "forgotten"])
def test_a_turn_that_was_handed_on_is_not_begun_again_because_its_release_is(brief, lost):
    """The log says that the next turn is in it. Redis heard no release of this one, or has forgotten everything."""
    stack, start = brief, here(brief)
    job = stack.submit("probe.patient", {"simulate": "slow=1500,status=503,retry-after=90"})

    def is_told(kind):
        told = [headers_of(record) for record in stack.kafka("replies.probe")]
        return any(headers["ce_subject"] == job["id"] and headers["ce_type"] == f"errand.event.{kind}" for headers in told)
    wait_until(lambda: is_told("started"), 30, "it is called")
    silent = stack.signal("redis", signal.SIGSTOP) if lost == "unheard" else None
    try:
        wait_until(lambda: is_told("retrying"), 30, "it is to be tried again")
        with stack.nobody_restarted():
            pid = stack.kill("worker-1")
            set_back(stack, {"worker.probe": GROUPS["worker.probe"]}, start)
            if not silent:
                stack.redis().flushall()
    finally:
        if silent:
            os.kill(silent, signal.SIGCONT)
    stack.wait_restarted("worker-1", pid)
    last = ends(stack, "commands.probe")[0]
    wait_until(lambda: committed(stack, "worker.probe", "commands.probe") >= last, 60, "its command is done")
    assert attempts(stack, [job]) == [1]
    wait_until(lambda: stack.read(job["id"]).status_code == 200, 30, "the view is whole again")
    assert stack.get(job["id"])["state"] == "retrying"
    assert stack.request("DELETE", f"/v1/jobs/{job['id']}").status_code < 300  # it waits no longer beside other tests


# proves P-4, P-38f
def test_a_key_that_is_used_again_while_redis_knows_nothing_makes_no_second_call(brief):
    """Redis has been emptied, and the recorder does not come to tell it what had ended."""
    stack, waited = brief, waits(brief)
    job = stack.submit("probe.call", {"n": 1}, idempotency_key="once")
    done = stack.wait(job["id"])
    recorder = stack.signal("recorder-1", signal.SIGSTOP)
    try:
        stack.redis().flushall()
        again = stack.submit("probe.call", {"n": 1}, idempotency_key="once")
        assert again["id"] == job["id"]
        wait_until(lambda: waits(stack) > waited or len(attempts(stack, [job])) > 1, 30, "the worker asks whether it has ended")
    finally:
        os.kill(recorder, signal.SIGCONT)
    last = ends(stack, "commands.probe")[0]
    wait_until(lambda: committed(stack, "worker.probe", "commands.probe") >= last, 30, "both commands are done")
    assert attempts(stack, [job]) == [1]
    wait_until(lambda: stack.read(job["id"]).status_code == 200, 30, "the view is whole again")
    assert stack.get(job["id"]) == done


# proves P-4, P-50, P-53
def test_a_key_whose_job_is_forgotten_stands_for_a_new_one(brief):
    stack = brief
    first = stack.submit("probe.brief", {"n": 1}, idempotency_key="again")
    done = stack.wait(first["id"])
    again = stack.submit("probe.brief", {"n": 1}, idempotency_key="again")
    assert (again["id"], again["created_at"]) == (first["id"], first["created_at"])
    wait_until(lambda: stack.read(first["id"]).status_code in (404, 410), 30, "it is forgotten")
    assert stack.post({"type": "probe.brief", "payload": {"n": 2}}, {"Idempotency-Key": "again"}).status_code == 202
    second = stack.wait(first["id"])
    assert second["id"] == first["id"] and second["created_at"] > done["created_at"]
    wait_until(lambda: stack.read(first["id"]).status_code in (404, 410), 30, "it is forgotten as well")
    stack.submit("probe.brief", {"n": 3}, idempotency_key="again", delay=6)
    stack.redis().flushall()  # three jobs of one id are read from the log at once
    told = wait_until(lambda: (r := stack.read(first["id"])).status_code == 200 and r.json(), 30, "the view is whole again")
    assert told["state"] == "scheduled" and told["created_at"] > second["created_at"]
    third = stack.wait(first["id"])
    stack.redis().flushall()
    told = wait_until(lambda: (r := stack.read(first["id"])).status_code == 200 and r.json(), 30, "the view is whole again")
    assert told == third and third["state"] == "succeeded"
    assert len(stack.calls(key=first["id"])) == 3
