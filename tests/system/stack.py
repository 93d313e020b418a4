"""A whole Errand on this machine, as its users have it: started and stopped by `errand up` and `errand down`, reached
over HTTP, and looked at from outside with other people's clients for Kafka and Redis.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import json
import os
import re
import signal
import subprocess
import time

import confluent_kafka
import redis
import requests

import processes
from waiting import wait_until

IDLE_S = 30  # a connection that was not used for so long is not used again
UP_LIMIT_S = 180  # the first Apache broker on a machine is fetched from Maven Central
DOWN_LIMIT_S = 60
TERMINAL = {"succeeded", "failed", "cancelled", "expired"}
NAMESPACE = "errand"
SANITIZER = re.compile(r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:")
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def metric(address, name):
    """A sample of a process, by its name and labels as they stand there; of a name alone, the sum of all of its samples. 0 where there is
    none yet, of a metric that there is: a misspelt one is none."""
    text = requests.get(f"http://{address}/metrics", timeout=30).text
    assert re.search(rf"^# TYPE {name.partition('{')[0]} ", text, re.M), f"{address} has no metric {name}"
    labels = "" if "{" in name else r"(?:{.*})?"
    return sum(float(value) for value in re.findall(rf"^{re.escape(name)}{labels} (\S+)$", text, re.M))


class Stack:
    def __init__(self, bin_folder, folder, broker, workers=1, config=None, options=()):
        self.bin_folder = os.path.abspath(bin_folder)
        self.folder = os.path.realpath(folder)
        self.broker = broker
        self.workers = workers
        self.config = config
        self.options = list(options)
        self.http = requests.Session()
        self.asked_s = 0

    # --- life --------------------------------------------------------------------------------------------------

    def errand(self, *arguments, check=True, limit_s=60, stdin=None):
        """Runs the command line for this stack; returns the completed process (stdout and stderr as text)."""
        environment = {**os.environ, **SANITIZER_OPTIONS, "ERRAND_DIR": self.folder}
        done = subprocess.run(
            [os.path.join(self.bin_folder, "errand"), *map(str, arguments)], env=environment, text=True, input=stdin,
            capture_output=True, timeout=limit_s, check=False)
        assert not SANITIZER.search(done.stderr), done.stderr
        if check:
            assert done.returncode == 0, f"errand {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def up(self):
        arguments = ["up", "--dir", self.folder, "--broker", self.broker, "--workers", self.workers, *self.options]
        if self.config:
            arguments += ["--config", self.config]
        done = self.errand(*arguments, check=False, limit_s=UP_LIMIT_S)
        assert done.returncode == 0, f"{done.stderr}\n{self.all_logs()[-6000:]}"
        return self

    def down(self):
        self.errand("down", "--dir", self.folder, limit_s=DOWN_LIMIT_S)

    def finish(self):
        """Stops it and proves that it left nothing behind: no process, no sanitizer's report."""
        try:
            self.down()
        finally:
            left = processes.of_folder(self.folder)
            processes.end(left)
        assert not left, f"left running: {left}"
        reports = [line for line in self.all_logs().splitlines() if SANITIZER.search(line)]
        assert not reports, "\n".join([*reports, self.all_logs()[-20000:]])

    # --- processes ---------------------------------------------------------------------------------------------

    def status(self):
        """{name: process} as `errand status -o json` tells it."""
        told = json.loads(self.errand("status", "--dir", self.folder, "-o", "json", check=False).stdout)
        assert told["schema"] == "errand.status/1"
        return {process["name"]: process for process in told["processes"]}

    def process(self, name):
        told = self.status()
        assert name in told, f"no process {name} among {sorted(told)}"
        return told[name]

    def pid(self, name):
        return self.process(name)["pid"]

    def address(self, name):
        return self.process(name)["address"]

    def signal(self, name, number):
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def kill(self, name):
        """SIGKILL, and waits for the end; returns the pid that was."""
        pid = self.signal(name, signal.SIGKILL)
        wait_until(lambda: not processes.is_alive(pid), 10, f"{name} (pid {pid}) ends after SIGKILL")
        return pid

    def metric(self, process, name):
        return metric(self.address(process), name)

    def supervisor(self):
        with open(os.path.join(self.folder, "state.json"), encoding="utf-8") as file:
            return json.load(file)["supervisor"]["pid"]

    @contextlib.contextmanager
    def nobody_restarted(self):
        """What is killed inside is started again only afterwards."""
        pid = self.supervisor()
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def cut_power(self, spare=()):
        """kill -9 of everything at once, the supervisor included; only the processes of these pids live on."""
        pids = set(processes.of_folder(self.folder)) - set(spare)
        processes.end(pids)
        wait_until(lambda: not any(map(processes.is_alive, pids)), 20, "everything has ended")

    def wait_restarted(self, name, old_pid, deadline_s=30):
        def restarted():
            told = self.status().get(name)
            return told and told["pid"] not in (0, None, old_pid) and told["ready"] and told
        return wait_until(restarted, deadline_s, f"{name} is started again and ready")

    def all_logs(self):
        texts = []
        for folder, _, names in os.walk(os.path.join(self.folder, "log")):
            for name in sorted(names):
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                    texts.append(f"--- {name}\n{file.read()}")
        return "\n".join(texts)

    # --- the HTTP interface ------------------------------------------------------------------------------------

    @property
    def url(self):
        if not hasattr(self, "_url"):  # the supervisor holds the gateway's socket: its address never changes
            self._url = f"http://{self.address('gateway-1')}"
        return self._url

    def request(self, method, path, **options):
        options.setdefault("timeout", 60)
        # A request must not meet the gateway's end of a connection that has been idle (gateway.idle_timeout, 60 s): nobody
        # could tell whether it was taken.
        if time.monotonic() - self.asked_s > IDLE_S:
            self.http.close()
        self.asked_s = time.monotonic()
        return self.http.request(method, self.url + path, **options)

    def post(self, body, headers=None):
        """POST /v1/jobs with a body as it is (str or bytes) or as JSON; returns the response."""
        data = body if isinstance(body, (str, bytes)) else json.dumps(body)
        data = data.encode() if isinstance(data, str) else data
        return self.request("POST", "/v1/jobs", data=data, headers={"Content-Type": "application/json", **(headers or {})})

    def submit(self, job_type, payload, idempotency_key=None, wait_s=None, **members):
        """Submits a job that must be accepted; returns the job."""
        headers = {}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        if wait_s is not None:
            headers["Prefer"] = f"wait={wait_s}"
        response = self.post({"type": job_type, "payload": payload, **members}, headers)
        assert response.status_code in (200, 202), f"{response.status_code} {response.text}"
        return response.json()

    def read(self, job_id, wait_s=None):
        """GET /v1/jobs/{id}; returns the response."""
        return self.request("GET", f"/v1/jobs/{job_id}", params={"wait": wait_s} if wait_s is not None else None)

    def get(self, job_id, wait_s=None):
        response = self.read(job_id, wait_s)
        assert response.status_code == 200, f"{response.status_code} {response.text}"
        return response.json()

    def wait(self, job_id, deadline_s=30):
        """The job once it is terminal; a 503 meanwhile only means that the answer is not known yet."""
        def finished():
            response = self.read(job_id, wait_s=2)
            assert response.status_code in (200, 503), f"{response.status_code} {response.text}"
            job = response.json()
            return job if response.status_code == 200 and job["state"] in TERMINAL else None
        return wait_until(finished, deadline_s, f"job {job_id} is finished")

    def is_ready(self, name):
        try:
            return requests.get(f"http://{self.address(name)}/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    # --- the simulator -----------------------------------------------------------------------------------------

    def simulator(self, method, path, **options):
        if not hasattr(self, "_simulator"):
            self._simulator = f"http://{self.address('simulator')}"
        response = requests.request(method, self._simulator + path, timeout=30, **options)
        assert response.status_code < 300, f"{response.status_code} {response.text}"
        return response.json() if response.content else None

    def calls(self, since=0, **filters):
        """Every call that the simulator got, in arrival order, optionally only those with key= or path=."""
        found = []
        while True:
            page = self.simulator("GET", "/ledger", params={"since": since, **filters})
            assert page["dropped"] == 0, "the simulator's ledger is too short for this test"
            found += page["calls"]
            if not page["calls"] or page["next"] == since:
                return found
            since = page["next"]

    # --- Kafka and Redis, through other people's clients -------------------------------------------------------

    def brokers(self):
        """Where to find the cluster, of one broker or of several."""
        return ",".join(told["address"] for name, told in self.status().items() if name.startswith("broker"))

    def kafka(self, topic):
        """Every record of a topic, from its start to its present end, as confluent_kafka messages."""
        consumer = confluent_kafka.Consumer({
            "bootstrap.servers": self.brokers(), "group.id": "a-test-reads-everything",
            "enable.auto.commit": False, "enable.partition.eof": False, "allow.auto.create.topics": False})
        try:
            name = f"{NAMESPACE}.{topic}"
            known = consumer.list_topics(timeout=20).topics
            assert name in known, f"no topic {name} among {sorted(known)}"
            ends, records = {}, []
            for partition in known[name].partitions:
                low, high = consumer.get_watermark_offsets(confluent_kafka.TopicPartition(name, partition), timeout=20)
                if high > low:
                    ends[partition] = (low, high)
            consumer.assign([confluent_kafka.TopicPartition(name, p, low) for p, (low, _) in ends.items()])
            unread = set(ends)

            def read_to_ends():
                for message in consumer.consume(1000, timeout=0.2) if unread else ():
                    assert not message.error(), message.error()
                    end = ends[message.partition()][1]
                    if message.offset() < end:
                        records.append(message)
                    if message.offset() + 1 >= end:
                        unread.discard(message.partition())
                return not unread
            wait_until(read_to_ends, 60, f"all of {name} is read")
            return records
        finally:
            consumer.close()

    def redis_password(self):
        with open(os.path.join(self.folder, "secrets", "redis"), encoding="utf-8") as file:
            return file.read().strip()

    def redis(self):
        host, port = self.address("redis").rsplit(":", 1)
        return redis.Redis(host=host, port=int(port), password=self.redis_password(), socket_timeout=10)


def identity(job_id):
    """What the keys of Redis and Kafka have of a job's id."""
    return job_id.replace("-", "")[:24]


def headers_of(record):
    """A record's headers as {name: text}."""
    return {name: value.decode() for name, value in record.headers() or []}
