"""Waiting for a condition with a deadline: the one place in the tests that lets time pass.

SPDX-License-Identifier: Apache-2.0
"""
import time

LOOK_EVERY_S = 0.02


def wait_until(condition, deadline_s, what):
    """Calls condition() until it gives something true, and returns that; after deadline_s fails saying `what`."""
    end = time.monotonic() + deadline_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        time.sleep(LOOK_EVERY_S)
