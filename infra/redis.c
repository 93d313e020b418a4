/* See redis.h. Commands and scripts over one redis_connection.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/redis.h"

#include "infra/redis_connection.h"
#include "schemas/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHA1_SIZE = 40, TEXT_ARGS_MAX = 32, ROLE_LOOK_MS = 1000 };

/* What a client knows of a script. */
struct known_script {
    const struct redis_script *script;
    struct redis *redis;
    char sha1[SHA1_SIZE + 1]; /* "" until Redis has told */
    bool loading;             /* a SCRIPT LOAD is on its way, ahead of whatever is sent now */
};

/* A script asked for by its digest. */
struct script_call {
    struct known_script *known;
    struct redis_bytes bytes; /* in case it must be sent again */
    int64_t deadline_ms;
    bool again;
    redis_fn fn;
    void *arg;
};

struct redis {
    struct redis_connection *connection;
    struct loop_timer *role_timer;
    size_t pending_max;
    struct known_script **scripts; /* pointers: replies under way point to them */
    size_t script_count;
    struct span *argv; /* scratch */
    size_t argv_capacity;
};

static void on_role(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct redis *redis = arg;
    if (code == ERR_OK && redis_reply_count(reply) > 0 &&
        !span_is(redis_reply_text(redis_reply_at(reply, 0)), "master"))
        redis_connection_drop(redis->connection, "is not a master any more");
}

/* A master that becomes a replica says READONLY to who writes, and nothing to who only reads. */
static void on_role_timer(void *arg)
{
    struct redis *redis = arg;
    const struct span argv[] = { SPAN_LIT("ROLE") };
    if (redis_connection_ready(redis->connection))
        redis_connection_send(redis->connection, 1, argv, on_role, redis);
}

struct redis *redis_open(struct loop *loop, const struct redis_options *options)
{
    struct redis *redis = MEM_NEW(*redis);
    redis->pending_max = options->pending_max;
    redis->connection = redis_connection_open(&(struct redis_connection_options){
        .loop = loop,
        .config = options->config,
        .timeout_ms = options->timeout_ms,
        .on_state = options->on_state,
        .arg = options->arg,
    });
    redis->role_timer = loop_timer_new(loop, on_role_timer, redis);
    loop_timer_start(redis->role_timer, ROLE_LOOK_MS, ROLE_LOOK_MS);
    return redis;
}

void redis_close(struct redis *redis)
{
    if (!redis)
        return;
    loop_timer_free(redis->role_timer);
    redis_connection_close(redis->connection);
    for (size_t i = 0; i < redis->script_count; i++)
        free(redis->scripts[i]);
    free(redis->scripts);
    free(redis->argv);
    free(redis);
}

bool redis_ready(const struct redis *redis)
{
    return redis_connection_ready(redis->connection);
}

const char *redis_run_id(const struct redis *redis)
{
    return redis_connection_run_id(redis->connection);
}

const char *redis_last_error(const struct redis *redis)
{
    return redis_connection_error(redis->connection);
}

/* Whether a command can be sent now; else its callback is going to be told why not. */
static bool admit(struct redis *redis, redis_fn fn, void *arg)
{
    enum err_code code = ERR_OK;
    if (!redis_ready(redis))
        code = ERR_REDIS_GONE;
    else if (redis_connection_pending(redis->connection) >= redis->pending_max)
        code = ERR_LIMIT;
    if (code != ERR_OK)
        redis_connection_refuse(redis->connection, fn, arg, code);
    return code == ERR_OK;
}

void redis_command(struct redis *redis, redis_fn fn, void *arg, size_t argc,
                   const struct span *argv)
{
    if (admit(redis, fn, arg))
        redis_connection_send(redis->connection, argc, argv, fn, arg);
}

void redis_command_text(struct redis *redis, redis_fn fn, void *arg, size_t argc, ...)
{
    struct span argv[TEXT_ARGS_MAX];
    assert(argc <= TEXT_ARGS_MAX);
    va_list list;
    va_start(list, argc);
    for (size_t i = 0; i < argc; i++)
        argv[i] = span_of(va_arg(list, const char *));
    va_end(list);
    redis_command(redis, fn, arg, argc, argv);
}

