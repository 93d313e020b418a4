#!/usr/bin/env python3
"""A picture of a run: each row's figure against its target, as SVG, written by hand. `make bench` ends with it; alone it
draws what a run printed:

    tests/bench/plot.py build/bench.jsonl build/bench.svg

SPDX-License-Identifier: Apache-2.0
"""
import html
import json
import math
import re
import sys

LINE = 26  # pixels of a row
TOP, BOTTOM = 66, 40
NAMES, BARS, FIGURES = 150, 470, 330
SPAN = 8  # the ends of the scale: eight times better, eight times worse than the target
GOOD, BAD, GREY = "#2f7d4f", "#b3432b", "#8a8a8a"
STYLE = """text { font: 13px system-ui, sans-serif; fill: #222 } .small { font-size: 11px; fill: #666 }
.head { font-size: 15px; font-weight: 600 }"""


def judged(told):
    """(figure, limit, times of the limit: 1 is just there, less is better) of a row with a target, or None."""
    found = re.match(r"(\w+) (<=|>=) ([\d.]+)", told["target"] or "")
    if not found or "error" in told:
        return None
    figure, limit = told[found[1]], float(found[3])
    if found[2] == "<=":
        return figure, limit, figure / limit
    return figure, limit, limit / figure if figure > 0 else math.inf


def place(times):
    """Where on the scale, which is logarithmic."""
    bounded = min(max(times, 1 / SPAN), SPAN)
    return NAMES + BARS / 2 + BARS / 2 * math.log(bounded) / math.log(SPAN)


def text(x, y, words, kind="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{html.escape(words)}</text>'


def scale(height):
    parts = []
    for times in (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8):
        x, words = place(times), "target" if times == 1 else f"{times:g}x" if times > 1 else f"{1 / times:g}x better"
        colour = "#222" if times == 1 else "#ddd"
        parts.append(f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{height - BOTTOM + 4}" stroke="{colour}"/>')
        parts.append(text(x, TOP - 12, words, "small", "middle"))
    return parts


def bar(told, figure, limit, times, y):
    middle, end = place(1), place(times)
    colour = GOOD if times <= 1 else BAD
    target = told["target"]
    return [text(NAMES - 10, y + 13, told["row"], anchor="end"),
            f'<rect x="{min(middle, end):.1f}" y="{y + 2}" width="{max(abs(end - middle), 1.5):.1f}" height="{LINE - 12}" '
            f'fill="{colour}"><title>{html.escape(told.get("what") or "")}</title></rect>',
            text(NAMES + BARS + 14, y + 13, f"{figure:.4g}", anchor="start"),
            text(NAMES + BARS + 80, y + 13, f"wanted {target}", "small")]


def drawn(rows, title):
    shown = [(told, *judgement) for told in rows if (judgement := judged(told))]
    height, width = TOP + LINE * len(shown) + BOTTOM, NAMES + BARS + FIGURES
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
             f"<style>{STYLE}</style>", f'<rect width="{width}" height="{height}" fill="#fff"/>', text(20, 26, title, "head")]
    parts += scale(height)
    for index, each in enumerate(shown):
        parts += bar(*each, TOP + LINE * index)
    met = sum(times <= 1 for *_, times in shown)
    parts.append(text(20, height - 14, f"{met} of {len(shown)} targets met; times of the target on a logarithmic scale, left is better",
                      "small"))
    return "\n".join([*parts, "</svg>", ""])


def draw(rows, path, title="Errand against its targets"):
    with open(path, "w", encoding="utf-8") as file:
        file.write(drawn(rows, title))


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        draw([json.loads(line) for line in file if line.strip()], sys.argv[2])


if __name__ == "__main__":
    main()
