/* See config_value.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/config_value.h"

#include "infra/config_format.h"
#include "infra/config_secret.h"
#include "schemas/mem.h"
#include "schemas/timefmt.h"
#include "schemas/utf8.h"

#include <errno.h>
#include <stdlib.h>

/* A value on its way to its member. */
struct setting {
    struct config_loader *loader;
    const struct config_key *key;
    const char *path;
    const struct config_node *node;
    void *member;
};

#define PROBLEM(setting, ...)                                                                      \
    config_loader_problem((setting)->loader, (setting)->node->origin, (setting)->path, __VA_ARGS__)

/* --- units --- */

void config_value_add_size(struct buf *out, int64_t bytes)
{
    static const char *const units[] = { "", "KiB", "MiB", "GiB" };
    size_t unit = 0;
    while (bytes && bytes % 1024 == 0 && unit + 1 < sizeof units / sizeof *units) {
        bytes /= 1024;
        unit++;
    }
    buf_add_int(out, bytes);
    buf_add_text(out, units[unit]);
}

void config_value_add_limit(struct buf *out, const struct config_key *key, int64_t limit)
{
    if (key->kind == CONFIG_DURATION)
        timefmt_duration(limit, out);
    else if (key->kind == CONFIG_SIZE)
        config_value_add_size(out, limit);
    else
        buf_add_int(out, limit);
}

/* --- scalars --- */

/* False, with a problem, when the node is no scalar or says nothing. */
static bool read_scalar(const struct setting *setting, struct span *ret_text)
{
    if (setting->node->kind != CONFIG_NODE_SCALAR) {
        PROBLEM(setting, "must be a single value, not a %s",
                setting->node->kind == CONFIG_NODE_MAPPING ? "section" : "list");
        return false;
    }
    if (config_yaml_is_null(setting->node)) {
        PROBLEM(setting, "has no value; give it one or drop the line");
        return false;
    }
    *ret_text = setting->node->text;
    return true;
}

static void replace_text(const struct setting *setting, char *text)
{
    char *old;
    memcpy(&old, setting->member, sizeof old);
    free(old);
    memcpy(setting->member, &text, sizeof text);
}

/* The index in choices; -1, with a problem, when it is none of them. */
static int find_choice(const struct setting *setting, struct span text)
{
    struct buf allowed = BUF_INIT(512);
    size_t count = 0;
    for (const char *const *choice = setting->key->choices; *choice; choice++, count++) {
        if (span_is(text, *choice)) {
            buf_free(&allowed);
            return (int)count;
        }
        buf_printf(&allowed, "%s%s", count ? ", " : "", *choice);
    }
    char quoted[CONFIG_QUOTED_SIZE];
    char hint[CONFIG_HINT_SIZE];
    PROBLEM(setting, "%s is not allowed; must be one of %s%s", config_loader_quote(text, quoted),
            allowed.data, config_loader_hint(text, setting->key->choices, count, hint));
    buf_free(&allowed);
    return -1;
}

/* A format may refuse a text; the text is shown unless it is or may be a secret. */
static bool fits_format(const struct setting *setting, struct span text)
{
    const char *wrong = setting->key->format ? setting->key->format(span_of(""), text) : NULL;
    if (!wrong)
        return true;
    char quoted[CONFIG_QUOTED_SIZE];
    if (setting->key->kind == CONFIG_SECRETS)
        PROBLEM(setting, "the secret %s", wrong);
    else
        PROBLEM(setting, "%s %s", config_loader_quote(text, quoted), wrong);
    return false;
}

static void set_text(const struct setting *setting)
{
    struct span text;
    if (!read_scalar(setting, &text))
        return;
    const struct config_key *key = setting->key;
    /* A required key may be empty by default: config_check then says that it is missing. */
    bool written = setting->node->origin.line || setting->node->origin.variable;
    if (text.size == 0 && key->min > 0 && written) {
        PROBLEM(setting, "must not be empty");
        return;
    }
    if ((int64_t)text.size > key->max) {
        PROBLEM(setting, "is %zu bytes long; at most %lld are allowed", text.size,
                (long long)key->max);
        return;
    }
    if (!utf8_is_text(text)) {
        PROBLEM(setting, "must be UTF-8 text");
        return;
    }
    if (text.size > 0 &&
        (key->choices ? find_choice(setting, text) < 0 : !fits_format(setting, text)))
        return;
    replace_text(setting, mem_dup(text));
}

