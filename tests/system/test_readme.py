"""The README and the walk through drills are true: their shell blocks run one after the other in one shell, as a reader
runs them, and print what they say; and no link in the documents leads nowhere.

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

pytestmark = pytest.mark.alone

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
    ("fail=2", [r"^state +succeeded$", r"^attempt +3$", r'"simulate": "fail=2"', r"attempt 2 failed", r"^It succeeded .* at attempt 3\.$"]),
    ("errand load", [r"^gateway-1 +yes ", r"^worker-1 +yes ", r"^accepted +\d+ ", r"^latency ms +p50 ",
                     r"^errand\.worker\.rules +errand\.commands\.rules .* exact$"]),
]
# The same of docs/DRILLS.md.
WALK = [
    ("--broker apache", []),
    ("status=400", [r"^succeeded +700$", r"^exit code 9$", r"target_rejected"]),
    ("errand replay commands.default\n", [r"^jobs +1000$", r"^weather\.now +1000 +#{40}$", r"^takes +as fast as it goes$"]),
    ("after-the-outage --execute", [r"^same +700$", r"^differs +300$", r"^new_error +0$", r"^undecided +0$",
                                    r"^after-the-outage +stopped +errand\.commands\.default +1000$", r" differs +failed target_rejected: .* succeeded "]),
    ("'/city = Tokyo'", [r"^differs +20$", r"^same +0$"]),
    ("dead redrive", [r"^redriven +300$", r"balance"]),
    ("drill rm", []),
]


def document(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def readme():
    return document("README.md")


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


def run_as_a_reader(reader, path, expected):
    blocks = BLOCK.findall(document(path))
    assert [words for words, _ in expected if words not in "".join(blocks)] == [], "what is expected names what is gone"
    assert len(blocks) == len(expected), f"something is expected of every block of {path}"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ERRAND_")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"\nprintf '\\n%s\\n' '{BETWEEN}'\n".join(map(runnable, blocks))],
        cwd=reader, env={**clean, **SANITIZER_OPTIONS}, text=True, capture_output=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    assert not SANITIZER.search(done.stderr), done.stderr
    for block, (words, patterns), told in zip(blocks, expected, done.stdout.split(BETWEEN)):
        assert words in block, f"the blocks of {path} are in another order: {words!r} is not in\n{block}"
        for pattern in patterns:
            assert re.search(pattern, told, re.M), f"no {pattern!r} in what this printed:\n{block}\n{told}"


def test_the_readme_does_what_it_says(reader):
    run_as_a_reader(reader, "README.md", BLOCKS)


def test_the_walk_through_drills_does_what_it_says(reader):
    run_as_a_reader(reader, "docs/DRILLS.md", WALK)


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
