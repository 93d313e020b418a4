"""Third parties at their worst: every way ends as documented, nobody else's jobs are slower for it, and what is secret
stays where it belongs.

SPDX-License-Identifier: Apache-2.0
"""
import http.server
import json
import ssl
import subprocess
import threading
import time
import uuid

import pytest
import requests

from processes import free_port

QUICK_S = 2  # an everyday job takes milliseconds; with sanitizers on two busy cores somewhat more
SECRET = "hunter2-" + uuid.uuid4().hex

# What is simulated: type, state, code, calls, and how many of those were executed.
MODES = {
    "hang": ("probe.evil", "failed", "target_timeout", 2, 0),
    "execute-then-hang": ("probe.evil", "failed", "target_timeout", 2, 2),
    "reset": ("probe.evil", "failed", "target_unreachable", 2, 0),
    "drip=100": ("probe.evil", "failed", "target_timeout", 2, 2),
    "wrong-length": ("probe.evil", "failed", "target_unreachable", 2, 2),
    "oversize=2000000": ("probe.evil", "failed", "target_response_too_large", 1, 0),
    "oversize=2000000,chunked": ("probe.evil", "failed", "target_response_too_large", 1, 0),
    "oversize=1099511627776,chunked": ("probe.evil", "failed", "target_response_too_large", 1, 0),
    "malformed": ("probe.evil", "failed", "target_response_invalid", 1, 1),
    "status=429,retry-after=1": ("probe.evil", "failed", "target_status", 2, 0),
    "redirect=private": ("probe.evil", "failed", "target_rejected", 1, 0),
    "redirect=private,status=307": ("probe.follow", "failed", "target_address_refused", 1, 0),
    "redirect=http://0xa9fea9fe/": ("probe.follow", "failed", "target_address_refused", 1, 0),
    "redirect=http://localhost:1/": ("probe.follow", "failed", "target_address_refused", 1, 0),
    "redirect=file:///etc/passwd": ("probe.follow", "failed", "target_response_invalid", 1, 0),
    "chunked": ("probe.evil", "succeeded", None, 1, 1),
    "hang,fail=1": ("probe.evil", "succeeded", None, 2, 1),
    "reset,fail=1": ("probe.evil", "succeeded", None, 2, 1),
    "execute-then-hang,fail=1": ("probe.evil", "succeeded", None, 2, 2),
}


@pytest.fixture(scope="module")
def evil_jobs(stack):
    """All of them at once, in one partition; everyday jobs behind them do not wait."""
    jobs = {mode: stack.submit(expected[0], {"simulate": mode}) for mode, expected in MODES.items()}
    for seed in range(20):
        began = time.monotonic()
        assert stack.submit("probe.quick", {"subject": "a bystander", "seed": seed}, wait_s=30)["state"] == "succeeded"
        assert time.monotonic() - began < QUICK_S
    return jobs


# proves P-41, P-43
@pytest.mark.parametrize("mode", MODES)
def test_every_evil_ends_as_documented(stack, evil_jobs, mode):
    _, state, code, attempts, executed = MODES[mode]
    job = stack.wait(evil_jobs[mode]["id"], deadline_s=60)
    assert (job["state"], job.get("error", {}).get("code")) == (state, code), job
    calls = stack.calls(key=job["id"])
    assert (len(calls), sum(call["executed"] for call in calls)) == (attempts, executed)
    assert job["attempt"] == attempts


def test_a_target_that_says_when_is_not_called_before(stack, evil_jobs):
    job = stack.wait(evil_jobs["status=429,retry-after=1"]["id"], deadline_s=60)
    first, second = stack.calls(key=job["id"])
    assert second["started_ms"] - first["finished_ms"] >= 1000


# --- over TLS ----------------------------------------------------------------------------------------------------------

class Partner(http.server.ThreadingHTTPServer):
    """A third party of the test's own over TLS, with a certificate for `name`; remembers the requests' headers."""
    daemon_threads = True

    def __init__(self, folder, name):
        self.certificate = str(folder / f"{uuid.uuid4()}.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.certificate + ".key", "-out",
             self.certificate, "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"],
            check=True, capture_output=True)
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen, self.moved_to = [], None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.certificate + ".key")
        # The handshake is the connection's own thread's matter: here it would hold up all others.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"https://localhost:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        """A client that hangs up in the handshake is what is tested."""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(dict(self.headers))
        self.send_response(302 if self.server.moved_to else 200)
        if self.server.moved_to:
            self.send_header("Location", self.server.moved_to)
        body = json.dumps({"ok": True}).encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture
