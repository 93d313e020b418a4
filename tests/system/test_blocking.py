"""A slow job delays only itself: thousands behind it in the same partition pass. A queue in which much waits delays no
other queue of the same worker.

SPDX-License-Identifier: Apache-2.0
"""
import json

import pytest

from stack import headers_of
from test_metrics import value
from waiting import wait_until

pytestmark = pytest.mark.alone

BYSTANDERS = 10_000
HELD_MAX = 4 * 1024 * 1024
HEAVY = 100_000  # bytes of a payload
SLOW_S = 30


def test_ten_thousand_jobs_pass_one_that_waits_for_its_third_party(stack, tmp_path):
    slow = stack.submit("probe.call", {"simulate": f"slow={SLOW_S * 1000}"})
    ids = tmp_path / "ids"
    stack.errand("load", "probe.quick", "--connections", 16, "--count", BYSTANDERS, "--ids", ids,
                 "-d", json.dumps({"subject": "a bystander", "seed": "{{n}}"}).replace('"{{n}}"', "{{n}}"), limit_s=120)
    accepted = {json.loads(line)["id"] for line in ids.read_text().splitlines()}
    assert len(accepted) == BYSTANDERS

    finished = set()

    def all_passed():
        finished.update(headers["ce_subject"] for headers in map(headers_of, stack.kafka("replies.probe"))
                        if headers["ce_type"].endswith("succeeded"))
        return accepted <= finished
    wait_until(all_passed, SLOW_S, "every bystander is done")
    assert slow["id"] not in finished, "all of them before the slow one"
    assert stack.get(slow["id"])["state"] == "running"
    assert stack.wait(slow["id"], deadline_s=SLOW_S + 30)["state"] == "succeeded"


def test_a_failing_job_does_not_hold_up_the_one_behind_it(stack):
    failing = stack.submit("probe.call", {"simulate": "status=503"})
    behind = stack.submit("probe.quick", {"subject": "the next one", "seed": 5})
    assert stack.wait(behind["id"])["state"] == "succeeded"
    assert stack.wait(failing["id"])["state"] == "failed"


def test_a_queue_that_waits_for_its_third_party_takes_no_other_queues_room(fresh_stack):
    stack = fresh_stack("apache", config={"worker": {"held_max": HELD_MAX}})
    waiting = [stack.submit("probe.call", {"simulate": f"slow={SLOW_S * 1000}", "text": "x" * HEAVY})
               for _ in range(HELD_MAX // HEAVY + 10)]
    before = value(stack, "worker-1", "errand_worker_held_bytes")
    for _ in range(20):
        job = stack.submit("order.price", {"region": "DE", "lines": [{"sku": "pen", "quantity": 1, "unit_cents": 199}]},
                           wait_s=10)
        assert job["state"] == "succeeded", job
    assert 0 < before < HELD_MAX * 3 / 4, "half of it is for all, the other half in equal parts"
    assert stack.get(waiting[0]["id"])["state"] == "running"
