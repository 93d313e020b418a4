/* See config.h: one run of loading, from the defaults over the file and the environment to the
 * checks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/config.h"

#include "infra/config_check.h"
#include "infra/config_env.h"
#include "infra/config_value.h"
#include "schemas/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_MAX_SIZE 512
#define READ_SIZE     ((size_t)16384)
#define KNOWN_MAX     64

/* The mapping being read: which keys are known in it, and where they go. */
struct level {
    const struct config_scope *scope;
    void *base;
    const char *prefix; /* of the keys' paths in the scope: "", "call" */
    const char *where;  /* the same from the root, for messages: "types.quote.fetch.call" */
};

/* --- the file --- */

static bool read_open_file(struct config_loader *loader, int fd, struct buf *text)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        config_loader_problem(loader, (struct config_origin){ 0 }, NULL, "is not a file");
        return false;
    }
    for (;;) {
        if (!buf_reserve(text, READ_SIZE)) {
            config_loader_problem(loader, (struct config_origin){ 0 }, NULL,
                                  "is larger than 1 MiB");
            return false;
        }
        ssize_t size = read(fd, text->data + text->size, READ_SIZE);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            config_loader_problem(loader, (struct config_origin){ 0 }, NULL, "cannot be read: %s",
                                  strerrordesc_np(errno));
        if (size <= 0)
            return size == 0;
        buf_grow(text, (size_t)size);
    }
}

static bool read_file(struct config_loader *loader, struct buf *text)
{
    int fd = open(loader->file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        config_loader_problem(loader, (struct config_origin){ 0 }, NULL, "cannot be opened: %s",
                              strerrordesc_np(errno));
        return false;
    }
    bool done = read_open_file(loader, fd, text);
    close(fd);
    return done;
}

/* --- the tree into the struct --- */

/* Fit for a message as it stands. */
static bool is_plain(struct span name)
{
    bool control = false;
    for (size_t i = 0; i < name.size; i++)
        control = control || ((const unsigned char *)name.data)[i] < 0x20;
    return name.size <= 2 * (size_t)CONFIG_QUOTED_SIZE && !control;
}

static void join(char joined[PATH_MAX_SIZE], const char *prefix, struct span name)
{
    char quoted[CONFIG_QUOTED_SIZE];
    struct buf path = BUF_INIT(PATH_MAX_SIZE - 1);
    buf_printf(&path, "%s%s", prefix, prefix[0] ? "." : "");
    if (is_plain(name))
        buf_add_span(&path, name);
    else
        buf_add_text(&path, config_loader_quote(name, quoted));
    memcpy(joined, path.data, path.size + 1);
    buf_free(&path);
}

static const struct config_key *find_key(const struct config_scope *scope, const char *path)
{
    for (size_t i = 0; i < scope->key_count; i++) {
        if (strcmp(scope->keys[i].path, path) == 0)
            return &scope->keys[i];
    }
    return NULL;
}

static bool is_section(const struct config_scope *scope, const char *path)
{
    size_t size = strlen(path);
    for (size_t i = 0; i < scope->key_count; i++) {
        if (strncmp(scope->keys[i].path, path, size) == 0 && scope->keys[i].path[size] == '.')
            return true;
    }
    return false;
}

static const struct config_scope *find_map(const struct level *level, const char *name)
{
    for (size_t i = 1; level->where[0] == '\0' && i < config_scope_count; i++) {
        if (strcmp(config_scopes[i].name, name) == 0)
            return &config_scopes[i];
    }
    return NULL;
}

