#!/usr/bin/env bash
# Installs what is missing of the packages that Errand needs: install-deps.sh build|run|unit|test|check|bench|peers|bare...
# Debian bookworm or trixie, from a bare system on. Says nothing and does nothing when all is there; progress goes to
# stderr. As a user it asks sudo; it never leaves a system service of its own running (Errand starts its own Redis).
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

declare -A sets=(
    [build]="gcc libc6-dev make pkgconf librdkafka-dev libmicrohttpd-dev libhiredis-dev libcurl4-openssl-dev
        libprotobuf-c-dev protobuf-c-compiler libjansson-dev libuv1-dev libssl-dev libyaml-dev"
    [run]="redis-server ca-certificates"
    [unit]="libcmocka-dev python3 openssl"
    [test]="libcmocka-dev python3 python3-venv default-jre-headless maven ca-certificates curl clang libclang-rt-dev
        groff-base zsh fish systemd chromium-headless-shell"
    [check]="libcmocka-dev python3 git clang clang-format clang-tidy shellcheck pyflakes3 universal-ctags gcovr"
    [bench]="wrk valgrind linux-perf"
    [peers]="npm"
    [bare]="debootstrap"
)
# Packages that need not come from Debian: the command is enough.
declare -A commands=([default-jre-headless]=java [maven]=mvn [systemd]=systemd-analyze [npm]=npm)
policy=/usr/sbin/policy-rc.d

fail() {
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf '  try: %s\n' "$2" >&2
    exit 1
}

missing() { # sets: their packages that are not installed, each once
    local installed set package
    installed=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | tr '\n' ' ') "
    for set in "$@"; do
        for package in ${sets[$set]}; do
            [ -z "${commands[$package]-}" ] || ! command -v "${commands[$package]}" >/dev/null || continue
            [[ $installed == *" $package "* ]] || printf '%s\n' "$package"
        done
    done | sort -u
}

allow_nothing_to_start() { # a package being installed asks policy-rc.d whether it may start its service
    [ ! -e "$policy" ] || return 0
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
    $sudo chmod 755 "$policy"
    trap '$sudo rm -f "$policy"; rm -f "$log"' EXIT
}

install() { # packages
    $sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1
}

update() {
    $sudo apt-get update -q -o DPkg::Lock::Timeout=300 >>"$log" 2>&1
}

[ $# -gt 0 ] || fail "which set?" "install-deps.sh build|run|unit|test|check|bench|peers|bare..."
for set in "$@"; do
    [ -n "${sets[$set]-}" ] || fail "unknown set '$set'" "install-deps.sh build|run|unit|test|check|bench|peers|bare..."
done
if ! command -v apt-get >/dev/null; then
    fail "this is not Debian; what is needed has other names here (in Debian's: ${sets[*]})" \
        "install that by hand, then: make && build/release/bin/errand up"
fi
mapfile -t packages < <(missing "$@")
[ "${#packages[@]}" -gt 0 ] || exit 0

sudo=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
        fail "not root, and there is no sudo" "as root: apt-get install ${packages[*]}"
    sudo=sudo
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
printf 'installing %s\n' "${packages[*]}" >&2
began=$SECONDS
allow_nothing_to_start
install "${packages[@]}" || { update && install "${packages[@]}"; } || {
    tail -n 20 "$log" >&2
    fail "apt-get could not install: ${packages[*]}" "apt-get update && apt-get install ${packages[*]}"
}
case " ${packages[*]} " in
*" redis-server "*) $sudo systemctl disable --quiet redis-server >/dev/null 2>&1 || true ;;
esac
printf 'installed %d packages in %d s\n' "${#packages[@]}" $((SECONDS - began)) >&2
