/* See redis_identify.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/redis_identify.h"

#include <stdio.h>

/* SET with both NX and GET, and PXAT, came with 7.0. */
enum { VERSION_MAJOR_MIN = 7, DETAIL_MAX = 80 };

size_t redis_identify_ask(enum redis_question question, const struct config_redis *config,
                          char number[24], struct span argv[REDIS_IDENTIFY_ARGS_MAX])
{
    size_t argc = 0;
    switch (question) {
    case REDIS_ASK_AUTH:
        if (!config->password || !config->password[0])
            return 0;
        argv[argc++] = span_of("AUTH");
        if (config->username && config->username[0])
            argv[argc++] = span_of(config->username);
        argv[argc++] = span_of(config->password);
        return argc;
    case REDIS_ASK_SELECT:
        snprintf(number, 24, "%lld", (long long)config->database);
        argv[argc++] = span_of("SELECT");
        argv[argc++] = span_of(number);
        return config->database == 0 ? 0 : argc;
    case REDIS_ASK_NAME:
        argv[argc++] = span_of("CLIENT");
        argv[argc++] = span_of("SETNAME");
        argv[argc++] = span_of("errand");
        return argc;
    case REDIS_ASK_ROLE:
        argv[argc++] = span_of("ROLE");
        return argc;
    case REDIS_ASK_SERVER:
        argv[argc++] = span_of("INFO");
        argv[argc++] = span_of("server");
        return argc;
    case REDIS_ASK_LOADING:
        argv[argc++] = span_of("INFO");
        argv[argc++] = span_of("persistence");
        return argc;
    case REDIS_ASK_COUNT:
        break;
    }
    return 0;
}

/* The value of a "name:value" line of INFO, empty when there is none. */
static struct span info_find(struct span info, const char *name)
{
    size_t name_size = strlen(name);
    const char *line = info.data;
    const char *end = line + info.size;
    while (line < end) {
        const char *line_end = memchr(line, '\n', (size_t)(end - line));
        if (!line_end)
            line_end = end;
        size_t size = (size_t)(line_end - line);
        if (size > name_size && memcmp(line, name, name_size) == 0 && line[name_size] == ':') {
            struct span value = { .data = line + name_size + 1, .size = size - name_size - 1 };
            if (value.size > 0 && line_end[-1] == '\r')
                value.size--;
            return value;
        }
        line = line_end + 1;
    }
    return (struct span){ 0 };
}

static bool refuse(struct redis_identity *identity, const char *text, struct span detail)
{
    if (detail.size == 0)
        snprintf(identity->text, sizeof identity->text, "%s", text);
    else
        snprintf(identity->text, sizeof identity->text, "%s: %.*s", text,
                 detail.size < DETAIL_MAX ? (int)detail.size : DETAIL_MAX,
                 (const char *)detail.data);
    return false;
}

static bool hear_role(const struct redis_reply *reply, struct redis_identity *identity)
{
    struct span role = { 0 };
    if (redis_reply_count(reply) > 0)
        role = redis_reply_text(redis_reply_at(reply, 0));
    if (span_is(role, "master"))
        return true;
    return refuse(identity, "is not a master; its ROLE", role);
}

static bool hear_server(const struct redis_reply *reply, struct redis_identity *identity)
{
    struct span info = redis_reply_text(reply);
    struct span run_id = info_find(info, "run_id");
    struct span version = info_find(info, "redis_version");
    int major = 0;
    for (size_t i = 0; i < version.size && i < 4; i++) {
        char c = ((const char *)version.data)[i];
        if (c < '0' || c > '9')
            break;
        major = major * 10 + (c - '0');
    }
    if (run_id.size != REDIS_RUN_ID_SIZE)
        return refuse(identity, "INFO names no run_id", (struct span){ 0 });
    if (major < VERSION_MAJOR_MIN)
        return refuse(identity, "is too old, 7.0 or later is needed", version);
    snprintf(identity->run_id, sizeof identity->run_id, "%.*s", SPAN_ARG(run_id));
    return true;
}

bool redis_identify_hear(enum redis_question question, const struct redis_reply *reply,
                         struct redis_identity *identity)
{
    static const char *const refusals[REDIS_ASK_COUNT] = {
        [REDIS_ASK_AUTH] = "refused redis.username and redis.password",
        [REDIS_ASK_SELECT] = "refused redis.database",
        [REDIS_ASK_ROLE] = "refused the command ROLE",
        [REDIS_ASK_SERVER] = "refused the command INFO",
        [REDIS_ASK_LOADING] = "refused the command INFO",
    };
    if (question == REDIS_ASK_NAME)
        return true; /* the name only helps who looks at CLIENT LIST; an ACL may forbid it */
    if (redis_reply_type(reply) == REDIS_ERROR)
        return refuse(identity, refusals[question], redis_reply_text(reply));
    switch (question) {
    case REDIS_ASK_ROLE:
        return hear_role(reply, identity);
    case REDIS_ASK_SERVER:
        return hear_server(reply, identity);
    case REDIS_ASK_LOADING:
        if (!span_is(info_find(redis_reply_text(reply), "loading"), "1"))
            return true;
        return refuse(identity, "is loading its data", (struct span){ 0 });
    case REDIS_ASK_AUTH:
    case REDIS_ASK_SELECT:
    case REDIS_ASK_NAME:
    case REDIS_ASK_COUNT:
        break;
    }
    return true;
}

/* What a server says that stopped being a master that serves; a script's error begins with it, too.
 */
bool redis_identify_farewell(const struct redis_reply *reply)
{
    static const char *const signs[] = { "READONLY ", "LOADING " };
    if (redis_reply_type(reply) != REDIS_ERROR)
        return false;
    struct span text = redis_reply_text(reply);
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        size_t size = strlen(signs[i]);
        if (text.size >= size && memcmp(text.data, signs[i], size) == 0)
            return true;
    }
    return false;
}
