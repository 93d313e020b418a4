"""A job that crashes its process takes nobody with it; what was under way when a worker died is done again at once, and
what had finished is not.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import signal
import subprocess
import time

import pytest

import processes
from chaos import assert_clean, judge, submit_told
from load import Load, assert_all_succeed, submit_many
from moments import instant, now_ms
from stack import SANITIZER_OPTIONS, headers_of
from waiting import wait_until

CALLS = 1000  # in flight when their worker is killed; as many as a type may have
CLIENTS = 1300
WINDOW = 2048  # offsets between the first command that is not done and the last one that is read
SUSPECT = '{verdict="suspect"}'
BYSTANDERS = 500
# Commits are rare here, so that a worker that dies leaves much behind; redeliveries may wait long, so that it is the view
# that ends their wait and not the clock.
CONFIG = {"worker": {"drill_rules": True, "commit_interval": "10s", "redelivery_wait": "30s", "window_span": WINDOW}}


@pytest.fixture(scope="module")
def suspects_stack(module_stack):
    return module_stack("apache", config=CONFIG, workers=2)


class Judged:
    """Jobs of a test on a stack that others have used before, and the checker's verdict on them."""

    def __init__(self, stack, folder):
        self.stack = stack
        self.folder = folder
        self.lines = []
        (folder / "since").write_text(stack.errand("verdict", "--mark").stdout)

    def load(self, clients, count, payload):
        """So many clients, each with one job at a time."""
        return Load(self.stack, "probe.call", payload, self.folder / "ids", rate=None, duration_s=120, options=[
            "--connections", str(clients), "--count", str(count), "--mode", "e2e", "--history", str(self.folder / "history")])

    def submit(self, job_type, payload):
        answer = submit_told(self.stack, self.lines, job_type, payload)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def died(self, name, begin):
        self.lines.append({"do": "fault", "what": "kill", "name": name, "begin": begin, "end": now_ms()})

    def all_deaths(self, since):
        """Of workers, as their supervisor saw them, and of their children, as the workers did."""
        for line in self.stack.all_logs().splitlines():
            told = json.loads(line) if line.startswith("{") else {}
            if re.match(r"worker-\d ended with signal|child \d+ ended \(", told.get("msg", "")):
                at = round(instant(told["ts"]) * 1000)
                if at >= since:
                    self.lines.append({"do": "fault", "what": "crash", "name": told["msg"].split(" ended")[0], "begin": at, "end": at})

    def assert_clean(self):
        lines = self.lines + [json.loads(line) for line in (self.folder / "history").read_text().splitlines()]
        verdict = judge(self.stack, self.folder / "judged", lines, f"http://{self.stack.address('simulator')}",
                        "--since", str(self.folder / "since"))
        assert_clean(verdict)
        return verdict


def owner(stack, running):
    """The worker that has the one partition of the queue, once so many of its attempts run."""
    def found():
        return [name for name in ("worker-1", "worker-2")
                if stack.metric(name, "errand_attempts_in_flight") >= running]
    return wait_until(found, 30, f"{running} attempts run in one worker")[0]


def other(name):
    return {"worker-1": "worker-2", "worker-2": "worker-1"}[name]


def calls_by_job(stack, ids):
    counts = dict.fromkeys(ids, 0)
    for call in stack.calls(path="/echo"):
        if call["idempotency_key"] in counts:
            counts[call["idempotency_key"]] += 1
    return counts


def starts(stack):
    return sum('"errand-worker ' in line and " listens on " in line for line in stack.all_logs().splitlines())


def both_ready(stack):
    wait_until(lambda: all(stack.is_ready(name) for name in ("worker-1", "worker-2")), 30, "both workers are ready")


# proves P-38, P-38a
def test_a_rolling_restart_suspects_nobody(suspects_stack, tmp_path):
    stack = suspects_stack
    both_ready(stack)
    ids = submit_many(stack, tmp_path, {"simulate": "slow=3000"}, 50)
    name = owner(stack, 40)
    told = {value.split(b" ")[0] for value in (stack.redis().get(key) for key in stack.redis().keys("errand:i:*"))}
    assert told == {b"alive"}, "both of them beat"
    for leaving in (name, other(name)):
        pid = stack.signal(leaving, signal.SIGTERM)
        stack.wait_restarted(leaving, pid)
        staying = other(leaving)
        assert stack.metric(staying, "errand_suspects_total") == 0
        assert stack.metric(staying, "errand_gate_verdicts_total" + SUSPECT) == 0
    assert_all_succeed(stack, ids)
    lives = [value for value in (stack.redis().get(key) for key in stack.redis().keys("errand:i:*"))]
    assert sorted(value.split(b" ")[0] for value in lives) == [b"alive", b"alive", b"left", b"left"]
    life = json.loads(lives[0].split(b" ", 1)[1])
    assert set(life) == {"name", "version", "host", "pid", "queues", "in_flight", "partitions", "beat_at_ms"}


