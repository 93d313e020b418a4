"""Dead letters: found, told, redriven, purged, and who did it. Kafka and Redis are looked at with other people's clients,
effect ids in the simulator's ledger.

SPDX-License-Identifier: Apache-2.0
"""
import collections
import concurrent.futures
import http.server
import json
import os
import signal
import subprocess
import threading
import time

import confluent_kafka
import pytest
import requests
import test_json as schemas
from confluent_kafka.admin import AdminClient

from records import command, facts, produce, set_record_limit
from stack import NAMESPACE, SANITIZER_OPTIONS, headers_of
from test_metrics import value
from waiting import wait_until

ASKERS = 40
QUESTIONS_MAX = 16  # GATEWAY_KAFKA_QUESTIONS_MAX
MENDED = {"simulate": "slow=0"}  # a merge patch after which the third party does as asked


@pytest.fixture(scope="module")
def own(module_stack):
    return module_stack("apache")


def give_up(stack, count, simulate="status=400", **members):
    """Jobs that fail at once; returns their ids."""
    jobs = [stack.submit("probe.call", {"n": n, "simulate": simulate}, **members)["id"] for n in range(count)]
    assert all(stack.wait(job)["state"] == "failed" for job in jobs)
    wait_until(lambda: set(jobs) <= set(letters_on(stack)), 20, "their letters are on the topic")
    wait_until(lambda: set(jobs) <= {letter.get("id") for letter in walk(stack, state="open")}, 20, "and in the index")
    return jobs


def letters_on(stack, queue="probe"):
    """{job's id: offset} of the letters on the topic; of one that lies there twice the first."""
    found = {}
    for record in sorted(stack.kafka(f"dead.{queue}"), key=lambda record: record.offset()):
        headers = headers_of(record)
        if headers["ce_type"] == "errand.dead" and headers.get("ce_subject"):
            found.setdefault(headers["ce_subject"], record.offset())
    return found


def resolved_on(stack, queue="probe"):
    """[(letter's offset, how)] of the resolutions on the topic."""
    return [(int(headers["errand-letter"]), headers["errand-resolution"])
            for headers in map(headers_of, stack.kafka(f"dead.{queue}")) if headers["ce_type"] == "errand.resolved"]


def dead(stack, **query):
    def told():
        response = stack.request("GET", "/v1/dead", params=query)
        assert response.status_code in (200, 503), response.text
        return response.json() if response.status_code == 200 else None
    return wait_until(told, 30, "the index is whole")


def walk(stack, limit=100, **query):
    found, cursor = [], {}
    while True:
        page = dead(stack, limit=limit, **query, **cursor)
        found += page["letters"]
        if "next" not in page:
            return found
        cursor = {"cursor": page["next"]}


def letter_of(stack, job):
    response = stack.request("GET", f"/v1/dead/{job}")
    assert response.status_code == 200, response.text
    return response.json()


def redrive(stack, *arguments, check=True, verb="redrive"):
    done = stack.errand("dead", verb, "-o", "json", *arguments, check=False, limit_s=120)
    if check:
        assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["schema"] == f"errand.dead.{verb}/1"
    return told


def execute(stack, *arguments, why="a test", **options):
    return redrive(stack, *arguments, "--execute", "--why", why, "--who", "the tests", **options)


def audit(stack, action=None, batch=None):
    options = (["--action", action] if action else []) + (["--id", batch] if batch else [])
    told = json.loads(stack.errand("audit", "-o", "json", *options).stdout)
    assert told["schema"] == "errand.audit.list/1"
    return told["records"]


def ends(stack):
    return {topic: len(stack.kafka(topic)) for topic in ("commands.probe", "dead.probe", "audit")}


def commands_by_job(stack):
    return collections.Counter(headers_of(record).get("ce_subject") for record in stack.kafka("commands.probe"))