static void set_secret(const struct setting *setting)
{
    struct span text;
    char *secret = NULL;
    if (!read_scalar(setting, &text))
        return;
    if (text.size > 0 &&
        !config_secret_read(setting->loader, setting->node->origin, setting->path, text, &secret))
        return;
    char *old;
    memcpy(&old, setting->member, sizeof old);
    config_secret_free(old);
    if (!secret)
        secret = mem_dup_text("");
    memcpy(setting->member, &secret, sizeof secret);
}

static bool parse_integer(struct span text, int64_t *ret_value)
{
    char digits[24];
    if (text.size == 0 || text.size >= sizeof digits)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        digits[i] = ((const char *)text.data)[i];
        if ((digits[i] < '0' || digits[i] > '9') && !(i == 0 && digits[i] == '-' && text.size > 1))
            return false;
    }
    digits[text.size] = '\0';
    errno = 0;
    *ret_value = strtoll(digits, NULL, 10);
    return errno == 0;
}

static bool parse_number(enum config_kind kind, struct span text, int64_t *ret_value)
{
    if (kind == CONFIG_DURATION)
        return timefmt_parse_duration(text, ret_value);
    if (kind == CONFIG_SIZE)
        return timefmt_parse_size(text, ret_value);
    return parse_integer(text, ret_value);
}

static void set_number(const struct setting *setting)
{
    const struct config_key *key = setting->key;
    struct span text;
    int64_t value;
    if (!read_scalar(setting, &text))
        return;
    char quoted[CONFIG_QUOTED_SIZE];
    config_loader_quote(text, quoted);
    if (!parse_number(key->kind, text, &value)) {
        PROBLEM(setting, "%s is not a %s", quoted,
                key->kind == CONFIG_DURATION ? "duration; write it like 250ms, 5s, 2m, 1h or 7d"
                : key->kind == CONFIG_SIZE   ? "size; write it like 4096, 64KiB or 1MiB"
                                             : "whole number");
        return;
    }
    if (value < key->min || value > key->max) {
        struct buf range = BUF_INIT(128);
        config_value_add_limit(&range, key, key->min);
        buf_add_text(&range, " to ");
        config_value_add_limit(&range, key, key->max);
        PROBLEM(setting, "%s is out of range; allowed is %s", quoted, range.data);
        buf_free(&range);
        return;
    }
    if (key->size == sizeof(int)) {
        int narrow = (int)value;
        memcpy(setting->member, &narrow, sizeof narrow);
    } else {
        memcpy(setting->member, &value, sizeof value);
    }
}

static void set_bool(const struct setting *setting)
{
    struct span text;
    if (!read_scalar(setting, &text))
        return;
    bool value = span_is(text, "true");
    char quoted[CONFIG_QUOTED_SIZE];
    if (value || span_is(text, "false"))
        memcpy(setting->member, &value, sizeof value);
    else
        PROBLEM(setting, "%s must be true or false", config_loader_quote(text, quoted));
}

static void set_enum(const struct setting *setting)
{
    struct span text;
    int index = read_scalar(setting, &text) ? find_choice(setting, text) : -1;
    if (index >= 0)
        memcpy(setting->member, &index, sizeof index);
}

/* --- JSON --- */

/* Text in quotes, or from the environment, that begins like an object or a list is JSON already. */
static bool is_json_text(const struct config_node *node)
{
    if (node->kind != CONFIG_NODE_SCALAR || (node->plain && !node->comma_list))
        return false;
    const char *p = node->text.data;
    p += strspn(p, " \t\r\n");
    return *p == '{' || *p == '[' || *p == '\0' || (node->comma_list && *p == '"');
}

static void set_json(const struct setting *setting)
{
    struct buf text = BUF_INIT((size_t)setting->key->max);
    if (is_json_text(setting->node))
        buf_add_span(&text, setting->node->text);
    else
        config_yaml_json(setting->node, &text);
    if (text.overflow)
        PROBLEM(setting, "is longer than the %lld bytes that are allowed",
                (long long)setting->key->max);
    else
        replace_text(setting, buf_take(&text));
    buf_free(&text);
}

/* --- lists and pairs --- */

