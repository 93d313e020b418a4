"""Attempts are counted where it matters: at the third party. What is given up on is a dead letter that any Kafka client
can read.

SPDX-License-Identifier: Apache-2.0
"""
import uuid

from stack import headers_of


def run(stack, simulate):
    job = stack.submit("probe.call", {"simulate": simulate, "mark": str(uuid.uuid4())})
    done = stack.wait(job["id"], deadline_s=60)
    calls = [call for call in stack.calls(path="/echo") if call["idempotency_key"].startswith(job["id"])]
    return job, done, calls


def dead_letters(stack, job_id):
    return [record for record in stack.kafka("dead.probe") if headers_of(record).get("ce_subject") == job_id]


# proves P-34, P-40, P-41
def test_a_third_party_that_recovers_is_called_until_it_answers(stack):
    job, done, calls = run(stack, "fail=2")
    assert done["state"] == "succeeded" and done["attempt"] == 3
    assert [call["status"] for call in calls] == [503, 503, 200]
    assert len({call["idempotency_key"] for call in calls}) == 1, "all attempts carry the same key"
    assert not dead_letters(stack, job["id"])


# proves P-41
def test_one_that_does_not_is_given_up_on_after_the_last_attempt(stack):
    job, done, calls = run(stack, "status=503")
    assert done["state"] == "failed" and done["attempt"] == 3
    assert done["error"]["code"] == "target_status" and done["error"]["attempt"] == 3
    assert [call["status"] for call in calls] == [503, 503, 503]
    dead, = dead_letters(stack, job["id"])
    headers = headers_of(dead)
    assert headers["errand-reason"] == "target_status"
    assert headers["errand-source-topic"] == "errand.commands.probe"


# proves P-41
def test_a_refusal_is_final_at_once(stack):
    job, done, calls = run(stack, "status=400")
    assert done["state"] == "failed" and done["attempt"] == 1
    assert done["error"]["code"] == "target_rejected"
    assert [call["status"] for call in calls] == [400]
    assert len(dead_letters(stack, job["id"])) == 1


def test_a_retry_waits_and_the_job_says_so(stack):
    job, done, calls = run(stack, "fail=1")
    assert done["state"] == "succeeded" and done["attempt"] == 2
    assert calls[1]["started_ms"] >= calls[0]["finished_ms"]
    kinds = [headers_of(record)["ce_type"].rsplit(".", 1)[-1] for record in stack.kafka("replies.probe")
             if headers_of(record).get("ce_subject") == job["id"]]
    assert kinds == ["retrying", "succeeded"]


# proves P-33
def test_a_record_that_is_no_envelope_is_dead_and_harms_nobody(stack):
    from confluent_kafka import Producer
    garbage = b"\xff\xfe no envelope " + uuid.uuid4().bytes
    producer = Producer({"bootstrap.servers": stack.address("broker")})
    producer.produce("errand.commands.probe", value=garbage, key=b"garbage")
    assert producer.flush(20) == 0
    job = stack.submit("probe.call", {"n": 1})
    assert stack.wait(job["id"])["state"] == "succeeded"
    dead, = [record for record in stack.kafka("dead.probe") if record.value() == garbage]
    assert headers_of(dead)["errand-reason"] == "envelope_invalid"
