"""A recorder's batch is on its way to Redis when the recorder stands still; another takes over, and reads on. Then it arrives.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal

import processes
from groups import members
from guests import Guests
from late_redis import HeldRedis
from stack import NAMESPACE, identity
from waiting import wait_until

GROUP = f"{NAMESPACE}.recorder"
APPLIED = b"a:"  # fields of the view that say up to which offset a partition has been applied


def applied(stack):
    return {field: int(offset) for field, offset in stack.redis().hgetall(f"{NAMESPACE}:view").items() if field.startswith(APPLIED)}


# proves P-51
def test_what_a_recorder_wrote_before_another_took_over_comes_too_late_and_changes_nothing(stack):
    with HeldRedis(stack) as redis, Guests(stack, of="recorder-1") as guests:
        with stack.nobody_restarted():
            pid = stack.signal("recorder-1", signal.SIGTERM)
            wait_until(lambda: not processes.is_alive(pid), 20, "the stack's own has gone")
            name, guest = guests.come(ERRAND_REDIS_ADDRESSES=f"127.0.0.1:{redis.listen()}")
            wait_until(lambda: members(stack, GROUP) == {name}, 30, "the guest is the only one")
            job = stack.submit("probe.call", {"simulate": "fail=1,slow=1500"})
            wait_until(lambda: stack.read(job["id"]).json().get("state") == "running", 30, "it runs, as the guest has written")
            redis.hold(f"{NAMESPACE}:w:{identity(job['id'])}")
            assert redis.held.wait(20), "the guest writes that it will be tried again"
            guest.send_signal(signal.SIGSTOP)
        stack.wait_restarted("recorder-1", pid)
        done = stack.wait(job["id"])
        assert (done["state"], done["attempt"]) == ("succeeded", 2)
        before = applied(stack)
        redis.release()
        assert redis.done.wait(20)
        assert stack.get(job["id"]) == done
        after = applied(stack)
        assert {field: offset for field, offset in after.items() if offset < before.get(field, 0)} == {}
        os.kill(guest.pid, signal.SIGCONT)
        wait_until(lambda: members(stack, GROUP) == {name, "recorder-1"}, 30, "it has woken, and is one of two")
        assert stack.wait(stack.submit("probe.call", {})["id"])["state"] == "succeeded"
        assert stack.get(job["id"]) == done
