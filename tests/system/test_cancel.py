"""A job can be cancelled in any state, it ends once, and nobody is told that nothing happened when something did.

SPDX-License-Identifier: Apache-2.0
"""
import json
import random
import re
import signal
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from moments import instant
from stack import TERMINAL, headers_of, identity
from waiting import wait_until

JOBS = 240
AT_ONCE = 24
OUTLIVES_S_MAX = 1


def cancel(stack, job_id, **params):
    return stack.request("DELETE", f"/v1/jobs/{job_id}", params=params)


def cancelled(stack, job_id, **params):
    """Cancels a job that must end so; returns it."""
    answer = cancel(stack, job_id, **params)
    assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
    assert answer.json()["state"] == "cancelled"
    assert stack.get(job_id) == answer.json(), "a read tells the same"
    return answer.json()


def in_state(stack, job, state, deadline_s=15):
    return wait_until(lambda: stack.get(job["id"])["state"] == state, deadline_s, f"the job is {state}")


def called(stack, job):
    """Waits for the job's call to reach the third party."""
    wait_until(lambda: stack.calls(key=job["id"]), 15, "the third party is called")


def ends_of(stack, ids):
    """{id: the states of its terminal events, in the order of the log}."""
    found = {job_id: [] for job_id in ids}
    for record in sorted(stack.kafka("replies.probe"), key=lambda r: (r.partition(), r.offset())):
        headers = headers_of(record)
        kind = headers["ce_type"].rsplit(".", 1)[-1]
        if headers["ce_subject"] in found and kind in TERMINAL:
            found[headers["ce_subject"]].append(kind)
    return found


# proves P-22, P-22f
def test_a_job_that_was_accepted_a_moment_ago_can_be_cancelled(stack):
    job = stack.submit("probe.call", {"n": 1}, delay=3600)
    assert job["state"] == "scheduled"
    done = cancelled(stack, job["id"])
    assert "error" not in done and "attempt" not in done
    assert ends_of(stack, [job["id"]]) == {job["id"]: ["cancelled"]}


# proves P-22, P-22d
def test_a_scheduled_job_that_was_cancelled_is_not_begun_when_its_time_comes(stack):
    job = stack.submit("probe.call", {"n": 1}, delay=2)
    in_state(stack, job, "scheduled")
    done = cancelled(stack, job["id"])
    assert "error" not in done
    marked = stack.submit("probe.call", {"n": 1}, delay=2)  # a mark alone is enough: its worker meets it at the gate
    stack.redis().set(f"errand:g:{identity(marked['id'])}", b"x", ex=60)
    last = stack.submit("probe.call", {"n": 1}, delay=3)
    assert stack.wait(last["id"])["state"] == "succeeded"
    assert not stack.calls(key=job["id"]), "its time came before that of the last one"
    assert stack.get(job["id"]) == done
    done = stack.wait(marked["id"])
    assert done["state"] == "cancelled" and "error" not in done and not stack.calls(key=marked["id"])


# proves P-22, P-22a, P-22d
def test_a_job_that_stands_in_line_is_cancelled_and_the_line_moves_on(stack):
    first = stack.submit("probe.one", {"simulate": "slow=60000"})
    called(stack, first)
    second, third = (stack.submit("probe.one", {"simulate": "slow=0"}) for _ in range(2))
    in_state(stack, second, "queued")
    assert "error" not in cancelled(stack, second["id"])
    assert cancelled(stack, first["id"])["error"]["code"] == "cancelled"
    assert stack.wait(third["id"])["state"] == "succeeded"
    assert not stack.calls(key=second["id"])


# proves P-22b, P-22d
def test_a_job_that_runs_is_cancelled_and_its_call_is_aborted(stack):
    job = stack.submit("probe.call", {"simulate": "slow=60000"})
    in_state(stack, job, "running")
    done = cancelled(stack, job["id"])
    assert done["attempt"] == 1 and done["started_at"]
    assert done["error"]["code"] == "cancelled" and "may have acted" in done["error"]["detail"]
    assert done["error"]["attempt"] == 1

    aborted(stack, done)


