#!/usr/bin/env python3
"""`make chaos`: on one broker, then on three, round after round under load in which everything that can die does: calm rounds, in which
one fault has healed before the next, and crowded ones. After each the checker's verdict. Ends with a report (build/chaos/report.json,
report.txt) and exit status 0 only if nothing was found, no daemon grew and work went on in time. Run it with the tests' interpreter
(build/venv/bin/python). SPDX-License-Identifier: Apache-2.0
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

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "system"))
from chaos import ACK_MS_MAX, RATE, SLACK_MS, STOP_S, Chaos, found, mark  # noqa: E402 (the path comes first)
from configuration import LOCAL, TESTS, load, write  # noqa: E402
from report import LOOK_EVERY_S, add, add_faults, by_fault, grown_in, is_good, new_world, slow_in, text_of  # noqa: E402
from stack import Stack  # noqa: E402
from waiting import wait_until  # noqa: E402

ROUND_S = 150
HEALED_S = 60  # so long is waited, in a calm round, until nothing of a fault is felt
STEADY_S = 150  # at the end nothing dies for so long: whoever has a leak grows
WORKERS = ["worker-1", "worker-2"]
DAEMONS = ["gateway-1", *WORKERS, "recorder-1", "delayer-1"]
# Kafka's brokers: which part of the time they have.
WORLDS = {"apache": 0.5, "apache:3": 0.5}
OURS = {"simulator": {"ledger_max": 2_000_000, "connections_max": 20000}, "log": {"level": "warn"},
        "kafka": {"produce_timeout": f"{ACK_MS_MAX + SLACK_MS}ms"}}


def faults_of(brokers):
    """Everything there is to do. The dump is that of the round's begin."""
    return [
        *(lambda chaos, _, name=name: chaos.kill(name) for name in [*DAEMONS, *brokers, "redis"]),
        *(lambda chaos, _, name=name: chaos.stop(name, for_s=STOP_S) for name in DAEMONS),
        *(lambda chaos, _, name=name: chaos.stop(name, for_s=STOP_S) for name in brokers if len(brokers) > 1),
        *[lambda chaos, _: chaos.kill(*brokers)] * (len(brokers) > 1),
        lambda chaos, _: chaos.kill(*WORKERS), lambda chaos, _: chaos.kill(*DAEMONS),
        lambda chaos, _: chaos.stop(*WORKERS, for_s=STOP_S), lambda chaos, _: chaos.stop(*DAEMONS, for_s=STOP_S),
        lambda chaos, _: chaos.restart("worker-1"), lambda chaos, _: chaos.restart("gateway-1"),
        lambda chaos, _: chaos.flushall(), lambda chaos, _: chaos.lose_redis(), lambda chaos, dump: chaos.lose_redis(dump),
        lambda chaos, _: chaos.stop("redis", for_s=10), lambda chaos, _: chaos.cut_power(),
    ]


def in_turn(faults, seed):
    """For ever: each once, in an order of chance, then each once more."""
    chance = random.Random(seed)
    while True:
        yield from chance.sample(faults, len(faults))


def memory_and_files(stack):
    """{daemon: (PSS in KiB, open files)}"""
    seen = {}
    for name in DAEMONS:
        pid = stack.pid(name)
        rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        seen[name] = (pss, len(os.listdir(f"/proc/{pid}/fd")))
    return seen


def steady(stack, folder, rate, for_s, seed):
    """Load, and nothing dies; returns the verdict and what was seen of each daemon meanwhile."""
    folder.mkdir(parents=True)
    chaos = Chaos(stack, folder, rate, round(for_s), seed, since=mark(stack, folder))
    seen, end = [], time.monotonic() + for_s - LOOK_EVERY_S
    with chaos:
        while time.monotonic() < end:
            chaos.let_run(LOOK_EVERY_S)
            seen.append(memory_and_files(stack))
    return chaos.verdict(), seen


def refold(stack):
    """How many records the view has, and how many a second when it is made again from nothing."""
    redis = stack.redis()
    began = time.monotonic()
    redis.flushall()
    wait_until(lambda: redis.hexists("errand:view", "certificate"), 300, "the view is whole again")
    took_s = time.monotonic() - began
    records = sum(1 for letter in "rc" for _ in redis.scan_iter(f"errand:{letter}:*", 10_000))
    return records, records / took_s


