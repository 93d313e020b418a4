#!/bin/sh
# Makes the secrets of a deployment, once: make-secrets.sh DIR. What is there already stays.
#   id          makes job ids unforgeable
#   redis       Redis's password
#   redis.conf  the same for Redis itself, to be included in its configuration
# Each file is only for the user that reads it: ERRAND_USER (10001) or REDIS_USER (999), numbers as the images have them.
# SPDX-License-Identifier: Apache-2.0
set -eu

dir=${1:?which folder? make-secrets.sh DIR}
errand_user=${ERRAND_USER:-10001}
redis_user=${REDIS_USER:-999}
umask 077

random() {
    od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n'
}

# A file gets its name when all of it is there and its owner has it: one that exists is whole.
keep() { # name user; the text from standard input
    rm -f "$dir/.$1"
    cat >"$dir/.$1"
    chown "$2:$2" "$dir/.$1"
    mv "$dir/.$1" "$dir/$1"
}

if [ ! -e "$dir/id" ]; then
    random | keep id "$errand_user"
    echo "made $dir/id"
fi
if [ ! -e "$dir/redis" ]; then
    password=$(random)
    # Errand's file last: with it there, both are.
    printf 'requirepass %s\n' "$password" | keep redis.conf "$redis_user"
    printf '%s\n' "$password" | keep redis "$errand_user"
    echo "made $dir/redis and $dir/redis.conf"
fi
