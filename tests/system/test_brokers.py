"""Three brokers: any one of them may die, and nothing that was accepted is lost.

SPDX-License-Identifier: Apache-2.0
"""
import os
import subprocess

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

import processes
from load import Load, assert_all_succeed
from waiting import wait_until

BROKERS = ["broker-1", "broker-2", "broker-3"]
RATE = 30


@pytest.fixture(scope="module")
def cluster(make_stack):
    stack, finish = make_stack("apache:3")
    yield stack
    finish()


def settings_of(admin, topic):
    resource = ConfigResource(ResourceType.TOPIC, topic)
    return {name: entry.value for name, entry in admin.describe_configs([resource])[resource].result(20).items()}


def in_sync(stack):
    """How many replicas the partition that has the fewest has."""
    topics = AdminClient({"bootstrap.servers": stack.brokers()}).list_topics(timeout=20).topics
    return min(len(partition.isrs) for topic in topics.values() for partition in topic.partitions.values())


@pytest.mark.parametrize("broker", ["apache:2", "apache:", "apach"])
def test_a_number_of_brokers_that_is_none_is_refused(bin_folder, tmp_path, broker):
    told = subprocess.run([os.path.join(bin_folder, "errand"), "up", "--broker", broker, "--dir", str(tmp_path / "none")],
                          text=True, capture_output=True, timeout=60, check=False)
    assert told.returncode == 2 and "apache:3" in told.stderr


def test_every_topic_is_kept_three_times(cluster):
    assert [name for name in cluster.status() if name.startswith("broker")] == BROKERS
    admin = AdminClient({"bootstrap.servers": cluster.brokers()})
    metadata = admin.list_topics(timeout=20)
    assert sorted(metadata.brokers) == [1, 2, 3]
    for name, topic in metadata.topics.items():
        assert {len(partition.replicas) for partition in topic.partitions.values()} == {3}, name
        assert settings_of(admin, name)["min.insync.replicas"] == "2", name
    leaders = {partition.leader for partition in metadata.topics["errand.commands.default"].partitions.values()}
    assert len(leaders) > 1, "no broker does it all"


def test_a_job_goes_its_way(cluster):
    job = cluster.submit("sentence.make", {"subject": "a threefold tale", "seed": 1})
    assert cluster.wait(job["id"])["state"] == "succeeded"
    identity = job["id"].replace("-", "")[:24].encode()
    assert identity in [record.key() for record in cluster.kafka("replies.rules")]


def test_a_broker_is_killed_under_load_and_nothing_is_lost(cluster, tmp_path):
    """The one that leads the most, so that the most is under way through it."""
    topics = AdminClient({"bootstrap.servers": cluster.brokers()}).list_topics(timeout=20).topics
    leaders = [partition.leader for topic in topics.values() for partition in topic.partitions.values()]
    victim = f"broker-{max(set(leaders), key=leaders.count)}"
    load = Load(cluster, "probe.call", {"simulate": "slow=20"}, tmp_path / "ids", rate=RATE, duration_s=20)
    load.wait_accepted(2 * RATE)
    pid = cluster.kill(victim)
    seen = len(load.ids())
    load.wait_accepted(seen + 3 * RATE)  # two brokers are enough
    ids = load.finish()
    assert len(ids) == len(set(ids))
    assert_all_succeed(cluster, ids, deadline_s=90)
    cluster.wait_restarted(victim, pid, deadline_s=60)
    wait_until(lambda: in_sync(cluster) == 3, 60, "the broker has caught up")


def test_down_and_up_again_finds_the_same_jobs(cluster):
    job = cluster.submit("sentence.make", {"subject": "a keeper", "seed": 2})
    done = cluster.wait(job["id"])
    cluster.down()
    assert not processes.of_folder(cluster.folder)
    cluster.up()
    assert cluster.wait(job["id"]) == done
