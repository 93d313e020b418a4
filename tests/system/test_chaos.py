"""Anything is killed, stopped, emptied or comes back old, under load, and the checker finds nothing wrong: nothing lost,
nothing doubled, no answer that went back, no call repeated beyond the bound. `make chaos` does the same for half an hour.

SPDX-License-Identifier: Apache-2.0
"""
import signal

import pytest

import processes
from chaos import RATE, RECOVERY_S, STOP_S, Chaos, assert_clean, mark, refused_without_need, submit_told
from groups import members
from guests import Guests
from stack import NAMESPACE
from waiting import wait_until

pytestmark = pytest.mark.loaded

SEED = 20
DAEMONS = ["worker-1", "worker-2", "recorder-1", "delayer-1", "gateway-1"]
OLD_S = 1.5  # an old view is there, and is not to be believed
USUAL_SESSION = "6s"  # on brokers that are not our own
USUAL_RECOVERY_S = 15


def assert_recovered(chaos, limit_s):
    """A plain job that was under way at a fault, or submitted then, has waited no longer."""
    felt = chaos.felt()
    print({one["fault"]: one["longest_ms"] for one in felt}, f"{chaos.rate():.0f} jobs/s")
    assert max(one["longest_ms"] for one in felt) <= limit_s * 1000, felt
    assert not refused_without_need(felt)


# proves P-2, P-21, P-35, P-53
def test_daemons_are_killed_and_stopped_one_by_one_and_all_of_a_kind(swift_stack, tmp_path):
    chaos = Chaos(swift_stack, tmp_path, RATE, duration_s=120, seed=SEED, since=mark(swift_stack, tmp_path))
    with chaos:
        for kill in (["worker-1"], ["recorder-1", "delayer-1"], ["worker-1", "worker-2"], ["gateway-1"], DAEMONS):
            chaos.kill(*kill)
            chaos.let_recover(RECOVERY_S)
        with chaos.stopped("worker-2"):
            wait_until(lambda: members(swift_stack, f"{NAMESPACE}.worker.probe") == {"worker-1"}, 20, "the other one does it all")
            chaos.let_run(1, 2)
        chaos.let_recover(RECOVERY_S)
        for stopped in (["gateway-1", "recorder-1", "delayer-1"], ["worker-1", "worker-2"]):
            chaos.stop(*stopped, for_s=STOP_S)
            chaos.let_recover(RECOVERY_S)
        chaos.end_loads()
    assert_clean(chaos.verdict())
    assert_recovered(chaos, RECOVERY_S)


# proves P-2, P-21, P-53
def test_work_goes_on_with_the_sessions_of_other_brokers(swift_stack, tmp_path):
    """Workers with longer sessions than those of the stack, which go, are killed together."""
    chaos = Chaos(swift_stack, tmp_path, RATE, duration_s=120, seed=SEED + 3, since=mark(swift_stack, tmp_path))
    with Guests(swift_stack) as guests, chaos:
        for _ in range(2):
            guests.come(ERRAND_KAFKA_SESSION_TIMEOUT=USUAL_SESSION)
        with swift_stack.nobody_restarted():
            for pid in [swift_stack.signal(name, signal.SIGTERM) for name in DAEMONS[:2]]:
                wait_until(lambda pid=pid: not processes.is_alive(pid), 20, "the stack's own workers have gone")
            wait_until(lambda: members(swift_stack, f"{NAMESPACE}.worker.probe") == {name for name, _ in guests.here}, 30, "the guests do it all")
            chaos.let_run(2)
            with chaos.fault("kill", "+".join(name for name, _ in guests.here)):
                dying, guests.here[:] = list(guests.here), []
                for _, process in dying:
                    process.kill()
                    process.wait()
                for _ in dying:
                    guests.come(ERRAND_KAFKA_SESSION_TIMEOUT=USUAL_SESSION)
            chaos.let_recover(USUAL_RECOVERY_S)
        chaos.end_loads()
    assert_clean(chaos.verdict())
    assert_recovered(chaos, USUAL_RECOVERY_S)


