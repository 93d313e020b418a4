"""A slow job delays only itself: thousands behind it in the same partition pass.

SPDX-License-Identifier: Apache-2.0
"""
import json

from stack import headers_of
from waiting import wait_until

BYSTANDERS = 10_000
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
