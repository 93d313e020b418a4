"""A request with records is refused, and the next one to the same partition, which is under way already, is taken. A broker
that has nothing of its producer yet takes it, whatever its sequence number; librdkafka then says that the first is stored too.

SPDX-License-Identifier: Apache-2.0
"""
import threading

import requests

from refusing_kafka import RefusingKafka

CONFIG = {
    "queues": {"single": {"partitions": 1}},
    "types": {"single.make": {"queue": "single", "handler": "rules", "rule": "sentence.make"}},
}
TOPIC = "errand.commands.single"


# proves P-2
def test_a_job_is_not_accepted_because_the_next_one_is_stored(fresh_stack):
    stack = fresh_stack("apache", config=CONFIG)
    answers = {}

    def submit(name):
        answers[name] = requests.post(f"{stack.url}/v1/jobs", json={"type": "single.make", "payload": {"seed": 1}}, timeout=60)
    with RefusingKafka(stack, TOPIC) as kafka:
        submitting = [threading.Thread(target=submit, args=(name,)) for name in ("first", "second")]
        submitting[0].start()
        assert kafka.is_held.wait(30)
        submitting[1].start()
        for thread in submitting:
            thread.join()
        assert kafka.is_refused.is_set()
        for name, answer in answers.items():
            assert answer.status_code == 202, (name, answer.text)
            assert stack.wait(answer.json()["id"])["state"] == "succeeded", name
