/* What the files of the dead letters' index share. SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_DEAD_INDEX_INTERNAL_H
#define CONSUMERS_DEAD_INDEX_INTERNAL_H

#include "consumers/dead_index.h"
#include "infra/redis_args.h"

#define DEAD_KEY_BYTES_MAX  320
#define DEAD_ARGS_BYTES_MAX ((size_t)4096)

/* Lua: whether the i-th of `groups` (name, JSON, ...) is one that ARGV[5] to ARGV[7] (fingerprint,
 * type, reason) take. */
#define DEAD_GROUP_MATCH                                                                           \
    "    local name, told = groups[i], groups[i+1]\n"                                              \
    "    local fits = (ARGV[5] == '' or string.sub(name, 1, 16) == ARGV[5])\n"                     \
    "      and (ARGV[6] == '' or string.sub(name, 18) == ARGV[6])\n"                               \
    "      and (ARGV[7] == '' or string.find(told, '\"reason\":\"' .. ARGV[7] .. '\"', 1, "        \
    "true))\n"

/* Asks for whose index it is and under which run id each dead topic was folded whole; the answer is
 * for dead_index_is_certified. Asked twice, before and after what is to be believed: had it been
 * emptied in between, the second answer would tell; had it been folded whole in between, the
 * first. */
void dead_index_ask_certificate(const struct dead_index *index, redis_fn fn, void *arg);
bool dead_index_is_certified(const struct dead_index *index, const struct redis_reply *reply);
/* The prefix of the queue's keys, as an argument. */
void dead_index_add_prefix(const struct dead_index *index, const char *queue,
                           struct redis_args *args);

#endif
