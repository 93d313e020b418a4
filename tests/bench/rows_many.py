"""Rows about a million jobs that wait: what each then costs, and what others notice of them.

SPDX-License-Identifier: Apache-2.0
"""
import json

from measure import OURS, PAYLOAD, RATE, let_pass, rounded, row, wait_until
from put import NOBODY, identities, put
from records import command, facts
from stack import metric

FEW = 100_000
FEW_MIN = 20_000  # fewer are done before they can be counted
LOOK_EVERY_S = 0.25
WARM_S = 10
FOLDED = 'errand_recorder_applied_total{kind="command"}'


def fill(bench, job_type, queue, payload, count):
    """So many commands, and the view knows of all of them."""
    address = bench.stack.address("recorder-1")
    before = metric(address, FOLDED)
    put(bench.stack, f"commands.{queue}", command(facts(NOBODY, job_type=job_type, queue=queue), payload=json.dumps(payload)),
        identities(count))

    def folded():
        let_pass(LOOK_EVERY_S)
        return metric(address, FOLDED) >= before + count and metric(address, 'errand_view_lag_records{kind="command"}') == 0
    wait_until(folded, 900, "the view knows of all commands")


def done(bench):
    return metric(bench.stack.address("worker-1"), 'errand_attempts_total{type="bench.price",outcome="succeeded"}')


def cpu_among(bench, count, jobs):
    """CPU microseconds of a job, by process, over the middle eight tenths of the first `jobs` of `count` that wait."""
    with bench.workers_off():
        fill(bench, "bench.price", "many", PAYLOAD, count)

    def wait_done(number):
        def reached():
            let_pass(LOOK_EVERY_S)
            return done(bench) >= number
        wait_until(reached, 900, f"{number} jobs are done")
        return done(bench)
    first = wait_done(jobs // 10)
    counted = bench.cpu_of(*OURS, "redis", "broker")
    last = wait_done(jobs * 9 // 10)
    assert last > first, "they were done too soon to be counted"
    return {name: 1e6 * used / (last - first) for name, used in counted.used().items()}


@row("ratio <= 1.2", "waiting")
def isolation(bench):
    """p99 from submission to the long poll's answer, 200 a second, while a million jobs wait in another queue / without them; the broker warm"""
    def p99_ms():
        bench.warm_up(WARM_S)  # the first single records after a million in large batches are slow (docs/PERFORMANCE.md, What is left)
        return bench.alternately(lambda: bench.load("--rate", f"{RATE}/s")["latency_ms"]["p99"])[0]
    without = p99_ms()
    fill(bench, "bench.wait", "slow", {}, bench.many)
    left = bench.waiting_jobs("slow")
    among = p99_ms()
    return among, without, "ms", {"waiting": left, "rate": RATE}


@row("ratio <= 1.05", "bench")
def backlog(bench):
    """CPU of all processes for a job with a million queued / with 100,000, over the same number of jobs"""
    few = max(bench.scaled(FEW), min(bench.many, FEW_MIN))
    little = cpu_among(bench, few, few)
    bench.wait_drained("many")
    much = cpu_among(bench, bench.many, few)
    return sum(much.values()), sum(little.values()), "us", {
        "us": {name: rounded(value) for name, value in much.items()},
        "us_of_few": {name: rounded(value) for name, value in little.items()}, "jobs": bench.many, "few": few}
