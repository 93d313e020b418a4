"""Fixtures: stacks of real parts. A stack is dear (Apache Kafka takes seconds), so most tests share one and tell their
jobs apart by what they submit; a test that breaks things, or needs a configuration, asks fresh_stack for its own.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import os
import re
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from configuration import LOCAL, TESTS, load, write  # noqa: E402 (the path comes first)
from stack import Stack  # noqa: E402

RUNNING = []  # stacks
SHARED = {"stack", "embedded_stack", "any_stack", "swift_stack"}  # fixtures: stacks of the session
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def pytest_addoption(parser):
    parser.addoption("--bin", default=os.path.join(ROOT, "build", "release", "bin"), help="the programs under test")
    parser.addoption("--tsan-bin", help="programs with the thread sanitizer; without them test_threads.py is not run")
    parser.addoption("--raw-requests", type=int, default=2000, help="broken requests to send (test_raw.py)")
    parser.addoption("--raw-seed", type=int, default=0, help="0: another one each time")
    parser.addoption("--long", action="store_true", help="storm, delays and rolling restarts at full length")
    parser.addoption("--keep", action="store_true", help="keep the stacks' folders")


def pytest_runtest_logreport(report):
    """A run takes half an hour: what failed can be read at once, in build/system-failures.txt, and what the stacks that ran wrote
    until then in build/failed/."""
    if report.failed and not hasattr(report, "node"):  # who only hears of it from a process that runs tests has one
        kept = os.path.join(ROOT, "build", "failed", re.sub(r"\W+", "-", report.nodeid)[-100:])
        for number, stack in enumerate(stack for stack in RUNNING if os.path.isdir(os.path.join(stack.folder, "log"))):
            shutil.copytree(os.path.join(stack.folder, "log"), os.path.join(kept, str(number)), dirs_exist_ok=True)
        with open(os.path.join(ROOT, "build", "system-failures.txt"), "a", encoding="utf-8") as file:
            file.write(f"=== {report.nodeid}\n{report.longreprtext}\n{report.capstdout[-4000:]}\n")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items):
    """Tests that share a stack are run by one process, where several run tests: it would be started once for each of these."""
    for item in items:
        if not SHARED.isdisjoint(item.fixturenames):
            item.add_marker(pytest.mark.xdist_group("shared"))
        elif "module_stack" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def pytest_ignore_collect(collection_path, config):
    return True if collection_path.name == "test_threads.py" and not config.getoption("--tsan-bin") else None


@pytest.fixture(scope="session")
def bin_folder(request):
    return request.config.getoption("--bin")


@pytest.fixture(scope="session")
def swift_bin(bin_folder):
    """The programs under test, but those that are used in place of sanitized ones: two cores do not carry 300 jobs/s through these."""
    sanitized = os.path.abspath(bin_folder) == os.path.join(ROOT, "build", "asan", "bin")
    return os.path.join(ROOT, "build", "release", "bin") if sanitized else bin_folder


@pytest.fixture(scope="session")
def swift_stack(session_stack, swift_bin):
    """The stack of two such workers that tests under much load share; each judges what came since its own begin."""
    return session_stack("apache", workers=2, programs=swift_bin)


@pytest.fixture(scope="session")
def long_run(request):
    return request.config.getoption("--long")


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
        write(path, local_config, load(TESTS), config or {})
        stack = Stack(programs or bin_folder, os.path.join(folder, "stack"), broker, config=path, **options)

        RUNNING.append(stack)

        def finish():
            RUNNING.remove(stack)
            stack.finish()
            if not request.config.getoption("--keep"):
                shutil.rmtree(folder)
        try:
            return stack.up(), finish
        except BaseException:
            finish()
            raise
    return make


def _making(make_stack):
    with contextlib.ExitStack() as ends:
        def make(broker="embedded", **options):
            stack, finish = make_stack(broker, **options)
            ends.callback(finish)
            return stack
        yield make


@pytest.fixture(scope="session")
def session_stack(make_stack):
    """session_stack(broker="embedded", config={...}, workers=1): a stack that ends with the session."""
    yield from _making(make_stack)


@pytest.fixture(scope="module")
def module_stack(make_stack):
    """The same, of a stack that ends with the module."""
    yield from _making(make_stack)


@pytest.fixture
def fresh_stack(make_stack):
    """The same, of a stack of the test's own, which it may break."""
    yield from _making(make_stack)


@pytest.fixture(scope="session")
def stack(session_stack):
    """The stack on Apache Kafka that tests share: whoever uses it leaves it whole."""
    return session_stack("apache")


@pytest.fixture(scope="session")
def embedded_stack(session_stack):
    """The stack on the embedded broker that tests share."""
    return session_stack("embedded")


@pytest.fixture(params=["apache", "embedded"])
def any_stack(request):
    """Both of them, one after the other."""
    return request.getfixturevalue("stack" if request.param == "apache" else "embedded_stack")


