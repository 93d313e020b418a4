"""The README is true: its shell blocks run one after the other in one shell, as a reader runs them, and print what it
says; and no link in the documents leads nowhere.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import shutil
import subprocess
import tempfile

import pytest

from conftest import ROOT
from stack import SANITIZER, SANITIZER_OPTIONS, Stack

LINES_MAX = 150
LIMIT_S = 240
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
BETWEEN = "---- next block ----"
# What `make run` does once all is built, and what this run is a part of.
INSTEAD = {
    "make run": os.path.join(ROOT, "infra", "deploy", "first-run.sh") + " build/release/bin",
    "make test": ":",
}
# For each block in its order: words that it has, and what it must print.
BLOCKS = [
    ("make run", [r"^state +succeeded$", r"^result +\{.*quote"]),
    ("make test", []),
    ("errand up", []),
    ("order.price", [r"^HTTP/1.1 202 ", r"^Location: /v1/jobs/", r'"type":"order.price"']),
    ("quote.fetch", [r'"state":"succeeded"', r'"author":"Oscar Wilde"']),
    ("idempotency-key", [r"^Idempotency-Replayed: true"]),
    ("qoute.fetch", [r'"code":"unknown_type"', r"did you mean .*quote\.fetch", r'"field":"type"']),
    ("errand types", [r"^sentence\.make +rules ", r"^state +succeeded$", r"Europe/Berlin", r"^state +cancelled$"]),
    ("fail=2", [r"^state +succeeded$", r"^attempt +3$", r'"simulate": "fail=2"', r"attempt 2 failed"]),
    ("errand load", [r"^gateway-1 +yes ", r"^worker-1 +yes ", r"^accepted +\d+ ", r"^latency ms +p50 "]),
]


def readme():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        return file.read()


def runnable(block):
    for words, instead in INSTEAD.items():
        block = re.sub(rf"^{words}\b.*$", instead, block, flags=re.M)
    return block


def documents():
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name != "build" and not name.startswith(".")]
        yield from (os.path.join(folder, name) for name in names if name.endswith(".md"))


@pytest.fixture
def reader(request, bin_folder):
    """A folder that looks built to a reader who stands in it; what runs there afterwards is ended and looked at."""
    folder = tempfile.mkdtemp(prefix="errand-test-")
    os.makedirs(os.path.join(folder, "build", "release"))
    os.symlink(os.path.abspath(bin_folder), os.path.join(folder, "build", "release", "bin"))
    yield folder
    Stack(bin_folder, os.path.join(folder, ".errand"), "embedded").finish()
    if not request.config.getoption("--keep"):
        shutil.rmtree(folder)


def test_its_commands_do_what_it_says(reader):
    blocks = BLOCK.findall(readme())
    assert [words for words, _ in BLOCKS if words not in "".join(blocks)] == [], "BLOCKS names what is gone"
    assert len(blocks) == len(BLOCKS), "every block of the README has a line in BLOCKS"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ERRAND_")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"\nprintf '\\n%s\\n' '{BETWEEN}'\n".join(map(runnable, blocks))],
        cwd=reader, env={**clean, **SANITIZER_OPTIONS}, text=True, capture_output=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    assert not SANITIZER.search(done.stderr), done.stderr
    for block, (words, patterns), told in zip(blocks, BLOCKS, done.stdout.split(BETWEEN)):
        assert words in block, f"the README's blocks are in another order: {words!r} is not in\n{block}"
        for pattern in patterns:
            assert re.search(pattern, told, re.M), f"no {pattern!r} in what this printed:\n{block}\n{told}"


def test_it_is_short_enough_to_be_read():
    assert readme().count("\n") <= LINES_MAX


def test_every_link_in_the_documents_leads_somewhere():
    broken = []
    for path in documents():
        with open(path, encoding="utf-8") as file:
            text = re.sub(r"```.*?```", "", file.read(), flags=re.S)
        broken += [f"{os.path.relpath(path, ROOT)}: {target}" for target in LINK.findall(text)
                   if not os.path.exists(os.path.join(os.path.dirname(path), target))]
    assert not broken, broken