/* --- scripts --- */

static struct known_script *find_script(struct redis *redis, const struct redis_script *script)
{
    for (size_t i = 0; i < redis->script_count; i++) {
        if (redis->scripts[i]->script == script)
            return redis->scripts[i];
    }
    struct known_script *known = MEM_NEW(*known);
    known->script = script;
    known->redis = redis;
    redis->scripts =
        mem_resize(redis->scripts, redis->script_count + 1, sizeof(struct known_script *));
    redis->scripts[redis->script_count++] = known;
    return known;
}

static void on_loaded(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct known_script *known = arg;
    known->loading = false;
    if (code != ERR_OK)
        return; /* EVAL goes on serving */
    struct span sha1 = redis_reply_text(reply);
    if (sha1.size == SHA1_SIZE)
        snprintf(known->sha1, sizeof known->sha1, "%.*s", SPAN_ARG(sha1));
}

/* Has Redis know the script by the time it sees the next command. */
static void load(struct known_script *known)
{
    if (known->loading)
        return;
    known->loading = true;
    const struct span argv[] = { SPAN_LIT("SCRIPT"), SPAN_LIT("LOAD"),
                                 span_of(known->script->source) };
    redis_connection_send(known->redis->connection, 3, argv, on_loaded, known);
}

static void on_result(void *arg, enum err_code code, const struct redis_reply *reply)
{
    static const char sign[] = "NOSCRIPT";
    struct script_call *call = arg;
    struct redis_connection *connection = call->known->redis->connection;
    if (code == ERR_REDIS && !call->again && redis_connection_ready(connection)) {
        struct span text = redis_reply_text(reply);
        if (text.size >= sizeof sign - 1 && memcmp(text.data, sign, sizeof sign - 1) == 0) {
            call->again = true;
            load(call->known);
            redis_connection_send_bytes(connection, call->bytes, call->deadline_ms, on_result,
                                        call);
            return;
        }
    }
    struct script_call done = *call;
    redis_connection_free_bytes(call->bytes);
    free(call);
    if (done.fn)
        done.fn(done.arg, code, reply);
}

/* A script's command in the client's scratch; its argc is `argc` + 3. */
static const struct span *script_argv(struct redis *redis, const char *command, const char *script,
                                      const char *key_count, size_t argc, const struct span *argv)
{
    if (argc + 3 > redis->argv_capacity) {
        redis->argv_capacity = (argc + 3) * 2;
        redis->argv = mem_resize(redis->argv, redis->argv_capacity, sizeof *redis->argv);
    }
    redis->argv[0] = span_of(command);
    redis->argv[1] = span_of(script);
    redis->argv[2] = span_of(key_count);
    if (argc > 0)
        memcpy(redis->argv + 3, argv, argc * sizeof *argv);
    return redis->argv;
}

/* NOLINTNEXTLINE(readability-function-size): the keys' count, then argc and argv as everywhere */
void redis_script_run(struct redis *redis, const struct redis_script *script, redis_fn fn,
                      void *arg, size_t key_count, size_t argc, const struct span *argv)
{
    assert(key_count <= argc);
    if (!admit(redis, fn, arg))
        return;
    char keys[24];
    snprintf(keys, sizeof keys, "%zu", key_count);
    struct known_script *known = find_script(redis, script);
    if (!known->sha1[0]) {
        load(known);
        argv = script_argv(redis, "EVAL", script->source, keys, argc, argv);
        redis_connection_send(redis->connection, argc + 3, argv, fn, arg);
        return;
    }
    struct script_call *call = MEM_NEW(*call);
    argv = script_argv(redis, "EVALSHA", known->sha1, keys, argc, argv);
    *call = (struct script_call){
        .known = known,
        .bytes = redis_connection_format(argc + 3, argv),
        .deadline_ms = redis_connection_deadline(redis->connection),
        .fn = fn,
        .arg = arg,
    };
    redis_connection_send_bytes(redis->connection, call->bytes, call->deadline_ms, on_result, call);
}