def aborted(stack, done):
    """The only call of a job that was cancelled ends with it, or soon after."""
    def gone():
        call, = stack.calls(key=done["id"])
        return call["state"] == "gone" and call
    call = wait_until(gone, 5, "the third party sees its client go")
    assert call["finished_ms"] / 1000 - instant(done["finished_at"]) < OUTLIVES_S_MAX
    assert not call["executed"]


# proves P-22b
@pytest.mark.parametrize("left", [b"", b"0 - - 0 0 0 r"], ids=["nothing", "that a turn has passed"])
def test_a_job_that_runs_is_aborted_also_when_redis_has_lost_its_claim(stack, left):
    job = stack.submit("probe.call", {"simulate": "slow=60000"})
    in_state(stack, job, "running")
    assert stack.redis().delete(f"errand:g:{identity(job['id'])}") == 1
    if left:
        stack.redis().set(f"errand:g:{identity(job['id'])}", left, ex=60)
    done = cancelled(stack, job["id"])
    assert done["error"]["code"] == "cancelled"
    aborted(stack, done)
    assert set(ends_of(stack, [job["id"]])[job["id"]]) == {"cancelled"}


# proves P-22, P-22d
def test_a_job_that_waits_for_its_next_attempt_is_cancelled(stack):
    job = stack.submit("probe.patient", {"simulate": "status=503,retry-after=20"})
    in_state(stack, job, "retrying")
    done = cancelled(stack, job["id"])
    assert done["error"]["code"] == "cancelled", "an attempt had begun, and the job says so"
    assert "next_at" not in done
    assert len(stack.calls(key=job["id"])) == 1


# proves P-22
def test_a_job_that_blocks_its_key_is_cancelled_and_the_next_one_goes_on(stack):
    key = str(uuid.uuid4())
    head = stack.submit("line.call", {"simulate": "status=503,retry-after=3"}, key=key)
    following = stack.submit("line.call", {"n": 2}, key=key)
    waits = in_state(stack, head, "retrying") and stack.get(head["id"])
    done = cancelled(stack, head["id"])
    assert done["error"]["code"] == "cancelled" and len(stack.calls(key=head["id"])) == 1
    ended = stack.wait(following["id"])
    assert ended["state"] == "succeeded"
    assert instant(done["finished_at"]) <= instant(ended["started_at"]) < instant(waits["next_at"])


# proves P-22
def test_cancelling_again_gives_the_same_answer(stack):
    job = stack.submit("probe.call", {"simulate": "slow=60000"})
    called(stack, job)
    first = cancelled(stack, job["id"])
    assert [cancelled(stack, job["id"]) for _ in range(3)] == [first] * 3
    assert ends_of(stack, [job["id"]]) == {job["id"]: ["cancelled"]}


# proves P-22
def test_an_ended_job_cannot_be_cancelled(stack):
    for simulate, state in (("slow=0", "succeeded"), ("status=400", "failed")):
        done = stack.wait(stack.submit("probe.call", {"simulate": simulate})["id"])
        answer = cancel(stack, done["id"])
        assert (answer.status_code, answer.json()["code"]) == (409, "job_ended")
        assert state in answer.json()["detail"] and done["state"] == state
        assert stack.get(done["id"]) == done


# proves P-22
def test_what_is_no_job_cannot_be_cancelled(stack):
    job = stack.submit("probe.call", {"n": 1})
    for job_id in ("nothing", job["id"][:-1] + ("0" if job["id"][-1] != "0" else "1")):
        answer = cancel(stack, job_id)
        assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")
    assert stack.wait(job["id"])["state"] == "succeeded"
    wrong = cancel(stack, job["id"], wait="soon")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_parameter")


