"""Replaying a topic into live: what is told first, what is made of it, and that it can be broken off.

SPDX-License-Identifier: Apache-2.0
"""
import collections
import contextlib
import json
import os
import pty
import re
import shlex
import signal
import statistics
import subprocess
import threading
import time
import uuid

import confluent_kafka
import pytest

from records import command, facts, set_record_limit
from stack import NAMESPACE, SANITIZER_OPTIONS, headers_of
from test_dead import letter_of, walk
from test_json import check, printed
from waiting import wait_until

TOPIC = "commands.probe"


def marked(stack, count, mark, **more):
    """Jobs that a condition finds among those of other tests; their ids, in the order of submission, all ended."""
    ids = [stack.submit("probe.call", {"mark": mark, "n": n, **more})["id"] for n in range(count)]
    for job in ids:
        stack.wait(job)
    return ids


def only(mark):
    return f"--where=/mark = {mark}"


def dry(stack, *options):
    return printed(stack, "errand.replay/1", "replay", TOPIC, *options)


def live(stack, *options, code=0, topic=TOPIC):
    done = stack.errand("replay", topic, "--into", "live", "--reason", "a test", "--execute", "-o", "json", *options,
                        check=False, limit_s=180)
    assert done.returncode == code, f"{done.returncode} {done.stdout} {done.stderr}"
    return check("errand.replay/1", json.loads(done.stdout)), done


def replayed(stack, replay, topic=TOPIC):
    """The records of a replay, as other people's clients see them."""
    return [record for record in stack.kafka(topic) if headers_of(record).get("errand-replay") == replay]


