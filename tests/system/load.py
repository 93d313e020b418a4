"""Jobs that come in while a test breaks things, and what must have become of them.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import json
import os
import signal
import subprocess

from client import Client
from stack import SANITIZER, SANITIZER_OPTIONS
from waiting import wait_until


class Load:
    """`errand load` running beside the test; ids() are those accepted so far. `options` are more of its own.
    rate=None: those say how many clients there are, each with one job at a time."""

    def __init__(self, stack, job_type, payload, path, rate=100, duration_s=10, options=()):
        self.path = path
        self.duration_s = duration_s
        path.touch()
        self.process = subprocess.Popen(
            [os.path.join(stack.bin_folder, "errand"), "load", job_type, "--dir", stack.folder,
             *(["--rate", f"{rate}/s"] if rate else []), "--duration", f"{duration_s}s", "--ids", str(path),
             "-d", json.dumps(payload), "-o", "json", *options],
            env={**os.environ, **SANITIZER_OPTIONS}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ids(self):
        lines = self.path.read_text().split("\n")[:-1]  # the last one may be half written
        return [json.loads(line)["id"] for line in lines]

    def wait_accepted(self, count):
        wait_until(lambda: len(self.ids()) >= count, 30, f"{count} jobs are accepted")

    def end(self):
        """It has lasted long enough: nothing more is submitted."""
        self.process.send_signal(signal.SIGINT)

    def finish(self):
        out, err = self.process.communicate(timeout=self.duration_s + 60)
        assert self.process.returncode >= 0 and not SANITIZER.search(err), f"{self.process.returncode}\n{err}"
        assert self.ids(), f"nothing was accepted\n{out}\n{err}"
        return self.ids()


def submit_many(stack, tmp_path, payload, count):
    ids = tmp_path / "ids"
    stack.errand("load", "probe.call", "--connections", 32, "--count", count, "--ids", ids, "-d", json.dumps(payload),
                 limit_s=120)
    return [json.loads(line)["id"] for line in ids.read_text().splitlines()]


def states(stack, ids):
    """{id: state or HTTP status} in one look at each, on a bare connection: there may be thousands."""
    seen = {}
    with contextlib.closing(Client(stack, "states")) as client:
        for job_id in ids:
            status, _, content = client.ask("GET", f"/v1/jobs/{job_id}")
            seen[job_id] = json.loads(content)["state"] if status == 200 else status
    return seen


def assert_all_succeed(stack, ids, deadline_s=60):
    left = set(ids)

    def done():
        seen = states(stack, left)
        wrong = {i: s for i, s in seen.items() if s not in ("succeeded", "queued", "running", "retrying", "held", 503)}
        assert not wrong, f"accepted, and then: {wrong}"
        left.difference_update(i for i, s in seen.items() if s == "succeeded")
        return not left
    wait_until(done, deadline_s, f"all {len(ids)} accepted jobs succeed; left {sorted(left)[:5]}")
