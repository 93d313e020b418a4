"""Broken requests by the thousand against a live gateway: it neither falls nor answers anything but documented HTTP, and
whoever behaves is served all the while. --raw-requests N (`make fuzz`: 100,000), --raw-seed N repeats a run.

SPDX-License-Identifier: Apache-2.0
"""
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import raw
from test_walls import SHAPES
from waiting import wait_until

AT_ONCE = 64  # most of the time is for connections that wait for the server's look at them
LIMIT_S = 1800


@pytest.mark.timeout(LIMIT_S)
def test_broken_requests_harm_nobody(request, embedded_stack):
    stack = embedded_stack
    count = request.config.getoption("--raw-requests")
    seed = request.config.getoption("--raw-seed") or random.randrange(1, 2**31)
    print(f"seed {seed}")
    host, port = stack.url.removeprefix("http://").rsplit(":", 1)
    pid = stack.pid("gateway-1")
    over = threading.Event()

    def behave():
        served = 0
        while not over.is_set():
            assert stack.submit("sentence.make", {"subject": "a client", "seed": served}, wait_s=20)["state"] == "succeeded"
            served += 1
        return served
    shapes = [shape for _, shape, _ in SHAPES]
    with ThreadPoolExecutor(AT_ONCE + 1) as pool:
        client = pool.submit(behave)
        try:
            parts = [pool.submit(raw.run, (host, int(port)), shapes, seed + i, -(-count // AT_ONCE)) for i in range(AT_ONCE)]
            found = [one for part in parts for one in part.result()]
        finally:
            over.set()
        assert client.result() > 0
    assert not found, f"{len(found)} of {count}, seed {seed}; the first: {found[0]}"
    assert stack.pid("gateway-1") == pid, "the gateway has not been started again"
    wait_until(lambda: int(stack.metric("gateway-1", "errand_http_parked")) == 0, 60, "nothing is left waiting")
