/* The table as docs/CONFIG.md. SPDX-License-Identifier: Apache-2.0 */
#include "infra/config_value.h"

#include <stdio.h>

static const char intro[] =
    "# Configuration\n"
    "\n"
    "One YAML file (`--config FILE`), read once at start by every program. `errand config check "
    "FILE` tells every\n"
    "mistake in it with its line. This page is made from the table in `infra/config_table.c`; do "
    "not edit it.\n"
    "\n"
    "- Durations: `250ms`, `5s`, `2m`, `1h`, `7d`; a plain number is seconds. Sizes: `4096`, "
    "`64KiB`, `1MiB`.\n"
    "- A secret is a reference: `file:PATH` (relative to the configuration file; readable by its "
    "owner only; a\n"
    "  trailing newline is dropped) or `env:NAME`. The secret itself in the file is refused.\n"
    "- Every key can be set by the environment, which wins: `kafka.brokers` is "
    "`ERRAND_KAFKA_BROKERS`,\n"
    "  `targets.quotes.timeout` is `ERRAND_TARGETS_QUOTES_TIMEOUT` (`.` and `-` become `_`). Lists "
    "are separated by\n"
    "  commas, pairs are `name=value`. Entries of `queues`, `targets` and `types` must exist in "
    "the file. An\n"
    "  `ERRAND_` variable that names no key is an error; `ERRAND_DIR`, `ERRAND_URL`, "
    "`ERRAND_CONFIG`,\n"
    "  `ERRAND_PROCESS` and `ERRAND_MUTANT` are no keys.\n"
    "- An unknown key, a repeated key, an alias, a tag or a second document is an error. A file "
    "has up to 1 MiB.\n";

static const char *kind_text(enum config_kind kind)
{
    switch (kind) {
    case CONFIG_TEXT:
        return "text";
    case CONFIG_JSON:
        return "JSON";
    case CONFIG_SECRET:
        return "secret";
    case CONFIG_INTEGER:
        return "integer";
    case CONFIG_DURATION:
        return "duration";
    case CONFIG_SIZE:
        return "size";
    case CONFIG_BOOL:
        return "true or false";
    case CONFIG_ENUM:
        return "choice";
    case CONFIG_LIST:
        return "list";
    case CONFIG_SECRETS:
        return "list of secrets";
    case CONFIG_PAIRS:
    case CONFIG_SECRET_PAIRS:
        return "names and values";
    }
    return "";
}

static void add_allowed(struct buf *out, const struct config_key *key)
{
    bool number =
        key->kind == CONFIG_INTEGER || key->kind == CONFIG_DURATION || key->kind == CONFIG_SIZE;
    for (size_t i = 0; key->choices && key->choices[i]; i++)
        buf_printf(out, "%s`%s`", i ? " " : "", key->choices[i]);
    if (number && key->max == INT64_MAX) {
        buf_add_text(out, "from ");
        config_value_add_limit(out, key, key->min);
    } else if (number) {
        config_value_add_limit(out, key, key->min);
        buf_add_text(out, " to ");
        config_value_add_limit(out, key, key->max);
    }
}

static void add_row(struct buf *out, const struct config_key *key, size_t skip)
{
    bool required = key->kind == CONFIG_TEXT && key->min > 0 && key->initial[0] == '\0';
    buf_printf(out, "| `%s` | %s | ", key->path + skip, kind_text(key->kind));
    if (required)
        buf_add_text(out, "required");
    else if (key->initial[0])
        buf_printf(out, "`%s`", key->initial);
    buf_add_text(out, " | ");
    add_allowed(out, key);
    buf_printf(out, " | %s |\n", key->doc);
}

static void add_heading(struct buf *out, const char *name, const char *doc)
{
    buf_printf(out, "\n## %s\n\n%s\n", name, doc);
    buf_add_text(out, "\n| Key | Kind | Default | Allowed | What it is |\n|---|---|---|---|---|\n");
}

/* The keys of the root that lie directly in the section. */
static void add_section(struct buf *out, const struct config_section *section)
{
    size_t skip = strlen(section->name);
    const struct config_scope *root = &config_scopes[0];
    add_heading(out, skip ? section->name : "Top level", section->doc);
    for (size_t i = 0; i < root->key_count; i++) {
        const char *path = root->keys[i].path;
        bool inside = skip ? strncmp(path, section->name, skip) == 0 && path[skip] == '.'
                           : !strchr(path, '.');
        if (inside)
            add_row(out, &root->keys[i], skip ? skip + 1 : 0);
    }
}

static void add_map(struct buf *out, const struct config_scope *map)
{
    char name[64];
    snprintf(name, sizeof name, "%s.NAME", map->name);
    add_heading(out, name, map->doc);
    for (size_t i = 0; i < map->key_count; i++)
        add_row(out, &map->keys[i], 0);
}

void config_document(struct buf *out)
{
    buf_add_text(out, intro);
    for (size_t i = 0; i < config_section_count; i++)
        add_section(out, &config_sections[i]);
    for (size_t i = 1; i < config_scope_count; i++)
        add_map(out, &config_scopes[i]);
}