def purge_all(stack):
    execute(stack, "--all", verb="purge")
    wait_until(lambda: dead(stack, limit=0)["counts"]["open"] == 0, 20, "no letter is open")


# proves P-70, P-70a
# proves P-71
def test_counts_groups_and_filters_say_what_lies_on_the_topic(own):
    purge_all(own)
    refused, missing = give_up(own, 5), give_up(own, 3, "status=404")
    invalid = [own.submit("probe.quick", {"nonsense": n})["id"] for n in range(2)]
    poison, = produce(own, "commands.probe", [b"no command at all"])
    place = ("errand-source-topic", f"{NAMESPACE}.commands.probe"), ("errand-source-offset", str(poison))
    wait_until(lambda: any(set(place) <= set(headers_of(record).items()) for record in own.kafka("dead.probe")), 20, "poison is put aside")
    wait_until(lambda: dead(own, limit=0)["counts"]["open"] == 11, 20, "eleven are open")
    told = dead(own, limit=1000)
    expected = {job: offset for job, offset in letters_on(own).items() if job in [*refused, *missing, *invalid]}
    assert {letter["id"]: letter["offset"] for letter in told["letters"] if "id" in letter} == expected
    assert told["counts"]["matching"] == 11 and sum(group["count"] for group in told["groups"]) == 11
    counts = {(group.get("type"), group["reason"], group.get("status")): group["count"] for group in told["groups"]}
    assert counts == {("probe.call", "target_rejected", 400): 5, ("probe.call", "target_rejected", 404): 3,
                      ("probe.quick", "payload_invalid", None): 2, (None, "envelope_invalid", None): 1}
    assert [group["count"] for group in told["groups"]] == [5, 3, 2, 1], "the largest first"
    assert {group.get("target") for group in told["groups"] if group.get("type") == "probe.call"} == {"probe"}

    def ids(**query):
        found = walk(own, limit=2, **query)
        assert dead(own, limit=0, **query)["counts"]["matching"] == len(found)
        return {letter.get("id") for letter in found}
    assert ids(type="probe.quick") == set(invalid)
    assert ids(reason="target_rejected") == set(refused + missing)
    fingerprint = next(group["fingerprint"] for group in told["groups"] if group.get("status") == 404)
    assert ids(fingerprint=fingerprint) == set(missing)
    assert ids(type="probe.quick", reason="target_rejected") == set()
    assert ids(queue="default") == set() and ids(queue="probe", reason="envelope_invalid") == {None}
    assert own.request("GET", "/v1/dead", params={"colour": "red"}).status_code == 400
    assert own.request("GET", "/v1/dead", params={"limit": 1001}).status_code == 400
    shown = json.loads(own.errand("dead", "ls", "-o", "json", "--type", "probe.quick").stdout)
    assert shown.pop("schema") == "errand.dead/1" and shown == dead(own, type="probe.quick", limit=20)
    shown = json.loads(own.errand("dead", "show", missing[1], "-o", "json").stdout)
    assert shown.pop("schema") == "errand.dead.letter/1" and shown == letter_of(own, missing[1])
    table = own.errand("dead", "ls", "--reason", "target_rejected").stdout
    assert table.startswith("11 open, ") and fingerprint in table and missing[0] in table and "\033" not in table
    assert own.errand("dead", "show", "probe/99999999", check=False).returncode == 3
    assert letter_of(own, missing[1])["payload"] == {"n": 1, "simulate": "status=404"}
    assert bytes.fromhex(own.request("GET", f"/v1/dead/probe/{dead(own, reason='envelope_invalid')['letters'][0]['offset']}")
                         .json()["raw"]) == b"no command at all"


