#!/usr/bin/env python3
"""Breaks the product on purpose, one way after the other (docs/MUTANTS.md), and runs the test that must see it. Ends with
"N caught, N missed"; exit status 0 only if none was missed.

Standard library only. SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import subprocess
import sys
import tempfile
import time

from run import run_bounded

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "system"))
import processes  # noqa: E402 (the path comes first)

TABLE = "docs/MUTANTS.md"
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| `([^`]+)` \|$", re.M)
IN_CODE = re.compile(r"\bMUTANT\((\w+)\)")
LIMIT_S = 180
BUILD = "build/mutant"


def names_in_code():
    told = subprocess.run(["git", "grep", "-hoE", r"\bMUTANT\(\w+\)", "--", "*.c"], text=True, capture_output=True, check=True)
    return set(IN_CODE.findall(told.stdout)) - {"name"}


def command_for(test):
    """A unit test program, or a node of the system tests."""
    if test.endswith("_test"):
        return [f"{BUILD}/tests/{test}"]
    return ["build/venv/bin/python", "-m", "pytest", "-x", "-q", "--bin", f"{BUILD}/bin", f"tests/system/{test}"]


def run(test, mutant):
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="errand-mutant-") as folder:
        environment = {**os.environ, "CMOCKA_MESSAGE_OUTPUT": "STDOUT", "TMPDIR": folder}
        if mutant:
            environment["ERRAND_MUTANT"] = mutant
        status, output = run_bounded(command_for(test), LIMIT_S, env=environment, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        processes.end(processes.of_folder(folder))  # a test that hung left its stack running
    return status, output, time.monotonic() - began


def is_caught(test, status, output):
    """A test that failed; not one that could not begin, one that hung, or one whose load was too slow to mean anything."""
    if test.endswith("_test"):
        return status not in (0, None)
    too_slow = re.search(r"^>\s+assert self\.rate\(\) >= self\.rate_min", output, re.M)
    return status == 1 and not too_slow and re.search(r"^FAILED ", output, re.M) is not None


def why(output):
    """The first line that says what the test saw."""
    seen = re.search(r"^(?:E  +|\[  ERROR   \] --- )(.+)", output, re.M)
    return seen.group(1).strip()[:100] if seen else output.strip().split("\n")[-1][:100]


def main():
    with open(TABLE, encoding="utf-8") as file:
        rows = ROW.findall(file.read())
    told = {name for name, _, _ in rows}
    if told != names_in_code():
        sys.exit(f"{TABLE} and the code do not name the same mutants: {sorted(told ^ names_in_code())}")
    chosen = [row for row in rows if not sys.argv[1:] or row[0] in sys.argv[1:]]
    if not chosen:
        sys.exit(f"no mutant {sys.argv[1:]}; there are {sorted(told)}")
    missed = 0
    whole = set()
    for name, _, test in chosen:
        if test not in whole:  # without the mutant it must pass, or it proves nothing
            status, output, took_s = run(test, None)
            if status != 0:
                sys.exit(f"{test} fails without any mutant ({why(output)}):\n{output[-3000:]}")
            whole.add(test)
        status, output, took_s = run(test, name)
        caught = is_caught(test, status, output)
        missed += not caught
        print(f"{'caught' if caught else 'MISSED'} {name} by {test} ({took_s:.0f} s): {why(output) if caught else ''}", flush=True)
    print(f"{len(chosen) - missed} caught, {missed} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
