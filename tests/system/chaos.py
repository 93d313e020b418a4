"""Whole runs in which things die: several loads that write down what they were told, faults at moments of a seeded chance,
and the checker's verdict on all of it (docs/VERIFY.md).

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import json
import os
import random
import shutil
import signal
import time
import uuid

import processes
from load import Load
from moments import now_ms
from stack import TERMINAL
from waiting import wait_until

# type, payload, options, share of the rate
KINDS = [
    ("probe.call", {"simulate": "slow=30"}, [], 0.45),
    ("sentence.make", {"seed": 7}, [], 0.25),
    ("probe.call", {"simulate": "fail=1"}, [], 0.1),
    ("ledger.post", {"account": "1", "cents": 1}, ["--key", "account-{{n}}"], 0.1),
    ("ledger.post", {"account": "2", "cents": 1}, ["--key", "account-2"], 0.02),
    ("probe.call", {"simulate": "status=400"}, [], 0.05),
    ("sentence.make", {"seed": 8}, ["--delay", "1500ms"], 0.03),  # waits with the delayer
]
# What a client may be told whatever dies; 0 is a connection that broke. Whether a 404 or 410 is right is the checker's.
HONEST = {"submitted": {0, 200, 202, 429, 503}, "read": {0, 200, 304, 404, 410, 429, 503}}
TOLD = {200, 404, 410}  # what a read may say once nothing dies any more
GRACE = "3s"  # after who died is back: what a rebalance hands on has two seconds to end, and no call of these takes as long
PLAIN = 2  # so many of them, the first ones, are done at once: how late they end tells how long a fault was felt
STOP_S = 5  # longer than the session of a worker on a broker of our own, which is 4 s
DRAIN_S = 90
LOOK_EVERY_S = 0.5
READS_MAX = 500
RECOVERY_S = 10  # so long, at most, takes a job whose daemon dies
# So long, at most, takes a submission while one broker of three dies. Who needs the slack shall be late, not refused, so such a stack
# waits for Kafka as long.
ACK_MS_MAX = 5000
RATE = 320  # jobs/s that the loads offer where a promise says that it is kept under 300
RATE_PROMISED = 300  # what the report of a long run, on a machine of its own, breaks with less than
RATE_MIN = 240  # on a machine that others use as well, the loads may come later with some; with less, no verdict means anything
# What a machine may add to a promised bound on which brokers, daemons and the load share two cores: what is measured is when a
# client of the same machine was told.
SLACK_MS = 2000
USUAL_MS = 1000  # a plain job that takes longer has felt something
UNDER_WAY_MS = 1000  # a plain job that was submitted so long before a fault may still have been under way


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0


def digest(body):
    """Of an answer, as the loads write it down: FNV-1a, 64 bits."""
    value = 0xcbf29ce484222325
    for byte in body:
        value = (value ^ byte) * 0x100000001b3 & (1 << 64) - 1
    return f"{value:016x}"


def judge(stack, path, lines, ledger, *options):
    """The checker's verdict on these lines, which it finds in `path`."""
    ordered = sorted(lines, key=lambda line: line["begin"] if line["do"] in ("submit", "fault") else line["end"])
    path.write_text("".join(json.dumps(line) + "\n" for line in ordered))
    done = stack.errand("verdict", "--history", path, "--ledger", ledger, "--view", "-o", "json", *options, check=False,
                        limit_s=300)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def submit_told(stack, lines, job_type, payload, headers=None, session=None):
    """Submits a job and adds what was done and told to `lines`, a history; returns the response."""
    request, begin = f"told-{uuid.uuid4().hex}", now_ms()
    lines.append({"do": "submit", "request": request, "begin": begin})
    answer = (session or stack.http).post(f"{stack.url}/v1/jobs", json={"type": job_type, "payload": payload}, timeout=60,
                                          headers={"X-Request-Id": request, **(headers or {})})
    line = {"do": "submitted", "request": request, "begin": begin, "end": now_ms(), "status": answer.status_code}
    told = answer.json()
    lines.append(line | ({"id": told["id"]} if answer.status_code in (200, 202) else {"code": told["code"]}))
    return answer


def mark(stack, folder):
    """For a stack that others have used before: what came before now is not judged. Given to Chaos as `since`."""
    path = folder / "since.json"
    path.write_text(stack.errand("verdict", "--mark").stdout)
    return "--since", path


