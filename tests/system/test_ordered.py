"""Ordered queues: the jobs of a key run one at a time, in the order of their submission, through retries, crashes and
an emptied Redis. Who called whom when is looked up at the third party, who ended when in Kafka.

SPDX-License-Identifier: Apache-2.0
"""
import collections
import http.client
import json
import os
import random
import signal
import threading
import uuid

import pytest

from chaos import assert_clean, judge
from moments import now_ms
from stack import headers_of
from waiting import wait_until

KEYS = 100
JOBS = 100  # of each key
THREADS = 20
WORKERS = ("worker-1", "worker-2")
ENDS = {"succeeded", "failed", "cancelled", "expired"}


def simulate(n):
    """What the third party does to job n of a key, and how many calls that makes."""
    for every, word, calls in ((31, "status=400", 1), (23, "status=503", 3), (11, "fail=2", 3), (5, "fail=1", 2)):
        if n % every == every - 1:
            return word, calls
    return "slow=0", 1


class Submitter:
    """Submits JOBS jobs of each of KEYS keys; jobs[key] are the ids in their order."""

    def __init__(self, stack, keys=KEYS, jobs_each=JOBS):
        self.run = uuid.uuid4().hex
        self.keys = [f"{self.run}-{k}" for k in range(keys)]
        self.jobs = {key: [] for key in self.keys}
        self.jobs_each = jobs_each
        self.wrong = []
        self.lines = []  # of a history
        self.url = stack.url.removeprefix("http://")
        self.threads = [threading.Thread(target=self._submit, args=(self.keys[t::THREADS],)) for t in range(THREADS)]
        for thread in self.threads:
            thread.start()

    def _submit(self, keys):
        connection = http.client.HTTPConnection(self.url, timeout=60)
        for n in range(self.jobs_each):
            for key in keys:
                body = {"type": "line.call", "key": key, "payload": {"n": n, "simulate": simulate(n)[0]}}
                request, begin = f"{key}-{n}", now_ms()
                connection.request("POST", "/v1/jobs", json.dumps(body),
                                   {"Content-Type": "application/json", "X-Request-Id": request})
                answer = connection.getresponse()
                told = json.loads(answer.read())
                self.lines += [{"do": "submit", "request": request, "begin": begin},
                               {"do": "submitted", "request": request, "id": told.get("id"), "begin": begin, "end": now_ms(),
                                "status": answer.status}]
                if answer.status != 202:
                    self.wrong.append(told)
                    return
                self.jobs[key].append(told["id"])

    def accepted(self):
        return sum(map(len, self.jobs.values()))

    def finish(self):
        for thread in self.threads:
            thread.join()
        assert not self.wrong, self.wrong[:3]
        return self.jobs


def calls_by_key(stack, jobs):
    """{key: its calls in the order of their arrival, each with the job's number as "n"}."""
    place = {job_id: (key, n) for key, ids in jobs.items() for n, job_id in enumerate(ids)}
    found = collections.defaultdict(list)
    for call in stack.calls(path="/echo", limit=10000):
        if call["idempotency_key"] in place:
            key, n = place[call["idempotency_key"]]
            found[key].append({**call, "n": n})
    return found


def ends(stack):
    """{job id: (when, how)} of the first terminal event of each job in the replies."""
    found = {}
    for record in stack.kafka("replies.line"):
        headers = headers_of(record)
        kind = headers["ce_type"].rsplit(".", 1)[-1]
        if kind in ENDS:
            found.setdefault(headers["ce_subject"], (record.timestamp()[1], kind))
    return found


def assert_ended_in_order(stack, jobs):
    """Waits for the last job of each key; then every job has ended, none before an earlier one of its key."""
    for ids in jobs.values():
        stack.wait(ids[-1], deadline_s=120)
    told = ends(stack)
    for key, ids in jobs.items():
        missing = [n for n, job_id in enumerate(ids) if job_id not in told]
        assert not missing, f"{key}: jobs {missing} have not ended, the last one has"
        moments = [told[job_id][0] for job_id in ids]
        assert moments == sorted(moments), f"{key}: ended out of order"
    for ids in jobs.values():
        for n, job_id in enumerate(ids):
            assert told[job_id][1] == ("failed" if simulate(n)[0].startswith("status") else "succeeded"), (n, told[job_id])


