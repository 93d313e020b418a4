"""What runs, seen through /proc: which processes belong to a stack's folder, and whether one has ended; and a free port.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal
import socket


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def is_alive(pid):
    """A zombie has ended: only its parent has not looked yet."""
    stat = _read(f"/proc/{pid}/stat")
    return bool(stat) and stat.rpartition(b")")[2].split()[0] != b"Z"


def catches(pid, number):
    """Whether the process has a handler for the signal."""
    caught = [line.split()[1] for line in _read(f"/proc/{pid}/status").splitlines() if line.startswith(b"SigCgt:")]
    return bool(caught) and int(caught[0], 16) >> (number - 1) & 1 == 1


def of_folder(folder):
    """{pid: command line} of every process whose arguments, environment or working folder name the folder."""
    needle = os.path.realpath(folder)
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        base = f"/proc/{entry}"
        command = _read(f"{base}/cmdline")
        named = needle.encode() in command or needle.encode() in _read(f"{base}/environ")
        if (named or _link(f"{base}/cwd").startswith(needle)) and is_alive(int(entry)):
            found[int(entry)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def end(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
