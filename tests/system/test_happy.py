"""Every type of job that Errand brings along goes the whole way, on Apache Kafka and on the embedded broker, and what
travels is what the contract says.

SPDX-License-Identifier: Apache-2.0
"""
import json
import re
import uuid

import pytest

from stack import headers_of

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
TYPES = ["quote.fetch", "stock.price", "image.find", "time.in", "weather.now", "ledger.post", "order.price", "colour.mix",
         "sentence.make"]


def example(local_config, job_type):
    given = local_config["types"][job_type]["example"]
    return json.loads(given) if isinstance(given, str) else given


# proves P-20
@pytest.mark.parametrize("job_type", TYPES)
def test_a_job_of_every_type_is_done(any_stack, local_config, job_type):
    told, = [t for t in any_stack.request("GET", "/v1/types").json()["types"] if t["name"] == job_type]
    key = {"key": f"key-{uuid.uuid4()}"} if told.get("ordered") else {}
    job = any_stack.submit(job_type, example(local_config, job_type), **key)
    assert job["state"] in ("queued", "running", "succeeded")
    done = any_stack.wait(job["id"])
    assert done["state"] == "succeeded", done
    assert done["id"] == job["id"] and done["type"] == job_type and done["attempt"] == 1
    assert done.get("key") == key.get("key")
    assert done["result"], "a result that says something"
    assert "error" not in done


def test_a_broker_maps_the_classes_that_were_written_down(stack):
    with open(f"/proc/{stack.pid('broker')}/maps", encoding="utf-8") as maps:
        assert re.search(r"/errand/kafka-[\d.]+\.jsa( \(deleted\))?$", maps.read(), re.M)  # another stack may have made it as well


# proves P-12
def test_the_types_are_told(any_stack):
    told = any_stack.request("GET", "/v1/types")
    assert told.status_code == 200
    assert set(TYPES) <= {entry["name"] for entry in told.json()["types"]}


# proves P-2
def test_a_submission_is_answered_at_once_with_an_address_to_poll(stack):
    response = stack.post({"type": "colour.mix", "payload": {"colours": ["red", "blue"]}, "labels": {"team": "blue"}})
    assert response.status_code == 202
    job = response.json()
    assert response.headers["Location"] == f"/v1/jobs/{job['id']}" == job["links"]["self"]
    assert int(response.headers["Retry-After"]) >= 0
    assert uuid.UUID(job["id"]).version == 7
    done = stack.wait(job["id"])
    assert done["labels"] == {"team": "blue"}
    times = [done[name] for name in ("created_at", "started_at", "finished_at", "expires_at")]
    assert all(TIME.match(time) for time in times) and times == sorted(times), times


# proves P-7
def test_prefer_wait_answers_with_the_finished_job(stack):
    response = stack.post({"type": "sentence.make", "payload": {"subject": "a client", "seed": 7}},
                          {"Prefer": "wait=20"})
    assert response.status_code == 200, response.text
    assert response.json()["state"] == "succeeded"


# proves P-7
def test_a_waiting_read_answers_when_the_job_is_done_and_not_at_its_limit(stack):
    job = stack.submit("probe.call", {"simulate": "slow=1000"})
    response = stack.read(job["id"], wait_s=30)
    assert response.json()["state"] == "succeeded"
    assert response.elapsed.total_seconds() < 10


# proves P-7
def test_a_waiting_read_gives_up_at_its_limit(stack):
    job = stack.submit("probe.call", {"simulate": "slow=4000"})
    response = stack.read(job["id"], wait_s=1)
    assert response.status_code == 200
    assert response.json()["state"] in ("queued", "running")
    assert 0.8 < response.elapsed.total_seconds() < 3.5
    assert stack.wait(job["id"])["state"] == "succeeded"


# proves P-11
def test_the_result_can_be_had_alone(stack):
    job = stack.submit("order.price", {"region": "DE", "lines": [{"sku": "pen", "quantity": 12, "unit_cents": 199}]})
    done = stack.wait(job["id"])
    result = stack.request("GET", done["links"]["result"])
    assert result.status_code == 200
    assert result.headers["Content-Type"].startswith("application/json")
    assert result.json() == done["result"]
    assert done["result"]["subtotal_cents"] == 12 * 199


