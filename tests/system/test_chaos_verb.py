"""`errand chaos` and `errand drill run`, as users have them: things are broken under load and mended, also after a Ctrl-C, the
verdict says what became of the jobs, and the report is looked at in a real browser.

SPDX-License-Identifier: Apache-2.0
"""
import html.parser
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import zlib

import pytest
import yaml

from stack import SANITIZER, SANITIZER_OPTIONS, Stack
from test_json import check
from test_replay import on_a_terminal
from waiting import wait_until

pytestmark = pytest.mark.loaded

DRILLS = ["worker-crash", "broker-bounce", "redis-loss", "slow-target", "poison", "rebalance-storm", "rolling-restart"]
RATE = 40  # jobs/s
PLOTS = [("accepted", "ended", "refused"), ("latency_p50_ms", "latency_p99_ms"), ("lag",)]
LIMIT_S = 280  # of a run: the jobs, and the checker's patience with those that wait
UNKEPT = """
name: unkept
description: a level that nobody can keep, and one that everybody does
load:
  rate: 30/s
  duration: 9s
  jobs:
    - {type: quote.fetch, payload: {author: any, simulate: slow=50}, share: 2}
    - {type: sentence.make, payload: {subject: 17}, ends: failed}
faults:
  - {at: 1s, do: flush-redis}
  - {at: 2s, do: restart, what: gateway-1}
  - {at: 3s, do: third-party, what: slow, hold: 1s}
expect: {faults: 3, refused_percent: 5}
levels: {end_p99: 1ms, silence: 1m}
"""

REST = """
name: rest
load: {rate: 40/s, duration: 17s}
faults:
  - {at: 1s, do: kill, what: recorder}
  - {at: 3s, do: stop, what: delayer, hold: 1s}
  - {at: 5s, do: kill, what: delayer}
  - {at: 7s, do: stop, what: recorder, hold: 1s}
  - {at: 9s, do: kill, what: gateway}
  - {at: 11s, do: stop, what: gateway, hold: 1s}
  - {at: 13s, do: restart, what: redis}
  - {at: 15s, do: stop, what: broker, hold: 1s}
expect: {faults: 8}
"""
MORE = """
name: more
load: {rate: 40/s, duration: 30s}
faults:
  - {at: 1s, do: restart, what: recorder}
  - {at: 3s, do: restart, what: delayer}
  - {at: 5s, do: restart, what: worker}
  - {at: 8s, do: third-party, what: flaky, hold: 1s}
  - {at: 10s, do: third-party, what: down, hold: 1s}
  - {at: 13s, do: stop, what: redis, hold: 1s}
  - {at: 16s, do: kill, what: redis}
  - {at: 19s, do: restart, what: broker}
  - {at: 25s, do: kill, what: broker}
expect: {faults: 9}
"""


@pytest.fixture
def broken(swift_stack, bin_folder):
    """The stack that is broken, with the command line under test, sanitized or not."""
    return Stack(bin_folder, swift_stack.folder, "apache", workers=2)


def started(stack, *arguments):
    return subprocess.Popen([os.path.join(stack.bin_folder, "errand"), *arguments, "-o", "json", "--dir", stack.folder],
                            env={**os.environ, **SANITIZER_OPTIONS}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            start_new_session=True)


def told(stack, *arguments, code=0):
    done = stack.errand(*arguments, "-o", "json", check=False, limit_s=LIMIT_S)
    assert done.returncode == code, f"{done.returncode}\n{done.stdout[:3000]}\n{done.stderr}"
    return check("errand.chaos/1", json.loads(done.stdout))


def assert_whole(stack):
    """Everything is ready, nobody is stopped, and the third party is well."""
    wait_until(lambda: all(process["ready"] for process in stack.status().values()), 60, "everything is ready")
    for name in stack.status():
        assert state_of(stack.pid(name)) != "T", name
    assert stack.simulator("GET", "/control")["rules"] == []


def state_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return None


# --- the browser -------------------------------------------------------------------------------------------------------


