#!/usr/bin/env python3
"""How near a whole Errand comes to what its libraries can do at all, measured in one run on one machine: `make bench`.

Starts a stack on Apache Kafka in a temporary folder, warms it up, and measures one row after the other, each against a
raw tool of this folder under the same load. A row is one line of JSON on standard output; a table ends the run. It is
a benchmark, no test: nothing depends on the figures, targets are only printed. Run it on a machine that does nothing
else.
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

from confluent_kafka.admin import AdminClient, NewTopic

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
from stack import Stack  # noqa: E402 (the path comes first)
from waiting import wait_until  # noqa: E402

TYPE = "order.price"
PAYLOAD = {"region": "DE", "coupon": "WELCOME10", "lines": [  # makes a body of about 300 bytes
    {"sku": f"article-{n}", "quantity": 12 * n, "unit_cents": 199 + n} for n in range(1, 5)]}
CONNECTIONS = 64
RATE = 200
OURS = ("gateway-", "worker-", "recorder-")
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def say(text):
    print(text, file=sys.stderr, flush=True)


def rounded(value):
    return float(f"{value:.4g}")


# --- processes -----------------------------------------------------------------------------------------------------

def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def pss_mib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("Pss:"))


def ours(values):
    """The sum of those processes without which nothing is done; the others are told, not counted."""
    return sum(value for name, value in values.items() if name.startswith(OURS))


class RawHttp:
    """raw_http, running; also says how much of a core it used."""

    def __init__(self, folder):
        self.process = subprocess.Popen([os.path.join(folder, "raw_http")], stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        self.pid = self.process.pid
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


# --- the rows ------------------------------------------------------------------------------------------------------

class Bench:
    def __init__(self, stack, raw_folder, seconds, rounds):
        self.stack = stack
        self.raw_folder = raw_folder
        self.seconds = seconds
        self.rounds = rounds

    def load(self, *options, seconds=None):
        """What `errand load` measured, every job followed to its end."""
        told = self.stack.errand("load", TYPE, "--mode", "e2e", "--data", json.dumps(PAYLOAD), "--output", "json",
                                 "--duration", f"{seconds or self.seconds}s", *options, limit_s=self.seconds + 120)
        return json.loads(told.stdout)

    def warm_up(self, seconds):
        """The broker's compiler and every connection; ends when all that was submitted is done."""
        self.load("--connections", 16, seconds=seconds)

    def alternately(self, numerator, denominator):
        """Both in turn, so that what else the machine does meets both alike; the medians."""
        pairs = [(numerator(), denominator()) for _ in range(self.rounds)]
        return [statistics.median(values) for values in zip(*pairs)]

    def processes(self):
        return {name: told["pid"] for name, told in self.stack.status().items() if told["pid"]}

    # Rows: (numerator, denominator, unit, more). Those that need a quiet stack come first.

    def idle_cpu(self):
        """cores used by gateway, worker and recorder while nothing is asked of them"""
        pids = self.processes()
        before, began = {name: cpu_s(pid) for name, pid in pids.items()}, time.monotonic()
        wait_until(lambda: time.monotonic() >= began + self.seconds, self.seconds + 5, "the time is over")
        used = {name: cpu_s(pid) - before[name] for name, pid in pids.items()}
        elapsed = time.monotonic() - began
        percent = {name: rounded(100 * value / elapsed) for name, value in used.items()}
        return ours(used), elapsed, "s", {"percent": percent}

    def pss(self):
        """memory of gateway, worker and recorder (PSS, warm, idle) / bare libmicrohttpd's"""
        memory = {name: pss_mib(pid) for name, pid in self.processes().items()}
        with RawHttp(self.raw_folder) as raw:
            mib = {name: rounded(value) for name, value in memory.items()}
            return ours(memory), pss_mib(raw.pid), "MiB", {"mib": mib}

    def e2e(self):
        """p50 from submission to the long poll's answer / p50 of two bare Kafka hops, 200 a second"""
        topics = self.make_topics()

        def ours_ms():
            return self.load("--rate", f"{RATE}/s")["latency_ms"]["p50"]

        def raw_ms():
            tool = os.path.join(self.raw_folder, "raw_two_hops")
            done = subprocess.run([tool, self.stack.address("broker"), "kafka", *topics, str(RATE), str(self.seconds)],
                                  text=True, stdout=subprocess.PIPE, timeout=self.seconds + 60, check=True)
            return json.loads(done.stdout)["p50_ms"]
        return *self.alternately(ours_ms, raw_ms), "ms", {"rate": RATE}

    def accepted(self):
        """jobs accepted a second on 64 connections / POSTs a second of bare libmicrohttpd on as many"""
        with RawHttp(self.raw_folder) as raw:
            cores, refused = [], []

            def accepted_rate():
                told = self.wrk(self.stack.url)
                refused.append(told["refused"] + told["broken"] + told["timeouts"])
                return told["accepted"] / told["seconds"]

            def raw_rate():
                before = cpu_s(raw.pid)
                told = self.wrk(raw.url)
                cores.append((cpu_s(raw.pid) - before) / told["seconds"])
                return told["accepted"] / told["seconds"]
            numerator, denominator = self.alternately(accepted_rate, raw_rate)
            # raw_cores far below 1: wrk was the limit, and the ratio flatters.
            return numerator, denominator, "1/s", {
                "connections": CONNECTIONS, "generator": "wrk", "refused": max(refused),
                "raw_cores": rounded(statistics.median(cores))}

    def wrk(self, url):
        """What wrk measured; `errand load` needs three times the CPU a request, too much beside the bare server."""
        body = json.dumps({"type": TYPE, "payload": PAYLOAD})
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "post.lua")
        done = subprocess.run(
            ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{self.seconds}s", "--timeout", "10s", "-s", script,
             f"{url}/v1/jobs", "--", body], text=True, stdout=subprocess.PIPE, timeout=self.seconds + 60, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    def make_topics(self):
        """Two topics of the stack's broker that nobody else uses, with as many partitions as a queue has."""
        admin = AdminClient({"bootstrap.servers": self.stack.address("broker")})
        names = [f"bench.{uuid.uuid4().hex[:8]}.{letter}" for letter in "ab"]
        for made in admin.create_topics([NewTopic(name, 8, 1) for name in names]).values():
            made.result(30)
        return names


