/* A real Apache Kafka for a stack: its jars from Maven Central, kept in the user's cache, and
 * one combined broker and controller (KRaft) with its data in the stack's folder.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_APACHE_H
#define GATEWAY_CLI_APACHE_H

#include "gateway/cli/supervisor_internal.h"

#define APACHE_VERSION "4.1.0"

/* Makes sure that java and the jars are there; fetches them the first time, with progress on
 * stderr. Says what is wrong itself; false when it cannot be used. */
bool apache_prepare(const char *folder);
/* Writes kafka/server.properties for a broker at `address`. */
enum err_code apache_configure(const char *folder, const char *address, struct err *err) MUST_CHECK;
/* Whether the data folder has been made. */
bool apache_is_formatted(const char *folder);
void apache_format_argv(const char *folder, struct plan_argv *argv);
void apache_run_argv(const char *folder, struct plan_argv *argv);

/* `template` with each @NAME@ replaced by its value from `values`, pairs of name and value that
 * end with NULL; lines of comment stay as they are. An unknown name is ERR_CONFIG. */
enum err_code apache_fill(struct span template, const char *const *values, struct buf *out,
                          struct err *err) MUST_CHECK;

#endif
