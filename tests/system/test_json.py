"""What `-o json` prints, held against its schema (docs/json) by an independent validator: every command that takes -o.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from conftest import ROOT
from waiting import wait_until

FOLDER = os.path.join(ROOT, "docs", "json")
SCHEMAS = {}
for file_name in os.listdir(FOLDER):
    if file_name.endswith(".json"):
        with open(os.path.join(FOLDER, file_name), encoding="utf-8") as file:
            SCHEMAS[file_name] = json.load(file)
REGISTRY = Registry().with_resources((name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items())
ELSEWHERE = ("chaos ", "drill run", "drill report")  # they take their time: test_chaos_verb.py, test_drill.py
QUICK = {"subject": "a schema", "seed": 1}


def schema_of(name):
    return SCHEMAS[name.replace("/", "-") + ".json"]


def check(name, value):
    errors = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}"
              for e in Draft202012Validator(schema_of(name), registry=REGISTRY).iter_errors(value)]
    assert not errors, f"{name}: {errors[:5]}\n{json.dumps(value)[:2000]}"
    return value


def printed(stack, name, *arguments, check_code=True):
    done = stack.errand(*arguments, "-o", "json", check=check_code)
    return check(name, json.loads(done.stdout))


def commands(stack):
    """{command: the name of what -o json prints} of every command in the help."""
    found = {}
    overview = stack.errand("help").stdout.split("Commands:\n", 1)[1].split("\n\n", 1)[0]
    for line in overview.splitlines():
        name = re.split(r"  +", line.strip())[0]
        for known in (name, " ".join(name.split()[:2]), name.split()[0]):
            text = stack.errand("help", *known.split(), check=False)
            if text.returncode == 0:
                told = re.search(r"With -o json: (\S+) ", text.stdout)
                if told:
                    found[known] = told[1]
                break
    return found


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_schema_is_one(name):
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$id"] == name and SCHEMAS[name]["title"]


def job_of_every_kind(stack):
    """Jobs in several states, with what a job may have."""
    ended = [stack.submit("probe.call", {"simulate": "status=400"}, labels={"team": "red"}),
             stack.submit("sentence.make", QUICK, deadline="1h"), stack.submit("probe.call", {"simulate": "fail=1"})]
    for job in ended:
        stack.wait(job["id"])
    gone = stack.submit("probe.call", {}, delay=3600)
    stack.request("DELETE", f"/v1/jobs/{gone['id']}", params={"wait": 10})
    later = stack.submit("probe.call", {}, delay=3600)
    runs = stack.submit("line.call", {"simulate": "slow=20000"}, key="schema")
    behind = stack.submit("line.call", {}, key="schema")
    again = stack.submit("probe.patient", {"simulate": "status=503,retry-after=20"})
    wait_until(lambda: stack.get(runs["id"])["state"] == "running" and stack.get(again["id"])["state"] == "retrying", 20,
               "each is in its state")
    return [job["id"] for job in [*ended, gone, later, runs, behind, again]]


def of_operators(stack):
    """What those print who ask Kafka, the index of dead letters, and the books."""
    wait_until(lambda: json.loads(stack.errand("dead", "ls", "-o", "json").stdout)["letters"], 10, "there are dead letters")
    done = {"dead ls": printed(stack, "errand.dead/1", "dead", "ls"), "lag": printed(stack, "errand.lag/1", "lag"),
            "groups ls": printed(stack, "errand.groups/1", "groups", "ls"),
            "groups describe": printed(stack, "errand.group/1", "groups", "describe", "errand.worker.probe"),
            "groups seek": printed(stack, "errand.seek/1", "groups", "seek", "nobody", "--to", "start", "--topic", "errand.commands.probe"),
            "topics describe": printed(stack, "errand.topic/1", "topics", "describe", "errand.commands.probe"),
            "topics plan": printed(stack, "errand.plan/1", "topics", "plan"),
            "verify": printed(stack, "errand.books/1", "verify", check_code=False)}
    letter = done["dead ls"]["letters"][0]
    place = f"{letter['queue']}/{letter['offset']}"
    done["dead show"] = printed(stack, "errand.dead.letter/1", "dead", "show", place)
    printed(stack, "errand.dead.purge/1", "dead", "purge", place)
    done["dead redrive"] = printed(stack, "errand.dead.redrive/1", "dead", "redrive", place)
    done["dead purge"] = printed(stack, "errand.dead.purge/1", "dead", "purge", place, "--execute", "--why", "a schema")
    printed(stack, "errand.dead/1", "dead", "ls", "--resolved")
    done["topics tail"] = [check("errand.record/1", json.loads(line))
                           for topic in ("commands.probe", "replies.probe", f"dead.{letter['queue']}", "audit")
                           for line in stack.errand("topics", "tail", f"errand.{topic}", "-o", "json").stdout.splitlines()]
    purged = [record["letter_offset"] for record in done["topics tail"] if record.get("kind") == "purged" and record["why"] == "a schema"]
    assert purged == [letter["offset"]]
    done["replay"] = printed(stack, "errand.replay/1", "replay", "commands.probe", "--limit", 3)
    done["drill ls"] = printed(stack, "errand.drills/1", "drill", "ls")
    done["audit"] = printed(stack, "errand.audit.list/1", "audit")
    return done


def of_the_stack(stack, tmp_path):
    """What those print who start, stop and configure."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("kafka:\n  broker: [x]\ntargets: 7\n", encoding="utf-8")
    refused = stack.errand("config", "check", wrong, "-o", "json", check=False)
    told = check("errand.config/1", json.loads(refused.stdout))
    assert refused.returncode == 2 and not told["right"] and len(told["mistakes"]) == 2 and f"{wrong}:2" in told["mistakes"][0], told
    done = {"version": printed(stack, "errand.version/1", "version"), "config check": printed(stack, "errand.config/1", "config", "check"),
            "topics apply": printed(stack, "errand.apply/1", "topics", "apply"), "up": printed(stack, "errand.status/1", "up"),
            "down": printed(stack, "errand.down/1", "down", "--dir", tmp_path / "nowhere")}
    assert done["config check"]["right"] and done["config check"]["types"] > 5 and done["config check"]["mistakes"] == []
    assert done["topics apply"]["changes"] == [] and done["down"]["stopped"] == "nothing"
    return done


