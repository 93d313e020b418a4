#!/usr/bin/env python3
"""Walks through infra/deploy/Dockerfile without an engine: each stage in a bare Debian of its own, every RUN as it stands
there, and at last the image's own programs, as its user and with its libraries alone. As root.
Standard library only. SPDX-License-Identifier: Apache-2.0
"""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "system"))
from dockerfile import instructions  # noqa: E402 (the path comes first)

BARE = "infra/deploy/bare-debian.sh"
SUITE = "trixie"


def stages():
    """[[(instruction, rest)]]"""
    found = []
    for name, rest in instructions():
        if name == "FROM":
            assert rest.split()[0] == f"debian:{SUITE}-slim", rest
            found.append([])
        else:
            found[-1].append((name, rest))
    return found


def run(root, command):
    print(f"{os.path.basename(root)}: {command}", file=sys.stderr, flush=True)
    subprocess.run([BARE, SUITE, root, command], check=True)


def copy_between(build_root, root, rest):
    """COPY --from=build: a folder's content, or a file."""
    _, source, target = rest.split()
    target = root + target
    if source.endswith("/"):
        shutil.copytree(build_root + source, target, dirs_exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(build_root + source, target)


def main():
    build_root, root = map(os.path.abspath, sys.argv[1:3])
    build, final = stages()
    shutil.rmtree(root, ignore_errors=True)  # an image begins with nothing
    user = None
    for name, rest in build:  # its COPYs bring this tree: it is there
        if name == "RUN":
            run(build_root, rest)
    for name, rest in final:
        if name == "RUN":
            run(root, f"cd /; {rest}")
        elif name == "COPY":
            copy_between(build_root, root, rest)
        elif name == "USER":
            user = rest
    names = sorted(os.listdir(f"{root}/usr/local/bin"))
    assert "errand-gateway" in names, names
    says = " && ".join(f"{name} --version" for name in names if not name.endswith(".sh"))
    uid, gid = user.split(":")
    run(root, "rm -rf /src/* && cd / && "
              f"setpriv --reuid={uid} --regid={gid} --clear-groups env -i PATH=/usr/local/bin:/usr/bin:/bin sh -euc '{says}'")


if __name__ == "__main__":
    sys.exit(main())
