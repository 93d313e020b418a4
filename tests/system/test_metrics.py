"""What the daemons tell in numbers: by Prometheus's own reading, by its conventions, and as docs/OPERATIONS.md has it.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import signal

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from conftest import ROOT
from waiting import wait_until

DAEMONS = ["gateway-1", "worker-1", "recorder-1", "delayer-1", "simulator"]
UNITS = ("_seconds", "_bytes", "_total", "_info", "_records", "_fds", "_threads", "_partitions", "_connections")
QUICK = ("probe.quick", {"subject": "what is counted", "seed": 1})


def scrape(stack, name):
    """{family: (kind, [samples])} of one daemon; what is left out of the text format's rules fails in the parser."""
    response = requests.get(f"http://{stack.address(name)}/metrics", timeout=10)
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {}
    for family in text_string_to_metric_families(response.text):
        name = family.name + ("_total" if family.type == "counter" else "")
        assert name not in families, f"{name} is told twice"
        assert family.documentation, f"{name} has no help"
        families[name] = (family.type, family.samples)
    return families


def value(stack, daemon, sample, **labels):
    """A sample's value, 0 while it is not there."""
    for _, samples in scrape(stack, daemon).values():
        for one in samples:
            if one.name == sample and labels.items() <= one.labels.items():
                return one.value
    return 0


def dictionary():
    """{metric: (kind, labels)} of the table in docs/OPERATIONS.md."""
    with open(os.path.join(ROOT, "docs", "OPERATIONS.md"), encoding="utf-8") as file:
        rows = re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram) \| ([^|]*) \|", file.read(), re.M)
    found = {name: (kind, sorted(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert len(found) == len(rows) > 30, "each once"
    return found


@pytest.fixture(scope="module")
def counted(stack):
    """Every daemon's families, once everything that is counted when it happens has happened."""
    stack.wait(stack.submit(*QUICK)["id"])
    dead = stack.submit("probe.call", {"simulate": "status=400"})
    assert stack.wait(dead["id"])["state"] == "failed"
    wait_until(lambda: value(stack, "worker-1", "errand_dead_letters_total") > 0, 10, "the dead letter is counted")
    return {name: scrape(stack, name) for name in DAEMONS}


def test_the_dictionary_has_every_metric_and_every_metric_is_told(counted):
    told = {}
    for families in counted.values():
        for name, (kind, samples) in families.items():
            labels = {label for sample in samples for label in sample.labels} - {"le"}
            assert told.setdefault(name, (kind, set()))[0] == kind
            told[name][1].update(labels)
    written = dictionary()
    assert sorted(told.keys() - written.keys()) == [], "in docs/OPERATIONS.md these are missing"
    assert sorted(written.keys() - told.keys()) == [], "no daemon tells these"
    for name, (kind, labels) in written.items():
        assert told[name][0] == kind, name
        assert told[name][1] <= set(labels), f"{name} has a label that is not in the dictionary"


def test_names_follow_the_conventions(counted):
    for families in counted.values():
        for name, (kind, samples) in families.items():
            assert re.fullmatch("(errand|process|kafka_consumergroup_group|kafka_partition)_[a-z0-9_]+", name)
            assert name.endswith("_total") == (kind == "counter"), name
            assert not re.search("_(counter|gauge|histogram|milliseconds|ms|minutes|kib|mib)(_|$)", name), name
            if kind == "histogram":
                assert name.endswith(UNITS), name
                assert {s.labels.get("le") for s in samples if s.name == f"{name}_bucket"} >= {"+Inf"}, name


def test_no_label_holds_what_clients_can_make_up(stack, counted):
    made_up = "made-up-by-a-client"
    stack.request("GET", f"/v1/jobs/{made_up}")
    stack.request("GET", f"/{made_up}")
    stack.request(made_up.upper().replace("-", ""), "/v1/jobs")
    stack.post({"type": made_up, "payload": {}})
    after = scrape(stack, "gateway-1")
    labels = {v.lower() for _, samples in after.values() for s in samples for v in s.labels.values()}
    assert not [label for label in labels if "made" in label], "no id, no path, no method, no type of a client's"
    series = {daemon: sum(len(samples) for _, samples in families.values()) for daemon, families in counted.items()}
    assert max(series.values()) < 2000, series


def test_a_jobs_waits_and_its_whole_life_are_told_by_type(stack):
    names = ["errand_job_wait_seconds", "errand_attempt_seconds", "errand_job_seconds"]
    before = {n: [value(stack, "worker-1", n + s, type="probe.call") for s in ("_count", "_sum")] for n in names}
    job = stack.submit("probe.call", {"simulate": "slow=300"}, delay=1)
    assert stack.wait(job["id"])["state"] == "succeeded"
    wait_until(lambda: value(stack, "worker-1", "errand_job_seconds_count", type="probe.call") > before[names[2]][0], 10,
               "the outcome is acknowledged")
    grown = {n: [value(stack, "worker-1", n + s, type="probe.call") - before[n][i]
                 for i, s in enumerate(("_count", "_sum"))] for n in names}
    assert [grown[n][0] for n in names] == [1, 1, 1]
    wait, attempt, life = (grown[n][1] for n in names)
    assert 0 <= wait < 0.9, "from when it was due, not from when it was accepted"
    assert 0.3 <= attempt <= life + 0.01
    assert wait + attempt <= life + 0.05 < 5


def test_dead_letters_are_told_by_their_reason(stack, counted):
    before = value(stack, "worker-1", "errand_dead_letters_total", queue="probe", reason="target_rejected")
    assert stack.wait(stack.submit("probe.call", {"simulate": "status=400"})["id"])["state"] == "failed"
    wait_until(lambda: value(stack, "worker-1", "errand_dead_letters_total", queue="probe",
                             reason="target_rejected") == before + 1, 10, "it is counted")


def test_time_without_redis_is_told_by_worker_and_recorder(embedded_stack):
    stack = embedded_stack
    wait_until(lambda: value(stack, "recorder-1", "errand_view_certified") == 1, 30, "the view is whole")
    wait_until(lambda: value(stack, "recorder-1", "errand_view_lag_records", kind="event") == 0, 30, "it trails nothing")
    before = value(stack, "worker-1", "errand_without_gate_seconds_total")
    pid = stack.signal("redis", signal.SIGSTOP)
    try:
        wait_until(lambda: value(stack, "worker-1", "errand_without_gate_seconds_total") > before, 20,
                   "the worker tells that it goes on without the gate")
    finally:
        os.kill(pid, signal.SIGCONT)
    refolds = value(stack, "recorder-1", "errand_recorder_refolds_total")
    seconds = value(stack, "recorder-1", "errand_view_uncertified_seconds_total")
    stack.wait_restarted("redis", stack.kill("redis"))
    assert stack.wait(stack.submit(*QUICK)["id"])["state"] == "succeeded"
    wait_until(lambda: value(stack, "recorder-1", "errand_view_certified") == 1, 30, "the view is whole again")
    assert value(stack, "recorder-1", "errand_recorder_refolds_total") > refolds
    assert value(stack, "recorder-1", "errand_view_uncertified_seconds_total") >= seconds
