"""Drills: a replay beside the deployment, in which nothing real is called, and what it says of each job.

SPDX-License-Identifier: Apache-2.0
"""
import http.server
import json
import os
import signal
import subprocess
import threading

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

import processes
from records import ends, produce
from stack import SANITIZER, SANITIZER_OPTIONS, Stack, headers_of
from test_json import check, printed
from waiting import wait_until

pytestmark = pytest.mark.loaded

TOKEN = "Bearer b14c-known-to-the-partner-alone"
TOKEN_NAME = "PARTNER_TOKEN"  # in the deployment's environment


class Partner:
    """A real third party: it counts its calls, and knows no words of the simulator's."""

    def __init__(self):
        partner = self
        self.calls = 0

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                partner.calls += 1
                assert self.headers["Authorization"] == TOKEN
                self.rfile.read(int(self.headers["Content-Length"] or 0))
                body = b'{"receipt": "for real"}'
                self.send_response(201)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def partner():
    it = Partner()
    yield it
    it.server.shutdown()
    it.server.server_close()


@pytest.fixture
def deployment(fresh_stack, partner, monkeypatch):
    """A stack that calls the partner, with a token out of its environment."""
    monkeypatch.setenv(TOKEN_NAME, TOKEN)
    return fresh_stack("apache", config={
        "targets": {"partner": {"base_url": f"http://{partner.address}/hook-in-the-path", "private": True,
                                "headers": {"Authorization": f"env:{TOKEN_NAME}"}}},
        "types": {"partner.pay": {
            "queue": "probe", "handler": "call",
            "call": {"target": "partner", "method": "POST", "path": "/pay", "body": "{{payload}}", "expect": ["201"],
                     "query": {"simulate": "{{simulate|}}"}, "result": "pointer", "pointer": "/receipt"},
            "retry": {"attempts": 1}}}})


def folder_of(stack, name):
    return os.path.join(stack.folder, "drill", name)


def finish(stack, name):
    """The drill's processes have left no sanitizer's report, and are gone."""
    drill = Stack(stack.bin_folder, folder_of(stack, name), None)
    assert not SANITIZER.search(drill.all_logs())
    assert not processes.of_folder(drill.folder)


def look_for_what_is_real(stack, name, partner):
    """In every file of the drill's folder, and in the environment and the words of every process of it."""
    real = [TOKEN.encode(), TOKEN_NAME.encode(), partner.address.encode(), b"hook-in-the-path"]
    for folder, _, names in os.walk(folder_of(stack, name)):
        for file_name in names:
            with open(os.path.join(folder, file_name), "rb") as file:
                text = file.read()
            assert not [word for word in real if word in text], os.path.join(folder, file_name)
    pids = processes.of_folder(folder_of(stack, name))
    assert len(pids) >= 6, "supervisor, gateway, worker, recorder, delayer, simulator"
    for pid in pids:
        for part in ("environ", "cmdline"):
            with open(f"/proc/{pid}/{part}", "rb") as file:
                text = file.read()
            assert not [word for word in real if word in text], f"{part} of {text[:200]}"


def test_a_drill_calls_nobody_real_and_tells_what_came_out_differently(deployment, partner):
    stack = deployment
    same = [stack.submit("probe.call", {"n": n, "simulate": "status=400"})["id"] for n in range(6)]
    paid = [stack.submit("partner.pay", {"n": n})["id"] for n in range(4)]
    worse = [stack.submit("partner.pay", {"n": 9, "simulate": "status=400"})["id"]]  # the partner does not know the word
    ends = {job: stack.wait(job)["state"] for job in [*same, *paid, *worse]}
    assert [ends[job] for job in paid + worse] == ["succeeded"] * 5
    called = partner.calls
    assert called == 5
    twice = stack.kafka("commands.probe")[0]  # a producer that was made anew sends again what may be stored
    produce(stack, "commands.probe", [twice.value()], key=twice.key())
    done = stack.errand("replay", "commands.probe", "--into", "drill/one", "--execute", "--keep", "-o", "json",
                        check=False, limit_s=180)
    assert done.returncode == 1, done.stderr  # one job ended worse
    told = check("errand.drill/1", json.loads(done.stdout))
    assert (told["planned"], told["jobs"], told["namespace"]) == (12, 11, "errand-drill-one")
    assert "goes on" not in done.stderr, "all of it was replayed"
    assert [told[name] for name in ("same", "differs", "new_error", "undecided", "unknown")] == [6, 4, 1, 0, 0]
    shown = {job["original"]: job for job in told["shown"]}
    assert set(shown) == set(paid + worse)
    for job in paid:
        assert shown[job]["verdict"] == "differs" and shown[job]["before"]["result"] == '"for real"'
        assert '"/echo"' in shown[job]["after"]["result"]
    first = told["shown"][0]
    assert (first["original"], first["verdict"], first["after"]["state"]) == (worse[0], "new_error", "failed")
    assert partner.calls == called, "the drill called the partner"
    look_for_what_is_real(stack, "one", partner)
    drill = Stack(stack.bin_folder, folder_of(stack, "one"), None)
    assert len(drill.calls()) == 11  # its own simulator was called instead
    listed, = printed(stack, "errand.drills/1", "drill", "ls")["drills"]
    assert (listed["drill"], listed["state"], listed["jobs"]) == ("one", "running", 12)
    # The deployment has nothing of it.
    assert len(stack.kafka("commands.probe")) == 12
    assert json.loads(stack.errand("verify", "-o", "json").stdout)["schema"] == "errand.books/1"
    stack.errand("drill", "rm", "one")
    finish(stack, "one")
    assert not os.path.exists(folder_of(stack, "one"))
    assert printed(stack, "errand.drills/1", "drill", "ls")["drills"] == []
    assert not list(stack.redis().scan_iter("errand-drill-one*"))
    gone = stack.errand("drill", "rm", "one", check=False)
    assert gone.returncode == 3
    wait_until(lambda: "errand-drill-one" not in stack.errand("groups", "ls").stdout, 20, "its groups are gone")
    assert stack.errand("topics", "describe", "errand-drill-one.commands.probe", check=False).returncode == 3
    somebody_else_s_is_left_alone(stack)
    killed_it_goes_on(stack)
    letters_and_what_has_no_end(stack)
    down_stops_drills(stack)


