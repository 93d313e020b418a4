"""Topics from the command line: as the cluster has them, how they differ from the configuration, and what is in them.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import subprocess

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, ResourceType

from groups import DEADLINE_S, Scene
from moments import now_ms
from waiting import wait_until


def json_of(stack, *arguments):
    return json.loads(stack.errand(*arguments, "-o", "json").stdout)


def lines_of(stack, *arguments):
    return [json.loads(line) for line in stack.errand("topics", "tail", *arguments, "-o", "json").stdout.splitlines()]


def test_a_topic_is_described_as_the_cluster_has_it(stack):
    scene = Scene(stack, partitions=3, settings={"retention.ms": "1234567"})
    scene.produce([now_ms()] * 7, partition=1)
    told = json_of(stack, "topics", "describe", scene.topic)
    assert (told["schema"], told["topic"]) == ("errand.topic/1", scene.topic)
    assert [(one["partition"], one["start"], one["end"], one["replicas"], one["in_sync"]) for one in told["partitions"]] == \
        [(0, 0, 0, 1, 1), (1, 0, 7, 1, 1), (2, 0, 0, 1, 1)]
    assert told["settings"]["retention.ms"] == {"own": True, "value": "1234567"}
    assert told["settings"]["cleanup.policy"] == {"own": False, "value": "delete"}
    assert "retention.ms = 1234567" in stack.errand("topics", "describe", scene.topic).stdout
    missing = stack.errand("topics", "describe", "no-such-topic", check=False)
    assert missing.returncode == 3 and "there is no topic no-such-topic" in missing.stderr


def set_retention(stack, topic, value):
    admin = AdminClient({"bootstrap.servers": stack.brokers()})
    entry = ConfigEntry("retention.ms", value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(DEADLINE_S)


def test_a_plan_tells_each_difference_and_what_apply_would_do(fresh_stack):
    stack = fresh_stack("apache")
    same = json_of(stack, "topics", "plan")
    assert (same["schema"], same["differences"]) == ("errand.plan/1", [])
    admin = AdminClient({"bootstrap.servers": stack.brokers()})
    wanted = json_of(stack, "topics", "describe", "errand.audit")["settings"]["retention.ms"]["value"]
    set_retention(stack, "errand.audit", "1000")
    set_retention(stack, "errand.dead.probe", "-1")
    admin.create_partitions([NewPartitions("errand.dead.line", 5)])["errand.dead.line"].result(DEADLINE_S)
    admin.delete_topics(["errand.dead.rules"])["errand.dead.rules"].result(DEADLINE_S)

    def differences():
        done = stack.errand("topics", "plan", "-o", "json", check=False)
        assert done.returncode in (0, 1), done.stderr
        found = json.loads(done.stdout)["differences"]
        return {(one["topic"], one["what"]): one for one in found} if len(found) == 4 else None
    told = wait_until(differences, 20, "all four are told")
    assert told["errand.audit", "retention.ms"] == {
        "topic": "errand.audit", "what": "retention.ms", "found": "1000", "wanted": wanted, "action": "raise"}
    assert told["errand.dead.probe", "retention.ms"]["action"] == "keep"
    assert (told["errand.dead.line", "partitions"]["found"], told["errand.dead.line", "partitions"]["action"]) == ("5", "none")
    assert (told["errand.dead.rules", "partitions"]["found"], told["errand.dead.rules", "partitions"]["action"]) == (None, "make")
    done = stack.errand("topics", "plan", check=False)
    assert done.returncode == 1 and "errand.dead.rules" in done.stdout


def test_a_tail_decodes_what_is_on_our_topics(any_stack):
    stack = any_stack
    job = stack.submit("probe.call", {"simulate": "status=400", "n": 17}, labels={"team": "blue"})
    assert stack.wait(job["id"])["state"] == "failed"
    command, = [one for one in lines_of(stack, "errand.commands.probe", "--from", "-50") if one.get("job") == job["id"]]
    assert (command["schema"], command["kind"], command["type"]) == ("errand.record/1", "command", "probe.call")
    assert json.loads(command["payload"]) == {"simulate": "status=400", "n": 17}
    assert (command["turn"], command["attempt"], command["partition"]) == (0, 1, 0)
    assert {"name": "ce_subject", "value": job["id"]} in command["headers"]
    event = [one for one in lines_of(stack, "errand.replies.probe", "--from", "-50") if one.get("job") == job["id"]][-1]
    assert (event["kind"], event["error"]) == ("failed", "target_rejected")
    dead, = wait_until(lambda: [one for one in lines_of(stack, "errand.dead.probe", "--from", "-50")
                                if one.get("job") == job["id"]], 20, "its dead letter")
    assert {"name": "errand-reason", "value": "target_rejected"} in dead["headers"]
    table = stack.errand("topics", "tail", "errand.replies.probe", "--from", "-50").stdout
    assert any(job["id"] in line and "failed" in line and "target_rejected" in line for line in table.splitlines())


def test_a_tail_begins_where_it_is_told_and_shows_what_is_no_envelope(stack):
    scene = Scene(stack)
    times = [now_ms() - 100_000 + 1000 * i for i in range(20)]
    scene.produce(times[:19])
    scene.produce(times[19:], value=b"\xff\x00")

    def offsets(*options):
        return [one["offset"] for one in lines_of(stack, scene.topic, *options)]
    assert offsets() == list(range(10, 20))
    assert offsets("--from", "start") == list(range(20))
    assert offsets("--from", "start", "--lines", "3") == [0, 1, 2]
    assert offsets("--from", "end") == []
    assert offsets("--from", "+15") == list(range(15, 20))
    assert offsets("--from=-2") == [18, 19]
    assert offsets("--from", f"@{times[12]}") == list(range(12, 20))
    told = lines_of(stack, scene.topic, "--from=-2")
    assert (told[0]["value"], told[1]["value_hex"]) == ("x", "ff00")
    assert stack.errand("topics", "tail", "no-such-topic", check=False).returncode == 3
    assert stack.errand("topics", "tail", scene.topic, "--from", "there", check=False).returncode == 2


def test_a_tail_follows(stack):
    scene = Scene(stack, partitions=2)
    scene.produce([now_ms()] * 3)
    process = subprocess.Popen([os.path.join(stack.bin_folder, "errand"), "topics", "tail", scene.topic, "--dir",
                                stack.folder, "-f", "--from=-1", "-n", "3", "-o", "json"],
                               stdout=subprocess.PIPE, text=True)
    try:
        first = json.loads(process.stdout.readline())
        assert (first["partition"], first["offset"]) == (0, 2)
        scene.produce([now_ms()] * 2, partition=1)
        rest = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert [(one["partition"], one["offset"]) for one in rest] == [(1, 0), (1, 1)]
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.communicate()
