/* Tables for people.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/table.h"

#include "schemas/json.h"
#include "schemas/mem.h"
#include "schemas/utf8.h"

#include <assert.h>
#include <stdlib.h>

#define CELL_BYTES_MAX  4096
#define COLUMN_GAP      2
#define HEADING_COLOUR  "\033[2m"
#define COLOUR_GOOD     "\033[32m"
#define COLOUR_BAD      "\033[31m"
#define COLOUR_UNDERWAY "\033[33m"

struct table {
    const char *const *headings;
    size_t columns;
    char **cells;
    size_t cell_count;
    size_t cell_capacity;
    size_t *widths;
};

static const struct {
    const char *word;
    const char *colour;
} coloured[] = {
    { "succeeded", COLOUR_GOOD },
    { "ready", COLOUR_GOOD },
    { "yes", COLOUR_GOOD },
    { "ok", COLOUR_GOOD },
    { "failed", COLOUR_BAD },
    { "expired", COLOUR_BAD },
    { "no", COLOUR_BAD },
    { "down", COLOUR_BAD },
    { "cancelled", COLOUR_BAD },
    { "error", COLOUR_BAD },
    { "warn", COLOUR_UNDERWAY },
    { "queued", COLOUR_UNDERWAY },
    { "running", COLOUR_UNDERWAY },
    { "retrying", COLOUR_UNDERWAY },
    { "held", COLOUR_UNDERWAY },
    { "starting", COLOUR_UNDERWAY },
    { "scheduled", COLOUR_UNDERWAY },
};

const char *table_colour_of(struct span word)
{
    for (size_t i = 0; i < sizeof coloured / sizeof coloured[0]; i++) {
        if (span_is(word, coloured[i].word))
            return coloured[i].colour;
    }
    return "";
}

/* Characters as a terminal counts them, but for the wide ones of East Asia. */
static size_t width_of(struct span text)
{
    const unsigned char *bytes = text.data;
    size_t width = 0;
    for (size_t i = 0; i < text.size; i++)
        width += (bytes[i] & 0xc0) != 0x80;
    return width;
}

static bool is_control(const unsigned char *at, size_t width)
{
    bool c1 = width == 2 && at[0] == 0xc2 && at[1] < 0xa0;
    return at[0] < 0x20 || at[0] == 0x7f || c1;
}

void table_add_safe(struct buf *out, struct span text)
{
    const unsigned char *at = text.data;
    size_t left = text.size;
    while (left > 0) {
        size_t width = utf8_width((struct span){ .data = at, .size = left });
        if (width == 0)
            buf_add_text(out, "\xef\xbf\xbd");
        else if (is_control(at, width))
            buf_add_char(out, '?');
        else
            buf_add(out, at, width);
        width = width ? width : 1;
        at += width;
        left -= width;
    }
}

struct table *table_new(const char *const *headings, size_t columns)
{
    assert(columns > 0);
    struct table *table = MEM_NEW(*table);
    table->headings = headings;
    table->columns = columns;
    table->widths = mem_zalloc(columns, sizeof *table->widths);
    for (size_t i = 0; i < columns; i++)
        table->widths[i] = width_of(span_of(headings[i]));
    return table;
}

void table_free(struct table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table->widths);
    free(table);
}

void table_add(struct table *table, struct span cell)
{
    struct buf safe = BUF_INIT(CELL_BYTES_MAX);
    table_add_safe(&safe, cell);
    if (table->cell_count == table->cell_capacity) {
        table->cell_capacity = table->cell_capacity ? 2 * table->cell_capacity : 4 * table->columns;
        table->cells = mem_resize(table->cells, table->cell_capacity, sizeof *table->cells);
    }
    size_t column = table->cell_count % table->columns;
    size_t width = width_of(buf_span(&safe));
    if (width > table->widths[column])
        table->widths[column] = width;
    table->cells[table->cell_count++] = mem_dup(buf_span(&safe));
    buf_free(&safe);
}

void table_add_text(struct table *table, const char *cell)
{
    table_add(table, span_of(cell));
}

void table_add_int(struct table *table, int64_t cell)
{
    struct buf text = BUF_INIT(32);
    buf_add_int(&text, cell);
    table_add(table, buf_span(&text));
    buf_free(&text);
}

void table_add_json(struct table *table, const struct json *cell)
{
    int64_t number = 0;
    struct span text = json_text(cell);
    if (json_integer_of(cell, &number))
        table_add_int(table, number);
    else
        table_add(table, text.size ? text : span_of("-"));
}

void table_add_members(struct table *table, const struct json *object, size_t count,
                       const char *const names[])
{
    for (size_t i = 0; i < count; i++)
        table_add_json(table, json_get(object, names[i]));
}

static void render_cell(const struct table *table, size_t column, const char *cell,
                        const char *colour, struct buf *out)
{
    buf_add_text(out, colour);
    buf_add_text(out, cell);
    if (*colour)
        buf_add_text(out, TABLE_COLOUR_OFF);
    if (column + 1 == table->columns)
        return;
    size_t padding = table->widths[column] - width_of(span_of(cell)) + COLUMN_GAP;
    for (size_t i = 0; i < padding; i++)
        buf_add_char(out, ' ');
}

void table_render(const struct table *table, bool colour, struct buf *out)
{
    assert(table->cell_count % table->columns == 0);
    for (size_t i = 0; i < table->columns; i++)
        render_cell(table, i, table->headings[i], colour ? HEADING_COLOUR : "", out);
    buf_add_char(out, '\n');
    for (size_t i = 0; i < table->cell_count; i++) {
        const char *cell = table->cells[i];
        render_cell(table, i % table->columns, cell, colour ? table_colour_of(span_of(cell)) : "",
                    out);
        if ((i + 1) % table->columns == 0)
            buf_add_char(out, '\n');
    }
}