class Figures(html.parser.HTMLParser):
    """{JSON Pointer: text} of what the page shows, and how often each other element occurs."""

    def __init__(self, page):
        super().__init__()
        self.found, self.elements, self.at = {}, {}, None
        self.lines, self.bands = {}, {}  # by the number of their plot: {class: points}, attributes
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements[tag] = self.elements.get(tag, 0) + 1
        plot = self.elements.get("svg")
        if tag == "polyline":
            points = [tuple(map(float, point.split(","))) for point in attributes["points"].split()]
            self.lines.setdefault(plot, {}).setdefault(attributes["class"], []).extend(points[1:])  # the first one comes twice
        elif tag == "rect":
            self.bands.setdefault(plot, []).append((float(attributes["x"]), float(attributes["width"])))
        self.at = attributes.get("data-figure")
        if self.at:
            self.found[self.at] = ""

    def handle_endtag(self, tag):
        self.at = None

    def handle_data(self, data):
        if self.at:
            self.found[self.at] += data


def browse(*arguments):
    browser = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    assert browser, "no browser: infra/deploy/install-deps.sh test"
    done = subprocess.run([browser, "--no-sandbox", "--disable-gpu", *arguments], capture_output=True, timeout=120, check=True)
    return done.stdout.decode()


def pixels(path):
    """The rows of a PNG of 8 bits a channel (RFC 2083), each a list of pixels."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed, size = 8, b"", None
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IHDR":
            size = struct.unpack(">IIBBBBB", data[at + 8:at + 21])
        packed += data[at + 8:at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    width, height, depth, colour, _, _, interlaced = size
    assert depth == 8 and colour in (2, 6) and not interlaced
    step = 3 if colour == 2 else 4
    raw, rows, before = zlib.decompress(packed), [], bytes(width * step)
    for y in range(height):
        begin = y * (width * step + 1)
        row = bytearray(raw[begin + 1:begin + 1 + width * step])
        for x in range(len(row)):
            left, up = row[x - step] if x >= step else 0, before[x]
            corner = before[x - step] if x >= step else 0
            nearest = min((left, up, corner), key=lambda value, p=left + up - corner: abs(p - value))
            row[x] = (row[x] + (0, left, up, (left + up) // 2, nearest)[raw[begin]]) & 255
        rows.append([tuple(row[i:i + 3]) for i in range(0, len(row), step)])
        before = bytes(row)
    return rows


def shown(report, pointer):
    value = report
    for name in pointer.split("/")[1:]:
        value = value[int(name)] if isinstance(value, list) else value[name] if value is not None else None
    return "not known" if value is None else value if isinstance(value, str) else json.dumps(value)


def near(value):
    return pytest.approx(value, abs=0.2)  # pixels


def assert_plots(figures, report):
    """Each line goes through its series, and each band lies where its fault was: one scale fits all of a plot."""
    series = report["series"]
    for plot, names in enumerate(PLOTS, 1):
        told = {f"s{number}": [(at, value) for at, value in enumerate(series[name]) if value is not None] for number, name in enumerate(names)}
        drawn = figures.lines.get(plot, {})
        assert {name: len(points) for name, points in drawn.items()} == {name: len(values) for name, values in told.items() if values}
        pairs = [(point, value) for name, values in told.items() for point, value in zip(drawn.get(name, []), values)]
        (left, low), (right, high) = (pick(pairs, key=lambda pair: pair[1][1]) for pick in (min, max))
        assert high[1] > low[1] and left[1] > right[1], "what is more is higher"
        for (x, y), (at, value) in pairs:
            assert y == near(left[1] + (right[1] - left[1]) * (value - low[1]) / (high[1] - low[1]))
        (begin, _), (end, _) = figures.lines[1]["s0"][0], figures.lines[1]["s0"][-1]
        span_ms = (len(series["accepted"]) - 1) * series["step_ms"]

        def x_of(at_ms):
            return begin + (end - begin) * min(max(at_ms, 0), span_ms) / span_ms
        for (x, _), (at, _) in pairs:
            assert x == near(x_of(at * series["step_ms"]))
        for (x, width), fault in zip(figures.bands[plot], report["faults"], strict=True):
            until = x_of(fault["back_ms"] if fault["back_ms"] is not None else fault["end_ms"])
            assert x == near(x_of(fault["begin_ms"])) and width == near(max(2, until - x))


def assert_browser_shows(folder, report):
    """What the page says is what the JSON says, and it is painted."""
    assert json.loads((folder / "report.json").read_text()) == report
    page = (folder / "report.html").read_text()
    assert "<script" not in page and "http://" not in page and "https://" not in page
    figures = Figures(browse("--dump-dom", f"file://{folder}/report.html"))
    assert {"/verdict", "/jobs/accepted", "/jobs/lost", "/calls/bound", "/recover_ms/p99", "/silence_ms", "/faults/0/name"} <= set(figures.found)
    assert len(figures.found) >= 20 + 6 * len(report["faults"])
    for pointer, text in figures.found.items():
        assert text == shown(report, pointer), pointer
    assert figures.elements["svg"] == 3 and figures.elements["polyline"] >= 5
    assert figures.elements["rect"] == 3 * len(report["faults"])
    assert_plots(figures, report)
    browse(f"--screenshot={folder}/page.png", "--window-size=900,500", f"file://{folder}/report.html")
    seen = {}
    for row in pixels(folder / "page.png"):
        for pixel in row:
            seen[pixel] = seen.get(pixel, 0) + 1
    assert seen[(255, 255, 255)] > 1000 and len(seen) > 20, "blank"
    assert (11, 98, 214) in seen, "no line of the plot"
    assert any(r > g + 20 and abs(g - b) < 12 for r, g, b in seen), "no band of a fault"


# --- the verbs ---------------------------------------------------------------------------------------------------------


def test_workers_are_killed_and_the_report_says_what_became_of_the_jobs(broken, tmp_path):
    stack = broken
    calls = len(stack.calls())
    report = told(stack, "chaos", "kill", "worker", "--every", "8s", "--for", "10s", "--load", f"{RATE}/s", "--seed", "7",
                  "--report", tmp_path / "report")
    assert report["verdict"] == "kept" and report["reasons"] == [] and report["seed"] == 7 and not report["interrupted"]
    assert len(report["faults"]) >= 1 and all(f["do"] == "kill" and f["name"] in ("worker-1", "worker-2") for f in report["faults"])
    assert all(f["begin_ms"] <= f["end_ms"] <= f["back_ms"] for f in report["faults"])
    jobs = report["jobs"]
    assert jobs["submitted"] == pytest.approx(10 * RATE, rel=0.1) and jobs["ended"] == jobs["accepted"] > 0
    assert jobs["lost"] == jobs["doubled"] == jobs["wrong"] == 0
    assert {canary["ends"] for canary in report["canaries"]} == {"succeeded", "failed"}
    assert all(canary["ended"] == canary["accepted"] > 0 for canary in report["canaries"])
    assert sum(report["series"]["accepted"]) == jobs["accepted"] and sum(report["series"]["ended"]) == jobs["ended"]
    assert any(report["series"]["lag"]) and report["not_judged"] == []
    assert 0 < report["calls"]["made"] <= len(stack.calls()) - calls
    assert_browser_shows(tmp_path / "report", report)
    assert_whole(stack)


def test_a_gateway_is_restarted_and_careful_clients_miss_nothing(broken):
    """P-16a: what is sent on a connection that is just being closed is sent once more; of the others none is refused."""
    report, shown = on_a_terminal(broken, "chaos", "restart", "gateway", "--every", "2s", "--for", "9s", "--load", f"{3 * RATE}/s",
                                  limit_s=LIMIT_S)
    check("errand.chaos/1", report)
    live = re.findall(r"breaking, (\d+) of 9 s: (\d+) accepted, (\d+) ended, 0 not accepted; (\d+) faults", shown)
    assert len(live) > 5 and any(int(accepted) > 0 and int(faults) > 0 for _, accepted, _, faults in live), shown[-2000:]
    jobs = report["jobs"]
    assert report["verdict"] == "kept" and len(report["faults"]) >= 2, report["reasons"]
    assert (jobs["refused"], jobs["unanswered"]) == (0, 0) and jobs["ended"] == jobs["accepted"] > 0
    assert_whole(broken)


def test_a_drill_file_is_judged_by_its_own_levels(broken, tmp_path):
    (tmp_path / "unkept.yaml").write_text(UNKEPT)
    report = told(broken, "drill", "run", tmp_path / "unkept.yaml", "--report", tmp_path / "report", code=1)
    figures = Figures(browse("--dump-dom", f"file://{tmp_path}/report/report.html"))
    assert "/reasons/0" in figures.found and all(text == shown(report, pointer) for pointer, text in figures.found.items())
    assert_plots(figures, report)
    assert report["verdict"] == "broken" and len(report["reasons"]) == 1 and report["reasons"][0].startswith("end_p99 is ")
    assert [(level["name"], level["kept"]) for level in report["levels"]] == [("end_p99", False), ("silence", True)]
    assert [(fault["do"], fault["name"]) for fault in report["faults"]] == [
        ("flush-redis", "redis"), ("restart", "gateway-1"), ("third-party", "slow")]
    assert [(canary["type"], canary["ends"], canary["wrong"]) for canary in report["canaries"]] == [
        ("quote.fetch", "succeeded", 0), ("sentence.make", "failed", 0)]
    assert_whole(broken)


@pytest.mark.parametrize("drill", [REST, MORE], ids=["rest", "more"])
def test_what_no_other_test_breaks_is_broken_and_mended(broken, drill, tmp_path):
    (tmp_path / "drill.yaml").write_text(drill)
    report = told(broken, "drill", "run", tmp_path / "drill.yaml")
    assert report["verdict"] == "kept", report["reasons"]
    # In this order but where who was broken before is not ready yet.
    assert sorted((fault["do"], re.sub(r"-\d$", "", fault["name"])) for fault in report["faults"]) == sorted(
        (fault["do"], fault["what"]) for fault in yaml.safe_load(drill)["faults"])
    for fault in report["faults"]:
        if (fault["do"], fault["name"]) == ("kill", "broker"):
            assert fault["recover_ms"] > 1000 and report["silence_ms"] > 1000, "a broker does not come back sooner"
    assert_whole(broken)


FAULTS_THAT_LAST = pytest.mark.parametrize("what", [("stop", "worker"), ("third-party", "hang")])


def broken_by(stack, what):
    """A run that has broken something for longer than the test lasts; and whether that is mended."""
    workers = [stack.pid(name) for name in ("worker-1", "worker-2")]

    def mended():
        return all(state_of(pid) != "T" for pid in workers) and not stack.simulator("GET", "/control")["rules"]
    assert mended()
    run = started(stack, "chaos", *what, "--every", "1s", "--for", "200s", "--hold", "100s", "--load", f"{RATE}/s")
    try:
        wait_until(lambda: not mended(), 60, "something is stopped, or hangs")
    except AssertionError:
        run.kill()
        run.communicate()
        raise
    return run, mended


@FAULTS_THAT_LAST
def test_what_is_interrupted_is_mended_and_judged(broken, what):
    run, mended = broken_by(broken, what)
    try:
        run.send_signal(signal.SIGINT)
        wait_until(mended, 10, "it is mended at once")
        out, err = run.communicate(timeout=LIMIT_S)
    finally:
        run.kill()
        run.communicate()
    assert not SANITIZER.search(err), err
    assert run.returncode == 130, f"{run.returncode}\n{out[:3000]}\n{err}"
    report = check("errand.chaos/1", json.loads(out))
    assert report["interrupted"] and report["verdict"] == "kept" and report["jobs"]["ended"] == report["jobs"]["accepted"] > 0
    assert_whole(broken)


@FAULTS_THAT_LAST
def test_what_is_killed_is_mended_all_the_same(broken, what, tmp_path, monkeypatch):
    """Nothing of the run can be asked any more: it was killed with all of its process group."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    run, mended = broken_by(broken, what)
    assert len(list(tmp_path.iterdir())) == 1, "the run keeps its files there"
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    try:
        wait_until(mended, 20, "it is mended")
        wait_until(lambda: not list(tmp_path.iterdir()), 20, "and its files are gone")
    finally:
        for name in ("worker-1", "worker-2"):
            broken.signal(name, signal.SIGCONT)
        broken.simulator("DELETE", "/control")
    assert_whole(broken)


