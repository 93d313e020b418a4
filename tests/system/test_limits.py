"""What a third party may bear, and whether it is up at all, is the business of all workers together: one circuit, one
limit of concurrent calls and one rate for two workers, counted where the calls arrive. Jobs that have to wait for it are
held: they spend no attempt and stand in nobody's way.

SPDX-License-Identifier: Apache-2.0
"""
import json
import re
import time

import pytest
import requests

from moments import instant
from stack import headers_of
from waiting import wait_until

pytestmark = pytest.mark.alone

OPEN_S = 2
HEARD_MS = 600  # a worker whose calls do not fail hears of an open circuit within its next exchange
CONCURRENCY = 3
RATE, BURST = 20, 2
CONFIG = {
    "queues": {"fleet": {"partitions": 4}, "fleet-line": {"partitions": 2, "ordered": True}},
    "targets": {
        "frail": {"base_url": "simulator:/quotes", "breaker": {
            "calls_min": 4, "window": "5s", "open": f"{OPEN_S}s", "open_max": "10s", "probes": 4}},
        "few": {"base_url": "simulator:/", "concurrency": CONCURRENCY},
        "paced": {"base_url": "simulator:/weather", "rate": f"{RATE}/s", "burst": BURST}},
    "types": {
        "fleet.frail": {"queue": "fleet", "handler": "call", "call": {"target": "frail", "path": "/any"},
                        "retry": {"attempts": 50, "backoff": "50ms", "backoff_max": "100ms"}},
        "fleet.line": {"queue": "fleet-line", "handler": "call", "call": {"target": "frail", "path": "/wilde"},
                       "retry": {"attempts": 3}},
        "fleet.few": {"queue": "fleet", "handler": "call", "retry": {"attempts": 1}, "call": {
            "target": "few", "method": "POST", "path": "/echo", "headers": {"X-Simulate": "slow=150"}}},
        "fleet.paced": {"queue": "fleet", "handler": "call", "retry": {"attempts": 1},
                        "call": {"target": "paced", "path": "/Oslo"}},
        "fleet.bystander": {"queue": "fleet", "handler": "rules", "rule": "sentence.make"}}}
WORKERS = ("worker-1", "worker-2")


@pytest.fixture(scope="module")
def fleet(module_stack):
    return module_stack("apache", workers=2, config=CONFIG)


def metric(stack, worker, name, **labels):
    """The value of a worker's metric, None where it is not told."""
    text = requests.get(f"http://{stack.address(worker)}/metrics", timeout=10).text
    for line in text.splitlines():
        found = re.fullmatch(name + r"\{(.*)\} (\S+)", line)
        if found and all(f'{key}="{value}"' in found[1] for key, value in labels.items()):
            return float(found[2])
    return None


def submit_many(stack, job_type, count, folder, payload=None):
    """Submits them faster than they may be done; returns their ids."""
    path = folder / f"{job_type}-{count}"
    stack.errand("load", job_type, "--connections", 16, "--count", count, "--ids", path, "-d", json.dumps(payload or {}))
    ids = [json.loads(line)["id"] for line in path.read_text().splitlines()]
    assert len(set(ids)) == count
    return ids


def calls_of(stack, path):
    return [call for call in stack.calls() if call["path"] == path]


def at_once(calls):
    """The most calls that were open at one time."""
    moments = sorted([(c["started_ms"], 1) for c in calls] + [(c["finished_ms"], -1) for c in calls])
    most = now = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most


def workers_of(stack, ids):
    return {headers_of(record)["ce_source"] for record in stack.kafka("replies.fleet")
            if headers_of(record).get("ce_subject") in ids and headers_of(record)["ce_type"].endswith("succeeded")}


def open_the_circuit(stack):
    """The target fails until both workers know that its circuit is open; returns the jobs that did it."""
    stack.simulator("PUT", "/control", json={"simulate": "status=503", "match": "/quotes"})
    first = [stack.submit("fleet.frail", {})["id"] for _ in range(8)]
    for worker in WORKERS:
        wait_until(lambda w=worker: metric(stack, w, "errand_breaker_state", target="frail") == 2, 20,
                   f"{worker} knows that the circuit is open")
    return first


def cancel_held(stack, *jobs):
    """A job that was only held says so when it is cancelled: nothing has been begun, unless the circuit let a probe of it go."""
    for job in jobs:
        wait_until(lambda i=job["id"]: stack.get(i)["state"] == "held", 10, "it is held")
        done = stack.request("DELETE", f"/v1/jobs/{job['id']}").json()
        assert done["state"] == "cancelled", done
        assert ("error" in done) == bool(stack.calls(key=job["id"])), done


