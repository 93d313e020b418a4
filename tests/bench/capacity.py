#!/usr/bin/env python3
"""What a job costs in Redis and in Kafka, measured: starts a stack on Apache Kafka in a temporary folder, does jobs, and
divides what has grown by their number. The figures and the formula of docs/OPERATIONS.md come from here:

    make MODE=release programs && tests/venv.sh && build/venv/bin/python tests/bench/capacity.py

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import os

from measure import NAMESPACE, ROOT, stack_with, wait_until

SIZES = (100, 1000, 10000)  # bytes of a payload, which comes back as the result
CONFIG = {"types": {"capacity.echo": {"queue": "default", "handler": "call", "example": "{}", "call": {
    "target": "capacity", "method": "POST", "path": "/echo", "body": "{{payload}}", "result": "pointer",
    "pointer": "/json"}}}, "targets": {"capacity": {"base_url": "simulator:/", "timeout": "60s"}}}


def kafka_bytes(stack, kind):
    """Bytes of the log segments of all topics of a kind."""
    total = 0
    for folder, _, names in os.walk(os.path.join(stack.folder, "kafka")):
        if os.path.basename(folder).startswith(f"{NAMESPACE}.{kind}."):
            total += sum(os.path.getsize(os.path.join(folder, name)) for name in names if name.endswith(".log"))
    return total


def grown(stack):
    return {"redis": stack.redis().info("memory")["used_memory"], "keys": stack.redis().dbsize(),
            "commands": kafka_bytes(stack, "commands"), "replies": kafka_bytes(stack, "replies")}


def finished(stack):
    return sum(1 for _ in stack.redis().scan_iter(f"{NAMESPACE}:r:*", 10000))


def measure(stack, size, jobs):
    payload = {"text": "x" * (size - len(json.dumps({"text": ""})))}
    before, done = grown(stack), finished(stack)
    stack.errand("load", "capacity.echo", "--connections", 16, "--count", jobs, "-d", json.dumps(payload), limit_s=600)
    wait_until(lambda: finished(stack) >= done + jobs, 300, "all jobs are finished")
    wait_until(lambda: stack.redis().dbsize() <= before["keys"] + jobs + jobs // 50 + 100, 60, "only records are left")
    after = grown(stack)
    return {"payload": size, **{name: round((after[name] - before[name]) / jobs) for name in before if name != "keys"}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=os.path.join(ROOT, "build", "release", "bin"))
    parser.add_argument("--jobs", type=int, default=20000)
    arguments = parser.parse_args()
    with stack_with(arguments.bin, CONFIG) as stack:
        measure(stack, SIZES[0], 1000)  # what is made once is there
        print("bytes a job: payload and result of, Redis, Kafka's commands, Kafka's replies")
        for size in SIZES:
            row = measure(stack, size, arguments.jobs)
            print("{payload:>8} {redis:>8} {commands:>8} {replies:>8}".format(**row), flush=True)


if __name__ == "__main__":
    main()