# proves P-38, P-38c
def test_what_a_killed_worker_ran_is_done_again_all_at_once_and_nobody_is_convicted(suspects_stack, tmp_path):
    stack = suspects_stack
    both_ready(stack)
    judged = Judged(stack, tmp_path)
    load = judged.load(CLIENTS, 2 * CLIENTS, {"simulate": "slow=2000"})
    name = owner(stack, CALLS)
    survivor = other(name)
    before = stack.metric(survivor, "errand_suspects_total")
    killed, began = now_ms(), time.monotonic()
    pid = stack.kill(name)
    ids = load.finish()
    took = time.monotonic() - began
    stack.wait_restarted(name, pid)
    judged.died(name, killed)
    assert_all_succeed(stack, ids)
    suspected = sum(stack.metric(worker, "errand_suspects_total") for worker in (name, survivor)) - before
    assert suspected >= CALLS * 0.9, "what ran when the worker died came back as suspects"
    assert took < 30, f"{suspected} suspects of 2 s took {took:.1f} s: not one after the other"
    assert stack.metric(survivor, "errand_suspects_convicted_total") == 0
    counts = calls_by_job(stack, ids)
    assert max(counts.values()) <= 2, "none was called again more than once"
    assert judged.assert_clean()["repeats"] > 0


# proves P-38c, P-38d
def test_jobs_that_crash_their_process_are_found_and_their_bystanders_succeed(suspects_stack, tmp_path):
    stack = suspects_stack
    both_ready(stack)
    before = starts(stack)
    judged = Judged(stack, tmp_path)
    load = judged.load(2 * BYSTANDERS, 3 * BYSTANDERS, {"simulate": "slow=2000"})
    owner(stack, BYSTANDERS)
    crashed, began = now_ms(), time.monotonic()
    crashers = {signal_name: judged.submit("probe.crash", {"signal": signal_name}) for signal_name in ("ABRT", "SEGV")}
    done = {signal_name: stack.wait(job["id"], deadline_s=60) for signal_name, job in crashers.items()}
    ids = load.finish()
    took = time.monotonic() - began
    judged.all_deaths(since=crashed)
    assert_all_succeed(stack, ids)
    dead = {headers_of(record).get("ce_subject"): headers_of(record) for record in stack.kafka("dead.probe")}
    for signal_name, job in done.items():
        assert job["state"] == "failed"
        assert job["error"]["code"] == "crashed" and job["error"]["class"] == "reject"
        assert f"SIG{signal_name}" in job["error"]["detail"]
        assert dead[job["id"]]["errand-reason"] == "crashed"
    assert took < 45, f"{took:.1f} s for calls of 2 s, {BYSTANDERS} and more at a time: not one after the other"
    both_ready(stack)
    assert judged.assert_clean()["repeats"] > 0, "those in flight beside the crashers were called again, and no others"
    assert 1 <= starts(stack) - before <= 2, "no worker crashed again and again"


# proves P-38h
def test_a_crashing_rule_needs_the_configuration_s_leave(stack):
    job = stack.submit("probe.crash", {"signal": "ABRT"})
    done = stack.wait(job["id"])
    assert done["state"] == "failed" and done["error"]["code"] == "payload_invalid"
    assert "worker.drill_rules" in done["error"]["detail"]


# proves P-38f
def test_what_had_finished_when_its_worker_died_is_not_called_again(suspects_stack, tmp_path):
    stack = suspects_stack
    both_ready(stack)
    recorder = stack.signal("recorder-1", signal.SIGSTOP)
    try:
        # It comes first and runs until the kill: no commit passes it, whenever the timer of commits falls.
        slow = stack.submit("probe.call", {"simulate": "slow=10000"})
        name = owner(stack, 1)
        survivor = other(name)
        ids = submit_many(stack, tmp_path, {"n": 1}, 100)

        def published():
            subjects = {headers_of(record).get("ce_subject") for record in stack.kafka("replies.probe")}
            return set(ids) <= subjects
        wait_until(published, 30, "every outcome is in the log")
        before = stack.metric(survivor, "errand_gate_verdicts_total" + SUSPECT)
        assert stack.metric(name, "errand_attempts_in_flight") == 1, "the first one still runs"
        pid = stack.kill(name)

        def come_again():
            told = [worker for worker in (name, survivor) if stack.is_ready(worker)]
            return sum(stack.metric(worker, "errand_gate_verdicts_total" + SUSPECT) for worker in told) - before >= len(ids)
        wait_until(come_again, 30, "all of them have come again")
    finally:
        os.kill(recorder, signal.SIGCONT)
    assert_all_succeed(stack, ids)
    stack.wait_restarted(name, pid)
    assert set(calls_by_job(stack, ids).values()) == {1}, "each was called once"
    assert sum(stack.metric(worker, "errand_redelivery_waits_total") for worker in (name, survivor)) >= len(ids)
    assert stack.wait(slow["id"], deadline_s=60)["state"] == "succeeded"


