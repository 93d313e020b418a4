#!/usr/bin/env python3
"""`make chaos`: round after round on one stack, in each of which everything that can die does, in an order of chance, under
load; after each the checker's verdict. Ends with a report (build/chaos/report.json, report.txt) and exit status 0 only if
nothing was found. Run it with the tests' interpreter (build/venv/bin/python). SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "system"))
from chaos import STOP_S, Chaos, found, percentile  # noqa: E402 (the path comes first)
from conftest import LOCAL, TESTS, load, merged  # noqa: E402
from stack import Stack  # noqa: E402
from waiting import wait_until  # noqa: E402

ROUND_S = 150
CALM_SHARE = 0.6  # of the faults are let heal before the next; only what came after calm counts as a time of recovery
CALM_S = 7
DAEMONS = ["gateway-1", "worker-1", "worker-2", "recorder-1", "delayer-1"]
OURS = {"simulator": {"ledger_max": 2_000_000, "connections_max": 20000}, "log": {"level": "warn"}}


def faults_of(chaos):
    """Everything there is to do, once each."""
    one = ["worker-1", "worker-2", "recorder-1", "delayer-1", "gateway-1"]
    todo = [lambda name=name: chaos.kill(name) for name in one]
    todo += [lambda name=name: chaos.stop(name, for_s=STOP_S) for name in one[:4]]
    todo += [lambda: chaos.lose_redis(chaos.copy_redis()), lambda: chaos.kill("worker-1", "worker-2"), lambda: chaos.kill(*one), lambda: chaos.restart("worker-1"),
             lambda: chaos.restart("gateway-1"), chaos.flushall, chaos.lose_redis, lambda: chaos.kill("redis"),
             lambda: chaos.stop("redis", for_s=10), lambda: chaos.kill("broker"), chaos.cut_power]
    chaos.chance.shuffle(todo)
    return todo


def memory_and_files(stack):
    """{daemon: (PSS in KiB, open files)}"""
    seen = {}
    for name in DAEMONS:
        pid = stack.pid(name)
        rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        seen[name] = (pss, len(os.listdir(f"/proc/{pid}/fd")))
    return seen


def refold(stack):
    """How many keys there are, and keys a second when the view is made again from nothing."""
    redis = stack.redis()
    keys = redis.dbsize()
    began = time.monotonic()
    redis.flushall()
    wait_until(lambda: redis.hexists("errand:view", "certificate"), 300, "the view is whole again")
    return keys, keys / (time.monotonic() - began)


def one_round(stack, folder, args, seed):
    folder.mkdir(parents=True)
    mark = folder / "since.json"
    mark.write_text(stack.errand("verdict", "--mark").stdout)
    chaos = Chaos(stack, folder, args.rate, ROUND_S, seed)
    end = time.monotonic() + ROUND_S - 15
    with chaos:
        for fault in faults_of(chaos):
            if time.monotonic() > end:
                break
            fault()
            chaos.let_run(*((CALM_S, CALM_S + 1) if chaos.chance.random() < CALM_SHARE else (0.5, 2)))
    verdict = chaos.verdict("--since", str(mark))
    return verdict, chaos.felt(CALM_S), memory_and_files(stack)


def text_of(report):
    lines = [f"seed {report['seed']}, {report['rounds']} rounds, {report['seconds']} s, {report['rate']} jobs/s, Apache Kafka, 2 workers",
             f"jobs {report['jobs']}, faults {report['faults']}, reads {report['reads']}, calls {report['calls']}",
             f"found: {report['found'] or 'nothing'}; repeated calls {report['repeats']} of at most {report['repeats_bound']}", "",
             f"{'fault':54} {'times':>5} {'felt for, s':>15} {'longest job, s':>15}",
             f"{'':54} {'':5} {'p50':>7} {'p99':>7} {'p50':>7} {'p99':>7}"]
    for name in sorted({entry["fault"] for entry in report["felt"]}):
        entries = [entry for entry in report["felt"] if entry["fault"] == name]
        figures = [percentile([entry[key] for entry in entries], share) / 1000
                   for key in ("felt_ms", "longest_ms") for share in (0.5, 0.99)]
        lines.append(f"{name:54} {len(entries):5} " + " ".join(f"{figure:7.2f}" for figure in figures))
    lines += ["", f"refold: {report['refold_keys']} keys at {report['refold_keys_per_s']:.0f} keys/s", "",
              f"{'daemon':12} PSS KiB (open files), after each round"]
    for name in DAEMONS:
        lines.append(f"{name:12} " + " ".join(f"{seen[name][0]}({seen[name][1]})" for seen in report["memory"]))
    return "\n".join(lines) + "\n"


def add(report, verdict, felt, memory):
    for key in ("jobs", "faults", "reads", "calls", "repeats", "repeats_bound"):
        report[key] += verdict[key]
    for kind, count in found(verdict).items():
        report["found"][kind] = report["found"].get(kind, 0) + count
    report["felt"] += felt
    report["memory"].append(memory)
    report["rounds"] += 1


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
    config.write_text(yaml.safe_dump(merged(merged(load(LOCAL), load(TESTS)), OURS), sort_keys=False))
    stack = Stack(args.bin, work / "stack", "apache", workers=2, config=str(config))
    report = {"seed": seed, "rate": args.rate, "rounds": 0, "jobs": 0, "faults": 0, "reads": 0, "calls": 0, "found": {}, "repeats": 0,
              "repeats_bound": 0, "felt": [], "memory": []}
    began = time.monotonic()
    try:
        stack.up()
        while time.monotonic() - began < args.seconds:
            verdict, felt, memory = one_round(stack, out / f"round-{report['rounds']}", args, seed + report["rounds"])
            add(report, verdict, felt, memory)
            print(f"round {report['rounds']}: {verdict['jobs']} jobs, {verdict['faults']} faults, found {found(verdict) or 'nothing'}",
                  file=sys.stderr, flush=True)
            if found(verdict):
                print(json.dumps(verdict["findings"][:20], indent=1), file=sys.stderr)
                break
        report["refold_keys"], report["refold_keys_per_s"] = refold(stack)
    finally:
        report["seconds"] = round(time.monotonic() - began)
        if report["found"]:
            shutil.copytree(work / "stack" / "log", out / "log")
        stack.finish()
        shutil.rmtree(work)
    (out / "report.json").write_text(json.dumps(report, indent=1))
    (out / "report.txt").write_text(text_of(report))
    print(text_of(report), end="")
    return 1 if report["found"] else 0


if __name__ == "__main__":
    sys.exit(main())
