"""What people see and what programs read: on a terminal colour and times as people say them, in a pipe neither. The
terminal is a real one (pty). Manual pages and completions are given to the programs that are to read them.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pty
import re
import select
import subprocess
import time

import pytest

from conftest import ROOT
from waiting import wait_until

QUICK = {"subject": "a terminal", "seed": 1}
ESCAPE = "\033["
RELATIVE = re.compile(r"\bnow\b|\b\d+[smhd] ago\b")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def on_terminal(stack, *arguments, **environment):
    """What the command writes to a terminal that is its standard output."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([os.path.join(stack.bin_folder, "errand"), *arguments], stdin=subprocess.DEVNULL, stdout=theirs,
                               stderr=subprocess.PIPE, env={**os.environ, "TERM": "xterm", "ERRAND_DIR": stack.folder, **environment})
    os.close(theirs)
    text, deadline = b"", time.monotonic() + 30
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other side has closed it
                break
            if not piece:
                break
            text += piece
    os.close(ours)
    assert process.wait(10) == 0, process.stderr.read()
    process.stderr.close()
    return text.decode()


@pytest.fixture(scope="module")
def letter(stack):
    """An open dead letter's job, and an action of which the audit knows."""
    job = stack.submit("probe.call", {"simulate": "status=400"})
    stack.wait(job["id"])
    wait_until(lambda: stack.request("GET", f"/v1/dead/{job['id']}").status_code == 200, 20, "its letter is in the index")
    other = stack.submit("probe.call", {"simulate": "status=400"})
    stack.wait(other["id"])
    wait_until(lambda: stack.request("GET", f"/v1/dead/{other['id']}").status_code == 200, 20, "its letter is in the index")
    stack.errand("dead", "purge", other["id"], "--execute", "--why", "a terminal")
    return job["id"]


@pytest.mark.parametrize("words, coloured", [
    (("list",), True), (("get", "ID"), True), (("why", "ID"), True), (("workers",), True), (("dead", "ls"), True),
    (("dead", "show", "LETTER"), False), (("audit", "--action", "dead.purge"), True),
    (("topics", "tail", "errand.dead.probe", "--from", "-1"), False)])
def test_a_terminal_gets_colour_and_relative_times_and_a_pipe_neither(stack, letter, words, coloured):
    job = stack.wait(stack.submit("sentence.make", QUICK)["id"])
    words = [{"ID": job["id"], "LETTER": letter}.get(word, word) for word in words]
    shown = on_terminal(stack, *words)
    assert (ESCAPE in shown) == coloured and RELATIVE.search(shown) and not STAMP.search(shown)
    plain = on_terminal(stack, *words, NO_COLOR="1")
    assert ESCAPE not in plain and RELATIVE.search(plain)
    piped = stack.errand(*words).stdout
    first = piped.splitlines()[0] if words[0] == "why" else ""  # its sentence is for people anywhere
    assert ESCAPE not in piped and STAMP.search(piped) and not RELATIVE.search(piped.removeprefix(first))
    asked = on_terminal(stack, *words, "-o", "json")
    assert ESCAPE not in asked and STAMP.search(asked) and '"schema":"errand.' in asked


# --- manual pages and completions: no stack is needed ------------------------------------------------------------------


@pytest.fixture(scope="module")
def errand(bin_folder):
    def run(*words):
        return subprocess.run([os.path.join(os.path.abspath(bin_folder), "errand"), *words], capture_output=True, text=True,
                              timeout=30, check=True).stdout
    return run


@pytest.fixture(scope="module")
def commands(errand):
    """{command: its options} as the help tells them."""
    overview = errand("help").split("Commands:\n", 1)[1].split("\n\n", 1)[0]
    names = [line[2:].split("  ")[0].strip() for line in overview.splitlines()]
    assert len(names) > 15
    found = {}
    for line in overview.splitlines():
        two, one = " ".join(line.split()[:2]), line.split()[0]
        for name in (two, one):
            text = errand("help", *name.split())
            if text.startswith(f"errand {name}: "):
                found[name] = set(re.findall(r"^  (?:-., |    )--([a-z-]+)", text, re.M)) - {"help"}
                assert text.index("Examples:") < text.index("Usage:"), "examples come first"
                break
        else:
            raise AssertionError(line)
    return found


def test_manual_pages_are_whole_and_groff_has_nothing_to_say(errand, commands, tmp_path):
    errand("manual", "--into", str(tmp_path))
    pages = {path.name: path for path in tmp_path.iterdir()}
    assert set(pages) == {"errand.1"} | {f"errand-{name.replace(' ', '-')}.1" for name in commands}
    for name, path in pages.items():
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-P-c", str(path)], capture_output=True, text=True, check=True)
        assert not done.stderr, f"{name}: {done.stderr}"
    for name, options in commands.items():
        path = pages[f"errand-{name.replace(' ', '-')}.1"]
        assert path.read_text() == errand("manual", *name.split())
        text = subprocess.run(["groff", "-man", "-Tascii", "-P-cbou", str(path)], capture_output=True, text=True, check=True).stdout
        assert text.index("EXAMPLES") < text.index("SYNOPSIS") < text.index("OPTIONS")
        for option in options:
            assert f"--{option}" in text, f"{name} --{option}"


