"""Bare hiredis on the stack's own Redis.

SPDX-License-Identifier: Apache-2.0
"""
import statistics

from measure import NAMESPACE, cpu_s
from stack import identity

PIPELINE = 64
KEYS_LOOKED_AT = 500


def record_bytes(redis, ids=None):
    """The mean size of the records that the view holds, or of those of these jobs."""
    keys = [f"{NAMESPACE}:r:{identity(job_id)}" for job_id in (ids or [])[:KEYS_LOOKED_AT]] or [
        key for key, _ in zip(redis.scan_iter(f"{NAMESPACE}:r:*", 1000), range(KEYS_LOOKED_AT))]
    return round(statistics.mean(redis.strlen(key) for key in keys))


def raw_redis(bench, how, count, size):
    """What bare hiredis told."""
    host, port = bench.stack.address("redis").rsplit(":", 1)
    password = bench.stack.redis().connection_pool.connection_kwargs["password"]
    return bench.tool("raw_redis", host, port, how, count, size, PIPELINE, limit_s=120, environment={"RAW_REDIS_PASSWORD": password})


def bare_outcome_us(bench, count):
    """CPU of the client and Redis for a SET and a PUBLISH of as many bytes as a record of the view has."""
    pid = bench.stack.pid("redis")
    before = cpu_s(pid)
    client = raw_redis(bench, "publish", count, record_bytes(bench.stack.redis()))["cpu_us"]
    return client + 1e6 * (cpu_s(pid) - before) / count
