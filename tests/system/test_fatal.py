"""A broker dies and comes back, and does not know any more what a producer has sent it last. That is fatal to the producer's
client (librdkafka 2.0.2), on a real log and under load: it is made anew, and nothing is lost.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import os

import pytest

from chaos import RATE, Chaos, assert_clean
from kafka_log import forget_last, most_sent
from test_metrics import value
from waiting import wait_until

pytestmark = pytest.mark.loaded

LOAD_S_MAX = 300
FORGOTTEN = 40  # more batches than a client has under way, so that the next one is out of order
# Longer than a broker takes to start on any machine: what is tried no longer is numbered anew, and then nothing is fatal.
PRODUCE_TIMEOUT = "1m"
HEALED_S = 30
TRIES = 4  # a client may have numbered its batches anew for a reason of its own
SEED = 50
SENDERS = {"commands.probe": ["gateway-1"], "replies.probe": ["worker-1", "worker-2"]}  # one of these is made anew
DAEMONS = ["gateway-1", "worker-1", "worker-2"]


def rebuilds(stack, daemons):
    return sum(value(stack, daemon, "errand_kafka_producer_rebuilds_total") for daemon in daemons)


def log_of(stack, topic):
    return os.path.join(stack.folder, "kafka", "data", f"errand.{topic}-0")


def forget(chaos, topics):
    """The broker dies, and comes back without a memory of who has sent these topics their last batches. Returns those of
    them whose senders' clients all live on."""
    stack = chaos.stack
    for topic in topics:
        wait_until(lambda topic=topic: most_sent(log_of(stack, topic)) > 2 * FORGOTTEN, HEALED_S, f"{topic} has batches to lose")
    with chaos.away("broker"):
        for topic in topics:
            assert forget_last(log_of(stack, topic), FORGOTTEN) > 0

    def alive():
        return [topic for topic in topics if not rebuilds(stack, SENDERS[topic])]
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not alive(), HEALED_S, "a client of each topic is made anew")
    return alive()


# proves P-2, P-53
def test_a_broker_that_forgot_its_producers_is_fatal_to_their_clients_and_to_nothing_else(fresh_stack, tmp_path):
    stack = fresh_stack("apache", workers=2, config={"kafka": {"produce_timeout": PRODUCE_TIMEOUT}})
    pids = {name: stack.pid(name) for name in DAEMONS}
    chaos = Chaos(stack, tmp_path, RATE, duration_s=LOAD_S_MAX, seed=SEED)
    with chaos:
        assert rebuilds(stack, DAEMONS) == 0
        alive = list(SENDERS)
        for _ in range(TRIES):
            alive = alive and forget(chaos, alive)
        assert not alive, f"what sends to {alive} is not made anew"
        wait_until(lambda: chaos.ask().status_code == 202, HEALED_S, "submissions are accepted again")
        with chaos.away("broker"):  # and once more, with its memory
            chaos.let_run(2)
        wait_until(lambda: chaos.ask().status_code == 202, HEALED_S, "submissions are accepted once more")
        chaos.end_loads()
    assert_clean(chaos.verdict())
    print(f"{chaos.rate():.0f} jobs/s")
    assert pids == {name: stack.pid(name) for name in pids}
    with open(os.path.join(stack.folder, "log", "gateway-1.log"), encoding="utf-8") as file:
        assert "out of order" in file.read().lower(), "it was that error"
