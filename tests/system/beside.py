"""Something that is done again and again beside a test, on a thread of its own.

SPDX-License-Identifier: Apache-2.0
"""
import threading


class Beside:
    """Use as a context. look() is called every EVERY_S until the context is left, or until it gives False; then judge(), unless
    something else went wrong in the context."""

    EVERY_S = 0.05

    def __init__(self):
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def look(self):
        raise NotImplementedError

    def judge(self):
        """Asserts what must have been seen."""

    def _run(self):
        while not self.over.wait(self.EVERY_S) and self.look() is not False:
            pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self.over.set()
        self.thread.join()
        if kind is None:
            self.judge()