def partners(tmp_path):
    made = []

    def make(name):
        made.append(Partner(tmp_path, name))
        return made[-1]
    yield make
    for partner in made:
        partner.shutdown()
        partner.server_close()


def test_certificates_are_verified_and_secrets_stay_with_their_target(fresh_stack, partners):
    good, impostor, moved = partners("localhost"), partners("other.example"), partners("localhost")
    moved.moved_to = good.url + "/moved"
    both = good.certificate + ".both"
    with open(both, "w", encoding="utf-8") as file:
        for partner in (good, moved):
            with open(partner.certificate, encoding="utf-8") as certificate:
                file.write(certificate.read())
    targets = {
        "vouched": {"base_url": good.url, "private": True, "ca_file": good.certificate},
        "unknown": {"base_url": good.url, "private": True},
        "impostor": {"base_url": impostor.url, "private": True, "ca_file": impostor.certificate},
        "moved": {"base_url": moved.url, "private": True, "ca_file": both, "redirects": 1},
        "downgraded": {"base_url": moved.url, "private": True, "ca_file": both, "redirects": 1},
    }
    for target in targets.values():
        target.update(timeout="10s", headers={"X-Probe": SECRET})
    types = {f"tls.{name}": {"queue": "probe", "handler": "call", "retry": {"attempts": 1},
                             "call": {"target": name, "path": f"/{name}", "query": {"token": "{{token}}"}}}
             for name in targets}
    stack = fresh_stack("embedded", config={"targets": targets, "types": types})

    def run(name):
        job = stack.submit(f"tls.{name}", {"token": SECRET})
        return stack.wait(job["id"], deadline_s=60)

    job = run("vouched")
    assert job["state"] == "succeeded", job
    assert [headers["X-Probe"] for headers in good.seen] == [SECRET]
    for name in ("unknown", "impostor"):
        job = run(name)
        assert (job["state"], job["error"]["code"]) == ("failed", "target_unreachable"), job
        assert "certificate" in job["error"]["detail"] and SECRET not in json.dumps(job)
    assert len(good.seen) == 1 and not impostor.seen, "nothing is sent to who is not who was meant"

    assert run("moved")["state"] == "succeeded"
    assert moved.seen[-1]["X-Probe"] == SECRET
    assert "X-Probe" not in good.seen[-1] and "Idempotency-Key" in good.seen[-1]

    moved.moved_to = f"http://localhost:{good.server_address[1]}/{SECRET}"
    job = run("downgraded")
    assert (job["state"], job["error"]["code"]) == ("failed", "target_response_invalid"), job
    assert SECRET not in json.dumps(job) and SECRET not in stack.all_logs()


def test_wrong_certificates_of_the_simulator_are_turned_away_before_a_word_is_said(fresh_stack, tmp_path):
    """Four names of one door (infra/simulator/README.md), all trusted to the same authority."""
    door, authority = free_port(), tmp_path / "authority.pem"
    kinds = ("right", "expired", "other", "unknown")
    targets = {kind: {"base_url": f"https://{kind}.localhost:{door}", "private": True, "ca_file": str(authority)}
               for kind in kinds}
    types = {f"door.{kind}": {"queue": "probe", "handler": "call", "retry": {"attempts": 1},
                              "call": {"target": kind, "path": "/quotes/any"}}
             for kind in kinds}
    stack = fresh_stack("embedded", config={"simulator": {"tls_listen": f"127.0.0.1:{door}"}, "targets": targets,
                                            "types": types})
    pem = requests.get(f"http://{stack.address('simulator')}/authority.pem", timeout=10)
    assert pem.status_code == 200
    authority.write_text(pem.text, encoding="ascii")
    ended = {kind: stack.wait(stack.submit(f"door.{kind}", {})["id"], deadline_s=60) for kind in kinds}
    assert ended["right"]["state"] == "succeeded", ended["right"]
    for kind in kinds[1:]:
        error = ended[kind]["error"]
        assert (ended[kind]["state"], error["code"]) == ("failed", "target_unreachable"), ended[kind]
        assert "certificate" in error["detail"]
    assert [len(stack.calls(key=job["id"])) for job in ended.values()] == [1, 0, 0, 0]
