"""Records that nobody of ours wrote, on every topic that is read: counted, buried with the reason where they asked for
work, and in nobody's way.

SPDX-License-Identifier: Apache-2.0
"""
import os

import pytest
import requests

from records import RECORD_MAX, command, committed, event, facts, message, produce, set_record_limit
from stack import headers_of
from waiting import wait_until

LEAST, GREATEST = -(1 << 63), (1 << 63) - 1
ENVELOPE_MAX = 1024 * 1024


def largest_event():
    room = ENVELOPE_MAX - len(event(result='""'))
    return next(e for e in (event(result='"%s"' % ("x" * (room - less))) for less in range(64)) if len(e) <= ENVELOPE_MAX)


# name: (bytes, why a worker buries them)
NO_ENVELOPE = {
    "nothing": b"",
    "a null value": None,
    "random bytes": os.urandom(300),
    "a mebibyte of them": os.urandom(ENVELOPE_MAX),
    "a truncated command": command()[:-9],
    "a truncated event": event()[:-5],
    "lengths without end": b"\x12\x80\x80\x80" * 1000,
    "no version": command(version=0),
    "no body": message((1, 1)),
    "no facts": message((1, 1), (2, message((3, 1)))),
    "text that is not UTF-8": command(facts(tenant=b"\xff")),
    "a NUL in a text": command(facts(tenant="a\0b")),
    "attempt 0": command(attempt=0),
    "due at the least number": command(due=LEAST),
    "due at the greatest number": command(due=GREATEST),
    "never forgotten": command(facts(forget=0)),
    "forgotten before 1970": command(facts(forget=-5)),
    "forgotten at the end of numbers": command(facts(forget=GREATEST)),
    "created at the least number": command(facts(created=LEAST)),
    "an event never forgotten": event(facts(forget=0)),
    "an event forgotten before 1970": event(facts(forget=-5)),
    "an event at the least number": event(at=LEAST),
    "an event of an unknown kind": event(kind=99),
    "an event whose result is no text": event(result=b"\xff\xfe"),
    "an event of no offset": event(command_offset_plus_1=LEAST),
    "as large as our own records get": os.urandom(RECORD_MAX - 100),
    "larger than that": os.urandom(RECORD_MAX + 20_000),
}
NEWER = {"a command of a newer version": command(version=9), "an event of a newer version": event(version=9)}


def counted(stack, name):
    text = requests.get(f"http://{stack.address(name)}/metrics", timeout=10).text
    line, = [line for line in text.splitlines() if line.startswith("errand_poison_records_total ")]
    return float(line.split()[1])


def goes_on(stack):
    job = stack.submit("probe.quick", {"subject": "whoever comes after", "seed": 1})
    done = stack.wait(job["id"])
    assert done["state"] == "succeeded"
    return done


def buried(stack, dead_topic, topic):
    """{offset: dead letter} of what came from that topic; letters of other tests may have been resolved."""
    letters = [(headers_of(record), record) for record in stack.kafka(dead_topic) if record.headers()]
    return {int(headers["errand-source-offset"]): (headers, record) for headers, record in letters
            if headers.get("errand-source-topic") == f"errand.{topic}"}


# proves P-31, P-33, P-33a
def test_on_a_command_topic_each_is_buried_with_its_reason(stack):
    reasons = {**{name: "envelope_invalid" for name in NO_ENVELOPE}, **{name: "envelope_version" for name in NEWER},
               "an event": "envelope_invalid", "a command of another queue": "envelope_invalid",
               "a command of an unknown type": "unknown_type"}
    values = {**NO_ENVELOPE, **NEWER, "an event": event(), "a command of another queue": command(facts(queue="default")),
              "a command of an unknown type": command(facts(job_type="no.such"))}
    before = counted(stack, "worker-1")
    offsets = dict(zip(values, produce(stack, "commands.probe", values.values())))
    goes_on(stack)
    last = max(offsets.values())
    wait_until(lambda: committed(stack, "worker.probe", "commands.probe") > last, 20,
               "the group's offset passes all of them")
    letters = buried(stack, "dead.probe", "commands.probe")
    for name, offset in offsets.items():
        headers, letter = letters[offset]
        assert headers["errand-reason"] == reasons[name] and headers["errand-detail"], name
        if reasons[name] != "unknown_type" and len(values[name] or b"") < RECORD_MAX - 1000:
            assert (letter.value() or b"") == (values[name] or b""), name
    assert counted(stack, "worker-1") - before == len(values) - 1  # an unknown type is no poison


# proves P-31, P-33
@pytest.mark.parametrize("values", [NO_ENVELOPE, NEWER], ids=["no envelopes", "newer ones"])
def test_on_a_reply_topic_they_are_counted_and_newer_ones_put_aside(stack, values):
    before = counted(stack, "recorder-1")
    offsets = produce(stack, "replies.probe", values.values())
    goes_on(stack)
    wait_until(lambda: counted(stack, "recorder-1") - before == len(values), 10, "all are counted")
    aside = set(buried(stack, "dead.probe", "replies.probe")) & set(offsets)
    assert aside == (set(offsets) if values is NEWER else set())


def test_the_largest_event_fits_into_the_view(stack):
    recorder = stack.pid("recorder-1")
    produce(stack, "replies.probe", [largest_event()])
    goes_on(stack)
    assert stack.pid("recorder-1") == recorder, "it lives on"


# proves P-33
def test_on_a_delay_topic_they_are_buried(stack):
    foreign = {queue: command(facts(queue=queue)) for queue in ("nosuch", "no such!", "x" * 300, "../etc")}
    values = {**NO_ENVELOPE, **NEWER, "an event": event(), **foreign}
    before = counted(stack, "delayer-1")
    offsets = produce(stack, "delay.1s", values.values())
    wait_until(lambda: counted(stack, "delayer-1") - before == len(values), 20, "all are counted")
    assert set(offsets) <= set(buried(stack, "dead.default", "delay.1s"))
    job = stack.submit("probe.quick", {"subject": "whoever comes after", "seed": 1}, delay="2500ms")
    assert stack.wait(job["id"])["state"] == "succeeded"
    wait_until(lambda: committed(stack, "delayer", "delay.1s") > max(offsets), 20, "the group's offset passes all of them")


# proves P-34a
def test_what_kafka_will_not_take_from_the_delayer_is_kept_until_it_does(stack):
    """A topic's own limit, as an operator may set it by mistake: nothing is dropped, nobody behind it waits."""
    large = stack.submit("probe.call", {"text": os.urandom(2000).hex()}, delay="8s")
    small = stack.submit("probe.quick", {"subject": "small", "seed": 1}, delay="8s")
    set_record_limit(stack, "commands.probe", 2000)
    try:
        assert stack.wait(small["id"])["state"] == "succeeded"
        assert stack.get(large["id"])["state"] == "queued", "its time has come"
    finally:
        set_record_limit(stack, "commands.probe", None)
    assert stack.wait(large["id"])["state"] == "succeeded"