def told(fault):
    return f"{fault['what']} {fault['name']}"


class Chaos:
    """Use as a context: the loads run inside, the verdict is asked for after it."""

    def __init__(self, stack, folder, rate, duration_s, seed, kinds=None, since=()):
        self.stack = stack
        self.since = since
        self.folder = folder
        self.rate_min = RATE_MIN if rate >= RATE else 0
        self.chance = random.Random(seed)
        self.faults = []
        self.others = []  # what clients beside the loads, and the test itself, wrote down
        self.called = []  # what third parties that are gone have seen
        self.seen_bytes, self.begun, self.ended = {}, {}, {}  # what lives() has read
        print(f"seed {seed}")
        self.loads = [
            Load(stack, job_type, payload, folder / f"ids-{i}", rate=max(1, round(rate * share)), duration_s=duration_s,
                 options=["--mode", "e2e", "--history", str(folder / f"history-{i}"), *options])
            for i, (job_type, payload, options, share) in enumerate(kinds or KINDS)]

    def __enter__(self):
        self.loads[0].wait_accepted(self.chance.randrange(20, 60))
        return self

    def end_loads(self):
        """They have lasted long enough, and until now: nothing more is submitted."""
        assert all(load.process.poll() is None for load in self.loads), "a load ended before what it was for"
        for load in self.loads:
            load.end()

    def __exit__(self, kind, error, trace):
        try:
            self.ids = [load.finish() for load in self.loads] if kind is None else []
        finally:
            for load in self.loads:
                if load.process.poll() is None:
                    load.process.kill()
                    load.process.communicate()

    def ask(self):
        """One submission of the test's own, which takes its place in the history; returns the response."""
        job_type, payload, _, _ = KINDS[0]
        return submit_told(self.stack, self.others, job_type, payload)

    # --- faults ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def fault(self, what, name):
        fault = {"do": "fault", "what": what, "name": name, "begin": now_ms()}
        self.faults.append(fault)
        yield
        fault["end"] = now_ms()

    def let_run(self, least_s, most_s=None):
        """The world goes on under load for so long."""
        end = time.monotonic() + (self.chance.uniform(least_s, most_s) if most_s else least_s)
        wait_until(lambda: time.monotonic() >= end, least_s + (most_s or 0) + 5, "time passes")

    def let_recover(self, most_s):
        """The world goes on until nothing of the last fault is felt any more, and a little longer. Who does not recover in time is found
        by what felt() tells."""
        def recovered():
            lives, until = self.lives(), now_ms() - USUAL_MS
            return all(done for at, done in lives if at <= until) and any(done for at, done in lives if at > self.faults[-1]["end"])
        with contextlib.suppress(AssertionError):
            wait_until(recovered, most_s, "what was submitted has ended")
        self.let_run(0.5, 1.5)

    def kill(self, *names):
        """kill -9, all at once; the supervisor starts them again. The fault is over when they are dead: what is begun later is excused
        by nothing. Returns when all are ready."""
        with self.fault("kill", "+".join(names)):
            pids = {name: self.stack.signal(name, signal.SIGKILL) for name in names}
            for name, pid in pids.items():
                wait_until(lambda pid=pid: not processes.is_alive(pid), 10, f"{name} ends after SIGKILL")
        for name, pid in pids.items():
            self.stack.wait_restarted(name, pid, deadline_s=60)

    @contextlib.contextmanager
    def away(self, *names):
        """kill -9, and they stay away while the body runs; over when all are ready again."""
        with self.fault("kill", "+".join(names)):
            with self.stack.nobody_restarted():
                pids = {name: self.stack.kill(name) for name in names}
                yield
            for name, pid in pids.items():
                self.stack.wait_restarted(name, pid, deadline_s=60)

    @contextlib.contextmanager
    def stopped(self, *names):
        """SIGSTOP, and on with it after the body."""
        with self.fault("stop", "+".join(names)):
            pids = [self.stack.signal(name, signal.SIGSTOP) for name in names]
            try:
                yield
            finally:
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)

    def stop(self, *names, for_s):
        """Whoever took over meanwhile meets it afterwards."""
        with self.stopped(*names):
            self.let_run(for_s)

    def restart(self, name):
        """As a deployment does: SIGTERM, and a new one."""
        with self.fault("restart", name):
            pid = self.stack.signal(name, signal.SIGTERM)
            self.stack.wait_restarted(name, pid, deadline_s=60)

    def flushall(self):
        with self.fault("flushall", "redis"):
            self.stack.redis().flushall()

    def lose_redis(self, dump=None):
        """Redis is killed and comes back empty, or with what was copied to the folder `dump` before."""
        files = os.path.join(self.stack.folder, "redis", "appendonlydir")
        with self.fault("set back" if dump else "empty", "redis"):
            with self.stack.nobody_restarted():  # not before its files are changed
                pid = self.stack.kill("redis")
                shutil.rmtree(files)
                if dump:
                    shutil.copytree(dump, files)
            self.stack.wait_restarted("redis", pid, deadline_s=60)

    def copy_redis(self):
        """Its files as they are now, whole."""
        redis = self.stack.redis()
        redis.bgrewriteaof()
        wait_until(lambda: not redis.info("persistence")["aof_rewrite_in_progress"], 30, "Redis has written itself down")
        copy = self.folder / f"dump-{len(self.faults)}"
        redis.config_set("appendfsync", "always")
        pid = self.stack.signal("redis", signal.SIGSTOP)
        try:
            shutil.copytree(os.path.join(self.stack.folder, "redis", "appendonlydir"), copy)
        finally:
            os.kill(pid, signal.SIGCONT)
        return copy

    def cut_power(self):
        """kill -9 of everything at once, broker, Redis and supervisor included; over when all of it is up again. Clients and
        the third party are elsewhere: what that one has seen is kept."""
        loads = [load.process.pid for load in self.loads]
        with self.fault("power cut", "everything"):
            supervisor, simulator = self.stack.supervisor(), self.stack.pid("simulator")
            os.kill(supervisor, signal.SIGSTOP)
            self.stack.cut_power(spare=[supervisor, simulator, *loads])
            self.called += self.stack.calls()
            self.stack.cut_power(spare=loads)
            self.stack.up()

    def ledger(self):
        """Where all calls are told."""
        if not self.called:
            return f"http://{self.stack.address('simulator')}"
        path = self.folder / "ledger.json"
        calls = [{**call, "seq": seq} for seq, call in enumerate(self.called + self.stack.calls(), 1)]
        path.write_text(json.dumps({"calls": calls, "next": len(calls), "dropped": 0}))
        return path

    # --- what became of it -------------------------------------------------------------------------------------

    def history(self):
        lines = []
        for i in range(len(self.loads)):
            lines += [json.loads(line) for line in (self.folder / f"history-{i}").read_text().splitlines()]
        return lines

    def answers(self):
        """To all that the loads submitted: (when, whether it was accepted, how many ms that took)."""
        return [(line["begin"], line["status"] in (200, 202), line["end"] - line["begin"]) for line in self.history()
                if line["do"] == "submitted"]

    def read_again(self):
        """Some of all jobs are read once more, now that all is over."""
        ids = [job_id for ids in self.ids for job_id in ids]
        return self.read(self.chance.sample(ids, min(READS_MAX, len(ids))))

    def read(self, ids):
        """What is told of these jobs now, as lines of a history."""
        lines = []
        for job_id in ids:
            begin = now_ms()
            response = self.stack.read(job_id)
            line = {"do": "read", "id": job_id, "begin": begin, "end": now_ms(), "status": response.status_code}
            if response.status_code == 200:
                line["state"] = response.json()["state"]
                line["digest"] = digest(response.content)
                if response.headers["ETag"].strip('"').isdigit():
                    line["version"] = int(response.headers["ETag"].strip('"'))
            lines.append(line)
        return lines

    def verdict(self, *options):
        """Heals, lets what was accepted come to its end, reads, and judges; returns the verdict. The load must have been one."""
        assert self.rate() >= self.rate_min
        for name in self.stack.status():
            if not name.startswith(("broker", "redis")):
                wait_until(lambda name=name: self.stack.is_ready(name), 60, f"{name} is ready")
        path = self.folder / "judged"
        lines = self.history() + self.others + self.faults
        wrong = [line for line in lines if line["do"] in ("submitted", "read") and line["status"] not in HONEST[line["do"]]]
        assert not wrong, wrong[:5]

        def judged():
            """What is read last is judged with the rest; and of how many jobs nothing was told."""
            last = self.read_again()
            lines.extend(last)
            return (judge(self.stack, path, lines, self.ledger(), "--grace", GRACE, *self.since, *options),
                    sum(line["status"] not in TOLD for line in last))
        (verdict, untold), end = judged(), time.monotonic() + DRAIN_S
        while (untold or found(verdict)) and set(found(verdict)) <= {"lost", "view"} and time.monotonic() < end:  # not all has ended yet
            self.let_run(LOOK_EVERY_S)
            verdict, untold = judged()
        assert not untold, f"{untold} jobs are not told of, now that all is over"
        assert self.since or not verdict["foreign"], f"{verdict['foreign']} records and calls are of no job that anybody submitted"
        return verdict

    def rate(self):
        """Jobs submitted a second, from the first to the last one."""
        begun = [line["begin"] for line in self.history() if line["do"] == "submitted"]
        return len(begun) * 1000 / (max(begun) - min(begun))

    def lives(self, kinds=PLAIN):
        """(when submitted, when seen ended or None) of the jobs of so many kinds that were accepted so far, in ms. Only what was
        written since it was asked for last is read: asked twice a second, it must not take a core from those it looks at."""
        for i in range(kinds):
            with open(self.folder / f"history-{i}", "rb") as file:
                file.seek(self.seen_bytes.get(i, 0))
                whole, end, _ = file.read().rpartition(b"\n")
            self.seen_bytes[i] = self.seen_bytes.get(i, 0) + len(whole + end)
            for line in map(json.loads, whole.splitlines()):
                if line["do"] == "submitted" and line["status"] in (200, 202):
                    self.begun.setdefault(i, {})[line["id"]] = line["begin"]
                elif line["do"] == "read" and line.get("state") in TERMINAL:
                    self.ended.setdefault(line["id"], line["end"])
        return [(at, self.ended.get(job_id)) for i in range(kinds) for job_id, at in self.begun.get(i, {}).items()]

    def felt(self):
        """For every fault, how plain jobs felt it: what was done to whom, the longest that one took which was under way or submitted
        then, how long it was felt, from the begin to the end of the last one that was submitted after it and took more than a second,
        the longest that a client waited for the answer to a submission, and how many of these were not accepted. One that nobody saw
        end has taken until now; who was under way when the next fault began counts for that one."""
        lives, answers, now, felt = self.lives(), self.answers(), now_ms(), []
        for fault, after in zip(self.faults, [*self.faults[1:], None]):
            begin, end = fault["begin"], min(fault["end"] + 20_000, after["begin"] - UNDER_WAY_MS if after else now)
            near = [(at, done or now) for at, done in lives if begin - UNDER_WAY_MS <= at <= end]
            told_then = [(accepted, took_ms) for at, accepted, took_ms in answers if begin - UNDER_WAY_MS <= at <= end]
            felt.append({
                "fault": told(fault), "longest_ms": max((done - at for at, done in near), default=0),
                "felt_ms": max((done - begin for at, done in near if at > begin and done - at > USUAL_MS), default=0),
                "ack_ms": max((took_ms for _, took_ms in told_then), default=0),
                "refused": sum(not accepted for accepted, _ in told_then)})
        return felt


def refused_without_need(felt):
    """{fault: how many submissions were not accepted} of the faults of neither gateway nor broker: what else dies keeps no job out."""
    return {one["fault"]: one["refused"] for one in felt
            if one["refused"] and not any(name in one["fault"] for name in ("gateway", "broker", "power"))}


def found(verdict):
    return {kind: count for kind, count in verdict["counts"].items() if count}


def assert_clean(verdict):
    told = "\n".join(json.dumps(finding) for finding in verdict["findings"][:10])
    assert not found(verdict), f"{found(verdict)} among {verdict['jobs']} jobs\n{told}"
    assert verdict["verdict"] == "clean" and verdict["not_judged"] == [], verdict["not_judged"]
    assert verdict["repeats"] <= verdict["repeats_bound"]


def assert_honest(response):
    """A refusal that says why and when to come again."""
    assert response.status_code == 503, response.text
    assert response.json()["code"] in ("kafka_unavailable", "outcome_unknown", "overloaded"), response.text
    assert int(response.headers["Retry-After"]) >= 1
