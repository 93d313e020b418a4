"""Fixtures: stacks of real parts. A stack is dear (Apache Kafka takes seconds), so most tests share one and tell their
jobs apart by what they submit; a test that breaks things, or needs a configuration, asks fresh_stack for its own.

SPDX-License-Identifier: Apache-2.0
"""
import os
import shutil
import sys
import tempfile

import pytest
import yaml

sys.path.insert(0, os.path.dirname(__file__))
from stack import Stack  # noqa: E402 (the path comes first)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOCAL = os.path.join(ROOT, "infra", "deploy", "local.yaml")
TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tests.yaml")


def pytest_addoption(parser):
    parser.addoption("--bin", default=os.path.join(ROOT, "build", "release", "bin"), help="the programs under test")
    parser.addoption("--tsan-bin", help="programs with the thread sanitizer; without them test_threads.py is not run")
    parser.addoption("--raw-requests", type=int, default=2000, help="broken requests to send (test_raw.py)")
    parser.addoption("--raw-seed", type=int, default=0, help="0: another one each time")
    parser.addoption("--keep", action="store_true", help="keep the stacks' folders")


def pytest_ignore_collect(collection_path, config):
    return True if collection_path.name == "test_threads.py" and not config.getoption("--tsan-bin") else None


def merged(base, more):
    """`more` laid over `base`, maps by their keys."""
    if not (isinstance(base, dict) and isinstance(more, dict)):
        return more
    return {**base, **{name: merged(base.get(name), value) for name, value in more.items()}}


def load(path):
    with open(path, encoding="utf-8") as file:
        return yaml.safe_load(file)


@pytest.fixture(scope="session")
def bin_folder(request):
    return request.config.getoption("--bin")


@pytest.fixture(scope="session")
def local_config():
    """The configuration that Errand brings along, as data."""
    return load(LOCAL)


@pytest.fixture(scope="session")
def make_stack(request, bin_folder, local_config):
    """make_stack(broker, config={...}) starts a stack with the local configuration, the tests' additions and
    `config` laid over each other; returns it with the function that ends it."""
    def make(broker, config=None, programs=None, **options):
        folder = tempfile.mkdtemp(prefix="errand-test-")
        path = os.path.join(folder, "given.yaml")
        with open(path, "w", encoding="utf-8") as file:
            yaml.safe_dump(merged(merged(local_config, load(TESTS)), config or {}), file, sort_keys=False)
        stack = Stack(programs or bin_folder, os.path.join(folder, "stack"), broker, config=path, **options)

        def finish():
            stack.finish()
            if not request.config.getoption("--keep"):
                shutil.rmtree(folder)
        try:
            return stack.up(), finish
        except BaseException:
            finish()
            raise
    return make


def _shared(make_stack, broker):
    stack, finish = make_stack(broker)
    yield stack
    finish()


@pytest.fixture(scope="session")
def stack(make_stack):
    """The stack on Apache Kafka that tests share: whoever uses it leaves it whole."""
    yield from _shared(make_stack, "apache")


@pytest.fixture(scope="session")
def embedded_stack(make_stack):
    """The stack on the embedded broker that tests share."""
    yield from _shared(make_stack, "embedded")


@pytest.fixture(params=["apache", "embedded"])
def any_stack(request):
    """Both of them, one after the other."""
    return request.getfixturevalue("stack" if request.param == "apache" else "embedded_stack")


@pytest.fixture
def fresh_stack(make_stack):
    """fresh_stack(broker="embedded", config={...}, workers=1): a stack of the test's own, which it may break."""
    finishers = []

    def fresh(broker="embedded", **options):
        stack, finish = make_stack(broker, **options)
        finishers.append(finish)
        return stack
    yield fresh
    for finish in finishers:
        finish()