# proves P-71a
def test_pages_neither_repeat_nor_leave_out_while_letters_are_resolved(own):
    purge_all(own)
    jobs = give_up(own, 40)
    first = dead(own, limit=7)
    assert len(first["letters"]) == 7
    execute(own, f"probe/{first['letters'][3]['offset']}", verb="purge")
    behind = next(letter["offset"] for letter in walk(own) if letter["id"] == jobs[30])
    execute(own, f"probe/{behind}", verb="purge")
    wait_until(lambda: dead(own, limit=0)["counts"]["open"] == 38, 20, "two are resolved")
    found, cursor = [letter["id"] for letter in first["letters"]], first["next"]
    while cursor:
        page = dead(own, limit=7, cursor=cursor)
        found += [letter["id"] for letter in page["letters"]]
        cursor = page.get("next")
    assert found == [job for job in sorted(jobs, key=letters_on(own).get) if job != jobs[30]]
    assert {letter.get("id") for letter in walk(own, state="resolved", limit=1000)} >= {jobs[30], first["letters"][3]["id"]}
    told = [schemas.check("errand.dead.letter/1", json.loads(line))
            for line in own.errand("dead", "export", "--queue", "probe").stdout.splitlines()]
    assert sorted((letter["id"], letter["payload"]["n"]) for letter in told) == sorted(
        (job, n) for n, job in enumerate(jobs) if job not in (jobs[30], first["letters"][3]["id"]))


def index_of(stack):
    """Every key of the index with what it holds."""
    client = stack.redis()
    kept = {}
    for key in client.scan_iter("errand:d:*", count=1000):
        if b":c:" not in key:
            kept[key] = client.hgetall(key) if client.type(key) == b"hash" else client.zrange(key, 0, -1, withscores=True)
    return kept


# proves P-72
def test_an_emptied_index_is_folded_again_to_the_same_bytes(own):
    give_up(own, 6)
    execute(own, "--queue", "probe", "--edit", json.dumps(MENDED))
    give_up(own, 3, "status=404")
    wait_until(lambda: dead(own, limit=0)["counts"]["open"] == 3, 20, "three are open")
    before, told = index_of(own), dead(own, limit=1000)
    assert before and any(b":b:" in key for key in before)
    own.redis().flushall()
    refused = own.request("GET", "/v1/dead")
    assert (refused.status_code == 503 and "Retry-After" in refused.headers) or refused.json() == told, refused.text
    assert dead(own, limit=1000) == told
    assert index_of(own) == before


# proves P-74
# proves P-75
def test_a_redrive_makes_one_linked_job_a_letter_with_the_old_effect_id(own):
    purge_all(own)
    jobs = give_up(own, 8, labels={"team": "blue"})
    before = ends(own)
    dry = redrive(own, "--all", "--edit", json.dumps(MENDED))
    assert dry["dry_run"] and dry["counts"] == {"would_be_redriven": 8} and ends(own) == before, "a dry run changes nothing"
    assert own.errand("dead", "redrive", "--all", "--execute", check=False).returncode == 2, "why is needed"
    done = execute(own, "--all", "--edit", json.dumps(MENDED), why="the target is mended")
    assert done["state"] == "done" and done["counts"] == {"redriven": 8}
    made = {item["id"]: item["job"] for item in done["items"]}
    assert set(made) == set(jobs) and len(set(made.values())) == 8 and not set(made.values()) & set(jobs)
    offsets = letters_on(own)
    for job, new in made.items():
        told = own.wait(new)
        assert told["state"] == "succeeded" and told["labels"] == {"team": "blue"}
        assert told["redrive"] == {"of": job, "number": 1, "batch": done["batch"], "edit": json.dumps(MENDED, separators=(",", ":"))}
        old = own.get(job)
        assert old["state"] == "failed" and old["links"]["dead"] == f"/v1/dead/{job}"
        letter = wait_until(lambda: (found := letter_of(own, job)).get("resolved") and found, 10, "the letter is resolved")
        assert letter["resolved"]["job"] == new and letter["resolved"]["as"] == "redriven"
        assert letter["resolved"]["who"] == "the tests" and letter["resolved"]["why"] == "the target is mended"
        assert letter["resolved"]["batch"] == done["batch"] and letter["offset"] == offsets[job]
        calls = own.calls(key=job)
        assert len(calls) == 2 and not own.calls(key=new), "the third party knows it by the old effect id"
    assert sorted(letter for letter, how in resolved_on(own) if how == "redriven" and letter in {offsets[job] for job in jobs}) == sorted(
        offsets[job] for job in jobs)
    again = execute(own, "--all", "--edit", json.dumps(MENDED), "--batch", done["batch"])
    commands = commands_by_job(own)
    assert again["counts"] == {} and all(commands[new] == 1 for new in made.values())
    records = audit(own, "dead.redrive", done["batch"])
    assert [record["phase"] for record in records].count("begun") == [record["phase"] for record in records].count("done")
    assert all(record["who"] == "the tests" and record["why"] == "the target is mended" for record in records)
    assert sum(record["counts"].get("redriven", 0) for record in records if record["phase"] == "done") == 8
    assert all(record["what"]["edit"] == MENDED and record["what"]["batch"] == done["batch"] for record in records)