def test_a_dry_run_tells_what_it_would_do_and_changes_nothing(stack):
    mark = uuid.uuid4().hex
    marked(stack, 12, mark, simulate="fail=1")  # each has a second command, which is no job
    between = time.time_ns() // 1_000_000 + 1
    wait_until(lambda: time.time_ns() // 1_000_000 > between, 5, "a moment later")
    later = marked(stack, 5, mark)
    before = len(stack.kafka(TOPIC))
    told = dry(stack, only(mark))
    assert (told["records"], told["refused"], told["executed"]) == (17, 0, False)
    assert told["types"] == [{"type": "probe.call", "records": 17}]
    assert told["copies"] >= 12 and told["bytes"] > 17 * 50 and told["first_at"] < told["last_at"]
    assert told["duration_seconds"] is None and told["into"].startswith("drill/")
    assert dry(stack, only(mark), "--limit", 7)["records"] == 7
    assert dry(stack, only(mark), "--rate", "10/s")["duration_seconds"] == pytest.approx(1.7)
    assert dry(stack, only(mark), "--from", f"@{between}")["records"] == 5
    assert dry(stack, only(mark), "--to", f"@{between}")["records"] == 12
    place, = dry(stack, only(mark), "--from", f"@{between}")["ranges"]
    assert dry(stack, only(mark), "--from", place["from"], "--to", "+1")["records"] == 1
    assert dry(stack, f"--where=/mark = {mark} and /n >= 10")["records"] == 2
    assert dry(stack, only(mark), "--type", "probe.evil")["records"] == 0
    key, = {record.key().decode() for record in stack.kafka(TOPIC) if headers_of(record).get("ce_subject") == later[0]}
    assert dry(stack, "--key", key)["records"] == 1
    text = stack.errand("replay", TOPIC, only(mark), "--into", "live", "--reason", "it's time")
    command = text.stderr.splitlines()[-1].strip()
    assert re.match(rf"errand replay errand\.{TOPIC} --to=\d+:\d+", command) and "'--reason=it'\\''s time' --execute" in command
    assert "\r" not in text.stderr  # no bar where nobody looks
    assert len(stack.kafka(TOPIC)) == before
    refused = stack.errand("replay", TOPIC, "--into", "live", "--execute", check=False)
    assert refused.returncode == 2 and "--reason is needed" in refused.stderr
    wrong = stack.errand("replay", TOPIC, "--where", "mark = 1", check=False)
    assert wrong.returncode == 2 and "allowed is /pointer" in wrong.stderr
    assert stack.errand("replay", "replies.probe", check=False).returncode == 2


def test_the_printed_command_names_the_same_records_when_the_log_has_grown(stack):
    mark = uuid.uuid4().hex
    marked(stack, 6, mark)
    for where in (["--from=-40"], ["--from=-40", "--to=+39"], ["--to", "end"]):
        plan = dry(stack, only(mark), *where)
        marked(stack, 3, mark)
        words = shlex.split(plan["command"])
        assert words[0] == "errand" and words[-1] == "--execute"
        again = json.loads(stack.errand(*words[1:-1], "-o", "json").stdout)
        assert plan["records"] > 0 and {key: again[key] for key in ("records", "ranges", "bytes")} == {
            key: plan[key] for key in ("records", "ranges", "bytes")}


# proves P-74d
def test_a_replay_into_live_makes_linked_jobs_with_what_they_had(stack):
    mark = uuid.uuid4().hex
    traces = {}
    for n in range(8):
        trace = f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"
        job = stack.post({"type": "probe.call", "payload": {"mark": mark, "n": n}}, {"traceparent": trace}).json()
        traces[job["id"]] = trace.split("-")[1]
    for job in traces:
        stack.wait(job)
    plan = stack.errand("replay", TOPIC, only(mark), "--into", "live", "--reason", "a test", "--who", "somebody")
    program, *words = shlex.split(plan.stderr.splitlines()[-1])  # the exact command
    assert program == "errand"
    told = check("errand.replay/1", json.loads(stack.errand(*words, "-o", "json").stdout))
    assert (told["sent"], told["arrived"], told["repeats"], told["missing"]) == (8, 8, 0, 0)
    originals = {(r.partition(), r.offset()): r for r in stack.kafka(TOPIC)}
    effects = {}
    for record in replayed(stack, told["id"]):
        headers = headers_of(record)
        original = originals[int(headers["errand-source-partition"]), int(headers["errand-source-offset"])]
        of = headers_of(original)
        assert headers["errand-source-topic"] == f"errand.{TOPIC}"
        assert headers["errand-source-key"] == original.key().decode()
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(original.timestamp()[1] // 1000))
        assert headers["errand-source-time"] == f"{at}.{original.timestamp()[1] % 1000:03}Z"
        assert headers["traceparent"].split("-")[1] == traces[of["ce_subject"]] == of["traceparent"].split("-")[1]
        job = stack.wait(headers["ce_subject"])
        assert job["id"] != of["ce_subject"] and job["state"] == "succeeded"
        assert (job["redrive"]["of"], job["redrive"]["batch"], job["redrive"]["number"]) == (of["ce_subject"], told["id"], 1)
        effects[of["ce_subject"]] = job["id"]
    assert set(effects) == set(traces)
    calls = collections.Counter(call["idempotency_key"] for call in stack.calls())
    assert all(calls[job] == 2 for job in traces)  # the third party knows the effect
    audit = [json.loads(r.value()) for r in stack.kafka("audit") if json.loads(r.value()).get("action") == "replay"]
    ours = [entry for entry in audit if entry["what"].get("id") == told["id"]]
    assert [(e["phase"], e["who"], e["why"]) for e in ours] == [(p, "somebody", "a test") for p in ("begun", "done")]
    assert ours[1]["counts"] == {"jobs": 8, "sent": 8, "arrived": 8, "repeats": 0, "missing": 0}


@contextlib.contextmanager
def broken_third_party(stack):
    stack.simulator("PUT", "/control", json={"simulate": "status=400"})
    try:
        yield
    finally:
        stack.simulator("DELETE", "/control")


# proves P-74e
def test_letters_that_are_replayed_into_live_are_resolved_as_by_a_redrive(stack):
    """Also those whose resolution Kafka did not take at first; and what was resolved before is not done once more."""
    mark, dead = uuid.uuid4().hex, "dead.default"
    with broken_third_party(stack):
        jobs = [stack.submit("quote.fetch", {"author": "any", "mark": mark, "n": n})["id"] for n in range(6)]
        assert all(stack.wait(job)["state"] == "failed" for job in jobs)
    wait_until(lambda: set(jobs) <= {letter.get("id") for letter in walk(stack, state="open")}, 20, "the letters are in the index")
    letter = letter_of(stack, jobs[2])
    stack.errand("dead", "purge", jobs[2], "--execute", "--why", "a test")
    wait_until(lambda: "resolved" in letter_of(stack, jobs[2]), 20, "one letter is purged")
    told = printed(stack, "errand.replay/1", "replay", dead, only(mark), "--into", "live")
    assert (told["records"], told["resolved"]) == (5, 1)
    assert printed(stack, "errand.replay/1", "replay", dead, only(mark))["records"] == 6, "a drill does them all"
    declared = set_record_limit(stack, dead, 100)  # less than a resolution
    try:
        refused = stack.errand("replay", dead, only(mark), "--into", "live", "--reason", "a test", "--id", told["id"], "--execute",
                               check=False, limit_s=120)
    finally:
        set_record_limit(stack, dead, declared)
    assert refused.returncode == 5 and "goes on" in refused.stderr, refused.stderr
    assert len(replayed(stack, told["id"], "commands.default")) >= 1, "a job is there, and its letter is open"
    assert not [letter for letter in walk(stack, state="resolved") if letter["resolved"].get("batch") == told["id"]]
    done, _ = live(stack, only(mark), "--id", told["id"], "--who", "somebody", topic=dead)
    assert (done["arrived"], done["missing"], done["letters_resolved"], done["passed"]) == (5, 0, 5, 1)
    made = {headers_of(record)["ce_subject"] for record in replayed(stack, told["id"], "commands.default")}
    for job in set(jobs) - {jobs[2]}:
        wait_until(lambda job=job: "resolved" in letter_of(stack, job), 20, "its letter is resolved")
        how = letter_of(stack, job)["resolved"]
        assert (how["as"], how["batch"], how["who"], how["why"]) == ("redriven", told["id"], "somebody", "a test")
        assert how["job"] in made and stack.wait(how["job"])["redrive"]["of"] == job
    assert letter_of(stack, jobs[2])["resolved"]["as"] == "purged" and letter["id"] == jobs[2]
    assert len(made) == 5 and all(stack.wait(job)["state"] == "succeeded" for job in made)
    again, _ = live(stack, only(mark), "--id", told["id"], topic=dead)
    assert (again["sent"], again["before"], again["letters_resolved"]) == (0, 5, 5)
    audit = [json.loads(record.value()) for record in stack.kafka("audit")]
    ended = [entry for entry in audit if entry["action"] == "replay" and entry["what"].get("id") == told["id"] and entry["phase"] == "done"]
    assert [entry["counts"]["letters_resolved"] for entry in ended] == [5, 5]
    assert printed(stack, "errand.replay/1", "replay", dead, only(mark), "--into", "live")["records"] == 0


def start(stack, *options):
    return subprocess.Popen(
        [os.path.join(stack.bin_folder, "errand"), "replay", TOPIC, "--into", "live", "--reason", "a test", "--execute", *options],
        env={**os.environ, **SANITIZER_OPTIONS, "ERRAND_DIR": stack.folder}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_killed_in_the_middle_it_goes_on_and_nothing_is_lost_or_done_twice(stack):
    mark = uuid.uuid4().hex
    ids = marked(stack, 60, mark)
    replay = dry(stack, only(mark), "--into", "live")["id"]
    for enough in (10, 30):
        going = start(stack, only(mark), "--id", replay, "--rate", "20/s")
        try:
            wait_until(lambda: len(replayed(stack, replay)) >= enough, 60, f"{enough} have arrived")
        finally:
            going.send_signal(signal.SIGKILL)
            going.wait()
    told, _ = live(stack, only(mark), "--id", replay)
    assert told["before"] >= 30 and told["before"] + told["sent"] == 60
    assert (told["arrived"], told["missing"]) == (60, 0)
    records = replayed(stack, replay)
    assert told["repeats"] == len(records) - 60
    jobs = {headers_of(record).get("ce_subject") for record in records}
    assert len(jobs) == 60 and {stack.wait(job)["redrive"]["of"] for job in jobs} == set(ids)
    # A repeat, from whomever, is the same job, and it is told.
    twin = records[0]
    producer = confluent_kafka.Producer({"bootstrap.servers": stack.brokers(), "acks": "all"})
    producer.produce(twin.topic(), value=twin.value(), key=twin.key(), partition=twin.partition(), headers=twin.headers())
    assert producer.flush(30) == 0
    again, _ = live(stack, only(mark), "--id", replay)
    assert (again["sent"], again["before"], again["repeats"], again["missing"]) == (0, 60, told["repeats"] + 1, 0)
    plan = os.path.join(stack.folder, "replay", f"{replay}.json")
    with open(plan, encoding="utf-8") as file:
        text = file.read()
    with open(plan, "w", encoding="utf-8") as file:
        file.write(text.replace('"records":60,"refused"', '"records":61,"refused"'))  # one that is not there any more
    short, done = live(stack, only(mark), "--id", replay, code=1)
    assert short["missing"] == 1 and "1 records have not arrived" in done.stderr
    behind = stack.submit("probe.call", {"mark": "behind it"})
    stack.wait(behind["id"])
    calls = collections.Counter(call["idempotency_key"] for call in stack.calls())
    assert all(calls[job] == 2 for job in ids)
    for others in ([], [only(mark), "--from", "@-1h"]):
        other = stack.errand("replay", TOPIC, *others, "--into", "live", "--reason", "a test", "--execute", "--id", replay, check=False)
        assert other.returncode == 6 and "is another replay" in other.stderr


def on_a_terminal(stack, *words, limit_s=180):
    """What a verb prints as JSON, and what it writes to a terminal that is its standard error."""
    ours, theirs = pty.openpty()
    shown = []

    def read():
        with contextlib.suppress(OSError):  # the other side has closed it
            while piece := os.read(ours, 65536):
                shown.append(piece)
    with subprocess.Popen(
            [os.path.join(stack.bin_folder, "errand"), *map(str, words), "-o", "json"], text=True, stdout=subprocess.PIPE, stderr=theirs,
            env={**os.environ, **SANITIZER_OPTIONS, "TERM": "xterm", "ERRAND_DIR": stack.folder}) as process:
        os.close(theirs)
        reader = threading.Thread(target=read)
        reader.start()
        told = process.communicate(timeout=limit_s)[0]
    reader.join()
    os.close(ours)
    assert process.returncode == 0, b"".join(shown)
    return json.loads(told), b"".join(shown).decode()


def assert_rate(records, rate):
    """Of the times at which they were sent: over all of them, and in every stretch of half of them."""
    at = sorted(record.timestamp()[1] for record in records)
    half = len(at) // 2
    assert (len(at) - 1) * 1000 / (at[-1] - at[0]) == pytest.approx(rate, rel=0.05), "all in all"
    assert half * 1000 / statistics.median(at[i + half] - at[i] for i in range(half)) == pytest.approx(rate, rel=0.05)


@pytest.mark.alone
def test_the_pace_is_what_was_asked_for(stack):
    mark = uuid.uuid4().hex
    marked(stack, 80, mark)
    told, shown = on_a_terminal(stack, "replay", TOPIC, "--into", "live", "--reason", "a test", "--execute", only(mark), "--rate", "40/s")
    assert re.search(r"\[#+\.+\] \d+ of 80, \d+/s", shown), shown
    assert_rate(replayed(stack, told["id"]), 40)
    # In the rhythm of that, twice as fast.
    again, _ = live(stack, f"--where=/mark = {mark}", "--from", min(r.offset() for r in replayed(stack, told["id"])), "--speed", "2x")
    assert again["sent"] == 80
    assert_rate(replayed(stack, again["id"]), 80)


@pytest.mark.alone
def test_the_pace_of_many_is_what_was_asked_for(stack):
    mark = uuid.uuid4().hex
    stack.errand("load", "probe.call", "--count", "3000", "--rate", "1000/s", "-d", json.dumps({"mark": mark}), "--mode", "e2e", limit_s=60)
    told, _ = live(stack, only(mark), "--rate", "750/s")
    assert told["sent"] == 3000
    assert_rate(replayed(stack, told["id"]), 750)


@pytest.mark.alone
def test_the_rhythm_is_that_of_the_times(stack):
    """Two bursts with a pause between them, as another client has put them there."""
    mark, now = uuid.uuid4().hex, int(time.time() * 1000)
    producer = confluent_kafka.Producer({"bootstrap.servers": stack.brokers()})
    for at in [now - 9000 + 10 * n for n in range(10)] + [now - 3000 + 10 * n for n in range(10)]:
        producer.produce(f"{NAMESPACE}.{TOPIC}", partition=0, timestamp=at, value=command(
            facts(job_type="probe.call", created=at), payload=json.dumps({"mark": mark})))
    assert producer.flush(30) == 0
    assert dry(stack, only(mark), "--speed", "3x")["duration_seconds"] == pytest.approx(6.09 / 3, rel=0.02)
    told, _ = live(stack, only(mark), "--speed", "3x")
    at = sorted(record.timestamp()[1] for record in replayed(stack, told["id"]))
    assert len(at) == 20 and at[10] - at[9] == pytest.approx(5910 / 3, rel=0.05)
    assert max(at[9] - at[0], at[19] - at[10]) < 300, "a burst is still one"
    both = stack.errand("replay", TOPIC, "--rate", "1/s", "--speed", "2x", check=False)
    assert both.returncode == 2 and "--speed" in both.stderr, both.stderr


def test_times_are_found_where_the_broker_cannot_look_them_up(embedded_stack):
    stack, mark = embedded_stack, uuid.uuid4().hex
    marked(stack, 6, mark)
    between = time.time_ns() // 1_000_000 + 1
    wait_until(lambda: time.time_ns() // 1_000_000 > between, 5, "a moment later")
    marked(stack, 3, mark)
    assert dry(stack, only(mark), "--from", f"@{between}")["records"] == 3
    assert dry(stack, only(mark), "--to", f"@{between}")["records"] == 6
    assert dry(stack, only(mark), "--from", f"@{between + 3_600_000}")["records"] == 0
