"""Listing jobs: pages that hold still while jobs come in, filters that are exact, lists in Redis that hold every job once,
are made again to the same, and forget. What Redis holds is looked at with its own client.

SPDX-License-Identifier: Apache-2.0
"""
import json
import threading
import time
import uuid

import pytest

from records import SUCCEEDED, event, facts, produce
from stack import NAMESPACE, TERMINAL, identity
from waiting import wait_until

QUICK = {"subject": "a list", "seed": 1}
LISTED_BYTES_MAX = 40  # of Redis's memory, for one job's entry
STATES = {"queued", "scheduled", "running", "retrying", "held", *TERMINAL}
BRIEF = {"queue": "probe", "handler": "rules", "rule": "sentence.make", "example": QUICK, "max_age": "2s", "retention": "2s"}
NARROW = {"queue": "probe", "handler": "call", "example": {}, "retry": {"attempts": 1},
          "call": {"target": "narrow", "method": "POST", "path": "/echo", "headers": {"X-Simulate": "{{simulate}}"}}}
CONFIG = {"targets": {"narrow": {"base_url": "simulator:/", "concurrency": 1, "timeout": "60s", "breaker": {"enabled": False}}},
          "types": {"probe.brief": BRIEF, "probe.narrow": NARROW}}


@pytest.fixture(scope="module")
def own(module_stack):
    return module_stack("apache", config=CONFIG)


@pytest.fixture
def fresh(fresh_stack):
    return fresh_stack("apache", config=CONFIG)


