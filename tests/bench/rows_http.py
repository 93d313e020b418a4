"""Rows about requests: what one costs, how long it takes, and what it takes of a machine that has nothing to do.

SPDX-License-Identifier: Apache-2.0
"""
import concurrent.futures
import contextlib
import functools
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time
import uuid

import requests

from bare_redis import bare_outcome_us
from measure import (BODY, CONNECTIONS, OURS, RATE, TYPE, CpuOf, RawServer, cpu_s, let_pass, median_of, ours, pss_mib, rounded,
                     row, wait_until)
from guests import Guests
from processes import free_port
from put import NOBODY, put
from records import event, facts
from stack import metric

CODEC_JOBS = 200_000
BARE_OUTCOMES = 50_000
PARKED = 10000  # gateway.waiting_max of `errand up`
SATURATED = 20000  # bare records a second, in large requests as a producer makes them that has much to send


@row("ratio <= 0.02", embedded=True)
def idle_cpu(bench):
    """cores used by the daemons while nothing is asked of them"""
    counted, began = CpuOf(bench.processes()), time.monotonic()
    let_pass(bench.seconds)
    used, elapsed = counted.used(), time.monotonic() - began
    percent = {name: rounded(100 * value / elapsed) for name, value in used.items()}
    return ours(used), elapsed, "s", {"percent": percent}


@row("numerator <= 64 MiB", embedded=True)
def pss(bench):
    """memory of the daemons (PSS, warm, idle) / bare libmicrohttpd's"""
    memory = {name: pss_mib(pid) for name, pid in bench.processes().items()}
    with RawServer(bench.raw_folder) as raw:
        mib = {name: rounded(value) for name, value in memory.items()}
        return ours(memory), pss_mib(raw.pid), "MiB", {"mib": mib}


@row("ratio <= 1.25")
def e2e(bench):
    """p50 from submission to the long poll's answer / p50 of two bare Kafka hops, 200 a second"""
    topics = bench.make_topics()
    return *bench.alternately(lambda: bench.load("--rate", f"{RATE}/s")["latency_ms"]["p50"],
                             lambda: bench.two_hops(topics)["p50_ms"]), "ms", {"rate": RATE}


def acknowledged(bench, rate):
    topics = bench.make_topics()
    numerator, denominator = bench.alternately(
        lambda: bench.load("--rate", f"{rate}/s", mode="submit")["latency_ms"]["p50"],
        lambda: bench.two_hops(topics, rate)["ack_p50_ms"])
    return numerator, denominator, "ms", {"rate": rate, "more_ms": rounded(numerator - denominator)}


@row("more_ms <= 0.4", embedded=True)
def ack(bench):
    """p50 from submission to 202 / p50 of a bare record's acknowledgement, 200 a second"""
    return acknowledged(bench, RATE)


@row("more_ms <= 0.4", embedded=True)
def ack_1000(bench):
    """the same, 1,000 a second"""
    return acknowledged(bench, 1000)


def begin_anew(bench):
    """The gateway is another process, which is ready."""
    pid = bench.stack.kill("gateway-1")
    bench.stack.wait_restarted("gateway-1", pid)
    bench.stack.http.close()  # its connections went with the one that was killed


@row("ratio <= 3", embedded=True)
def first(bench):
    """the first job of a gateway that has just become ready, until 202 / p50 of the others, 200 a second"""
    def submitted_ms(*options):
        return bench.load(*options, mode="submit")["latency_ms"]["p50"]

    def first_ms():
        begin_anew(bench)
        return submitted_ms("--count", 1)
    return *bench.alternately(first_ms, lambda: submitted_ms("--rate", f"{RATE}/s")), "ms", {}


def request_us(bench, raw, body):
    """CPU of a raw server for a request, 64 at a time."""
    before = cpu_s(raw.pid)
    told = bench.wrk(raw.url, body=body)
    return 1e6 * (cpu_s(raw.pid) - before) / told["accepted"]


@row("ratio <= 2.5", embedded=True)
def cpu(bench):
    """CPU of the daemons and Redis for a job, 64 at a time / of a bare POST, suspended GET, codec, two Kafka hops, SET and PUBLISH"""
    topics, parts, raw_parts = bench.make_topics(), [], []
    with RawServer(bench.raw_folder) as posts, RawServer(bench.raw_folder, "pass") as gets:
        def ours_us():
            counted = bench.cpu_of(*OURS, "redis", "broker")
            done = bench.load("--connections", CONNECTIONS)["finished"]
            parts.append({name: 1e6 * used / done for name, used in counted.used().items()})
            return sum(value for name, value in parts[-1].items() if name != "broker")

        def raw_us():
            raw_parts.append({"post": request_us(bench, posts, BODY), "get": request_us(bench, gets, None),
                              "codec": bench.tool("codec", "bare", CODEC_JOBS, BODY)["cpu_us"],
                              "two_hops": bench.two_hops(topics, SATURATED)["cpu_us"],
                              "redis": bare_outcome_us(bench, BARE_OUTCOMES)})
            return sum(raw_parts[-1].values())
        numerator, denominator = bench.alternately(ours_us, raw_us)
    return numerator, denominator, "us", {"us": median_of(parts), "raw_us": median_of(raw_parts)}


