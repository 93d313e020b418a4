/* Structured logs: one JSON object a line: ts, level, component, msg, and where known job_id,
 * trace_id, request_id, error. Writing never blocks: lines go into a bounded buffer that a writer
 * thread empties; when it is full a line is dropped and counted, and the next line that fits says
 * how many. A log file is rotated by size (file -> file.1). Values are escaped; nothing a client
 * sends can forge a line. Secrets are never passed.
 * THREADS: log_write from any thread; the rest from the thread that owns the log.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_LOG_H
#define INFRA_LOG_H

#include "schemas/err.h"

#include <stdint.h>

struct log;

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_options {
    const char *process; /* "gateway-1": on every line */
    const char *path;    /* file to append to; NULL writes to stderr */
    enum log_level level;
    size_t rotate_bytes; /* a file beyond it is renamed to path.1 and begun anew */
    size_t buffer_bytes; /* what may wait for the writer */
};

/* Starts the writer thread. */
enum err_code log_open(const struct log_options *options, struct log **ret_log,
                       struct err *err) MUST_CHECK;
/* Writes out what waits (bounded to one second) and ends the thread. Accepts NULL. */
void log_close(struct log *log);

/* What a line is about; every member may be empty. */
struct log_about {
    struct span job_id;
    struct span trace_id;
    struct span request_id;
    const struct err *err; /* adds error code, field and text */
};
/* `component` is a literal ("gateway", "kafka"); `about` may be NULL. Below the log's level nothing
 * is formatted. `log` may be NULL (tests): then nothing is written. thread: any */
void log_write(struct log *log, enum log_level level, const char *component,
               const struct log_about *about, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Lines dropped since the start. thread: any */
int64_t log_dropped(const struct log *log);
/* "debug", "info", "warn", "error"; false when it is none of them. */
bool log_level_parse(struct span text, enum log_level *ret_level);

#endif