# proves P-74a, P-74b
def test_the_same_step_twice_is_the_same_job(own):
    """The letter's resolution is kept from Kafka: what a crash between the two records leaves behind."""
    purge_all(own)
    job, = give_up(own, 1)
    offset, batch = letters_on(own)[job], None
    ids = set()
    set_record_limit(own, "dead.probe", 100)
    try:
        for _ in range(2):
            body = {"letter": f"probe/{offset}", "execute": True, "who": "the tests", "why": "twice", "edit": MENDED,
                    **({"batch": batch} if batch else {})}
            told = own.request("POST", "/v1/dead:redrive", json=body).json()
            batch = told["batch"]
            assert told["items"][0]["outcome"] == "unknown", told
            ids.add(told["items"][0]["job"])
    finally:
        set_record_limit(own, "dead.probe", None)
    other = own.request("POST", "/v1/dead:redrive", json={"letter": f"probe/{offset}", "execute": True, "who": "x", "why": "y"}).json()
    assert other["counts"] == {"claimed": 1}, "another batch leaves it alone"
    assert redrive(own, f"probe/{offset}")["counts"] == {"claimed": 1}, "and a dry run does not say otherwise"
    assert execute(own, f"probe/{offset}", "--batch", batch, "--edit", json.dumps(MENDED))["counts"] == {"redriven": 1}
    new, = ids
    assert own.wait(new)["state"] == "succeeded"
    assert len(own.calls(key=job)) == 2, "one call of the old job, one of the new one"


# proves P-76
def test_a_redrive_that_dies_in_the_middle_goes_on_and_makes_one_job_a_letter(own):
    purge_all(own)
    jobs = give_up(own, 80)
    commands, batch = commands_by_job(own), f"{int(time.time() * 1000)}-0badcafe"
    arguments = ["dead", "redrive", "--all", "--execute", "--why", "mended", "--rate", "10/s", "--batch", batch,
                 "--edit", json.dumps(MENDED)]
    before = len(resolved_on(own))
    environment = {**os.environ, **SANITIZER_OPTIONS, "ERRAND_DIR": own.folder}
    with subprocess.Popen([os.path.join(own.bin_folder, "errand"), *arguments], env=environment, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: len(resolved_on(own)) >= before + 10, 30, "it is under way")
        own.kill("gateway-1")
        wait_until(lambda: len(resolved_on(own)) >= before + 25, 60, "it goes on with the next gateway")
        pid = own.pid("gateway-1")
        os.kill(process.pid, signal.SIGKILL)
        own.kill("gateway-1")
    own.wait_restarted("gateway-1", pid)
    middle = len(resolved_on(own)) - before
    assert 25 <= middle < 80, f"{middle} of 80 were done when it died"
    done = execute(own, "--all", "--batch", batch, "--edit", json.dumps(MENDED))
    assert done["state"] == "done" and set(done["counts"]) == {"redriven"} and done["counts"]["redriven"] <= 80 - middle
    wait_until(lambda: dead(own, limit=0)["counts"]["open"] == 0, 20, "none is open")
    made = {}
    for letter in walk(own, state="resolved", limit=1000):
        if letter.get("id") in jobs:
            assert letter["resolved"]["batch"] == batch
            made[letter["id"]] = letter["resolved"]["job"]
    assert set(made) == set(jobs) and len(set(made.values())) == 80
    for job, new in made.items():
        told = own.wait(new)
        assert told["state"] == "succeeded" and told["redrive"]["of"] == job
        assert len(own.calls(key=job)) == 2, "one call of the old job, one of the new one"
    redriven = {job for job in set(commands_by_job(own)) - set(commands) if own.get(job).get("redrive", {}).get("batch") == batch}
    assert redriven == set(made.values()), "and there is no other job of this batch"


