"""Groups of the cluster: what there is, who is in them, and where they go on.

SPDX-License-Identifier: Apache-2.0
"""
import json

from groups import Scene
from moments import now_ms
from waiting import wait_until


def json_of(stack, *arguments):
    return json.loads(stack.errand(*arguments, "-o", "json").stdout)


def test_every_group_of_the_cluster_is_listed_with_its_state(stack):
    scene = Scene(stack)
    scene.produce([now_ms()])
    scene.commit(1)
    told = json_of(stack, "groups", "ls")
    assert told["schema"] == "errand.groups/1"
    states = {group["group"]: group["state"] for group in told["groups"]}
    assert states[scene.group] == "Empty"
    assert states["errand.worker.probe"] == "Stable"
    assert list(states) == sorted(states)
    assert scene.group in stack.errand("groups", "ls").stdout


def test_a_description_tells_who_is_in_it_and_how_far_it_is(stack):
    scene = Scene(stack, partitions=2)
    made = now_ms() - 60_000
    scene.produce([made] * 10)
    scene.commit(4)
    consumer = scene.consumer(**{"client.id": "somebody"})
    try:
        consumer.subscribe([scene.topic])

        def assigned():
            consumer.poll(0.1)
            return len(consumer.assignment()) == 2
        wait_until(assigned, 30, "it has its partitions")
        told = json_of(stack, "groups", "describe", scene.group)
        member, = told["members"]
        assert (told["schema"], told["group"], told["state"]) == ("errand.group/1", scene.group, "Stable")
        assert told["coordinator"] == scene.brokers and told["assignor"] == "range"
        assert (member["client_id"], member["host"]) == ("somebody", "127.0.0.1")
        assert member["partitions"] == [{"topic": scene.topic, "partition": n} for n in (0, 1)]
        partition = told["lag"]["groups"][0]["topics"][0]["partitions"][0]
        assert (partition["lag"], partition["how"], partition["owner"]) == (6, "exact", "somebody")
        table = stack.errand("groups", "describe", scene.group).stdout
        assert "somebody" in table and f"{scene.topic}/0 {scene.topic}/1" in table
    finally:
        consumer.close()
    nobody = stack.errand("groups", "describe", "nobody", check=False)
    assert nobody.returncode == 3 and "there is no group nobody" in nobody.stderr


def offset_of(scene, partition=0, partitions=1):
    return scene.truth(partitions=partitions)[partition][0]


def seek(scene, *options, check=True):
    return scene.stack.errand("groups", "seek", scene.group, *options, check=check)


def test_seek_only_tells_unless_it_is_told_to_act(stack):
    scene = Scene(stack)
    times = [now_ms() - 100_000 + 1000 * i for i in range(100)]
    scene.produce(times)
    scene.commit(50)
    plan = json.loads(seek(scene, "--to", "start", "-o", "json").stdout)
    assert (plan["schema"], plan["executed"]) == ("errand.seek/1", False)
    assert plan["partitions"] == [{"topic": scene.topic, "partition": 0, "current": 50, "new": 0, "start": 0, "end": 100}]
    assert "nothing was changed" in seek(scene, "--to", "start").stderr
    assert offset_of(scene) == 50
    for place, expected in (("start", 0), ("end", 100), ("42", 42), ("+8", 50), ("-20", 30), ("-1000", 0), ("1000", 100),
                            (f"@{times[70]}", 70), (f"@{times[70] + 1}", 71), (f"@{now_ms() + 60_000}", 100)):
        seek(scene, f"--to={place}", "--execute", "--why", "a test of places")
        assert offset_of(scene) == expected, place
    audit = json.loads(stack.errand("audit", "--action", "groups.seek", "-n", "2", "-o", "json").stdout)["records"]
    assert [(record["phase"], record["why"], record["what"]["group"]) for record in audit] == \
        [(phase, "a test of places", scene.group) for phase in ("begun", "done")]
    assert len({record["id"] for record in audit}) == 1, "two records of one action"


def test_an_active_group_is_left_alone(stack):
    scene = Scene(stack)
    scene.produce([now_ms()] * 10)
    scene.commit(5)
    consumer = scene.consumer()
    try:
        consumer.subscribe([scene.topic])
        wait_until(lambda: consumer.poll(0.1) is not None or consumer.assignment(), 30, "it has its partition")
        refused = seek(scene, "--to", "start", "--execute", check=False)
        assert refused.returncode == 6 and "is active" in refused.stderr
        assert offset_of(scene) == 5
    finally:
        consumer.close()
    seek(scene, "--to", "start", "--execute")
    assert offset_of(scene) == 0


def test_a_topic_that_was_not_read_yet_can_be_begun_in(stack):
    scene = Scene(stack, partitions=2)
    scene.produce([now_ms()] * 3, partition=1)
    assert seek(scene, "--to", "end", "--execute", check=False).returncode == 3
    seek(scene, "--to", "end", "--topic", scene.topic, "--execute")
    assert [offset_of(scene, n, partitions=2) for n in (0, 1)] == [0, 3]
    assert seek(scene, "--to", "end", "--topic", "no-such-topic", check=False).returncode == 3
    assert seek(scene, "--to", "yesterday", check=False).returncode == 2
    assert seek(scene, check=False).returncode == 2


def test_the_embedded_broker_says_plainly_that_it_cannot(embedded_stack):
    for arguments in (["groups", "ls"], ["groups", "describe", "x"], ["groups", "seek", "x", "--to", "start"]):
        done = embedded_stack.errand(*arguments, check=False)
        assert done.returncode == 5
        assert "the embedded broker tells nothing of consumer groups" in done.stderr
        assert "errand up --broker apache" in done.stderr
