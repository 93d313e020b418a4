#!/usr/bin/env python3
"""Every numbered sentence of docs/PROTOCOL.md is named by a test ("# proves P-17"), and no test names one that is not there.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
NUMBER = r"P-\d+[a-z]?"


def main():
    protocol = (ROOT / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")
    sentences = set(re.findall(rf"^- \*\*({NUMBER})\*\*", protocol, re.MULTILINE))
    named = set()
    for pattern in ("system/*.py", "unit/**/*.c"):
        for path in (ROOT / "tests").glob(pattern):
            for line in re.findall(r"proves? (P-.*)", path.read_text(encoding="utf-8")):
                named.update(re.findall(NUMBER, line))
    faults = [f"docs/PROTOCOL.md: {name} is named by no test" for name in sorted(sentences - named)]
    faults += [f"a test names {name}, which docs/PROTOCOL.md does not have" for name in sorted(named - sentences)]
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults or not sentences else 0


if __name__ == "__main__":
    sys.exit(main())
