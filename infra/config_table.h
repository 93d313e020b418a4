/* The one table of the configuration: every key with its kind, its place in struct config, its
 * default, its range and its sentence of documentation. Loading, the environment, the checks and
 * docs/CONFIG.md all read it; a new key is one line in config_table.c and one member in config.h.
 * Private to infra/config*.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_CONFIG_TABLE_H
#define INFRA_CONFIG_TABLE_H

#include "infra/config.h"

enum config_kind {
    CONFIG_TEXT,         /* char * */
    CONFIG_JSON,         /* char *: JSON text, or a YAML value that is turned into it */
    CONFIG_SECRET,       /* char *: written as a reference */
    CONFIG_INTEGER,      /* int or int64_t */
    CONFIG_DURATION,     /* int64_t, milliseconds */
    CONFIG_SIZE,         /* int64_t, bytes */
    CONFIG_BOOL,         /* bool */
    CONFIG_ENUM,         /* an enum: the index in `choices` */
    CONFIG_LIST,         /* struct config_strings */
    CONFIG_SECRETS,      /* struct config_strings of references */
    CONFIG_PAIRS,        /* struct config_pairs, values as they stand */
    CONFIG_SECRET_PAIRS, /* struct config_pairs whose values may be references */
};

/* What is wrong with a text (a list's item, a pair) and what is right instead, as the end of a
 * sentence; NULL when nothing is. `name` is a pair's name, else empty. */
typedef const char *(*config_format_fn)(struct span name, struct span text);

struct config_key {
    const char *path;    /* from the root, or from the entry of a map: "retry.backoff" */
    const char *initial; /* the default as it would stand in the environment */
    const char *doc;
    const char *const *choices; /* of an enum, or of a text; ends with NULL */
    config_format_fn format;
    size_t offset;
    size_t size; /* of the member */
    int64_t min, max;
    enum config_kind kind;
};

/* The keys of one struct: the root, or one entry of a map. */
struct config_scope {
    const char *name; /* "" is the root, else the map's name */
    const char *doc;
    const struct config_key *keys;
    size_t key_count;
    size_t entry_size;   /* the rest is for maps only: */
    size_t items_offset; /* of the entries' array in struct config */
    size_t count_offset;
    config_format_fn format; /* of the entries' names */
};

/* The root comes first. */
extern const struct config_scope config_scopes[];
extern const size_t config_scope_count;

/* A section of the root, for the documentation. */
struct config_section {
    const char *name;
    const char *doc;
};
extern const struct config_section config_sections[];
extern const size_t config_section_count;

/* Where a key's member lies in its struct. */
static inline void *config_table_member(const struct config_key *key, void *base)
{
    return (char *)base + key->offset;
}

/* The entries of a map. Every struct behind a map begins with its name. */
size_t config_table_entry_count(const struct config_scope *scope, const struct config *config);
void *config_table_entry(const struct config_scope *scope, const struct config *config,
                         size_t index);
const char *config_table_entry_name(const struct config_scope *scope, const struct config *config,
                                    size_t index);
/* Appends a zeroed entry, which takes `name`. Pointers to earlier entries become stale. */
void *config_table_entry_add(const struct config_scope *scope, struct config *config, char *name);
/* Frees the names and the array; what the keys hold has been freed before. */
void config_table_free_entries(const struct config_scope *scope, struct config *config);

#endif
