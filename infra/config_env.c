/* See config_env.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/config_env.h"

#include "infra/config_value.h"
#include "schemas/mem.h"

#include <ctype.h>
#include <stdlib.h>

#define PREFIX "ERRAND_"

/* Variables that are no keys: the command line, tests and the supervisor use them. */
static const char *const others[] = { "ERRAND_DIR", "ERRAND_URL", "ERRAND_CONFIG", "ERRAND_MUTANT",
                                      "ERRAND_PROCESS" };
#define OTHER_COUNT (sizeof others / sizeof *others)

/* A key of the root or of one entry, and the variable that sets it. */
struct override {
    char *variable;
    char *path;
    const struct config_key *key;
    void *base;
};

struct overrides {
    struct override *items;
    size_t count;
    size_t capacity;
};

void config_env_add_name(struct buf *out, const char *path)
{
    buf_add_text(out, PREFIX);
    for (; *path; path++) {
        bool separator = *path == '.' || *path == '-';
        buf_printf(out, "%c", separator ? '_' : toupper((unsigned char)*path));
    }
}

/* `prefix` is "" or "types.NAME.". */
static void add_keys(struct overrides *overrides, const struct config_scope *scope, void *base,
                     const char *prefix)
{
    for (size_t i = 0; i < scope->key_count; i++) {
        if (overrides->count == overrides->capacity) {
            overrides->capacity = overrides->capacity ? 2 * overrides->capacity : 256;
            overrides->items =
                mem_resize(overrides->items, overrides->capacity, sizeof *overrides->items);
        }
        struct buf path = BUF_INIT(1024);
        struct buf variable = BUF_INIT(1024);
        buf_printf(&path, "%s%s", prefix, scope->keys[i].path);
        config_env_add_name(&variable, path.data);
        overrides->items[overrides->count++] = (struct override){
            .variable = buf_take(&variable),
            .path = buf_take(&path),
            .key = &scope->keys[i],
            .base = base,
        };
    }
}

static struct overrides collect(struct config *config)
{
    struct overrides overrides = { 0 };
    add_keys(&overrides, &config_scopes[0], config, "");
    for (size_t i = 1; i < config_scope_count; i++) {
        const struct config_scope *scope = &config_scopes[i];
        for (size_t j = 0; j < config_table_entry_count(scope, config); j++) {
            struct buf prefix = BUF_INIT(1024);
            buf_printf(&prefix, "%s.%s.", scope->name, config_table_entry_name(scope, config, j));
            add_keys(&overrides, scope, config_table_entry(scope, config, j), prefix.data);
            buf_free(&prefix);
        }
    }
    return overrides;
}

static void free_overrides(struct overrides *overrides)
{
    for (size_t i = 0; i < overrides->count; i++) {
        free(overrides->items[i].variable);
        free(overrides->items[i].path);
    }
    free(overrides->items);
}

static void report_unknown(struct config_loader *loader, const struct overrides *overrides,
                           const char *variable)
{
    const char **candidates = mem_zalloc(overrides->count + OTHER_COUNT, sizeof *candidates);
    for (size_t i = 0; i < overrides->count; i++)
        candidates[i] = overrides->items[i].variable;
    memcpy(candidates + overrides->count, others, sizeof others);
    char hint[CONFIG_HINT_SIZE];
    config_loader_problem(
        loader, (struct config_origin){ .variable = variable }, NULL,
        "this variable names no key of the configuration%s",
        config_loader_hint(span_of(variable), candidates, overrides->count + OTHER_COUNT, hint));
    free(candidates);
}

/* The key that the variable names; NULL when there is none. Two is a mistake. */
static const struct override *find(struct config_loader *loader, const struct overrides *overrides,
                                   const char *variable)
{
    const struct override *found = NULL;
    for (size_t i = 0; i < overrides->count; i++) {
        const struct override *override = &overrides->items[i];
        if (strcmp(override->variable, variable) != 0)
            continue;
        if (found)
            config_loader_problem(loader, (struct config_origin){ .variable = variable }, NULL,
                                  "this variable fits both %s and %s; set them in the file",
                                  found->path, override->path);
        found = override;
    }
    return found;
}

static void apply(struct config_loader *loader, const struct overrides *overrides,
                  const char *variable, struct config_strings *unknown)
{
    const struct override *override = find(loader, overrides, variable);
    if (!override) {
        config_loader_keep(unknown, mem_dup_text(variable));
        return;
    }
    struct config_origin origin = { .variable = variable };
    config_loader_place(loader, override->path, origin);
    config_value_set_text(loader, override->key, override->base, override->path,
                          config_loader_variable(loader, variable), origin);
}

static bool is_one_of(struct span variable, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (span_is(variable, names[i]))
            return true;
    }
    return false;
}

void config_env_apply(struct config_loader *loader)
{
    struct overrides overrides = { 0 };
    struct config_strings unknown = { 0 };
    for (const char *const *entry = loader->environment; *entry; entry++) {
        const char *equals = strchr(*entry, '=');
        if (!equals || strncmp(*entry, PREFIX, strlen(PREFIX)) != 0)
            continue;
        struct span variable = { *entry, (size_t)(equals - *entry) };
        if (is_one_of(variable, others, OTHER_COUNT))
            continue;
        if (overrides.count == 0)
            overrides = collect(loader->config);
        apply(loader, &overrides, config_loader_keep(&loader->variables, mem_dup(variable)),
              &unknown);
    }
    /* Only now is it known which variables secrets refer to. */
    for (size_t i = 0; i < unknown.count; i++) {
        const char *const *known = (const char *const *)loader->secret_variables.items;
        const char *variable = config_loader_keep(&loader->variables, unknown.items[i]);
        if (!is_one_of(span_of(variable), known, loader->secret_variables.count))
            report_unknown(loader, &overrides, variable);
    }
    free(unknown.items);
    free_overrides(&overrides);
}