# proves P-22c
def test_who_does_not_wait_is_told_that_it_is_under_way(stack):
    job = stack.submit("probe.call", {"simulate": "slow=60000"})
    in_state(stack, job, "running")
    answer = cancel(stack, job["id"], wait=0)
    assert answer.status_code in (200, 202), answer.text
    assert answer.headers.get("Retry-After") or answer.status_code == 200
    assert stack.wait(job["id"], deadline_s=5)["state"] == "cancelled"


# proves P-22b
def test_an_answer_that_has_come_wins(stack):
    """The mark of a job whose answer is on its way does not turn it into one that was cancelled."""
    jobs = [stack.submit("probe.call", {"simulate": "slow=0"}) for _ in range(30)]
    answers = {job["id"]: cancel(stack, job["id"]) for job in jobs}
    for job in jobs:
        done = stack.wait(job["id"])
        answer = answers[job["id"]]
        assert answer.status_code == (200 if done["state"] == "cancelled" else 409), (answer.text, done)
        if "error" not in done and done["state"] == "cancelled":
            assert not stack.calls(key=job["id"])


# proves P-22b
def test_a_wish_that_the_worker_did_not_hear_is_found_when_it_listens_again(stack):
    job = stack.submit("probe.call", {"simulate": "slow=60000"})
    in_state(stack, job, "running")
    redis = stack.redis()
    claim = redis.get(f"errand:g:{identity(job['id'])}")
    redis.set(f"errand:g:{identity(job['id'])}", b"x" + claim, keepttl=True)
    redis.client_kill_filter(_type="pubsub")
    assert stack.wait(job["id"], deadline_s=10)["state"] == "cancelled"


# proves P-22a
def test_a_marked_job_that_fails_is_not_tried_again(stack):
    """The worker is not told, and meets the mark when it hands the job on."""
    job = stack.submit("probe.patient", {"simulate": "slow=1500,status=503,retry-after=20"})
    in_state(stack, job, "running")
    redis = stack.redis()
    claim = redis.get(f"errand:g:{identity(job['id'])}")
    redis.set(f"errand:g:{identity(job['id'])}", b"x" + claim, keepttl=True)
    done = stack.wait(job["id"], deadline_s=10)
    assert (done["state"], done["error"]["code"]) == ("cancelled", "cancelled")
    assert len(stack.calls(key=job["id"])) == 1


# proves P-22a, P-22b, P-22c
def test_a_job_whose_worker_died_is_cancelled_without_another_attempt(stack):
    job = stack.submit("probe.call", {"simulate": "slow=60000"})
    in_state(stack, job, "running")
    worker = stack.kill("worker-1")
    answer = cancel(stack, job["id"], wait=0)
    assert answer.status_code == 202 and answer.headers["Retry-After"], answer.text
    assert answer.json()["state"] == "running", "nobody was there to be told, and nothing is guessed"
    done = stack.wait(job["id"], deadline_s=40)
    assert (done["state"], done["error"]["code"]) == ("cancelled", "cancelled")
    assert len(stack.calls(key=job["id"])) == 1
    stack.wait_restarted("worker-1", worker)


def ungated(stack):
    """How many attempts began without the gate, since Redis did not answer their worker in time."""
    text = requests.get(f"http://{stack.address('worker-1')}/metrics", timeout=10).text
    return int(float(re.search(r'^errand_gate_verdicts_total{verdict="unknown"} (\S+)$', text, re.M)[1]))


def cancel_at_random(stack, seed):
    """Submits a job and cancels it at a moment of its life, or after; returns (job, DELETE's answer)."""
    chance = random.Random(seed)
    simulate = f"slow={chance.randint(0, 300)}" + (",fail=1" if chance.random() < 0.3 else "")
    job = stack.submit("probe.call", {"simulate": simulate})
    moment = time.monotonic() + chance.uniform(0, 0.5)
    wait_until(lambda: time.monotonic() >= moment, 5, "its moment has come")
    return job, cancel(stack, job["id"], **chance.choice([{}, {}, {"wait": 0}]))


