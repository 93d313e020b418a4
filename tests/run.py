#!/usr/bin/env python3
"""Runs unit test programs and the system tests, and ends with the one line that counts: "N passed, N failed".

Exit status 0 only if something ran and nothing failed. A program that crashes, hangs or reports nothing is a failure.
A fuzz target counts as one test; what it finds is kept in build/fuzz/findings.
Standard library only. SPDX-License-Identifier: Apache-2.0
"""
import argparse
import ctypes
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
from concurrent.futures import ThreadPoolExecutor

UNIT_LIMIT_S = 120
SYSTEM_LIMIT_S = 3600
WAITING_PROCESSES = 3  # each test has daemons and a broker of its own
LOADED_PROCESSES = 2  # and a load
PYTEST_FOUND_NONE = 5  # its exit status
COUNT_FILE = "build/test-count"
FUZZ_EXTRA_S = 60  # a target runs all seeds first, on a machine that may be busy
FUZZ_INPUT_LIMIT_S = 20
FINDINGS = "build/fuzz/findings"
PASSED = re.compile(r"^\[  PASSED  \] (\d+) test", re.M)
RUNS = re.compile(r"^Done (\d+) runs in", re.M)
FAILED = re.compile(r"^\[  FAILED  \] (\d+) test", re.M)


ADDR_NO_RANDOMIZE = 0x0040000
RANDOM_BITS_MAX = 28  # what gcc 12's thread sanitizer can live with


class Count:
    def __init__(self, passed=0, failed=0):
        self.passed = passed
        self.failed = failed

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed


def keep_addresses():
    """As `setarch -R`, for this process and all that it starts, where the kernel puts programs at addresses so random
    that the thread sanitizer does not start. Where that is forbidden nothing changes."""
    with open("/proc/sys/vm/mmap_rnd_bits", encoding="ascii") as file:
        if int(file.read()) <= RANDOM_BITS_MAX:
            return
    libc = ctypes.CDLL(None)
    libc.personality(libc.personality(0xffffffff) | ADDR_NO_RANDOMIZE)


def run_bounded(command, limit_s, **options):
    """Runs a command in a process group of its own; returns (exit status or None when it hung, its output)."""
    process = subprocess.Popen(command, start_new_session=True, **options)
    try:
        output, _ = process.communicate(timeout=limit_s)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return None, output


