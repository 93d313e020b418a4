/* See config_drill.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/config_drill.h"

#include "infra/config_table.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <inttypes.h>
#include <stdlib.h>

static bool is_one_of(const char *path, const char *const *names)
{
    while (*names && strcmp(path, *names) != 0)
        names++;
    return *names != NULL;
}

/* Of the root: what a drill has of its own, what its processes are told, and what is no business
 * of it. */
static bool is_own(const char *path)
{
    static const char *const names[] = {
        "namespace",        "kafka.kind",           "kafka.properties",
        "redis.password",   "secrets.id",           "log.path",
        "worker.queues",    "gateway.insecure",     "gateway.listen",
        "worker.listen",    "recorder.listen",      "delayer.listen",
        "simulator.listen", "simulator.tls_listen", NULL
    };
    return is_one_of(path, names);
}

/* --- values, as YAML that is JSON --- */

static void add_string(struct buf *out, const char *text)
{
    buf_add_json_string(out, span_of(text));
}

static void add_list(struct buf *out, const struct config_strings *list)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            buf_add_text(out, ", ");
        add_string(out, list->items[i]);
    }
    buf_add_char(out, ']');
}

static void add_pairs(struct buf *out, const struct config_pairs *pairs)
{
    buf_add_char(out, '{');
    for (size_t i = 0; i < pairs->count; i++) {
        if (i)
            buf_add_text(out, ", ");
        add_string(out, pairs->items[i].name);
        buf_add_text(out, ": ");
        add_string(out, pairs->items[i].value);
    }
    buf_add_char(out, '}');
}

static int64_t integer_of(const struct config_key *key, const void *member)
{
    return key->size == sizeof(int) ? *(const int *)member : *(const int64_t *)member;
}

/* What is empty is its default, and secrets are not for a drill. */
static bool is_written(const struct config_key *key, const void *member)
{
    switch (key->kind) {
    case CONFIG_TEXT:
    case CONFIG_JSON:
        return **(char *const *)member;
    case CONFIG_LIST:
        return ((const struct config_strings *)member)->count > 0;
    case CONFIG_PAIRS:
        return ((const struct config_pairs *)member)->count > 0;
    case CONFIG_SECRET:
    case CONFIG_SECRETS:
    case CONFIG_SECRET_PAIRS:
        return false;
    case CONFIG_INTEGER:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
    case CONFIG_BOOL:
    case CONFIG_ENUM:
        break;
    }
    return true;
}

static void add_value(struct buf *out, const struct config_key *key, const void *member)
{
    switch (key->kind) {
    case CONFIG_TEXT:
    case CONFIG_JSON:
        add_string(out, *(char *const *)member);
        break;
    case CONFIG_LIST:
        add_list(out, member);
        break;
    case CONFIG_PAIRS:
        add_pairs(out, member);
        break;
    case CONFIG_DURATION:
        buf_printf(out, "%" PRId64 "ms", integer_of(key, member));
        break;
    case CONFIG_INTEGER:
    case CONFIG_SIZE:
        buf_printf(out, "%" PRId64, integer_of(key, member));
        break;
    case CONFIG_BOOL:
        buf_add_text(out, *(const bool *)member ? "true" : "false");
        break;
    case CONFIG_ENUM:
        add_string(out, key->choices[*(const int *)member]);
        break;
    case CONFIG_SECRET:
    case CONFIG_SECRETS:
    case CONFIG_SECRET_PAIRS:
        break;
    }
}

/* --- keys, one line each, in their sections --- */

struct writing {
    struct buf *out;
    int indent;
    char section[64]; /* that is open; "" none */
};

static void begin_key(struct writing *writing, const char *path)
{
    const char *dot = strchr(path, '.');
    size_t size = dot ? (size_t)(dot - path) : 0;
    bool open = strlen(writing->section) == size && strncmp(writing->section, path, size) == 0;
    if (!open && size < sizeof writing->section) {
        memcpy(writing->section, path, size);
        writing->section[size] = '\0';
        if (size)
            buf_printf(writing->out, "%*s%.*s:\n", writing->indent, "", (int)size, path);
    }
    buf_printf(writing->out, "%*s%s: ", writing->indent + (dot ? 2 : 0), "", dot ? dot + 1 : path);
}

static void write_key(struct writing *writing, const struct config_key *key, void *base)
{
    const void *member = config_table_member(key, base);
    if (!is_written(key, member))
        return;
    begin_key(writing, key->path);
    add_value(writing->out, key, member);
    buf_add_char(writing->out, '\n');
}

static void write_text(struct writing *writing, const char *path, const char *value)
{
    begin_key(writing, path);
    buf_add_text(writing->out, value);
    buf_add_char(writing->out, '\n');
}

/* --- the parts --- */

/* The keys of a section need not stand beside each other in the table. */
static void write_root(const struct config_scope *scope, const struct config *config,
                       const char *namespace_, struct buf *out)
{
    struct writing writing = { .out = out };
    struct config copy = *config; /* the table's members are not const */
    buf_printf(out, "namespace: %s\nsecrets:\n  id: [file:secrets/id]\n", namespace_);
    for (size_t i = 0; i < scope->key_count; i++) {
        if (!is_own(scope->keys[i].path))
            write_key(&writing, &scope->keys[i], &copy);
        if (strcmp(scope->keys[i].path, "gateway.listen") == 0)
            write_text(&writing, "gateway.listen", "127.0.0.1:0");
        if (strcmp(scope->keys[i].path, "kafka.properties") != 0 ||
            config->kafka.properties.count == 0)
            continue;
        begin_key(&writing, "kafka.properties");
        buf_add_char(out, '{');
        for (size_t k = 0; k < config->kafka.properties.count; k++) {
            const struct config_pair *pair = &config->kafka.properties.items[k];
            buf_add_text(out, k ? ", " : "");
            add_string(out, pair->name);
            buf_add_text(out, ": ");
            if (pair->secret)
                buf_printf(out, "\"file:secrets/kafka-%zu\"", k);
            else
                add_string(out, pair->value);
        }
        buf_add_text(out, "}\n");
    }
}