def test_suspects_that_no_child_can_run_are_cancelled_and_expire(suspects_stack):
    """Children read the configuration anew: while it is broken none of them can begin."""
    stack = suspects_stack
    both_ready(stack)
    wait_until(lambda: sum(stack.metric(worker, "errand_attempts_in_flight") for worker in ("worker-1", "worker-2")) == 0, 90,
               "nothing runs")
    path = os.path.join(stack.folder, "errand.yaml")
    with open(path, encoding="utf-8") as file:
        right = file.read()
    unwanted = stack.submit("probe.call", {"simulate": "slow=5000"})
    late = stack.submit("probe.call", {"simulate": "slow=5000"}, deadline="16s")
    name = owner(stack, 2)
    survivor = other(name)
    before = stack.metric(survivor, "errand_suspects_total")
    with open(path, "w", encoding="utf-8") as file:
        file.write(right + "\nnonsense: true\n")
    try:
        pid = stack.kill(name)
        wait_until(lambda: stack.metric(survivor, "errand_suspects_total") - before == 2, 20, "both have come again")
        assert stack.request("DELETE", f"/v1/jobs/{unwanted['id']}").status_code < 300
        assert stack.wait(unwanted["id"], deadline_s=8)["state"] == "cancelled"
        ended = stack.wait(late["id"], deadline_s=40)
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(right)
    assert ended["state"] == "expired" and ended["error"]["code"] == "expired"
    assert ended["finished_at"] > ended["deadline"]
    assert set(calls_by_job(stack, [unwanted["id"], late["id"]]).values()) == {1}, "only by the worker that died"
    stack.wait_restarted(name, pid)
    both_ready(stack)


# proves P-38g
def test_a_call_that_outlives_a_revoke_is_not_made_again_when_the_partition_comes_back(suspects_stack, tmp_path):
    """A second worker joins and leaves: each time the partition is taken away and comes back to its first owner, who is
    the first by name. It is full behind the call then, and read on when that has ended."""
    stack = suspects_stack
    both_ready(stack)
    wait_until(lambda: stack.metric("worker-2", "errand_attempts_in_flight") == 0, 90, "nothing runs")
    job = stack.submit("probe.call", {"simulate": "slow=20000"})
    wait_until(lambda: stack.get(job["id"])["state"] == "running", 10, "the call is made")
    adopted = stack.metric("worker-1", "errand_adopted_total")
    with open(f"/proc/{stack.pid('worker-1')}/environ", encoding="utf-8") as file:
        environment = dict(pair.split("=", 1) for pair in file.read().split("\0") if "=" in pair)
    environment |= {"ERRAND_PROCESS": "zz-joins-late", "ERRAND_LOG_PATH": "", **SANITIZER_OPTIONS}
    with subprocess.Popen([os.path.join(stack.bin_folder, "errand-worker")], env=environment,
                          stderr=subprocess.PIPE) as late:
        try:
            wait_until(lambda: stack.metric("worker-1", "errand_adopted_total") > adopted, 20, "the call is adopted")
        finally:
            late.send_signal(signal.SIGTERM)
            said = late.communicate(timeout=30)[1].decode()
    assert late.returncode == 0, said
    submit_many(stack, tmp_path, {"n": 1}, WINDOW + 50)
    behind = stack.submit("probe.call", {"n": 2})
    assert stack.get(job["id"])["state"] == "running" and stack.get(behind["id"])["state"] == "queued"
    done = stack.wait(job["id"], deadline_s=30)
    assert done["state"] == "succeeded" and done["attempt"] == 1
    assert calls_by_job(stack, [job["id"]]) == {job["id"]: 1}
    assert stack.wait(behind["id"], deadline_s=20)["state"] == "succeeded"


# proves P-38c
def test_no_child_is_left_when_its_suspects_have_ended(suspects_stack):
    def children():
        return [line for line in processes.of_folder(suspects_stack.folder).values() if "--attempts" in line]
    wait_until(lambda: not children(), 90, "children end")
