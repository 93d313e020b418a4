"""What the rows of the benchmark have in common: the stack that is measured, the load, the raw tools beside it, and how
CPU and memory are counted.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
import processes  # noqa: E402 (the path comes first)
from configuration import LOCAL, load, write  # noqa: E402
from stack import NAMESPACE, Stack  # noqa: E402
from waiting import wait_until  # noqa: E402

OVERLAY = os.path.join(HERE, "bench.yaml")
TYPE = "order.price"
PAYLOAD = {"region": "DE", "coupon": "WELCOME10", "lines": [  # makes a body of about 300 bytes
    {"sku": f"article-{n}", "quantity": 12 * n, "unit_cents": 199 + n} for n in range(1, 5)]}
BODY = json.dumps({"type": TYPE, "payload": PAYLOAD})
CONNECTIONS = 64
RATE = 200
OURS = ("gateway-", "worker-", "recorder-", "delayer-")
FILES = 40000  # open files: ten thousand connections have two ends
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
QUIET_CORES = 0.2  # less than that: what was submitted is done
QUIET_LOOK_S = 0.5
QUIET_LIMIT_S = 120


def say(text):
    print(text, file=sys.stderr, flush=True)


def rounded(value):
    return float(f"{value:.4g}")


def median_of(parts):
    """{name: the median over all parts}, each of them {name: value}."""
    return {name: rounded(statistics.median(part[name] for part in parts)) for name in parts[0]}


# --- rows ----------------------------------------------------------------------------------------------------------

class Row:
    """A row: a function of a Bench that gives (numerator, denominator, unit, more). Its target is told, nothing depends
    on it: "MEMBER <= LIMIT UNIT", or None for a row that is only told. `where` is what it needs: a stack as `errand up`
    makes it ("local"), one with the types of bench.yaml ("bench", or "waiting", which is left with jobs that wait), or other
    systems beside one ("peers"). `embedded`: it can be measured on the embedded broker too."""

    def __init__(self, function, target, where, embedded):
        self.name, self.function, self.target, self.where, self.embedded = function.__name__, function, target, where, embedded

    def measure(self, bench):
        numerator, denominator, unit, more = self.function(bench)
        return {"row": self.name, "numerator": rounded(numerator), "denominator": rounded(denominator),
                "ratio": rounded(numerator / denominator), "target": self.target, "unit": unit,
                "what": self.function.__doc__, **more}


ROWS = {}  # by name, in the order in which they are measured


def row(target, where="local", embedded=False):
    def add(function):
        ROWS[function.__name__] = Row(function, target, where, embedded)
        return function
    return add


# --- processes -----------------------------------------------------------------------------------------------------

def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


class CpuOf:
    """CPU seconds of several processes between its making and used()."""

    def __init__(self, pids):
        self.pids = pids
        self.before = {name: cpu_s(pid) for name, pid in pids.items()}

    def used(self):
        return {name: cpu_s(pid) - self.before[name] for name, pid in self.pids.items()}


def pss_mib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("Pss:"))


def ours(values):
    """The sum of the daemons; broker, Redis and the rest are told, not counted."""
    return sum(value for name, value in values.items() if name.startswith(OURS))


def allow_files():
    """For this process and those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES if hard == resource.RLIM_INFINITY else min(FILES, hard), hard))


