"""How long the topics keep their records: for as long as a view may have to be made again from them.

SPDX-License-Identifier: Apache-2.0
"""
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

DAY_MS = 24 * 3600 * 1000


def resource(topic, **settings):
    return ConfigResource(ResourceType.TOPIC, f"errand.{topic}", set_config={n.replace("_", "."): v for n, v in settings.items()})


def settings_of(admin, topic):
    asked = resource(topic)
    return {name: entry.value for name, entry in admin.describe_configs([asked])[asked].result(20).items()}


def test_a_retention_that_is_too_short_is_raised_and_a_longer_one_stays(stack):
    admin = AdminClient({"bootstrap.servers": stack.brokers()})
    before = {topic: settings_of(admin, topic) for topic in ("replies.probe", "commands.probe", "dead.probe", "control")}
    assert before["replies.probe"]["retention.ms"] == str(14 * DAY_MS)
    changed = [resource("replies.probe", **{**own(before["replies.probe"]), "retention_ms": "3600000",
                                            "segment_ms": "86400000"}),
               resource("commands.probe", **{**own(before["commands.probe"]), "retention_ms": str(99 * DAY_MS)}),
               resource("dead.probe", **{**own(before["dead.probe"]), "retention_ms": "-1"})]
    for done in admin.alter_configs(changed).values():
        done.result(20)
    told = stack.errand("topics", "apply").stderr
    assert "errand.replies.probe" in told and "commands.probe" not in told and "dead.probe" not in told, told
    after = {topic: settings_of(admin, topic) for topic in before}
    assert after["replies.probe"] == {**before["replies.probe"], "segment.ms": "86400000"}, "the rest is as it was"
    assert after["commands.probe"]["retention.ms"] == str(99 * DAY_MS)
    assert after["dead.probe"]["retention.ms"] == "-1", "for ever is long enough"
    assert after["control"] == before["control"]
    assert "replies.probe" not in stack.errand("topics", "apply").stderr


def own(settings):
    """What Errand has set; altering a topic's settings sets all of them."""
    names = ("cleanup.policy", "retention.ms", "message.timestamp.type", "max.message.bytes", "min.insync.replicas",
             "unclean.leader.election.enable")
    return {name.replace(".", "_"): settings[name] for name in names}
