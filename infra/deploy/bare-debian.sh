#!/usr/bin/env bash
# Runs a command in a bare Debian, as a newcomer's machine would: bare-debian.sh SUITE FOLDER COMMAND
# Makes the Debian in FOLDER by debootstrap, once; it installs from where this machine does. Then copies this tree to
# its /src, keeping what was built there, and runs COMMAND in it. COMMAND has mounts and processes of its own: all of
# them end with it. Needs root and debootstrap.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

suite=$1 root=$2 command=$3

fail() {
    printf 'error: %s\n  try: %s\n' "$1" "$2" >&2
    exit 1
}

make_debian() {
    local mirror
    # Known from what apt has downloaded, so it is empty where apt never updated.
    mirror=$(apt-get indextargets --format "\$(REPO_URI)" 'Origin: Debian' 'Label: Debian' | sed -n 1p)
    [ -n "$mirror" ] || fail "apt does not know a mirror of Debian" "apt-get update"
    rm -rf --one-file-system "$root"
    mkdir -p "$root"
    printf 'making a bare Debian %s in %s\n' "$suite" "$root" >&2
    debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$root.log" ||
        { tail -n 20 "$root.log" >&2 && fail "debootstrap failed" "look into $root.log"; }
    touch "$root/.made"
}

copy() { # paths: the same files and folders here, if they are there
    local path
    for path in "$@"; do
        [ ! -e "$path" ] || { mkdir -p "$root${path%/*}" && cp -rL "$path" "$root${path%/*}/"; }
    done
}

# How this machine reaches its mirrors: names, proxies, certificates. Not what else its apt does, such as telling a
# desktop that packages have changed.
copy_settings() {
    copy /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt /usr/local/share/ca-certificates
    apt-config dump | grep '^Acquire::' >"$root/etc/apt/apt.conf.d/90host"
}

copy_tree() {
    mkdir -p "$root/src"
    find "$root/src" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
    tar --exclude=./build --exclude=./.git --exclude=./.errand -c . | tar -x -C "$root/src"
}

[ "$(id -u)" -eq 0 ] || fail "only root can make a Debian" "sudo make $suite"
[ -e "$root/.made" ] || make_debian
copy_settings
copy_tree
unset MAKEFLAGS MAKELEVEL MFLAGS TMPDIR # a folder of this machine
export LC_ALL=C.UTF-8
# shellcheck disable=SC2016 # expanded by the inner shell
exec unshare --mount --pid --fork --kill-child --mount-proc="$root/proc" bash -euc '
    mount --rbind /dev "$1/dev"
    exec chroot "$1" /bin/bash -euc "cd /src; $2"' bare "$root" "$command"