/* Where a target is and who it is. */
static bool is_of_address(const char *path)
{
    static const char *const names[] = { "base_url", "ca_file", "private", "redirects", NULL };
    return is_one_of(path, names);
}

/* What only the real third party would answer to, or answer. */
static bool is_of_answer(const char *path)
{
    static const char *const names[] = { "call.path",   "call.method",  "call.expect",
                                         "call.result", "call.pointer", NULL };
    return is_one_of(path, names);
}

/* The real third party that a type calls, if it calls one. */
static const struct config_target *real_target_of(const struct config *config,
                                                  const struct config_type *type)
{
    if (type->handler != CONFIG_HANDLER_CALL)
        return NULL;
    const struct config_target *target = config_find_target(config, span_of(type->call.target));
    return target && !config_is_simulator(target) ? target : NULL;
}

static void write_target(struct writing *writing, const struct config_target *target)
{
    begin_key(writing, "base_url");
    if (config_is_simulator(target) || MUTANT(drill_real_target))
        add_string(writing->out, target->base_url);
    else
        buf_add_text(writing->out, "\"" CONFIG_SIMULATOR "/\"");
    buf_add_char(writing->out, '\n');
    if (config_is_simulator(target))
        buf_printf(writing->out, "%*sredirects: %" PRId64 "\n", writing->indent, "",
                   target->redirects_max);
}

/* "Bearer key {{x}}" -> "{{x}}". */
static void cut_templates(const char *value, struct buf *out)
{
    const char *end = NULL;
    for (const char *at = strstr(value, "{{"); at; at = strstr(end, "{{")) {
        end = strstr(at, "}}");
        if (!end)
            return;
        end += 2;
        buf_add(out, at, (size_t)(end - at));
    }
}

/* Of a real third party's type only what is made of a job's payload: what stands there for itself
 * may be a key of ours. */
static void write_templates(struct writing *writing, const struct config_key *key, void *base)
{
    const struct config_pairs *pairs = config_table_member(key, base);
    struct config_pairs templates = { 0 };
    templates.items = mem_zalloc(pairs->count, sizeof *templates.items);
    for (size_t i = 0; i < pairs->count; i++) {
        struct buf cut = BUF_INIT(strlen(pairs->items[i].value));
        cut_templates(pairs->items[i].value, &cut);
        struct config_pair kept = pairs->items[i];
        kept.value = MUTANT(drill_literals_told) ? mem_dup_text(kept.value) : buf_take(&cut);
        buf_free(&cut);
        if (kept.value && *kept.value)
            templates.items[templates.count++] = kept;
        else
            free(kept.value);
    }
    if (templates.count) {
        begin_key(writing, key->path);
        add_pairs(writing->out, &templates);
        buf_add_char(writing->out, '\n');
    }
    for (size_t i = 0; i < templates.count; i++)
        free(templates.items[i].value);
    free(templates.items);
}

static void write_type(struct writing *writing, const struct config_scope *scope,
                       const struct config *config, struct config_type *type)
{
    bool real = real_target_of(config, type) != NULL;
    for (size_t i = 0; i < scope->key_count; i++) {
        const struct config_key *key = &scope->keys[i];
        bool of_call = strncmp(key->path, "call.", sizeof "call." - 1) == 0;
        if (of_call && type->handler != CONFIG_HANDLER_CALL)
            continue;
        if (strcmp(key->path, "call.method") == 0 && real) {
            write_text(writing, "call.method", "POST");
            write_text(writing, "call.path", CONFIG_DRILL_ECHO);
        } else if (strcmp(key->path, "call.body") == 0 && real && *type->call.body) {
            write_text(writing, "call.body", "\"{{payload}}\"");
        } else if (real && key->kind == CONFIG_PAIRS && of_call) {
            write_templates(writing, key, type);
        } else if (!real || !is_of_answer(key->path)) {
            write_key(writing, key, type);
        }
    }
}

static void write_entry(const struct config_scope *scope, const struct config *config, size_t i,
                        struct buf *out)
{
    struct writing writing = { .out = out, .indent = 4 };
    void *entry = config_table_entry(scope, config, i);
    buf_printf(out, "  %s:\n", config_table_entry_name(scope, config, i));
    if (strcmp(scope->name, "types") == 0) {
        write_type(&writing, scope, config, entry);
        return;
    }
    bool target = strcmp(scope->name, "targets") == 0;
    if (target)
        write_target(&writing, entry);
    for (size_t k = 0; k < scope->key_count; k++) {
        if (!target || !is_of_address(scope->keys[k].path))
            write_key(&writing, &scope->keys[k], entry);
    }
}

void config_drill_write(const struct config *config, const char *namespace_, struct buf *out)
{
    for (size_t i = 0; i < config_scope_count; i++) {
        const struct config_scope *scope = &config_scopes[i];
        size_t count = *scope->name ? config_table_entry_count(scope, config) : 0;
        if (!*scope->name)
            write_root(scope, config, namespace_, out);
        else if (count)
            buf_printf(out, "%s:\n", scope->name);
        for (size_t k = 0; k < count; k++)
            write_entry(scope, config, k, out);
    }
}