# proves P-77, P-74c
def test_a_redrive_stops_when_too_many_fail_again(own):
    purge_all(own)
    jobs = give_up(own, 60)
    done = execute(own, "--all", check=False)
    assert done["state"] == "stopped" and 10 <= done["counts"]["redriven"] <= 20, done["counts"]
    opened = {letter["id"] for letter in walk(own)}
    left = set(jobs) & opened
    assert len(left) == 60 - done["counts"]["redriven"], "the others are as before"
    again = opened - set(jobs)
    assert again and all(own.get(job)["redrive"]["number"] == 1 for job in again), "what failed again has a letter of its own"
    allowed = execute(own, "--all", "--batch", done["batch"], "--max-failed", "100")
    assert allowed["state"] == "done" and allowed["counts"] == {"redriven": len(left)}
    wait_until(lambda: len({letter["id"] for letter in walk(own)} - set(jobs)) == 60, 30, "all have failed again")
    assert allowed["so_far"]["made"] == 60 and allowed["so_far"]["failed"] >= 50, "of the whole batch"
    refused = execute(own, "--all", "--max-redrives", "1")
    assert refused["counts"] == {"too_often": 60}


# proves P-77
def test_a_few_that_all_fail_again_are_no_success(own):
    purge_all(own)
    give_up(own, 4)
    asked = own.errand("dead", "redrive", "--all", "--execute", "--why", "too early", "-o", "json", "--settle", "30s", check=False)
    told = schemas.check("errand.dead.redrive/1", json.loads(asked.stdout))
    assert asked.returncode == 1 and "too many" in asked.stderr, asked
    assert told["state"] == "stopped" and told["counts"] == {"redriven": 4}
    assert told["so_far"] == {"made": 4, "succeeded": 0, "failed": 4, "undecided": 0}


class Deaf(http.server.BaseHTTPRequestHandler):
    """Passes requests on to a gateway, and keeps the first answer to one that changed something for itself."""
    protocol_version = "HTTP/1.1"
    target, lost = None, 0

    def log_message(self, *_):
        pass

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        answer = requests.request(self.command, type(self).target + self.path, data=body, timeout=60)
        if json.loads(body or "{}").get("execute") and not type(self).lost:
            type(self).lost += 1
            assert answer.status_code == 200, answer.text
            self.close_connection = True
            return
        self.send_response(answer.status_code)
        self.send_header("content-type", answer.headers["content-type"])
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_POST = do_GET


