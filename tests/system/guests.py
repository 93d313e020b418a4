"""Daemons that are nobody's.

SPDX-License-Identifier: Apache-2.0
"""
import itertools
import os
import pathlib
import subprocess


class Guests:
    """Daemons beside those of the stack, each a twin of `of` with a name of its own. Use as a context: all are gone after it."""

    def __init__(self, stack, of="worker-1"):
        self.stack = stack
        self.numbers = itertools.count(1)
        self.here = []
        self.all = []
        self.kind = of.rpartition("-")[0]
        pid = stack.pid(of)
        command, environment = (pathlib.Path(f"/proc/{pid}/{name}").read_text().rstrip("\0").split("\0") for name in ("cmdline", "environ"))
        self.command, self.environment = command, dict(word.split("=", 1) for word in environment)
        self.folder = os.readlink(f"/proc/{pid}/cwd")

    def come(self, **environment):
        name = f"guest-{self.kind}-{next(self.numbers)}"
        own = {**environment, "ERRAND_PROCESS": name, "ERRAND_LOG_PATH": os.path.join(self.stack.folder, "log", f"{name}.log")}
        self.here.append((name, subprocess.Popen(self.command, cwd=self.folder, env={**self.environment, **own},
                                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)))
        self.all.append(self.here[-1][1])
        return self.here[-1]

    def all_gone(self):
        return all(process.poll() is not None for process in self.all)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        for process in self.all:
            process.kill()
            process.wait()
