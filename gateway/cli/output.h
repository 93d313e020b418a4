/* What the command line says, and where: data on stdout, messages and progress on stderr; colour
 * and progress only on a terminal, and no colour when NO_COLOR is set (https://no-color.org).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_OUTPUT_H
#define GATEWAY_CLI_OUTPUT_H

#include "gateway/cli/args.h"
#include "gateway/cli/exit_code.h"
#include "gateway/cli/table.h"

#define OUTPUT_BYTES_MAX ((size_t)256 * 1024 * 1024)

/* An error in up to three lines: "error: what", "  why: ...", "  try: errand ...". */
void output_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void output_why(const char *format, ...) __attribute__((format(printf, 1, 2)));
void output_try(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A message that is no error. */
void output_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line on stderr that the next one replaces; nothing when stderr is no terminal. */
void output_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Clears the progress line, before anything else is said. */
void output_progress_end(void);

/* Whether `-o json` was given. */
bool output_is_json(const struct args *args);
/* Whether stdout takes colours. */
bool output_has_colour(void);

/* Data to stdout; CLI_OK, or CLI_FAILED when it cannot be written. */
int output_data(struct span data);
int output_table(const struct table *table);
/* A server's answer as JSON with `"schema":"..."` as its first member; what is no object is
 * passed on as it is. */
int output_json(const char *schema, struct span object);

#endif