def page(stack, **parameters):
    response = stack.request("GET", "/v1/jobs", params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


def pages(stack, **parameters):
    """All jobs, page by page. No job is on two of them, or there might be no end."""
    found, cursor, seen = [], {}, set()
    while True:
        told = page(stack, **parameters, **cursor)
        assert len(told["jobs"]) <= parameters.get("limit", 50)
        assert seen.isdisjoint(ids(told["jobs"])), "a job comes twice"
        seen.update(ids(told["jobs"]))
        assert told.get("next", "") != cursor.get("cursor"), "the next page is this one"
        found += told["jobs"]
        if "next" not in told:
            return found
        cursor = {"cursor": told["next"]}


def ids(jobs):
    return [job["id"] for job in jobs]


def places_of(jobs):
    return [(job["created_at"], identity(job["id"])) for job in jobs]


def wait_listed(stack, wanted, **parameters):
    wait_until(lambda: set(wanted) <= set(ids(pages(stack, limit=200, **parameters))), 30, "they are listed")


def lists(stack):
    """{(state's letter, tenant, type): {identity: time of creation}} as Redis has them."""
    client, found = stack.redis(), {}
    for key in client.scan_iter(f"{NAMESPACE}:l:*", 1000):
        name, begin = key.decode().rsplit(":", 1)
        _, _, letter, tenant, job_type = name.split(":", 4)
        part = {member.hex(): int(score) for member, score in client.zrange(key, 0, -1, withscores=True)}
        list_ = found.setdefault((letter, tenant, job_type), {})
        assert not set(list_) & set(part), "no job is in two parts"
        list_.update(part)
        begins = [int(score) for _, score in client.zrange(name.replace(":l:", ":j:", 1), 0, -1, withscores=True)]
        after = min((b for b in begins if b > int(begin)), default=1 << 60)
        if part and client.exists(key):  # jobs may be on the move meanwhile
            assert int(begin) <= min(part.values()) and max(part.values()) < after
    return found


def records(stack):
    """{identity: letter of its state} of every record in Redis."""
    client, found = stack.redis(), {}
    for kind in "cr":
        for key in client.scan_iter(f"{NAMESPACE}:{kind}:*"):
            value = client.get(key)
            if value:
                found[key.decode().rsplit(":", 1)[1]] = chr(value[0])
    return found


def assert_listed_once(stack):
    """Every record has one entry, in the list of its state."""
    def agrees():
        entries = [(identity, letter) for (letter, _, _), list_ in lists(stack).items() for identity in list_]
        return sorted(entries) == sorted(records(stack).items())
    wait_until(agrees, 15, "every record has one entry, in the list of its state")


# proves P-23, P-23b
def test_pages_hold_still_while_jobs_come_in(own):
    label = uuid.uuid4().hex
    known = [own.submit("sentence.make", QUICK, labels={"run": label})["id"] for _ in range(60)]
    known += [own.submit("probe.quick", QUICK, labels={"run": label}, delay=n % 3)["id"] for n in range(30)]
    wait_listed(own, known)
    enough = threading.Event()
    came = []

    def submit_more():
        while not enough.is_set():
            came.append(own.post({"type": "sentence.make", "payload": QUICK}).json()["id"])
    thread = threading.Thread(target=submit_more)
    thread.start()
    try:
        for limit in (1, 7, 50):
            jobs = pages(own, limit=limit, since="10m") if limit > 1 else pages(own, limit=limit, label=f"run={label}")
            told = ids(jobs)
            assert len(told) == len(set(told)), "no job comes twice"
            assert set(known) <= set(told), "none is passed over"
            assert [job["created_at"] for job in jobs] == sorted((job["created_at"] for job in jobs), reverse=True)
    finally:
        enough.set()
        thread.join()
    assert len(came) > 10, "jobs came in meanwhile"
    places = places_of(pages(own, limit=200))
    assert places == sorted(places, reverse=True)


# proves P-23, P-23b
def test_jobs_of_one_moment_are_each_on_one_page(own):
    now = int(time.time() * 1000) - 5000
    job_type = "foreign.moment"
    produce(own, "replies.probe", [event(facts(uuid.uuid4().bytes[:6] + b"\x70" + uuid.uuid4().bytes[7:], created=now,
                                               job_type=job_type)) for _ in range(300)])
    wait_until(lambda: len(pages(own, type=job_type, limit=200)) == 300, 20, "they are listed")
    for limit in (1, 13):
        jobs = pages(own, type=job_type, limit=limit)
        assert len(jobs) == 300 and len({job["id"] for job in jobs}) == 300


# proves P-23a, P-23c, P-54
def test_each_filter_is_exact(fresh):
    stack = fresh
    red, blue = {"team": "red", "run": "a=b"}, {"team": "blue"}
    mine = {
        "succeeded": [stack.submit("sentence.make", QUICK, labels=red), stack.submit("probe.call", {}, labels=blue)],
        "failed": [stack.submit("probe.call", {"simulate": "status=400"}, labels=red)],
        "scheduled": [stack.submit("probe.call", {}, labels=blue, delay=3600), stack.submit("sentence.make", QUICK, delay="1h")],
        "running": [stack.submit("probe.one", {"simulate": "slow=55000"}, labels=red),
                    stack.submit("probe.narrow", {"simulate": "slow=55000"}, labels=blue)],
        "retrying": [stack.submit("probe.patient", {"simulate": "status=503,retry-after=55"}, labels=red)]}
    stack.wait(mine["succeeded"][1]["id"])
    for job in mine["running"]:
        wait_until(lambda job=job: stack.get(job["id"])["state"] == "running", 20, "it runs")
    mine["queued"] = [stack.submit("probe.one", {"simulate": "slow=0"}, labels=blue)]
    mine["held"] = [stack.submit("probe.narrow", {"simulate": "slow=0"}, labels=red)]
    put_off = stack.submit("probe.one", {"simulate": "slow=0"}, labels=red, delay=2)  # queued when its time has come
    gone = stack.submit("probe.call", {}, labels=red, delay=3600)
    assert stack.request("DELETE", f"/v1/jobs/{gone['id']}").json()["state"] == "cancelled"
    mine["cancelled"] = [gone]
    over = stack.submit("probe.one", {"simulate": "slow=0"}, labels=blue, deadline="1500ms")
    mine["expired"] = [over]
    everything = [job["id"] for jobs in mine.values() for job in jobs] + [put_off["id"]]

    def settled():
        told = {job_id: stack.get(job_id)["state"] for job_id in everything}
        return all(told[job["id"]] == state for state, jobs in mine.items() if state != "expired" for job in jobs) \
            and told[put_off["id"]] == "queued" and told
    wait_until(settled, 20, "each is in its state")
    mine["queued"].append(put_off)
    waits_on = stack.get(over["id"])["state"]  # it ends when its turn comes: behind what runs
    mine["expired"] = []
    mine[waits_on].append(over)

    def expect(wanted, **parameters):
        for limit in (1, 200):
            told = pages(stack, limit=limit, **parameters)
            assert sorted(ids(told)) == sorted(job["id"] for job in wanted), parameters
    by_state = {state: mine.get(state, []) for state in STATES}
    jobs = [job for of in by_state.values() for job in of]
    expect(jobs)
    for state, of in by_state.items():
        expect(of, state=state)
    expect(by_state["failed"] + by_state["retrying"], state="failed,retrying")
    expect(by_state["queued"] + by_state["scheduled"], state="queued,scheduled")
    full = {job["id"]: stack.get(job["id"]) for job in jobs}
    for job_type in sorted({job["type"] for job in full.values()}) + ["no.such"]:
        of = [job for job in full.values() if job["type"] == job_type]
        expect(of, type=job_type)
        expect([job for job in of if job["state"] in ("queued", "succeeded")], type=job_type, state="queued,succeeded")
    expect([job for job in full.values() if job.get("labels", {}).get("team") == "red"], label="team=red")
    expect([job for job in full.values() if "team" in job.get("labels", {})], label="team")
    expect([job for job in full.values() if job.get("labels") == red], label=["team=red", "run=a=b"])
    expect([], label=["team=red", "team=blue"])
    expect([], label="team=re")
    edge = sorted(job["created_at"] for job in full.values())[3]
    expect([job for job in full.values() if job["created_at"] >= edge], since=edge)
    expect(jobs, since="1h")
    expect([], since="2100-01-01T00:00:00Z")
    for job in pages(stack):
        whole = {name: value for name, value in stack.get(job["id"]).items() if name != "result"}
        assert job == whole
    assert_listed_once(stack)


# proves P-23a
@pytest.mark.parametrize("query, field", [
    ("state=done", "state"), ("state=", "state"), ("state=failed,", "state"), ("label=", "label"), ("label==x", "label"),
    ("since=yesterday", "since"), ("limit=0", "limit"), ("limit=201", "limit"), ("limit=x", "limit"), ("cursor=x", "cursor"),
    ("cursor=1-abc", "cursor"), ("cursor=12345678901234567-000000000000000000000000", "cursor"), ("stat=failed", "query")])
def test_what_cannot_be_asked_is_told(own, query, field):
    if field in ("state", "label", "since"):
        refused = own.errand("list", f"--{query}", check=False)
        assert refused.returncode == 2 and refused.stdout == "" and field in refused.stderr, refused
    response = own.request("GET", f"/v1/jobs?{query}")
    assert response.status_code == 400 and response.json()["code"] == "invalid_parameter", response.text
    assert response.json()["field"] == field and len(response.json()["detail"]) > 10


# proves P-23, P-54
def test_another_tenants_jobs_are_not_listed(own):
    job_type = "foreign.tenant"
    produce(own, "replies.probe", [event(facts(tenant=tenant, job_type=job_type), kind=SUCCEEDED)
                                   for tenant in ("other", "default", "default:", "def")])
    wait_until(lambda: sum(len(of) for (_, _, name), of in lists(own).items() if name.endswith(job_type)) == 4, 20,
               "they are in the lists")
    assert len(pages(own, type=job_type)) == 1
    assert len([job for job in pages(own, limit=200) if job["type"].endswith(job_type)]) == 1


# proves P-54b
def a_view_that_an_older_recorder_left(stack, before, kept):
    """One with records and without lists is made again by the next recorder."""
    with stack.nobody_restarted():
        recorder = stack.kill("recorder-1")
        redis = stack.redis()
        assert redis.hdel(f"{NAMESPACE}:view", "parts") == 1
        redis.delete(*redis.scan_iter(f"{NAMESPACE}:j:*", 1000), *redis.scan_iter(f"{NAMESPACE}:l:*", 1000))
    stack.wait_restarted("recorder-1", recorder)
    wait_until(lambda: redis.hget(f"{NAMESPACE}:view", "parts") == b"list", 30, "it has lists")
    wait_until(lambda: stack.request("GET", "/v1/jobs").status_code == 200, 30, "it is known again")
    wait_until(lambda: pages(stack, limit=40) == before, 20, "the same pages")
    assert lists(stack) == kept


# proves P-23d, P-54, P-53
def test_an_emptied_redis_lists_the_same_jobs_and_none_before_it_is_whole(fresh):
    stack = fresh
    known = [stack.submit("sentence.make", QUICK, labels={"n": str(n)}) for n in range(150)]
    known += [stack.submit("probe.call", {"simulate": "status=400"}) for _ in range(20)]
    known += [stack.submit("probe.call", {}, delay=3600) for _ in range(20)]
    for job in known[:170]:
        stack.wait(job["id"])
    wait_listed(stack, ids(known))
    assert_listed_once(stack)
    before, kept = pages(stack, limit=40), lists(stack)
    with stack.nobody_restarted():
        recorder = stack.kill("recorder-1")
        stack.redis().flushall()
        response = stack.request("GET", "/v1/jobs")
        assert response.status_code == 503, response.text
        assert response.json()["code"] == "view_behind" and int(response.headers["Retry-After"]) >= 1
    stack.wait_restarted("recorder-1", recorder)
    answers = []

    def whole_again():
        answers.append(stack.request("GET", "/v1/jobs", params={"limit": 200}))
        return answers[-1].status_code == 200
    wait_until(whole_again, 30, "it is known again")
    ended = [job for job in before if job["state"] in TERMINAL]
    assert {r.status_code for r in answers} <= {200, 503}
    assert [job for job in answers[-1].json()["jobs"] if job["state"] in TERMINAL] == ended, "no list with gaps"
    wait_until(lambda: pages(stack, limit=40) == before, 20, "the same pages")
    assert lists(stack) == kept
    assert_listed_once(stack)
    a_view_that_an_older_recorder_left(stack, before, kept)


# proves P-23, P-54a
def test_forgotten_jobs_leave_the_list_and_redis(fresh):
    stack = fresh
    stays = stack.submit("sentence.make", QUICK)["id"]
    known = [stack.submit("probe.brief", QUICK)["id"] for _ in range(700)]
    wait_listed(stack, known[-20:])
    wait_until(lambda: not stack.redis().exists(*[f"{NAMESPACE}:{kind}:{identity(job)}"
                                                   for job in known for kind in "rc"]), 60, "they are forgotten")
    assert ids(pages(stack)) == [stays]
    wait_until(lambda: sum(map(len, lists(stack).values())) == 1, 20, "their entries are swept")
    names = {name.decode() for name in stack.redis().smembers(f"{NAMESPACE}:j:sets")}
    assert names == {f"{NAMESPACE}:j:S:default:sentence.make"}
    stack.redis().flushall()  # the log still has them: nothing of them comes back
    wait_until(lambda: stack.request("GET", "/v1/jobs").status_code == 200, 30, "the view is whole again")
    assert ids(pages(stack)) == [stays] and sum(map(len, lists(stack).values())) == 1


# proves P-54, P-54c
def test_an_entry_costs_little_memory(fresh):
    stack = fresh
    stack.submit("sentence.make", QUICK, wait_s=10)
    client = stack.redis()
    before, count = client.info("memory")["used_memory"], 20000
    stack.errand("load", "sentence.make", "--connections", 32, "--count", count, "-d", json.dumps(QUICK), limit_s=300)
    ended = ("S", "default", "sentence.make")
    wait_until(lambda: len(lists(stack).get(ended, ())) == count + 1, 60, "they have ended")
    after = client.info("memory")["used_memory"]
    keys = [f"{NAMESPACE}:j:S:default:sentence.make", *client.scan_iter(f"{NAMESPACE}:l:S:*", 1000)]
    entry = sum(client.memory_usage(key, samples=0) for key in keys) / count
    assert {client.object("encoding", key) for key in keys[1:]} == {b"listpack"}
    told = pages(stack, limit=200)
    assert len(told) == len(set(ids(told))) == count + 1 and places_of(told) == sorted(places_of(told), reverse=True)
    print(f"{(after - before) / count:.0f} bytes a job with its result, {entry:.0f} of them its entry")
    assert entry <= LISTED_BYTES_MAX


def test_errand_list_asks_for_as_many_pages_as_it_takes(own):
    label = uuid.uuid4().hex
    known = [own.submit("sentence.make", QUICK, labels={"run": label})["id"] for _ in range(230)]
    wait_listed(own, known, label=f"run={label}")
    told = json.loads(own.errand("list", "--label", f"run={label}", "-n", 1000, "-o", "json").stdout)
    assert told["schema"] == "errand.list/1" and sorted(ids(told["jobs"])) == sorted(known) and "next" not in told
    first = json.loads(own.errand("list", "--label", f"run={label}", "-n", 100, "-o", "json").stdout)
    rest = json.loads(own.errand("list", "-l", f"run={label}", "--cursor", first["next"], "-n", 1000, "-o", "json").stdout)
    assert ids(first["jobs"]) + ids(rest["jobs"]) == ids(told["jobs"])
    done = own.errand("list", "--label", f"run={label}", "-n", 3)
    assert len(done.stdout.splitlines()) == 4 and "errand list --cursor" in done.stderr
    wrong = own.errand("list", "--state", "done", check=False)
    assert wrong.returncode == 2 and "there is no state 'done'" in wrong.stderr
