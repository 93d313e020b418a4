/* Other programs, run to their end while a person waits.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_PROGRAM_H
#define GATEWAY_CLI_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

/* Whether `name` is in PATH. */
bool program_exists(const char *name);
/* When the file of that name in PATH was changed, in seconds since 1970; 0 when there is none. */
int64_t program_changed_s(const char *name);
/* Runs it with its output appended to `output_path`; while it runs `progress` is shown with the
 * seconds it took so far. Returns its exit code, 128 + signal when one ended it, or -1 when it
 * cannot be started. */
int program_run(char *const *argv, const char *output_path, const char *progress);

#endif
