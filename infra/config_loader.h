/* One run of config_load: where the configuration comes from, what has been found wrong so far, and
 * where each value was written, so that a check made at the end still names the line. Private to
 * infra/config*.
 * thread: the caller's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_CONFIG_LOADER_H
#define INFRA_CONFIG_LOADER_H

#include "infra/config_table.h"
#include "schemas/buf.h"

#define CONFIG_PROBLEMS_MAX 100
#define CONFIG_REPORT_MAX   ((size_t)64 * 1024)
#define CONFIG_FILE_MAX     ((size_t)1024 * 1024)

/* Where a value was written: a line of the file, a variable, or (both zero) nowhere: a default. */
struct config_origin {
    size_t line;
    const char *variable; /* borrowed */
};

struct config_place {
    char *path;
    struct config_origin origin;
};

struct config_loader {
    const char *file;               /* NULL: none */
    const char *const *environment; /* "NAME=value", ends with NULL */
    struct config *config;
    struct buf report;
    size_t problem_count;
    struct err first; /* the first problem */
    struct config_place *places;
    size_t place_count;
    size_t place_capacity;
    struct config_strings secret_variables; /* named by "env:NAME": no keys, and no mistakes */
    struct config_strings variables;        /* names that origins borrow */
};

void config_loader_init(struct config_loader *loader, const char *file,
                        const char *const *environment);
/* Frees everything but the configuration. */
void config_loader_clear(struct config_loader *loader);

/* Notes a mistake. `path` names the key and may be NULL; the text says what is wrong and what is
 * allowed. */
void config_loader_problem(struct config_loader *loader, struct config_origin origin,
                           const char *path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Remembers where `path` was written; the latest counts. */
void config_loader_place(struct config_loader *loader, const char *path,
                         struct config_origin origin);
/* Where `path`, or else the nearest section around it, was written. */
struct config_origin config_loader_find(const struct config_loader *loader, const char *path);
/* Whether `path` or anything below it was written. */
bool config_loader_has(const struct config_loader *loader, const char *path);

/* Adds a variable's name to one of the lists, which takes it. */
const char *config_loader_keep(struct config_strings *list, char *name);
/* The variable's value, NULL when there is none. Borrowed. */
const char *config_loader_variable(const struct config_loader *loader, const char *name);

/* A value for a message: cut to a readable length, without control characters, in single quotes. */
#define CONFIG_QUOTED_SIZE 48
const char *config_loader_quote(struct span text, char ret_quoted[CONFIG_QUOTED_SIZE]);
/* "; did you mean X?", or "" when no candidate is near. */
#define CONFIG_HINT_SIZE 128
const char *config_loader_hint(struct span word, const char *const *candidates, size_t count,
                               char ret_hint[CONFIG_HINT_SIZE]);

#endif
