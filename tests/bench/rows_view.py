"""Rows about the view in Redis: what folding costs, what a finished job takes of it, and pages among a million.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import signal
import statistics
import time

from confluent_kafka import Producer

from bare_redis import bare_outcome_us, raw_redis, record_bytes
from list_page import entries, put as put_jobs
from measure import NAMESPACE, RATE, TYPE, median_of, rounded, row, wait_until
from put import NOBODY, identities, put
from records import command, event, facts
from stack import metric

PAGE_REQUESTS = 200
RESULT_BYTES = 100
MEMORY_JOBS = 20000
LISTED_MIN = 16  # jobs that a part of a list has at least, on average
OUTCOMES = 50000


@row("ratio >= 50000")
def refold(bench):
    """records of the log folded a second into an emptied view, until it is certified"""
    bench.load("--connections", 256, seconds=3 * bench.seconds)
    redis = bench.stack.redis()
    redis.flushall()
    began = time.monotonic()
    wait_until(lambda: redis.hexists(f"{NAMESPACE}:view", "certificate"), 600, "the view is whole again")
    took = time.monotonic() - began
    applied = sum(int(value) for value in redis.hvals(f"{NAMESPACE}:view") if value.isdigit())
    return applied, took, "s", {"keys": redis.dbsize()}


# --- what an outcome costs ---

def memory_of(redis):
    return redis.info("memory")["used_memory"]


def applied(bench):
    return metric(bench.stack.address("recorder-1"), 'errand_recorder_applied_total{kind="event"}')


@row("ratio <= 2")
def recorder(bench):
    """CPU of recorder and Redis for an outcome, thousands waiting / of bare hiredis and Redis, SET and PUBLISH, 64 in a pipeline"""
    parts = []
    template = event(facts(NOBODY, job_type=TYPE, queue="rules"), result="x" * RESULT_BYTES)
    template = template.replace(b"x" * RESULT_BYTES, json.dumps({"text": "x" * (RESULT_BYTES - 12)}).encode())

    def ours_us():
        pid, before = bench.stack.pid("recorder-1"), applied(bench)
        os.kill(pid, signal.SIGSTOP)  # for less than kafka.session_timeout
        try:
            put(bench.stack, "replies.rules", template, identities(OUTCOMES))
        finally:
            counted = bench.cpu_of("recorder-", "redis")
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: applied(bench) >= before + OUTCOMES, 120, "all outcomes are in the view")
        parts.append({name: 1e6 * used / OUTCOMES for name, used in counted.used().items()})
        return sum(parts[-1].values())

    numerator, denominator = bench.alternately(ours_us, lambda: bare_outcome_us(bench, OUTCOMES))
    return numerator, denominator, "us", {"us": median_of(parts), "outcomes": OUTCOMES}


@row("numerator <= 500 B", "bench")
def redis_memory(bench):
    """memory of Redis that a finished job with a result of 100 bytes takes, lists included / a bare SET of a value as long as its record"""
    redis, count = bench.stack.redis(), MEMORY_JOBS
    payload = {"text": "x" * (RESULT_BYTES - len(json.dumps({"text": ""}, separators=(",", ":"))))}
    before, keys = memory_of(redis), redis.dbsize()
    told = bench.load("--count", count, "--connections", 64, job_type="bench.echo", payload=payload, limit_s=600)
    assert told["finished"] == count, told
    wait_until(lambda: redis.dbsize() <= keys + count + count // LISTED_MIN, 60, "only records and parts of lists are left")
    ids = [job["id"] for job in bench.stack.request("GET", "/v1/jobs", params={"type": "bench.echo", "limit": 100}).json()["jobs"]]
    ours_bytes = (memory_of(redis) - before) / count
    size, before = record_bytes(redis, ids), memory_of(redis)
    raw_redis(bench, "set", count, size)
    return ours_bytes, (memory_of(redis) - before) / count, "B", {"jobs": count, "record_bytes": size}


# --- pages ---

def page_ms(bench, path, **parameters):
    """The median time of one page, and the page."""
    took = []
    for _ in range(PAGE_REQUESTS):
        began = time.perf_counter()
        response = bench.stack.request("GET", path, params=parameters)
        took.append(1000 * (time.perf_counter() - began))
        assert response.status_code == 200, response.text
    return statistics.median(took), response.json()


@row("ratio <= 2")
def list_page(bench):
    """a page of 50 jobs, in the middle of a million / the same before there were so many"""
    redis = bench.stack.redis()
    bench.load("--rate", f"{RATE}/s", seconds=1)
    before, page = page_ms(bench, "/v1/jobs", limit=50)
    assert len(page["jobs"]) == 50
    middle, memory = int(time.time() * 1000) - 1_800_000, redis.info("memory")["used_memory"]
    put_jobs(bench.stack, bench.many)  # through Kafka, as outcomes
    wait_until(lambda: entries(redis) >= bench.many, 1200, "the view has them all")
    after, page = page_ms(bench, "/v1/jobs", limit=50, cursor=f"{middle}-{'0' * 24}")
    assert len(page["jobs"]) == 50
    newest, _ = page_ms(bench, "/v1/jobs", limit=50)
    bytes_each = (redis.info("memory")["used_memory"] - memory) / bench.many
    return after, before, "ms", {"jobs": bench.many, "newest_ms": rounded(newest), "redis_bytes_each": rounded(bytes_each)}


def put_letters(bench, count):
    """Through Kafka, as any client could write them, and folded."""
    topic = f"{NAMESPACE}.dead.default"
    producer = Producer({"bootstrap.servers": bench.stack.address("broker"), "linger.ms": 20,
                         "queue.buffering.max.messages": 200_000})
    for n in range(count):
        bench.letters += 1
        headers = [("ce_type", b"errand.dead"), ("errand-reason", b"target_rejected" if n % 2 else b"target_timeout"),
                   ("errand-detail", b"case %d" % n), ("errand-source-topic", f"{NAMESPACE}.commands.default"),
                   ("errand-source-partition", b"0"), ("errand-source-offset", b"%d" % bench.letters)]
        while True:
            try:
                producer.produce(topic, value=command(facts(job_type="quote.fetch", queue="default")), headers=headers)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(120) == 0

    def folded():
        response = bench.stack.request("GET", "/v1/dead", params={"limit": 0})
        return response.status_code == 200 and response.json()["counts"]["open"] >= bench.letters
    wait_until(folded, 1200, "the index has them all")


@row("ratio <= 2")
def dead_page(bench):
    """a page of 100 dead letters, in the middle of a million / the same before there were so many"""
    put_letters(bench, 200)
    before, page = page_ms(bench, "/v1/dead", queue="default", limit=100)
    assert len(page["letters"]) == 100
    first, redis = page["letters"][0]["offset"], bench.stack.redis()
    memory = redis.info("memory")["used_memory"]
    put_letters(bench, bench.many)
    place = first + bench.many // 2
    after, page = page_ms(bench, "/v1/dead", queue="default", limit=100, cursor=f"default/{place}")
    assert [letter["offset"] for letter in page["letters"]] == list(range(place + 1, place + 101))
    filtered, page = page_ms(bench, "/v1/dead", queue="default", limit=100, cursor=f"default/{place}", reason="target_timeout")
    assert all(letter["reason"] == "target_timeout" for letter in page["letters"]) and len(page["letters"]) == 100
    bytes_each = (redis.info("memory")["used_memory"] - memory) / bench.many
    return after, before, "ms", {"letters": bench.many, "filtered_ms": rounded(filtered), "redis_bytes_each": rounded(bytes_each)}
