"""Anything is killed, stopped, emptied or comes back old, under load, and the checker finds nothing wrong: nothing lost,
nothing doubled, no answer that went back, no call repeated beyond the bound. `make chaos` does the same for half an hour.

SPDX-License-Identifier: Apache-2.0
"""
import os

import pytest

from chaos import STOP_S, Chaos, assert_clean
from conftest import ROOT

RELEASE = os.path.join(ROOT, "build", "release", "bin")
RATE = 60  # jobs/s that two cores carry beside a broker that starts again
SEED = 20
RECOVERY_S = 10  # so long, at most, takes a job whose daemon dies


@pytest.fixture
def chaos_stack(fresh_stack):
    """With programs as they are used: sanitized ones are late for their sessions while a broker starts beside them, and every
    rebalance of that is a fault that nobody wrote down."""
    return fresh_stack("apache", workers=2, programs=RELEASE)


# proves P-2, P-21, P-35, P-53
def test_daemons_are_killed_and_stopped_one_by_one_and_all_of_a_kind(chaos_stack, tmp_path):
    chaos = Chaos(chaos_stack, tmp_path, RATE, duration_s=60, seed=SEED)
    with chaos:
        for kill in (["worker-1"], ["recorder-1", "delayer-1"], ["worker-1", "worker-2"], ["gateway-1"],
                     ["worker-1", "worker-2", "recorder-1", "delayer-1", "gateway-1"]):
            chaos.kill(*kill)
            chaos.let_run(4, 5)
        for stopped in ("worker-2", "recorder-1"):
            chaos.stop(stopped, for_s=STOP_S)
            chaos.let_run(4, 5)
    assert_clean(chaos.verdict())
    for felt in chaos.felt():
        assert felt["longest_ms"] <= RECOVERY_S * 1000, chaos.felt()


# proves P-9, P-52, P-53
def test_redis_is_emptied_killed_set_back_and_silent(chaos_stack, tmp_path):
    chaos = Chaos(chaos_stack, tmp_path, RATE, duration_s=45, seed=SEED + 1)
    with chaos:
        chaos.flushall()
        chaos.let_run(2, 4)
        dump = chaos.copy_redis()
        chaos.let_run(2, 4)
        chaos.lose_redis()
        chaos.let_run(2, 4)
        chaos.lose_redis(dump)
        chaos.let_run(2, 4)
        chaos.stop("redis", for_s=10)
    chaos.flushall()  # and with no load at all
    assert_clean(chaos.verdict())


# proves P-2, P-35, P-53
def test_the_power_is_cut_and_everything_is_as_it_was(chaos_stack, tmp_path):
    """Broker, Redis and supervisor are killed with the rest; their disks stay."""
    chaos = Chaos(chaos_stack, tmp_path, RATE, duration_s=35, seed=SEED + 2)
    with chaos:
        chaos.let_run(2, 4)
        chaos.cut_power()
        chaos.let_run(2, 4)
    assert_clean(chaos.verdict())