def test_what_must_not_be_broken_is_refused(embedded_stack, tmp_path, monkeypatch):
    stack = embedded_stack

    def refused(code, why, *arguments):
        done = stack.errand(*arguments, check=False)
        assert done.returncode == code and why in done.stderr, f"{done.returncode} {done.stderr}"
    refused(6, "memory only", "chaos", "kill", "broker")
    refused(5, "is not running", "chaos", "kill", "worker", "--dir", tmp_path)
    refused(2, "worker, recorder", "chaos", "kill", "wroker")
    refused(2, "drill run poison", "drill", "run", "poisn")
    (tmp_path / "wrong.yaml").write_text("faults:\n  - {at: 1s, do: kill, waht: worker}\n")
    refused(2, "wrong.yaml:2: faults[0].waht: ", "drill", "run", tmp_path / "wrong.yaml")
    monkeypatch.setenv("ERRAND_TARGETS_QUOTES_BASE_URL", "https://quotes.example")
    refused(6, "a third party that is not the simulator: quotes", "chaos", "kill", "worker")
    monkeypatch.setenv("ERRAND_DRILLABLE", "true")
    refused(6, "memory only", "chaos", "kill", "broker")
    (tmp_path / "calls.yaml").write_text("load: {jobs: [{type: quote.fetch}]}\nfaults: [{at: 1s, do: flush-redis}]\n")
    refused(6, "nobody but the simulator", "drill", "run", tmp_path / "calls.yaml")