/* Walks a sequence, a mapping, or a text with commas. */
struct cursor {
    const struct config_node *child;
    struct span rest;
};

static struct cursor cursor_of(const struct config_node *node)
{
    return node->comma_list ? (struct cursor){ .rest = node->text }
                            : (struct cursor){ .child = node->children };
}

/* The next item as a scalar node; false at the end. */
static bool next_item(struct cursor *cursor, const struct config_node *whole,
                      struct config_node *ret_item)
{
    if (!whole->comma_list) {
        if (!cursor->child)
            return false;
        *ret_item = *cursor->child;
        cursor->child = cursor->child->next;
        return true;
    }
    if (cursor->rest.size == 0)
        return false;
    const char *start = cursor->rest.data;
    const char *comma = memchr(start, ',', cursor->rest.size);
    size_t size = comma ? (size_t)(comma - start) : cursor->rest.size;
    *ret_item = *whole;
    ret_item->text = (struct span){ start, size };
    size_t skip = size + (comma ? 1 : 0);
    cursor->rest = (struct span){ start + skip, cursor->rest.size - skip };
    return true;
}

static size_t count_items(const struct config_node *node)
{
    struct cursor cursor = cursor_of(node);
    struct config_node item;
    size_t count = 0;
    while (next_item(&cursor, node, &item))
        count++;
    return count;
}

static bool is_container(const struct setting *setting, enum config_node_kind kind,
                         const char *example)
{
    if (!setting->node->comma_list && setting->node->kind != kind) {
        PROBLEM(setting, "must be %s, such as %s",
                kind == CONFIG_NODE_SEQUENCE ? "a list" : "a section of names and values", example);
        return false;
    }
    size_t count = count_items(setting->node);
    if ((int64_t)count >= setting->key->min && (int64_t)count <= setting->key->max)
        return true;
    PROBLEM(setting, "has %zu entries; allowed are %lld to %lld", count,
            (long long)setting->key->min, (long long)setting->key->max);
    return false;
}

static void free_strings(struct config_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        config_secret_free(strings->items[i]);
    free(strings->items);
    *strings = (struct config_strings){ 0 };
}

/* One item of a list; NULL, with a problem, when it is not right. */
static char *read_item(const struct setting *setting)
{
    struct span text;
    char *value = NULL;
    if (!read_scalar(setting, &text))
        return NULL;
    if (setting->key->kind == CONFIG_LIST)
        value = mem_dup(text);
    else if (!config_secret_read(setting->loader, setting->node->origin, setting->path, text,
                                 &value))
        return NULL;
    if (fits_format(setting, span_of(value)))
        return value;
    config_secret_free(value);
    return NULL;
}

static void set_list(const struct setting *setting)
{
    if (!is_container(setting, CONFIG_NODE_SEQUENCE, "[one, two]"))
        return;
    size_t count = count_items(setting->node);
    struct config_strings strings = { .items = mem_zalloc(count, sizeof *strings.items) };
    struct cursor cursor = cursor_of(setting->node);
    struct config_node item;
    while (next_item(&cursor, setting->node, &item)) {
        struct setting one = *setting;
        one.node = &item;
        char *value = read_item(&one);
        if (value)
            strings.items[strings.count++] = value;
    }
    if (strings.count < count) {
        free_strings(&strings);
        return;
    }
    free_strings(setting->member);
    memcpy(setting->member, &strings, sizeof strings);
}

static void free_pairs(struct config_pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        free(pairs->items[i].name);
        config_secret_free(pairs->items[i].value);
    }
    free(pairs->items);
    *pairs = (struct config_pairs){ 0 };
}

/* From the environment a pair is "name=value". */
static bool part_pair(const struct setting *setting, struct config_node *node)
{
    if (!node->comma_list)
        return true;
    const char *equals = memchr(node->text.data, '=', node->text.size);
    if (!equals) {
        PROBLEM(setting, "must be name=value, several separated by commas");
        return false;
    }
    size_t name_size = (size_t)(equals - (const char *)node->text.data);
    node->name = (struct span){ node->text.data, name_size };
    node->text = (struct span){ equals + 1, node->text.size - name_size - 1 };
    return true;
}

