/* One line of a process's log: JSON from Errand's own processes, plain text from others.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_LOG_LINE_H
#define GATEWAY_CLI_LOG_LINE_H

#include "infra/log.h"
#include "schemas/buf.h"

struct log_line {
    char *process;
    char *text;    /* as it was written */
    char time[32]; /* RFC 3339; of plain text, that of the line before it */
    enum log_level level;
    bool structured;
    size_t order; /* in which it was read */
};

struct log_filter {
    const char *job_id;   /* NULL: any */
    enum log_level level; /* and above */
    bool any_level;
};

/* `before` is the time of the line before it in the same file. Free with log_line_clear. */
void log_line_parse(const char *process, struct span text, const char *before,
                    struct log_line *ret_line);
void log_line_clear(struct log_line *line);
bool log_line_fits(const struct log_line *line, const struct log_filter *filter);
/* The line for people: time, process, level, message, and what else it says as name=value. */
void log_line_render(const struct log_line *line, bool colour, struct buf *out);
/* By time, then in the order read. */
int log_line_compare(const struct log_line *a, const struct log_line *b);

#endif