/* The names that may stand in a mapping, for a hint. Returns how many. */
static size_t collect_known(const struct level *level, char *ret_names[KNOWN_MAX])
{
    size_t count = 0;
    size_t skip = strlen(level->prefix) + (level->prefix[0] ? 1 : 0);
    for (size_t i = 0; i < level->scope->key_count && count < KNOWN_MAX; i++) {
        const char *path = level->scope->keys[i].path;
        if (skip && (strncmp(path, level->prefix, skip - 1) != 0 || path[skip - 1] != '.'))
            continue;
        struct span name = { path + skip, strcspn(path + skip, ".") };
        if (count == 0 || !span_eq(name, span_of(ret_names[count - 1])))
            ret_names[count++] = mem_dup(name);
    }
    for (size_t i = 1; level->where[0] == '\0' && i < config_scope_count && count < KNOWN_MAX; i++)
        ret_names[count++] = mem_dup_text(config_scopes[i].name);
    return count;
}

static void report_unknown(struct config_loader *loader, const struct level *level,
                           const char *path, const struct config_node *node)
{
    char *known[KNOWN_MAX];
    size_t count = collect_known(level, known);
    char hint[CONFIG_HINT_SIZE];
    struct buf list = BUF_INIT(800);
    config_loader_hint(node->name, (const char *const *)known, count, hint);
    for (size_t i = 0; i < count; i++)
        buf_printf(&list, "%s%s", i ? ", " : "", known[i]);
    if (hint[0])
        config_loader_problem(loader, node->origin, path, "there is no such key%s", hint);
    else
        config_loader_problem(loader, node->origin, path,
                              "there is no such key; known here are: %s", list.data);
    buf_free(&list);
    for (size_t i = 0; i < count; i++)
        free(known[i]);
}

/* Whether the node is a mapping to go into. A section without anything in it is fine: all of its
 * lines may be comments. */
static bool is_mapping(struct config_loader *loader, const struct config_node *node,
                       const char *path)
{
    if (node->kind != CONFIG_NODE_MAPPING && !config_yaml_is_null(node))
        config_loader_problem(loader, node->origin, path,
                              "must be a section: its keys stand below it, indented");
    return node->kind == CONFIG_NODE_MAPPING;
}

static void apply_mapping(struct config_loader *loader, const struct level *level,
                          const struct config_node *mapping);

static void apply_map(struct config_loader *loader, const struct config_scope *scope,
                      const struct config_node *map)
{
    for (const struct config_node *node = map->children; node; node = node->next) {
        char where[PATH_MAX_SIZE];
        char quoted[CONFIG_QUOTED_SIZE];
        join(where, scope->name, node->name);
        const char *wrong = scope->format(span_of(""), node->name);
        if (wrong) {
            config_loader_problem(loader, node->origin, scope->name, "%s %s",
                                  config_loader_quote(node->name, quoted), wrong);
            continue;
        }
        config_loader_place(loader, where, node->origin);
        void *entry = config_table_entry_add(scope, loader->config, mem_dup(node->name));
        config_value_defaults(loader, scope, entry);
        if (is_mapping(loader, node, where))
            apply_mapping(loader, &(struct level){ scope, entry, "", where }, node);
    }
}

static void apply_member(struct config_loader *loader, const struct level *level,
                         const struct config_node *node)
{
    char inner[PATH_MAX_SIZE];
    char where[PATH_MAX_SIZE];
    join(inner, level->prefix, node->name);
    join(where, level->where, node->name);
    const struct config_key *key = find_key(level->scope, inner);
    const struct config_scope *map = find_map(level, inner);
    if (key) {
        config_loader_place(loader, where, node->origin);
        config_value_set(loader, key, level->base, where, node);
    } else if (is_section(level->scope, inner)) {
        config_loader_place(loader, where, node->origin);
        if (is_mapping(loader, node, where))
            apply_mapping(loader, &(struct level){ level->scope, level->base, inner, where }, node);
    } else if (map) {
        config_loader_place(loader, where, node->origin);
        if (is_mapping(loader, node, where))
            apply_map(loader, map, node);
    } else {
        report_unknown(loader, level, where, node);
    }
}

/* As deep as the keys' paths are: an unknown section is not entered. */
static void apply_mapping(struct config_loader *loader, const struct level *level,
                          const struct config_node *mapping)
{
    for (const struct config_node *node = mapping->children; node; node = node->next)
        apply_member(loader, level, node);
}

