"""What nobody means to happen: Redis full or silent, records of other people's making, ends at the wrong moment.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import signal
import subprocess

import requests

import processes
from records import RECORD_MAX, command, event, facts, produce
from stack import NAMESPACE, SANITIZER_OPTIONS, headers_of, identity
from waiting import wait_until

QUICK = {"subject": "hostile", "seed": 1}


def succeeded_on_kafka(stack, job_id):
    return any(headers["ce_subject"] == job_id and headers["ce_type"].endswith("succeeded")
               for headers in map(headers_of, stack.kafka("replies.probe")))


def test_a_full_redis_stops_no_work(fresh_stack):
    stack = fresh_stack()
    stack.redis().config_set("maxmemory", "1mb")
    stack.wait_restarted("worker-1", stack.kill("worker-1"))
    job = stack.submit("probe.quick", QUICK)
    wait_until(lambda: succeeded_on_kafka(stack, job["id"]), 20, "the job is done though Redis takes no write")
    stack.redis().config_set("maxmemory", "0")
    assert stack.wait(job["id"])["state"] == "succeeded"


def test_foreign_records_without_times_hold_up_nobody(fresh_stack):
    stack = fresh_stack()
    produce(stack, "replies.probe", [event(facts(b"e" * 16, forget=False), at=0)])
    produce(stack, "commands.probe", [command(facts(b"c" * 16, forget=False))])
    jobs = [stack.submit("probe.quick", QUICK) for _ in range(20)]
    for job in jobs:
        assert stack.wait(job["id"])["state"] == "succeeded"


# proves P-33a
def test_a_foreign_record_as_large_as_a_topic_takes_holds_up_nobody(fresh_stack):
    stack = fresh_stack("apache")
    produce(stack, "commands.probe", [b"x" * (RECORD_MAX - less) for less in (100, 400)])
    wait_until(lambda: len(stack.kafka("dead.probe")) >= 1, 20, "its beginning is with the dead letters")
    jobs = [stack.submit("probe.quick", QUICK) for _ in range(20)]
    for job in jobs:
        assert stack.wait(job["id"])["state"] == "succeeded"


# proves P-8, P-9
def test_what_was_accepted_is_told_so_while_redis_is_silent(fresh_stack):
    stack = fresh_stack()
    stack.submit("probe.quick", QUICK)
    pid = stack.signal("redis", signal.SIGSTOP)
    try:
        job = stack.submit("probe.quick", QUICK, wait_s=1)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert stack.wait(job["id"])["state"] == "succeeded"


# proves P-10
def test_an_absent_job_is_told_to_be_absent_while_others_come_in(fresh_stack, tmp_path):
    stack = fresh_stack(config={"kafka": {"produce_timeout": "1s"}, "gateway": {"lag_limit": "1s"}})
    job = stack.submit("probe.quick", QUICK)
    stack.wait(job["id"])
    own = identity(job["id"])
    redis = stack.redis()
    wait_until(lambda: redis.hget(f"{NAMESPACE}:view", f"a:{NAMESPACE}.commands.probe:0") == b"1", 10,
               "its command is folded, too")
    assert redis.delete(f"{NAMESPACE}:r:{own}") == 1
    load = subprocess.Popen(
        [os.path.join(stack.bin_folder, "errand"), "load", "probe.quick", "--dir", stack.folder, "--rate", "50/s",
         "--duration", "12s", "-d", json.dumps(QUICK)],
        env={**os.environ, **SANITIZER_OPTIONS}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: stack.read(job["id"]).status_code == 404, 10, "it is told while jobs come in")
    finally:
        load.wait(timeout=60)


def test_ends_while_kafka_is_silent(fresh_stack):
    """The sanitizers tell of what an answer finds freed."""
    stack = fresh_stack(config={"kafka": {"produce_timeout": "1s"}, "gateway": {"lag_limit": "1s"}})
    job = stack.submit("probe.quick", QUICK)
    stack.wait(job["id"])
    broker = stack.signal("broker", signal.SIGSTOP)
    try:
        redis = stack.redis()
        redis.delete(*[key for key in redis.keys(f"{NAMESPACE}:r:*")])
        try:
            requests.get(f"{stack.url}/v1/jobs/{job['id']}", timeout=2)
        except requests.Timeout:
            pass
        redis.flushall()
        wait_until(lambda: "begins again" in stack.all_logs() or "is not as it was left" in stack.all_logs(), 10,
                   "the recorder sees it")
        ended = [stack.signal(name, signal.SIGTERM) for name in ("recorder-1", "gateway-1")]
        wait_until(lambda: not any(map(processes.is_alive, ended)), 40, "both end without Kafka")
    finally:
        os.kill(broker, signal.SIGCONT)
    stack.wait_restarted("recorder-1", ended[0])
    stack.wait_restarted("gateway-1", ended[1])
