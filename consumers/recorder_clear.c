/* Emptying a view that is not of this cluster and generation. One recorder at a time, under a lock
 * that expires; the others wait.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/recorder_internal.h"
#include "schemas/mem.h"
#include "schemas/view.h"

#include <stdio.h>
#include <stdlib.h>

#define LOCK_MS    "10000"
#define SCAN_COUNT "1000"

/* Renews the lock if it is ours or free. KEYS: lock. ARGV: who. */
static struct redis_script lock_script = {
    .source = "local who = redis.call('GET', KEYS[1])\n"
              "if who and who ~= ARGV[1] then return 0 end\n"
              "redis.call('SET', KEYS[1], ARGV[1], 'PX', " LOCK_MS ")\n"
              "return 1\n",
};

static void scan(struct recorder *recorder, struct span cursor);

static void give_up(struct recorder *recorder)
{
    recorder->clearing = false; /* the look comes back to it */
}

static void on_identity(void *arg, enum err_code code, const struct redis_reply *reply)
{
    (void)reply;
    struct recorder *recorder = arg;
    recorder->clearing = false;
    if (code == ERR_OK)
        log_write(recorder->log, LOG_INFO, "recorder", NULL,
                  "the view is empty; folding from the log starts");
    recorder_restart_all(recorder);
}

static void finish(struct recorder *recorder)
{
    redis_command_text(recorder->redis, NULL, NULL, 2, "DEL", recorder->hash_key);
    redis_command_text(recorder->redis, on_identity, recorder, 4, "HSET", recorder->hash_key,
                       VIEW_IDENTITY_FIELD, view_identity_text(recorder->identity));
}

static void unlink_keys(struct recorder *recorder, const struct redis_reply *keys)
{
    size_t count = redis_reply_count(keys);
    if (count == 0)
        return;
    struct span *argv = mem_zalloc(count + 1, sizeof *argv);
    argv[0] = span_of("UNLINK");
    for (size_t i = 0; i < count; i++)
        argv[i + 1] = redis_reply_text(redis_reply_at(keys, i));
    redis_command(recorder->redis, NULL, NULL, count + 1, argv);
    free(argv);
}

static void lock_key(const struct recorder *recorder, struct buf *out)
{
    buf_printf(out, "%s:clearing", recorder->config->namespace_);
}

static void on_scanned(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct recorder *recorder = arg;
    if (code || redis_reply_count(reply) != 2) {
        give_up(recorder);
        return;
    }
    unlink_keys(recorder, redis_reply_at(reply, 1));
    struct span cursor = redis_reply_text(redis_reply_at(reply, 0));
    if (span_is(cursor, "0"))
        finish(recorder);
    else
        scan(recorder, cursor);
}

/* Job keys only: "<namespace>:<one letter>:<identity>"; the epochs and the lock stay. */
static void scan(struct recorder *recorder, struct span cursor)
{
    struct buf pattern = BUF_INIT(256);
    buf_printf(&pattern, "%s:[crgk]:*", recorder->config->namespace_);
    struct span argv[] = { span_of("SCAN"),    cursor,           span_of("MATCH"),
                           buf_span(&pattern), span_of("COUNT"), span_of(SCAN_COUNT) };
    redis_command(recorder->redis, on_scanned, recorder, 6, argv);
    struct buf lock = BUF_INIT(256);
    lock_key(recorder, &lock);
    struct span renew[] = { buf_span(&lock), span_of(service_incarnation(recorder->service)) };
    redis_script_run(recorder->redis, &lock_script, NULL, NULL, 1, 2, renew);
    buf_free(&lock);
    buf_free(&pattern);
}

static void on_locked(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct recorder *recorder = arg;
    if (code || redis_reply_integer(reply) != 1) {
        give_up(recorder);
        return;
    }
    scan(recorder, span_of("0"));
}

void recorder_clear(struct recorder *recorder, const char *why)
{
    if (recorder->clearing)
        return;
    recorder->clearing = true;
    log_write(recorder->log, LOG_WARN, "recorder", NULL, "the view is cleared: %s", why);
    struct buf lock = BUF_INIT(256);
    lock_key(recorder, &lock);
    struct span argv[] = { buf_span(&lock), span_of(service_incarnation(recorder->service)) };
    redis_script_run(recorder->redis, &lock_script, on_locked, recorder, 1, 2, argv);
    buf_free(&lock);
}
