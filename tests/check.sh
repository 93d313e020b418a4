#!/usr/bin/env bash
# `make check` (changed) and `make lint` (all): format, architecture, scripts, warnings, clang-tidy, unit tests.
# Every stage runs even when one before it failed, so that one run tells everything; exits 1 if any did.
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2317 # functions are called by name through stage()
set -uo pipefail

scope=${1:?changed or all}
status=0
make=${MAKE:-make}

stage() { # name, command...: runs it, says how long it took, and remembers a failure
    local name=$1 began=$SECONDS result=ok
    shift
    "$@" || { result=FAILED status=1; }
    printf -- '-- %s: %s (%d s)\n' "$name" "$result" $((SECONDS - began))
}

files() { # patterns: tracked and new files that exist
    git ls-files -co --exclude-standard --deduplicate -- "$@" | while read -r path; do
        [ ! -e "$path" ] || printf '%s\n' "$path"
    done
}

changed() { # the same, of those that differ from the last commit
    comm -12 <(files "$@" | sort) \
        <({ git diff --name-only HEAD && git ls-files -o --exclude-standard; } | sort -u)
}

format() {
    files '*.c' '*.h' | xargs -r clang-format --dry-run -Werror
}

scripts() {
    { files '*.sh' '.ci/run'; } | xargs -r shellcheck && files '*.py' | xargs -r pyflakes3
}

tidy() {
    local sources flags
    if [ "$scope" = all ]; then sources=$(files '*.c'); else sources=$(changed '*.c'); fi
    [ -n "$sources" ] || return 0
    flags=$("$make" -s flags)
    export flags
    # shellcheck disable=SC2016 # expanded by the inner shell
    printf '%s\n' "$sources" | grep -v '^tests/tsan_shim' | xargs -r -P2 -n1 bash -c '
        said=$(clang-tidy --quiet "$1" -- $flags 2>/dev/null) || { printf "%s\n" "$said"; exit 1; }' one
}

stage format format
stage architecture tests/layers.py
stage promises tests/proves.py
stage scripts scripts
stage warnings "$make" -k MODE=debug WERROR=1 programs tests-built
if [ "$scope" = all ]; then
    stage "clang's warnings" "$make" -k MODE=debug WERROR=1 CC=clang programs tests-built
    stage "fuzz targets" "$make" -k MODE=fuzz WERROR=1 fuzzers-built
fi
stage clang-tidy tidy
stage "unit tests" "$make" MODE=debug WERROR=1 unit
exit $status
