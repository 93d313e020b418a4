"""What other people's machines run: the image, compose.yaml and the systemd units, as far as they can be proved without a
container engine and without systemd running. Each part of a service is taken from the file and put to the program that
will meet it: the variables to the configuration, the secrets to Redis, the file itself to its own checker.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import shutil
import stat
import subprocess
import sys

import pytest
import redis

from configuration import LOCAL
from conftest import ROOT
from dockerfile import DOCKERFILE, instructions
from processes import free_port
from waiting import wait_until

DEPLOY = os.path.join(ROOT, "infra", "deploy")
UNITS = os.path.join(DEPLOY, "systemd")
DAEMONS = ["gateway", "worker", "recorder", "delayer", "simulator"]
OWN = [*DAEMONS, "init", "topics", "errand"]
EXPOSURE_MAX = 2.0


def tool(name):
    """A program of the tests' own Python packages."""
    return os.path.join(os.path.dirname(sys.executable), name)


def run(*words, **options):
    return subprocess.run([str(word) for word in words], text=True, capture_output=True, timeout=60, check=False,
                          **options)


# --- compose.yaml ------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def compose():
    """compose.yaml as Docker Compose understands it: merged, checked against its schema, everything spelt out."""
    done = run(tool("docker-compose"), "-f", "compose.yaml", "--profile", "*", "config", "--format", "json", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr.lower(), done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def image_files(tmp_path):
    """The configuration and the secrets as they lie in a container: /etc/errand."""
    shutil.copy(LOCAL, tmp_path / "errand.yaml")
    (tmp_path / "secrets").mkdir()
    me = str(os.getuid())
    done = run(os.path.join(DEPLOY, "make-secrets.sh"), tmp_path / "secrets",
               env={**os.environ, "ERRAND_USER": me, "REDIS_USER": me})
    assert done.returncode == 0, done.stderr
    return tmp_path


@pytest.fixture
def check(bin_folder, image_files):
    """`errand config check` of the image's configuration, with exactly these variables."""
    def checked(environment):
        return run(os.path.abspath(os.path.join(bin_folder, "errand")), "config", "check", image_files / "errand.yaml",
                   env={"PATH": os.environ["PATH"], **environment})
    return checked


@pytest.mark.parametrize("name", [*DAEMONS, "topics", "errand"])
def test_a_service_gets_variables_that_its_configuration_takes(compose, check, name):
    service = compose["services"][name]
    done = check(service["environment"])
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_service_off_loopback_must_be_told_that_this_is_meant(compose, check):
    gateway = dict(compose["services"]["gateway"]["environment"])
    gateway.pop("ERRAND_GATEWAY_INSECURE")
    done = check(gateway)
    assert done.returncode == 2 and "can be reached from other machines" in done.stdout


def test_a_service_is_denied_what_it_does_not_need(compose):
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"] and service["pids_limit"], name
        assert service.get("read_only") or name == "kafka", name
        assert not service.get("privileged"), name
    assert [n for n, s in compose["services"].items() if s.get("cap_add") or s.get("user") == "0:0"] == ["init"]
    published = {n: s["ports"] for n, s in compose["services"].items() if s.get("ports")}
    assert list(published) == ["gateway"] and [p["host_ip"] for p in published["gateway"]] == ["127.0.0.1"]
    assert compose["networks"]["inside"]["internal"]
    for name in ("kafka", "redis"):
        assert list(compose["services"][name]["networks"]) == ["inside"], name


def test_no_secret_is_in_a_variable_or_an_argument(compose):
    for name, service in compose["services"].items():
        words = [*(service.get("environment") or {}), *(service.get("command") or [])]
        assert not [word for word in words if re.search("PASSWORD|SECRET|requirepass", word)], name


def test_images_are_pinned(compose):
    foreign = {n: s["image"] for n, s in compose["services"].items() if n not in OWN}
    assert foreign == {"kafka": "apache/kafka:4.1.0", "redis": "redis:8"}
    assert {compose["services"][n]["image"] for n in OWN} == {"errand:local"}


def test_services_start_when_what_they_need_is_there(compose):
    needs = {n: {d: c["condition"] for d, c in s.get("depends_on", {}).items()}
             for n, s in compose["services"].items()}
    base = {"topics": "service_completed_successfully", "kafka": "service_healthy", "redis": "service_healthy"}
    assert needs["gateway"] == needs["recorder"] == needs["delayer"] == base
    assert needs["worker"] == {**base, "simulator": "service_healthy"}
    for name in ("redis", "topics", "simulator"):
        assert needs[name]["init"] == "service_completed_successfully", name
    for name in ("kafka", "redis"):
        assert compose["services"][name]["healthcheck"]["test"], name


@pytest.mark.parametrize("name", DAEMONS)
def test_a_health_check_asks_where_the_service_listens(compose, name):
    service = compose["services"][name]
    asked = service.get("healthcheck", {}).get("test") or dockerfile_words("HEALTHCHECK")
    assert asked[-4:-1] == ["errand", "health", "--url"], asked
    port = service["environment"][f"ERRAND_{name.upper()}_LISTEN"].rpartition(":")[2]
    assert asked[-1] == f"http://127.0.0.1:{port}"


def test_health_tells_a_process_that_is_ready_from_one_that_is_not(embedded_stack, bin_folder):
    stack = embedded_stack
    done = stack.errand("health", "--url", f"http://{stack.address('worker-1')}", "-o", "json")
    told = json.loads(done.stdout)
    assert told["schema"] == "errand.health/1" and told["ready"] and told["conditions"]
    table = stack.errand("health").stdout
    assert table.startswith("CONDITION") and " no " not in table
    nothing = stack.errand("health", "--url", f"http://127.0.0.1:{free_port()}", check=False)
    assert nothing.returncode == 5
    recorder = subprocess.Popen(  # of no stack: nothing it needs is there
        [os.path.join(stack.bin_folder, "errand-recorder")], stderr=subprocess.DEVNULL,
        env={"ERRAND_KAFKA_BROKERS": f"127.0.0.1:{free_port()}", "ERRAND_REDIS_ADDRESSES": f"127.0.0.1:{free_port()}",
             "ERRAND_RECORDER_LISTEN": f"127.0.0.1:{(port := free_port())}"})
    try:
        def asked():
            done = stack.errand("health", "--url", f"http://127.0.0.1:{port}", check=False)
            return done.returncode != 5 and done
        done = wait_until(asked, 20, "the recorder answers")
        assert done.returncode == 1 and " no " in done.stdout
    finally:
        recorder.kill()
        recorder.wait()


def test_topics_are_told_by_a_configuration_without_a_stack(embedded_stack, bin_folder, tmp_path):
    given = tmp_path / "errand.yaml"
    given.write_text(f"kafka: {{brokers: \"{embedded_stack.address('broker')}\", kind: embedded}}\n"
                     "queues: {default: {partitions: 8}, unheard: {partitions: 1}}\n")

    def topics(path):
        return run(os.path.abspath(os.path.join(bin_folder, "errand")), "topics", "ls", "--config", path, "-o", "json",
                   cwd=tmp_path, env={"PATH": os.environ["PATH"]})
    told = topics(given)
    assert told.returncode == 0, told.stderr
    exists = {topic["name"]: topic["exists"] for topic in json.loads(told.stdout)["topics"]}
    assert exists["errand.commands.default"] and not exists["errand.commands.unheard"]
    wrong = topics(tmp_path / "none.yaml")
    assert wrong.returncode == 2 and "none.yaml" in wrong.stderr


# --- the secrets -------------------------------------------------------------------------------------------------------

def test_secrets_are_made_once_and_each_for_its_reader(image_files):
    folder = image_files / "secrets"
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert sorted(before) == ["id", "redis", "redis.conf"]
    assert re.fullmatch("[0-9a-f]{64}", before["id"]) and re.fullmatch("[0-9a-f]{64}\n", before["redis"])
    assert before["redis.conf"] == f"requirepass {before['redis']}"
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    me = str(os.getuid())
    again = run(os.path.join(DEPLOY, "make-secrets.sh"), folder,
                env={**os.environ, "ERRAND_USER": me, "REDIS_USER": me})
    assert again.returncode == 0 and not again.stdout
    assert {path.name: path.read_text() for path in folder.iterdir()} == before


def test_redis_takes_its_arguments_and_the_password(compose, image_files, tmp_path):
    """A real redis-server with the service's own command, its two folders moved here."""
    service = compose["services"]["redis"]
    moved = {"/data": str(tmp_path / "data"), "/secrets/redis.conf": str(image_files / "secrets" / "redis.conf")}
    (tmp_path / "data").mkdir()
    port = free_port()
    words = [*service["entrypoint"], *(moved.get(word, word) for word in service["command"])]
    server = subprocess.Popen([*words, "--port", str(port), "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL)
    try:
        def client(password):
            return redis.Redis(port=port, password=password, socket_timeout=5)
        password = (image_files / "secrets" / "redis").read_text().strip()

        def answers():
            try:
                return client(password).ping()
            except redis.ConnectionError:
                return False
        wait_until(answers, 20, "redis-server answers")
        with pytest.raises(redis.AuthenticationError):
            client(None).ping()
        settings = client(password).config_get("*")
        assert settings["maxmemory-policy"] == "noeviction" and settings["appendonly"] == "yes"
        assert settings["save"] == "" and (tmp_path / "data" / "appendonlydir").is_dir()
    finally:
        server.terminate()
        server.wait()


# --- the image ---------------------------------------------------------------------------------------------------------

def dockerfile_words(name):
    """The words of the last such instruction in its JSON form."""
    rest = [rest for instruction, rest in instructions() if instruction == name][-1]
    return json.loads(rest[rest.index("["):])


def test_the_dockerfile_is_clean():
    done = run(tool("hadolint"), DOCKERFILE)
    assert done.returncode == 0, done.stdout


def test_the_image_holds_every_role_and_no_secret(compose):
    told = instructions()
    installed = re.findall(r"\berrand[\w-]*(?= )", " ".join(r for n, r in told if n == "RUN" and "/out/bin" in r))
    for name in DAEMONS:
        program = compose["services"][name]["command"][0]
        assert program == f"errand-{name}" and program in installed
    assert [rest for name, rest in told if name == "USER"][-1] == "10001:10001"
    assert ("STOPSIGNAL", "SIGTERM") in told
    assert [rest for name, rest in told if name == "ENV"] == ["ERRAND_CONFIG=/etc/errand/errand.yaml"]
    with open(os.path.join(DEPLOY, "make-secrets.sh"), encoding="utf-8") as file:
        assert "ERRAND_USER:-10001" in file.read(), "the image's user owns the secrets"


def test_every_step_of_the_image_is_plain(bin_folder):
    """What RUN runs a shell can read, and what is copied is there."""
    for name, rest in instructions():
        if name == "RUN":
            done = run("sh", "-n", "-c", rest)
            assert done.returncode == 0, done.stderr
        if name == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert os.path.exists(os.path.join(ROOT, source)), source


# --- the units ---------------------------------------------------------------------------------------------------------

@pytest.fixture
def units(bin_folder, tmp_path):
    """The units in a folder of their own, their programs those under test, the template as one of its instances."""
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder)
    os.rename(folder / "errand-worker@.service", folder / "errand-worker@1.service")
    names = sorted(path.name for path in folder.glob("*.service"))
    for name in names:
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace("/usr/bin/", os.path.abspath(bin_folder) + "/"))
    assert names == [f"errand-{role}.service" for role in ("delayer", "gateway", "recorder", "worker@1")]
    return [folder / name for name in names]


def test_the_units_are_right(units):
    for unit in units:
        done = run("systemd-analyze", "--recursive-errors=yes", "verify", unit)
        assert done.returncode == 0 and not done.stderr, done.stderr


def test_the_units_leave_little_open(units):
    for unit in units:
        done = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit, env={**os.environ, "LC_ALL": "C"})
        found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
        assert found, done.stdout + done.stderr
        assert float(found.group(1)) <= EXPOSURE_MAX, done.stdout