def test_what_a_stack_was_started_with_counts_too(fresh_stack, monkeypatch):
    """Its daemons have the environment of `errand up`, which this shell need not have."""
    monkeypatch.setenv("ERRAND_TARGETS_QUOTES_BASE_URL", "https://quotes.example")
    stack = fresh_stack("embedded")
    monkeypatch.delenv("ERRAND_TARGETS_QUOTES_BASE_URL")
    done = stack.errand("chaos", "kill", "worker", check=False)
    assert done.returncode == 6 and "a third party that is not the simulator: quotes" in done.stderr, done.stderr


def test_somebody_else_s_broker_and_redis_are_not_broken(broken, fresh_stack, monkeypatch):
    """Not even where only a worker would die: whoever else uses them would feel what comes of that."""
    redis = f"redis://:{broken.redis_password()}@{broken.address('redis')}"
    for broker, options, why in (
            (broken.brokers(), [], f"its broker was not started by `errand up`: {broken.brokers()}"),
            ("embedded", ["--redis", redis, "--no-restart"], "its Redis was not started by `errand up`: ")):
        stack = fresh_stack(broker, config={"namespace": "guest"}, options=options)
        done = stack.errand("chaos", "kill", "worker", check=False)
        assert done.returncode == 6 and why in done.stderr and broken.redis_password() not in done.stderr, done.stderr
    monkeypatch.setenv("ERRAND_DRILLABLE", "true")  # yet nobody would come back there, nor can be reached from here
    done = stack.errand("chaos", "third-party", "slow", "--for", "2s", check=False, limit_s=LIMIT_S)
    assert done.returncode == 6 and "what dies here is not started again" in done.stderr, done.stderr
    stack.errand("down")
    stack.options.remove("--no-restart")
    stack.up()
    done = stack.errand("chaos", "kill", "redis", "--for", "2s", check=False, limit_s=LIMIT_S)
    assert done.returncode == 6 and "this stack started no redis" in done.stderr, done.stderr


@pytest.mark.parametrize("name", DRILLS)
def test_a_drill_that_errand_carries(broken, long_run, name):
    """At full length in `make chaos`; in `make test` its file is there."""
    assert f"name: {name}\n" in broken.errand("drill", "run", name, "--show").stdout
    if long_run:
        report = told(broken, "drill", "run", name)
        print({key: report[key] for key in ("jobs", "calls", "recover_ms", "silence_ms")})
        assert report["verdict"] == "kept", report["reasons"]
        assert_whole(broken)
