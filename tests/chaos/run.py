#!/usr/bin/env python3
"""`make chaos`: round after round on one stack, in each of which everything that can die does, in an order of chance, under
load; after each the checker's verdict. Ends with a report (build/chaos/report.json, report.txt) and exit status 0 only if
nothing was found and no daemon grew. Run it with the tests' interpreter (build/venv/bin/python). SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "system"))
from chaos import STOP_S, Chaos, found, percentile, told  # noqa: E402 (the path comes first)
from configuration import LOCAL, TESTS, load, write  # noqa: E402
from stack import Stack  # noqa: E402
from waiting import wait_until  # noqa: E402

ROUND_S = 150
CALM_SHARE = 0.6  # of the faults are let heal before the next; only what came after calm counts as a time of recovery
CALM_S = 7
STEADY_S = 150  # at the end nothing dies for so long: whoever has a leak grows
LOOK_EVERY_S = 2
COMPARED_MIN = 3  # looks on either side: fewer lives differ by their lengths
MORE, MORE_KIB, MORE_FILES = 1.1, 2048, 32  # what is flat may differ so much over a steady load
BETWEEN_LIVES, BETWEEN_LIVES_KIB, BETWEEN_LIVES_FILES = 2, 32768, 1024  # and so much after rounds, as lives are of all lengths
DAEMONS = ["gateway-1", "worker-1", "worker-2", "recorder-1", "delayer-1"]
OURS = {"simulator": {"ledger_max": 2_000_000, "connections_max": 20000}, "log": {"level": "warn"}}


WORKERS = ["worker-1", "worker-2"]
# Everything there is to do. The dump is that of the round's begin.
FAULTS = [
    *(lambda chaos, _, name=name: chaos.kill(name) for name in DAEMONS),
    *(lambda chaos, _, name=name: chaos.stop(name, for_s=STOP_S) for name in DAEMONS),
    lambda chaos, _: chaos.kill(*WORKERS), lambda chaos, _: chaos.kill(*DAEMONS),
    lambda chaos, _: chaos.stop(*WORKERS, for_s=STOP_S), lambda chaos, _: chaos.stop(*DAEMONS, for_s=STOP_S),
    lambda chaos, _: chaos.restart("worker-1"), lambda chaos, _: chaos.restart("gateway-1"),
    lambda chaos, _: chaos.flushall(), lambda chaos, _: chaos.lose_redis(), lambda chaos, dump: chaos.lose_redis(dump),
    lambda chaos, _: chaos.kill("redis"), lambda chaos, _: chaos.stop("redis", for_s=10),
    lambda chaos, _: chaos.kill("broker"), lambda chaos, _: chaos.cut_power(),
]


def all_faults(seed):
    """For ever: each once, in an order of chance, then each once more."""
    chance = random.Random(seed)
    while True:
        yield from chance.sample(FAULTS, len(FAULTS))


def memory_and_files(stack):
    """{daemon: (PSS in KiB, open files)}"""
    seen = {}
    for name in DAEMONS:
        pid = stack.pid(name)
        rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        seen[name] = (pss, len(os.listdir(f"/proc/{pid}/fd")))
    return seen


def steady(stack, folder, args, seed):
    """Load, and nothing dies; returns the verdict and what was seen of each daemon meanwhile."""
    folder.mkdir(parents=True)
    mark = folder / "since.json"
    mark.write_text(stack.errand("verdict", "--mark").stdout)
    for_s = min(STEADY_S, args.seconds / 4)
    chaos = Chaos(stack, folder, args.rate, round(for_s), seed)
    seen, end = [], time.monotonic() + for_s - LOOK_EVERY_S
    with chaos:
        while time.monotonic() < end:
            chaos.let_run(LOOK_EVERY_S)
            seen.append(memory_and_files(stack))
    return chaos.verdict("--since", str(mark)), seen


def grown(seen, part, more, more_kib, more_files):
    """What each daemon takes in the last 1/part of these looks, in the middle of them, against the 1/part before it."""
    lines, count = [], len(seen) // part
    for name in DAEMONS if count >= COMPARED_MIN else []:
        for what, which, slack in (("KiB", 0, more_kib), ("open files", 1, more_files)):
            before, after = (statistics.median(look[name][which] for look in looks) for looks in (seen[-2 * count:-count], seen[-count:]))
            if after > more * before + slack:
                lines.append(f"{name}: from {before:.0f} to {after:.0f} {what}")
    return lines


def refold(stack):
    """How many records the view has, and how many a second when it is made again from nothing."""
    redis = stack.redis()
    began = time.monotonic()
    redis.flushall()
    wait_until(lambda: redis.hexists("errand:view", "certificate"), 300, "the view is whole again")
    took_s = time.monotonic() - began
    records = sum(1 for letter in "rc" for _ in redis.scan_iter(f"errand:{letter}:*", 10_000))
    return records, records / took_s


def one_round(stack, folder, args, seed, faults):
    folder.mkdir(parents=True)
    mark = folder / "since.json"
    mark.write_text(stack.errand("verdict", "--mark").stdout)
    chaos = Chaos(stack, folder, args.rate, ROUND_S, seed)
    end = time.monotonic() + ROUND_S - 15
    with chaos:
        dump = chaos.copy_redis()
        while time.monotonic() < end:
            next(faults)(chaos, dump)
            chaos.let_run(*((CALM_S, CALM_S + 1) if chaos.chance.random() < CALM_SHARE else (0.5, 2)))
    verdict = chaos.verdict("--since", str(mark))
    return verdict, chaos, memory_and_files(stack)


def fault_rows(report):
    """Of each kind of fault: how often it was done, how many of those could be looked at by themselves, and for these how long it was
    felt and how long the longest job took (p50 and p99 in ms)."""
    rows = []
    for name, times in sorted(report["done"].items()):
        entries = [entry for entry in report["felt"] if entry["fault"] == name]
        rows.append({"fault": name, "times": times, "looked_at": len(entries), **{
            f"{key}_p{share}": percentile([entry[key + "_ms"] for entry in entries], share / 100) for key in ("felt", "longest") for share in (50, 99)}})
    return rows


def text_of(report):
    lines = [f"seed {report['seed']}, {report['rounds']} rounds, {report['seconds']} s, Apache Kafka, 2 workers; "
             f"submitted a second in each round: {', '.join(f'{rate:.0f}' for rate in report['rates'])}",
             f"jobs {report['jobs']}, faults {report['faults']}, reads {report['reads']}, calls {report['calls']}",
             f"found: {report['found'] or 'nothing'}; not judged: {', '.join(report['not_judged']) or 'nothing'}; "
             f"repeated calls {report['repeats']} of at most {report['repeats_bound']}", *([f"broken off: {report['error']}"] if report["error"] else []), "",
             f"{'fault':54} {'times':>5} {'alone':>5} {'felt for, s':>15} {'longest job, s':>15}",
             f"{'':54} {'':5} {'':5} {'p50':>7} {'p99':>7} {'p50':>7} {'p99':>7}"]
    for row in report["by_fault"]:
        figures = [row[key] / 1000 for key in ("felt_p50", "felt_p99", "longest_p50", "longest_p99")]
        lines.append(f"{row['fault']:54} {row['times']:5} {row['looked_at']:5} " + " ".join(f"{figure:7.2f}" for figure in figures))
    lines += ["", f"grown: {'; '.join(report['grown']) or 'none'}",
              f"refold: {report['refold_records']} records at {report['refold_records_per_s']:.0f}/s", "",
              f"{'daemon':12} PSS KiB (open files), after each round"]
    for name in DAEMONS:
        lines.append(f"{name:12} " + " ".join(f"{seen[name][0]}({seen[name][1]})" for seen in report["memory"]))
    lines += ["", f"{'daemon':12} the same under a steady load at the end, every {10 * LOOK_EVERY_S} s"]
    for name in DAEMONS:
        lines.append(f"{name:12} " + " ".join(f"{seen[name][0]}({seen[name][1]})" for seen in report["steady"][::10]))
    return "\n".join(lines) + "\n"


def add(report, verdict):
    for key in ("jobs", "faults", "reads", "calls", "repeats", "repeats_bound"):
        report[key] += verdict[key]
    for kind, count in found(verdict).items():
        report["found"][kind] = report["found"].get(kind, 0) + count
    report["not_judged"] += [what for what in verdict["not_judged"] if what not in report["not_judged"]]


def rounds(stack, out, args, seed, report):
    """Until the time is over, or something is found."""
    began, faults = time.monotonic(), all_faults(seed)
    while time.monotonic() - began < args.seconds:
        verdict, chaos, memory = one_round(stack, out / f"round-{report['rounds']}", args, seed + report["rounds"], faults)
        add(report, verdict)
        report["felt"] += chaos.felt(CALM_S)
        for fault in chaos.faults:
            report["done"][told(fault)] = report["done"].get(told(fault), 0) + 1
        report["rates"].append(chaos.rate())
        report["memory"].append(memory)
        report["rounds"] += 1
        print(f"round {report['rounds']}: {verdict['jobs']} jobs, {verdict['faults']} faults, repeats {verdict['repeats']} of "
              f"{verdict['repeats_bound']}, found {found(verdict) or 'nothing'}", file=sys.stderr, flush=True)
        if found(verdict):
            print(json.dumps(verdict["findings"][:20], indent=1), file=sys.stderr)
            return
    verdict, report["steady"] = steady(stack, out / "steady", args, seed - 1)
    add(report, verdict)
    report["grown"] = grown(report["steady"], 3, MORE, MORE_KIB, MORE_FILES) + grown(
        report["memory"], 2, BETWEEN_LIVES, BETWEEN_LIVES_KIB, BETWEEN_LIVES_FILES)
    report["refold_records"], report["refold_records_per_s"] = refold(stack)


def is_good(report):
    return not (report["found"] or report["grown"] or report["not_judged"] or report["error"]) and report["jobs"] > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=1800)
    parser.add_argument("--rate", type=int, default=300, help="jobs/s")
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--bin", default=str(ROOT / "build" / "release" / "bin"))
    args = parser.parse_args()
    seed = args.seed or random.randrange(1, 2**31)
    out = ROOT / "build" / "chaos"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="errand-chaos-"))
    config = work / "given.yaml"
    write(config, load(LOCAL), load(TESTS), OURS)
    stack = Stack(args.bin, work / "stack", "apache", workers=2, config=str(config))
    report = {"seed": seed, "rate": args.rate, "rounds": 0, "jobs": 0, "faults": 0, "reads": 0, "calls": 0, "found": {}, "not_judged": [],
              "repeats": 0, "repeats_bound": 0, "rates": [], "done": {}, "felt": [], "memory": [], "steady": [], "grown": [],
              "refold_records": 0, "refold_records_per_s": 0, "error": None}
    began = time.monotonic()
    try:
        stack.up()
        rounds(stack, out, args, seed, report)
    except BaseException as error:  # what was seen until then is told all the same
        report["error"] = f"{type(error).__name__}: {error}"[:2000]
        raise
    finally:
        report["seconds"] = round(time.monotonic() - began)
        report["by_fault"] = fault_rows(report)
        (out / "report.json").write_text(json.dumps(report, indent=1))
        (out / "report.txt").write_text(text_of(report))
        print(text_of(report), end="", flush=True)
        if not is_good(report):
            shutil.copytree(work / "stack" / "log", out / "log", dirs_exist_ok=True)
        stack.finish()
        shutil.rmtree(work)
    return 0 if is_good(report) else 1


if __name__ == "__main__":
    sys.exit(main())
