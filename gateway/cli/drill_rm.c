/* `errand drill rm`: a drill's processes, topics, groups, keys in Redis and its folder.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_redis.h"
#include "gateway/cli/drill.h"
#include "gateway/cli/output.h"
#include "gateway/cli/stack.h"
#include "gateway/cli/verbs.h"
#include "infra/kafka_delete.h"
#include "infra/kafka_groups.h"
#include "schemas/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define TIMEOUT_MS    60000
#define SCAN_COUNT    "1000"
#define KEYS_BYTES    ((size_t)4 * 1024 * 1024)
#define CURSOR_SIZE   32
#define PATTERN_BYTES (TOPIC_NAME_MAX + 8)

struct removing {
    const struct kafka_look *look;
    const char *namespace_;
    struct err err;
    char cursor[CURSOR_SIZE]; /* of the walk through Redis */
    struct redis_args keys;   /* found and not removed yet */
};

/* --- Kafka --- */

static enum err_code remove_topics(struct removing *removing)
{
    struct kafka_admin *admin = removing->look->admin;
    struct kafka_topic_state *states = NULL;
    size_t count = 0;
    size_t ours = 0;
    enum err_code code = kafka_topics_list_sync(admin, removing->namespace_, &states, &count,
                                                TIMEOUT_MS, &removing->err);
    if (code)
        return code;
    const char **names = mem_zalloc(count, sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        if (drill_owns(removing->namespace_, states[i].name))
            names[ours++] = states[i].name;
    }
    code = kafka_topics_delete_sync(admin, names, ours, TIMEOUT_MS, &removing->err);
    free(names);
    kafka_topics_free(states, count);
    return code;
}

static enum err_code remove_groups(struct removing *removing)
{
    struct kafka_admin *admin = removing->look->admin;
    struct kafka_group *groups = NULL;
    size_t count = 0;
    size_t ours = 0;
    enum err_code code = kafka_groups_list_sync(admin, &groups, &count, TIMEOUT_MS, &removing->err);
    if (code)
        return code;
    const char **names = mem_zalloc(count, sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        if (drill_owns(removing->namespace_, groups[i].name))
            names[ours++] = groups[i].name;
    }
    code = kafka_groups_delete_sync(admin, names, ours, TIMEOUT_MS, &removing->err);
    free(names);
    kafka_groups_free(groups, count);
    return code;
}

/* --- Redis --- */

static void take_page(void *arg, const struct redis_reply *reply)
{
    struct removing *removing = arg;
    struct span cursor = redis_reply_text(redis_reply_at(reply, 0));
    const struct redis_reply *keys = redis_reply_at(reply, 1);
    (void)snprintf(removing->cursor, sizeof removing->cursor, "%.*s",
                   (int)(cursor.size < CURSOR_SIZE ? cursor.size : 0), (const char *)cursor.data);
    for (size_t i = 0; i < redis_reply_count(keys); i++) {
        struct span key = redis_reply_text(redis_reply_at(keys, i));
        if (removing->keys.count == 0)
            redis_args_text(&removing->keys, "UNLINK");
        redis_args_begin(&removing->keys);
        buf_add_span(&removing->keys.store, key);
        redis_args_end(&removing->keys);
    }
}

static enum err_code remove_page(struct removing *removing, struct verify_redis *redis)
{
    char pattern[PATTERN_BYTES];
    struct redis_args scan = REDIS_ARGS_INIT(KEYS_BYTES);
    (void)snprintf(pattern, sizeof pattern, "%s:*", removing->namespace_);
    const char *const words[] = { "SCAN", removing->cursor, "MATCH", pattern, "COUNT", SCAN_COUNT };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        redis_args_text(&scan, words[i]);
    removing->keys = (struct redis_args)REDIS_ARGS_INIT(KEYS_BYTES);
    enum err_code code = verify_redis_ask(redis, &scan, take_page, removing, &removing->err);
    if (!code && removing->keys.count)
        code = verify_redis_ask(redis, &removing->keys, NULL, NULL, &removing->err);
    else
        redis_args_free(&removing->keys);
    return code;
}

static enum err_code remove_keys(struct removing *removing)
{
    struct verify_redis *redis = NULL;
    enum err_code code = verify_redis_open(&removing->look->config->redis, &redis, &removing->err);
    (void)snprintf(removing->cursor, sizeof removing->cursor, "0");
    bool more = !code;
    while (more) {
        code = remove_page(removing, redis);
        more = !code && strcmp(removing->cursor, "0") != 0 && removing->cursor[0];
    }
    verify_redis_close(redis);
    return code;
}

/* --- the verb --- */

static int remove_all(const struct args *args, const char *folder)
{
    const char *name = args->items[0];
    struct kafka_look look = { 0 };
    int code = kafka_look_open(args, &look);
    if (code != CLI_OK)
        return code;
    char *namespace_ = drill_namespace(look.config, name);
    struct removing removing = { .look = &look, .namespace_ = namespace_ };
    code = drill_down(folder, name);
    enum err_code failed = code == CLI_OK ? remove_groups(&removing) : ERR_OK;
    if (code == CLI_OK && !failed)
        failed = remove_topics(&removing);
    if (code == CLI_OK && !failed)
        failed = remove_keys(&removing);
    if (failed) {
        output_error("not all of the drill %s could be removed", name);
        output_why("%s", removing.err.text);
        output_try("errand drill rm %s, once more", name);
        code = CLI_UNREACHABLE;
    }
    char *whole = drill_folder(folder, name);
    if (code == CLI_OK && !stack_remove_folder(whole)) {
        output_error("%s cannot be removed", whole);
        code = CLI_FAILED;
    }
    free(whole);
    free(namespace_);
    kafka_look_close(&look);
    return code;
}

int drill_rm_run(const struct args *args)
{
    const char *name = args->items[0];
    if (!drill_name_is_good(name)) {
        output_error("'%s' is no name of a drill", name);
        output_why(DRILL_NAME_ALLOWED);
        return CLI_USAGE;
    }
    char *folder = stack_folder(args, NULL);
    char *whole = drill_folder(folder, name);
    struct stat status;
    int code = CLI_NOT_FOUND;
    if (stat(whole, &status) == 0) {
        code = remove_all(args, folder);
    } else {
        output_error("there is no drill %s", name);
        output_try("errand drill ls");
    }
    if (code == CLI_OK)
        output_note("drill %s is gone", name);
    free(whole);
    free(folder);
    return code;
}