/* False when nothing can be said about the file's keys. */
static bool apply_file(struct config_loader *loader)
{
    struct buf text = BUF_INIT(CONFIG_FILE_MAX + READ_SIZE);
    struct config_tree *tree = NULL;
    if (read_file(loader, &text))
        tree = config_yaml_parse(loader, buf_span(&text));
    const struct config_node *root = tree ? config_yaml_root(tree) : NULL;
    if (root && is_mapping(loader, root, NULL))
        apply_mapping(loader, &(struct level){ &config_scopes[0], loader->config, "", "" }, root);
    bool readable = tree != NULL;
    config_yaml_free(tree);
    buf_free(&text);
    return readable;
}

/* --- the whole --- */

static void add_default_queue(struct config_loader *loader)
{
    const struct config_scope *queues = &config_scopes[1];
    if (loader->config->queue_count == 0)
        config_value_defaults(
            loader, queues,
            config_table_entry_add(queues, loader->config, mem_dup_text("default")));
}

static enum err_code give_report(struct config_loader *loader, char **ret_report, struct err *err)
{
    if (loader->problem_count > CONFIG_PROBLEMS_MAX)
        buf_printf(&loader->report, "%s: and %zu more\n",
                   loader->file ? loader->file : "configuration",
                   loader->problem_count - CONFIG_PROBLEMS_MAX);
    if (ret_report)
        *ret_report = buf_take(&loader->report);
    if (err)
        *err = loader->first;
    return ERR_CONFIG;
}

enum err_code config_load_from(const char *path, const char *const *environment,
                               struct config **ret_config, char **ret_report, struct err *err)
{
    struct config_loader loader;
    config_loader_init(&loader, path, environment);
    config_value_defaults(&loader, &config_scopes[0], loader.config);
    if (!path || apply_file(&loader)) {
        add_default_queue(&loader);
        config_env_apply(&loader);
        config_check(&loader);
    }
    enum err_code code = ERR_OK;
    if (loader.problem_count) {
        code = give_report(&loader, ret_report, err);
        config_free(loader.config);
    } else {
        *ret_config = loader.config;
    }
    config_loader_clear(&loader);
    return code;
}

enum err_code config_load(const char *path, struct config **ret_config, char **ret_report,
                          struct err *err)
{
    return config_load_from(path, (const char *const *)environ, ret_config, ret_report, err);
}

static void clear_keys(const struct config_scope *scope, void *base)
{
    for (size_t i = 0; i < scope->key_count; i++)
        config_value_clear(&scope->keys[i], base);
}

void config_free(struct config *config)
{
    if (!config)
        return;
    clear_keys(&config_scopes[0], config);
    for (size_t i = 1; i < config_scope_count; i++) {
        const struct config_scope *scope = &config_scopes[i];
        for (size_t j = 0; j < config_table_entry_count(scope, config); j++)
            clear_keys(scope, config_table_entry(scope, config, j));
        config_table_free_entries(scope, config);
    }
    free(config->delayer.tiers);
    free(config);
}

const struct config_queue *config_find_queue(const struct config *config, struct span name)
{
    for (size_t i = 0; i < config->queue_count; i++) {
        if (span_is(name, config->queues[i].name))
            return &config->queues[i];
    }
    return NULL;
}

const struct config_target *config_find_target(const struct config *config, struct span name)
{
    for (size_t i = 0; i < config->target_count; i++) {
        if (span_is(name, config->targets[i].name))
            return &config->targets[i];
    }
    return NULL;
}

bool config_is_simulator(const struct config_target *target)
{
    return strncmp(target->base_url, CONFIG_SIMULATOR, sizeof CONFIG_SIMULATOR - 1) == 0;
}

const struct config_type *config_find_type(const struct config *config, struct span name)
{
    for (size_t i = 0; i < config->type_count; i++) {
        if (span_is(name, config->types[i].name))
            return &config->types[i];
    }
    return NULL;
}