class RawServer:
    """A raw server, running: raw_http, which with a number of connections parks those, and wake() answers them."""

    def __init__(self, folder, *arguments, name="raw_http"):
        self.process = subprocess.Popen([os.path.join(folder, name), *map(str, arguments)], stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        self.address = f"127.0.0.1:{int(self.process.stdout.readline())}"
        self.url = f"http://{self.address}"
        self.pid = self.process.pid
        return self

    def wait_parked(self):
        assert self.process.stdout.readline() == "parked\n", "raw_http has ended"

    def wake(self):
        self.process.send_signal(signal.SIGUSR1)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


def wait_quiet(name, counting):
    """Until nothing is left of a load that followed none of its jobs; `counting` begins to count the CPU of those who do it."""
    def quiet():
        counted = counting()
        let_pass(QUIET_LOOK_S)
        return sum(counted.used().values()) < QUIET_CORES * QUIET_LOOK_S
    wait_until(quiet, QUIET_LIMIT_S, f"{name} has done all it was given")


# --- the stack -----------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def stack_with(bin_folder, overlay=None, workers=1, broker="apache"):
    """A stack in a temporary folder, with this laid over the local configuration; its broker has the whole compiler, as in production, and
    not the little one of `errand up`, and its Redis room for a million jobs."""
    os.environ.setdefault("KAFKA_HEAP_OPTS", "-Xms1g -Xmx1g")
    os.environ.setdefault("KAFKA_JVM_PERFORMANCE_OPTS", "-XX:+UseG1GC")
    folder = tempfile.mkdtemp(prefix="errand-bench-")
    config = None
    if overlay:
        config = os.path.join(folder, "bench.yaml")
        write(config, load(LOCAL), overlay)
    stack = Stack(bin_folder, os.path.join(folder, "stack"), broker, workers=workers, config=config)
    try:
        stack.up()
        stack.redis().config_set("maxmemory", "12gb")
        yield stack
    finally:
        stack.finish()
        shutil.rmtree(folder)


class Bench:
    def __init__(self, stack, options):
        self.stack = stack
        self.options = options
        self.raw_folder = options.raw
        self.seconds = options.seconds
        self.rounds = options.rounds
        self.many = options.many
        self.letters = 0

    def scaled(self, count):
        """A number of the rows about much, as --many says: a million stands for all of it."""
        return max(1, count * self.many // 1_000_000)

    def load(self, *options, job_type=TYPE, payload=None, seconds=None, mode="e2e", limit_s=0):
        """What `errand load` measured, every job followed to its end or only until it is accepted."""
        data = json.dumps(PAYLOAD if payload is None else payload)
        how_long = [] if "--count" in options else ["--duration", f"{seconds or self.seconds}s"]
        told = self.stack.errand("load", job_type, "--mode", mode, "--data", data, "--output", "json", *how_long, *options,
                                 limit_s=limit_s or self.seconds + 120)
        return json.loads(told.stdout)

    def warm_up(self, seconds):
        """The broker's compiler and every connection; ends when all that was submitted is done."""
        self.load("--connections", 16, seconds=seconds)

    def alternately(self, *measures):
        """All in turn, so that what else the machine does meets all alike; the medians."""
        told = [[measure() for measure in measures] for _ in range(self.rounds)]
        return [statistics.median(values) for values in zip(*told)]

    def processes(self):
        return {name: told["pid"] for name, told in self.stack.status().items() if told["pid"]}

    def cpu_of(self, *prefixes):
        """Counts the CPU of these processes of the stack from now on."""
        return CpuOf({name: pid for name, pid in self.processes().items() if name.startswith(prefixes)})

    @contextlib.contextmanager
    def workers_off(self, *names):
        """These workers (all, unless named) have ended in good order, and come back afterwards."""
        names = names or [name for name in self.processes() if name.startswith("worker-")]
        with self.stack.nobody_restarted():
            pids = {name: self.stack.signal(name, signal.SIGTERM) for name in names}
            wait_until(lambda: not any(map(processes.is_alive, pids.values())), 30, f"{names} have ended")
            yield
        for name, pid in pids.items():
            self.stack.wait_restarted(name, pid, 60)

    def waiting_jobs(self, queue):
        """Commands of a queue without an outcome, as the group's committed offsets say."""
        told = self.stack.errand("lag", "--group", f"{NAMESPACE}.worker.{queue}", "--over", "0s", "-o", "json", limit_s=60)
        return sum(group["lag"] for group in json.loads(told.stdout)["groups"])

    def wait_quiet(self):
        wait_quiet("the stack", lambda: self.cpu_of(*OURS, "redis", "broker"))

    def wait_drained(self, queue, deadline_s=600):
        wait_until(lambda: self.waiting_jobs(queue) == 0, deadline_s, f"all jobs of {queue} are done")

    # --- raw tools ---

    def tool(self, name, *arguments, limit_s=60, environment=None):
        """What a raw tool told: its last line, as JSON."""
        done = subprocess.run([os.path.join(self.raw_folder, name), *map(str, arguments)], text=True, stdout=subprocess.PIPE,
                              timeout=self.seconds + limit_s, check=True, env={**os.environ, **(environment or {})})
        return json.loads(done.stdout.splitlines()[-1])

    def two_hops(self, topics, rate=RATE):
        """What the bare library and the broker do, as raw_two_hops tells it."""
        kind = "embedded" if self.stack.broker == "embedded" else "kafka"
        return self.tool("raw_two_hops", self.stack.address("broker"), kind, *topics, rate, self.seconds)

    def wrk(self, url, connections=CONNECTIONS, body=BODY):
        """What wrk measured, of POSTs with this body or, without one, GETs; `errand load` needs three times the CPU a request, too much
        beside the bare server."""
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{self.seconds}s", "--timeout", "10s", "-s", os.path.join(HERE, "wrk.lua"),
             f"{url}/v1/jobs", "--", *([body] if body else [])], text=True, stdout=subprocess.PIPE, timeout=self.seconds + 60, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    def make_topics(self):
        """Two topics of the stack's broker that nobody else uses, with as many partitions as a queue has."""
        admin = AdminClient({"bootstrap.servers": self.stack.address("broker")})
        names = [f"bench.{uuid.uuid4().hex[:8]}.{letter}" for letter in "ab"]
        if self.stack.broker == "embedded":  # which makes a topic when it is asked for
            for name in names:
                wait_until(lambda name=name: not admin.list_topics(name, 10).topics[name].error, 30, f"{name} is there")
            return names
        for made in admin.create_topics([NewTopic(name, 8, 1) for name in names]).values():
            made.result(30)
        # Created is not led yet; a bare client gives up at that.
        places = {TopicPartition(name, number): OffsetSpec.latest() for name in names for number in range(8)}

        def led():
            try:
                return [future.result(10) for future in admin.list_offsets(places).values()]
            except KafkaException:
                return None
        wait_until(led, 30, "every partition has a leader")
        return names


def let_pass(seconds):
    """The time over which something is counted."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end, seconds + 5, "the time is over")