# proves P-11
def test_a_text_is_told_as_text_and_a_content_type_is_sent_once(stack):
    done = stack.wait(stack.submit("probe.text", {"line": "a line"})["id"])
    assert done["state"] == "succeeded", done
    result = stack.request("GET", done["links"]["result"])
    assert (result.status_code, result.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert result.text == done["result"], "the bytes of the answer, as a text"
    echoed = json.loads(result.text)
    sent = [header["value"] for header in echoed["headers"] if header["name"].lower() == "content-type"]
    assert (sent, echoed["body"]) == (["application/x-lines"], '"a line"')


# proves P-4
def test_a_replay_says_so_however_long_it_is_waited_for(stack):
    key = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"type": "sentence.make", "payload": {"subject": "a replay", "seed": 3}}
    assert "Idempotency-Replayed" not in stack.post(body, {**key, "Prefer": "wait=10"}).headers
    for wait in ({}, {"Prefer": "wait=10"}):
        again = stack.post(body, {**key, **wait})
        assert again.headers["Idempotency-Replayed"] == "true", wait


# proves P-4, P-5
def test_the_same_idempotency_key_is_the_same_job(stack):
    key = str(uuid.uuid4())
    payload = {"subject": "a key", "seed": 3}
    first = stack.submit("sentence.make", payload, idempotency_key=key)
    done = stack.wait(first["id"])
    again = stack.submit("sentence.make", payload, idempotency_key=key)
    assert again["id"] == first["id"]
    assert again["created_at"] == done["created_at"]
    other = stack.post({"type": "sentence.make", "payload": {"subject": "other", "seed": 3}}, {"Idempotency-Key": key})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


# proves P-7
def test_an_unchanged_job_is_not_sent_again(stack):
    job = stack.wait(stack.submit("colour.mix", {"colours": ["red", "white"]})["id"])
    tag = stack.read(job["id"]).headers["ETag"]
    for known in (tag, f"W/{tag}", f'"another", W/{tag}', "*"):
        again = stack.request("GET", f"/v1/jobs/{job['id']}", headers={"If-None-Match": known})
        assert (again.status_code, again.headers["ETag"]) == (304, tag), known
    assert stack.request("GET", f"/v1/jobs/{job['id']}", headers={"If-None-Match": 'W/"another"'}).status_code == 200


# proves P-30, P-32
def test_what_travels_is_readable_by_any_kafka_client(stack):
    mark = f"mark-{uuid.uuid4()}"
    payload = '{"mark" :  "%s", "price": 1.10, "exponent": 1E+2, "escape": "\\u00e9"}' % mark
    trace = f"00-{uuid.uuid4().hex}-b7ad6b7169203331-01"
    response = stack.post('{"type": "probe.call", "payload": %s}' % payload, {"traceparent": trace})
    assert response.status_code == 202, response.text
    job_id = response.json()["id"]
    assert stack.wait(job_id)["state"] == "succeeded"

    commands = [record for record in stack.kafka("commands.probe") if mark.encode() in record.value()]
    assert len(commands) == 1, "one command, once"
    assert payload.encode() in commands[0].value(), "the client's bytes, as they came"
    headers = headers_of(commands[0])
    assert headers["ce_specversion"] == "1.0" and headers["ce_subject"] == job_id
    assert headers["content-type"] == "application/protobuf"
    assert headers["traceparent"].split("-")[1] == trace.split("-")[1]

    events = [headers_of(record) for record in stack.kafka("replies.probe")
              if headers_of(record).get("ce_subject") == job_id]
    assert len(events) == 1, "a short job costs one event"
    assert events[0]["ce_type"].endswith("succeeded")

    call, = [call for call in stack.calls(path="/echo") if trace.split("-")[1] in (call["traceparent"] or "")]
    assert call["idempotency_key"], "the third party can tell a repetition"


def test_the_answers_of_both_brokers_are_the_same(stack, embedded_stack):
    payload = {"region": "FR", "coupon": "WELCOME10", "lines": [{"sku": "ink", "quantity": 150, "unit_cents": 1250}]}
    results = [s.wait(s.submit("order.price", payload)["id"])["result"] for s in (stack, embedded_stack)]
    assert results[0] == results[1]