# proves P-74
@pytest.mark.parametrize("verb, outcome, several", [("redrive", "redriven", True), ("purge", "purged", True), ("redrive", "redriven", False)])
def test_what_was_done_in_a_step_whose_answer_was_lost_is_told(own, verb, outcome, several):
    purge_all(own)
    jobs = give_up(own, 5 if several else 1)
    places = {f"probe/{letters_on(own)[job]}" for job in jobs}
    deaf = type("OneDeaf", (Deaf,), {"target": own.url})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), deaf) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        edit = ["--edit", json.dumps(MENDED)] if verb == "redrive" else []
        told = execute(own, *(["--all"] if several else places), *edit, "--url", f"http://127.0.0.1:{server.server_port}", verb=verb)
        server.shutdown()
    assert deaf.lost == 1 and told["state"] == "done"
    assert {item["letter"] for item in told["items"]} == places and told["counts"] == {outcome: len(places)}, told
    if verb == "redrive":
        assert all(own.wait(item["job"])["state"] == "succeeded" for item in told["items"])


# proves P-78, P-32a
def test_a_purge_resolves_and_deletes_nothing(own):
    purge_all(own)
    jobs = give_up(own, 4)
    offsets = letters_on(own)
    dry = redrive(own, "--queue", "probe", verb="purge")
    assert dry["counts"] == {"would_be_purged": 4} and dead(own, limit=0)["counts"]["open"] == 4
    done = execute(own, "--queue", "probe", why="no longer wanted", verb="purge")
    assert done["counts"] == {"purged": 4}
    assert {(offsets[job], "purged") for job in jobs} <= set(resolved_on(own))
    assert set(jobs) <= set(letters_on(own)), "the letters lie where they lay"
    headers = {told.get("ce_subject"): told for told in map(headers_of, own.kafka("dead.probe")) if told["ce_type"] == "errand.dead"}
    assert {(headers[job]["errand-target"], headers[job]["errand-status"]) for job in jobs} == {("probe", "400")}
    wait_until(lambda: dead(own, limit=0)["counts"]["open"] == 0, 20, "none is open")
    told = letter_of(own, jobs[2])
    assert told["resolved"]["as"] == "purged" and told["resolved"]["why"] == "no longer wanted" and told["payload"]["n"] == 2
    begun, ended = audit(own, "dead.purge", done["batch"])
    assert (begun["phase"], ended["phase"]) == ("begun", "done") and begun["counts"] == {"would_be_purged": 4}
    assert ended["counts"] == {"purged": 4} and ended["what"]["queue"] == "probe" and ended["who"] == "the tests"
    assert all(own.get(job)["state"] == "failed" for job in jobs), "the jobs' end stays"


# proves P-79
def test_what_was_made_at_the_beginning_is_in_the_audit(own):
    record = audit(own, "topics.apply")[0]
    assert record["counts"]["changes"] > 0 and record["who"] and record["phase"] == "done"
    assert any("errand.dead.probe" in line for line in record["what"]["changes"])
    lines = {record.key().decode(): json.loads(record.value()) for record in own.kafka("audit")}
    assert lines[record["id"]] == record, "as another client reads it"
    table = own.errand("audit").stdout
    assert "topics.apply" in table and "WHO" in table.splitlines()[0]


def test_a_page_deep_in_many_letters_costs_what_it_holds(fresh_stack):
    """10^5 letters of two kinds, as any Kafka client could write them."""
    count = 100_000
    stack = fresh_stack("apache")
    producer = confluent_kafka.Producer({"bootstrap.servers": stack.brokers(), "queue.buffering.max.messages": 2 * count, "linger.ms": 20})
    for n in range(count):
        reason = b"target_rejected" if n % 2 else b"target_timeout"
        producer.produce(f"{NAMESPACE}.dead.default", value=command(facts(job_type="quote.fetch", queue="default")), headers=[
            ("ce_type", b"errand.dead"), ("errand-reason", reason), ("errand-detail", b"case %d" % n),
            ("errand-source-topic", b"errand.commands.default"), ("errand-source-partition", b"0"), ("errand-source-offset", b"%d" % n)])
    assert producer.flush(60) == 0
    wait_until(lambda: dead(stack, limit=0)["counts"]["open"] == count, 60, "all of them are in the index")

    def took(**query):
        """The quickest of some: what it costs, whatever else the machine does."""
        best = float("inf")
        for _ in range(15):
            began = time.monotonic()
            page = dead(stack, queue="default", limit=100, **query)
            best = min(best, time.monotonic() - began)
            assert len(page["letters"]) == 100
        return best, page
    first, _ = took()
    last, page = took(cursor=f"default/{count - 101}")
    assert page["letters"][0]["offset"] == count - 100
    filtered, page = took(cursor=f"default/{count - 1000}", reason="target_timeout")
    assert all(letter["reason"] == "target_timeout" for letter in page["letters"])
    print(f"\na page of 100 of {count}: {first * 1000:.1f} ms at the start, {last * 1000:.1f} ms at the end, {filtered * 1000:.1f} ms filtered")
    assert last < 3 * first + 0.005 and filtered < 3 * first + 0.005, (first, last, filtered)
    bytes_each = stack.redis().info("memory")["used_memory"] / count
    print(f"{bytes_each:.0f} bytes of Redis a letter")


