"""Lag to believe: in each of the situations in which others are wrong, what `errand lag` tells is compared with what the
test itself has made happen (record by record, at known moments) and with another client in the same second.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from confluent_kafka import TopicPartition
from groups import Scene
from moments import now_ms
from stack import headers_of
from test_json import check as schema_check
from test_metrics import value
from waiting import wait_until

pytestmark = pytest.mark.alone

HOUR_MS = 3_600_000
STUCK_MS = 190_000  # ten thousand jobs take much less
DAY_MS = 24 * HOUR_MS


def told_of(stack, group, *options):
    """What `errand lag` says of one group, and when it was asked and had answered (ms)."""
    began = now_ms()
    told = json.loads(stack.errand("lag", "--group", group, "--over", "0s", "-o", "json", *options).stdout)
    ended = now_ms()
    assert told["schema"] == "errand.lag/1"
    assert [one["group"] for one in told["groups"]] == [group]
    return told["groups"][0], began, ended


@contextlib.contextmanager
def stuck_call(stack, for_ms):
    """A job whose call does not end by itself, and its command as Kafka has it; called off at the end, whatever came."""
    job = stack.submit("probe.call", {"simulate": f"slow={for_ms}"})
    try:
        yield job, next(one for one in stack.kafka("commands.probe") if headers_of(one).get("ce_subject") == job["id"])
    finally:
        stack.request("DELETE", f"/v1/jobs/{job['id']}", params={"wait": 20})


def every_figure(value):
    if isinstance(value, dict):
        for one in value.values():
            yield from every_figure(one)
    elif isinstance(value, list):
        for one in value:
            yield from every_figure(one)
    elif isinstance(value, (int, float)):
        yield value


def assert_lag(stack, scene, lag, oldest_ms, how="exact", lost=0, group=None, topic=None, partitions=1,
               isolation="read_committed"):
    """`oldest_ms`: when the oldest record without an outcome was made; None: there is none."""
    group = group or scene.group
    told, began, ended = told_of(stack, group)
    seen = scene.truth(group, topic, partitions, isolation)  # in the same second
    assert now_ms() - began < 20_000
    assert told["lag"] == lag, told
    assert told["lost"] == lost and told["how"] == how, told
    if oldest_ms is None:
        assert told["behind_seconds"] == 0, told
    else:
        assert (began - oldest_ms) / 1000 - 1 <= told["behind_seconds"] <= (ended - oldest_ms) / 1000 + 1, told
        assert told["behind_basis"] == "record"
    ours = {one["partition"]: (one["current"], one["start"], one["end"]) for one in told["topics"][0]["partitions"]}
    assert ours == seen
    assert all(figure >= 0 for figure in every_figure(told)), told
    return told


# --- the traps -----------------------------------------------------------------------------------------------------


def test_an_idle_topic_does_not_age(stack):
    scene = Scene(stack)
    scene.produce([now_ms() - DAY_MS, now_ms() - HOUR_MS])
    scene.commit(2)
    assert_lag(stack, scene, lag=0, oldest_ms=None)
    idle = Scene(stack)  # nothing was ever in it
    idle.commit(0)
    assert_lag(stack, idle, lag=0, oldest_ms=None)


def test_caught_up_is_nothing_at_once(stack):
    """Up to the moment of the commit it was a minute old; no average remembers that."""
    scene = Scene(stack)
    made = now_ms() - 60_000
    scene.produce([made] * 50)
    scene.commit(10)
    assert_lag(stack, scene, lag=40, oldest_ms=made)
    scene.commit(50)
    assert_lag(stack, scene, lag=0, oldest_ms=None)


# proves P-12b, P-12c
def test_a_spike_is_as_old_as_its_first_record(stack):
    """The last commit was a day ago; what waits has come now."""
    scene = Scene(stack)
    scene.produce([now_ms() - DAY_MS])
    scene.commit(1)
    first = now_ms()
    scene.produce([first + i // 100 for i in range(5000)])
    assert_lag(stack, scene, lag=5000, oldest_ms=first)


def test_a_rewound_group_is_as_old_as_where_it_was_set_back_to(stack):
    scene = Scene(stack)
    times = [now_ms() - HOUR_MS + 1000 * i for i in range(100)]
    scene.produce(times)
    scene.commit(100)
    assert_lag(stack, scene, lag=0, oldest_ms=None)
    scene.commit(30)
    assert_lag(stack, scene, lag=70, oldest_ms=times[30])


# proves P-12b, P-12d
def test_what_retention_took_is_lost_and_not_lag(stack):
    scene = Scene(stack)
    times = [now_ms() - HOUR_MS + 1000 * i for i in range(100)]
    scene.produce(times)
    scene.commit(20)
    for future in scene.admin.delete_records([TopicPartition(scene.topic, 0, 60)]).values():
        future.result(20)
    assert_lag(stack, scene, lag=40, oldest_ms=times[60], how="bounded", lost=40)
    for future in scene.admin.delete_records([TopicPartition(scene.topic, 0, 100)]).values():
        future.result(20)
    assert_lag(stack, scene, lag=0, oldest_ms=None, lost=80)


def transactional(scene, times_ms, commit):
    producer = scene.producer(**{"transactional.id": scene.topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    for at in times_ms:
        producer.produce(scene.topic, value=b"x", partition=0, timestamp=at)
    assert producer.flush(30) == 0
    if commit is None:
        return producer  # its transaction is open
    before = scene.truth()[0][2]
    producer.commit_transaction(30) if commit else producer.abort_transaction(30)
    wait_until(lambda: scene.truth()[0][2] == before + len(times_ms) + 1, 20, "the marker stands behind the records")
    return producer


# proves P-12e
def test_markers_of_transactions_are_nobodys_lag(stack):
    """A consumer that has read all that there is stands before the marker, for ever."""
    scene = Scene(stack)
    made = now_ms() - HOUR_MS
    transactional(scene, [made] * 3, commit=True)
    scene.commit(1)
    assert_lag(stack, scene, lag=3, oldest_ms=made)  # offsets, as every client counts them
    scene.commit(3)
    assert_lag(stack, scene, lag=0, oldest_ms=None)
    transactional(scene, [made] * 5, commit=False)  # what was aborted is no record
    assert_lag(stack, scene, lag=0, oldest_ms=None)
    later = now_ms() - 5000
    transactional(scene, [later], commit=True)
    told, began, ended = told_of(stack, scene.group)
    assert (began - later) / 1000 - 1 <= told["behind_seconds"] <= (ended - later) / 1000 + 1
    assert told["lag"] == scene.truth()[0][2] - 3
    open_one = transactional(scene, [now_ms()], commit=None)  # nobody may read it yet
    assert told_of(stack, scene.group)[0]["lag"] == told["lag"]
    open_one.abort_transaction(30)


CONSUMER = """
import sys, confluent_kafka
consumer = confluent_kafka.Consumer({"bootstrap.servers": sys.argv[1], "group.id": sys.argv[2],
    "enable.auto.commit": False, "auto.offset.reset": "earliest", "session.timeout.ms": 6000})