def run_unit(program):
    """One cmocka program: prints its name and time, and all it said if anything failed."""
    began = time.monotonic()
    environment = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="STDOUT")
    status, output = run_bounded(
        [program], UNIT_LIMIT_S, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace")
    count = Count(sum(map(int, PASSED.findall(output))), sum(map(int, FAILED.findall(output))))
    if status != 0 and count.failed == 0:
        count.failed = 1
        output += f"\n{program}: " + ("hung" if status is None else f"ended with status {status}") + "\n"
    elif count.passed + count.failed == 0:
        count.failed = 1
        output += f"\n{program}: ran no test\n"
    name = os.path.basename(program)
    took_s = time.monotonic() - began
    text = f"{'ok  ' if count.failed == 0 else 'FAIL'} {name} ({count.passed} passed, {took_s:.1f} s)\n"
    sys.stdout.write(text if count.failed == 0 else output + text)
    sys.stdout.flush()
    return count


def run_fuzz(program, args):
    """One libFuzzer target over its seeds and for a while beyond; with a seed of its own it repeats what it did."""
    began = time.monotonic()
    name = os.path.basename(program).removesuffix("_fuzz")
    dictionary = f"tests/fuzz/{name}.dict"
    os.makedirs(FINDINGS, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="errand-fuzz-") as scratch:
        grown = scratch
        if args.fuzz_keep:  # what it has learned is where the next run begins
            grown = f"build/fuzz/corpus/{name}"
            os.makedirs(grown, exist_ok=True)
        command = [program, f"-seed={args.fuzz_seed}", f"-max_total_time={args.fuzz_s}", f"-timeout={FUZZ_INPUT_LIMIT_S}",
                   f"-artifact_prefix={FINDINGS}/{name}-", *([f"-dict={dictionary}"] if os.path.exists(dictionary) else []),
                   grown, f"tests/fuzz/corpus/{name}"]
        environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:quarantine_size_mb=16")
        status, output = run_bounded(
            command, args.fuzz_s + FUZZ_EXTRA_S, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace")
    runs = RUNS.search(output)
    good = status == 0 and runs
    what = f"{runs[1]} runs" if runs else "hung" if status is None else f"ended with status {status}"
    text = f"{'ok  ' if good else 'FAIL'} {name}_fuzz ({what}, seed {args.fuzz_seed}, {time.monotonic() - began:.1f} s)\n"
    sys.stdout.write(text if good else output[-20000:] + f"repeat it: {program} {FINDINGS}/{name}-...\n" + text)
    sys.stdout.flush()
    return Count(1, 0) if good else Count(0, 1)


def run_pytest(args, name, *options):
    """Some of the pytest suite; counted from its JUnit report, so that nothing on the terminal is parsed."""
    report = os.path.abspath(f"build/system-tests-{name}.xml")
    if os.path.exists(report):
        os.remove(report)
    command = [args.python, "-m", "pytest", args.system, "--bin", args.bin, f"--junitxml={report}", *options]
    if args.tsan_bin:
        command += ["--tsan-bin", args.tsan_bin]
    if args.only:
        command += ["-k", args.only]
    status, _ = run_bounded(command, SYSTEM_LIMIT_S)
    count = Count()
    if os.path.exists(report):
        for suite in xml.parse(report).getroot().iter("testsuite"):
            bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            count.failed += bad
            count.passed += max(0, int(suite.get("tests", 0)) - bad - int(suite.get("skipped", 0)))
    if status not in (0, PYTEST_FOUND_NONE) and count.failed == 0:
        print("system tests: " + ("hung" if status is None else f"pytest ended with status {status}"))
        count.failed = 1
    return count


def run_system(args):
    """First those that mostly wait, then those that bring load, some at a time; then, one by one, those that measure."""
    os.makedirs("build", exist_ok=True)
    total = run_pytest(args, "beside", "-m", "not alone and not loaded", f"--numprocesses={WAITING_PROCESSES}", "--dist=loadgroup")
    total.add(run_pytest(args, "loaded", "-m", "loaded", f"--numprocesses={LOADED_PROCESSES}", "--dist=loadgroup"))
    total.add(run_pytest(args, "alone", "-m", "alone"))
    if total.passed + total.failed == 0:
        print("system tests: none was run")
        total.failed = 1
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unit", action="append", default=[], metavar="PROGRAM", help="a cmocka program")
    parser.add_argument("--fuzz", action="append", default=[], metavar="PROGRAM", help="a libFuzzer target")
    parser.add_argument("--fuzz-s", type=int, default=3, help="how long a target goes on")
    parser.add_argument("--fuzz-seed", type=int, default=1, help="0: a new one")
    parser.add_argument("--fuzz-keep", action="store_true", help="keep the inputs that found new ways, in build/fuzz/corpus")
    parser.add_argument("--system", metavar="FOLDER", help="the pytest suite")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has pytest")
    parser.add_argument("--bin", default="build/release/bin", help="the programs under test")
    parser.add_argument("--tsan-bin", help="programs with the thread sanitizer, for the tests that are about threads")
    parser.add_argument("--only", metavar="WORD", help="only the system tests whose name has it")
    jobs = 2 * (os.cpu_count() or 1)  # they wait more than they work
    parser.add_argument("--jobs", type=int, default=jobs, help="unit test programs at a time")
    args = parser.parse_args()
    if args.tsan_bin:
        keep_addresses()
    args.fuzz_seed = args.fuzz_seed or random.randrange(1, 2**31)
    total = Count()
    with ThreadPoolExecutor(max_workers=args.jobs) as pool:
        for count in pool.map(run_unit, args.unit):
            total.add(count)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:  # these do nothing but work
        for count in pool.map(lambda program: run_fuzz(program, args), args.fuzz):
            total.add(count)
    if args.system:
        total.add(run_system(args))
    line = f"{total.passed} passed, {total.failed} failed"
    os.makedirs("build", exist_ok=True)
    with open(COUNT_FILE, "w", encoding="utf-8") as file:
        print(line, file=file)
    print(line)
    return 0 if total.failed == 0 and total.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