def unbalanced(stack):
    """What the books of the whole log, of all rounds, do not balance with: nothing, if all is well."""
    done = stack.errand("verify", "-o", "json", check=False, limit_s=600)
    if done.returncode == 0:
        return []
    return [json.dumps(json.loads(done.stdout)["total"]) if done.stdout else done.stderr[-300:]]


def one_round(stack, folder, rate, seed, faults, calm):
    folder.mkdir(parents=True)
    chaos = Chaos(stack, folder, rate, ROUND_S + 2 * HEALED_S, seed, since=mark(stack, folder))
    end = time.monotonic() + ROUND_S - 15
    with chaos:
        dump = chaos.copy_redis()
        while time.monotonic() < end:
            next(faults)(chaos, dump)
            if calm:
                chaos.let_recover(HEALED_S)
            else:
                chaos.let_run(0.5, 4)
        chaos.end_loads()
    return chaos.verdict(), chaos, memory_and_files(stack)


def rounds(stack, out, args, seconds, seed, brokers, world):
    """Until the time is over, or something is found."""
    began = time.monotonic()
    faults = {calm: in_turn(faults_of(brokers), f"{seed} {calm}") for calm in (True, False)}  # each of them comes in calm rounds, too
    while time.monotonic() - began < seconds:
        calm = world["rounds"] % 2 == 0
        verdict, chaos, memory = one_round(stack, out / f"round-{world['rounds']}", args.rate, seed + world["rounds"], faults[calm], calm)
        add(world, verdict)
        add_faults(world, chaos, calm)
        world["rates"].append(chaos.rate())
        world["memory"].append(memory)
        world["rounds"] += 1
        print(f"{world['world']}, round {world['rounds']}, {'calm' if calm else 'crowded'}: {verdict['jobs']} jobs, {verdict['faults']} faults, "
              f"repeats {verdict['repeats']} of {verdict['repeats_bound']}, found {found(verdict) or 'nothing'}", file=sys.stderr, flush=True)
        if found(verdict):
            print(json.dumps(verdict["findings"][:20], indent=1), file=sys.stderr)
            return
    world["slow"] = slow_in(world, DAEMONS)
    verdict, world["steady"] = steady(stack, out / "steady", args.rate, min(STEADY_S, seconds / 4), seed - 1)
    add(world, verdict)
    world["grown"] = grown_in(world)
    world["unbalanced"] = unbalanced(stack)
    world["refold_records"], world["refold_records_per_s"] = refold(stack)
    world["unbalanced"] += unbalanced(stack)


def one_world(name, seconds, args, seed, out, world):
    work = pathlib.Path(tempfile.mkdtemp(prefix="errand-chaos-"))
    config = work / "given.yaml"
    write(config, load(LOCAL), load(TESTS), OURS)
    stack = Stack(args.bin, work / "stack", name, workers=2, config=str(config))
    began, good = time.monotonic(), False
    try:
        stack.up()
        brokers = [part for part in stack.status() if part.startswith("broker")]
        rounds(stack, out, args, seconds, seed, brokers, world)
        good = is_good({"error": None, "worlds": [world]})
    finally:
        world["seconds"] = round(time.monotonic() - began)
        world["by_fault"] = by_fault(world)
        if not good:
            shutil.copytree(work / "stack" / "log", out / "log", dirs_exist_ok=True)
        stack.finish()
        shutil.rmtree(work)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=1800)
    parser.add_argument("--rate", type=int, default=RATE, help="jobs/s")
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--bin", default=str(ROOT / "build" / "release" / "bin"))
    parser.add_argument("--world", choices=WORLDS, help="only this one, all of the time")
    args = parser.parse_args()
    seed = args.seed or random.randrange(1, 2**31)
    out = ROOT / "build" / "chaos"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    report = {"command": " ".join(sys.argv), "seed": seed, "rate": args.rate, "worlds": [], "error": None}
    began = time.monotonic()
    try:
        for name, share in ({args.world: 1} if args.world else WORLDS).items():
            report["worlds"].append(new_world(name))
            one_world(name, args.seconds * share, args, seed, out / name.replace(":", "-"), report["worlds"][-1])
    except BaseException as error:  # what was seen until then is told all the same
        report["error"] = f"{type(error).__name__}: {error}"[:2000]
        raise
    finally:
        report["seconds"] = round(time.monotonic() - began)
        (out / "report.json").write_text(json.dumps(report, indent=1))
        (out / "report.txt").write_text(text_of(report))
        print(text_of(report), end="", flush=True)
    return 0 if is_good(report) else 1


if __name__ == "__main__":
    sys.exit(main())
