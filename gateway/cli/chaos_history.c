/* The histories of several loads, read while they are written, and put into one in the order of
 * time (docs/VERIFY.md). See chaos_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/chaos_internal.h"
#include "schemas/mem.h"

#include <errno.h>
#include <stdlib.h>

#define HISTORY_BYTES_MAX ((size_t)1024 * 1024 * 1024)

struct entry {
    int64_t at_ms;
    uint32_t order; /* as read: what a file says first stays first */
    uint32_t size;
    size_t offset; /* in `text` */
};

struct source {
    char *path;
    FILE *file;
    char line[HISTORY_LINE_BYTES_MAX + 2];
    size_t size; /* of what is there of the line */
};

struct chaos_history {
    struct chaos_measure *measure;
    struct source *sources;
    size_t source_count;
    struct entry *entries;
    size_t count, capacity;
    struct buf text;
};

struct chaos_history *chaos_history_new(const char *folder, size_t kinds,
                                        struct chaos_measure *measure)
{
    struct chaos_history *history = MEM_NEW(*history);
    history->measure = measure;
    history->text.max = HISTORY_BYTES_MAX;
    history->source_count = kinds;
    history->sources = mem_zalloc(kinds, sizeof *history->sources);
    for (size_t i = 0; i < kinds; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "history-%zu", i);
        history->sources[i].path = stack_path(folder, name);
    }
    return history;
}

void chaos_history_free(struct chaos_history *history)
{
    if (!history)
        return;
    for (size_t i = 0; i < history->source_count; i++) {
        if (history->sources[i].file)
            (void)fclose(history->sources[i].file);
        free(history->sources[i].path);
    }
    free(history->sources);
    free(history->entries);
    buf_free(&history->text);
    free(history);
}

const char *chaos_history_path(const struct chaos_history *history, size_t kind)
{
    return history->sources[kind].path;
}

/* A submission stands at its begin, an answer at its end. */
static int64_t time_of(const struct history_line *line)
{
    bool begins = line->kind == HISTORY_SUBMIT || line->kind == HISTORY_FAULT;
    return begins ? line->begin_ms : line->end_ms;
}

static void add_entry(struct chaos_history *history, int64_t at_ms, struct span text)
{
    if (history->count == history->capacity) {
        history->capacity = history->capacity ? 2 * history->capacity : 4096;
        history->entries =
            mem_resize(history->entries, history->capacity, sizeof *history->entries);
    }
    history->entries[history->count] = (struct entry){ .at_ms = at_ms,
                                                       .order = (uint32_t)history->count,
                                                       .size = (uint32_t)text.size,
                                                       .offset = history->text.size };
    history->count++;
    buf_add_span(&history->text, text);
}

static void take_line(struct chaos_history *history, size_t kind, struct span text)
{
    struct history_line line;
    struct json *json = NULL;
    struct err err = { 0 };
    /* A line that cannot be read stays in: then the verdict says so. */
    if (history_parse(text, &line, &json, &err) != ERR_OK) {
        add_entry(history, INT64_MAX, text);
        return;
    }
    chaos_measure_take(history->measure, kind, &line);
    add_entry(history, time_of(&line), text);
    json_free(json);
}

static void read_source(struct chaos_history *history, size_t kind)
{
    struct source *source = &history->sources[kind];
    if (!source->file)
        source->file = fopen(source->path, "re");
    if (!source->file)
        return;
    clearerr(source->file);
    while (fgets(source->line + source->size, (int)(sizeof source->line - source->size),
                 source->file)) {
        source->size += strlen(source->line + source->size);
        bool whole = source->size > 0 && source->line[source->size - 1] == '\n';
        if (!whole && source->size + 1 < sizeof source->line)
            return; /* half written */
        take_line(history, kind, (struct span){ source->line, source->size - whole });
        source->size = 0;
    }
}

void chaos_history_read(struct chaos_history *history)
{
    for (size_t i = 0; i < history->source_count; i++)
        read_source(history, i);
}

void chaos_history_add(struct chaos_history *history, size_t kind, const struct history_line *line)
{
    struct buf text = BUF_INIT(HISTORY_LINE_BYTES_MAX);
    history_write(line, &text);
    chaos_measure_take(history->measure, kind, line);
    add_entry(history, time_of(line), (struct span){ text.data, text.size ? text.size - 1 : 0 });
    buf_free(&text);
}

static int compare(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static void write_fault(const struct chaos_fault *fault, struct buf *out)
{
    const struct history_line line = {
        .kind = HISTORY_FAULT,
        .what = span_of(drill_act_text(fault->act)),
        .name = span_of(fault->name),
        .begin_ms = fault->begin_ms,
        .end_ms = fault->end_ms ? fault->end_ms : fault->begin_ms,
        .version = -1,
    };
    history_write(&line, out);
}

enum err_code chaos_history_write(const struct chaos_history *history,
                                  const struct chaos_fault *faults, size_t fault_count,
                                  const char *path, struct err *err)
{
    struct buf out = BUF_INIT(2 * HISTORY_BYTES_MAX);
    if (history->text.overflow)
        return err_set(err, ERR_LIMIT, "the run wrote down more than 1 GiB: take a lower --load");
    struct entry *sorted = mem_zalloc(history->count, sizeof *sorted);
    if (history->count)
        memcpy(sorted, history->entries, history->count * sizeof *sorted);
    qsort(sorted, history->count, sizeof *sorted, compare);
    for (size_t i = 0; i < fault_count; i++)
        write_fault(&faults[i], &out);
    for (size_t i = 0; i < history->count; i++) {
        buf_add(&out, history->text.data + sorted[i].offset, sorted[i].size);
        buf_add_char(&out, '\n');
    }
    enum err_code code = stack_write_file(path, buf_span(&out), err);
    free(sorted);
    buf_free(&out);
    return code;
}