static bool read_pair(const struct setting *setting, struct config_node *node,
                      struct config_pair *ret_pair)
{
    struct span text;
    char quoted[CONFIG_QUOTED_SIZE];
    if (!part_pair(setting, node) || !read_scalar(setting, &text))
        return false;
    config_loader_quote(node->name, quoted);
    bool may_be_secret = setting->key->kind == CONFIG_SECRET_PAIRS;
    struct config_pair pair = { .secret = may_be_secret && config_secret_is_reference(text) };
    if (may_be_secret && !pair.secret && config_format_is_credential(node->name)) {
        PROBLEM(setting, "%s is a credential; write a reference to it: file:PATH or env:NAME",
                quoted);
        return false;
    }
    if (!pair.secret)
        pair.value = mem_dup(text);
    else if (!config_secret_read(setting->loader, setting->node->origin, setting->path, text,
                                 &pair.value))
        return false;
    const char *wrong = setting->key->format(node->name, span_of(pair.value));
    if (wrong) {
        PROBLEM(setting, "%s %s", quoted, wrong);
        config_secret_free(pair.value);
        return false;
    }
    pair.name = mem_dup(node->name);
    *ret_pair = pair;
    return true;
}

static void set_pairs(const struct setting *setting)
{
    if (!is_container(setting, CONFIG_NODE_MAPPING, "{name: value}"))
        return;
    size_t count = count_items(setting->node);
    struct config_pairs pairs = { .items = mem_zalloc(count, sizeof *pairs.items) };
    struct cursor cursor = cursor_of(setting->node);
    struct config_node item;
    while (next_item(&cursor, setting->node, &item)) {
        struct setting one = *setting;
        one.node = &item;
        if (read_pair(&one, &item, &pairs.items[pairs.count]))
            pairs.count++;
    }
    if (pairs.count < count) {
        free_pairs(&pairs);
        return;
    }
    free_pairs(setting->member);
    memcpy(setting->member, &pairs, sizeof pairs);
}

/* --- all kinds --- */

static void set(const struct setting *setting)
{
    switch (setting->key->kind) {
    case CONFIG_TEXT:
        set_text(setting);
        break;
    case CONFIG_JSON:
        set_json(setting);
        break;
    case CONFIG_SECRET:
        set_secret(setting);
        break;
    case CONFIG_INTEGER:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        set_number(setting);
        break;
    case CONFIG_BOOL:
        set_bool(setting);
        break;
    case CONFIG_ENUM:
        set_enum(setting);
        break;
    case CONFIG_LIST:
    case CONFIG_SECRETS:
        set_list(setting);
        break;
    case CONFIG_PAIRS:
    case CONFIG_SECRET_PAIRS:
        set_pairs(setting);
        break;
    }
}

void config_value_set(struct config_loader *loader, const struct config_key *key, void *base,
                      const char *path, const struct config_node *node)
{
    set(&(struct setting){ loader, key, path, node, config_table_member(key, base) });
}

void config_value_set_text(struct config_loader *loader, const struct config_key *key, void *base,
                           const char *path, const char *text, struct config_origin origin)
{
    struct config_node node = {
        .kind = CONFIG_NODE_SCALAR,
        .text = span_of(text),
        .plain = true,
        .comma_list = true,
        .origin = origin,
    };
    config_value_set(loader, key, base, path, &node);
}

void config_value_defaults(struct config_loader *loader, const struct config_scope *scope,
                           void *base)
{
    for (size_t i = 0; i < scope->key_count; i++) {
        const struct config_key *key = &scope->keys[i];
        if (key->initial)
            config_value_set_text(loader, key, base, key->path, key->initial,
                                  (struct config_origin){ 0 });
    }
}

void config_value_clear(const struct config_key *key, void *base)
{
    void *member = config_table_member(key, base);
    switch (key->kind) {
    case CONFIG_TEXT:
    case CONFIG_JSON:
    case CONFIG_SECRET: {
        char *text;
        memcpy(&text, member, sizeof text);
        config_secret_free(text);
        break;
    }
    case CONFIG_LIST:
    case CONFIG_SECRETS:
        free_strings(member);
        break;
    case CONFIG_PAIRS:
    case CONFIG_SECRET_PAIRS:
        free_pairs(member);
        break;
    case CONFIG_INTEGER:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
    case CONFIG_BOOL:
    case CONFIG_ENUM:
        break;
    }
}
