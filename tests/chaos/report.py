"""What `make chaos` tells: the figures of its rounds as a table, and whether they are good.

SPDX-License-Identifier: Apache-2.0
"""
import statistics

from chaos import ACK_MS_MAX, RATE_PROMISED, RECOVERY_S, SLACK_MS, STOP_S, percentile, refused_without_need, told

LOOK_EVERY_S = 2
COMPARED_MIN = 3  # looks on either side: fewer lives differ by their lengths
MORE, MORE_KIB, MORE_FILES = 1.1, 2048, 32  # what is flat may differ so much over a steady load
BETWEEN_LIVES, BETWEEN_LIVES_KIB, BETWEEN_LIVES_FILES = 2, 32768, 1024  # and so much after rounds, as lives are of all lengths
SUMS = ("jobs", "faults", "reads", "calls", "repeats", "repeats_bound")


def grown(seen, part, more, more_kib, more_files):
    """What each daemon takes in the last 1/part of these looks, in the middle of them, against the 1/part before it."""
    lines, count = [], len(seen) // part
    for name in seen[-1] if count >= COMPARED_MIN else []:
        for what, which, slack in (("KiB", 0, more_kib), ("open files", 1, more_files)):
            before, after = (statistics.median(look[name][which] for look in looks) for looks in (seen[-2 * count:-count], seen[-count:]))
            if after > more * before + slack:
                lines.append(f"{name}: from {before:.0f} to {after:.0f} {what}")
    return lines


def grown_in(world):
    """Under the steady load at the end, and over the rounds."""
    return grown(world["steady"], 3, MORE, MORE_KIB, MORE_FILES) + grown(
        world["memory"], 2, BETWEEN_LIVES, BETWEEN_LIVES_KIB, BETWEEN_LIVES_FILES)


def slow_in(world, daemons):
    """The rounds whose load was less than promised, and the faults after which work did not go on as promised: jobs whose daemon died,
    stood still or was told to go, where all of them stood still from when they were woken; and submissions whose broker, one of three, died."""
    lines = [f"round {number}: {rate:.0f} jobs/s" for number, rate in enumerate(world["rates"]) if rate < RATE_PROMISED]
    for entry in world["felt"]:
        what, name = entry["fault"].split(" ", 1)
        allowed_s = RECOVERY_S + (STOP_S if what == "stop" and set(name.split("+")) >= set(daemons) else 0)
        if set(name.split("+")) <= set(daemons) and entry["longest_ms"] > 1000 * allowed_s:
            lines.append(f"{entry['fault']}: a job took {entry['longest_ms']} ms")
        if what == "kill" and name.startswith("broker-") and "+" not in name and entry["ack_ms"] > ACK_MS_MAX + SLACK_MS:
            lines.append(f"{entry['fault']}: an answer took {entry['ack_ms']} ms")
    return lines + [f"{fault}: {count} submissions were not accepted" for fault, count in refused_without_need(world["felt"]).items()]


def new_world(name):
    return {"world": name, "rounds": 0, **dict.fromkeys(SUMS, 0), "found": {}, "not_judged": [], "rates": [], "done": {}, "felt": [],
            "memory": [], "steady": [], "grown": [], "slow": [], "unbalanced": [], "seconds": 0}


def add(world, verdict):
    for key in SUMS:
        world[key] += verdict[key]
    for kind, count in verdict["counts"].items():
        if count:
            world["found"][kind] = world["found"].get(kind, 0) + count
    world["not_judged"] += [what for what in verdict["not_judged"] if what not in world["not_judged"]]


def add_faults(world, chaos, calm):
    for fault in chaos.faults:
        world["done"][told(fault)] = world["done"].get(told(fault), 0) + 1
    if calm:
        world["felt"] += chaos.felt()


def by_fault(world):
    """Of each kind of fault: how often it was done, how often by itself, and for these how many submissions were not accepted, how long it
    was felt, how long the longest job and the longest answer to a submission took (p50 and p99 in ms)."""
    rows = []
    for name, times in sorted(world["done"].items()):
        entries = [entry for entry in world["felt"] if entry["fault"] == name]
        rows.append({"fault": name, "times": times, "alone": len(entries), "refused": sum(entry["refused"] for entry in entries), **{
            f"{key}_p{share}": percentile([entry[key + "_ms"] for entry in entries], share / 100)
            for key in ("felt", "longest", "ack") for share in (50, 99)}})
    return rows


def is_good(report):
    def is_clean(world):
        wrong = any(world[what] for what in ("found", "grown", "slow", "unbalanced", "not_judged"))
        return not wrong and world["jobs"] > 0
    return report["error"] is None and len(report["worlds"]) > 0 and all(is_clean(world) for world in report["worlds"])


def world_text(world):
    lines = [f"{world['world']}: {world['rounds']} rounds, {world['seconds']} s, 2 workers; submitted a second in each round: "
             f"{', '.join(f'{rate:.0f}' for rate in world['rates'])}",
             f"jobs {world['jobs']}, faults {world['faults']}, reads {world['reads']}, calls {world['calls']}",
             f"found: {world['found'] or 'nothing'}; not judged: {', '.join(world['not_judged']) or 'nothing'}; "
             f"repeated calls {world['repeats']} of at most {world['repeats_bound']}",
             f"slower than promised, or refused without need: {'; '.join(world['slow']) or 'nothing'}",
             f"the books of all rounds, and once more with a view made anew: {'; '.join(world['unbalanced']) or 'balanced'}", "",
             f"{'fault':54} {'times':>5} {'alone':>5} {'refused':>7} {'felt for, s':>15} {'longest job, s':>15} {'longest answer':>15}",
             f"{'':54} {'':5} {'':5} {'':7} {'p50':>7} {'p99':>7} {'p50':>7} {'p99':>7} {'p50':>7} {'p99':>7}"]
    for row in world["by_fault"]:
        figures = [row[f"{key}_p{share}"] / 1000 for key in ("felt", "longest", "ack") for share in (50, 99)]
        lines.append(f"{row['fault']:54} {row['times']:5} {row['alone']:5} {row['refused'] if row['alone'] else '-':>7} " + " ".join(
            f"{figure:7.2f}" if row["alone"] else f"{'-':>7}" for figure in figures))
    compared = "" if len(world["memory"]) // 2 >= COMPARED_MIN else " (too few rounds to compare them: the steady load alone)"
    lines += ["", f"grown: {'; '.join(world['grown']) or 'none'}{compared}", "", f"{'daemon':12} PSS KiB (open files), after each round"]
    for title, looks in ((None, world["memory"]), (f"the same under a steady load at the end, every {10 * LOOK_EVERY_S} s", world["steady"][::10])):
        lines += ["", f"{'daemon':12} {title}"] if title else []
        lines += [f"{name:12} " + " ".join(f"{look[name][0]}({look[name][1]})" for look in looks) for name in (looks[0] if looks else [])]
    if world.get("refold_records"):
        lines += ["", f"refold: {world['refold_records']} records at {world['refold_records_per_s']:.0f}/s"]
    return "\n".join(lines)


def text_of(report):
    head = f"seed {report['seed']}, {report['seconds']} s, jobs {sum(world['jobs'] for world in report['worlds'])}"
    return "\n\n".join([head, *([f"broken off: {report['error']}"] if report["error"] else []), *map(world_text, report["worlds"])]) + "\n"
