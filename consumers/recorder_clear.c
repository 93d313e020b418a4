/* Emptying a view that is not of this cluster and generation. One recorder at a time, under a lock
 * that expires; the others wait. First the hash goes, so that nobody believes what is left and no
 * batch is applied to it; each step looks whether the lock is still ours.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/recorder_internal.h"
#include "schemas/view.h"

#define LOCK_MS       "10000"
#define SCAN_COUNT    "1000"
#define KEY_BYTES_MAX 256

/* Takes the lock if it is ours or free and the view is still the one that was found. KEYS: lock,
 * hash. ARGV: who, whose view was found. */
static struct redis_script begin_script = {
    .source = "local who = redis.call('GET', KEYS[1])\n"
              "if who and who ~= ARGV[1] then return 0 end\n"
              "if (redis.call('HGET', KEYS[2], '" VIEW_IDENTITY_FIELD
              "') or '') ~= ARGV[2] then return 0 end\n"
              "redis.call('SET', KEYS[1], ARGV[1], 'PX', " LOCK_MS ")\n"
              "redis.call('DEL', KEYS[2])\n"
              "return 1\n",
};

/* Removes some keys; returns the cursor to go on with, or nothing when the lock is lost. KEYS:
 * lock. ARGV: who, cursor, pattern. */
static struct redis_script step_script = {
    .source =
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end\n"
        "redis.call('PEXPIRE', KEYS[1], " LOCK_MS ")\n"
        "local found = redis.call('SCAN', ARGV[2], 'MATCH', ARGV[3], 'COUNT', " SCAN_COUNT ")\n"
        "for _, key in ipairs(found[2]) do redis.call('UNLINK', key) end\n"
        "return found[1]\n",
};

/* Begins the new view and gives the lock back. KEYS: lock, hash. ARGV: who, whose view it is. */
static struct redis_script end_script = {
    .source = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
              "redis.call('DEL', KEYS[2])\n"
              "redis.call('HSET', KEYS[2], '" VIEW_IDENTITY_FIELD "', ARGV[2], '" VIEW_PARTS_FIELD
              "', '" VIEW_PARTS "')\n"
              "redis.call('DEL', KEYS[1])\n"
              "return 1\n",
};

static void step(struct recorder *recorder, struct span cursor);

/* The look comes back to it. */
static void give_up(struct recorder *recorder)
{
    recorder->clearing = false;
}

/* Runs a script with the lock and the hash as its keys. */
static void run(struct recorder *recorder, const struct redis_script *script, redis_fn fn,
                struct span identity)
{
    struct buf lock = BUF_INIT(KEY_BYTES_MAX);
    buf_printf(&lock, "%s:clearing", recorder->config->namespace_);
    struct span argv[] = { buf_span(&lock), span_of(recorder->hash_key),
                           span_of(service_incarnation(recorder->service)), identity };
    redis_script_run(recorder->redis, script, fn, recorder, 2, 4, argv);
    buf_free(&lock);
}

static void on_ended(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct recorder *recorder = arg;
    recorder->clearing = false;
    if (code == ERR_OK && redis_reply_integer(reply) == 1)
        log_write(recorder->log, LOG_INFO, "recorder", NULL,
                  "the view is empty; folding from the log starts");
    recorder_restart_all(recorder);
}

static void on_step(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct recorder *recorder = arg;
    if (code || redis_reply_type(reply) != REDIS_STRING)
        give_up(recorder);
    else if (span_is(redis_reply_text(reply), "0"))
        run(recorder, &end_script, on_ended, span_of(view_identity_text(recorder->identity)));
    else
        step(recorder, redis_reply_text(reply));
}

/* What is of jobs and of dead letters only: "<namespace>:<one letter>:..."; the epochs stay. */
static void step(struct recorder *recorder, struct span cursor)
{
    struct buf lock = BUF_INIT(KEY_BYTES_MAX);
    struct buf pattern = BUF_INIT(KEY_BYTES_MAX);
    buf_printf(&lock, "%s:clearing", recorder->config->namespace_);
    buf_printf(&pattern, "%s:[crgkjld]:*", recorder->config->namespace_);
    struct span argv[] = { buf_span(&lock), span_of(service_incarnation(recorder->service)), cursor,
                           buf_span(&pattern) };
    redis_script_run(recorder->redis, &step_script, on_step, recorder, 1, 4, argv);
    buf_free(&lock);
    buf_free(&pattern);
}

static void on_begun(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct recorder *recorder = arg;
    if (code || redis_reply_integer(reply) != 1)
        give_up(recorder);
    else
        step(recorder, span_of("0"));
}

void recorder_clear(struct recorder *recorder, struct span identity, const char *why)
{
    if (recorder->clearing)
        return;
    recorder->clearing = true;
    log_write(recorder->log, LOG_WARN, "recorder", NULL, "the view is cleared: %s", why);
    run(recorder, &begin_script, on_begun, identity);
}
