"""Under load, every command is in the log twice, and again when its job has gone on to a later turn; and the groups that read
commands are set back to the start: nobody is called for that, and what was forgotten does not come back.

SPDX-License-Identifier: Apache-2.0
"""
import collections
import json

import confluent_kafka
import pytest

from beside import Beside
from chaos import RATE, RECOVERY_S, Chaos, assert_clean, mark
from load import states, submit_many
from records import ends
from stack import NAMESPACE
from test_outlived import BRIEF, begin_again, here
from waiting import wait_until

pytestmark = pytest.mark.loaded

SEED = 36
LATER = 600  # so many records later a command comes for the third time: its retry has been begun then
FORGOTTEN = 300


class Echo(Beside):
    """A client of Kafka's that sends each command once more as soon as it is there, and once more some seconds later."""

    def __init__(self, stack):
        super().__init__()
        self.copies, self.seen, self.later = 0, set(), collections.deque()
        self.producer = confluent_kafka.Producer({"bootstrap.servers": stack.brokers(), "linger.ms": 5})
        self.reader = confluent_kafka.Consumer({"bootstrap.servers": stack.brokers(), "group.id": "an-echo", "enable.auto.commit": False})
        topics = [name.removeprefix(f"{NAMESPACE}.") for name in self.reader.list_topics(timeout=20).topics if name.startswith(f"{NAMESPACE}.commands.")]
        self.reader.assign([confluent_kafka.TopicPartition(f"{NAMESPACE}.{topic}", number, end)
                            for topic in topics for number, end in ends(stack, topic).items()])

    def send(self, record):
        self.copies += 1
        self.producer.produce(record.topic(), value=record.value(), key=record.key(), partition=record.partition(), headers=record.headers())

    def look(self):
        for record in self.reader.consume(200, 0.05):
            if not record.error() and record.value() not in self.seen:
                self.seen.add(record.value())
                self.send(record)
                self.later.append(record)
        while len(self.later) > LATER:
            self.send(self.later.popleft())
        self.producer.poll(0)

    def __exit__(self, kind, error, trace):
        super().__exit__(kind, error, trace)
        self.reader.close()
        assert self.producer.flush(30) == 0


def times(calls):
    """How many calls each attempt of each job has made."""
    return collections.Counter((call["idempotency_key"], call["attempt"]) for call in calls)


# proves P-34, P-36, P-50
def test_commands_come_twice_and_from_the_start_under_load(fresh_stack, swift_bin, tmp_path):
    stack = fresh_stack("apache", programs=swift_bin, config={"types": {"probe.brief": {**BRIEF, "max_age": "2s", "retention": "2s"}}})
    start = here(stack)
    stack.errand("load", "probe.brief", "--connections", 32, "--count", FORGOTTEN, "--ids", tmp_path / "brief", limit_s=60)
    brief = [json.loads(line)["id"] for line in (tmp_path / "brief").read_text().splitlines()]
    submit_many(stack, tmp_path, {"n": 1}, FORGOTTEN)
    wait_until(lambda: set(states(stack, brief).values()) <= {404, 410}, 60, "the first ones are forgotten")
    before = times(stack.calls(path="/echo"))
    chaos = Chaos(stack, tmp_path, RATE, duration_s=120, seed=SEED, since=mark(stack, tmp_path))
    with Echo(stack) as echo, chaos:
        chaos.let_run(8)
        with chaos.fault("set back", "groups"):
            begin_again(stack, start, under_load=True)
        chaos.let_recover(RECOVERY_S)
        chaos.let_run(4)
        chaos.end_loads()
    verdict = chaos.verdict()
    assert_clean(verdict)
    assert echo.copies > 2 * verdict["jobs"] * 0.8
    now = times(stack.calls(path="/echo"))
    assert {attempt: now[attempt] for attempt in before} == before, "what had ended before is not called again"
    assert set(states(stack, brief).values()) <= {404, 410}
