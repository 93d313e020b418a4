"""Rows about calls of third parties, against bare libcurl and the same third party.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import functools
import os
import statistics

from measure import NAMESPACE, cpu_s, let_pass, rounded, row, wait_until  # first: it knows where the others are
from groups import members
from guests import Guests
from stack import metric

BURST = 100_000
MULTIS = 8  # of the worker: HTTP_SHARDS
LEDGER_PAGE = 10000
CALL = "bench.call", 1000, 50  # type of bench.yaml, calls in flight, milliseconds of each
CALL_200 = "bench.call-200", 4000, 200
SCALE_JOBS = 20000  # of each worker
QUEUE = "calls"
LOOK_EVERY_S = 0.25  # what is being measured has better things to do


def calls_seen(bench):
    return metric(bench.stack.address("simulator"), "errand_simulator_calls_total")


def lasted_s(bench):
    """From the first call to the end of the last one, as the third party saw them."""
    first, last, since = None, None, 0
    while True:
        page = bench.stack.simulator("GET", "/ledger", params={"since": since, "limit": LEDGER_PAGE})
        assert page["dropped"] == 0
        if not page["calls"]:
            return (last - first) / 1000
        first = first or page["calls"][0]["started_ms"]
        last = max([last or 0, *(call["finished_ms"] for call in page["calls"])])
        since = page["next"]


def wait_called(bench, count, before):
    def called():
        let_pass(LOOK_EVERY_S)
        return calls_seen(bench) >= before + count
    wait_until(called, 600, f"{count} calls have been made")
    bench.wait_drained(QUEUE)


def drained(bench, kind, count):
    """(seconds, CPU microseconds of the worker for a call) for a queue that is full when the worker comes."""
    job_type, _, _ = kind
    with bench.workers_off():
        told = bench.load("--count", count, "--connections", 256, job_type=job_type, payload={}, mode="submit", limit_s=600)
        assert told["accepted"] == count, told
        bench.stack.simulator("DELETE", "/ledger")
        before = calls_seen(bench)
    wait_called(bench, count, before)
    made = calls_seen(bench) - before
    assert made == count, f"{made} calls for {count} jobs"
    # A process that has just begun: what beginning costs it is counted too.
    return lasted_s(bench), 1e6 * cpu_s(bench.stack.pid("worker-1")) / count


def bare(bench, kind, count):
    """The same of bare libcurl."""
    _, in_flight, slow_ms = kind
    bench.stack.simulator("DELETE", "/ledger")
    url = f"http://{bench.stack.address('simulator')}/quotes/wilde?simulate=slow%3D{slow_ms}"
    told = bench.tool("raw_curl", url, count, in_flight, MULTIS, limit_s=600)
    return lasted_s(bench), told["cpu_us"]


@functools.cache
def bursts(bench, kind, rounds):
    """Medians: seconds and CPU of ours, seconds and CPU of bare libcurl."""
    count = bench.scaled(BURST)
    told = [(*drained(bench, kind, count), *bare(bench, kind, count)) for _ in range(rounds)]
    return [statistics.median(values) for values in zip(*told)]


@row("ratio <= 1.25", "bench")
def burst(bench):
    """100,000 queued jobs of one call of 50 ms, one worker, 1,000 in flight: first call to last / bare libcurl making the same calls"""
    ours_s, _, bare_s, _ = bursts(bench, CALL, bench.rounds)
    return ours_s, bare_s, "s", {"jobs": bench.scaled(BURST), "ideal_s": bench.scaled(BURST) * CALL[2] / CALL[1] / 1000}


@row("ratio <= 1.5", "bench")
def calls(bench):
    """CPU of the worker for a call, 1,000 in flight / of bare libcurl"""
    _, ours_us, _, bare_us = bursts(bench, CALL, bench.rounds)
    return ours_us, bare_us, "us", {}


@row("ratio <= 1.2", "bench")
def calls_4000(bench):
    """CPU of the worker for a call with 4,000 in flight / with 1,000, as many a second"""
    _, wide_us, _, bare_us = bursts(bench, CALL_200, 1)
    _, ours_us, _, bare_1000_us = bursts(bench, CALL, bench.rounds)
    return wide_us, ours_us, "us", {"bare_ratio": rounded(bare_us / bare_1000_us)}


# --- two workers ---

@contextlib.contextmanager
def pinned(pid, core):
    """All of its threads run on this core alone."""
    before = os.sched_getaffinity(pid)

    def pin(cores):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread), cores)
    pin({core})
    try:
        yield
    finally:
        pin(before)


def worked(bench, pids):
    """(jobs a second, CPU microseconds of a job) of these workers."""
    count = bench.scaled(SCALE_JOBS) * len(pids)
    bench.stack.simulator("DELETE", "/ledger")
    before, used = calls_seen(bench), [cpu_s(pid) for pid in pids]
    bench.load("--count", count, "--connections", 256, job_type="bench.call-few", payload={}, mode="submit", limit_s=600)
    wait_called(bench, count, before)
    cpu = sum(cpu_s(pid) for pid in pids) - sum(used)
    return count / lasted_s(bench), 1e6 * cpu / count


@row(None, "bench")
def scale(bench):
    """jobs a second of two workers, each on a core of its own, with 100 calls of 50 ms in flight / of one; two would be ideal"""
    first = bench.stack.pid("worker-1")
    with pinned(first, 0), Guests(bench.stack) as guests:
        one_rate, one_us = worked(bench, [first])
        name, second = guests.come()
        wait_until(lambda: name in members(bench.stack, f"{NAMESPACE}.worker.{QUEUE}"), 60, "the second worker has its share")
        with pinned(second.pid, 1 % os.cpu_count()):
            two_rate, two_us = worked(bench, [first, second.pid])
    return two_rate, one_rate, "1/s", {"cpu_us": rounded(two_us), "cpu_us_of_one": rounded(one_us),
                                       "cpu_ratio": rounded(two_us / one_us)}
