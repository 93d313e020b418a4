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
# Threads: the programs, and the unit tests of what threads share.
tsan_units=()
for unit in infra_loop infra_log infra_kafka_producer consumers_rules_threads; do
    tsan_units+=("build/tsan/tests/${unit}_test")
done
timed "build for the thread sanitizer" "$make" MODE=tsan programs "${tsan_units[@]}"
timed "python packages" tests/venv.sh
mapfile -t units < <(find build/asan/tests -maxdepth 1 -type f -name '*_test' -perm -u+x | sort)
arguments=()
for unit in "${units[@]}"; do
    [ ! -e "tests/unit/${unit##*/}.c" ] || arguments+=(--unit "$unit")
done
for unit in "${tsan_units[@]}"; do
    arguments+=(--unit "$unit")
done
for source in tests/fuzz/*_fuzz.c; do
    source=${source##*/}
    arguments+=(--fuzz "build/fuzz/${source%.c}")
done
exec tests/run.py "${arguments[@]}" --system tests/system --python build/venv/bin/python --bin build/asan/bin \
    --tsan-bin build/tsan/bin
