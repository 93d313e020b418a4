#!/usr/bin/env python3
"""How near a whole Errand comes to what its libraries can do at all, measured in one run on one machine: `make bench`.

Starts a stack on Apache Kafka in a temporary folder, warms it up, and measures one row after the other, each against a
raw tool of this folder under the same load; then the rows that need a stack with job types of their own, on another one;
with --peers those against other systems. A row is one line of JSON on standard output; a table ends the run, and a
picture of all rows against their targets. It is a benchmark, no test: nothing depends on the figures, targets are only
told. Run it on a machine that does nothing else. Which file has which rows: README.md here.
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import contextlib
import importlib
import json
import os
import time
import traceback

import plot
from measure import OVERLAY, ROOT, ROWS, Bench, allow_files, load, say, stack_with

# Each adds its rows, in this order: those that need a quiet stack come first.
*_, rows_peers = map(importlib.import_module, (
    "rows_http", "rows_view", "rows_kafka", "rows_calls", "rows_many", "verify", "rows_peers"))

OUT = os.path.join(ROOT, "build")
MANY = 1_000_000  # jobs, or letters, unless --many says something else
MATTERS = {  # what --row takes besides the names of rows, and what more it takes some of them for
    "accepted": ["accepted", "accepted_256", "accepted_off", "accepted_off_256"], "ack": ["ack", "ack_1000"],
    "calls": ["calls", "calls_4000"], "parked": ["parked", "parked_wake"], "idle": ["idle_cpu", "pss"],
    "redis-memory": ["redis_memory"], "accepted-peers": ["accepted_bullmq", "accepted_restate"],
    "e2e-peers": ["e2e_bullmq", "e2e_restate", "e2e_bullmq_1000", "e2e_restate_1000"], "cpu-peers": ["cpu_bullmq", "cpu_restate"],
    "jobs": ["jobs_bullmq", "jobs_restate"]}
WITH_TYPES = ("bench", "waiting")  # places with the types of bench.yaml


def table(rows):
    lines = [("row", "numerator", "denominator", "unit", "ratio", "target")]
    lines += [tuple("-" if row.get(column) is None else str(row[column]) for column in lines[0]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


@contextlib.contextmanager
def bench_at(where, options):
    """What the rows of a place are measured on, warm."""
    say(f"starting a stack ({where})")
    with stack_with(options.bin, load(OVERLAY) if where in WITH_TYPES else None, broker=options.broker) as stack:
        bench = Bench(stack, options)
        say("warming up")
        bench.warm_up(options.warm_up)
        with rows_peers.beside(bench, options.warm_up) if where == "peers" else contextlib.nullcontext():
            yield bench


def measure_all(names, options, keep):
    """Measures these rows; returns how long each took."""
    took = {}
    for where in dict.fromkeys(ROWS[name].where for name in names):
        here = [name for name in names if ROWS[name].where == where]
        try:
            with bench_at(where, options) as bench:
                for name in here:
                    say(f"measuring {name}")
                    began = time.monotonic()
                    keep(attempt(ROWS[name], bench))
                    took[name] = round(time.monotonic() - began)
        except Exception as error:  # no stack: the rows of other places are measured all the same
            for name in [name for name in here if name not in took]:
                keep(failed(ROWS[name], error))
    return took


def attempt(row, bench):
    """What a row told, or why it could not be measured: the others are, all the same."""
    try:
        return row.measure(bench)
    except Exception as error:
        return failed(row, error)


def failed(row, error):
    traceback.print_exception(error)
    return {"row": row.name, "target": row.target, "what": row.function.__doc__, "error": f"{type(error).__name__}: {error}"[:1000]}


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(ROOT, "build/release/bin"), help="the programs")
    parser.add_argument("--raw", default=os.path.join(ROOT, "build/release/bench"), help="the raw tools")
    parser.add_argument("--peers", action="store_true", help="the rows against other systems, instead of the others")
    parser.add_argument("--broker", choices=("apache", "embedded"), default="apache", help="embedded: rows about requests only")
    parser.add_argument("--row", action="append", choices=list(dict.fromkeys([*ROWS, *MATTERS])),
                        help="only this row, or those of a matter (as often as you like)")
    parser.add_argument("--seconds", type=int, default=8, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of a pair; the median counts")
    parser.add_argument("--many", type=int, default=MANY, help="jobs and letters of the rows about a million; others shrink alike")
    parser.add_argument("--warm-up", type=int, default=30, metavar="SECONDS", help="of load before the first row")
    parser.add_argument("--out", metavar="PATH", help="lines go to PATH.jsonl, the picture to PATH.svg (build/bench or build/bench-peers)")
    options = parser.parse_args()
    options.row = [row for given in options.row or [] for row in MATTERS.get(given, [given])]
    name = "bench-peers" if options.peers else "bench" if options.broker == "apache" else f"bench-{options.broker}"
    options.out = options.out or os.path.join(OUT, name)
    return options


def main():
    options = parsed()
    allow_files()
    names = options.row or [name for name, row in ROWS.items()
                            if (row.where == "peers") == options.peers and (row.embedded or options.broker == "apache")]
    rows = []
    with open(f"{options.out}.jsonl", "w", encoding="utf-8") as file:
        def keep(told):
            rows.append(told)
            for out in (file, None):
                print(json.dumps(told), file=out, flush=True)
        took = measure_all([name for name in ROWS if name in names], options, keep)
    table(rows)
    plot.draw(rows, f"{options.out}.svg")
    say(f"seconds of each row: {took}; the picture is {options.out}.svg")


if __name__ == "__main__":
    main()