def somebody_else_s_is_left_alone(stack):
    topic = "errand-drill-other.commands.probe"
    admin = AdminClient({"bootstrap.servers": stack.brokers()})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    refused = stack.errand("replay", "commands.probe", "--into", "drill/other", "--execute", check=False)
    assert refused.returncode == 6 and "somebody else's" in refused.stderr
    assert not os.path.exists(folder_of(stack, "other"))


def killed_it_goes_on(stack):
    """`errand replay` is killed while it replays into a drill; its processes go on, and so does the same command."""
    words = ["replay", "commands.probe", "--type", "probe.call", "--into", "drill/two", "--execute", "--rate", "2/s"]
    going = subprocess.Popen([os.path.join(stack.bin_folder, "errand"), *words], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, env={**os.environ, **SANITIZER_OPTIONS, "ERRAND_DIR": stack.folder})

    def sent():
        return sum(ends(stack, "commands.probe", namespace="errand-drill-two").values())
    try:
        wait_until(lambda: sent() >= 3, 120, "it replays")
    finally:
        going.send_signal(signal.SIGKILL)
        going.wait()
    short = stack.errand("drill", "report", "two", check=False, limit_s=120)
    assert short.returncode == 1 and "of 7 jobs have been replayed" in short.stderr, short
    done = stack.errand(*words, "-o", "json", limit_s=180)
    told = json.loads(done.stdout)
    assert (told["planned"], told["jobs"], told["same"]) == (7, 6, 6), done.stdout
    assert 7 <= sent() <= 7 + 2, "it goes on where it was, and does not begin anew"
    assert printed(stack, "errand.drills/1", "drill", "ls")["drills"][0]["state"] == "stopped"
    finish(stack, "two")
    again = printed(stack, "errand.drill/1", "drill", "report", "two")  # from Kafka: nothing of it need run
    assert again["same"] == 6


def letters_and_what_has_no_end(stack):
    """Dead letters are replayed as well; and a drill in which nothing could be compared shows nothing."""
    done = stack.errand("replay", "dead.probe", "--into", "drill/letters", "--execute", "-o", "json", limit_s=180)
    told = check("errand.drill/1", json.loads(done.stdout))
    assert (told["planned"], told["jobs"], told["same"]) == (6, 6, 6), told
    job = stack.submit("probe.call", {"n": 77}, delay=3600)
    twice, = (record for record in stack.kafka("commands.probe") if headers_of(record).get("ce_subject") == job["id"])
    produce(stack, "commands.probe", [twice.value()], key=twice.key())
    alone = stack.errand("replay", "commands.probe", "--where", "/n = 77", "--into", "drill/alone", "--execute", "-o", "json", check=False,
                         limit_s=180)
    told = check("errand.drill/1", json.loads(alone.stdout))
    assert (alone.returncode, told["jobs"], told["unknown"]) == (1, 1, 1) and "nothing could be compared" in alone.stderr, alone
    for name in ("letters", "alone"):
        finish(stack, name)


def interrupted(stack, *words):
    """Ctrl-C while it waits; returns its exit code."""
    waiting = subprocess.Popen([os.path.join(stack.bin_folder, "errand"), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env={**os.environ, **SANITIZER_OPTIONS, "ERRAND_DIR": stack.folder})
    with waiting:
        wait_until(lambda: processes.catches(waiting.pid, signal.SIGINT), 20, "it hears interrupts")
        waiting.send_signal(signal.SIGINT)
        return waiting.wait(20)


def down_stops_drills(stack):
    """And a job that has not ended yet is no success; later it may be one."""
    stack.wait(stack.submit("probe.call", {"simulate": "slow=8000"})["id"])
    early = stack.errand("replay", "commands.probe", "--where", "/simulate ~ slow", "--into", "drill/three", "--execute", "--keep",
                         "--wait=1ms", "-o", "json", check=False, limit_s=180)
    told = check("errand.drill/1", json.loads(early.stdout))
    assert (early.returncode, told["jobs"], told["undecided"]) == (1, 1, 1), early
    assert interrupted(stack, "drill", "report", "three", "--wait=1m") == 130
    later = printed(stack, "errand.drill/1", "drill", "report", "three", "--wait=1m")
    assert (later["undecided"], later["new_error"], later["same"] + later["differs"]) == (0, 0, 1)
    assert processes.of_folder(folder_of(stack, "three"))
    stack.down()
    finish(stack, "three")


def test_the_embedded_broker_has_no_drills(embedded_stack):
    done = embedded_stack.errand("replay", "commands.probe", "--into", "drill/no", "--execute", check=False)
    assert done.returncode == 6 and "needs a real Kafka" in done.stderr
    assert not os.path.exists(folder_of(embedded_stack, "no"))
    wrong = embedded_stack.errand("replay", "commands.probe", "--into", "drill/../x", check=False)
    assert wrong.returncode == 2 and "is no name of a drill" in wrong.stderr
