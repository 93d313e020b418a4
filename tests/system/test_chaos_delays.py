"""Thousands of jobs that are due later, one after the other, while workers and the delayer are killed: none begins early, and
nearly all begin on time, but for those that were due while a group was without one of its members, or stood in line behind
such ones.

SPDX-License-Identifier: Apache-2.0
"""
import concurrent.futures
from datetime import datetime, timezone

import pytest
from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from chaos import RATE, Chaos, assert_clean, mark, percentile
from client import Client
from moments import now_ms
from stack import NAMESPACE
from waiting import wait_until

pytestmark = pytest.mark.alone

SEED = 50
CLIENTS = 4
SUBMITTED_PER_S = 450  # what is let be the least, to know when all are
LATE_MS_MAX = 250
JUDGED_SHARE_MIN = 0.5
WINDOW_MS_MAX = 10_000  # work goes on after a kill (promise 1), and all that it held up has begun
GROUPS = {"worker": f"{NAMESPACE}.worker.default", "delayer": f"{NAMESPACE}.delayer"}


def instant(at_ms):
    return datetime.fromtimestamp(at_ms / 1000, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def submit_all(stack, dues):
    """Submits a job for each moment; returns {id: moment} and what the clients wrote down."""
    clients = [Client(stack, f"delays-{i}") for i in range(CLIENTS)]

    def submit(i):
        found = {}
        for due in dues[i::CLIENTS]:
            status, job = clients[i].submit("delay.call", {"due": due}, run_at=instant(due))
            assert status == 202 and job["state"] == "scheduled", job
            found[job["id"]] = due
        return found
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        found = {job: due for part in pool.map(submit, range(CLIENTS)) for job, due in part.items()}
    return found, [line for client in clients for line in client.lines]


class Groups:
    """As Kafka sees them."""

    def __init__(self, stack):
        self.admin = AdminClient({"bootstrap.servers": stack.brokers()})

    def members(self, group):
        """Who is in it; None while it is not stable."""
        told = self.admin.describe_consumer_groups([group])[group].result(20)
        return {member.member_id for member in told.members} if told.state == ConsumerGroupState.STABLE else None

    def kill(self, chaos, names):
        """Kills them; returns the window in ms: from the kill until their groups are whole again, without the dead."""
        kinds = {name.partition("-")[0] for name in names}
        groups = [group for kind, group in GROUPS.items() if kind in kinds]
        before = {group: wait_until(lambda group=group: self.members(group), 30, f"{group} is whole") for group in groups}
        dead = [member for group in groups for member in before[group] if member.startswith(tuple(f"{name}-" for name in names))]
        assert len(dead) >= len(names), (names, before)

        def whole():
            now = {group: self.members(group) for group in groups}
            return all(now[group] and not now[group] & set(dead) and len(now[group]) == len(before[group]) for group in groups)
        begin = now_ms()
        chaos.kill(*names)
        wait_until(whole, 30, f"the groups are whole again without {names}")
        return begin, now_ms()


def first_calls(stack):
    """{job: when its first call arrived at the third party, in ms}"""
    found = {}
    for call in stack.calls():
        found.setdefault(call["idempotency_key"], call["started_ms"])
    return found


def until_all_have_begun(begin, end, jobs, began):
    """A kill's window lasts until what fell due in it has begun: who is due next stands in line behind that. It opens for those who
    might still begin in time when the kill came: they are as late as it makes them."""
    opens = begin - LATE_MS_MAX
    return opens, max([end] + [began[job] for job, due in jobs.items() if opens <= due <= end])


# proves P-6a, P-34a, P-53
def test_jobs_begin_on_time_while_workers_and_the_delayer_die(swift_stack, tmp_path, long_run):
    count, span_ms = (10_000, 60_000) if long_run else (5_000, 20_000)
    kills = [["worker-1"], ["delayer-1"], ["worker-2", "delayer-1"], ["worker-1", "worker-2"]] if long_run else \
        [["worker-1", "delayer-1"]]
    since = mark(swift_stack, tmp_path)
    start = now_ms() + 2000 + count * 1000 // SUBMITTED_PER_S
    jobs, lines = submit_all(swift_stack, [start + i * span_ms // count for i in range(count)])
    assert now_ms() < start, "the clients are too slow to judge anything"
    chaos = Chaos(swift_stack, tmp_path, RATE, duration_s=span_ms // 1000 + 60, seed=SEED, since=since)
    chaos.others += lines
    groups, windows, slot_ms = Groups(swift_stack), [], span_ms // len(kills)
    with chaos:
        for i, names in enumerate(kills):
            at = start + i * slot_ms + chaos.chance.randrange(1000, slot_ms // 3)
            wait_until(lambda at=at: now_ms() >= at, span_ms / 1000 + 30, "it is time to kill")
            windows.append(groups.kill(chaos, names))
        wait_until(lambda: now_ms() >= start + span_ms + 1000, 60, "all have been due")
        chaos.end_loads()
    verdict = chaos.verdict()
    began = first_calls(swift_stack)
    late = {job: began[job] - due for job, due in jobs.items()}
    windows = [until_all_have_begun(begin, end, jobs, began) for begin, end in windows]
    judged = [late[job] for job, due in jobs.items() if not any(begin <= due <= end for begin, end in windows)]
    figures = {share: percentile(judged, share) for share in (0.5, 0.9, 0.99, 0.999, 1)}
    print(f"kill windows {[end - begin for begin, end in windows]} ms; {len(judged)} of {len(jobs)} judged: late by {figures} ms; "
          f"earliest {min(late.values())} ms; latest of all {max(late.values())} ms")
    assert_clean(verdict)
    assert all(accepted for _, accepted, _ in chaos.answers())
    assert min(late.values()) >= 0
    assert max(end - begin for begin, end in windows) <= WINDOW_MS_MAX
    assert len(judged) >= JUDGED_SHARE_MIN * len(jobs)
    assert figures[0.99] <= LATE_MS_MAX
