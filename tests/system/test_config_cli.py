"""The command line and the configuration: what a person gets to see when something is wrong, and stable exit codes.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import subprocess

import pytest
import yaml

OK, FAILED, USAGE, NOT_FOUND, UNREACHABLE, PENDING, JOB_FAILED = 0, 1, 2, 3, 5, 8, 9


@pytest.fixture
def errand(bin_folder, tmp_path):
    """Runs the command line where there is no stack."""
    def run(*arguments, **environment):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ERRAND_")}
        return subprocess.run(
            [os.path.abspath(os.path.join(bin_folder, "errand")), *map(str, arguments)], text=True, timeout=60,
            capture_output=True, check=False, cwd=tmp_path,
            env={**clean, "ERRAND_DIR": str(tmp_path / "none"), **environment})
    return run


def test_help_and_version_go_to_standard_output(errand):
    told = errand("--help")
    assert told.returncode == OK and "submit" in told.stdout and "up" in told.stdout
    told = errand("version")
    assert told.returncode == OK and told.stdout.strip()


@pytest.mark.parametrize("arguments,hint", [(["submt"], "submit"), (["up", "--brokr", "embedded"], "--broker")])
def test_a_slip_is_told_with_the_nearest_name(errand, arguments, hint):
    told = errand(*arguments)
    assert told.returncode == USAGE and hint in told.stderr and not told.stdout


def test_without_a_stack_the_way_on_is_told(errand):
    told = errand("submit", "quote.fetch", "-d", "{}")
    assert told.returncode == UNREACHABLE
    assert "errand up" in told.stderr
    told = errand("down")
    assert told.returncode == OK, "there is nothing to stop"


def test_the_local_configuration_is_right(errand, local_config, tmp_path):
    path = tmp_path / "errand.yaml"
    path.write_text(yaml.safe_dump(local_config, sort_keys=False))
    (tmp_path / "secrets").mkdir()
    for name in ("id", "redis"):
        secret = tmp_path / "secrets" / name
        secret.write_text("0123456789abcdef0123456789abcdef\n")
        secret.chmod(0o600)
    told = errand("config", "check", path)
    assert told.returncode == OK, told.stderr


def test_every_mistake_is_told_in_one_run_with_file_line_and_key(errand, tmp_path):
    path = tmp_path / "errand.yaml"
    path.write_text("namespce: errand\ngateway:\n  wait_max: soon\nredis:\n  password: plain\n"
                    "types:\n  a.b:\n    queue: nowhere\n    handler: rules\n    rule: sentence.make\n")
    told = errand("config", "check", path)
    assert told.returncode == USAGE
    said = told.stdout + told.stderr
    for line, key in ((1, "namespce"), (3, "wait_max"), (5, "password"), (8, "nowhere")):
        assert any(f"errand.yaml:{line}:" in row and key in row for row in said.splitlines()), (line, key, said)
    assert "namespace" in said, "the nearest known key"
    assert "plain\n" not in said.replace("plain text", ""), "a secret is never shown"


def test_what_only_the_programs_know_is_checked_too(errand, tmp_path):
    (tmp_path / "id").write_text("0123456789abcdef0123456789abcdef")
    (tmp_path / "id").chmod(0o600)
    path = tmp_path / "errand.yaml"
    path.write_text("secrets: {id: [\"file:id\"]}\nkafka: {properties: {linger.mss: \"5\"}}\n"
                    "types:\n  a.b: {handler: rules, rule: order.prce, example: {}}\n")
    told = errand("config", "check", path)
    assert told.returncode == USAGE
    assert "kafka.properties.linger.mss" in told.stdout
    assert "did you mean order.price" in told.stdout


def test_an_unknown_variable_is_an_error(errand, tmp_path):
    path = tmp_path / "errand.yaml"
    path.write_text("namespace: errand\n")
    told = errand("config", "check", path, ERRAND_KAFKA_BROKRS="localhost:1")
    assert told.returncode == USAGE and "ERRAND_KAFKA_BROKERS" in told.stdout + told.stderr


def test_submit_and_wait_tell_the_job_as_text_and_as_json(embedded_stack):
    payload = json.dumps({"subject": "the terminal", "seed": 1})
    told = embedded_stack.errand("submit", "sentence.make", "-d", payload, "--wait", "-o", "json")
    job = json.loads(told.stdout)
    assert job["schema"].startswith("errand.")
    told = embedded_stack.errand("submit", "sentence.make", "-d", payload, "--wait")
    assert "succeeded" in told.stdout


def test_exit_codes_tell_how_a_job_ended(embedded_stack):
    bad = json.dumps({"region": "DE", "lines": []})
    assert embedded_stack.errand("submit", "order.price", "-d", bad, "--wait", check=False).returncode == JOB_FAILED
    slow = json.dumps({"simulate": "slow=3000"})
    assert embedded_stack.errand("submit", "probe.call", "-d", slow, "--wait=1s", check=False).returncode == PENDING
    nobody = "0193c0de-0000-7000-8000-000000000000"
    assert embedded_stack.errand("get", nobody, check=False).returncode == NOT_FOUND
    assert embedded_stack.errand("submit", "no.such", "-d", "{}", check=False).returncode not in (OK, USAGE)


def test_the_payload_is_read_back_from_kafka(embedded_stack):
    payload = '{"subject" : "spaces   kept", "seed": 9}'
    job = embedded_stack.submit("sentence.make", json.loads(payload))
    embedded_stack.wait(job["id"])
    told = embedded_stack.errand("get", job["id"], "--payload")
    assert json.loads(told.stdout) == json.loads(payload)


def test_status_and_topics_are_told(embedded_stack):
    names = set(embedded_stack.status())
    assert {"broker", "redis", "simulator", "recorder-1", "worker-1", "gateway-1"} <= names
    assert all(process["ready"] for process in embedded_stack.status().values())
    told = embedded_stack.errand("topics", "ls")
    assert "errand.commands.default" in told.stdout


def test_the_state_folder_keeps_its_secrets(embedded_stack):
    folder = embedded_stack.folder
    assert os.stat(folder).st_mode & 0o077 == 0
    with open(os.path.join(folder, "secrets", "redis"), encoding="utf-8") as file:
        password = file.read().strip()
    assert len(password) >= 16
    assert password not in embedded_stack.all_logs()
    for name in ("redis", "id"):
        assert os.stat(os.path.join(folder, "secrets", name)).st_mode & 0o077 == 0
    for pid in {process["pid"] for process in embedded_stack.status().values()}:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            assert password.encode() not in file.read()
