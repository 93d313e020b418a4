"""The books: accepted = succeeded + failed + cancelled + expired + live, from Kafka alone and from the view; and a loss,
a flip and a phantom are each found where they are.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

import records
from load import Load, assert_all_succeed
from stack import NAMESPACE, identity
from waiting import wait_until

ENDS = ("succeeded", "failed", "cancelled", "expired")
RATE = 40


@pytest.fixture(scope="module")
def kept(module_stack):
    """A stack whose books these tests keep, one after the other."""
    return module_stack("apache", workers=2)


def digest_of(certificate):
    """SHA-256 over the canonical form of the certificate without its digest."""
    told = {name: value for name, value in certificate.items() if name != "digest"}
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def check_sums(sums):
    assert sums["accepted"] == sum(sums[end] for end in ENDS) + sums["live"] + sums["residual"], sums


def verify(stack, *options):
    """(exit code, certificate)."""
    done = stack.errand("verify", "-o", "json", *options, check=False, limit_s=120)
    assert done.stdout, done.stderr
    certificate = json.loads(done.stdout)
    assert certificate["schema"] == "errand.books/1" and certificate["digest"] == digest_of(certificate)
    assert certificate["balanced"] == (done.returncode == 0), done
    for sums in [certificate["total"], *certificate["types"]]:
        check_sums(sums)
    assert certificate["total"]["accepted"] == sum(sums["accepted"] for sums in certificate["types"])
    return done.returncode, certificate


def by_type(certificate):
    return {sums["type"]: sums for sums in certificate["types"]}


def counts(sums, *names):
    return tuple(sums[name] for name in names)


def found(certificate):
    return {kind: count for kind, count in certificate["counts"].items() if count}


def submit_every_end(stack):
    """One job of each end, one that lives on, and one that is submitted twice."""
    scheduled = stack.submit("sentence.make", {"seed": 1}, delay="1h")
    called_off = stack.submit("sentence.make", {"seed": 2}, delay="1h")
    stack.submit("line.call", {"simulate": "slow=2500"}, key="one")
    late = stack.submit("line.brief", {"subject": "x", "seed": 1}, key="one")
    twice = [stack.submit("order.price", example_of(stack, "order.price"), idempotency_key="the-same")["id"]
             for _ in range(2)]
    assert twice[0] == twice[1]
    again = stack.submit("probe.call", {"simulate": "fail=1"})
    refused = stack.submit("probe.call", {"simulate": "status=400"})
    wait_until(lambda: stack.request("DELETE", f"/v1/jobs/{called_off['id']}").status_code == 200, 30, "it is cancelled")
    assert stack.wait(late["id"])["state"] == "expired"
    assert stack.wait(again["id"])["state"] == "succeeded"
    assert stack.wait(refused["id"])["state"] == "failed"
    assert stack.wait(twice[0])["state"] == "succeeded"
    return scheduled


def example_of(stack, name):
    types = stack.request("GET", "/v1/types").json()["types"]
    return next(known["example"] for known in types if known["name"] == name)


# proves P-26, P-26a, P-53
def test_the_books_of_jobs_of_every_end_balance_in_kafka_and_in_the_view(kept):
    scheduled = submit_every_end(kept)
    code, certificate = verify(kept)
    assert code == 0, certificate["findings"]
    types = by_type(certificate)
    assert counts(types["sentence.make"], "accepted", "cancelled", "live") == (2, 1, 1)
    assert counts(types["probe.call"], "accepted", "succeeded", "failed") == (2, 1, 1)
    assert counts(types["line.brief"], "accepted", "expired") == (1, 1)
    assert counts(types["order.price"], "accepted", "succeeded") == (1, 1), "submitted twice, and one job"
    assert certificate["total"]["accepted"] == 7 and certificate["total"]["residual"] == 0
    for sums in certificate["types"]:
        assert counts(sums["view"], *ENDS, "live") == counts(sums, *ENDS, "live"), sums
        assert sums["view"]["none"] == 0
    assert certificate["view"]["compared"] == 7 and certificate["view"]["keys"] == 7
    assert certificate["not_looked_at"] == [] and certificate["findings"] == []

    read = {(r["topic"], r["partition"]): r for r in certificate["read"]}
    command = scheduled["command"] if "command" in scheduled else kept.get(scheduled["id"])["command"]
    place = read[command["topic"], command["partition"]]
    assert place["from"] <= command["offset"] < place["to"]
    assert len(kept.kafka("replies.probe")) == sum(r["records"] for r in certificate["read"]
                                                   if r["topic"] == f"{NAMESPACE}.replies.probe")

    answer = kept.request("GET", "/v1/books")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["digest"] == digest_of(told) and told["balanced"]
    assert (told["total"], told["types"]) == (certificate["total"], certificate["types"])
    assert told["cluster"] == certificate["cluster"]


# proves P-26b
def test_a_window_counts_the_jobs_accepted_in_it(kept):
    _, before = verify(kept)
    middle = kept.submit("probe.quick", {"subject": "the middle", "seed": 1}, wait_s=20)["created_at"]
    code, certificate = verify(kept, "--from", middle)
    assert code == 0 and certificate["window"] == {"from": middle, "to": None}
    assert counts(certificate["total"], "accepted", "succeeded") == (1, 1)
    code, certificate = verify(kept, "--to", middle, "--no-view")
    assert code == 0 and certificate["total"]["accepted"] == before["total"]["accepted"]
    assert certificate["not_looked_at"] == ["the records in Redis"]
    answer = kept.request("GET", "/v1/books", params={"from": middle, "to": middle})
    assert answer.json()["total"]["accepted"] == 0
    assert verify(kept, "--from", "1h")[1]["total"]["accepted"] == before["total"]["accepted"] + 1
    assert kept.errand("verify", "--from", "yesterday", check=False).returncode == 2
    answer = kept.request("GET", "/v1/books", params={"from": "yesterday"})
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (400, "invalid_parameter", "from")


# proves P-26
def test_the_books_balance_at_any_moment_while_jobs_run_and_a_worker_dies(kept, tmp_path):
    _, before = verify(kept)
    load = Load(kept, "probe.call", {"simulate": "slow=300"}, tmp_path / "ids", rate=RATE, duration_s=8)
    load.wait_accepted(RATE)
    live = 0
    for look in range(3):
        if look == 1:
            kept.kill("worker-1")
        code, certificate = verify(kept)
        assert code == 0, certificate["findings"]
        live = max(live, certificate["total"]["live"])
    assert live > before["total"]["live"], "some were under way"
    ids = load.finish()
    assert_all_succeed(kept, ids)
    code, certificate = verify(kept)
    assert code == 0, certificate["findings"]
    assert certificate["total"]["accepted"] == before["total"]["accepted"] + len(ids)
    assert certificate["total"]["live"] == before["total"]["live"]


def assert_found(stack, kinds, *options):
    """The certificate, whose findings are of these kinds and no others."""
    code, certificate = verify(stack, *options)
    assert (code, found(certificate)) == (1, kinds), certificate["findings"]
    return certificate


def finding(certificate, kind):
    return next(told for told in certificate["findings"] if told["kind"] == kind)


def test_a_record_of_the_view_that_is_changed_gone_or_made_up_is_found(kept):
    job_id = kept.submit("probe.quick", {"subject": "a victim", "seed": 1}, wait_s=20)["id"]
    redis, key = kept.redis(), f"{NAMESPACE}:r:{identity(job_id)}"
    record, expires = redis.get(key), redis.pexpiretime(key)

    redis.set(key, record[:-1] + bytes([record[-1] ^ 1]), keepttl=True)
    told = finding(assert_found(kept, {"differs": 1}), "differs")
    assert (told["job"], told["topic"]) == (identity(job_id), f"{NAMESPACE}.replies.probe")
    redis.set(key, b"F" + record[1:], keepttl=True)
    certificate = assert_found(kept, {"differs": 1})
    assert by_type(certificate)["probe.quick"]["view"]["failed"] == 1, "what the view tells is counted apart"
    assert by_type(certificate)["probe.quick"]["failed"] == 0
    redis.set(key, record, pxat=expires + 1000)
    assert_found(kept, {"differs": 1})
    redis.delete(key)
    assert finding(assert_found(kept, {"absent": 1}), "absent")["job"] == identity(job_id)
    redis.set(key, record, pxat=expires)

    stray = uuid.uuid4().hex[:24]
    redis.set(f"{NAMESPACE}:r:{stray}", record, pxat=expires)
    assert finding(assert_found(kept, {"stray": 1}), "stray")["job"] == stray
    redis.delete(f"{NAMESPACE}:r:{stray}")
    assert verify(kept)[0] == 0


def test_a_loss_a_flip_and_a_phantom_in_kafka_are_each_found_where_they_are(kept):
    since = kept.submit("probe.quick", {"subject": "a mark", "seed": 1}, wait_s=20)["created_at"]
    now = int(time.time() * 1000)
    lost = uuid.uuid4().bytes  # it is to be forgotten already: the worker drops it and goes on
    gone = records.facts(lost, created=now, not_after=now + 1, forget=now + 2)
    offset, = records.produce(kept, "commands.probe", [records.command(gone)])
    wait_until(lambda: records.committed(kept, "worker.probe", "commands.probe") > offset, 30, "it is committed")
    certificate = assert_found(kept, {"lost": 1}, "--from", since)
    told = finding(certificate, "lost")
    assert (told["topic"], told["partition"], told["offset"]) == (f"{NAMESPACE}.commands.probe", 0, offset)
    assert told["job"] == lost.hex()[:24] and certificate["total"]["residual"] == 1
    assert kept.request("GET", "/v1/books", params={"from": since}).json()["findings"][0]["kind"] == "lost"

    job_id = kept.submit("probe.quick", {"subject": "a victim", "seed": 1}, wait_s=20)["id"]
    again = records.event(records.facts(uuid.UUID(job_id).bytes), kind=records.FAILED)
    flip, = records.produce(kept, "replies.probe", [again])
    certificate = assert_found(kept, {"lost": 1, "flip": 1}, "--from", since)
    told = finding(certificate, "flip")
    assert (told["job"], told["topic"], told["offset"]) == (identity(job_id), f"{NAMESPACE}.replies.probe", flip)
    assert "succeeded" in told["text"] and kept.get(job_id)["state"] == "succeeded"

    phantom = uuid.uuid4().bytes
    offset, = records.produce(kept, "replies.probe", [records.event(records.facts(phantom))])
    certificate = assert_found(kept, {"lost": 1, "flip": 1, "phantom": 1}, "--from", since)
    told = finding(certificate, "phantom")
    assert (told["job"], told["topic"], told["offset"]) == (phantom.hex()[:24], f"{NAMESPACE}.replies.probe", offset)
    assert counts(certificate["total"], "residual", "lost", "phantom") == (0, 1, 1), "sums alone would not tell"


# proves P-26a
def test_the_gateway_reads_for_one_at_a_time_and_no_more_than_it_may(fresh_stack):
    stack = fresh_stack("embedded", config={"gateway": {"books_records_max": 12}})
    stack.submit("probe.quick", {"subject": "a job", "seed": 1}, wait_s=20)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: requests.get(f"{stack.url}/v1/books", timeout=60), range(8)))
    assert all(a.status_code == 200 or a.json()["code"] == "overloaded" for a in answers), [a.text for a in answers]
    assert any(a.status_code == 200 and a.json()["total"]["succeeded"] == 1 for a in answers)
    assert any(a.status_code == 503 and int(a.headers["Retry-After"]) >= 1 for a in answers)
    for seed in range(12):
        stack.submit("probe.quick", {"subject": "a job", "seed": seed}, wait_s=20)
    refused = stack.request("GET", "/v1/books")
    assert (refused.status_code, refused.json()["code"]) == (503, "limit")
    assert "12" in refused.json()["detail"] and "gateway.books_records_max" in refused.json()["detail"]
    code, certificate = verify(stack)
    assert (code, certificate["total"]["succeeded"]) == (0, 13), "the command line has no such limit"
