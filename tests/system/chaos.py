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

import processes
from load import Load
from stack import TERMINAL
from waiting import wait_until

# type, payload, options, share of the rate
KINDS = [
    ("probe.call", {"simulate": "slow=30"}, [], 0.45),
    ("sentence.make", {"seed": 7}, [], 0.25),
    ("probe.call", {"simulate": "fail=1"}, [], 0.1),
    ("ledger.post", {"account": "1", "cents": 1}, ["--key", "account-{{n}}"], 0.1),
    ("ledger.post", {"account": "2", "cents": 1}, ["--key", "account-2"], 0.02),
    ("probe.call", {"simulate": "status=400"}, [], 0.08),
]
PLAIN = 2  # so many of them, the first ones, are done at once: how late they end tells how long a fault was felt
STOP_S = 6  # longer than the session of a worker on a broker of our own, which is 4 s
DRAIN_S = 90
READS_MAX = 500
USUAL_MS = 1000  # a plain job that takes longer has felt something
UNDER_WAY_MS = 1000  # a plain job that was submitted so long before a fault may still have been under way


def now_ms():
    return int(time.time() * 1000)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0


class Chaos:
    """Use as a context: the loads run inside, the verdict is asked for after it."""

    def __init__(self, stack, folder, rate, duration_s, seed):
        self.stack = stack
        self.folder = folder
        self.chance = random.Random(seed)
        self.faults = []
        self.called = []  # what third parties that are gone have seen
        print(f"seed {seed}")
        self.loads = [
            Load(stack, job_type, payload, folder / f"ids-{i}", rate=max(1, round(rate * share)), duration_s=duration_s,
                 options=["--mode", "e2e", "--history", str(folder / f"history-{i}"), *options])
            for i, (job_type, payload, options, share) in enumerate(KINDS)]

    def __enter__(self):
        self.loads[0].wait_accepted(self.chance.randrange(20, 60))
        return self

    def __exit__(self, kind, error, trace):
        self.ids = [load.finish() for load in self.loads] if kind is None else []
        for load in self.loads:
            if load.process.poll() is None:
                load.process.kill()
                load.process.communicate()

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

    def kill(self, *names):
        """kill -9, all at once; the supervisor starts them again. Over when all are ready."""
        with self.fault("kill", "+".join(names)):
            pids = {name: self.stack.signal(name, signal.SIGKILL) for name in names}
            for name, pid in pids.items():
                wait_until(lambda pid=pid: not processes.is_alive(pid), 10, f"{name} ends after SIGKILL")
        for name, pid in pids.items():
            self.stack.wait_restarted(name, pid, deadline_s=60)

    def stop(self, *names, for_s):
        """SIGSTOP, and on with it after so long: whoever took over meanwhile meets it."""
        with self.fault("stop", "+".join(names)):
            pids = [self.stack.signal(name, signal.SIGSTOP) for name in names]
            try:
                self.let_run(for_s)
            finally:
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)

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
        with self.fault("kill", "redis"):
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

    def read_again(self):
        """Some of all jobs are read once more, now that all is over."""
        ids = [job_id for ids in self.ids for job_id in ids]
        lines = []
        for job_id in self.chance.sample(ids, min(READS_MAX, len(ids))):
            begin = now_ms()
            response = self.stack.read(job_id)
            line = {"do": "read", "id": job_id, "begin": begin, "end": now_ms(), "status": response.status_code}
            if response.status_code == 200:
                line["state"] = response.json()["state"]
                if response.headers["ETag"].strip('"').isdigit():
                    line["version"] = int(response.headers["ETag"].strip('"'))
            lines.append(line)
        return lines

    def verdict(self, *options):
        """Heals, lets what was accepted come to its end, reads, and judges; returns the verdict."""
        for name in self.stack.status():
            if not name.startswith(("broker", "redis")):
                wait_until(lambda name=name: self.stack.is_ready(name), 60, f"{name} is ready")
        path = self.folder / "judged"
        lines = self.history() + self.faults

        def judged():
            ordered = sorted(lines, key=lambda line: line["begin"] if line["do"] in ("submit", "fault") else line["end"])
            path.write_text("".join(json.dumps(line) + "\n" for line in ordered))
            done = self.stack.errand("verdict", "--history", path, "--ledger", self.ledger(), "--view",
                                     "-o", "json", *options, check=False, limit_s=300)
            assert done.stdout, done.stderr
            return json.loads(done.stdout)

        def ended():
            verdict = judged()
            return set(found(verdict)) - {"lost", "view"} or not found(verdict)
        with contextlib.suppress(AssertionError):  # then the verdict says what has not
            wait_until(ended, DRAIN_S, "all that was accepted ends")
        lines += self.read_again()
        return judged()

    def felt(self, calm_s=0):
        """For every fault that began at least so long after the end of the one before, how plain jobs felt it: what was
        done to whom, the longest that one took which was under way or submitted then, and how long it was felt: from the
        begin to the end of the last one that was submitted after it and took more than a second."""
        begun, ended = {}, {}
        for i in range(PLAIN):
            for line in (json.loads(line) for line in (self.folder / f"history-{i}").read_text().splitlines()):
                if line["do"] == "submitted" and line["status"] in (200, 202):
                    begun[line["id"]] = line["begin"]
                elif line["do"] == "read" and line.get("state") in TERMINAL:
                    ended.setdefault(line["id"], line["end"])
        felt = []
        for before, fault, after in zip([None, *self.faults], self.faults, [*self.faults[1:], None]):
            if before and fault["begin"] - before["end"] < calm_s * 1000:
                continue
            begin, end = fault["begin"], min(fault["end"] + 20_000, after["begin"] if after else now_ms())
            near = [(at, ended[i]) for i, at in begun.items() if i in ended and begin - UNDER_WAY_MS <= at <= end]
            felt.append({
                "fault": f"{fault['what']} {fault['name']}", "longest_ms": max((done - at for at, done in near), default=0),
                "felt_ms": max((done - begin for at, done in near if at > begin and done - at > USUAL_MS), default=0)})
        return felt


def found(verdict):
    return {kind: count for kind, count in verdict["counts"].items() if count}


def assert_clean(verdict):
    told = "\n".join(json.dumps(finding) for finding in verdict["findings"][:10])
    assert not found(verdict), f"{found(verdict)} among {verdict['jobs']} jobs\n{told}"
    assert verdict["verdict"] == "clean" and verdict["not_judged"] == [], verdict["not_judged"]
    assert verdict["repeats"] <= verdict["repeats_bound"]