def test_what_is_printed_fits_its_schema(stack, tmp_path):
    jobs = job_of_every_kind(stack)
    done = {"status": printed(stack, "errand.status/1", "status"), "health": printed(stack, "errand.health/1", "health"),
            "types": printed(stack, "errand.types/1", "types"), "topics ls": printed(stack, "errand.topics/1", "topics", "ls")}
    done["submit"] = printed(stack, "errand.job/1", "submit", "sentence.make", "--wait", "-d", json.dumps(QUICK))
    printed(stack, "errand.job/1", "submit", "sentence.make", "-d", json.dumps(QUICK))
    done["wait"] = printed(stack, "errand.job/1", "wait", jobs[1])
    for job in jobs:
        done["get"] = printed(stack, "errand.job/1", "get", job)
        done["why"] = printed(stack, "errand.why/1", "why", job)
    done["cancel"] = [printed(stack, "errand.job/1", "cancel", job) for job in jobs[4:5]]
    done["list"] = printed(stack, "errand.list/1", "list", "-n", 3)
    assert len(done["list"]["jobs"]) == 3 and "next" in done["list"]
    assert printed(stack, "errand.list/1", "list", "--type", "no.such")["jobs"] == []
    done["workers"] = wait_until(lambda: (told := printed(stack, "errand.workers/1", "workers"))["workers"] and told, 10, "it beats")
    done["load"] = printed(stack, "errand.load/1", "load", "sentence.make", "-n", 20, "-d", json.dumps(QUICK), "--mode", "e2e")
    done["logs"] = [check("errand.log/1", json.loads(line))
                    for line in stack.errand("logs", "gateway-1", "worker-1", "-o", "json").stdout.splitlines()]
    history = tmp_path / "history"
    history.write_text("")
    printed(stack, "errand.verdict/1", "verdict", "--history", history, check_code=False)
    done.update(of_operators(stack))
    done.update(of_the_stack(stack, tmp_path))
    missing = {name for name in commands(stack) if name not in done and not name.startswith(ELSEWHERE)}
    assert not missing and len(commands(stack)) >= 37, missing
