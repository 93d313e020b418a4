"""The Dockerfile as data: for the tests that look at it, and for tests/image.py, which walks through it.

Standard library only. SPDX-License-Identifier: Apache-2.0
"""
import os

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCKERFILE = os.path.join(ROOT, "infra", "deploy", "Dockerfile")


def instructions():
    """The instructions as (name, rest), lines joined and comments left out."""
    with open(DOCKERFILE, encoding="utf-8") as file:
        lines = "".join(line for line in file if not line.startswith("#")).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in lines.splitlines() if line.strip()]