def test_a_kafka_that_does_not_answer_is_asked_for_so_many_payloads_at_once_and_no_more(own):
    job, = give_up(own, 1)
    path = f"/v1/dead/probe/{letters_on(own)[job]}"
    with concurrent.futures.ThreadPoolExecutor(ASKERS) as askers:
        broker = own.signal("broker", signal.SIGSTOP)
        try:
            asked = [askers.submit(requests.get, own.url + path, timeout=60) for _ in range(ASKERS)]
            refused = next(concurrent.futures.as_completed(asked)).result()
            assert (refused.status_code, refused.json()["code"]) == (503, "overloaded") and int(refused.headers["Retry-After"]) >= 1
            wait_until(lambda: sum(one.done() for one in asked) >= ASKERS - QUESTIONS_MAX, 5, "all but those that Kafka was asked for")
        finally:
            os.kill(broker, signal.SIGCONT)
    codes = collections.Counter(one.result().json().get("code") for one in asked)
    assert 0 < ASKERS - codes["overloaded"] <= QUESTIONS_MAX, codes
    wait_until(lambda: own.request("GET", path).status_code == 200, 20, "it is told again")


def test_the_embedded_broker_has_the_same_letters_as_long_as_it_lives(embedded_stack):
    jobs = give_up(embedded_stack, 3)
    done = execute(embedded_stack, *jobs, "--edit", json.dumps(MENDED))
    assert done["counts"] == {"redriven": 3}
    assert all(embedded_stack.wait(item["job"])["state"] == "succeeded" for item in done["items"])
    assert {record["phase"] for record in audit(embedded_stack, "dead.redrive", done["batch"])} == {"begun", "done"}


# proves P-73
def test_what_retention_takes_leaves_the_index_and_is_counted(own):
    purge_all(own)
    jobs = give_up(own, 4)
    offsets = sorted(letters_on(own)[job] for job in jobs)
    admin = AdminClient({"bootstrap.servers": own.brokers()})
    behind = confluent_kafka.TopicPartition(f"{NAMESPACE}.dead.probe", 0, offsets[2])
    for future in admin.delete_records([behind]).values():
        assert future.result(20).low_watermark == offsets[2]
    assert own.request("GET", f"/v1/dead/probe/{offsets[0]}").json()["gone"], "it is still told what it was"

    def left():
        give_up(own, 1)  # what is folded next takes along what is gone
        kept = own.redis().zcount("errand:d:probe:r", 0, offsets[2] - 1)
        return kept == 0 and {letter["offset"] for letter in walk(own)} & set(offsets) == set(offsets[2:])
    wait_until(left, 60, "the first two have left")
    assert value(own, "recorder-1", "errand_dead_letters_gone_total") == 2
    assert own.request("GET", f"/v1/dead/probe/{offsets[0]}").status_code == 404
    before = index_of(own)
    own.redis().flushall()
    dead(own)
    assert index_of(own) == before, "folded from what is left it is the same"
