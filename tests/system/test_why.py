"""Why a job is where it is: what `errand why` says of each, held against Kafka's committed offsets and who really works.

SPDX-License-Identifier: Apache-2.0
"""
import json
import time
import uuid

import pytest

from records import committed
from stack import TERMINAL
from waiting import wait_until

QUICK = {"subject": "a reason", "seed": 1}
CONFIG = {"targets": {"narrow": {"base_url": "simulator:/", "concurrency": 1, "timeout": "60s", "breaker": {"enabled": False}}},
          "types": {"probe.narrow": {"queue": "default", "handler": "call", "example": {}, "retry": {"attempts": 1}, "call": {
                        "target": "narrow", "method": "POST", "path": "/echo", "headers": {"X-Simulate": "{{simulate}}"}}},
                    "probe.brief": {"queue": "probe", "handler": "rules", "rule": "sentence.make", "example": QUICK,
                                    "max_age": "2s", "retention": "2s"}}}


@pytest.fixture(scope="module")
def own(module_stack):
    return module_stack("apache", config=CONFIG)


def why(stack, job):
    """What is told of it; a 503 only means that it is not known yet."""
    def told():
        response = stack.request("GET", f"/v1/jobs/{job['id']}/why")
        assert response.status_code in (200, 503), response.text
        return response.json() if response.status_code == 200 else None
    answer = wait_until(told, 20, "it is known")
    assert answer["id"] == job["id"] and answer["why"].endswith(".") and answer["why"].count("\n") == 0
    assert answer["job"]["id"] == job["id"]
    return answer


def wait_why(stack, job, code, deadline_s=20):
    return wait_until(lambda: (told := why(stack, job))["code"] == code and told, deadline_s, f"it is told as {code}")


def cancel(stack, *jobs):
    for job in jobs:
        assert stack.request("DELETE", f"/v1/jobs/{job['id']}", params={"wait": 10}).status_code in (200, 409)


# proves P-25, P-25a
def test_what_waits_says_for_what(own):
    stack = own
    first = stack.submit("probe.one", {"simulate": "slow=50000"})
    told = wait_why(stack, first, "running")
    assert "on worker-1, begun" in told["why"] and told["facts"]["worker"] == {"name": "worker-1", "beats": True}
    behind = [stack.submit("probe.one", {"simulate": "slow=0"}) for _ in range(3)]
    for n, job in enumerate(behind):
        told = wait_why(stack, job, "behind_others")
        place = stack.get(job["id"])["command"]
        at = committed(stack, "worker.probe", "commands.probe", place["partition"])
        assert told["facts"]["committed"] == at and told["facts"]["before"] == place["offset"] - at == n + 1
        assert f"at most {n + 1} records" in told["why"] and told["facts"]["workers"] == 1
    later = stack.submit("probe.call", {}, delay=3600)
    told = wait_why(stack, later, "scheduled")
    assert f"at {stack.get(later['id'])['run_at']}" in told["why"] and "in 59m" in told["why"]
    again = stack.submit("probe.patient", {"simulate": "status=503,retry-after=20"})
    told = wait_why(stack, again, "retrying")
    assert "target_status" in told["why"] and f"at {stack.get(again['id'])['next_at']}" in told["why"]
    narrow = [stack.submit("probe.narrow", {"simulate": "slow=50000"}) for _ in range(2)]
    held = wait_until(lambda: next((told for job in narrow if (told := why(stack, job))["code"] == "held"), None), 20, "one is held")
    assert "target_held" in held["why"] and "narrow" in held["why"] and held["job"]["state"] == "held"
    cancel(stack, *behind, first, later, again, *narrow)


