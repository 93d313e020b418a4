#!/usr/bin/env python3
"""How many instructions a job costs each process, so that a regression shows on any machine: `make bench-instructions`.

Starts one stack after the other on the embedded broker, one process of each being looked at by perf stat or, on a machine
without performance counters, run under valgrind's callgrind, warms it up with counting off, and counts while the same jobs
run through it: every one followed to its end, on a fixed number of connections, no more at once than a fixed number. A
process is printed as one line of JSON on standard output. It is a benchmark, no test. What is counted is our code and its
libraries in user space, all threads; what batches make of it depends a little on the moment: figures differ by a few
per cent from one run to the next, and by more from one way of counting to the other, as callgrind's processes are slow.
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import datetime
import glob
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests", "system"), os.path.join(ROOT, "tests", "bench")]
from measure import PAYLOAD, TYPE, say  # noqa: E402 (the path comes first)
from stack import Stack  # noqa: E402
from waiting import wait_until  # noqa: E402

# Process -> (its program, of what the instructions are told for one).
PROCESSES = {
    "gateway-1": ("errand-gateway", "accepted job"),
    "worker-1": ("errand-worker", "run job"),
    "recorder-1": ("errand-recorder", "recorded event"),
    "redis": ("redis-server", "job"),
}
EVENT = "instructions:u"
HISTORY = os.path.join(ROOT, "docs", "instructions.jsonl")


def wrapped(bin_folder, folder, program):
    """A folder of the programs in which this one runs under callgrind; for redis-server, one for PATH."""
    place = os.path.join(folder, "bin")
    os.mkdir(place)
    if program != "redis-server":
        shutil.copytree(bin_folder, place, dirs_exist_ok=True)
    real = os.path.join(folder, program)
    shutil.copy(shutil.which(program) if program == "redis-server" else os.path.join(bin_folder, program), real)
    path = os.path.join(place, program)
    if os.path.exists(path):
        os.remove(path)
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n"
                   f"exec valgrind -q --tool=callgrind --instr-atstart=no --separate-threads=no "
                   f"--callgrind-out-file={folder}/counted.%p {real} \"$@\"\n")
    os.chmod(path, stat.S_IRWXU)
    return place


def control(pid, *options):
    done = subprocess.run(["callgrind_control", *options, str(pid)], text=True, capture_output=True, timeout=120,
                          check=False)
    assert done.returncode == 0, f"callgrind_control {options}: {done.stdout} {done.stderr}"


def counted(folder, pid):
    """The instructions of the dump that was asked for."""
    def told():
        for path in glob.glob(os.path.join(folder, f"counted.{pid}.*")):
            with open(path, encoding="utf-8", errors="replace") as file:
                found = re.findall(r"^totals: (\d+)", file.read(), re.M)
            if found:
                return int(found[-1]), path
        return None
    return wait_until(told, 120, "callgrind has written what it counted")


class Callgrind:
    """Counts in a process that runs under it, begun with counting off."""
    name = "callgrind"

    def __init__(self, folder, pid):
        self.folder, self.pid = folder, pid
        control(pid, "--instr=on")

    def end(self):
        """(instructions, the dump)"""
        control(self.pid, "--dump")
        return counted(self.folder, self.pid)


class PerfStat:
    """Counts in any process, from when perf says so."""
    name = "perf stat"

    def __init__(self, _, pid):
        said, say_it = os.pipe()
        heard, hear = os.pipe()
        self.process = subprocess.Popen(
            ["perf", "stat", "-x", ",", "-e", EVENT, "-D", "-1", "--control", f"fd:{said},{hear}", "-p", str(pid)],
            pass_fds=(said, hear), stderr=subprocess.PIPE, text=True)
        os.write(say_it, b"enable\n")
        assert os.read(heard, 16).startswith(b"ack"), "perf does not count"
        self.pipes = said, say_it, heard, hear

    def end(self):
        self.process.send_signal(signal.SIGINT)
        _, told = self.process.communicate(timeout=60)
        for end in self.pipes:
            os.close(end)
        return int(float(re.search(r"^([\d.]+),", told, re.M)[1])), None


def counter():
    """perf stat, if it counts here."""
    if not shutil.which("perf"):
        return Callgrind
    told = subprocess.run(["perf", "stat", "-x", ",", "-e", EVENT, "true"], text=True, capture_output=True, check=False)
    return PerfStat if re.search(r"^\d", told.stderr, re.M) else Callgrind


def recorded(stack):
    """Commands and events that the recorder applied, of both kinds."""
    text = stack.http.get(f"http://{stack.address('recorder-1')}/metrics", timeout=60).text
    return sum(int(float(value)) for value in
               re.findall(r'^errand_recorder_applied_total\{kind="(?:command|event)"\} (\S+)', text, re.M))


def measure(bin_folder, name, jobs, connections, keep):
    program, what = PROCESSES[name]
    folder = tempfile.mkdtemp(prefix="errand-instructions-")
    how = counter()
    place = wrapped(bin_folder, folder, program) if how is Callgrind else bin_folder
    path = os.environ["PATH"]
    if program == "redis-server" and how is Callgrind:
        os.environ["PATH"] = f"{place}:{path}"
        place = bin_folder
    stack = Stack(place, os.path.join(folder, "stack"), "embedded")

    def load(count):
        told = json.loads(stack.errand("load", TYPE, "--mode", "e2e", "--data", json.dumps(PAYLOAD), "--output", "json",
                                       "--connections", connections, "--count", count, limit_s=400).stdout)
        assert told["states"] == {"succeeded": count}, told
    try:
        stack.up()
        pid = stack.pid(name)
        load(500)
        wait_until(lambda: recorded(stack) >= 500, 60, "the warm-up is recorded")
        counting, before = how(folder, pid), recorded(stack)
        load(jobs)
        instructions, dump = counting.end()
        events = recorded(stack) - before
        if keep and dump:
            shutil.copy(dump, os.path.join(keep, f"callgrind.{name}"))
        count = events if name == "recorder-1" else jobs
        return {"process": name, "per": what, "instructions": round(instructions / count), "total": instructions,
                "jobs": jobs, "events": events, "connections": connections, "counted_by": how.name}
    finally:
        os.environ["PATH"] = path
        stack.finish()
        shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(ROOT, "build/release/bin"), help="the programs")
    parser.add_argument("--process", action="append", choices=PROCESSES, help="only this one (as often as you like)")
    parser.add_argument("--jobs", type=int, default=2000, help="that are counted")
    parser.add_argument("--connections", type=int, default=64, help="each with one job at a time")
    parser.add_argument("--keep", metavar="FOLDER", help="leave callgrind's files there, for callgrind_annotate")
    parser.add_argument("--note", help="add the figures to docs/instructions.jsonl, with these words")
    args = parser.parse_args()
    rows = []
    for name in args.process or PROCESSES:
        say(f"counting {name}")
        rows.append(measure(args.bin, name, args.jobs, args.connections, args.keep))
        print(json.dumps(rows[-1]), flush=True)
    if args.note:
        with open(HISTORY, "a", encoding="utf-8") as file:
            file.write(json.dumps({"date": datetime.date.today().isoformat(), "note": args.note,
                                   **{row["process"]: row["instructions"] for row in rows}}) + "\n")


if __name__ == "__main__":
    main()
