"""Logs when files are rotated: nothing that was written is missed by who follows, and no file grows without end.

SPDX-License-Identifier: Apache-2.0
"""
import os
import subprocess
import threading

import pytest

from waiting import wait_until

ROTATIONS = 12
OUTPUT_BYTES_MAX = 16 * 1024 * 1024


@pytest.fixture
def follower(bin_folder, tmp_path):
    """follower(): `errand logs -f` of a folder; returns the list of lines that it prints, which grows."""
    running = []

    def start():
        process = subprocess.Popen([os.path.join(bin_folder, "errand"), "logs", "-f", "--dir", str(tmp_path)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, text=True)
        lines = []
        reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
        reader.start()
        running.append((process, reader))
        return lines
    yield start
    for process, reader in running:
        process.terminate()
        process.wait(10)
        reader.join(10)
        process.stdout.close()


def _read(stream, lines):
    for line in stream:
        lines.append(line.split()[-1])


def test_a_line_written_just_before_a_rotation_is_followed_too(follower, tmp_path):
    os.mkdir(tmp_path / "log")
    path = tmp_path / "log" / "worker-1.log"
    path.write_text("first\n", encoding="utf-8")
    lines, written = follower(), ["first"]
    wait_until(lambda: lines == written, 10, "it follows")
    for n in range(ROTATIONS):
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"before-{n}\n")
        os.rename(path, tmp_path / "log" / "worker-1.log.1")
        path.write_text(f"behind-{n}\n", encoding="utf-8")
        written += [f"before-{n}", f"behind-{n}"]
        wait_until(lambda: len(lines) >= len(written), 10, "the lines are printed")
        assert lines == written
    (tmp_path / "log" / "worker-2.log").write_text("another\n", encoding="utf-8")
    wait_until(lambda: lines == [*written, "another"], 10, "a process that came later is followed too")


def test_what_redis_prints_does_not_grow_without_end(embedded_stack):
    path = os.path.join(embedded_stack.folder, "log", "redis.log")
    with open(path, "a", encoding="utf-8") as file:
        file.write(("x" * 1023 + "\n") * (OUTPUT_BYTES_MAX // 1024 + 1))
    wait_until(lambda: os.path.getsize(path) < OUTPUT_BYTES_MAX, 20, "it begins anew")
    assert os.path.getsize(path + ".1") > OUTPUT_BYTES_MAX, "and what there was is kept"
    assert embedded_stack.redis().bgsave()
    wait_until(lambda: "Background saving started" in open(path, encoding="utf-8").read(), 10, "it goes on in the new file")
    with open(path, encoding="utf-8") as file:
        assert "\0" not in file.read()
