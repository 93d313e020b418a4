#!/usr/bin/env python3
"""Where the time of one process goes while a stack is busy, as a flame graph: `make bench-flame`.

Starts a stack on Apache Kafka, loads it with closed loops, samples one process with perf, and draws what it was seen in: each
box a function, as wide as its share of the samples, on top of the one that called it. A box tells its name and share where
the pointer rests; nothing in the picture needs a script. What is narrower than two pixels is left out.
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import html
import os
import re
import subprocess
import tempfile
import threading

from measure import CONNECTIONS, ROOT, Bench, allow_files, say, stack_with

WIDTH, ROW, NARROWEST = 1200, 17, 2.0  # pixels
CHARACTER = 6.6  # the width of one, about
SAMPLES_PER_S = 499
FRAME = re.compile(r"^\s+[0-9a-f]+ (.+?)(?:\+0x[0-9a-f]+)? \((.*)\)$")


class Box:
    """A function under a caller."""

    def __init__(self):
        self.count = 0
        self.inner = {}

    def add(self, names):
        box = self
        box.count += 1
        for name in names:
            box = box.inner.setdefault(name, Box())
            box.count += 1

    def depth(self, least):
        """Rows of boxes that are at least so many samples wide."""
        return 1 + max((box.depth(least) for box in self.inner.values() if box.count >= least), default=0)


def stacks(text):
    """Of each sample the functions, the outermost first: the thread's name, then what perf script tells, innermost first."""
    for sample in text.split("\n\n"):
        head, *lines = sample.strip("\n").split("\n")
        frames = [FRAME.match(line) for line in lines]
        names = [place_of(*frame.groups()) for frame in frames if frame]
        if names:
            yield [head.split()[0], *reversed(names)]


def place_of(name, module):
    return name if name != "[unknown]" else f"[{os.path.basename(module)}]"


def colour_of(name):
    """Warm, and the same for the same name: the eye finds a function again."""
    value = sum(name.encode()) * 2654435761 % 1000
    return f"hsl({value % 45 + 8},{65 + value % 20}%,{58 + value % 14}%)"


def draw_box(out, name, box, at, level, scale, total, height):
    width = box.count * scale
    if width < NARROWEST:
        return
    y = height - (level + 1) * ROW
    label = html.escape(name if len(name) * CHARACTER < width - 6 else name[:max(0, int((width - 6) / CHARACTER) - 1)] + "…")
    out.append(f'<g><title>{html.escape(name)} — {100 * box.count / total:.1f} %</title>'
               f'<rect x="{at:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 1}" rx="1" fill="{colour_of(name)}"/>'
               + (f'<text x="{at + 3:.1f}" y="{y + 12}">{label}</text>' if width > 30 else "") + "</g>")
    for inner in sorted(box.inner):
        draw_box(out, inner, box.inner[inner], at, level + 1, scale, total, height)
        at += box.inner[inner].count * scale


def draw(root, title, path):
    scale = WIDTH / root.count
    height = (root.depth(NARROWEST / scale) + 2) * ROW
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
           'font-family="monospace" font-size="11">', f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
           f'<text x="4" y="13" font-weight="bold">{html.escape(title)}</text>']
    draw_box(out, "all", root, 0, 0, scale, root.count, height)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join([*out, "</svg>"]) + "\n")


def sampled(pid, seconds):
    """What perf script tells of this process."""
    with tempfile.NamedTemporaryFile() as data:
        subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-F", str(SAMPLES_PER_S), "--call-graph", "dwarf,8192", "-o",
                        data.name, "-p", str(pid), "--", "sleep", str(seconds)], check=True)
        return subprocess.run(["perf", "script", "--no-inline", "-F", "comm,ip,sym,dso", "-i", data.name], check=True, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, errors="replace").stdout


def flame(bench, name, seconds):
    loading = threading.Thread(target=bench.load, args=("--connections", CONNECTIONS), kwargs={"seconds": seconds + 4})
    loading.start()
    try:
        told = sampled(bench.processes()[name], seconds)
    finally:
        loading.join()
    root = Box()
    for names in stacks(told):
        root.add(names)
    assert root.count > 0, "perf saw nothing"
    return root


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(ROOT, "build/release/bin"))
    parser.add_argument("--process", action="append", help="gateway-1, worker-1, recorder-1, redis (all of these unless given)")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--warm-up", type=int, default=20, metavar="SECONDS")
    parser.add_argument("--out", default=os.path.join(ROOT, "build"), metavar="FOLDER")
    options = parser.parse_args()
    options.raw, options.rounds, options.many = None, 1, 1_000_000
    allow_files()
    with stack_with(options.bin) as stack:
        bench = Bench(stack, options)
        say("warming up")
        bench.warm_up(options.warm_up)
        for name in options.process or ["gateway-1", "worker-1", "recorder-1", "redis"]:
            root = flame(bench, name, options.seconds)
            kind, path = name.partition("-")[0], os.path.join(options.out, f"flame-{name.partition('-')[0]}.svg")
            draw(root, f"{kind}: {root.count} samples, {CONNECTIONS} connections, {bench.seconds} s", path)
            say(f"{path}: {root.count} samples")


if __name__ == "__main__":
    main()
