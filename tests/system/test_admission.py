"""What is taken in is what can be done: a queue that is full, or too slow for the age of its jobs, says so in time.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from waiting import wait_until



def one_at_a_time(queue, max_age):
    return {"queue": queue, "handler": "call", "example": {}, "in_flight": 1, "max_age": max_age,
            "call": {"target": "probe", "method": "POST", "path": "/echo", "body": "{{payload}}",
                     "headers": {"X-Simulate": "{{simulate|slow=0}}"}}}


CONFIG = {
    "gateway": {"backlog_look": "100ms"},
    "kafka": {"send_queue": "1MiB"},
    "worker": {"commit_interval": "50ms"},
    "queues": {"narrow": {"partitions": 1}, "walled": {"partitions": 1, "backlog_max": 40}},
    "types": {"narrow.short": one_at_a_time("narrow", "12s"), "narrow.long": one_at_a_time("narrow", "10m"),
              "walled.call": one_at_a_time("walled", "10m")},
}
PACE = {"simulate": "slow=50"}


@pytest.fixture(scope="module")
def narrow(module_stack):
    return module_stack("embedded", config=CONFIG, options=["--no-restart"])


def submit(stack, job_type, payload, key=None):
    return stack.post({"type": job_type, "payload": payload}, {"Idempotency-Key": key} if key else None)


def wait_for(stack, status, job_type, payload, key=None):
    """Submits until it is answered with this status; returns that answer."""
    def answered():
        response = submit(stack, job_type, payload, key)
        return (response,) if response.status_code == status else None  # a refusal is false by itself
    return wait_until(answered, 60, f"{job_type} is answered {status}")[0]


def check_refusal(response):
    assert response.status_code == 429, response.text
    assert response.headers["Content-Type"].startswith("application/problem+json")
    assert response.json()["code"] == "backlog_full"
    seconds = int(response.headers["Retry-After"])
    assert 1 <= seconds <= 600
    assert re.fullmatch(r'"backlog";q=\d+', response.headers["RateLimit-Policy"])
    assert response.headers["RateLimit"] == f'"backlog";r=0;t={seconds}'


def counted(stack, outcome):
    """How many submissions the gateway has answered so."""
    text = requests.get(f"{stack.url}/metrics", timeout=10).text
    return int(re.search(rf'^errand_submissions_total{{outcome="{outcome}"}} (\d+)$', text, re.M).group(1))


# proves P-18a, P-18b, P-18c
def test_a_queue_too_slow_for_a_types_age_refuses_its_jobs_and_no_others(narrow):
    first = submit(narrow, "narrow.short", PACE, key="known")
    assert first.status_code == 202
    with ThreadPoolExecutor(8) as pool:  # 20 s of work
        answers = list(pool.map(lambda _: submit(narrow, "narrow.long", PACE).status_code, range(400)))
    assert set(answers) == {202}
    check_refusal(wait_for(narrow, 429, "narrow.short", PACE))
    for _ in range(2):  # the first one leaves no claim behind
        check_refusal(submit(narrow, "narrow.short", PACE, key="unknown"))
    again = submit(narrow, "narrow.short", PACE, key="known")
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
    assert again.json()["id"] == first.json()["id"]
    assert submit(narrow, "narrow.long", PACE).status_code == 202, "another type has the time"
    assert submit(narrow, "probe.quick", {"subject": "a bystander", "seed": 1}).status_code == 202
    late = narrow.post({"type": "narrow.short", "payload": PACE, "delay": 60})
    assert late.status_code == 202, "by then there is time"
    accepted = wait_for(narrow, 202, "narrow.short", PACE, key="unknown")
    assert narrow.wait(accepted.json()["id"], 60)["state"] == "succeeded"


# proves P-18a
def test_workers_that_are_away_refuse_nothing_until_the_queue_is_full(narrow):
    pid = narrow.signal("worker-1", signal.SIGSTOP)
    try:
        for _ in range(40):
            assert submit(narrow, "walled.call", {}).status_code == 202
        full = wait_for(narrow, 429, "walled.call", {})
        check_refusal(full)
        assert 'q=40' in full.headers["RateLimit-Policy"]
        assert submit(narrow, "narrow.long", PACE).status_code == 202, "another queue is not"
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(narrow, 202, "walled.call", {})


def test_what_kafka_has_not_acknowledged_is_bounded_and_one_more_is_told_to_come_later(narrow):
    before = {outcome: counted(narrow, outcome) for outcome in ("accepted", "refused", "unknown")}
    pid = narrow.signal("broker", signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(16) as pool:  # 16 times 120 KiB are more than kafka.send_queue
            answers = list(pool.map(lambda n: submit(narrow, "narrow.long", {"text": "x" * 120 * 1024}), range(16)))
    finally:
        os.kill(pid, signal.SIGCONT)
    codes = [answer.json()["code"] for answer in answers]
    assert {answer.status_code for answer in answers} == {503}
    assert "overloaded" in codes and set(codes) <= {"overloaded", "kafka_unavailable", "outcome_unknown"}, codes
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers)
    unknown = codes.count("outcome_unknown")
    assert counted(narrow, "unknown") - before["unknown"] == unknown
    wait_until(lambda: narrow.all_logs().count("may or may not have stored") == counted(narrow, "unknown"), 10,
               "each unknown outcome is logged")
    assert counted(narrow, "refused") - before["refused"] == len(codes) - unknown, "each is counted once"
    wait_for(narrow, 202, "narrow.long", {})
