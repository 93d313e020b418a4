"""Ready means able: what is missing is named, and a stop finishes what was begun.

SPDX-License-Identifier: Apache-2.0
"""
import collections
import os
import signal
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

import processes
from test_metrics import value
from waiting import wait_until

OPEN_BEFORE, EVERY_S = 30, 0.2  # one submission after the other, for longer than a drain lasts
QUICK = ("sentence.make", {"subject": "a bystander", "seed": 1})


@pytest.fixture
def own_stack(fresh_stack):
    return fresh_stack("apache", options=["--no-restart"])


def readiness(stack, name):
    response = requests.get(f"http://{stack.address(name)}/readyz", timeout=10)
    return response.status_code, response.text


# proves P-16
@pytest.mark.parametrize("name", ["gateway-1", "worker-1", "recorder-1", "delayer-1", "simulator"])
def test_every_daemon_tells_that_it_lives_is_ready_and_what_it_counts(embedded_stack, name):
    base = f"http://{embedded_stack.address(name)}"
    assert requests.get(f"{base}/livez", timeout=10).status_code == 200
    assert requests.get(f"{base}/readyz", timeout=10).status_code == 200
    metrics = requests.get(f"{base}/metrics", timeout=10)
    assert metrics.status_code == 200 and "# TYPE" in metrics.text and "process_" in metrics.text


# proves P-9, P-16
def test_with_redis_frozen_submissions_go_on_and_reads_say_that_they_cannot_know(own_stack):
    stack = own_stack
    job = stack.submit(*QUICK)
    done = stack.wait(job["id"])
    pid = stack.signal("redis", signal.SIGSTOP)
    try:
        wait_until(lambda: readiness(stack, "recorder-1")[0] == 503, 30, "the recorder is not ready without Redis")
        assert "redis" in readiness(stack, "recorder-1")[1].lower()
        accepted = stack.submit(*QUICK)
        read = stack.read(job["id"])
        assert read.status_code == 503 and int(read.headers["Retry-After"]) >= 0
        assert read.json()["code"] in ("view_unavailable", "view_behind")
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: stack.is_ready("recorder-1"), 30, "the recorder is ready again")
    assert stack.wait(job["id"]) == done
    assert stack.wait(accepted["id"])["state"] == "succeeded"


# proves P-3, P-16
def test_without_a_broker_nothing_is_accepted_falsely(own_stack):
    stack = own_stack
    stack.kill("broker")
    response = stack.post({"type": QUICK[0], "payload": QUICK[1]})
    assert response.status_code == 503, response.text
    assert response.json()["code"] in ("kafka_unavailable", "outcome_unknown", "overloaded")
    assert int(response.headers["Retry-After"]) >= 0
    for name in ("gateway-1", "worker-1", "recorder-1", "delayer-1"):
        wait_until(lambda name=name: readiness(stack, name)[0] == 503, 60, f"{name} is not ready without a broker")
        assert "kafka" in readiness(stack, name)[1].lower()


def test_a_stopping_gateway_finishes_the_requests_it_has(own_stack):
    stack = own_stack
    job = stack.submit("probe.call", {"simulate": "slow=1500"})
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(stack.read, job["id"], 20)
        address = f"http://{stack.address('gateway-1')}/v1/jobs/{job['id']}"
        wait_until(lambda: requests.get(address, timeout=5).json()["state"] == "running", 10, "the job runs")
        pid = stack.signal("gateway-1", signal.SIGTERM)
        response = waiting.result(timeout=30)
    assert response.status_code in (200, 503), "an answer, not a broken connection"
    wait_until(lambda: not processes.is_alive(pid), 30, "the gateway ends")


# proves P-3
def test_a_stopping_gateway_does_not_say_that_what_kafka_may_have_was_not_accepted(fresh_stack):
    """Kafka says nothing until the gateway has no more time."""
    stack = fresh_stack("apache", options=["--no-restart"], config={"gateway": {"drain": "1s"}, "kafka": {"produce_timeout": "30s"}})
    bodies = [{"type": QUICK[0], "payload": QUICK[1]}] * 4
    broker = stack.signal("broker", signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(len(bodies)) as pool:
            asked = [pool.submit(stack.post, body) for body in bodies]
            wait_until(lambda: value(stack, "gateway-1", "errand_kafka_unacknowledged") == len(bodies), 20, "Kafka has them, perhaps")
            pid = stack.signal("gateway-1", signal.SIGTERM)
            answers = [answer.result(timeout=30) for answer in asked]
        wait_until(lambda: not processes.is_alive(pid), 30, "the gateway ends")
    finally:
        os.kill(broker, signal.SIGCONT)
    assert {answer.status_code for answer in answers} == {503}
    ids = {answer.json()["id"] for answer in answers if answer.json()["code"] == "outcome_unknown"}
    assert len(ids) == len(bodies), [answer.text for answer in answers]


# proves P-3
def test_a_gateway_whose_drain_lasts_takes_no_more_submissions_at_its_end(fresh_stack):
    """A job that Kafka does not answer keeps it; meanwhile others come on connections that were open before."""
    stack = fresh_stack("apache", options=["--no-restart"], config={"gateway": {"drain": "4s"}, "kafka": {"produce_timeout": "30s"}})
    body, url = {"type": QUICK[0], "payload": QUICK[1]}, f"http://{stack.address('gateway-1')}"
    open_before = [requests.Session() for _ in range(OPEN_BEFORE)]
    for session in open_before:
        assert session.get(f"{url}/livez", timeout=10).status_code == 200
    broker = stack.signal("broker", signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(OPEN_BEFORE) as pool:
            asked = [pool.submit(stack.post, body)]
            wait_until(lambda: value(stack, "gateway-1", "errand_kafka_unacknowledged") == 1, 20, "Kafka has it, perhaps")
            pid = stack.signal("gateway-1", signal.SIGTERM)
            for session in open_before:
                asked.append(pool.submit(session.post, f"{url}/v1/jobs", json=body, timeout=30))
                if futures.wait(asked[-1:], timeout=EVERY_S).done:
                    break
            answers = [answer.result(timeout=30) for answer in asked]
        wait_until(lambda: not processes.is_alive(pid), 30, "the gateway ends")
    finally:
        os.kill(broker, signal.SIGCONT)
    codes = [answer.json()["code"] for answer in answers]
    assert codes[-1] == "draining" and set(codes[:-1]) == {"outcome_unknown"} and len(codes) > 2, codes
    assert int(answers[-1].headers["Retry-After"]) >= 1


def test_a_stopping_worker_finishes_its_calls_and_leaves_the_rest_to_others(fresh_stack):
    stack = fresh_stack("apache", workers=2)
    jobs = [stack.submit("probe.call", {"simulate": "slow=300"}) for _ in range(20)]
    for name in ("worker-1", "worker-2"):
        pid = stack.signal(name, signal.SIGTERM)
        wait_until(lambda pid=pid: not processes.is_alive(pid), 30, f"{name} ends")
        stack.wait_restarted(name, pid)
    jobs += [stack.submit("probe.call", {"simulate": "slow=300"}) for _ in range(20)]
    assert {stack.wait(job["id"])["state"] for job in jobs} == {"succeeded"}
    calls = collections.Counter(call["idempotency_key"] for call in stack.calls(path="/echo"))
    assert len(calls) == len(jobs)
    assert set(calls.values()) == {1}, "a clean stop repeats no call"
