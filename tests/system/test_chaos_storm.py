"""A rebalance storm: workers come and go every half second, and work goes on.

SPDX-License-Identifier: Apache-2.0
"""
import threading
import time

import pytest

from chaos import LOOK_EVERY_S, RATE, SLACK_MS, USUAL_MS, Chaos, assert_clean, mark, percentile
from groups import members
from guests import Guests
from member import Member
from moments import now_ms
from stack import NAMESPACE
from waiting import wait_until

SEED = 40
COMES_OR_GOES_EVERY_S = 0.5
GUESTS_MAX = 3
GAP_MS_MAX = 10_000  # some job ends in every
# After the storm, at the latest. Two sessions of 4 s are in it: the last who died may have joined a rebalance that waits for one
# who had died before, and only when that is over does its own session begin.
RECOVERED_MS = 10_000
AFTERWARDS_S = 2  # it is looked at whether that stays so
REJOINED_S = 9  # the wait for who does not come is 5 s, with sessions of 4 s
SETTLED_S = 3


class Visitors(Guests):
    def go(self, chaos):
        """One of them is killed, or told to stop."""
        name, process = self.here.pop(chaos.chance.randrange(len(self.here)))
        if chaos.chance.random() < 0.5:
            with chaos.fault("kill", name):
                process.kill()
        else:
            process.terminate()


@pytest.fixture
def guests(swift_stack):
    with Visitors(swift_stack) as visitors:
        yield visitors


def ends(chaos):
    return sorted(done for _, done in chaos.lives() if done)


def recovered(chaos, over):
    """All jobs of the storm have ended, and those of the last second but one were done in their usual time."""
    newest = now_ms() - USUAL_MS
    lives = [(at, done) for at, done in chaos.lives() if at <= newest]
    fresh = [done and done - at <= USUAL_MS for at, done in lives if at > newest - USUAL_MS]
    return newest - USUAL_MS > over and fresh and all(fresh) and all(done for _, done in lives)


# proves P-2, P-21, P-35, P-53
@pytest.mark.alone
def test_workers_come_and_go_and_work_goes_on(swift_stack, guests, tmp_path, long_run):
    storm_s = 60 if long_run else 20
    chaos = Chaos(swift_stack, tmp_path, RATE, duration_s=storm_s + 60, seed=SEED, since=mark(swift_stack, tmp_path))
    with chaos:
        began, end = now_ms(), time.monotonic() + storm_s
        while time.monotonic() < end:
            if not guests.here or (len(guests.here) < GUESTS_MAX and chaos.chance.random() < 0.5):
                guests.come()
            else:
                guests.go(chaos)
            chaos.let_run(COMES_OR_GOES_EVERY_S)
        while guests.here:
            guests.go(chaos)
        over = now_ms()
        wait_until(lambda: chaos.let_run(LOOK_EVERY_S) or recovered(chaos, over), 2 * RECOVERED_MS / 1000,
                   "all that waited is done, and what comes takes its usual time")
        calm = now_ms()
        chaos.let_run(AFTERWARDS_S)
        chaos.end_loads()
    wait_until(guests.all_gone, 20, "all guests have gone")
    ended = [began, *(at for at in ends(chaos) if began <= at <= over), over]
    gap_ms = max(after - before for before, after in zip(ended, ended[1:]))
    recovered_ms = max((done for at, done in chaos.lives() if done > over and done - at > USUAL_MS), default=over) - over
    late = [done - at for at, done in chaos.lives() if at >= calm]
    print(f"{next(guests.numbers) - 1} workers came and went; longest gap {gap_ms} ms, {len(ended) - 2} plain jobs ended meanwhile; "
          f"recovered after {recovered_ms} ms; p99 later {percentile(late, 0.99)} ms of {len(late)}")
    verdict = chaos.verdict()
    print({key: verdict[key] for key in ("jobs", "calls", "faults", "repeats", "repeats_bound")})
    assert_clean(verdict)
    assert all(accepted for _, accepted, _ in chaos.answers())
    assert gap_ms <= GAP_MS_MAX
    assert recovered_ms <= RECOVERED_MS + SLACK_MS and percentile(late, 0.99) <= USUAL_MS


# proves P-35a
@pytest.mark.loaded
def test_nobody_who_hangs_dies_or_leaves_in_the_middle_of_a_rebalance_holds_the_others_up(swift_stack, guests):
    """One member does not come to the rebalance, and lives; one has joined, and dies; one has joined, and is told to stop. All that
    is waited for is the first one, as long as one that lives may take; the leave of the last one does not break off what the others
    then begin, or they would wait for the dead one's session."""
    group, broker = f"{NAMESPACE}.worker.rules", swift_stack.brokers()
    joined = []
    hanging = Member(broker, group, f"{NAMESPACE}.commands.rules", session_ms=30_000, limit_s=30)
    hanging.sync()
    hanging.live()
    name, process = guests.come()
    began = time.monotonic()
    wait_until(lambda: name in members(swift_stack, group), 20, "the one that will leave is joining")

    def join():
        joined.append((Member(broker, group, f"{NAMESPACE}.commands.rules", session_ms=30_000, limit_s=60), time.monotonic()))
    dying = threading.Thread(target=join, daemon=True)
    dying.start()
    process.terminate()
    jobs = []
    try:
        wait_until(lambda: joined, REJOINED_S, "the rebalance goes on without who does not come")
        waited_s = joined[0][1] - began
        jobs += [swift_stack.submit("sentence.make", {"seed": n})["id"] for n in range(32)]  # nobody has them before that
        wait_until(lambda: any(swift_stack.get(job)["state"] == "succeeded" for job in jobs), SETTLED_S, "somebody works")
        print(f"waited {waited_s:.1f} s for who does not come, and worked {time.monotonic() - joined[0][1]:.1f} s later")
    finally:
        hanging.close()
    wait_until(guests.all_gone, 20, "the guest has gone")
    for job in jobs:
        assert swift_stack.wait(job, deadline_s=60)["state"] == "succeeded"
