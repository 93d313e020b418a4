"""Three brokers: any one of them may die, and nothing that was accepted is lost.

SPDX-License-Identifier: Apache-2.0
"""
import os
import subprocess

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

import processes
from chaos import ACK_MS_MAX, RATE, SLACK_MS, STOP_S, Chaos, assert_clean, assert_honest, mark, percentile
from moments import now_ms
from stack import identity
from waiting import wait_until

pytestmark = pytest.mark.alone

BROKERS = ["broker-1", "broker-2", "broker-3"]
WARM_S = 5  # a broker that has just started is slow
LOAD_S_MAX = 150
SEED = 40


@pytest.fixture(scope="module")
def cluster(module_stack, swift_bin):
    """With programs as they are used, as in test_chaos.py: two cores carry three brokers and RATE jobs/s, and little beside."""
    return module_stack("apache:3", workers=2, programs=swift_bin,
                        config={"kafka": {"produce_timeout": f"{ACK_MS_MAX + SLACK_MS}ms"}})


def settings_of(admin, topic):
    resource = ConfigResource(ResourceType.TOPIC, topic)
    return {name: entry.value for name, entry in admin.describe_configs([resource])[resource].result(20).items()}


def in_sync(stack):
    """How many replicas the partition that has the fewest has."""
    topics = AdminClient({"bootstrap.servers": stack.brokers()}).list_topics(timeout=20).topics
    return min(len(partition.isrs) for topic in topics.values() for partition in topic.partitions.values())


def wait_in_sync(stack):
    wait_until(lambda: in_sync(stack) == len(BROKERS), 60, "all brokers have caught up")


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
    own = identity(job["id"]).encode()
    assert own in [record.key() for record in cluster.kafka("replies.rules")]


def assert_every_one_was_acknowledged_in_time(chaos, fault, until_ms):
    """Also those that were under way when the broker died."""
    begin_ms = fault["begin"] - ACK_MS_MAX - SLACK_MS
    answers = [(accepted, took_ms) for at, accepted, took_ms in chaos.answers() if begin_ms <= at <= until_ms]
    refused = sum(not accepted for accepted, _ in answers)
    longest = max(took_ms for _, took_ms in answers)
    most = percentile([took_ms for _, took_ms in answers], 0.99)
    print(f"{fault['what']} {fault['name']}: {len(answers)} submissions, {refused} refused, 99 % took {most} ms, the longest {longest} ms")
    assert len(answers) > RATE and refused == 0 and most <= ACK_MS_MAX and longest <= ACK_MS_MAX + SLACK_MS, (
        fault, len(answers), refused, most, longest)


# proves P-2, P-53
def test_brokers_are_killed_one_by_one_and_all_and_stopped(cluster, tmp_path):
    """Of one that dies nobody hears more than a late answer; without any there are honest refusals; and it heals by itself."""
    chaos = Chaos(cluster, tmp_path, RATE, duration_s=LOAD_S_MAX, seed=SEED, since=mark(cluster, tmp_path))
    deaths = []
    with chaos:
        chaos.let_run(WARM_S)
        for broker in BROKERS:
            chaos.kill(broker)
            wait_in_sync(cluster)
            chaos.let_run(1, 2)
            deaths.append((chaos.faults[-1], now_ms()))
        chaos.stop(chaos.chance.choice(BROKERS), for_s=STOP_S)
        wait_in_sync(cluster)
        with chaos.away(*BROKERS):
            assert_honest(chaos.ask())  # after it has waited for Kafka as long as it may
        wait_in_sync(cluster)
        assert wait_until(lambda: chaos.ask().status_code == 202, 20, "submissions are accepted again")
        chaos.end_loads()
    assert_clean(chaos.verdict())
    print(f"{chaos.rate():.0f} jobs/s")
    for fault, until_ms in deaths:
        assert_every_one_was_acknowledged_in_time(chaos, fault, until_ms)


def test_down_and_up_again_finds_the_same_jobs(cluster):
    job = cluster.submit("sentence.make", {"subject": "a keeper", "seed": 2})
    done = cluster.wait(job["id"])
    cluster.down()
    assert not processes.of_folder(cluster.folder)
    cluster.up()
    assert cluster.wait(job["id"]) == done