def accepting(bench, connections):
    with RawServer(bench.raw_folder) as raw:
        cores, refused = [], []

        def accepted_rate():
            told = bench.wrk(bench.stack.url, connections)
            refused.append(told["refused"] + told["broken"] + told["timeouts"])
            bench.wait_quiet()  # the bare server is alone, too
            return told["accepted"] / told["seconds"]

        def raw_rate():
            before = cpu_s(raw.pid)
            told = bench.wrk(raw.url, connections)
            cores.append((cpu_s(raw.pid) - before) / told["seconds"])
            return told["accepted"] / told["seconds"]
        numerator, denominator = bench.alternately(accepted_rate, raw_rate)
    # raw_cores far below 1: wrk was the limit, and the ratio flatters.
    return numerator, denominator, "1/s", {"connections": connections, "generator": "wrk", "refused": max(refused),
                                           "raw_cores": rounded(statistics.median(cores))}


@row("ratio >= 0.28", embedded=True)
def accepted_256(bench):
    """jobs accepted a second on 256 connections / POSTs a second of bare libmicrohttpd on as many"""
    return accepting(bench, 256)


@row("ratio >= 0.28", embedded=True)
def accepted(bench):
    """jobs accepted a second on 64 connections / POSTs a second of bare libmicrohttpd on as many"""
    told = accepting(bench, CONNECTIONS)
    bench.wait_drained("rules")
    return told


def accepting_off(bench, connections):
    with bench.workers_off():
        told = accepting(bench, connections)
    bench.wait_drained("rules")
    return told


@row("ratio >= 0.28", embedded=True)
def accepted_off(bench):
    """the same on 64 connections, with the workers off"""
    return accepting_off(bench, CONNECTIONS)


@row("ratio >= 0.28", embedded=True)
def accepted_off_256(bench):
    """the same on 256 connections, with the workers off"""
    return accepting_off(bench, 256)


@row(None, embedded=True)
def accepted_floor(bench):
    """jobs accepted a second on 64 connections, with the workers off / POSTs that become bare records, answered when these are acknowledged"""
    topic, parts, floors = bench.make_topics()[0], [], []
    with bench.workers_off(), RawServer(bench.raw_folder, bench.stack.address("broker"), topic, name="raw_accept") as raw:
        def rate(url, counted, told):
            done = bench.wrk(url)
            told.append({name: 1e6 * used / done["accepted"] for name, used in counted.used().items()})
            bench.wait_quiet()
            return done["accepted"] / done["seconds"]
        numerator, denominator = bench.alternately(
            lambda: rate(bench.stack.url, bench.cpu_of("gateway-", "broker", "recorder-", "redis"), parts),
            lambda: rate(raw.url, CpuOf({"raw": raw.pid, "broker": bench.stack.pid("broker")}), floors))
    bench.wait_drained("rules")
    return numerator, denominator, "1/s", {"us": median_of(parts), "floor_us": median_of(floors)}


