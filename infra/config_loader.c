/* See config_loader.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/config_loader.h"

#include "schemas/mem.h"
#include "schemas/suggest.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void config_loader_init(struct config_loader *loader, const char *file,
                        const char *const *environment)
{
    *loader = (struct config_loader){
        .file = file,
        .environment = environment,
        .config = MEM_NEW(*loader->config),
        .report = BUF_INIT(CONFIG_REPORT_MAX),
    };
}

static void free_names(struct config_strings *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
}

void config_loader_clear(struct config_loader *loader)
{
    for (size_t i = 0; i < loader->place_count; i++)
        free(loader->places[i].path);
    free(loader->places);
    free_names(&loader->secret_variables);
    free_names(&loader->variables);
    buf_free(&loader->report);
}

/* "errand.yaml:12: ", "ERRAND_KAFKA_KIND: ", or the file alone for what is nowhere in it. */
static void add_origin(const struct config_loader *loader, struct config_origin origin,
                       struct buf *line)
{
    if (origin.variable)
        buf_printf(line, "%s: ", origin.variable);
    else if (loader->file && origin.line)
        buf_printf(line, "%s:%zu: ", loader->file, origin.line);
    else
        buf_printf(line, "%s: ", loader->file ? loader->file : "configuration");
}

void config_loader_problem(struct config_loader *loader, struct config_origin origin,
                           const char *path, const char *format, ...)
{
    loader->problem_count++;
    if (loader->problem_count > CONFIG_PROBLEMS_MAX)
        return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct buf line = BUF_INIT(8192);
    add_origin(loader, origin, &line);
    if (path && path[0])
        buf_printf(&line, "%s: ", path);
    buf_add_text(&line, text);
    if (loader->problem_count == 1)
        err_field(&loader->first, ERR_CONFIG, path ? path : "", "%s", line.data);
    buf_add_span(&loader->report, buf_span(&line));
    buf_add_char(&loader->report, '\n');
    buf_free(&line);
}

void config_loader_place(struct config_loader *loader, const char *path,
                         struct config_origin origin)
{
    if (loader->place_count == loader->place_capacity) {
        loader->place_capacity = loader->place_capacity ? 2 * loader->place_capacity : 64;
        loader->places = mem_resize(loader->places, loader->place_capacity, sizeof *loader->places);
    }
    loader->places[loader->place_count++] = (struct config_place){ mem_dup_text(path), origin };
}

/* Whether `inner` is `outer` or lies below it. */
static bool is_below(const char *inner, const char *outer, size_t outer_size)
{
    return strncmp(inner, outer, outer_size) == 0 &&
           (inner[outer_size] == '\0' || inner[outer_size] == '.');
}

struct config_origin config_loader_find(const struct config_loader *loader, const char *path)
{
    const struct config_place *best = NULL;
    size_t best_size = 0;
    for (size_t i = 0; i < loader->place_count; i++) {
        const struct config_place *place = &loader->places[i];
        size_t size = strlen(place->path);
        if (size >= best_size && is_below(path, place->path, size)) {
            best = place;
            best_size = size;
        }
    }
    return best ? best->origin : (struct config_origin){ 0 };
}

bool config_loader_has(const struct config_loader *loader, const char *path)
{
    for (size_t i = 0; i < loader->place_count; i++) {
        if (is_below(loader->places[i].path, path, strlen(path)))
            return true;
    }
    return false;
}

const char *config_loader_keep(struct config_strings *list, char *name)
{
    list->items = mem_resize(list->items, list->count + 1, sizeof *list->items);
    list->items[list->count++] = name;
    return name;
}

const char *config_loader_variable(const struct config_loader *loader, const char *name)
{
    size_t size = strlen(name);
    for (const char *const *entry = loader->environment; *entry; entry++) {
        if (strncmp(*entry, name, size) == 0 && (*entry)[size] == '=')
            return *entry + size + 1;
    }
    return NULL;
}

const char *config_loader_quote(struct span text, char ret_quoted[CONFIG_QUOTED_SIZE])
{
    static const char ellipsis[] = "...'";
    size_t room = CONFIG_QUOTED_SIZE - sizeof ellipsis - 1;
    size_t size = text.size < room ? text.size : room;
    /* Never half a UTF-8 character: a cut falls before a lead byte. */
    while (size < text.size && size > 0 &&
           (((const unsigned char *)text.data)[size] & 0xc0) == 0x80)
        size--;
    ret_quoted[0] = '\'';
    for (size_t i = 0; i < size; i++) {
        unsigned char c = ((const unsigned char *)text.data)[i];
        ret_quoted[1 + i] = (char)(c < 0x20 || c == 0x7f ? '?' : c);
    }
    snprintf(ret_quoted + 1 + size, sizeof ellipsis, "%s", size < text.size ? ellipsis : "'");
    return ret_quoted;
}

const char *config_loader_hint(struct span word, const char *const *candidates, size_t count,
                               char ret_hint[CONFIG_HINT_SIZE])
{
    const char *nearest = suggest_nearest(word, candidates, count);
    if (nearest)
        snprintf(ret_hint, CONFIG_HINT_SIZE, "; did you mean %s?", nearest);
    else
        ret_hint[0] = '\0';
    return ret_hint;
}