def test_a_unit_gets_variables_that_its_configuration_takes(check, image_files):
    """With the credentials where systemd would put them, and modes as it shows them."""
    with open(os.path.join(UNITS, "errand-.service.d", "10-walls.conf"), encoding="utf-8") as file:
        walls = file.read()
    loaded = dict(re.findall(r"^LoadCredential=(\w+):(\S+)$", walls, re.M))
    assert loaded == {"id": "/etc/errand/secrets/id", "redis": "/etc/errand/secrets/redis"}
    credentials = image_files / "credentials"
    credentials.mkdir()
    for name in loaded:
        shutil.copy(image_files / "secrets" / name, credentials / name)
        (credentials / name).chmod(0o440)
    variables = dict(word.split("=", 1) for line in re.findall(r"^Environment=(.*)$", walls, re.M)
                     for word in line.split())
    assert variables.pop("ERRAND_CONFIG") == "/etc/errand/errand.yaml"
    spelt = {name: value.replace("%d", str(credentials)) for name, value in variables.items()}
    shutil.rmtree(image_files / "secrets")  # nothing else may be read
    done = check({"CREDENTIALS_DIRECTORY": str(credentials), "ERRAND_PROCESS": "worker-1", **spelt})
    assert done.returncode == 0, done.stdout + done.stderr
    assert check(spelt).returncode == 2, "elsewhere the group's read bit is the group's"