# proves P-25
def test_what_is_behind_its_key_says_behind_whom(own):
    stack = own
    key = uuid.uuid4().hex
    line = [stack.submit("line.call", {"simulate": "status=503"}, key=key) for _ in range(1)]
    line += [stack.submit("line.call", {"simulate": "slow=0"}, key=key) for _ in range(4)]
    other = stack.submit("line.call", {"simulate": "slow=0"}, key=uuid.uuid4().hex)
    slow = uuid.uuid4().hex
    blocked = [stack.submit("line.call", {"simulate": "slow=50000"}, key=slow) for _ in range(3)]
    wait_why(stack, blocked[0], "running")
    for n, job in enumerate(blocked[1:], 1):
        told = wait_why(stack, job, "behind_key")
        assert told["facts"]["key_before"] == n and told["facts"]["key_first"] == {"id": blocked[0]["id"], "state": "running"}
        assert blocked[0]["id"] in told["why"] and slow in told["why"] and "key_more" not in told["facts"]
    stack.wait(other["id"])
    assert why(stack, other)["code"] == "succeeded"
    for job in line:
        stack.wait(job["id"])
    assert [why(stack, job)["code"] for job in line] == ["failed"] + ["succeeded"] * 4
    cancel(stack, *reversed(blocked))


# proves P-25
def test_what_has_ended_says_how(own):
    stack = own
    done = stack.wait(stack.submit("probe.call", {"simulate": "fail=1"})["id"])
    assert why(stack, done)["why"].startswith("It succeeded ") and "at attempt 2" in why(stack, done)["why"]
    failed = stack.wait(stack.submit("probe.call", {"simulate": "status=400"})["id"])
    assert failed["error"]["code"] in why(stack, failed)["why"] and why(stack, failed)["code"] == "failed"
    called_off = stack.submit("probe.call", {}, delay=3600)
    cancel(stack, called_off)
    assert "before any attempt" in wait_why(stack, called_off, "cancelled")["why"]
    first = stack.submit("probe.one", {"simulate": "slow=3000"})
    over = stack.submit("probe.one", {"simulate": "slow=0"}, deadline="1s")
    assert stack.wait(over["id"])["state"] == "expired"
    assert wait_why(stack, over, "expired")["why"].startswith("It expired ")
    stack.wait(first["id"])
    assert stack.request("GET", f"/v1/jobs/{uuid.uuid4()}/why").status_code == 404
    brief = stack.submit("probe.brief", QUICK)
    assert why(stack, brief)["code"] in ("accepted", "succeeded", "taken", "next", "behind_others", "passed")
    wait_until(lambda: stack.request("GET", f"/v1/jobs/{brief['id']}/why").status_code in (404, 410), 20, "it is forgotten")
    gone = stack.errand("why", brief["id"], check=False)
    assert gone.returncode == 3 and "error:" in gone.stderr and "why:" in gone.stderr
    shown = stack.errand("why", done["id"])
    assert shown.stdout.splitlines()[0].startswith("It succeeded ") and done["id"] in shown.stdout
    told = json.loads(stack.errand("why", done["id"], "-o", "json").stdout)
    assert told["schema"] == "errand.why/1" and told["code"] == "succeeded" and "result" not in told["job"]


# proves P-25, P-9
def test_without_a_worker_or_a_view_that_is_said(own):
    stack = own
    runs = stack.submit("probe.call", {"simulate": "slow=20000"})
    wait_why(stack, runs, "running")
    with stack.nobody_restarted():
        stack.kill("worker-1")
        died = time.monotonic()
        told = wait_why(stack, runs, "worker_lost", 10)
        assert time.monotonic() - died < 5 and told["facts"]["worker"] == {"beats": False}
        waits = stack.submit("probe.call", {"simulate": "slow=0"})
        told = wait_why(stack, waits, "no_worker")
        assert told["facts"]["workers"] == 0 and "'probe'" in told["why"]
        stack.kill("recorder-1")
        stack.redis().flushall()
        response = stack.request("GET", f"/v1/jobs/{waits['id']}/why")
        assert response.status_code == 503 or response.json()["code"] == "accepted", response.text
    assert stack.wait(waits["id"], deadline_s=60)["state"] == "succeeded"
    assert stack.wait(runs["id"], deadline_s=90)["state"] in TERMINAL
