"""Sentences of docs/PROTOCOL.md that no other test is about: request ids, traces, the view's keys.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import json
import re
import time

from moments import instant
from stack import headers_of, identity
from waiting import wait_until

PAYLOAD = {"region": "DE", "lines": [{"sku": "pen", "quantity": 1, "unit_cents": 199}]}
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


# proves P-14
def test_every_answer_has_a_request_id_and_the_clients_own_is_kept(stack):
    for path, status in (("/v1/types", 200), ("/v1/nothing", 404)):
        own = stack.request("GET", path, headers={"X-Request-Id": "mine-1.a_b"})
        assert (own.status_code, own.headers["X-Request-Id"]) == (status, "mine-1.a_b")
        made = stack.request("GET", path, headers={"X-Request-Id": "not mine"})
        assert re.fullmatch("[0-9a-f]{32}", made.headers["X-Request-Id"])
    problem = stack.request("GET", "/v1/nothing", headers={"X-Request-Id": "mine"}).json()
    assert problem["request_id"] == "mine"


# proves P-15
def test_a_trace_goes_from_the_client_to_the_third_party_and_back(stack):
    answer = stack.post({"type": "probe.call", "payload": {"n": 7}},
                        {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01", "tracestate": "a=b"})
    job = stack.wait(answer.json()["id"])
    assert job["trace_id"] == TRACE_ID
    call, = stack.calls(key=job["id"])
    assert call["traceparent"].split("-")[1] == TRACE_ID
    records = [headers_of(record) for topic in ("commands.probe", "replies.probe") for record in stack.kafka(topic)]
    mine = [headers for headers in records if headers.get("ce_subject") == job["id"]]
    assert len(mine) >= 2
    assert all(headers["traceparent"].split("-")[1] == TRACE_ID for headers in mine)
    assert all(headers["tracestate"] == "a=b" for headers in mine)


# proves P-50
def test_a_finished_job_has_one_key_that_goes_when_the_job_is_forgotten(stack):
    job = stack.wait(stack.submit("order.price", PAYLOAD)["id"])
    own = identity(job["id"])
    redis = stack.redis()
    kept = f"errand:r:{own}"
    wait_until(lambda: redis.exists(kept), 10, "the record is in the view")
    assert redis.getrange(kept, 0, 0) == b"S"
    assert not redis.exists(f"errand:c:{own}") and not redis.exists(f"errand:g:{own}")
    forgotten = instant(job["expires_at"])
    assert abs(redis.pexpiretime(kept) / 1000 - forgotten) < 0.002


def identity_of_key(queue, key):
    """The identity of a keyed submission: SHA-256 over tenant, queue and key, each behind its length, as a UUIDv8."""
    parts = [part.encode() for part in ("default", queue, key)]
    digest = bytearray(hashlib.sha256(b"".join(len(p).to_bytes(8, "big") + p for p in parts)).digest()[:12])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return digest.hex()


def fingerprint(body):
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


# proves P-6
def test_a_key_that_is_being_decided_is_a_conflict_until_it_is_too_old(stack):
    body = {"type": "order.price", "payload": PAYLOAD}
    claim = f"errand:k:{identity_of_key('rules', 'undecided')}"
    redis = stack.redis()
    redis.set(claim, f"{int(time.time() * 1000)} u {fingerprint(body)}", px=60000)
    refused = stack.post(body, {"Idempotency-Key": "undecided"})
    assert (refused.status_code, refused.json()["code"]) == (409, "submit_in_progress")
    assert refused.headers["Retry-After"]
    other = stack.post({**body, "labels": {"a": "b"}}, {"Idempotency-Key": "undecided"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    redis.set(claim, f"{int(time.time() * 1000) - 60000} u {fingerprint(body)}", px=60000)
    accepted = stack.post(body, {"Idempotency-Key": "undecided"})
    assert accepted.status_code == 202
    assert identity(accepted.json()["id"]) == identity_of_key("rules", "undecided")
    wait_until(lambda: redis.get(claim).decode().split()[1] == "a", 10, "the claim says that it was accepted")
    assert stack.wait(accepted.json()["id"])["state"] == "succeeded"


# proves P-51
def test_a_view_that_was_changed_behind_the_recorders_back_is_folded_again(stack):
    before = stack.wait(stack.submit("probe.quick", {"subject": "the view", "seed": 1})["id"])
    redis = stack.redis()
    redis.hset("errand:view", "a:errand.replies.probe:0", 0)
    redis.delete(f"errand:r:{identity(before['id'])}")
    after = stack.wait(stack.submit("probe.quick", {"subject": "the view", "seed": 2})["id"])
    assert after["state"] == "succeeded"
    wait_until(lambda: stack.read(before["id"]).status_code == 200, 30, "the lost record is folded again")
    assert stack.get(before["id"]) == before
