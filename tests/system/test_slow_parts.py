"""More than can be done: a third party, Kafka and Redis that cannot keep up. No daemon takes more memory than its limits
allow, who must wait is told so, nothing is lost, and it passes by itself.

SPDX-License-Identifier: Apache-2.0
"""
import json

import pytest
import requests

from beside import Beside
from chaos import RATE, Chaos, assert_clean, submit_told
from load import Load
from memory import KIB, MIB, Watch
from slow_kafka import SlowKafka
from waiting import wait_until

pytestmark = pytest.mark.loaded

DAEMONS = ("gateway-1", "worker-1", "recorder-1", "delayer-1")
SEED = 31
USUAL, ONE_PERCENT = "slow=30", "slow=3000"
HEAVY = 110 * 1024  # bytes of a payload
HEAVY_SENDERS = 12
BACKLOG = 1000  # such payloads are more than a worker may hold, and more than it may take in all
NORMAL_S = 40  # so soon after its cause an overload is over, also on a machine that does other things
LOAD_S_MAX = 240
SLOW_S = 6
TOPICS = 7 * 2  # queues, each with commands and replies
PARTITIONS = 8
LIMITS = {"send_queue": 2 * MIB, "connections_max": 2000, "senders": HEAVY_SENDERS + 4, "connection_pool": 24 * KIB, "body_max": 132 * KIB,
          "held_max": 4 * MIB, "in_flight": 100, "response_max": 64 * KIB, "batch_max": 512 * KIB, "consumers": 1,
          "partitions": TOPICS * PARTITIONS}
CONFIG = {
    "kafka": {"send_queue": LIMITS["send_queue"]},
    "gateway": {"connections_max": LIMITS["connections_max"], "body_max": LIMITS["body_max"]},
    "worker": {"queues": ["crowd"], "held_max": LIMITS["held_max"]},
    "queues": {"crowd": {"partitions": 4, "backlog_max": BACKLOG}},
    "targets": {"crowd": {"base_url": "simulator:/quotes", "timeout": "60s", "in_flight": LIMITS["in_flight"],
                          "response_max": LIMITS["response_max"], "breaker": {"enabled": False}}},
    "types": {"crowd.call": {"queue": "crowd", "handler": "call", "retry": {"attempts": 3, "backoff": "100ms"},
                             "call": {"target": "crowd", "path": "/any", "result": "pointer", "pointer": "/author"}}},
}


class Prober(Beside):
    """One client that submits a small job now and then, and keeps to the rules of a history; use as a context."""

    def __init__(self, stack):
        super().__init__()
        self.stack = stack
        self.lines = []
        self.wrong = []
        self.refused = {}  # {(status, code): how often}
        self.session = requests.Session()

    def look(self):
        answer = submit_told(self.stack, self.lines, "crowd.call", {}, session=self.session)
        if answer.status_code == 202:
            return
        which = (answer.status_code, answer.json()["code"])
        self.refused[which] = self.refused.get(which, 0) + 1
        if answer.status_code not in (429, 503) or int(answer.headers.get("Retry-After", 0)) < 1:
            self.wrong.append((answer.status_code, dict(answer.headers), answer.text))

    def wait_refused(self, status, deadline_s):
        before = sum(count for (told, _), count in self.refused.items() if told == status)
        wait_until(lambda: sum(count for (told, _), count in list(self.refused.items()) if told == status) > before,
                   deadline_s, f"a submission is answered {status}")


def slow_down(stack, simulate):
    stack.simulator("PUT", "/control", json={"simulate": simulate, "match": "/quotes"})


def is_normal(stack, lines):
    """A job is done at once, everybody is ready."""
    answer = submit_told(stack, lines, "crowd.call", {}, {"Prefer": "wait=1"})
    return answer.status_code == 200 and answer.json()["state"] == "succeeded" and all(map(stack.is_ready, DAEMONS))


def wait_normal(stack, lines, after):
    wait_until(lambda: is_normal(stack, lines), NORMAL_S, f"all is as before {after}")


@pytest.fixture
def far_stack(make_stack, swift_bin):
    """Programs as they are used: a sanitizer's memory is not the daemon's."""
    stack, finish = make_stack("apache", config=CONFIG, programs=swift_bin)
    try:
        with SlowKafka(stack) as kafka:
            yield stack, kafka
            kafka.delay_s = 0
            finish()
    except BaseException:
        finish()
        raise


def crowd_in(stack, folder):
    """Heavy jobs, as fast as they are taken: the queue is nearly full of them."""
    return Load(stack, "crowd.call", {"text": "x" * HEAVY}, folder / "heavy", rate=None, duration_s=30, options=[
        "--connections", str(HEAVY_SENDERS), "--count", str(BACKLOG - 50), "--history", str(folder / "history-heavy")])


# proves P-18a, P-18b, P-53
def test_an_overload_is_told_is_bounded_and_passes(far_stack, tmp_path):
    stack, kafka = far_stack
    slow_down(stack, USUAL)
    kinds = [("crowd.call", {}, [], 1.0)]
    chaos = Chaos(stack, tmp_path, RATE, duration_s=LOAD_S_MAX, seed=SEED, kinds=kinds)
    with Watch(stack, DAEMONS) as memory, chaos, Prober(stack) as prober:
        wait_normal(stack, chaos.others, "the broker has moved")
        slow_down(stack, ONE_PERCENT)
        heavy = crowd_in(stack, tmp_path)
        prober.wait_refused(429, 30)
        heavy.finish()
        slow_down(stack, USUAL)
        wait_normal(stack, chaos.others, "the third party is as fast as ever")

        with chaos.fault("slow", "kafka"):
            kafka.delay_s = 0.5
            prober.wait_refused(503, 30)
            chaos.let_run(SLOW_S)
            kafka.delay_s = 0
        wait_normal(stack, chaos.others, "Kafka is as fast as ever")

        with chaos.fault("full", "redis"):
            redis = stack.redis()
            redis.config_set("maxmemory", redis.info("memory")["used_memory"])
            chaos.let_run(SLOW_S)
            assert redis.info("errorstats")["errorstat_OOM"]["count"] > 0, "it was full"
            redis.config_set("maxmemory", 0)
        wait_normal(stack, chaos.others, "Redis has room")
        chaos.end_loads()
    assert not prober.wrong, prober.wrong[:3]
    print(prober.refused, {name: most // MIB for name, most in memory.most.items()})
    memory.assert_bounded(LIMITS)
    chaos.others += prober.lines + [json.loads(line) for line in (tmp_path / "history-heavy").read_text().splitlines()]
    assert_clean(chaos.verdict())
    print(f"{chaos.rate():.0f} jobs/s")
