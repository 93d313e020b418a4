"""What is wrong with a request is said with a stable code and the field's name, and never costs a job.

SPDX-License-Identifier: Apache-2.0
"""
import json
import socket

import pytest
import requests

GOOD = {"type": "sentence.make", "payload": {"subject": "a test", "seed": 1}}


def problem(response):
    assert response.headers["Content-Type"].startswith("application/problem+json"), response.headers
    told = response.json()
    assert told["status"] == response.status_code and told["title"] and told["code"]
    return response.status_code, told["code"]


BODIES = [
    ("nothing", "", 400, "invalid_json"),
    ("not JSON", "{", 400, "invalid_json"),
    ("two documents", '{"type": "sentence.make", "payload": {}} {}', 400, "invalid_json"),
    ("a member twice", '{"type": "sentence.make", "type": "colour.mix", "payload": {}}', 400, "invalid_json"),
    ("not an object", "[]", 400, None),
    ("no type", {"payload": {}}, 400, "missing_field"),
    ("no payload", {"type": "sentence.make"}, 400, "missing_field"),
    ("a type that is a number", {**GOOD, "type": 7}, 400, "invalid_field"),
    ("an unknown type", {**GOOD, "type": "sentence.mke"}, 400, "unknown_type"),
    ("an unknown member", {**GOOD, "prority": 1}, 400, "unknown_field"),
    ("a label that is a number", {**GOOD, "labels": {"team": 1}}, 400, "invalid_field"),
    ("labels that are a list", {**GOOD, "labels": []}, 400, "invalid_field"),
    ("a time before there were any", {**GOOD, "run_at": "1900-01-01T00:00:00Z"}, 400, "invalid_field"),
    ("a deadline beyond all times", {**GOOD, "deadline": "9223372036854775807ms"}, 400, "invalid_field"),
    ("bytes that are not UTF-8", b'{"type": "sentence.make", "payload": {"subject": "\xff"}}', 400, None),
    ("a NUL in a text", '{"type": "sentence.make", "payload": {"subject": "\\u0000"}}', 400, None),
    ("a deep payload", '{"type": "sentence.make", "payload": %s%s}' % ("[" * 200, "]" * 200), 400, "too_deep"),
    ("a large payload", {**GOOD, "payload": {"subject": "x" * 2_000_000}}, 413, "body_too_large"),
]


# proves P-1, P-13
@pytest.mark.parametrize("body,status,code", [pytest.param(b, s, c, id=name) for name, b, s, c in BODIES])
def test_a_bad_body_is_refused(stack, body, status, code):
    got = problem(stack.post(body))
    assert got[0] == status
    assert code is None or got[1] == code


# proves P-1, P-13
def test_a_refusal_names_the_field_and_the_nearest_name(stack):
    response = stack.post({**GOOD, "type": "sentence.mke"})
    assert "sentence.make" in response.text
    response = stack.post({**GOOD, "lables": {}})
    assert "lables" in response.text and "labels" in response.text


NOBODY = "0193c0de-1234-7abc-9def-0123456789ab"  # an id in form, but not one that this deployment made
REQUESTS = [
    ("GET", "/nowhere", 404, "not_found"),
    ("PUT", "/v1/jobs", 405, "method_not_allowed"),
    ("GET", f"/v1/jobs/{NOBODY}", 404, "job_not_found"),
    ("GET", "/v1/jobs/not-an-id", 404, "job_not_found"),
    ("GET", f"/v1/jobs/{NOBODY}/result", 404, "job_not_found"),
]


# proves P-8, P-13
@pytest.mark.parametrize("method,path,status,code", REQUESTS)
def test_a_bad_request_is_refused(stack, method, path, status, code):
    assert problem(stack.request(method, path)) == (status, code)


@pytest.mark.parametrize("wait", ["soon", "-1", "", "1e9"])
def test_a_wait_that_is_no_time_is_refused(stack, wait):
    job = stack.submit(GOOD["type"], GOOD["payload"])
    assert problem(stack.read(job["id"], wait_s=wait)) == (400, "invalid_parameter")


def test_another_content_type_is_refused(stack):
    response = stack.request("POST", "/v1/jobs", data=json.dumps(GOOD), headers={"Content-Type": "text/plain"})
    assert problem(response) == (415, "unsupported_media_type")


# proves P-4
@pytest.mark.parametrize("key", ["", "x" * 5000])
def test_a_bad_idempotency_key_is_refused(stack, key):
    assert stack.post(GOOD, {"Idempotency-Key": key}).status_code in (400, 431)


def test_a_payload_that_the_rule_refuses_fails_at_once_and_says_why(stack):
    job = stack.submit("order.price", {"region": "DE", "lines": [{"sku": "pen", "quantity": -1, "unit_cents": 1}]})
    done = stack.wait(job["id"])
    assert done["state"] == "failed" and done["attempt"] == 1
    assert done["error"]["code"] == "payload_invalid" and "quantity" in done["error"]["detail"]
    result = stack.request("GET", f"/v1/jobs/{job['id']}/result")
    assert problem(result) == (409, "no_result")


RAW = [
    ("length and chunked", b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"),
    ("two lengths", b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} "),
    ("two hosts", b"GET /v1/types HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("no host", b"GET /v1/types HTTP/1.1\r\n\r\n"),
    ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
]


# proves P-17
@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in RAW])
def test_an_ambiguous_request_is_refused_and_its_connection_closed(stack, text):
    host, port = stack.address("gateway-1").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(text)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400", b"HTTP/1.1 411")), answer[:200]


def test_a_client_that_leaves_does_not_matter(stack):
    job = stack.submit("probe.call", {"simulate": "slow=1500"})
    with pytest.raises(requests.exceptions.ReadTimeout):
        stack.request("GET", f"/v1/jobs/{job['id']}", params={"wait": 10}, timeout=0.2)
    assert stack.wait(job["id"])["state"] == "succeeded"
