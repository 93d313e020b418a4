"""A whole stack with the thread sanitizer: calls, rules, waits, a load, and the end. A data race in any daemon is a
report in its log, and Stack.finish fails on it.

SPDX-License-Identifier: Apache-2.0
"""
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from load import Load, assert_all_succeed

pytestmark = pytest.mark.alone

CLIENTS = 4
LOAD_S = 3
PROBE = {"n": 1, "simulate": "slow=20"}
SENTENCE = {"subject": "a thread", "seed": 3}


@pytest.fixture
def threads_stack(request, fresh_stack):
    programs = request.config.getoption("--tsan-bin")
    assert os.access(os.path.join(programs, "errand"), os.X_OK), "make MODE=tsan programs"
    return fresh_stack("embedded", programs=programs, workers=2)


def test_no_two_threads_race_under_load_and_at_the_end(threads_stack, tmp_path):
    stack = threads_stack
    calls = Load(stack, "probe.call", PROBE, tmp_path / "calls", rate=60, duration_s=LOAD_S)
    rules = Load(stack, "sentence.make", SENTENCE, tmp_path / "rules", rate=60, duration_s=LOAD_S)

    def client(i):
        for n in range(5):
            job = stack.submit("probe.call", {"n": n, "simulate": "fail=1"}, idempotency_key=f"threads-{i}-{n}", wait_s=20)
            assert job["state"] == "succeeded" and job["attempt"] == 2
            assert stack.submit("sentence.make", {"subject": "a client", "seed": n}, wait_s=20)["state"] == "succeeded"
        return stack.request("GET", "/metrics").status_code
    with ThreadPoolExecutor(max_workers=CLIENTS) as pool:
        assert list(pool.map(client, range(CLIENTS))) == [200] * CLIENTS
    ids = calls.finish() + rules.finish()
    assert_all_succeed(stack, ids)
    # The end comes while calls are under way: they are waited for, or begun again by nobody.
    for n in range(20):
        stack.submit("probe.call", {"n": n, "simulate": "slow=500"})
