#!/usr/bin/env bash
# Makes build/venv with the system tests' pinned packages; does nothing when it is current.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

venv=build/venv
wanted=tests/requirements.txt
! cmp -s "$wanted" "$venv/requirements.txt" || exit 0
echo "making $venv" >&2
mkdir -p build
# Debian's Python if there is one: a version manager's may lack venv or be too new for the wheels.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
rm -rf "$venv"
"$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --requirement "$wanted"
cp "$wanted" "$venv/requirements.txt"