# proves P-2, P-53
def test_recorder_and_delayer_wake_beside_those_who_took_over(swift_stack, tmp_path):
    chaos = Chaos(swift_stack, tmp_path, RATE, duration_s=120, seed=SEED + 4, since=mark(swift_stack, tmp_path))
    with Guests(swift_stack, "recorder-1") as recorders, Guests(swift_stack, "delayer-1") as delayers, chaos:
        guests = {f"{NAMESPACE}.recorder": {recorders.come()[0]}, f"{NAMESPACE}.delayer": {delayers.come()[0]}}
        both = {group: {*names, f"{group.rpartition('.')[2]}-1"} for group, names in guests.items()}

        def wait_members(expected):
            wait_until(lambda: all(members(swift_stack, group) == names for group, names in expected.items()), 30, f"members: {expected}")
        wait_members(both)
        chaos.let_run(2, 3)
        with chaos.stopped("recorder-1", "delayer-1"):
            wait_members(guests)
            chaos.let_run(2)
        chaos.let_recover(RECOVERY_S)
        wait_members(both)
        chaos.end_loads()
    assert_clean(chaos.verdict())
    assert_recovered(chaos, RECOVERY_S)


# proves P-9, P-52, P-53
def test_redis_is_emptied_killed_set_back_and_silent(swift_stack, tmp_path):
    chaos = Chaos(swift_stack, tmp_path, RATE, duration_s=90, seed=SEED + 1, since=mark(swift_stack, tmp_path))
    with chaos:
        chaos.flushall()
        chaos.let_run(2, 4)
        asked = chaos.ask().json()["id"]
        wait_until(lambda: swift_stack.read(asked).status_code == 200, 20, "what has ended is read again")
        wait_until(lambda: swift_stack.redis().hexists(f"{NAMESPACE}:view", "certificate"), 20, "the view is whole again")
        key = {"Idempotency-Key": "that of a job which runs when Redis is copied"}
        keyed = ["probe.call", {"simulate": "slow=4000"}, key]
        slow = submit_told(swift_stack, chaos.others, *keyed).json()["id"]
        wait_until(lambda: swift_stack.read(slow).json().get("state") == "running", 3, "it runs")
        dump = chaos.copy_redis()
        missed = [swift_stack.wait(chaos.ask().json()["id"])["id"] for _ in range(10)]  # what is copied does not know of these
        assert swift_stack.wait(slow)["state"] == "succeeded"
        chaos.others += chaos.read([*missed, slow])
        chaos.let_run(2, 4)
        chaos.lose_redis()
        chaos.let_run(2, 4)
        with chaos.stopped("recorder-1"):  # so long nobody brings it up to date
            chaos.lose_redis(dump)
            chaos.others += chaos.read(missed)
            wait_until(lambda: swift_stack.read(slow).json().get("code") == "view_behind", 20, "Redis answers again")
            again = submit_told(swift_stack, chaos.others, *keyed)  # it is told as ended by now, and the copy says that it runs
            assert again.status_code == 503 and again.json()["code"] == "view_behind", again.text
            chaos.let_run(OLD_S)
            chaos.others += chaos.read(missed)
        chaos.let_run(2, 4)
        chaos.stop("redis", for_s=10)
        chaos.end_loads()
    assert_clean(chaos.verdict())
    refused = [line for line in chaos.history() if line["do"] == "submitted" and line["status"] != 202]
    assert not refused, f"submissions go on: {refused[:3]}"
    chaos.flushall()  # and with no load at all
    assert_clean(chaos.verdict())


# proves P-2, P-35, P-53
def test_the_power_is_cut_and_everything_is_as_it_was(swift_stack, tmp_path):
    """Broker, Redis and supervisor are killed with the rest; their disks stay."""
    chaos = Chaos(swift_stack, tmp_path, RATE, duration_s=90, seed=SEED + 2, since=mark(swift_stack, tmp_path))
    with chaos:
        chaos.let_run(2, 4)
        chaos.cut_power()
        chaos.let_run(2, 4)
        chaos.end_loads()
    assert_clean(chaos.verdict())