# proves P-21, P-22a, P-22b, P-22d
def test_cancelled_at_random_moments_every_job_ends_once_and_no_call_outlives_it(stack):
    began_ungated = ungated(stack)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda seed: cancel_at_random(stack, seed), range(JOBS)))
    done = {job["id"]: stack.wait(job["id"]) for job, _ in answers}
    ends = ends_of(stack, done)
    calls = {}
    for call in stack.calls(path="/echo"):
        calls.setdefault(call["idempotency_key"], []).append(call)
    twice, untold = [], []
    for job, answer in answers:
        job_id, ended = job["id"], done[job["id"]]
        mine = calls.get(job_id, [])
        assert ended["state"] in ("cancelled", "succeeded"), ended
        assert ends[job_id][0] == ended["state"], (ends[job_id], ended)
        twice += [(ends[job_id], ended)] if set(ends[job_id]) != {ended["state"]} else []
        assert answer.status_code in (200, 202, 409), f"{answer.status_code} {answer.text}"
        assert answer.status_code != 200 or ended["state"] == "cancelled"
        assert answer.status_code != 409 or ended["state"] == "succeeded"
        if ended["state"] == "cancelled":
            untold += [(ended, mine)] if mine and "error" not in ended else []
            for call in mine:
                assert call["state"] != "open", call
                assert call["finished_ms"] / 1000 < instant(ended["finished_at"]) + OUTLIVES_S_MAX, (call, ended)
    began_ungated = ungated(stack) - began_ungated
    assert len(twice) <= began_ungated, f"ended again, otherwise: {twice}"
    assert len(untold) <= began_ungated, f"called, and the job does not say so: {untold}"
    kinds = [(ended["state"], "error" in ended) for ended in done.values()]
    assert kinds.count(("cancelled", True)) >= 10 and kinds.count(("succeeded", False)) >= 10, "both happened"


# proves P-22
def test_the_command_line_cancels(stack):
    job = stack.submit("probe.call", {"simulate": "slow=60000"})
    called(stack, job)
    told = json.loads(stack.errand("cancel", job["id"], "--wait", "-o", "json").stdout)
    assert (told["schema"], told["id"], told["state"]) == ("errand.job/1", job["id"], "cancelled")
    assert stack.errand("cancel", job["id"]).returncode == 0, "again is harmless"
    ended = stack.wait(stack.submit("probe.quick", {"subject": "the end", "seed": 1})["id"])
    late = stack.errand("cancel", ended["id"], check=False)
    assert late.returncode == 6 and "succeeded" in late.stderr
    assert stack.errand("cancel", "nothing", check=False).returncode == 3


# proves P-22e
def test_without_redis_or_kafka_nothing_is_guessed(fresh_stack):
    stack = fresh_stack("embedded", config={"kafka": {"produce_timeout": "1s"}})
    job = stack.submit("probe.call", {"n": 1}, delay=3600)
    in_state(stack, job, "scheduled")
    stack.signal("broker", signal.SIGSTOP)
    unsaid = cancel(stack, job["id"])
    stack.signal("broker", signal.SIGCONT)
    assert unsaid.status_code == 503 and unsaid.headers["Retry-After"], unsaid.text
    stack.signal("redis", signal.SIGSTOP)
    unknown = cancel(stack, job["id"])
    stack.signal("redis", signal.SIGCONT)
    assert (unknown.status_code, unknown.json()["code"]) == (503, "view_unavailable")
    assert unknown.headers["Retry-After"]

    def answered():
        answer = cancel(stack, job["id"])
        assert answer.status_code in (200, 503), answer.text
        return answer.status_code == 200 and answer.json()
    done = wait_until(answered, 30, "asked again when all is there, it is cancelled")
    assert done["state"] == "cancelled" and "error" not in done
