/* A table of text for people: columns as wide as their widest cell, two spaces between them.
 * Cells come from servers and files, so control characters in them are shown as '?': no cell can
 * steer the terminal.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_TABLE_H
#define GATEWAY_CLI_TABLE_H

#include "schemas/buf.h"

struct table;
struct json;

/* `headings` are literals; the table borrows them. */
struct table *table_new(const char *const *headings, size_t columns);
void table_free(struct table *table);
/* The next cell, row by row. Copied. */
void table_add(struct table *table, struct span cell);
void table_add_text(struct table *table, const char *cell);
void table_add_int(struct table *table, int64_t cell);
/* A text or an integer; "-" for an empty text, what is not there and anything else. */
void table_add_json(struct table *table, const struct json *cell);
/* The next cells: these members of an object, each as table_add_json shows it. */
void table_add_members(struct table *table, const struct json *object, size_t count,
                       const char *const names[]);

/* Appends the table; a last row that is not complete is an error of the program. With `colour`
 * the headings are dim and words that tell a state ("succeeded", "failed", ...) have a colour. */
void table_render(const struct table *table, bool colour, struct buf *out);

/* Appends text with control characters shown as '?', and U+FFFD for what is not UTF-8. */
void table_add_safe(struct buf *out, struct span text);
/* The escape sequence that colours a word telling a state; "" for other words. */
const char *table_colour_of(struct span word);
#define TABLE_COLOUR_OFF "\033[0m"

#endif
