"""Rows against other systems that do the same jobs over the same loops, beside Errand: `make bench-peers`.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import functools
import json
import os
import subprocess

import peers
from measure import BODY, OURS, RATE, median_of, row, wait_quiet

MANY_CONNECTIONS = 256
WARM_UP_CONNECTIONS = 16
FAST = 1000  # a second


class Errand:
    """The stack as http_jobs and these rows see a peer."""
    name = "errand"

    def __init__(self, bench):
        self.bench = bench
        self.load = {"port": bench.stack.url.rsplit(":", 1)[1], "submit": "/v1/jobs", "id": "id"}
        self.follow = {"result": "/v1/jobs/{id}?wait=30", "expect": '"succeeded"'}
        self.body = BODY

    def cpu(self):
        return self.bench.cpu_of(*OURS, "redis", "broker")


class Peers:
    """Errand and the others, running beside each other; each is loaded while the others have nothing to do."""

    def __init__(self, bench, systems):
        self.bench = bench
        self.systems = systems

    def http_jobs(self, system, follow, **how):
        given = {**system.load, **(system.follow if follow else {}), **how}
        given.setdefault("seconds", self.bench.seconds)
        done = subprocess.run([os.path.join(self.bench.raw_folder, "http_jobs"), *[f"{name}={value}" for name, value in given.items()]],
                              input=system.body, text=True, stdout=subprocess.PIPE, timeout=given["seconds"] + 90, check=True)
        told = json.loads(done.stdout)
        assert not told["failed"] + told["broken"] + told["refused"], f"{system.name}: {told}"
        return told

    def warm_up(self, seconds):
        for system in self.systems:
            self.http_jobs(system, True, connections=WARM_UP_CONNECTIONS, seconds=seconds)

    def each(self, figures, follow, **how):
        """{system: the medians of what figures(told, CPU seconds by process) gives}, all measured in turn."""
        told = {system.name: [] for system in self.systems}
        for _ in range(self.bench.rounds):
            for system in self.systems:
                counted = system.cpu()
                load = self.http_jobs(system, follow, **how)
                told[system.name].append(figures(load, counted.used()))
                if not follow:
                    wait_quiet(system.name, system.cpu)  # the others are measured next
        return {name: median_of(rounds) for name, rounds in told.items()}

    @functools.cache
    def accepted(self):
        return self.each(lambda told, cpu: {"rate": told["accepted"] / told["seconds"], "p99_ms": told["accepted_ms"]["p99"]},
                         False, connections=MANY_CONNECTIONS)

    @functools.cache
    def closed(self):
        return self.each(lambda told, cpu: {
            "rate": told["finished"] / told["seconds"], "us": 1e6 * sum(cpu.values()) / told["finished"],
            "p50_ms": told["finished_ms"]["p50"], "p99_ms": told["finished_ms"]["p99"],
            **{f"us_{name}": 1e6 * used / told["finished"] for name, used in cpu.items()}}, True, connections=MANY_CONNECTIONS)

    @functools.cache
    def paced(self, rate):
        return self.each(lambda told, cpu: {
            "p50_ms": told["finished_ms"]["p50"], "p99_ms": told["finished_ms"]["p99"],
            "accepted_p50_ms": told["accepted_ms"]["p50"], "us": 1e6 * sum(cpu.values()) / told["finished"]}, True, rate=rate)


@contextlib.contextmanager
def beside(bench, warm_up):
    """The peers, installed and running, as the rows below find them in the bench."""
    peers.install()
    with peers.BullMQ() as bullmq, peers.Restate() as restate:
        bench.peers = Peers(bench, [Errand(bench), bullmq, restate])
        bench.peers.warm_up(warm_up)
        yield


def beside_peers(name, what, ask, figure, unit, bullmq, restate):
    """A row for each peer, with these targets: Errand's figure over the peer's, with what else was told of both."""
    def add(peer, target, what_it_is):
        def measured(bench):
            told = ask(bench.peers)
            return told["errand"][figure], told[peer][figure], unit, {"errand": told["errand"], peer: told[peer]}
        first, _, rest = name.partition("-")
        measured.__name__ = "_".join(part for part in (first, peer, rest) if part)
        measured.__doc__ = what_it_is
        row(target, "peers")(measured)
    add("bullmq", bullmq, f"{what} / BullMQ's")
    add("restate", restate, f"{what} / Restate's")


beside_peers("accepted", "jobs accepted a second on 256 connections, workers on", Peers.accepted, "rate", "1/s",
             "ratio >= 6", "ratio >= 11")
beside_peers("e2e", f"p50 from submission to the long poll's answer, {RATE} a second", lambda peers: peers.paced(RATE), "p50_ms", "ms",
             "ratio <= 1", None)
beside_peers(f"e2e-{FAST}", f"p99 from submission to the long poll's answer, {FAST} a second", lambda peers: peers.paced(FAST), "p99_ms",
             "ms", "ratio <= 0.5", None)
beside_peers("jobs", "jobs a second end to end, 256 clients each with one at a time", Peers.closed, "rate", "1/s",
             "ratio >= 4", None)
beside_peers("cpu", "CPU of all processes for a job in that loop, the broker's or Redis's too", Peers.closed, "us", "us",
             "ratio <= 1", "ratio <= 0.4")