# Name -> its target, from the goals of the project; None: only told.
ROWS = {
    "idle_cpu": "ratio <= 0.007",
    "pss": "numerator <= 60 MiB",
    "e2e": "ratio <= 1.25",
    "accepted": "ratio >= 0.28",
}


def measure(bench, name):
    numerator, denominator, unit, more = getattr(bench, name)()
    return {"row": name, "numerator": rounded(numerator), "denominator": rounded(denominator),
            "ratio": rounded(numerator / denominator), "target": ROWS[name], "unit": unit,
            "what": getattr(bench, name).__doc__, **more}


def table(rows):
    lines = [("row", "numerator", "denominator", "unit", "ratio", "target")]
    lines += [tuple(str(row[column]) for column in lines[0]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(ROOT, "build/release/bin"), help="the programs")
    parser.add_argument("--raw", default=os.path.join(ROOT, "build/release/bench"), help="the raw tools")
    parser.add_argument("--row", action="append", choices=ROWS, help="only this row (as often as you like)")
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of a pair; the median counts")
    parser.add_argument("--warm-up", type=int, default=20, metavar="SECONDS", help="of load before the first row")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="errand-bench-")
    stack = Stack(args.bin, os.path.join(folder, "stack"), "apache")
    try:
        say("starting a stack")
        stack.up()
        bench = Bench(stack, args.raw, args.seconds, args.rounds)
        say("warming up")
        bench.warm_up(args.warm_up)
        rows = []
        for name in [name for name in ROWS if not args.row or name in args.row]:
            say(f"measuring {name}")
            rows.append(measure(bench, name))
            print(json.dumps(rows[-1]), flush=True)
        table(rows)
    finally:
        stack.finish()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