# proves P-37, P-37a, P-37b, P-37c
def test_jobs_of_a_key_run_one_at_a_time_in_order_through_failures(stack):
    jobs = Submitter(stack).finish()
    assert_ended_in_order(stack, jobs)
    calls = calls_by_key(stack, jobs)
    for key, ids in jobs.items():
        expected = [(n, attempt) for n in range(len(ids)) for attempt in range(1, simulate(n)[1] + 1)]
        assert [(call["n"], call["attempt"]) for call in calls[key]] == expected, key
        overlaps = [(one["n"], other["n"]) for one, other in zip(calls[key], calls[key][1:])
                    if other["started_ms"] < one["finished_ms"]]
        assert not overlaps, f"{key}: {overlaps} ran at the same time"
    commands = collections.Counter(record.key().decode() for record in stack.kafka("commands.line"))
    assert all(commands[key] == JOBS for key in jobs), "keyed by the ordering key; a retry is no command"


@pytest.fixture(scope="module")
def pair(module_stack):
    """A stack with two workers, which share the partitions."""
    return module_stack("apache", workers=2)


def blocking_worker(stack):
    """The worker in which a key is blocked, once one is."""
    return wait_until(lambda: [name for name in WORKERS
                               if stack.metric(name, "errand_ordered_keys_blocked")], 10, "a key is blocked")[0]


def attempts_of(stack, job):
    return [call["attempt"] for call in stack.calls(path="/echo", key=job["id"])]


# proves P-37c, P-37d
def test_a_crash_forgets_neither_the_attempts_nor_the_order(pair):
    key = str(uuid.uuid4())
    head = pair.submit("line.call", {"simulate": "status=503,retry-after=3"}, key=key)
    behind = pair.submit("line.call", {"n": 1}, key=key)
    beside = pair.submit("line.call", {"n": 1}, key=f"another than {key}")
    wait_until(lambda: len(attempts_of(pair, head)) == 2, 20, "the second attempt has been made")
    name = blocking_worker(pair)
    assert 2 < pair.metric(name, "errand_ordered_head_age_seconds") < 60
    told = pair.get(head["id"])
    assert (told["state"], told["attempt"], told["key"]) == ("retrying", 2, key) and told["next_at"] > told["started_at"]
    assert pair.get(behind["id"])["state"] == "queued"
    assert pair.wait(beside["id"])["state"] == "succeeded", "another key waits for nothing"
    pid = pair.kill(name)
    done = pair.wait(head["id"], deadline_s=60)
    assert (done["state"], done["attempt"]) == ("failed", 3)
    assert attempts_of(pair, head) == [1, 2, 3]
    after = pair.wait(behind["id"])
    assert after["state"] == "succeeded" and after["started_at"] >= done["finished_at"]
    pair.wait_restarted(name, pid)
    wait_until(lambda: not any(pair.metric(name, "errand_ordered_keys_blocked") for name in WORKERS), 5, "no key is blocked")


# proves P-37b
def test_the_next_one_waits_for_kafka_and_not_only_for_the_call(pair):
    key = str(uuid.uuid4())
    head = pair.submit("line.call", {"simulate": "slow=1000"}, key=key)
    behind = pair.submit("line.call", {"n": 1}, key=key)
    wait_until(lambda: attempts_of(pair, head), 20, "the first call has begun")
    broker = pair.signal("broker", signal.SIGSTOP)
    try:
        wait_until(lambda: pair.calls(path="/echo", key=head["id"])[0]["finished_ms"], 20, "the call is over")
        wait_until(lambda: not any(pair.metric(name, "errand_attempts_in_flight") for name in WORKERS), 5,
                   "the worker knows its outcome")
        for _ in range(25):  # turns of the worker's loop, each with time for a question to the gate and a call
            assert all(pair.metric(name, "errand_attempts_in_flight") == 0 for name in WORKERS)
        assert not attempts_of(pair, behind), "the end of the first one is not in Kafka yet"
    finally:
        os.kill(broker, signal.SIGCONT)
    done, after = pair.wait(head["id"], deadline_s=60), pair.wait(behind["id"], deadline_s=60)
    assert done["state"] == after["state"] == "succeeded" and after["started_at"] >= done["finished_at"]


