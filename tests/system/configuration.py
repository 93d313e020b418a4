"""Configurations as data: the one that Errand brings along, the tests' additions, and laying one over the other.

SPDX-License-Identifier: Apache-2.0
"""
import os

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
LOCAL = os.path.join(os.path.dirname(os.path.dirname(HERE)), "infra", "deploy", "local.yaml")
TESTS = os.path.join(HERE, "tests.yaml")


def load(path):
    with open(path, encoding="utf-8") as file:
        return yaml.safe_load(file)


def merged(base, more):
    """`more` laid over `base`, maps by their keys."""
    if not (isinstance(base, dict) and isinstance(more, dict)):
        return more
    return {**base, **{name: merged(base.get(name), value) for name, value in more.items()}}


def write(path, *layers):
    """Each laid over those before it, as a file."""
    whole = {}
    for layer in layers:
        whole = merged(whole, layer)
    with open(path, "w", encoding="utf-8") as file:
        yaml.safe_dump(whole, file, sort_keys=False)