def complete_in_bash(errand, words):
    """What bash offers for the last of the words."""
    script = errand("completion", "bash") + "\n" + 'COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _errand; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", *words], capture_output=True, text=True, check=True)
    assert not done.stderr
    return set(done.stdout.split())


def test_bash_completes_every_command_option_and_choice(errand, commands):
    assert complete_in_bash(errand, ["errand", ""]) == {name.split()[0] for name in commands}
    assert complete_in_bash(errand, ["errand", "su"]) == {"submit"}
    assert {"ls", "apply"} <= complete_in_bash(errand, ["errand", "topics", ""])
    for name, options in commands.items():
        offered = complete_in_bash(errand, ["errand", *name.split(), "--"])
        assert offered == {"--help"} | {f"--{option}" for option in options}, name
    assert complete_in_bash(errand, ["errand", "list", "-o", ""]) == {"table", "json"}
    assert complete_in_bash(errand, ["errand", "list", "--state", "failed", "--output", "j"]) == {"json"}
    assert complete_in_bash(errand, ["errand", "list", "--type", ""]) == set()


def test_fish_completes_every_command_and_option(errand, commands, tmp_path):
    script = tmp_path / "errand.fish"
    script.write_text(errand("completion", "fish"))
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    lines = {"errand ": None, "errand topics ": None, "errand list -o ": None,
             **{f"errand {name} --": options for name, options in commands.items()}}
    asked = "".join(f"echo '== {line}'; complete -C '{line}'\n" for line in lines)
    done = subprocess.run(["fish", "--no-config", "-c", f"source {script}\n{asked}"], capture_output=True, text=True,
                          env=environment, check=True, cwd=tmp_path)
    assert not done.stderr
    offered = {}
    for part in done.stdout.split("== ")[1:]:
        line, *found = part.split("\n")
        offered[line] = {word.split("\t")[0] for word in found if word}
    assert offered["errand "] == {name.split()[0] for name in commands}
    assert {"ls", "apply"} <= offered["errand topics "] and {"table", "json"} == offered["errand list -o "]
    for name, options in commands.items():
        assert {f"--{option}" for option in options} <= offered[f"errand {name} --"], name


def test_zsh_takes_the_completion_and_it_names_everything(errand, commands, tmp_path):
    script = errand("completion", "zsh")
    path = tmp_path / "_errand"
    path.write_text(script)
    subprocess.run(["zsh", "-f", "-n", str(path)], check=True)
    loaded = f"autoload -Uz compinit && compinit -u -D; source {path}; print -r -- $_comps[errand]"
    done = subprocess.run(["zsh", "-f", "-c", loaded], capture_output=True, text=True, check=True,
                          env={**os.environ, "HOME": str(tmp_path)})
    assert done.stdout.strip() == "_errand" and not done.stderr
    for name, options in commands.items():
        line, = re.findall(rf"^        '{name}'\) (_arguments .*)$", script, re.M)
        for option in options:
            assert f"'--{option}[" in line or f"'*--{option}[" in line, f"{name} --{option}"


def test_what_is_installed_is_complete_and_prints_the_same(bin_folder, errand, commands, tmp_path):
    subprocess.run([os.path.join(ROOT, "infra", "deploy", "install.sh"), os.path.abspath(bin_folder), "/usr"], check=True, timeout=120,
                   env={**os.environ, "DESTDIR": str(tmp_path)})
    usr = tmp_path / "usr"
    assert {program for program in os.listdir(bin_folder) if program.startswith("errand")} == set(os.listdir(usr / "bin"))
    version = subprocess.run([usr / "bin" / "errand", "version"], capture_output=True, text=True, check=True, timeout=30).stdout
    assert version == errand("version")
    pages = {f"errand-{name.replace(' ', '-')}.1" for name in commands} | {"errand.1"}
    assert set(os.listdir(usr / "share" / "man" / "man1")) == pages
    for shell, place in (("bash", "bash-completion/completions/errand"), ("zsh", "zsh/site-functions/_errand"),
                         ("fish", "fish/vendor_completions.d/errand.fish")):
        assert (usr / "share" / place).read_text() == errand("completion", shell)


def test_shells_without_completion_are_told(bin_folder):
    done = subprocess.run([os.path.join(os.path.abspath(bin_folder), "errand"), "completion", "ksh"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 2 and "bash, zsh and fish" in done.stderr


def test_schemas_and_commands_name_each_other(errand, commands):
    told = {re.search(r"With -o json: (\S+) ", errand("help", *name.split()))[1] for name, options in commands.items()
            if "output" in options}
    there = {name.removesuffix(".json").replace("-", "/") for name in os.listdir(os.path.join(ROOT, "docs", "json"))
             if name.endswith(".json")}
    assert there - told == {"errand.verdict/1", "errand.autoscale/1", "errand.lag.check/1"} and told <= there
