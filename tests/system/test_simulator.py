"""The simulator as other tests rest on it: it answers always the same, misbehaves exactly as asked, holds thousands of
calls open, and its ledger tells what happened.

SPDX-License-Identifier: Apache-2.0
"""
import socket
import time
import uuid

import pytest
import requests

from test_metrics import value
from waiting import wait_until

pytestmark = pytest.mark.alone

WAITING = 2000


@pytest.fixture
def simulator(embedded_stack):
    """Asks the simulator; returns the response."""
    base = f"http://{embedded_stack.address('simulator')}"

    def ask(method, path, simulate=None, key=None, **options):
        headers = {name: value for name, value in (("X-Simulate", simulate), ("Idempotency-Key", key)) if value}
        return requests.request(method, base + path, headers=headers, timeout=30, **options)
    yield ask
    ask("DELETE", "/control")


def open_call(address, path, key):
    """A call on a connection of its own, sent and not waited for."""
    host, port = address.rsplit(":", 1)
    connection = socket.create_connection((host, int(port)), timeout=30)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nIdempotency-Key: {key}\r\n\r\n".encode())
    return connection


@pytest.mark.parametrize("path", [
    "/quotes/any", "/quotes/twain?topic=wit", "/stocks/ACME?day=2026-11-24", "/images?q=rain", "/weather/New%20York",
    "/time/Europe%2FBerlin?at=2026-07-01T12:00:00Z"])
def test_the_same_question_has_the_same_answer_misbehaving_or_not(simulator, path):
    plain = simulator("GET", path)
    assert plain.status_code == 200 and plain.json()
    assert simulator("GET", path, simulate="slow=20").text == plain.text


@pytest.mark.parametrize("path,meant", [
    ("/quotes/wild", "wilde"), ("/stocks/ACM", "ACME"), ("/weather/Lisbn", "Lisbon"), ("/ledger?sinc=1", "since"),
    ("/quotes/wilde?topik=wit", "topic"), ("/quotes/wilde?simulate=slwo=1", "slow")])
def test_what_is_misspelt_is_told(simulator, path, meant):
    answer = simulator("GET", path)
    assert answer.status_code in (400, 404)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert f'did you mean "{meant}"' in answer.json()["detail"]


def test_failures_are_counted_by_key(simulator):
    one, other = str(uuid.uuid4()), str(uuid.uuid4())
    statuses = [simulator("GET", "/quotes/any", simulate="fail=2,status=500", key=key).status_code
                for key in (one, other, one, other, one, other)]
    assert statuses == [500, 500, 500, 500, 200, 200]


def test_a_refusal_may_say_when_to_come_back(simulator):
    answer = simulator("GET", "/quotes/any", simulate="status=429,retry-after=7")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")


def test_rules_hold_for_paths_until_they_are_taken_back(simulator):
    assert simulator("PUT", "/control", json={"simulate": "status=500", "match": "/stocks"}).status_code == 200
    assert simulator("GET", "/stocks/ACME").status_code == 500
    assert simulator("GET", "/stocks/ACME", simulate="slow=0").status_code == 200, "a call's own wish goes first"
    assert simulator("GET", "/quotes/any").status_code == 200
    assert simulator("GET", "/control").json()["rules"] == [{"match": "/stocks", "simulate": "status=500"}]
    assert simulator("DELETE", "/control").status_code == 204
    assert simulator("GET", "/stocks/ACME").status_code == 200


def test_an_echo_shows_what_arrived_without_credentials(embedded_stack):
    base = f"http://{embedded_stack.address('simulator')}"
    told = requests.post(f"{base}/echo?a=1&b=%26", json={"n": [1, None]}, timeout=30,
                         headers={"Authorization": "Bearer secret-token", "X-Mark": "here"}).json()
    headers = {header["name"].lower(): header["value"] for header in told["headers"]}
    assert headers["authorization"] == "Bearer ***" and headers["x-mark"] == "here"
    assert told["query"] == [{"name": "a", "value": "1"}, {"name": "b", "value": "&"}]
    assert told["json"] == {"n": [1, None]}


def test_thousands_of_calls_wait_while_others_are_answered(embedded_stack, simulator):
    def all_wait():
        return value(embedded_stack, "simulator", "errand_simulator_waiting") >= WAITING
    mark, address, waiting = uuid.uuid4(), embedded_stack.address("simulator"), []
    began = time.monotonic()
    try:
        for n in range(WAITING):
            waiting.append(open_call(address, "/quotes/any?simulate=slow=15000", f"{mark}-{n}"))
        wait_until(all_wait, 12, "all of them wait at once")
        quick = time.monotonic()
        assert simulator("GET", "/quotes/any").status_code == 200
        assert time.monotonic() - quick < 2
        assert all_wait(), "they still do"
        answers = [connection.recv(4096) for connection in waiting]
        assert time.monotonic() - began >= 15
        assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)
    finally:
        for connection in waiting:
            connection.close()


def test_the_ledger_knows_who_went_away(embedded_stack):
    key = str(uuid.uuid4())

    def state():
        calls = embedded_stack.calls(key=key)
        return calls and calls[0]["state"]
    with open_call(embedded_stack.address("simulator"), "/quotes/any?simulate=slow=60000", key):
        wait_until(lambda: state() == "open", 10, "the call has arrived")
    wait_until(lambda: state() == "gone", 10, "the ledger says that its client is gone")


def test_the_summary_counts_what_a_key_was_called(embedded_stack, simulator):
    before = embedded_stack.simulator("GET", "/ledger/summary")
    key = str(uuid.uuid4())
    for _ in range(3):
        simulator("GET", "/weather/Oslo", key=key)
    after = embedded_stack.simulator("GET", "/ledger/summary")
    assert after["keys"]["distinct"] == before["keys"]["distinct"] + 1
    assert after["keys"]["calls_max"] >= 3
    assert after["paths"]["/weather/Oslo"] == before["paths"].get("/weather/Oslo", 0) + 3
    assert len(embedded_stack.calls(key=key)) == 3