consumer.subscribe([sys.argv[3]])
for _ in range(int(sys.argv[4])):
    message = None
    while message is None or message.error():
        message = consumer.poll(1)
    consumer.commit(message=message, asynchronous=False)
print("done", flush=True)
while True:
    sys.stdin.read(1)
"""


def test_a_dead_consumer_gets_older_by_the_second(stack):
    """It commits no more, and no figure may rest on its commits."""
    scene = Scene(stack)
    times = [now_ms() - 10_000 + 10 * i for i in range(20)]
    scene.produce(times)
    consumer = subprocess.Popen([sys.executable, "-c", CONSUMER, scene.brokers, scene.group, scene.topic, "5"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert consumer.stdout.readline() == "done\n"
        told = assert_lag(stack, scene, lag=15, oldest_ms=times[5])
        assert (told["state"], told["members"]) == ("Stable", 1)
        assert told["topics"][0]["partitions"][0]["owner"], "whose it is"
    finally:
        os.kill(consumer.pid, signal.SIGKILL)
        consumer.communicate()
    first = assert_lag(stack, scene, lag=15, oldest_ms=times[5])
    scene.produce([now_ms()] * 10)

    def gone():
        told = told_of(stack, scene.group)[0]
        return told["state"] == "Empty" and told
    last = wait_until(gone, 40, "the group knows")
    assert last["members"] == 0
    assert last["behind_seconds"] > first["behind_seconds"]
    assert_lag(stack, scene, lag=25, oldest_ms=times[5])


def test_one_stuck_record_behind_which_ten_thousand_finished(stack, tmp_path):
    """The age is that of the stuck one, and nothing else's: in a queue of Errand's own, from a live worker."""
    group, topic = "errand.worker.probe", "errand.commands.probe"
    scene = Scene(stack)
    wait_until(lambda: told_of(stack, group)[0]["lag"] == 0, 60, "nothing waits from before")
    with stuck_call(stack, STUCK_MS) as (stuck, command):
        ids = tmp_path / "ids"
        stack.errand("load", "probe.quick", "--connections", 16, "--count", 10_000, "--ids", ids,
                     "-d", '{"subject": "a bystander", "seed": {{n}}}', limit_s=120)
        mine = {stuck["id"], *(json.loads(line)["id"] for line in ids.read_text().splitlines())}
        assert len(mine) == 10_001
        assert stack.wait(max(mine))["state"] == "succeeded"
        after = [one for one in stack.kafka("commands.probe") if one.offset() >= command.offset()]
        ours = [one for one in after if headers_of(one).get("ce_subject") in mine]
        assert len(ours) == 10_001  # another test's job may come back just now, and waits behind the stuck one too
        assert_lag(stack, scene, lag=len(after), oldest_ms=command.timestamp()[1], group=group, topic=topic,
                   isolation="read_uncommitted")
        assert stack.get(stuck["id"])["state"] == "running"
    wait_until(lambda: told_of(stack, group)[0]["lag"] == 0, 10, "nothing waits any more")
    assert_lag(stack, scene, lag=0, oldest_ms=None, group=group, topic=topic, isolation="read_uncommitted")


# --- what else it tells --------------------------------------------------------------------------------------------


# proves P-12d
def test_what_is_not_known_is_null(stack):
    """A partition with records in which the group has committed nothing: where it would begin, only it knows."""
    scene = Scene(stack, partitions=3)
    made = now_ms() - HOUR_MS
    scene.produce([made] * 3, partition=0)
    scene.produce([made] * 3, partition=1)
    scene.commit(1, partition=0)
    told = told_of(stack, scene.group)[0]
    first, second, third = told["topics"][0]["partitions"]
    assert (first["lag"], first["how"]) == (2, "exact")
    assert (second["lag"], second["behind_seconds"], second["how"], second["current"]) == (None, None, "unknown", None)
    assert (third["lag"], third["behind_seconds"], third["how"]) == (0, 0, "exact")
    assert (told["lag"], told["how"]) == (2, "bounded")
    scene.commit(5, partition=2)  # as if its log had been made anew since
    third = told_of(stack, scene.group)[0]["topics"][0]["partitions"][2]
    assert (third["lag"], third["how"], third["current"], third["end"]) == (None, "unknown", 5, 0)
    assert stack.errand("lag", "--check", "--group", scene.group, "--warn", "2h", "--crit", "3h",
                        check=False).returncode == 3


# proves P-12d
def test_a_commit_that_the_log_does_not_have_is_no_place(stack):
    """Nobody knows where such a group goes on; but one that reads open transactions too is ahead of those that do not."""
    scene = Scene(stack)
    scene.produce([now_ms()] * 5)
    scene.commit(7)
    for told in (told_of(stack, scene.group)[0], over_http(stack, scene.group)[scene.group]):
        assert (told["lag"], told["behind_seconds"], told["how"]) == (None, None, "unknown"), told
        assert told["topics"][0]["partitions"][0]["current"] == 7
    assert stack.errand("lag", "--check", "--group", scene.group, check=False).returncode == 3
    producer = transactional(scene, [now_ms()] * 4, commit=None)
    try:
        for told in (told_of(stack, scene.group)[0], over_http(stack, scene.group)[scene.group]):
            assert (told["lag"], told["behind_seconds"], told["how"]) == (0, 0, "exact"), told
    finally:
        producer.abort_transaction(30)


def test_a_check_has_the_exit_codes_of_monitors(stack):
    scene = Scene(stack)
    scene.produce([now_ms() - 60_000] * 5)
    scene.commit(2)

    def check(*limits):
        done = stack.errand("lag", "--check", "--group", scene.group, *limits, check=False)
        told = json.loads(stack.errand("lag", "--check", "-o", "json", "--group", scene.group, *limits, check=False).stdout)
        schema_check("errand.lag.check/1", told)
        assert done.stdout.startswith(f"LAG {told['state']} - {told['group']}: {told['lag']} records") and told["lag"] == 3
        return done.returncode, done.stdout.split(" - ")[0]
    assert check("--warn", "10m", "--crit", "1h") == (0, "LAG OK")
    assert check("--warn", "30s", "--crit", "5m") == (1, "LAG WARNING")
    assert check("--warn", "10s", "--crit", "30s") == (2, "LAG CRITICAL")
    nobody = stack.errand("lag", "--check", "--group", "a-group-that-is-not", check=False)
    assert nobody.returncode == 3
    away = stack.errand("lag", "--check", "--dir", "/nowhere", check=False)
    assert away.returncode == 3
    assert stack.errand("lag", "--group", "a-group-that-is-not", check=False).returncode == 3  # not found


def test_watching_tells_rates_and_when_it_will_be_drained(stack):
    scene = Scene(stack)
    began_ms = now_ms()
    scene.produce([began_ms - DAY_MS] * 200 + [began_ms] * 800)
    scene.commit(100)
    process = subprocess.Popen(
        [os.path.join(stack.bin_folder, "errand"), "lag", "--dir", stack.folder, "--group", scene.group, "--watch=2s",
         "--looks", "2", "-o", "json"], stdout=subprocess.PIPE, text=True)
    first = json.loads(process.stdout.readline())["groups"][0]
    began = time.monotonic()
    assert (first["in_rate"], first["out_rate"], first["drain_seconds"]) == (None, None, None)
    scene.commit(400)
    scene.produce([now_ms()] * 100)
    second = json.loads(process.stdout.readline())["groups"][0]
    apart = time.monotonic() - began
    assert process.wait(20) == 0
    assert first["behind_seconds"] > 86_000 and second["behind_seconds"] <= (now_ms() - began_ms) / 1000 + 1
    assert 300 / (apart + 1) <= second["out_rate"] <= 300 / max(apart - 1, 0.5)
    assert second["out_rate"] == pytest.approx(3 * second["in_rate"], rel=0.01)
    assert second["drain_seconds"] == pytest.approx(700 / (second["out_rate"] - second["in_rate"]), rel=0.01)


def test_the_embedded_broker_tells_of_errands_own_groups_only(embedded_stack):
    stack = embedded_stack
    stack.wait(stack.submit("probe.quick", {"subject": "x", "seed": 1})["id"])

    def caught_up():
        told = json.loads(stack.errand("lag", "--over", "0s", "-o", "json").stdout)
        return told if all(group["lag"] == 0 for group in told["groups"]) else None
    told = wait_until(caught_up, 30, "nothing waits")
    assert {group["queue"] for group in told["groups"]} >= {"probe", "default"}
    assert all(group["how"] == "exact" and group["state"] is None for group in told["groups"])
    other = stack.errand("lag", "--group", "somebody-else", check=False)
    assert other.returncode == 5 and "embedded broker tells nothing of consumer groups" in other.stderr


# --- over HTTP -----------------------------------------------------------------------------------------------------


def over_http(stack, group=None):
    response = stack.request("GET", "/v1/lag", params={"group": group} if group else None)
    assert response.status_code == 200, response.text
    assert response.json()["schema"] == "errand.lag/1"
    return {one["group"]: one for one in response.json()["groups"]}


# proves P-12a
def test_the_gateway_tells_the_same_by_json_and_by_metrics_of_both_names(stack):
    group, topic = "errand.worker.probe", "errand.commands.probe"
    wait_until(lambda: over_http(stack)[group]["lag"] == 0, 60, "nothing waits from before")
    with stuck_call(stack, 40_000) as (_, command):
        check_what_the_gateway_tells(stack, group, topic, command.timestamp()[1])
    wait_until(lambda: over_http(stack)[group]["lag"] == 0, 20, "nothing waits")
    assert over_http(stack)[group]["behind_seconds"] == 0


def check_what_the_gateway_tells(stack, group, topic, made):
    """Of one record without an outcome, made then."""
    def seen():
        return over_http(stack)[group]["lag"] == 1 and value(stack, "gateway-1", "errand_lag_records", queue="probe") == 1
    wait_until(seen, 20, "the gateway has seen it")
    began = now_ms()
    told = over_http(stack)[group]
    look_s = 2  # gateway.backlog_look
    assert (began - made) / 1000 - look_s - 1 <= told["behind_seconds"] <= (now_ms() - made) / 1000 + 1
    assert (told["how"], told["queue"], told["state"], told["members"]) == ("exact", "probe", "Stable", 1)
    by_us = value(stack, "gateway-1", "errand_lag_seconds", queue="probe", partition="0")
    by_others = value(stack, "gateway-1", "kafka_consumergroup_group_lag_seconds", cluster_name="errand", group=group,
                      topic=topic, partition="0")
    assert told["behind_seconds"] <= by_us == pytest.approx(by_others, abs=2 * look_s)
    place = {"cluster_name": "errand", "topic": topic, "partition": "0"}
    committed, start, end = Scene(stack).truth(group, topic, isolation="read_uncommitted")[0]
    assert value(stack, "gateway-1", "kafka_consumergroup_group_lag", group=group, **place) == end - committed == 1
    assert value(stack, "gateway-1", "kafka_consumergroup_group_offset", group=group, **place) == committed
    assert value(stack, "gateway-1", "kafka_partition_latest_offset", **place) == end
    assert value(stack, "gateway-1", "kafka_partition_earliest_offset", **place) == start
    for name in ("sum_lag", "max_lag", "topic_sum_lag"):
        assert value(stack, "gateway-1", f"kafka_consumergroup_group_{name}", group=group) == 1
    assert value(stack, "gateway-1", "kafka_consumergroup_group_max_lag_seconds", group=group) > 0
    assert value(stack, "gateway-1", "errand_lag_certainty", queue="probe") == 2


def test_any_group_can_be_asked_for_over_http(stack):
    scene = Scene(stack)
    made = now_ms() - HOUR_MS
    scene.produce([made] * 10)
    scene.commit(4)
    began = now_ms()
    told = over_http(stack, scene.group)
    assert list(told) == [scene.group]
    assert told[scene.group]["lag"] == 6
    assert (began - made) / 1000 - 1 <= told[scene.group]["behind_seconds"] <= (now_ms() - made) / 1000 + 1
    asked = ["lag", "--url", stack.url, "--dir", "/nowhere", "--group", scene.group]
    by_errand = schema_check("errand.lag/1", json.loads(stack.errand(*asked, "--group", "errand.worker.probe", "-o", "json").stdout))
    mine, ours = by_errand["groups"]
    assert (mine["lag"], mine["how"], mine["topics"][0]["partitions"][0]["current"]) == (6, "exact", 4) and ours["queue"] == "probe"
    line = stack.errand(*asked, "--by", "partition").stdout.splitlines()[-1].split()
    assert line[:2] == [scene.group, scene.topic] and line[4:7] == ["4", "10", "6"]
    assert stack.errand(*asked, "--check", "--warn", "10s", "--crit", "2h", check=False).returncode == 1
    assert stack.errand("lag", "--url", stack.url, "--group", "nobody", check=False).returncode == 3
    assert stack.errand(*asked, "--topic", scene.topic, check=False).returncode == 2
    assert stack.errand("lag", "--url", "http://127.0.0.1:1", "--check", check=False).returncode == 3
    assert list(over_http(stack, "errand.worker.probe")) == ["errand.worker.probe"]
    missing = stack.request("GET", "/v1/lag", params={"group": "nobody"})
    assert (missing.status_code, missing.json()["field"]) == (404, "group")
    assert stack.request("GET", "/v1/lag", params={"group": "x" * 256}).status_code == 400


# proves P-12f
def test_an_autoscaler_reads_one_number_a_queue(stack):
    def wanted(**parameters):
        response = stack.request("GET", "/v1/autoscale", params={"queue": "probe", **parameters})
        return response.json() if response.status_code == 200 else {"workers": None}
    idle = wait_until(lambda: wanted()["workers"] == 0 and wanted(), 60, "there is nothing to do")
    assert (idle["schema"], idle["queue"], idle["lag"], idle["present"]) == ("errand.autoscale/1", "probe", 0, 1)
    schema_check("errand.autoscale/1", idle)
    with stuck_call(stack, 30_000):
        wait_until(lambda: wanted()["workers"] == 1, 20, "somebody is wanted")
    all_of_them = schema_check("errand.autoscale/1", stack.request("GET", "/v1/autoscale").json())["queues"]
    assert {"probe", "default"} <= {one["queue"] for one in all_of_them}
    for parameters, status in (({"queue": "none"}, 404), ({"drain": "soon"}, 400), ({"drain": "0s"}, 400)):
        assert stack.request("GET", "/v1/autoscale", params=parameters).status_code == status
