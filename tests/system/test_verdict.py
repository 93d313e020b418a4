"""The checker of histories on real runs: a run with faults is judged clean, and the same run with one lie told about it
is judged bad, for that reason.

SPDX-License-Identifier: Apache-2.0
"""
import json

from load import Load
from moments import now_ms
from stack import TERMINAL, identity
from waiting import wait_until

RATE = 60
EVERY_KIND = [  # type, payload, more options
    ("sentence.make", {"seed": 7}, []),
    ("probe.call", {"simulate": "fail=1"}, []),
    ("probe.call", {"simulate": "status=400"}, []),
    ("ledger.post", {"account": "17", "cents": 1, "simulate": "fail=1"}, ["--key", "account-{{n}}"]),
    ("ledger.post", {"account": "18", "cents": 1}, ["--key", "account-18"]),
]
MADE_UP = "0193c0de-7000-7000-8000-00000000beef"


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def judge(stack, path, lines, *options):
    """(exit code, the verdict) over these lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = stack.errand("verdict", "--history", path, "--ledger", f"http://{stack.address('simulator')}", "-o", "json",
                        *options, check=False, limit_s=120)
    assert done.stdout, done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["schema"] == "errand.verdict/1"
    return done.returncode, verdict


def found(verdict):
    return {kind: count for kind, count in verdict["counts"].items() if count}


def fault(what, name):
    return {"do": "fault", "what": what, "name": name, "begin": now_ms()}


def terminal_reads(lines):
    """The reads of the first job that was told as ended, and again in a read that began later: what comes in the same
    millisecond contradicts nobody."""
    first = {}
    for line in lines:
        if line["do"] == "read" and line.get("state") in TERMINAL:
            before = first.setdefault(line["id"], line)
            if line["begin"] > before["end"]:
                return before, line
    raise AssertionError("no job was read twice")


def without_job(lines, request):
    """The history as if nobody had ever submitted or read that job."""
    job_id = next(line["id"] for line in lines if line["do"] == "submitted" and line["request"] == request)
    return [line for line in lines if line.get("request") != request and line.get("id") != job_id]


def run_with_faults(stack, tmp_path):
    """Jobs of 300 ms; a worker is killed, and Redis emptied. Returns the history, faults included."""
    history = tmp_path / "history"
    load = Load(stack, "probe.call", {"simulate": "slow=300"}, tmp_path / "ids", rate=RATE, duration_s=8,
                options=["--mode", "e2e", "--history", str(history)])
    load.wait_accepted(RATE)
    faults = [fault("kill", "worker-1")]
    stack.kill("worker-1")
    load.wait_accepted(4 * RATE)
    faults.append(fault("flushall", "redis"))
    stack.redis().flushall()
    ids = load.finish()
    wait_until(lambda: all(stack.read(i).status_code == 200 for i in ids[:20]), 60, "the view is whole again")
    return lines_of(history) + faults


def in_order(lines):
    return sorted(lines, key=lambda line: line["begin"] if line["do"] == "submit" else line["end"])


def cancel_one(stack):
    """The history of a job that is put off and called off."""
    request, begin = "cancelled-1", now_ms()
    job = stack.post({"type": "sentence.make", "payload": {"seed": 1}, "delay": "1h"}, {"X-Request-Id": request})
    assert job.status_code == 202
    lines = [{"do": "submit", "request": request, "begin": begin},
             {"do": "submitted", "request": request, "id": job.json()["id"], "begin": begin, "end": now_ms(), "status": 202}]

    def cancelled():
        begin = now_ms()
        answer = stack.request("DELETE", f"/v1/jobs/{job.json()['id']}")
        lines.append({"do": "cancel", "id": job.json()["id"], "begin": begin, "end": now_ms(),
                      "status": answer.status_code})
        if answer.status_code in (200, 202):
            lines[-1]["state"] = answer.json()["state"]
        return answer.status_code == 200
    wait_until(cancelled, 30, "the job is cancelled")
    return lines


def run_every_kind(stack, tmp_path):
    """(history, ids of the first kind): retries, failures, ordered jobs with retries, a cancelled one."""
    loads = [Load(stack, job_type, payload, tmp_path / f"ids-{i}", rate=15, duration_s=2,
                  options=["--mode", "e2e", "--history", str(tmp_path / f"history-{i}"), *options])
             for i, (job_type, payload, options) in enumerate(EVERY_KIND)]
    lines = cancel_one(stack)
    ids = [load.finish() for load in loads]
    for i in range(len(loads)):
        lines += lines_of(tmp_path / f"history-{i}")
    return in_order(lines), ids


def assert_lies_are_found(stack, path, lines):
    requests = [line["request"] for line in lines if line["do"] == "submitted" and line["status"] == 202]
    code, verdict = judge(stack, path, without_job(lines, requests[0]))
    assert (code, found(verdict)) == (1, {"ghost": 1}), verdict["findings"]
    assert verdict["findings"][0]["topic"] == "errand.commands.probe"

    first, second = terminal_reads(lines)
    code, verdict = judge(stack, path, [{**line, "digest": "00000000deadbeef"} if line is second else line
                                        for line in lines])
    assert (code, found(verdict)) == (1, {"flipped": 1}), verdict["findings"]
    assert verdict["findings"][0]["line"] == lines.index(second) + 1

    code, verdict = judge(stack, path, [{**line, "state": "running", "version": first["version"] - 1}
                                        if line is second else line for line in lines])
    assert (code, found(verdict)) == (1, {"went_back": 1}), verdict["findings"]

    at = lines.index(second)
    accepted = {"request": "made-up", "begin": second["end"]}
    code, verdict = judge(stack, path, [
        *lines[:at + 1], {"do": "submit", **accepted},
        {"do": "submitted", **accepted, "end": second["end"], "status": 202, "id": MADE_UP}, *lines[at + 1:]])
    assert (code, found(verdict)) == (1, {"lost": 1}), verdict["findings"]

    denied = {"do": "read", "id": second["id"], "begin": second["end"], "end": second["end"], "status": 404}
    code, verdict = judge(stack, path, [*lines[:at + 1], denied, *lines[at + 1:]])
    assert (code, found(verdict)) == (1, {"absent": 1}), verdict["findings"]

    code, verdict = judge(stack, path, [line for line in lines if line["do"] != "fault"])
    assert code == 1 and set(found(verdict)) == {"repeated"}, verdict["findings"]


# proves P-2, P-9, P-21, P-53
def test_a_run_with_faults_is_clean_and_lies_about_it_are_found(fresh_stack, tmp_path):
    stack = fresh_stack("apache", workers=2)
    lines = run_with_faults(stack, tmp_path)
    path = tmp_path / "judged"
    code, verdict = judge(stack, path, lines, "--view")
    assert (code, verdict["verdict"], found(verdict)) == (0, "clean", {}), verdict["findings"]
    assert verdict["not_judged"] == []
    assert verdict["jobs"] >= 7 * RATE and verdict["faults"] == 2
    assert verdict["reads"] > 2 * verdict["jobs"]
    assert 0 < verdict["repeats"] <= verdict["repeats_bound"], "those in flight in the killed worker, and no more"
    assert_lies_are_found(stack, path, lines)


# proves P-53
def test_jobs_of_every_kind_are_clean_and_a_record_that_is_not_the_logs_is_found(stack, tmp_path):
    mark = tmp_path / "since"
    earlier = stack.submit("sentence.make", {"subject": "an elder", "seed": 1}, wait_s=20)
    mark.write_text(stack.errand("verdict", "--mark").stdout)
    lines, ids = run_every_kind(stack, tmp_path)
    options = ["--view", "--since", str(mark)]
    code, verdict = judge(stack, tmp_path / "judged", lines, *options)
    assert (code, found(verdict)) == (0, {}), verdict["findings"]
    assert verdict["jobs"] == sum(map(len, ids)) + 1
    assert verdict["dead"] >= len(ids[2]) and verdict["cancels"] >= 1
    assert earlier["state"] == "succeeded", "and it is not judged: it lies before the mark"
    key = f"errand:r:{identity(ids[0][0])}"
    record = stack.redis().get(key)
    stack.redis().set(key, record[:-1] + bytes([record[-1] ^ 1]), keepttl=True)
    code, verdict = judge(stack, tmp_path / "judged", lines, *options)
    stack.redis().set(key, record, keepttl=True)
    assert (code, found(verdict)) == (1, {"view": 1}), verdict["findings"]