@row(None)
def second_gateway(bench):
    """CPU of two gateways for an accepted job, 32 connections each, the workers off / of one with 64"""
    address = f"127.0.0.1:{free_port()}"
    broker_us, first = {1: [], 2: []}, (bench.stack.pid("gateway-1"), bench.stack.url)
    with bench.workers_off(), Guests(bench.stack, of="gateway-1") as guests:
        _, process = guests.come(ERRAND_GATEWAY_LISTEN=address)
        second = process.pid, f"http://{address}"

        def ready():
            with contextlib.suppress(requests.ConnectionError):
                return requests.get(f"{second[1]}/readyz", timeout=5).status_code == 200
        wait_until(ready, 30, "the second gateway is ready")

        def us(*gateways):
            counted = CpuOf({**{str(pid): pid for pid, _ in gateways}, "broker": bench.stack.pid("broker")})
            with concurrent.futures.ThreadPoolExecutor() as clients:
                told = list(clients.map(lambda gateway: bench.wrk(gateway[1], CONNECTIONS // len(gateways)), gateways))
            used, accepted_jobs = counted.used(), sum(one["accepted"] for one in told)
            broker_us[len(gateways)].append(1e6 * used.pop("broker") / accepted_jobs)
            bench.wait_quiet()
            return 1e6 * sum(used.values()) / accepted_jobs
        numerator, denominator = bench.alternately(lambda: us(first, second), lambda: us(first))
    bench.wait_drained("rules")
    return numerator, denominator, "us", {"broker_us": rounded(statistics.median(broker_us[2])),
                                          "broker_us_of_one": rounded(statistics.median(broker_us[1]))}


@row(None, embedded=True)
def codec(bench):
    """CPU to read a submission's JSON, write its command and read that / of bare libjansson and protobuf-c, the same bytes"""
    def us(how):
        return bench.tool("codec", how, CODEC_JOBS, BODY)["cpu_us"]
    return *bench.alternately(lambda: us("ours"), lambda: us("bare")), "us", {"jobs": CODEC_JOBS, "body_bytes": len(BODY)}


# --- parked connections ---

class Crowd:
    """crowd, running; its connections have asked for these paths."""

    def __init__(self, bench, address, paths, count, expected):
        self.process = subprocess.Popen([os.path.join(bench.raw_folder, "crowd"), address.rsplit(":", 1)[1], str(count), expected],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdin.write("".join(f"{path}\n" for path in paths))
        self.process.stdin.close()
        assert self.process.stdout.readline() == "asked\n", "crowd has ended"

    def answered_ms(self, since_ns):
        told = json.loads(self.process.stdout.readline())
        self.process.wait(30)
        self.process.stdout.close()
        return (told["last_ns"] - since_ns) / 1e6


def parked_ours(bench, count):
    """(KiB of a parked connection, milliseconds in which all are answered). Their jobs are finished by outcomes that are
    put on the topic while the gateway stands still, so that what is timed is the gateway's part: every wake-up is there."""
    stack = bench.stack
    begin_anew(bench)  # what it took for an earlier row it still has, and would take again
    with bench.workers_off():
        with tempfile.NamedTemporaryFile("r") as ids:
            bench.load("--count", count, "--connections", CONNECTIONS, "--ids", ids.name, mode="submit", limit_s=300)
            jobs = [json.loads(line)["id"] for line in ids]
        pid, recorder = stack.pid("gateway-1"), stack.address("recorder-1")
        before, folded = pss_mib(pid), metric(recorder, 'errand_recorder_applied_total{kind="event"}')
        crowd = Crowd(bench, stack.address("gateway-1"), [f"/v1/jobs/{job}?wait=30" for job in jobs], count, '"succeeded"')
        wait_until(lambda: metric(stack.address("gateway-1"), "errand_http_parked") >= count, 30, f"{count} are parked")
        kib = 1024 * (pss_mib(pid) - before) / count
        os.kill(pid, signal.SIGSTOP)
        try:
            put(stack, "replies.rules", event(facts(NOBODY, job_type=TYPE, queue="rules")),
                [uuid.UUID(job).bytes for job in jobs])
            wait_until(lambda: metric(recorder, 'errand_recorder_applied_total{kind="event"}') >= folded + count, 30,
                       "the recorder has told of all")
        finally:
            began = time.monotonic_ns()
            os.kill(pid, signal.SIGCONT)
        told = kib, crowd.answered_ms(began)
    bench.wait_drained("rules")
    return told


def parked_bare(bench, count):
    with RawServer(bench.raw_folder, count) as raw:
        before = pss_mib(raw.pid)
        crowd = Crowd(bench, raw.address, ["/"], count, " 202 ")
        raw.wait_parked()
        kib = 1024 * (pss_mib(raw.pid) - before) / count
        began = time.monotonic_ns()
        raw.wake()
        return kib, crowd.answered_ms(began)


@functools.cache
def all_parked(bench):
    """Medians of both: KiB and milliseconds of ours, of bare libmicrohttpd's."""
    told = [(*parked_ours(bench, PARKED), *parked_bare(bench, PARKED)) for _ in range(bench.rounds)]
    return [statistics.median(values) for values in zip(*told)]


@row("numerator <= 10 KiB")
def parked(bench):
    """memory of each of 10,000 long polls, each for a job of its own / of suspended connections of bare libmicrohttpd"""
    ours_kib, _, bare_kib, _ = all_parked(bench)
    return ours_kib, bare_kib, "KiB", {"connections": PARKED}


@row("ratio <= 2")
def parked_wake(bench):
    """time until all 10,000 are answered, every wake-up having come / of bare libmicrohttpd, resuming them"""
    _, ours_ms, _, bare_ms = all_parked(bench)
    return ours_ms, bare_ms, "ms", {"connections": PARKED}