# proves P-22, P-22d, P-44, P-44c, P-44d, P-44e, P-44f, P-44g
def test_a_target_that_fails_is_left_alone_until_it_recovers(fleet, tmp_path):
    ids = open_the_circuit(fleet)
    before = len(calls_of(fleet, "/quotes/any"))
    ids += submit_many(fleet, "fleet.frail", 30, tmp_path)
    hurried = fleet.submit("fleet.frail", {}, deadline="900ms")
    line = [fleet.submit("fleet.line", {"n": n}, key="a line")["id"] for n in range(4)]

    def held():
        jobs = [fleet.get(i) for i in ids]
        return all(job["state"] == "held" for job in jobs) and jobs
    for job in wait_until(held, 10, "all jobs are held"):
        assert job["error"]["code"] == "target_held" and job["error"]["class"] == "hold"
        assert "target frail: circuit" in job["error"]["detail"]
        assert instant(job["next_at"]) > instant(job["created_at"])
        assert job["error"]["detail"].endswith(f"; held until {job['next_at']}")
    first = wait_until(lambda: fleet.get(line[0])["state"] == "held" and fleet.get(line[0]), 10, "so is who is first in line")
    assert first["error"]["code"] == "target_held" and first["attempt"] == 1
    cancel_held(fleet, fleet.submit("fleet.frail", {}), fleet.submit("fleet.line", {"n": 5}, key="another line"))
    began = time.monotonic()
    bystanders = submit_many(fleet, "fleet.bystander", 40, tmp_path, {"subject": "a bystander", "seed": 3})
    assert all(fleet.wait(i)["state"] == "succeeded" for i in bystanders)
    assert time.monotonic() - began < 5, "others in the same partitions do not wait"

    ended = fleet.wait(hurried["id"])
    assert ended["state"] == "expired", "it was not called, and ended at its last moment"
    late_ms = 1000 * (instant(ended["finished_at"]) - instant(ended["deadline"]))
    assert 0 <= late_ms < 1000

    wait_until(lambda: len(calls_of(fleet, "/quotes/any") + calls_of(fleet, "/quotes/wilde")) > before, 20, "a probe is made")
    fleet.simulator("PUT", "/control", json={"simulate": "slow=100", "match": "/quotes"})
    jobs = [fleet.wait(i, deadline_s=40) for i in ids]
    assert all(job["state"] == "succeeded" for job in jobs)

    jobs += [fleet.wait(i) for i in line]
    ordered = calls_of(fleet, "/quotes/wilde")
    assert [call["idempotency_key"] for call in ordered if call["status"] == 200] == line, "in their order"

    calls = sorted(calls_of(fleet, "/quotes/any") + ordered, key=lambda call: call["started_ms"])
    failed = [call for call in calls if call["status"] == 503][before - 1:]
    worked = [call for call in calls if call["status"] == 200]
    # The first one here began before it opened, or before its worker had heard of that.
    pause_ms = failed[1]["started_ms"] - failed[0]["started_ms"]
    assert pause_ms >= OPEN_S * 1000 - HEARD_MS, "no call while it is open"
    for last, probe in zip(failed[1:], failed[2:] + worked[:1]):
        assert probe["started_ms"] - last["finished_ms"] >= 2 * OPEN_S * 1000 - 50, "none for twice as long"
    assert worked[1]["started_ms"] >= worked[0]["finished_ms"], "the first probe is alone"
    assert worked[3]["started_ms"] >= max(call["finished_ms"] for call in worked[1:3]), "then there are two"
    assert at_once(worked[3:7]) <= 4
    for job in jobs:
        made = [call for call in calls if call["idempotency_key"] == job["id"]]
        assert job["attempt"] == len(made), "a hold spends no attempt"
    assert sum(metric(fleet, worker, "errand_holds_total", target="frail", reason="open") for worker in WORKERS) >= 30
    for worker in WORKERS:
        wait_until(lambda w=worker: metric(fleet, w, "errand_breaker_state", target="frail") == 0, 10,
                   f"{worker} knows that the circuit is closed")
    fleet.simulator("DELETE", "/control")


# proves P-44, P-44a
def test_two_workers_share_one_limit_of_calls_at_once(fleet, tmp_path):
    ids = submit_many(fleet, "fleet.few", 40, tmp_path)
    jobs = [fleet.wait(i, deadline_s=40) for i in ids]
    assert all(job["state"] == "succeeded" and job["attempt"] == 1 for job in jobs)
    calls = [call for call in calls_of(fleet, "/echo") if call["idempotency_key"] in ids]
    assert len(calls) == len(ids)
    assert at_once(calls) == CONCURRENCY, "never more, and all of it is used"
    assert len(workers_of(fleet, ids)) == len(WORKERS), "by both of them"


# proves P-44, P-44b, P-44d
def test_two_workers_share_one_rate(fleet, tmp_path):
    ids = submit_many(fleet, "fleet.paced", 80, tmp_path)
    waiting = wait_until(lambda: [job for job in map(fleet.get, reversed(ids)) if job["state"] == "held"], 10, "some are held")
    for job in waiting:
        assert job["error"]["detail"] == f"target paced: rate limit of {RATE}/s reached; held until {job['next_at']}"
    jobs = [fleet.wait(i, deadline_s=40) for i in ids]
    assert all(job["state"] == "succeeded" and job["attempt"] == 1 for job in jobs)
    calls = [call["started_ms"] for call in calls_of(fleet, "/weather/Oslo") if call["idempotency_key"] in ids]
    assert len(calls) == len(ids)
    jitter = 4  # calls that arrive a little after their time
    for index, start in enumerate(calls):
        within = sum(1 for moment in calls[index:] if moment < start + 1000)
        assert within <= RATE + BURST + jitter, f"{within} calls within a second"
    assert len(calls) <= RATE * (calls[-1] - calls[0]) / 1000 + BURST + jitter
    assert len(workers_of(fleet, ids)) == len(WORKERS)
    held = sum(metric(fleet, worker, "errand_holds_total", target="paced", reason="rate") for worker in WORKERS)
    assert held > 0, "what cannot be called within a second is held"
