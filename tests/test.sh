#!/usr/bin/env bash
# `make test`: builds, then runs the unit tests, the fuzz targets and the system tests on sanitized programs. The very last line is
# "N passed, N failed" alone; the exit status says the same.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

make=${MAKE:-make}

timed() { # what, command...
    local what=$1 began=$SECONDS
    shift
    "$@"
    printf -- '-- %s: %d s\n' "$what" $((SECONDS - began)) >&2
}

timed "release build" "$make" MODE=release programs
timed "sanitized build" "$make" MODE=asan programs tests-built
timed "fuzz targets' build" "$make" MODE=fuzz fuzzers-built
timed "python packages" tests/venv.sh
mapfile -t units < <(find build/asan/tests -maxdepth 1 -type f -name '*_test' -perm -u+x | sort)
arguments=()
for unit in "${units[@]}"; do
    [ ! -e "tests/unit/${unit##*/}.c" ] || arguments+=(--unit "$unit")
done
for source in tests/fuzz/*_fuzz.c; do
    source=${source##*/}
    arguments+=(--fuzz "build/fuzz/${source%.c}")
done
exec tests/run.py "${arguments[@]}" --system tests/system --python build/venv/bin/python --bin build/asan/bin