# proves P-37b, P-37d
def test_killed_workers_and_an_emptied_redis_change_no_order(pair, tmp_path):
    """A hundred keys with a hundred jobs each, some of which fail, judged by the checker as well."""
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    (tmp_path / "since").write_text(pair.errand("verdict", "--mark").stdout)
    submitter = Submitter(pair)
    count = KEYS * submitter.jobs_each
    harms = sorted((chance.randrange(count // 20, count * 3 // 4), harm) for harm in ("kill", "empty", "kill"))
    faults, killed = [], {}
    for moment, harm in harms:
        wait_until(lambda m=moment: submitter.accepted() >= m or submitter.wrong, 120, f"{moment} jobs are accepted")
        faults.append({"do": "fault", "what": harm, "name": "worker or redis", "begin": now_ms()})
        if harm == "kill":
            name = chance.choice(WORKERS)
            if name in killed:
                pair.wait_restarted(name, killed[name])
            killed[name] = pair.kill(name)
        else:
            pair.redis().flushall()
    jobs = submitter.finish()
    assert_ended_in_order(pair, jobs)
    assert_clean(judge(pair, tmp_path / "judged", submitter.lines + faults, f"http://{pair.address('simulator')}",
                       "--since", str(tmp_path / "since")))
    for key, calls in calls_by_key(pair, jobs).items():
        firsts = {}
        for call in calls:
            firsts.setdefault(call["n"], call["started_ms"])
        assert list(firsts) == sorted(firsts), f"{key}: a job was called before an earlier one (seed {seed})"
    for name, pid in killed.items():
        pair.wait_restarted(name, pid)


# proves P-37e
def test_a_worker_that_was_stopped_begins_no_job_that_is_another_ones_by_now(pair):
    key = str(uuid.uuid4())
    jobs = [pair.submit("line.call", {"simulate": word}, key=key) for word in ("slow=2000", "slow=0", "slow=0")]
    wait_until(lambda: attempts_of(pair, jobs[0]), 20, "the first call has begun")
    name, = [name for name in WORKERS if pair.metric(name, "errand_attempts_in_flight")]
    log = os.path.join(pair.folder, "log", f"{name}.log")
    with open(log, encoding="utf-8") as file:
        before = file.read().count("assigned from")
    pid = pair.signal(name, signal.SIGSTOP)
    try:
        for job in jobs:
            assert pair.wait(job["id"], deadline_s=60)["state"] == "succeeded"
    finally:
        os.kill(pid, signal.SIGCONT)

    def is_back():
        with open(log, encoding="utf-8") as file:
            return file.read().count("assigned from") > before
    wait_until(is_back, 60, "the stopped worker has its partitions anew")
    assert [len(attempts_of(pair, job)) for job in jobs[1:]] == [1, 1]


# proves P-37f
def test_a_job_expires_when_its_turn_comes(stack):
    key = str(uuid.uuid4())
    head = stack.submit("line.call", {"simulate": "slow=2500"}, key=key)
    late = [stack.submit("line.brief", {"subject": "a latecomer", "seed": 1}, key=key) for _ in range(2)]
    last = stack.submit("line.call", {"n": 1}, key=key)
    done = stack.wait(head["id"])
    ended = [stack.wait(job["id"]) for job in late]
    assert [job["state"] for job in ended] == ["expired", "expired"]
    assert done["finished_at"] <= ended[0]["finished_at"] <= ended[1]["finished_at"]
    assert stack.wait(last["id"])["state"] == "succeeded"


# proves P-37, P-37g
@pytest.mark.parametrize("body, code, field", [
    ({"type": "line.call", "payload": {}}, "missing_field", "key"),
    ({"type": "line.call", "payload": {}, "key": ""}, "invalid_field", "key"),
    ({"type": "line.call", "payload": {}, "key": "k" * 256}, "invalid_field", "key"),
    ({"type": "line.call", "payload": {}, "key": "k", "delay": "5s"}, "invalid_field", "delay"),
    ({"type": "line.call", "payload": {}, "key": "k", "run_at": "2020-01-01T00:00:00Z"}, "invalid_field", "run_at"),
    ({"type": "probe.call", "payload": {}, "key": "k"}, "invalid_field", "key"),
])
def test_a_key_where_none_belongs_or_none_where_one_is_needed_is_refused(stack, body, code, field):
    response = stack.post(body)
    assert (response.status_code, response.json()["code"], response.json()["field"]) == (400, code, field)
    assert "order" in response.json()["detail"]


def test_the_key_counts_for_the_idempotency_key(stack):
    key = str(uuid.uuid4())
    first = stack.submit("line.call", {"n": 1}, idempotency_key=key, key="a")
    assert first["key"] == "a"
    assert stack.submit("line.call", {"n": 1}, idempotency_key=key, key="a")["id"] == first["id"]
    other = stack.post({"type": "line.call", "payload": {"n": 1}, "key": "b"}, {"Idempotency-Key": key})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_errand_submits_with_a_key(stack):
    told = stack.errand("submit", "ledger.post", "--key", "account-17", "--wait", "-d", '{"account": "17", "cents": 250}',
                        "-o", "json")
    job = json.loads(told.stdout)
    assert (job["key"], job["result"]) == ("account-17", {"account": "17", "cents": 250})
    load = stack.errand("load", "ledger.post", "--key", "account-{{n}}", "--count", 50, "--connections", 5, "--mode", "e2e",
                        "-o", "json")
    assert json.loads(load.stdout)["accepted"] == 50
